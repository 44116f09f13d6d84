//! What `relayca probe --egress` says of port 25: open, blocked in each of the ways there are, or answered by somebody else; and
//! of the relay's port beside it. The servers are in this process, the firewalls in network namespaces.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod services;

use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use authority::{Admin, Outcome, RELAYCA, unseal};
use serde_json::Value;
use services::fake::{Talk, exchanger, listen, nobody, shows};
use services::{Pki, local, with_roots};

/// The verdict, the headline and the exit code for one host.
struct Told {
    verdict: String,
    says: String,
    hint: String,
    code: i32,
    value: Value,
}

fn told(outcome: &Outcome) -> Told {
    assert!(!outcome.stderr.contains("panicked"), "{}", outcome.stderr);
    let value: Value = serde_json::from_str(&outcome.stdout)
        .unwrap_or_else(|error| panic!("{error}: {outcome:?}"));
    let text = |key: &str| value["egress"][key].as_str().unwrap_or_default().to_owned();
    Told {
        verdict: text("verdict"),
        says: text("says"),
        hint: text("hint"),
        code: outcome.code.unwrap(),
        value,
    }
}

fn asked(pki: &Pki, arguments: &[&str]) -> Told {
    let admin = Admin::new();
    let mut all = vec!["probe", "--json"];
    all.extend(arguments);
    told(&Outcome::of(&mut with_roots(&admin, pki, &all)))
}

/// A server with this greeting and what it answers to EHLO, with TLS if STARTTLS is in it.
fn greets(pki: &Pki, greeting: &str, ehlo: &str) -> u16 {
    let mut script = exchanger(pki).answers("EHLO", ehlo);
    script.greeting = greeting.to_owned();
    script.listen()
}

const PROXY: &str = "220 ypsmtpproxy01.provider.invalid ESMTP Postfix";

#[test]
fn an_open_port_is_told_in_plain_words() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let host = local(greets(
        &pki,
        "220 localhost ESMTP Exim 4.89",
        "250-localhost\n250 DSN",
    ));
    let outcome = Outcome::of(&mut with_roots(&admin, &pki, &["probe", "--egress", &host]));
    let (name, port) = host.split_once(':').unwrap();
    assert_eq!((outcome.code, outcome.stderr.as_str()), (Some(0), ""));
    assert_eq!(
        outcome.stdout,
        format!(
            "port {port} is open: localhost answered\n\n\
             HOST       PORT   ADDRESS    VERDICT  SEEN\n\
             {name}  {port}  127.0.0.1  open     220 localhost ESMTP Exim 4.89\n"
        )
    );
}

#[test]
fn a_proxy_of_the_provider_is_told_by_its_name_unless_it_proves_to_be_the_host() {
    let pki = Pki::new();
    let proxy = local(greets(&pki, PROXY, "250-ypsmtpproxy01\n250 PIPELINING"));
    let found = asked(&pki, &["--egress", &proxy]);
    assert_eq!((found.verdict.as_str(), found.code), ("intercepted", 4));
    assert_eq!(
        found.says,
        "intercepted: asked for localhost, `ypsmtpproxy01.provider.invalid` answered (it does not offer DSN)"
    );
    assert!(found.hint.contains("relayca init"), "{}", found.hint);
    // By a certificate for the name asked for, from an authority that the world trusts.
    let genuine = local(greets(&pki, PROXY, "250-other\n250 STARTTLS"));
    let found = asked(&pki, &["--egress", &genuine]);
    assert_eq!((found.verdict.as_str(), found.code), ("open", 0));
    // Which another name in it is not.
    pki.leaf("proxy", "ypsmtpproxy01.provider.invalid", 90);
    let mut script = exchanger(&pki).tls(shows(&pki, "proxy-chain.pem", "proxy.key"));
    script.greeting = PROXY.to_owned();
    let found = asked(&pki, &["--egress", &local(script.listen())]);
    assert_eq!((found.verdict.as_str(), found.code), ("intercepted", 4));
}

#[test]
fn firewalls_that_read_along_are_told_by_what_they_change() {
    let pki = Pki::new();
    for (greeting, ehlo, words) in [
        (
            "220 *****************************",
            "250 localhost",
            "its greeting is masked",
        ),
        (
            "220 localhost ESMTP",
            "250-localhost\n250-PIPELINING\n250 XXXXXXXA",
            "struck out",
        ),
        ("220 ESMTP ready", "250 ok", "does not say its name"),
        (
            "HTTP/1.1 400 Bad Request",
            "",
            "it says `HTTP/1.1 400 Bad Request`",
        ),
    ] {
        let found = asked(&pki, &["--egress", &local(greets(&pki, greeting, ehlo))]);
        assert_eq!(
            (found.verdict.as_str(), found.code),
            ("intercepted", 4),
            "{greeting}"
        );
        assert!(found.says.contains(words), "{}", found.says);
    }
}

#[test]
fn a_bad_reputation_is_no_closed_port() {
    let pki = Pki::new();
    let dynamic = "554 localhost 5.7.1 no mail from dynamic addresses";
    let found = asked(&pki, &["--egress", &local(greets(&pki, dynamic, ""))]);
    assert_eq!((found.verdict.as_str(), found.code), ("unwelcome", 3));
    assert!(
        found
            .says
            .contains("is open, and this address is not welcome at localhost: 554 "),
        "{}",
        found.says
    );
    let found = asked(
        &pki,
        &[
            "--egress",
            &local(greets(&pki, "421 localhost too busy", "")),
        ],
    );
    assert_eq!((found.verdict.as_str(), found.code), ("put-off", 3));
}

#[test]
fn what_accepts_and_does_not_greet_is_no_open_port() {
    let pki = Pki::new();
    let silent = listen(|stream| {
        let mut talk = Talk::Plain(stream);
        while talk.hear().is_some() {}
    });
    let drip = listen(|stream| {
        let mut talk = Talk::Plain(stream);
        while talk.say(b"2") {
            sleep(Duration::from_millis(20));
        }
    });
    for (port, seen) in [
        (silent, "accepts the connection and says nothing"),
        (drip, "accepts the connection and says nothing"),
        (listen(drop), "accepts the connection and hangs up"),
    ] {
        let found = asked(&pki, &["--egress", &local(port), "--timeout", "1"]);
        assert_eq!((found.verdict.as_str(), found.code), ("swallowed", 4));
        assert_eq!(found.value["egress"]["asked"][0]["seen"], seen);
    }
    let flood = listen(|stream| {
        let chunk = b"220-localhost\r\n".repeat(1000);
        let mut talk = Talk::Plain(stream);
        while talk.say(&chunk) {}
    });
    let found = asked(&pki, &["--egress", &local(flood)]);
    assert_eq!((found.verdict.as_str(), found.code), ("intercepted", 4));
}

#[test]
fn a_refusal_is_told_from_silence_and_one_host_alone_accuses_nobody() {
    let pki = Pki::new();
    let found = asked(&pki, &["--egress", &local(nobody())]);
    assert_eq!((found.verdict.as_str(), found.code), ("refused", 4));
    assert!(
        found.says.ends_with("of localhost are refused"),
        "{}",
        found.says
    );
    assert!(
        found.hint.contains("one host alone may be down"),
        "{}",
        found.hint
    );
}

#[test]
fn a_name_that_nobody_has_is_a_failure() {
    let admin = Admin::new();
    let stderr = admin.refused(
        1,
        &["probe", "--egress", "nobody.invalid", "--timeout", "10"],
    );
    assert!(
        stderr.contains("the address of nobody.invalid was not found"),
        "{stderr}"
    );
    for host in ["a b", "mail:0", "https://mail"] {
        admin.refused(2, &["probe", "--egress", host]);
    }
    admin.refused(2, &["probe", "--compare"]);
}

/// An authority whose relay, with the certificate from its bundle, is in this process.
fn relay_of(admin: &Admin, pki: &Pki) -> u16 {
    // The authority is made for a port; the server then listens on that one.
    let port = nobody();
    admin.init(&[
        "--relay",
        &format!("127.0.0.1:{port}"),
        "--permit",
        "127.0.0.1",
    ]);
    let name = "relay-127-0-0-1.example.org";
    let opened = unseal(admin, name);
    for (from, to) in [("crt", "pem"), ("key", "key")] {
        let file = opened.join(format!("{name}.{from}.pem"));
        std::fs::copy(file, pki.file(&format!("relay.{to}"))).unwrap();
    }
    let mut script = exchanger(pki).tls(shows(pki, "relay.pem", "relay.key"));
    script.greeting = format!("220 {name} ESMTP");
    script.listen_on(port);
    port
}

#[test]
fn the_relay_of_the_authority_is_asked_beside_it_and_is_the_way_out() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let relay = relay_of(&admin, &pki);
    let world = local(nobody());
    let ask = |arguments: &[&str]| {
        let all = [&["probe", "--json", "--egress", &world], arguments].concat();
        told(&Outcome::of(&mut with_roots(&admin, &pki, &all)))
    };
    let found = ask(&[]);
    let met = &found.value["egress"]["relays"][0];
    assert_eq!(
        (met["verdict"].as_str(), met["port"].as_u64()),
        (Some("open"), Some(relay.into()))
    );
    assert!(
        met["seen"]
            .as_str()
            .unwrap()
            .ends_with("; its certificate is the relay's"),
        "{met}"
    );
    assert_eq!((found.verdict.as_str(), found.code), ("refused", 4));
    let way = format!("let mail leave by the relay: 127.0.0.1:{relay} is open");
    assert!(found.hint.contains(&way), "{}", found.hint);
    // For comparison, where nobody listens here.
    let compared = ask(&["--compare"]);
    let relays = compared.value["egress"]["relays"].as_array().unwrap();
    let ports: Vec<u64> = relays
        .iter()
        .map(|one| one["port"].as_u64().unwrap())
        .collect();
    assert_eq!(ports, [u64::from(relay), 465, 587]);
    assert_eq!(relays[1]["verdict"], "refused");
}

#[test]
fn who_answers_for_the_relay_with_another_certificate_is_not_the_relay() {
    let (pki, admin) = (Pki::new(), Admin::new());
    let relay = relay_of(&admin, &pki);
    let world = local(exchanger(&pki).listen());
    for (port, why) in [
        (relay, "it does not name `localhost`"),
        (
            exchanger(&pki).listen(),
            "the CA of example.org did not issue it",
        ),
    ] {
        let all = ["probe", "--json", &local(port), "--egress", &world];
        let found = told(&Outcome::of(&mut with_roots(&admin, &pki, &all)));
        let met = &found.value["egress"]["relays"][0];
        assert_eq!(
            (met["verdict"].as_str(), found.code),
            (Some("intercepted"), 4)
        );
        assert!(
            met["seen"]
                .as_str()
                .unwrap()
                .ends_with(&format!("its certificate is not the relay's: {why}")),
            "{met}"
        );
    }
}

#[test]
fn without_an_authority_the_relay_is_known_by_its_name() {
    let pki = Pki::new();
    let world = local(exchanger(&pki).listen());
    let relay = local(exchanger(&pki).listen());
    let found = asked(&pki, &[&relay, "--egress", &world]);
    assert_eq!((found.verdict.as_str(), found.code), ("open", 0));
    assert_eq!(found.value["egress"]["relays"][0]["verdict"], "open");
    let closed = local(nobody());
    let found = asked(&pki, &[&closed, "--egress", &world]);
    assert_eq!((found.verdict.as_str(), found.code), ("open", 4));
    assert!(
        found
            .hint
            .starts_with(&format!("{closed} is not open either")),
        "{}",
        found.hint
    );
    let found = asked(&pki, &[&relay, "--egress", &closed]);
    assert_eq!((found.verdict.as_str(), found.code), ("refused", 4));
    assert!(
        found
            .hint
            .contains(&format!("let mail leave by the relay: {relay} is open")),
        "{}",
        found.hint
    );
    // With implicit TLS likewise.
    let wrapper = local(exchanger(&pki).implicit().listen());
    let found = asked(&pki, &[&wrapper, "--wrapper", "--egress", &world]);
    assert_eq!(
        found.value["egress"]["relays"][0]["verdict"], "open",
        "{:#}",
        found.value
    );
}

#[test]
fn services_are_looked_at_in_the_same_call() {
    let pki = Pki::new();
    let (world, mx) = (
        local(exchanger(&pki).listen()),
        local(exchanger(&pki).listen()),
    );
    let found = asked(&pki, &["--egress", &world, "--mx", &mx]);
    assert_eq!((found.verdict.as_str(), found.code), ("open", 0));
    assert_eq!(found.value["services"][0]["status"], "good");
    let found = asked(&pki, &["--egress", &world, "--imaps", &local(nobody())]);
    assert_eq!((found.verdict.as_str(), found.code), ("open", 4));
}

/// Runs `relayca probe --egress` in a network of its own, in which the well-known hosts have addresses of this machine, after
/// these commands. The last may be a server in the background.
fn in_a_network(commands: &str, hosts: &str) -> Outcome {
    let admin = Admin::new();
    let hosts = admin.write("hosts", hosts);
    let script = format!(
        "set -e\nip link set lo up\nmount --bind {hosts} /etc/hosts\n{commands}\n\
         {RELAYCA} probe --egress --json --timeout 1 || code=$?\nif [ -n \"$!\" ]; then kill $!; fi\nexit ${{code:-0}}\n"
    );
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    let mut command: Command = admin.program("unshare");
    command
        .env("PATH", path)
        .args(["--net", "--mount", "sh", "-c", &script]);
    Outcome::of(&mut command)
}

const HOSTS: &str =
    "127.0.0.1 gmail-smtp-in.l.google.com\n127.0.0.2 mailly.debian.org\n127.0.0.3 eggs.gnu.org\n";
const DROP: &str =
    "nft add table inet f\nnft add chain inet f i '{ type filter hook input priority 0 ; }'\n";

#[test]
fn several_hosts_are_asked_before_the_provider_is_accused() {
    let all = in_a_network(
        &format!("{DROP}nft add rule inet f i tcp dport 25 drop"),
        HOSTS,
    );
    let found = told(&all);
    assert_eq!(
        (found.verdict.as_str(), found.code),
        ("blocked", 4),
        "{all:?}"
    );
    assert_eq!(
        found.says,
        "blocked: nothing comes back from port 25 of gmail-smtp-in.l.google.com, mailly.debian.org, eggs.gnu.org"
    );
    assert!(
        all.stderr
            .contains("relayca: asking gmail-smtp-in.l.google.com on port 25"),
        "{}",
        all.stderr
    );
    // One that is down beside two that are blocked changes nothing; a name that is gone is passed over.
    let rules = format!("{DROP}nft add rule inet f i ip daddr 127.0.0.2/31 tcp dport 25 drop");
    let found = told(&in_a_network(&rules, HOSTS));
    assert_eq!((found.verdict.as_str(), found.code), ("blocked", 4));
    assert_eq!(found.value["egress"]["asked"][0]["verdict"], "refused");
    assert_eq!(
        found.says,
        "blocked: none of gmail-smtp-in.l.google.com, mailly.debian.org, eggs.gnu.org can be reached on port 25"
    );
    let rules = "true";
    let found = told(&in_a_network(rules, HOSTS.split_once('\n').unwrap().1));
    assert_eq!((found.verdict.as_str(), found.code), ("refused", 4));
    assert_eq!(found.value["egress"]["asked"][0]["verdict"], "no-name");
    assert_eq!(
        found.says,
        "blocked: connections to port 25 of mailly.debian.org, eggs.gnu.org are refused"
    );
}

#[test]
fn an_address_that_fails_before_another_answers_is_told() {
    let rules = "ip addr add 192.0.2.1/32 dev lo\nsmtp-sink -u nobody -h eggs.gnu.org 192.0.2.1:25 10 >/dev/null 2>&1 &\n\
        until grep -q ':0019 00000000:0000 0A' /proc/net/tcp; do sleep 0.05; done";
    let hosts = HOSTS.replace("127.0.0.3", "192.0.2.1");
    let found = told(&in_a_network(
        rules,
        &format!("{hosts}127.0.0.9 eggs.gnu.org\n"),
    ));
    assert_eq!((found.verdict.as_str(), found.code), ("open", 0));
    let met = found.value["egress"]["asked"][2].clone();
    assert_eq!(met["address"], "192.0.2.1");
    assert!(
        found.says.ends_with("eggs.gnu.org answered"),
        "{}",
        found.says
    );
    // The order of the two is the resolver's.
    let seen = met["seen"].as_str().unwrap();
    let plain = "220 eggs.gnu.org ESMTP";
    assert!(
        seen == plain || seen == format!("{plain}; before that 127.0.0.9: connection refused"),
        "{seen}"
    );
}

#[test]
fn ones_own_firewall_and_a_missing_route_are_told_from_the_provider() {
    let far = HOSTS.replace("127.0.0.", "198.51.100.");
    let found = told(&in_a_network("ip route add prohibit 198.51.100.0/24", &far));
    assert_eq!((found.verdict.as_str(), found.code), ("forbidden", 4));
    assert!(
        found.says.contains("this machine lets no connection"),
        "{}",
        found.says
    );
    for commands in ["ip route add unreachable 198.51.100.0/24", "true"] {
        let found = told(&in_a_network(commands, &far));
        assert_eq!((found.verdict.as_str(), found.code), ("no-route", 4));
        assert!(
            found.says.starts_with("no way out: there is no route to"),
            "{}",
            found.says
        );
    }
}

#[test]
fn a_public_host_at_an_inner_address_is_somebody_else() {
    let serve = "smtp-sink -u nobody -h mx.google.com 127.0.0.1:25 10 >/dev/null 2>&1 &\n\
        until grep -q ':0019 00000000:0000 0A' /proc/net/tcp; do sleep 0.05; done";
    let outcome = in_a_network(serve, HOSTS);
    let found = told(&outcome);
    assert_eq!((found.verdict.as_str(), found.code), ("intercepted", 4));
    assert!(
        found
            .says
            .contains("the name leads to 127.0.0.1, which is no public address"),
        "{}",
        found.says
    );
}
