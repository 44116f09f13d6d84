//! The ports of a role, as commands for the firewall of a Linux host.
//!
//! Enters: [`PortRule`]s. Leaves: a `sh` script for a root shell. Refuses to know what else the host serves.
//!
//! ufw, firewalld and iptables hold a list already: ports are added to it, and nothing is closed or switched on. nftables has
//! no list of its own, so there a table is made that closes what is not in it; it judges TCP alone, so that a VPN through
//! which somebody administers the host, DHCP and ICMP go on. SSH comes first everywhere: the ports of sshd, of the sessions
//! that are open, and of this one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use super::{PortRole, PortRule, Protocols, RoleError, Way};
use crate::script;
use crate::validate;

/// A firewall that can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firewall {
    /// `ufw` (Debian, Ubuntu).
    Ufw,
    /// `nft`, without anything in front of it.
    Nftables,
    /// `iptables` and `ip6tables`.
    Iptables,
    /// `firewall-cmd` (Fedora, RHEL, openSUSE).
    Firewalld,
}

impl Firewall {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ufw, Self::Nftables, Self::Iptables, Self::Firewalld];
}

impl fmt::Display for Firewall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ufw => "ufw",
            Self::Nftables => "nftables",
            Self::Iptables => "iptables",
            Self::Firewalld => "firewalld",
        })
    }
}

impl FromStr for Firewall {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL
            .into_iter()
            .find(|firewall| firewall.to_string() == text)
            .ok_or_else(|| RoleError::Firewall(validate::shown(text)))
    }
}

/// A port by which connections begin, with all that it is for.
type Opened = BTreeMap<(Way, u16, Protocols), BTreeSet<PortRole>>;

/// The script that opens these ports, and `also` (TCP, inwards), on a host with this firewall.
#[must_use]
pub fn firewall_script(rules: &[PortRule], also: &[u16], firewall: Firewall) -> String {
    let mut opened = Opened::new();
    let mut ssh = BTreeSet::new();
    for rule in rules {
        if rule.role == PortRole::Ssh {
            ssh.insert(rule.port);
        } else {
            opened
                .entry((rule.way, rule.port, rule.protocols))
                .or_default()
                .insert(rule.role);
        }
    }
    for port in also {
        opened.entry((Way::In, *port, Protocols::Tcp)).or_default();
    }
    let roles: BTreeSet<PortRole> = opened.values().flatten().copied().collect();
    let program = match firewall {
        Firewall::Ufw => "ufw",
        Firewall::Nftables => "nft",
        Firewall::Iptables => "iptables",
        Firewall::Firewalld => "firewall-cmd",
    };
    let mut text = head(firewall, program, &names(&roles));
    text.push_str(&ssh_ports(&ssh));
    text.push_str(&match firewall {
        Firewall::Ufw => ufw(&opened),
        Firewall::Nftables => nftables(&opened),
        Firewall::Iptables => iptables(&opened),
        Firewall::Firewalld => firewalld(&opened),
    });
    text.push_str("say 'done'\n)\n");
    text
}

fn names(roles: &BTreeSet<PortRole>) -> String {
    let names: Vec<String> = roles.iter().map(ToString::to_string).collect();
    if names.is_empty() {
        // A port that was asked for by its number.
        "further".to_owned()
    } else {
        names.join(", ")
    }
}

fn head(firewall: Firewall, program: &str, roles: &str) -> String {
    format!(
        "\
# relayca: the ports of {roles}, for {firewall}.
# Paste all of it into sh (or bash, dash, ash, ksh), as root. It runs when the last line is in; a second time does no harm.
(
set -eu
umask 022
PATH=$PATH:/usr/sbin:/sbin:/usr/local/sbin; export PATH
LC_ALL=C; export LC_ALL
say() {{ echo \"relayca: $*\" >&2; }}
stop() {{ say \"$*\"; exit 1; }}

# What must be so before anything is touched.
[ \"$(id -u)\" = 0 ] || stop 'this must run as root; nothing was changed'
command -v {program} > /dev/null || stop '{firewall} is not installed here; nothing was changed'
# A csh runs a paste line by line: a variable that it does not know keeps it from changing anything.
firewall={program}
"
    )
}

/// `$ssh`: every port by which somebody may be in, or come in, by SSH.
fn ssh_ports(ports: &BTreeSet<u16>) -> String {
    let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
    format!(
        "
# SSH first: where this session came in, what sshd is told, and where it and its sessions are.
ssh=$(
  {{
    for port in {}; do echo \"$port\"; done
    session=${{SSH_CONNECTION:-}}
    echo \"${{session##* }}\"
    sshd -T 2> /dev/null | awk '$1 == \"port\" {{ print $2 }}'
    {{ ss -Htlnp; ss -Htnp; }} 2> /dev/null | awk '/\"(sshd|sshd-session|dropbear)\"/ {{ sub(/.*:/, \"\", $4); print $4 }}'
  }} | grep -x '[0-9][0-9]*' | sort -un
)
say \"SSH stays open on port $(echo $ssh)\"
",
        ports.join(" ")
    )
}

fn ufw(opened: &Opened) -> String {
    let mut text = "
for port in $ssh; do \"$firewall\" allow \"$port/tcp\" comment 'relayca: ssh'; done
"
    .to_owned();
    for ((way, port, protocols), roles) in opened {
        let way = match way {
            Way::In => "",
            Way::Out => "out ",
        };
        for protocol in protocols.names() {
            let _ = writeln!(
                text,
                "\"$firewall\" allow {way}{port}/{protocol} comment 'relayca: {}'",
                names(roles)
            );
        }
    }
    text.push_str(
        "
case $(\"$firewall\" status) in
(*inactive*) say 'ufw is not active: ufw enable makes these rules count, and closes every port that is not listed' ;;
esac
",
    );
    text
}

fn firewalld(opened: &Opened) -> String {
    let mut text = "\
\"$firewall\" --state > /dev/null 2>&1 || stop 'firewalld does not run; nothing was changed'

# At once and for good, in the zone that is the default.
add() { \"$firewall\" --add-port=\"$1\"; \"$firewall\" --permanent --add-port=\"$1\"; }
for port in $ssh; do add \"$port/tcp\"; done
"
    .to_owned();
    for ((way, port, protocols), roles) in opened {
        for protocol in protocols.names() {
            let _ = match way {
                Way::In => writeln!(text, "# {}\nadd {port}/{protocol}", names(roles)),
                Way::Out => writeln!(
                    text,
                    "# {}: {port}/{protocol} goes out; firewalld holds nothing back that this host begins",
                    names(roles)
                ),
            };
        }
    }
    text
}

fn iptables(opened: &Opened) -> String {
    let mut text = "
# Before all other rules, in both protocols, and once.
accept_first() {
  for tables in iptables ip6tables; do
    command -v \"$tables\" > /dev/null || continue
    \"$tables\" -C \"$@\" 2> /dev/null || \"$tables\" -I \"$@\"
  done
}
for port in $ssh; do accept_first INPUT -p tcp --dport \"$port\" -m comment --comment 'relayca: ssh' -j ACCEPT; done
"
    .to_owned();
    for ((way, port, protocols), roles) in opened {
        let chain = match way {
            Way::In => "INPUT",
            Way::Out => "OUTPUT",
        };
        for protocol in protocols.names() {
            let _ = writeln!(
                text,
                "accept_first {chain} -p {protocol} --dport {port} -m comment --comment 'relayca: {}' -j ACCEPT",
                names(roles)
            );
        }
    }
    text.push_str(
        "
if command -v netfilter-persistent > /dev/null; then netfilter-persistent save; else
  say 'these rules last until the next start of this host: keep them with iptables-save, or the way of this system'
fi
",
    );
    text
}

fn nftables(opened: &Opened) -> String {
    let mut ports = Vec::new();
    let mut lines = String::new();
    let mut outwards = String::new();
    for ((way, port, protocols), roles) in opened {
        match way {
            Way::In => {
                ports.push(port.to_string());
                for protocol in protocols.names() {
                    let _ = writeln!(
                        lines,
                        "    {protocol} dport {port} accept comment \"{}\"",
                        names(roles)
                    );
                }
            }
            Way::Out => {
                let _ = writeln!(
                    outwards,
                    "  # out: {port}/{} ({})",
                    protocols.names().join(" and "),
                    names(roles)
                );
            }
        }
    }
    let list = if ports.is_empty() {
        "$ssh".to_owned()
    } else {
        format!("$ssh {}", ports.join(" "))
    };
    let rules = format!(
        "\
# The first two lines make the table, should there be none, and take its earlier self away.
table inet relayca
delete table inet relayca
table inet relayca {{
  # Nothing that this host begins is held back:
{outwards}  chain input {{
    type filter hook input priority filter; policy accept;
    iif \"lo\" accept
    ct state established,related accept
    # TCP alone is judged: a VPN, DHCP, ICMP and answers of DNS go on as they did.
    meta l4proto != tcp accept
    tcp dport $relayca_ssh accept comment \"ssh\"
{lines}    reject with tcp reset
  }}
}}
"
    );
    format!(
        "\
ports=\"$(echo {list})\"
theirs=$(nft list ruleset | awk '/^table / {{ table = $2 \" \" $3 }} /^[ \\t]*chain / {{ chain = $2 }} /hook input/ && /policy drop/ && table != \"inet relayca\" {{ print table, chain }}')
[ -z \"$theirs\" ] || stop \"the chain $theirs drops what it does not list, and a table beside it could not open a port. Add to it: nft insert rule $(echo $theirs) tcp dport '{{ $(echo $ports | tr ' ' ',') }}' accept; nothing was changed\"

# What listens here and is closed by this.
ss -Htln 2> /dev/null | awk '$4 !~ /^(127\\.|\\[::1\\])/ {{ sub(/.*:/, \"\", $4); print $4 }}' | sort -un | while read -r port; do
  case \" $ports \" in
  (*\" $port \"*) ;;
  (*) say \"warning: something listens on port $port, which others do not reach any more; --also $port would leave it open\" ;;
  esac
done

work=$(mktemp -d /etc/relayca-work.XXXXXX)
trap 'rm -rf \"$work\"' 0
trap 'exit 1' 1 2 15
echo \"define relayca_ssh = {{ $(echo $ssh | tr ' ' ',') }}\" > \"$work/rules\"
{}\
chmod 644 \"$work/rules\"
nft -c -f \"$work/rules\" || stop 'nft finds fault with the rules; nothing was changed'
nft -f \"$work/rules\" || stop 'nft did not take the rules; nothing was changed'

# For the next start of this host.
mkdir -p /etc/nftables.d
mv \"$work/rules\" /etc/nftables.d/relayca.nft
kept=no
for conf in /etc/nftables.conf /etc/sysconfig/nftables.conf /etc/nftables.nft; do
  [ -f \"$conf\" ] || continue
  kept=yes
  grep -q '^include \"/etc/nftables.d/\\(relayca\\|\\*\\)\\.nft\"' \"$conf\" || printf '\\ninclude \"/etc/nftables.d/relayca.nft\"\\n' >> \"$conf\"
done
if [ $kept = yes ]; then say 'kept in /etc/nftables.d/relayca.nft; the service nftables loads it: systemctl enable nftables'; else
  say 'kept in /etc/nftables.d/relayca.nft: let this system load it when it starts'
fi
",
        script::here(&rules, "\"$work/rules\"").replacen("cat >", "cat >>", 1)
    )
}
