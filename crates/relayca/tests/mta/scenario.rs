//! An admin, a relay that sends to a sink, and mail hosts with any mail server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xtask::lab::{Instance, Machine, Port, Setup, Sink, wait_for};
use xtask::main_job::{Admin, MAIL_HOST, RELAY, SOON};
use xtask::pasting::{self, Place};

/// A name that is the relay's too, and stands in no certificate.
pub const ALIAS: &str = "relay2.example.org";

/// Programs that `cargo xtask test` unpacked.
pub fn judges(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../target/judges")
        .join(name)
}

pub fn machine(name: &str, programs: &str) -> Machine {
    let machine = Machine::new(name, &[judges(programs)], &[RELAY, ALIAS]).unwrap();
    if programs.starts_with("exim") {
        // What the package's maintainer scripts make.
        let made = machine
            .paste(
                "set -e\n\
                 mkdir -p /etc/exim4 /var/spool/exim4 /var/log/exim4 /var/lib/exim4 /run/exim4\n\
                 chown Debian-exim: /var/spool/exim4 /var/log/exim4 /run/exim4\n",
            )
            .unwrap();
        assert!(made.ok(), "{}", made.stderr);
    }
    machine
}

/// An Exim as somebody set it up: mail for elsewhere goes to the sink.
pub fn plain_exim(sink: &Sink, port: u16) -> String {
    format!(
        "\
primary_hostname = {RELAY}
domainlist local_domains = @ : localhost
keep_environment =
never_users = root
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
acl_smtp_rcpt = accept hosts = :

begin routers

internet:
  driver = manualroute
  domains = ! +local_domains
  transport = internet
  route_list = * 127.0.0.1
  self = send

begin transports

internet:
  driver = smtp
  port = {}
  hosts_avoid_tls = *

begin retry
* * F,2h,15m
",
        sink.port()
    )
}

/// What debconf writes for an Exim that sends to the world by itself, or to the sink.
fn debconf(split: bool, sink: Option<&Sink>) -> String {
    let (kind, smarthost) = match sink {
        None => ("internet", String::new()),
        Some(sink) => ("smarthost", format!("127.0.0.1::{}", sink.port())),
    };
    format!(
        "dc_eximconfig_configtype='{kind}'\ndc_other_hostnames=''\ndc_local_interfaces='127.0.0.1 ; ::1'\n\
         dc_readhost=''\ndc_relay_domains=''\ndc_minimaldns='false'\ndc_relay_nets=''\ndc_smarthost='{smarthost}'\n\
         CFILEMODE='644'\ndc_use_split_config='{split}'\ndc_hide_mailname=''\ndc_mailname_in_oh='true'\n\
         dc_localdelivery='mail_spool'\n"
    )
}

/// A Debian's Exim, with the files of its package.
pub fn debian_exim(name: &str, programs: &str, split: bool, sink: Option<&Sink>) -> Machine {
    let exim = machine(name, programs);
    let copied = std::process::Command::new("cp")
        .arg("-a")
        .arg(judges(programs).join("etc/exim4"))
        .arg(exim.file("/etc"))
        .output()
        .unwrap();
    assert!(copied.status.success(), "{copied:?}");
    exim.write("/etc/exim4/update-exim4.conf.conf", &debconf(split, sink))
        .unwrap();
    exim.write("/etc/email-addresses", "").unwrap();
    // Here the world is on this very host, which Exim takes for a loop.
    let router = "/etc/exim4/conf.d/router/200_exim4-config_primary";
    let text = std::fs::read_to_string(exim.file(router)).unwrap();
    let to_itself = text.replace(
        "DCsmarthost byname\n",
        "DCsmarthost byname\n  self = send\n",
    );
    exim.write(router, &to_itself).unwrap();
    let said = exim.paste("update-exim4.conf\n").unwrap();
    assert!(said.ok(), "{}", said.stderr);
    exim
}

pub struct Scenario {
    pub admin: Admin,
    pub internet: Sink,
    pub port: Port,
    pub init: String,
    postfixes: BTreeMap<String, Instance>,
    machines: BTreeMap<String, Machine>,
}

impl Scenario {
    fn new(
        postfix: Option<Instance>,
        exim: Option<Machine>,
        internet: Sink,
        more: &[&str],
        past: Option<&str>,
    ) -> Self {
        let mut admin = Admin::new(Path::new(env!("CARGO_BIN_EXE_relayca"))).unwrap();
        admin.lives(past);
        let port = Port::reserve().unwrap();
        let place = format!("{RELAY}:{}", port.number());
        let mut arguments = vec!["--relay", &place];
        let directory = postfix.as_ref().map(Instance::config_inside);
        if let Some(directory) = &directory {
            arguments.extend(["--config-directory", directory]);
        }
        arguments.extend(more);
        let init = admin.init(&arguments).unwrap();
        Self {
            admin,
            internet,
            port,
            init,
            postfixes: postfix
                .map(|one| (RELAY.to_owned(), one))
                .into_iter()
                .collect(),
            machines: exim
                .map(|one| (RELAY.to_owned(), one))
                .into_iter()
                .collect(),
        }
    }

    /// The relay is Postfix, set up as printed.
    pub fn with_postfix(more: &[&str]) -> Self {
        let internet = Sink::start().unwrap();
        let relay = Setup::new(RELAY).relays_to(&internet).start().unwrap();
        let scenario = Self::new(Some(relay), None, internet, more, None);
        scenario.paste(&scenario.init);
        scenario
    }

    /// The relay is Exim, set up as printed.
    pub fn with_exim(programs: &str, more: &[&str]) -> Self {
        Self::with_exim_since(programs, more, None)
    }

    /// Likewise, by an admin who lives in the past.
    pub fn with_exim_since(programs: &str, more: &[&str], past: Option<&str>) -> Self {
        let internet = Sink::start().unwrap();
        if programs == "exim-trixie" {
            // As Debian sets it up.
            let relay = debian_exim(RELAY, programs, true, Some(&internet));
            let all = [&["--mta", "exim"], more].concat();
            let scenario = Self::new(None, Some(relay), internet, &all, past);
            scenario.paste(&scenario.init);
            return scenario;
        }
        let relay = machine(RELAY, programs);
        let ordinary = Port::reserve().unwrap();
        relay
            .write(
                "/etc/exim4/exim4.conf",
                &plain_exim(&internet, ordinary.number()),
            )
            .unwrap();
        let scenario = Self::new(
            None,
            Some(relay),
            internet,
            &[&["--mta", "exim"], more].concat(),
            past,
        );
        scenario.paste(&scenario.init);
        scenario
    }

    pub fn add(&mut self, name: &str, machine: Machine) {
        self.machines.insert(name.to_owned(), machine);
    }

    /// One more mail host with Postfix.
    pub fn add_postfix(&mut self, name: &str) {
        let instance = Setup::new(name).knows(RELAY).start().unwrap();
        self.admin
            .config_directory(name, &instance.config_inside())
            .unwrap();
        self.postfixes.insert(name.to_owned(), instance);
    }

    pub fn machine(&self, name: &str) -> &Machine {
        &self.machines[name]
    }

    pub fn postfix(&self, name: &str) -> &Instance {
        &self.postfixes[name]
    }

    fn place(&self, name: &str) -> Option<&dyn Place> {
        let machine = self.machines.get(name).map(|one| one as &dyn Place);
        machine.or_else(|| self.postfixes.get(name).map(|one| one as &dyn Place))
    }

    #[track_caller]
    pub fn paste(&self, printed: &str) {
        let elsewhere = self.place(RELAY).unwrap();
        pasting::paste(&self.admin, printed, &|host| self.place(host), elsewhere)
            .unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// The relay's log.
    pub fn relay_log(&self) -> String {
        self.place(RELAY).unwrap().log()
    }

    /// Waits until these words are in it.
    #[track_caller]
    pub fn relay_logs(&self, words: &str) {
        wait_for(words, SOON, || self.relay_log().contains(words))
            .unwrap_or_else(|error| panic!("{error}\n{}", self.relay_log()));
    }

    /// `relayca snippet HOST`, pasted there once more.
    pub fn paste_snippet(&self, host: &str) {
        let block = self.admin.done(&["snippet", host]).unwrap();
        let said = self.place(host).unwrap().paste(&block).unwrap();
        assert!(said.ok(), "{}{}", said.stdout, said.stderr);
    }

    /// Waits for a message, whose text is given.
    #[track_caller]
    pub fn arrives(&self, count: usize) -> String {
        let all = self.internet.wait_for(count, SOON).unwrap_or_else(|error| {
            let logs: Vec<String> = self
                .machines
                .iter()
                .map(|(name, machine)| format!("{name}:\n{}", machine.log()))
                .collect();
            panic!("{error:#}\n{}\n{}", logs.join("\n"), self.relay_log())
        });
        assert_eq!(all.len(), count, "{all:?}");
        all[count - 1].text.clone()
    }
}

/// Hands a message to the Exim of a machine, which tries to send it at once.
pub fn send_by_exim(machine: &Machine, subject: &str) {
    let message = format!("From: info@example.org\nSubject: {subject}\n\nbody\n");
    let said = machine
        .run(
            "exim4",
            &["-odf", "-f", "info@example.org", "someone@example.net"],
            &message,
        )
        .unwrap();
    assert!(said.ok(), "{}", said.stderr);
}

/// How many messages wait in a machine's Exim.
pub fn waiting_in_exim(machine: &Machine) -> u32 {
    let said = machine.run("exim4", &["-bpc"], "").unwrap();
    said.stdout
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("{said:?}"))
}

/// Empties a machine's Exim, hints about hosts that could not be reached included.
pub fn empty_exim(machine: &Machine) {
    let said = machine
        .paste("rm -rf /var/spool/exim4/input /var/spool/exim4/msglog /var/spool/exim4/db\n")
        .unwrap();
    assert!(said.ok(), "{said:?}");
}

/// A relay of another CA whose name and relay are called the same: `init` by somebody else.
pub fn another_ca() -> Admin {
    let other = Admin::new(Path::new(env!("CARGO_BIN_EXE_relayca"))).unwrap();
    other.init(&[]).unwrap();
    other.done(&["issue", MAIL_HOST]).unwrap();
    other
}

/// Opens a host's bundle, and gives where its files are.
pub fn opened(admin: &Admin, host: &str) -> PathBuf {
    let place = admin.place().join(format!("opened-{host}"));
    let bundle = admin.file(&format!("bundles/{host}.tar.age"));
    admin
        .done(&[
            "open",
            bundle.to_str().unwrap(),
            "-C",
            place.to_str().unwrap(),
            "-q",
        ])
        .unwrap();
    place
}

/// Long enough for anything.
pub const LONG: Duration = SOON;
