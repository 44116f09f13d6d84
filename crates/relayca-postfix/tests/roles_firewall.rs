//! The firewalls of Linux take what is printed: in a network of its own, with a copy of /etc, between two hosts. What must
//! be open is open from the other host, what must be closed is closed, and SSH is open whatever happens.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::fs;
use std::process::Command;

use relayca_postfix::roles::{Firewall, PortRole, RelayPort, firewall_script, port_rules};

/// Makes a host ($1 is its /etc) and another one that tries its ports, pastes $2 twice, and runs $3 after it. The session
/// came in on port 2222.
const HOSTS: &str = r#"
set -e
mount --bind "$1" /etc
mount -t tmpfs tmpfs /run
ip link set lo up
unshare --net sleep 100 > /dev/null 2>&1 & other=$!
while [ "$(readlink /proc/$other/ns/net)" = "$(readlink /proc/self/ns/net)" ]; do sleep 0.02; done
ip link add in type veth peer name out netns $other
ip addr add 10.77.0.1/24 dev in
ip link set in up
nsenter -t $other -n sh -c 'ip link set lo up; ip addr add 10.77.0.2/24 dev out; ip link set out up'
perl -MIO::Socket::INET -e '@open = map { IO::Socket::INET->new(Listen => 9, LocalPort => $_) or die $_ } @ARGV; print "listening\n"; close STDOUT; sleep 100' 22 25 587 80 2222 8080 > /run/listening 2> /dev/null & listeners=$!
trap 'kill $other $listeners' 0
until [ -s /run/listening ]; do sleep 0.02; done
SSH_CONNECTION='10.77.0.2 50000 10.77.0.1 2222'; export SSH_CONNECTION
eval "$4"
sh "$2"
sh "$2"
eval "$3"
for port in 22 25 587 80 2222 8080; do
  if nsenter -t $other -n timeout 3 bash -c "exec 3<>/dev/tcp/10.77.0.1/$port" 2> /dev/null; then echo "open $port"; else echo "closed $port"; fi
done
"#;

struct Tried {
    good: bool,
    stdout: String,
    stderr: String,
    etc: tempfile::TempDir,
}

impl Tried {
    fn open(&self) -> Vec<&str> {
        self.stdout
            .lines()
            .filter_map(|line| line.strip_prefix("open "))
            .collect()
    }
}

fn script(firewall: Firewall, also: &[u16]) -> String {
    let roles = [PortRole::Mx, PortRole::Submission, PortRole::Relay];
    let relays = [RelayPort {
        host: "relayhost.example.org".to_owned(),
        port: 2500,
    }];
    firewall_script(&port_rules(&roles, &relays, 22), also, firewall)
}

fn tried(script: &str, before: &str, after: &str) -> Tried {
    let directory = tempfile::tempdir().unwrap();
    let etc = directory.path().join("etc");
    let copied = Command::new("cp")
        .arg("-a")
        .arg("/etc")
        .arg(&etc)
        .status()
        .unwrap();
    assert!(copied.success());
    let file = directory.path().join("script");
    fs::write(&file, script).unwrap();
    let output = Command::new("unshare")
        .args(["--net", "--mount", "sh", "-c", HOSTS, "sh"])
        .args([&etc, &file])
        .args([after, before])
        .env(
            "PATH",
            format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()),
        )
        .output()
        .unwrap();
    Tried {
        good: output.status.success(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        etc: directory,
    }
}

const OPEN: [&str; 4] = ["22", "25", "587", "2222"];

#[test]
fn nftables_opens_the_ports_of_the_roles_and_ssh_and_closes_the_others() {
    let tried = tried(
        &script(Firewall::Nftables, &[]),
        "",
        "nft list table inet relayca > /dev/null; nft -c -f /etc/nftables.conf",
    );
    assert!(tried.good, "{}\n{}", tried.stdout, tried.stderr);
    assert_eq!(tried.open(), OPEN, "{}", tried.stderr);
    let warned = |port: u16| {
        tried
            .stderr
            .contains(&format!("listens on port {port}, which"))
    };
    assert!(
        warned(80) && warned(8080) && !warned(25) && !warned(22),
        "{}",
        tried.stderr
    );
    let read = |name: &str| fs::read_to_string(tried.etc.path().join("etc").join(name)).unwrap();
    assert!(read("nftables.d/relayca.nft").contains("tcp dport 2500 accept"));
    let including = read("nftables.conf");
    assert_eq!(including.matches("relayca.nft").count(), 1, "{including}");

    // What the rules keep over a start of the host is what they are now.
    let restarted = "nft flush ruleset; nft -f /etc/nftables.conf";
    let tried = self::tried(&script(Firewall::Nftables, &[]), "", restarted);
    assert_eq!(tried.open(), OPEN, "{}", tried.stderr);
}

#[test]
fn a_port_that_is_asked_for_stays_open_too() {
    let tried = tried(&script(Firewall::Nftables, &[8080]), "", "");
    assert!(tried.good, "{}", tried.stderr);
    assert_eq!(tried.open(), ["22", "25", "587", "2222", "8080"]);
}

#[test]
fn beside_a_ruleset_that_drops_nothing_is_changed_and_the_command_is_named() {
    let theirs = "nft add table inet filter; nft add chain inet filter input '{ type filter hook input priority 0; policy drop; }'; nft insert rule inet filter input tcp dport '{ 22, 2222 }' accept";
    let tried = tried(&script(Firewall::Nftables, &[]), theirs, "");
    assert!(!tried.good);
    let command = "nft insert rule inet filter input tcp dport '{ 22,2222,25,587,2500 }' accept";
    assert!(tried.stderr.contains(command), "{}", tried.stderr);
    assert!(!tried.etc.path().join("etc/nftables.d").exists());
    // And the command does it.
    let with = self::tried("true\n", theirs, command);
    assert_eq!(with.open(), OPEN, "{}", with.stderr);
}

#[test]
fn ufw_takes_every_rule_and_closes_nobody_out_when_it_is_enabled() {
    let tried = tried(
        &script(Firewall::Ufw, &[]),
        "",
        "ufw --force enable; ufw status",
    );
    assert!(tried.good, "{}\n{}", tried.stdout, tried.stderr);
    assert_eq!(tried.open(), OPEN, "{}", tried.stdout);
    for line in [
        "2222/tcp                   ALLOW       Anywhere",
        "2500/tcp                   ALLOW       Anywhere",
        "25/tcp                     ALLOW OUT   Anywhere",
        "53/udp                     ALLOW OUT   Anywhere",
    ] {
        assert!(tried.stdout.contains(line), "{line}: {}", tried.stdout);
    }
    assert!(
        tried.stdout.contains("Skipping adding existing rule"),
        "pasted twice"
    );
    assert!(
        tried.stderr.contains("ufw is not active"),
        "{}",
        tried.stderr
    );
}

#[test]
fn iptables_lets_in_what_a_closed_chain_would_drop() {
    let closed = "for tables in iptables ip6tables; do $tables -P INPUT DROP; $tables -P OUTPUT DROP; $tables -A INPUT -j DROP; done; iptables -I OUTPUT -m state --state ESTABLISHED -j ACCEPT";
    let tried = tried(
        &script(Firewall::Iptables, &[]),
        closed,
        "iptables -S; ip6tables -S",
    );
    assert!(tried.good, "{}\n{}", tried.stdout, tried.stderr);
    assert_eq!(tried.open(), OPEN, "{}", tried.stdout);
    // Once in each protocol, although it was pasted twice.
    let rules = |words: &str| {
        tried
            .stdout
            .lines()
            .filter(|line| line.contains(words))
            .count()
    };
    assert_eq!(rules("--dport 2500 "), 2, "{}", tried.stdout);
    assert_eq!(
        rules("-A OUTPUT -p udp -m udp --dport 53 "),
        2,
        "{}",
        tried.stdout
    );
}

#[test]
fn without_the_firewall_nothing_is_done() {
    let script =
        script(Firewall::Firewalld, &[]).replace("firewall-cmd", "firewall-cmd-that-is-not-here");
    let tried = tried(&script, "", "");
    assert!(
        !tried.good
            && tried
                .stderr
                .contains("is not installed here; nothing was changed"),
        "{}",
        tried.stderr
    );
}

/// Whoever became root by another way than SSH has no SSH_CONNECTION.
#[test]
fn ssh_is_found_by_its_daemon_too() {
    let daemon = "unset SSH_CONNECTION; cp /usr/bin/perl /run/sshd; /run/sshd -MIO::Socket::INET -e '$open = IO::Socket::INET->new(Listen => 9, LocalPort => 2200) or die; print \"listening\\n\"; close STDOUT; sleep 100' > /run/daemon 2> /dev/null & listeners=\"$listeners $!\"; until [ -s /run/daemon ]; do sleep 0.02; done";
    let tried = tried(
        &script(Firewall::Nftables, &[]),
        daemon,
        "nft list table inet relayca",
    );
    assert!(tried.good, "{}\n{}", tried.stdout, tried.stderr);
    assert!(
        tried.stderr.contains("SSH stays open on port 22 2200\n")
            && tried.stdout.contains("tcp dport { 22, 2200 } accept"),
        "{}\n{}",
        tried.stdout,
        tried.stderr
    );
}
