//! What Postfix is told as a public MX, and as the server that users submit mail to.
//!
//! Enters: [`RoleHost`]. Leaves: [`RoleSnippet`]. Refuses to know Dovecot beyond the socket that it listens on.
//!
//! A Postfix has each role once, so the blocks are named after the role: another certificate replaces the block. What a
//! service needs stands below it in master.cf, so that submission works with or without the MX on the same Postfix;
//! only that AUTH is off everywhere else stands in main.cf, in a block of its own that all roles share.

use std::fmt::Write as _;

use super::hook;
use super::paste;
use super::{Role, RoleHost, RoleSnippet, ServerCertificate};
use crate::RelayStyle;
use crate::script;
use crate::setting::{self, Group, fixed, group};

/// TLS where it is a must: the form that every Postfix reads (`>=TLSv1.2` came with 3.6).
const FLOOR: &str = "!SSLv2,!SSLv3,!TLSv1,!TLSv1.1";
/// TLS where the other choice is none: TLS 1.0 keeps more readers out than plain text. OpenSSL 3 refuses it by itself at
/// its usual security level, so this matters to old systems alone.
const OPPORTUNISTIC_FLOOR: &str = "!SSLv2,!SSLv3";

const SASL_OWNER: &str = "role sasl";
const CLIENT_OWNER: &str = "role mx-out";

pub(super) fn snippet(host: &RoleHost) -> RoleSnippet {
    let title = format!(
        "{} of {}",
        match host.role {
            Role::Mx => "TLS for mail from and to everybody (mx)".to_owned(),
            role => format!("mail from users by password ({role})"),
        },
        host.host.as_deref().unwrap_or(host.certificate.name())
    );
    let hook = hook::postfix(&host.certificate, &host.config_directory);
    let port = port(host);
    let mut text = paste::start(&title, &host.config_directory);
    text.push_str(&host.certificate.look(host.host.as_deref()));
    if let Some(port) = port {
        text.push_str(&sasl_is_there());
        text.push_str(&port_is_free(port, host.role));
    }
    text.push_str(&auth_elsewhere(port));
    if host.role == Role::Mx {
        text.push_str(&overrides());
        text.push_str(CLIENT_STAYS);
    }
    text.push_str(&paste::keep(hook.as_ref()));

    let sasl = [fixed(
        "AUTH is for the submission services of master.cf, and for no other port.",
        [("smtpd_sasl_auth_enable", "no")],
    )];
    let mut main_cf = setting::block(SASL_OWNER, &setting::main_cf(&sasl));
    let mut master_cf = None;
    let block_style = host.style == RelayStyle::Block;
    if block_style {
        text.push_str(&paste::edit_function());
        text.push_str(&script::edit("main.cf", &setting::names(&sasl), &main_cf));
    } else {
        text.push_str(script::changing());
        text.push_str(&setting::postconf_main(&sasl));
    }
    if let Some(port) = port {
        let groups = submission_groups(host);
        let columns = "inet  n       -       n       -       -       smtpd";
        let piece = setting::block(
            &format!("role {}", host.role),
            &setting::service(&format!("{port:<9} {columns}"), &groups),
        );
        if block_style {
            text.push_str(&script::edit("master.cf", &words(port, host.role), &piece));
        } else {
            text.push_str(&comment_out(host.role));
            text.push_str(&setting::postconf_service(
                &format!("{port}/inet"),
                &format!("{port} inet n - n - - smtpd"),
                &groups,
            ));
        }
        master_cf = Some(piece);
    } else {
        let (server, client) = (server_groups(&host.certificate), client_groups());
        let server_piece = setting::block("role mx", &setting::main_cf(&server));
        let client_piece = setting::block(CLIENT_OWNER, &setting::main_cf(&client));
        if block_style {
            text.push_str(&script::edit(
                "main.cf",
                &setting::names(&server),
                &server_piece,
            ));
            text.push_str(&client_edit(&setting::names(&client), &client_piece));
        } else {
            text.push_str(&setting::postconf_main(&server));
            text.push_str(&client_commands(&client));
        }
        main_cf.push_str(&server_piece);
        main_cf.push_str(&client_piece);
    }
    if let Some(hook) = &hook {
        text.push_str(&hook::install(hook));
    }
    text.push_str(&paste::finish(port));

    RoleSnippet {
        main_cf: block_style.then_some(main_cf),
        master_cf: master_cf.filter(|_| block_style),
        dovecot: Vec::new(),
        hook,
        script: text,
        warnings: host.certificate.warnings(host.role),
    }
}

/// The port of a submission service; none for the MX, whose service is there already.
fn port(host: &RoleHost) -> Option<u16> {
    let usual = match host.role {
        Role::Submission => 587,
        Role::Submissions => 465,
        Role::Mx | Role::Dovecot => return None,
    };
    Some(host.port.unwrap_or(usual))
}

/// The names that /etc/services has, or had, for the port of a role.
fn names(role: Role) -> &'static [&'static str] {
    match role {
        Role::Submission => &["submission"],
        Role::Submissions => &["submissions", "smtps", "urd", "ssmtp"],
        Role::Mx | Role::Dovecot => &[],
    }
}

/// The services of master.cf that ours takes the place of.
fn words(port: u16, role: Role) -> String {
    let mut words = format!("{port}/inet");
    for name in names(role) {
        let _ = write!(words, " {name}/inet");
    }
    words
}

fn server_groups(certificate: &ServerCertificate) -> Vec<Group> {
    let mut groups = vec![fixed(
        "TLS for every server that asks for it. The others send in the clear, or they could not send at all (RFC 3207).",
        [
            ("smtpd_tls_security_level", "may"),
            ("smtpd_tls_wrappermode", "no"),
        ],
    )];
    groups.extend(certificate_groups(certificate));
    groups.extend([
        fixed(
            "Where the other choice is plain text, an old version of TLS is better than none; SSL is not.",
            [("smtpd_tls_protocols", OPPORTUNISTIC_FLOOR)],
        ),
        fixed(
            "Where TLS is a must: 1.2 or later, as every Postfix can read it.",
            [("smtpd_tls_mandatory_protocols", FLOOR)],
        ),
        fixed(
            "Sessions are resumed by tickets, which the client keeps: no cache on the disk.",
            [("smtpd_tls_session_cache_database", "")],
        ),
        fixed(
            "A password is never taken in the clear, whichever service may ask for one.",
            [("smtpd_tls_auth_only", "yes")],
        ),
        fixed(
            "The Received header says how the mail came in.",
            [("smtpd_tls_received_header", "yes")],
        ),
        fixed(
            "One line a session in the log; 2 is for looking closer.",
            [("smtpd_tls_loglevel", "1")],
        ),
    ]);
    groups
}

/// The certificate in the two parameters that every version reads, and nothing in those that would come before them.
fn certificate_groups(certificate: &ServerCertificate) -> [Group; 2] {
    [
        group(
            "The certificate with its chain, and its key: absolute paths, read by root before Postfix locks itself in.",
            [
                ("smtpd_tls_cert_file", certificate.certificate()),
                ("smtpd_tls_key_file", certificate.key()),
            ],
        ),
        fixed(
            "Inherited ones of these kinds would be shown instead of it.",
            [
                ("smtpd_tls_chain_files", ""),
                ("smtpd_tls_eccert_file", ""),
                ("smtpd_tls_eckey_file", ""),
                ("smtpd_tls_dcert_file", ""),
                ("smtpd_tls_dkey_file", ""),
            ],
        ),
    ]
}

fn client_groups() -> Vec<Group> {
    vec![
        fixed(
            "TLS wherever the other server offers it. With a resolver that checks DNSSEC, dane is better: it stays if it is set.",
            [("smtp_tls_security_level", "may")],
        ),
        fixed(
            "Strangers are shown no certificate: they have no use for one, and public CAs make none for clients any more.",
            [
                ("smtp_tls_cert_file", ""),
                ("smtp_tls_key_file", ""),
                ("smtp_tls_chain_files", ""),
                ("smtp_tls_eccert_file", ""),
                ("smtp_tls_eckey_file", ""),
                ("smtp_tls_dcert_file", ""),
                ("smtp_tls_dkey_file", ""),
            ],
        ),
        fixed(
            "As on the way in: an old version of TLS where the other choice is none, 1.2 or later where it is a must.",
            [
                ("smtp_tls_protocols", OPPORTUNISTIC_FLOOR),
                ("smtp_tls_mandatory_protocols", FLOOR),
            ],
        ),
        fixed(
            "Servers that are written to often resume a session; lmdb where Postfix has it, as btree ends with 3.11.",
            [("smtp_tls_session_cache_database", CACHE)],
        ),
        fixed(
            "One line a session in the log.",
            [("smtp_tls_loglevel", "1")],
        ),
    ]
}

const CACHE: &str = "btree:${data_directory}/smtp_scache";

/// Whoever sends through another server, or insists on TLS, has reasons that an opportunistic level would undo.
const CLIENT_STAYS: &str = "
# The way out: whoever sends through another server, or insists on TLS, keeps what is set.
out=yes
level=$(postconf -hx smtp_tls_security_level)
case $level in
('' | none | may) ;;
(*) out=no; say \"smtp_tls_security_level = $level stays, and with it the other settings of the way out\" ;;
esac
for name in relayhost smtp_tls_wrappermode smtp_enforce_tls; do
  value=$(postconf -hx \"$name\" 2> /dev/null) || :
  case $value in
  ('' | no) ;;
  (*) out=no; say \"$name = $value: the settings of the way out stay as they are\" ;;
  esac
done
if [ $out = yes ]; then
  for name in smtp_tls_cert_file smtp_tls_chain_files smtp_tls_eccert_file; do
    value=$(postconf -hx \"$name\")
    [ -z \"$value\" ] || say \"warning: $name = $value was shown to every server; from now on none is\"
  done
fi
# A table for the sessions of the way out: what this Postfix prefers, or has.
cache=$(postconf -dhx default_cache_db_type 2> /dev/null) || :
for type in lmdb btree; do
  [ -n \"$cache\" ] || cache=$(postconf -m | grep -x \"$type\") || :
done
[ -z \"$cache\" ] || cache=$cache:'${data_directory}/smtp_scache'
";

fn client_edit(words: &str, piece: &str) -> String {
    // With `#` between the parts, as a path has slashes.
    format!(
        "
{}\
if [ $out = yes ]; then
  sed \"s#^\\(smtp_tls_session_cache_database =\\).*#\\1 $cache#; s/ *$//\" \"$work/block\" > \"$work/chosen\"
  mv \"$work/chosen\" \"$work/block\"
  put main.cf \"$main\" '{words}'
fi
",
        script::here(piece, "\"$work/block\"")
    )
}

fn client_commands(groups: &[Group]) -> String {
    let mut text = "if [ $out = yes ]; then\n".to_owned();
    for line in setting::postconf_main(groups).lines() {
        let line = line.replace(
            &format!("'smtp_tls_session_cache_database = {CACHE}'"),
            "\"smtp_tls_session_cache_database = $cache\"",
        );
        let _ = writeln!(text, "  {line}");
    }
    text.push_str("fi\n");
    text
}

fn submission_groups(host: &RoleHost) -> Vec<Group> {
    let implicit = host.role == Role::Submissions;
    let mut groups = vec![
        group(
            "Logged under a name of its own, to be found by grep.",
            [("syslog_name", format!("postfix/{}", host.role))],
        ),
        if implicit {
            fixed(
                "TLS from the first byte (RFC 8314).",
                [
                    ("smtpd_tls_security_level", "encrypt"),
                    ("smtpd_tls_wrappermode", "yes"),
                ],
            )
        } else {
            fixed(
                "TLS or nothing, by STARTTLS.",
                [
                    ("smtpd_tls_security_level", "encrypt"),
                    ("smtpd_tls_wrappermode", "no"),
                ],
            )
        },
    ];
    groups.extend(certificate_groups(&host.certificate));
    groups.extend([
        fixed(
            "Users prove themselves by password: their programs are asked for no certificate.",
            [("smtpd_tls_ask_ccert", "no"), ("smtpd_tls_req_ccert", "no")],
        ),
        fixed(
            "TLS 1.2 or later, as every Postfix can read it.",
            [("smtpd_tls_mandatory_protocols", FLOOR)],
        ),
        fixed(
            "Sessions are resumed by tickets, which the client keeps: no cache on the disk.",
            [("smtpd_tls_session_cache_database", "")],
        ),
        fixed(
            "Passwords are taken here, within TLS alone, and from everybody: no network is an exception.",
            [
                ("smtpd_sasl_auth_enable", "yes"),
                ("smtpd_tls_auth_only", "yes"),
                ("smtpd_sasl_exceptions_networks", ""),
            ],
        ),
        fixed(
            "Dovecot knows them; its socket lies in the queue directory, so the path counts in a jail too.",
            [
                ("smtpd_sasl_type", "dovecot"),
                ("smtpd_sasl_path", "private/auth"),
            ],
        ),
        fixed(
            "Nobody is anonymous. The login name stays out of the headers.",
            [
                ("smtpd_sasl_security_options", "noanonymous"),
                ("smtpd_sasl_tls_security_options", "noanonymous"),
                ("smtpd_sasl_authenticated_header", "no"),
            ],
        ),
        fixed(
            "Who has logged in may send anywhere; nobody else may send at all, not even to local users.",
            [
                ("smtpd_client_restrictions", "permit_sasl_authenticated,reject"),
                ("smtpd_relay_restrictions", "permit_sasl_authenticated,reject"),
            ],
        ),
        fixed(
            "What is asked of servers on port 25 is not asked of mail programs: they greet with any name.",
            [
                ("smtpd_helo_required", "yes"),
                ("smtpd_helo_restrictions", ""),
                ("smtpd_sender_restrictions", ""),
                ("smtpd_recipient_restrictions", ""),
                ("smtpd_data_restrictions", ""),
                ("smtpd_end_of_data_restrictions", ""),
            ],
        ),
        fixed(
            "Judged at RCPT TO: before, nobody can have logged in.",
            [("smtpd_delay_reject", "yes")],
        ),
        fixed(
            "A mistyped recipient comes back as a bounce; mail programs stumble over a refusal of one among many.",
            [("smtpd_reject_unlisted_recipient", "no")],
        ),
        fixed(
            "Date and Message-ID are added where a mail program left them out (RFC 6409 section 8).",
            [("local_header_rewrite_clients", "permit_sasl_authenticated")],
        ),
        fixed(
            "Milters are told that this mail begins here: it is signed, not judged.",
            [("milter_macro_daemon_name", "ORIGINATING")],
        ),
        fixed(
            "ETRN and VRFY are not for users, and an inherited list may hide AUTH or STARTTLS.",
            [
                ("smtpd_etrn_restrictions", "reject"),
                ("disable_vrfy_command", "yes"),
                ("smtpd_discard_ehlo_keywords", "etrn,silent-discard"),
                ("smtpd_discard_ehlo_keyword_address_maps", ""),
            ],
        ),
        fixed(
            "The Received header says how the mail came in.",
            [("smtpd_tls_received_header", "yes")],
        ),
        fixed(
            "One line a session in the log.",
            [("smtpd_tls_loglevel", "1")],
        ),
    ]);
    groups
}

/// Stops where Postfix could not ask Dovecot: smtpd would end at every connection.
fn sasl_is_there() -> String {
    "\
[ -n \"$(postconf -a | grep -x dovecot)\" ] || stop 'this Postfix cannot ask Dovecot about passwords: postconf -a does not list dovecot; nothing was changed'
queue=$(postconf -h queue_directory)
[ -S \"$queue/private/auth\" ] || stop \"Dovecot does not listen at $queue/private/auth: paste the block of relayca snippet --role dovecot first, and let Dovecot run; nothing was changed\"
"
    .to_owned()
}

/// Stops if the port is the relay's or bound to an address; says which service ours takes the place of.
fn port_is_free(port: u16, role: Role) -> String {
    let mut bound = format!("$1 ~ /:{port}$/");
    let mut others = String::new();
    for name in names(role) {
        let _ = write!(bound, " || $1 ~ /:{name}$/");
        let _ = write!(others, " {name}");
    }
    format!(
        "\
other=$(postconf -M | awk '$2 == \"inet\" && ({bound}) {{ print $1 }}')
[ -z \"$other\" ] || stop \"the service $other of master.cf listens on port {port} too; nothing was changed\"
case $(postconf -P {port}/inet/syslog_name 2> /dev/null) in
(*'= postfix/relayca') stop 'port {port} is the one of the relay service here; nothing was changed' ;;
esac
for name in{others}; do
  if [ -n \"$(postconf -M \"$name/inet\" 2> /dev/null)\" ]; then
    say \"warning: the service $name of master.cf is commented out (#relayca# or #): look whether it had settings that you want back\"
  fi
done
"
    )
}

/// Comments out the services that ours takes the place of.
fn comment_out(role: Role) -> String {
    format!(
        "\
for name in {}; do
  if [ -n \"$(postconf -M \"$name/inet\" 2> /dev/null)\" ]; then \"$postconf\" -M# \"$name/inet\"; fi
done
",
        names(role).join(" ")
    )
}

/// AUTH that was on for every service ends, which whoever logged in on port 25 will notice.
fn auth_elsewhere(port: Option<u16>) -> String {
    let now = match port {
        Some(port) => format!("on port {port} and where master.cf says so"),
        None => "where master.cf says so; --role submission and submissions print it".to_owned(),
    };
    format!(
        "\
if [ \"$(postconf -hx smtpd_sasl_auth_enable)\" = yes ]; then
  say 'warning: smtpd_sasl_auth_enable = yes in main.cf let users log in on every port; from now on only {now}'
fi
"
    )
}

/// What master.cf says of port 25 beats main.cf.
fn overrides() -> String {
    "\
for name in smtpd_tls_security_level smtpd_tls_cert_file smtpd_tls_key_file smtpd_tls_chain_files smtpd_sasl_auth_enable smtpd_tls_wrappermode; do
  for service in smtp 25; do
    value=$(postconf -P \"$service/inet/$name\" 2> /dev/null) || :
    [ -z \"$value\" ] || say \"warning: master.cf has $value: that counts for port 25, not main.cf\"
  done
done
"
    .to_owned()
}
