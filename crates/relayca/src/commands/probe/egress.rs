//! `relayca probe --egress [HOST]`: whether port 25 is open outwards, blocked, or answered by somebody else; and whether the
//! relay's port is open instead.
//!
//! In: the arguments, an authority if there is one. Out: the verdict in plain words, a table of whom was asked, or JSON. What is
//! asked of each is in `egress/asking.rs`, how answers are judged in `relayca_probe::egress`.

mod asking;

use relayca_ca::AltName;
use relayca_probe::egress::{Suspicion, Verdict};
use relayca_probe::{Attempt, Mode};
use serde_json::{Value, json};

use self::asking::{Asked, Met, Relay};
use super::services::{self as looks, place};
use crate::checking::some_of;
use crate::cli::Probe;
use crate::failure::Failure;
use crate::printer::{one_line, table};
use crate::probing::in_a_line;
use crate::probing::services::{self, FAULTY, Judges, PARTLY};
use crate::run::Run;

/// The port for mail between servers.
const SMTP: u16 = 25;
/// The relay's, where nothing else is said.
const RELAY: u16 = 2500;
/// Who is asked unless somebody is named: mail exchangers that have stood under these names for many years, of three operators on
/// two continents, so that one that is down does not accuse the provider. They are greeted, asked for TLS, and left.
const WELL_KNOWN: [&str; 3] = [
    "gmail-smtp-in.l.google.com",
    "mailly.debian.org",
    "eggs.gnu.org",
];
/// Ports that are open nearly everywhere, for comparison.
const COMPARED: [(u16, Mode); 2] = [(465, Mode::Implicit), (587, Mode::StartTls)];

/// Runs it; gives the exit code.
pub fn run(run: &Run, arguments: &Probe) -> Result<u8, Failure> {
    let judges = looks::judges(run, arguments)?;
    let world = world(run, arguments, &judges)?;
    let relays = relays(run, arguments, &judges)?;
    let reports = looks::look(run, arguments, &judges)?;
    let egress = Egress { world, relays };
    if run.printer.json {
        let mut value = json!({ "egress": egress.json() });
        if !reports.is_empty() {
            value["services"] = Value::Array(looks::json_of(&reports));
        }
        run.printer.json(&value)?;
    } else {
        run.printer.data(&egress.text())?;
        if !reports.is_empty() {
            run.printer
                .data(&format!("\n{}", looks::text_of(&reports)))?;
        }
    }
    if let Some(hint) = egress.hint() {
        run.printer.hint(&hint);
    }
    let services = match reports.as_slice() {
        [] => 0,
        reports => {
            looks::close(run, reports);
            // That nobody could connect to them is no failure of all: the rest was told.
            match services::exit_code(reports) {
                crate::failure::FAILED => FAULTY,
                code => code,
            }
        }
    };
    Ok(egress.exit_code().max(services))
}

/// Asks hosts in the world, one after the other, until one tells.
fn world(run: &Run, arguments: &Probe, judges: &Judges) -> Result<Vec<Met>, Failure> {
    let named = arguments.egress.as_deref().filter(|host| !host.is_empty());
    let hosts: Vec<(String, u16, bool)> = match named {
        Some(host) => {
            let (host, port) = place(host, SMTP)?;
            vec![(host, port, false)]
        }
        None => WELL_KNOWN
            .iter()
            .map(|host| ((*host).to_owned(), SMTP, true))
            .collect(),
    };
    let mut met = Vec::new();
    for (host, port, public) in hosts {
        let asked = Asked {
            host,
            port,
            mode: Mode::StartTls,
            public,
            timeout: arguments.timeout,
        };
        if public {
            run.printer
                .note(&format!("asking {} on port {port}", asked.host));
        }
        let one = asking::ask(&asked, None, judges, run.now);
        let is_told = one.verdict.is_conclusive();
        met.push(one);
        if is_told {
            break;
        }
    }
    if met.iter().all(|one| one.verdict == Verdict::NoName) {
        let hosts: Vec<&str> = met.iter().map(|one| one.asked.host.as_str()).collect();
        return Err(
            Failure::new(format!("the address of {} was not found", some_of(hosts))).hint(
                "check the spelling and whether DNS works here (`getent hosts NAME`); an address needs none: `--egress 192.0.2.1`",
            ),
        );
    }
    Ok(met)
}

/// Asks the relays: the one named, or those of the authority; with `--compare` also on the ports of submission.
fn relays(run: &Run, arguments: &Probe, judges: &Judges) -> Result<Vec<Met>, Failure> {
    let home = looks::authority(run)?;
    let wrapper = arguments.wrapper || home.as_ref().is_some_and(|home| home.settings.wrapper);
    let mut known = Vec::new();
    match (&arguments.relay, &home) {
        (Some(relay), _) => {
            let (host, port) = place(relay, RELAY)?;
            known.push(Relay {
                name: host.clone(),
                host,
                port,
            });
        }
        (None, Some(home)) => {
            for relay in &home.settings.relays {
                known.push(Relay {
                    name: relay.name.to_string(),
                    host: match &relay.destination {
                        AltName::Ip(address) => address.to_string(),
                        AltName::Dns(name) => name.to_string(),
                    },
                    port: relay.port,
                });
            }
        }
        (None, None) => {}
    }
    let mode = if wrapper {
        Mode::Implicit
    } else {
        Mode::StartTls
    };
    let mut met = Vec::new();
    for relay in &known {
        let compared = COMPARED
            .into_iter()
            .filter(|(port, _)| arguments.compare && *port != relay.port);
        for (port, mode) in std::iter::once((relay.port, mode)).chain(compared) {
            let asked = Asked {
                host: relay.host.clone(),
                port,
                mode,
                public: false,
                timeout: arguments.timeout,
            };
            let own = (port == relay.port).then_some(relay);
            met.push(asking::ask(&asked, own, judges, run.now));
        }
    }
    Ok(met)
}

/// All that was met.
struct Egress {
    world: Vec<Met>,
    relays: Vec<Met>,
}

impl Egress {
    /// On the port for mail between servers: what the one said that told, or what most met.
    fn verdict(&self) -> Verdict {
        let told = self.world.iter().find(|one| one.verdict.is_conclusive());
        if let Some(one) = told {
            return one.verdict;
        }
        let mut kinds = self
            .world
            .iter()
            .map(|one| one.verdict)
            .filter(|verdict| *verdict != Verdict::NoName);
        let first = kinds.next().unwrap_or(Verdict::NoName);
        if kinds.all(|verdict| verdict == first) {
            first
        } else {
            Verdict::Blocked
        }
    }

    /// In plain words.
    fn says(&self) -> String {
        let verdict = self.verdict();
        let port = self.world.first().map_or(SMTP, |one| one.asked.port);
        let hosts: Vec<&str> = self
            .world
            .iter()
            .filter(|one| one.verdict != Verdict::NoName)
            .map(|one| one.asked.host.as_str())
            .collect();
        let all = some_of(hosts);
        let Some(last) = self.world.last() else {
            return String::new();
        };
        let asked = &last.asked.host;
        let seen = in_a_line(&last.seen);
        match verdict {
            Verdict::Open => format!("port {port} is open: {asked} answered"),
            Verdict::Unwelcome => {
                format!("port {port} is open, and this address is not welcome at {asked}: {seen}")
            }
            Verdict::PutOff => format!("port {port} is open; {asked} puts us off for now: {seen}"),
            Verdict::Intercepted => format!(
                "intercepted: asked for {asked}, {}",
                who_answered(&last.suspicions)
            ),
            Verdict::Swallowed => format!(
                "blocked: connections to port {port} of {all} are accepted, and nobody greets"
            ),
            Verdict::Refused => {
                format!("blocked: connections to port {port} of {all} are refused")
            }
            Verdict::Forbidden => {
                format!("blocked: this machine lets no connection to port {port} out")
            }
            Verdict::NoRoute => format!("no way out: there is no route to {all}"),
            _ if self
                .world
                .iter()
                .any(|one| !matches!(one.verdict, Verdict::Blocked | Verdict::NoName)) =>
            {
                format!("blocked: none of {all} can be reached on port {port}")
            }
            _ => format!("blocked: nothing comes back from port {port} of {all}"),
        }
    }

    /// What to do.
    fn hint(&self) -> Option<String> {
        let open = self
            .relays
            .iter()
            .find(|one| one.own && one.verdict == Verdict::Open);
        let way = match (open, self.relays.first()) {
            (Some(relay), _) => format!(
                "let mail leave by the relay: {} is open; `relayca probe` proves that it lets it in",
                relay.place()
            ),
            (None, Some(relay)) => format!(
                "{} is not open either: check there `ss -ltn`, its firewall and the provider's",
                relay.place()
            ),
            (None, None) => "let mail leave by a relay elsewhere, on a port that is not blocked: `relayca init DOMAIN` sets it up on 2500".to_owned(),
        };
        let alone = self.world.len() == 1 && self.world.iter().all(|one| !one.asked.public);
        let again = if alone {
            "; one host alone may be down or odd: `relayca probe --egress` asks others"
        } else {
            ""
        };
        match self.verdict() {
            Verdict::Open if self.relays.is_empty() || open.is_some() => None,
            Verdict::Open => Some(way),
            Verdict::Unwelcome => Some(format!(
                "many servers take no mail from dynamic or ill-reputed addresses; {way}"
            )),
            Verdict::PutOff => Some("ask again in some minutes".to_owned()),
            Verdict::Forbidden => Some(
                "look for a rule on outgoing port 25: `nft list ruleset`, `iptables -S OUTPUT`"
                    .to_owned(),
            ),
            Verdict::NoRoute => Some("check this machine's network: `ip route`".to_owned()),
            Verdict::Intercepted => Some(format!(
                "mail by this way passes through somebody else's server, and may be refused there (as `DSN support is disabled`); {way}{again}"
            )),
            _ => Some(format!(
                "providers block port 25 by default; some open it when asked; {way}{again}"
            )),
        }
    }

    fn exit_code(&self) -> u8 {
        let world = match self.verdict() {
            Verdict::Open => 0,
            Verdict::Unwelcome | Verdict::PutOff => PARTLY,
            _ => FAULTY,
        };
        let relays = self.relays.iter().filter(|one| one.own);
        let relay = relays.map(|one| match one.verdict {
            Verdict::Open => 0,
            Verdict::PutOff => PARTLY,
            _ => FAULTY,
        });
        relay.max().unwrap_or(0).max(world)
    }

    fn text(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .world
            .iter()
            .chain(&self.relays)
            .map(|one| {
                vec![
                    one.asked.host.clone(),
                    one.asked.port.to_string(),
                    one.address
                        .map_or("-".to_owned(), |address| address.to_string()),
                    one.verdict.as_str().to_owned(),
                    in_a_line(&one.seen),
                ]
            })
            .collect();
        format!(
            "{}\n\n{}",
            one_line(&self.says()),
            table(&["HOST", "PORT", "ADDRESS", "VERDICT", "SEEN"], &rows)
        )
    }

    fn json(&self) -> Value {
        let all = |met: &[Met]| -> Vec<Value> { met.iter().map(Met::json).collect() };
        json!({
            "verdict": self.verdict().as_str(),
            "says": self.says(),
            "hint": self.hint(),
            "asked": all(&self.world),
            "relays": all(&self.relays),
        })
    }
}

/// Who answered, as far as it said, and what else is odd.
fn who_answered(suspicions: &[Suspicion]) -> String {
    let mut name = "somebody else".to_owned();
    let mut odd = Vec::new();
    for suspicion in suspicions {
        match suspicion {
            Suspicion::OtherName(other) => name = format!("`{other}`"),
            other => odd.push(other.to_string()),
        }
    }
    if odd.is_empty() {
        format!("{name} answered")
    } else {
        format!("{name} answered ({})", odd.join(", "))
    }
}

/// `192.0.2.1: connection refused`, one after the other.
fn failures(tried: &[Attempt]) -> String {
    let each: Vec<String> = tried
        .iter()
        .filter_map(|attempt| {
            let failure = attempt.failure.as_ref()?;
            Some(format!("{}: {}", attempt.address.ip(), failure.text))
        })
        .collect();
    each.join("; ")
}
