//! Exim 4 as the relay: a second daemon on the relay's port, with a configuration of its own.
//!
//! Enters: a description of the service. Leaves: [`Text`]. Refuses to know the Exim that is there: what relays is handed over to
//! it as mail of this host (`exim -bS`), and nothing of its configuration is touched.
//!
//! One Exim with `${if ={$received_port}{...}}` in every option would hang on what else is set there, now and later; a file in
//! which nothing is inherited does not. Exim has no digest of a public key (`certextract` gives none), so the list is of
//! certificates: `${sha256:$tls_in_peercert}`, upper-case hex without colons.

use relayca_postfix::{
    Refusal, SUBDIRECTORY, authority_file, certificate_file, key_file, validate,
};

use crate::{EXIM_LIST, MtaError, Piece, Receiver, Text, exim, script};

/// The daemon's spool: its queue is empty but for what could not be handed over.
const SPOOL: &str = "/var/spool/relayca-exim";
/// The name of its unit, and of its lines in the log.
pub(crate) const UNIT: &str = "relayca-exim";

fn configuration(relay: &Receiver) -> String {
    let file = |name: &str| format!("{}/{SUBDIRECTORY}/{name}", relay.directory);
    let port = relay.port;
    let wrapper = if relay.wrapper {
        format!("# TLS from the first byte.\ntls_on_connect_ports = {port}\n")
    } else {
        String::new()
    };
    let (verb, code) = match relay.refusal {
        Refusal::Defer => ("defer", "450 4.7.1"),
        Refusal::Reject => ("deny", "554 5.7.1"),
    };
    format!(
        "\
primary_hostname = {name}
daemon_smtp_ports = {port}
{wrapper}\
daemon_startup_retries = 0
spool_directory = {SPOOL}
pid_file_path = {SPOOL}/pid
log_file_path = syslog
syslog_processname = {UNIT}
keep_environment =
deliver_drop_privilege = true

# TLS 1.2 or later, with our certificate. A client is asked for one; whether it is good is looked at below, so that it hears a reason.
tls_advertise_hosts = *
tls_certificate = {certificate}
tls_privatekey = {key}
tls_verify_certificates = {trust}
tls_try_verify_hosts = *
{versions}\
# What the other Exim could not be told is not offered.
.ifdef _OPT_MAIN_SMTPUTF8_ADVERTISE_HOSTS
smtputf8_advertise_hosts =
.endif

# Each message is handed over at once; how large it may be, the other Exim says.
smtp_accept_max = 100
smtp_accept_queue_per_connection = 0
message_size_limit = 0

# VRFY, EXPN and ETRN have no ACL: Exim neither offers nor grants them. There is no authenticator, and so no AUTH.
acl_smtp_mail = relayca_mail
acl_smtp_rcpt = relayca_rcpt

begin acl

relayca_mail:
  defer
    ! encrypted = *
    message = 450 4.7.0 STARTTLS comes first
  accept

# Both: a chain to our CA that is valid now, and the certificate in the list. The list says who that is, and with which senders.
relayca_rcpt:
  warn
    set acl_m_relayca = ${{if def:tls_in_peercert{{${{lookup{{${{sha256:$tls_in_peercert}}}}lsearch{{{list}}}}}}}}}
  accept
    encrypted = *
    verify = certificate
    condition = ${{if def:acl_m_relayca}}
    senders = : ${{extract{{senders}}{{$acl_m_relayca}}}}
    logwrite = ${{extract{{host}}{{$acl_m_relayca}}}} may relay from <$sender_address>
  {verb}
    message = {code} Certificate not verified, not listed, or wrong sender
    log_message = verified=$tls_in_certificate_verified certificate=${{if def:tls_in_peercert{{${{sha256:$tls_in_peercert}}}}{{none}}}} listed=${{extract{{host}}{{$acl_m_relayca}}{{$value}}{{no}}}}

begin routers

hand_over:
  driver = accept
  transport = hand_over

begin transports

# The Exim of this host takes it from its own user, as it takes mail of its own programs. If it does not, the mail waits here.
hand_over:
  driver = pipe
  command = $exim_path -oMr relayca -bS
  use_bsmtp
  batch_max = 100
  message_prefix =
  message_suffix =
  temp_errors = *
  log_output
  timeout = 5m

begin retry

* * F,5d,5m
",
        name = relay.relay,
        certificate = file(&certificate_file(&relay.relay)),
        key = file(&key_file(&relay.relay)),
        trust = file(&authority_file(&relay.domain)),
        list = file(EXIM_LIST),
        versions = exim::tls_versions(true),
    )
}

fn unit(relay: &Receiver) -> String {
    format!(
        "\
[Unit]
Description=Exim on port {port} for the mail hosts of {domain}
Documentation=https://www.exim.org/docs.html
After=network-online.target exim4.service exim.service
Wants=network-online.target

[Service]
ExecStart=@EXIM@ -C {directory}/{SUBDIRECTORY}/relay.conf -bdf -q15m
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=10

[Install]
WantedBy=multi-user.target
",
        port = relay.port,
        domain = relay.domain,
        directory = relay.directory,
    )
}

/// Has the relay's daemon begin, or begin again. `$exim` is set. The port is that of its configuration.
pub(crate) const BEGIN: &str = "
port=$(sed -n 's/^daemon_smtp_ports = //p' \"$files/relay.conf\" 2> /dev/null) || port=
port_is_free() {
  if command -v ss > /dev/null && [ -n \"$(ss -Hltn \"sport = :$port\")\" ]; then stop \"something else listens on port $port\"; fi
}
begin() {
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    systemctl --quiet enable relayca-exim
    systemctl stop relayca-exim
    port_is_free
    systemctl start relayca-exim
    sleep 1
    systemctl --quiet is-active relayca-exim || stop 'relayca-exim ended; see journalctl -u relayca-exim'
    return
  fi
  pid=$(cat /var/spool/relayca-exim/pid 2> /dev/null) || pid=
  if [ -n \"$pid\" ] && kill \"$pid\" 2> /dev/null; then
    tries=0
    while kill -0 \"$pid\" 2> /dev/null && [ \"$tries\" -lt 50 ]; do tries=$((tries + 1)); sleep 0.1; done
  fi
  port_is_free
  \"$exim\" -C \"$files/relay.conf\" -bd -q15m || stop 'the daemon did not start'
  say \"there is no systemd here: have $exim -C $files/relay.conf -bd -q15m started with the system\"
}
";

/// The snippet for a relay.
pub(crate) fn receiver(relay: &Receiver) -> Result<Text, MtaError> {
    let domain = validate::domain(&relay.domain)?;
    let name = validate::host(&relay.relay)?;
    let directory = validate::directory(&relay.directory)?;
    let port = validate::port(relay.port)?;
    let owner = format!("{domain} relay");
    let configuration = script::block(&owner, &configuration(relay));
    let unit = unit(relay);
    let mut text = script::head(
        &format!("mail hosts of {domain} relay through {name}, port {port} (Exim)"),
        directory,
    );
    text.push_str(exim::FIND);
    text.push_str(&script::files_lie_there(
        &[
            key_file(name),
            certificate_file(name),
            authority_file(domain),
            EXIM_LIST.to_owned(),
        ],
        name,
    ));
    text.push_str(script::KEEP);
    text.push_str(&format!(
        "
if [ -f \"$files/relay.conf\" ] && ! grep -q '^# BEGIN relayca {owner}$' \"$files/relay.conf\"; then stop \"$files/relay.conf is not of {owner}; nothing was changed\"; fi
"
    ));
    text.push_str(&exim::give_key(&key_file(name)));
    text.push_str(&format!(
        "
# Its spool, owned by the user that Exim runs as.
user=$(\"$exim\" -n -bP exim_user)
mkdir -p {SPOOL}
chown \"$user:$group\" {SPOOL}
chmod 750 {SPOOL}

"
    ));
    text.push_str(&script::here(&configuration, "\"$work/new\""));
    text.push_str(
        "\
\"$exim\" -C \"$work/new\" -bV > /dev/null || stop 'Exim does not accept it; nothing was changed'
place \"$files/relay.conf\"
if [ -d /run/systemd/system ]; then
",
    );
    text.push_str(&script::here(&unit, "\"$work/unit\""));
    text.push_str(&format!(
        "\
  sed \"s|@EXIM@|$exim|\" \"$work/unit\" > \"$work/new\"
  place /etc/systemd/system/{UNIT}.service
fi
{BEGIN}undo() {{ ( begin ) || :; }}
begin
"
    ));
    text.push_str(script::DONE);
    Ok(Text {
        pieces: vec![
            Piece {
                name: "relay.conf",
                text: configuration,
            },
            Piece {
                name: "relayca-exim.service",
                text: unit.replace("@EXIM@", "/usr/sbin/exim4"),
            },
        ],
        script: text,
        warnings: vec![
            "Exim knows no digest of a public key: it lists certificates, whatever `pin` says, so each renewal changes the list; paste it on the relay before the host uses the new certificate".to_owned(),
            format!("a daemon of its own listens on port {port} ({UNIT}); what relays is handed over to the Exim of this host, which sends it on"),
        ],
    })
}
