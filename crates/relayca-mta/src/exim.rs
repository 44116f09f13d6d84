//! Exim 4 on a mail host: a router for all that is not local, and a transport that shows the certificate to the relay alone.
//!
//! Enters: a mail host, checked. Leaves: [`Text`]. Refuses to know what else Exim is configured to do, save for
//! `+local_domains`, which every configuration in use has.

use crate::script::{self, Checked};
use crate::{Piece, Text};

/// TLS 1.2 and later, in the words of the library that Exim is built with (`_HAVE_GNUTLS` is a macro of Exim's own).
pub(crate) fn tls_versions(setting_of_openssl: bool) -> String {
    let openssl = if setting_of_openssl {
        ".else\nopenssl_options = +no_sslv2 +no_sslv3 +no_tlsv1 +no_tlsv1_1\n"
    } else {
        ""
    };
    format!(
        ".ifdef _HAVE_GNUTLS\ntls_require_ciphers = NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2\n{openssl}.endif\n"
    )
}

fn router(host: &Checked<'_>) -> String {
    let hosts: Vec<String> = host
        .relays
        .iter()
        .map(|(name, port)| format!("{name}::{port}"))
        .collect();
    format!(
        "\
# Mail for elsewhere goes to the relay, whatever routers follow. It waits if the name does not resolve, the relay is down, says 4xx or
# shows a wrong certificate. What the relay answers with 5xx bounces, its greeting too: Exim cannot be told otherwise.
relayca:
  driver = manualroute
  domains = ! +local_domains
  transport = relayca
  route_data = {} byname
  host_find_failed = defer
  host_all_ignored = defer
  same_domain_copy_routing = yes
  self = send
  no_more
",
        // Without spaces: what follows one is an option.
        hosts.join(":")
    )
}

fn transport(host: &Checked<'_>) -> String {
    let sni = match host.relays.as_slice() {
        [(name, _)] => format!("  tls_sni = {name}\n"),
        // What `$host` is then, the resolver says.
        _ => String::new(),
    };
    let protocol = if host.wrapper {
        "  # TLS from the first byte.\n  protocol = smtps\n"
    } else {
        ""
    };
    format!(
        "\
relayca:
  driver = smtp
  multi_domain
{protocol}\
\x20 # Nothing is sent unless TLS is spoken and the certificate of the relay is good and carries its name.
  hosts_require_tls = *
  hosts_avoid_tls =
  tls_tempfail_tryclear = false
  tls_verify_hosts = *
  tls_try_verify_hosts =
  tls_verify_cert_hostnames = *
{sni}\
\x20 # Our CA alone, and no key from DNS in its place.
  tls_verify_certificates = {trust}
.ifdef _OPT_TRANSPORT_SMTP_HOSTS_TRY_DANE
  hosts_try_dane =
.endif
  # The certificate that lets this host relay.
  tls_certificate = {certificate}
  tls_privatekey = {key}
  # The certificate is the password.
  hosts_try_auth =
  hosts_require_auth =
  # No detour when the relay is down: mail waits.
  fallback_hosts =
  # What Debian has its own transports do: hide the name of this host, and the like.
{debian}\
  # TLS 1.2 or later; where Exim is built with OpenSSL, openssl_options of the main part decides.
{versions}",
        trust = host.trust(),
        certificate = host.certificate(),
        key = host.key(),
        versions = tls_versions(false),
        debian = OF_DEBIAN,
    )
}

/// Debian's macros for transports (conf.d/transport/30_exim4-config_remote_smtp_smarthost); elsewhere nothing defines them.
const OF_DEBIAN: &str = "\
.ifdef REMOTE_SMTP_HEADERS_REWRITE
  headers_rewrite = REMOTE_SMTP_HEADERS_REWRITE
.endif
.ifdef REMOTE_SMTP_RETURN_PATH
  return_path = REMOTE_SMTP_RETURN_PATH
.endif
.ifdef REMOTE_SMTP_HELO_DATA
  helo_data = REMOTE_SMTP_HELO_DATA
.endif
.ifdef REMOTE_SMTP_TRANSPORTS_HEADERS_REMOVE
  headers_remove = REMOTE_SMTP_TRANSPORTS_HEADERS_REMOVE
.endif
.ifdef IGNORE_SMTP_LINE_LENGTH_LIMIT
  message_linelength_limit = 1G
.endif
";

/// Finds Exim, its group and its version.
pub(crate) const FIND: &str = "\
exim=$(command -v exim4 || command -v exim) || stop 'Exim is not installed here; nothing was changed'
case $(\"$exim\" -bV | sed -n 's/^Exim version \\([0-9.]*\\).*/\\1/p') in
([0-3].*|4.[0-9]|4.[1-8][0-9]*|4.9[0-5]*) stop 'this Exim is older than 4.96; nothing was changed' ;;
esac
group=$(\"$exim\" -n -bP exim_group) || stop 'Exim does not accept its present configuration; nothing was changed'
[ -n \"$group\" ] || stop 'Exim does not say which group it runs as; nothing was changed'
";

/// Exim reads the key as the user that it delivers as.
pub(crate) fn give_key(key_file: &str) -> String {
    format!(
        "
# Exim reads the key as its own user, which may read it and not change it.
chown root:\"$group\" \"$files\" \"$files/{key_file}\"
chmod 750 \"$files\"
chmod 640 \"$files/{key_file}\"
"
    )
}

/// Has a running daemon read its configuration again.
const RELOAD: &str = "
# A delivery reads the configuration anew; the daemon has to be told.
reload() {
  if [ -d /run/systemd/system ]; then
    for unit in exim4 exim; do
      if systemctl --quiet is-active $unit; then systemctl reload-or-restart $unit; return; fi
    done
  fi
  for file in \"$(\"$exim\" -n -bP pid_file_path)\" /run/exim4/exim.pid \"$(\"$exim\" -n -bP spool_directory)/exim-daemon.pid\"; do
    if [ -s \"$file\" ] && kill -HUP \"$(cat \"$file\")\" 2> /dev/null; then return; fi
  done
  say 'no daemon of Exim was found; what was written counts when it starts'
}
reload
";

/// Where the pieces go: Debian splits its configuration into files, or has a template; others have one file.
fn put(owner: &str) -> String {
    let awk = script::AWK;
    format!(
        r#"
# put FILE: the router comes first of the routers, the transport last of the transports; their earlier selves go.
put() {{
  awk -v owner='{owner}' -v work="$work" '
{awk}    /^[ \t]*begin[ \t]/ && open {{ put_block(work "/transport"); open = 0 }}
    {{ print }}
    /^[ \t]*begin[ \t]+routers[ \t\r]*$/ {{ put_block(work "/router"); routers++ }}
    /^[ \t]*begin[ \t]+transports[ \t\r]*$/ {{ open = 1; transports++ }}
    END {{
      if (failed) exit 1
      if (hide) stop("a block of relayca has no END")
      if (open) put_block(work "/transport")
      if (routers != 1 || transports != 1) stop("there is not one line `begin routers` and one `begin transports`")
    }}
  ' "$1" > "$work/new" || stop "$1 cannot be edited"
  place "$1"
}}
# part FILE PIECE: a file of its own.
part() {{
  if [ -f "$1" ] && ! grep -q '^# BEGIN relayca {owner}$' "$1"; then stop "$1 is not of {owner}; nothing more was changed"; fi
  cp "$work/$2" "$work/new"
  place "$1"
}}
debian=no
if [ "$directory" = /etc/exim4 ] && [ ! -e /etc/exim4/exim4.conf ] && command -v update-exim4.conf > /dev/null; then
  debian=yes
  undo() {{ update-exim4.conf || :; }}
fi
if [ $debian = yes ] && grep -Eqi "^[ ]*dc_use_split_config=[\"']?true" /etc/exim4/update-exim4.conf.conf; then
  part /etc/exim4/conf.d/router/050_relayca router
  part /etc/exim4/conf.d/transport/20_relayca transport
elif [ $debian = yes ]; then
  put /etc/exim4/exim4.conf.template
else
  main=$("$exim" -bV | sed -n 's/^Configuration file is //p')
  [ -f "$main" ] || stop 'Exim does not say where its configuration lies; nothing was changed'
  put "$main"
fi

# Does Exim take it, and does mail for elsewhere go where it should?
if [ $debian = yes ]; then update-exim4.conf; fi
"$exim" -bV > /dev/null || stop 'Exim does not accept it'
"$exim" -bt postmaster@relayca.invalid 2>&1 | grep -q 'router = relayca, transport = relayca' || stop 'mail for elsewhere would not go to the relay: what does "exim -bt postmaster@relayca.invalid" say?'
"#
    )
}

/// The snippet for a mail host.
pub(crate) fn sender(host: &Checked<'_>) -> Text {
    let owner = host.owner();
    let router = script::block(&owner, &router(host));
    let transport = script::block(&owner, &transport(host));
    let mut text = script::start(host, "Exim", FIND);
    text.push_str(script::KEEP);
    text.push('\n');
    text.push_str(&script::here(&router, "\"$work/router\""));
    text.push_str(&script::here(&transport, "\"$work/transport\""));
    text.push_str(&give_key(&relayca_postfix::key_file(host.host)));
    text.push_str(&put(&owner));
    text.push_str(RELOAD);
    text.push_str(script::DONE);
    let mut warnings = host.elsewhere_warnings();
    warnings.push("mail waits while the relay is down, refuses with 4xx, or shows a wrong certificate; a greeting or an answer with 5xx is final for Exim: the mail bounces".to_owned());
    Text {
        pieces: vec![
            Piece {
                name: "exim-router",
                text: router,
            },
            Piece {
                name: "exim-transport",
                text: transport,
            },
        ],
        script: text,
        warnings,
    }
}
