//! What Dovecot is told: TLS for IMAP and POP3, and the socket at which Postfix asks about passwords.
//!
//! Enters: [`RoleHost`]. Leaves: [`RoleSnippet`]: a file of its own in `conf.d`, in the words of 2.3 and of 2.4, and the script
//! that writes the one that the Dovecot at hand reads. Refuses to know: users, mailboxes, protocols; those are set up already.

use std::fmt;
use std::fmt::Write as _;
use std::str::FromStr;

use super::{RoleError, RoleHost, RoleSnippet, hook, paste};
use crate::{script, validate};

/// The file in `conf.d`. It comes after those that systems bring (10-ssl.conf), so that what it says counts.
const FILE: &str = "99-relayca.conf";

/// A version of Dovecot's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DovecotVersion {
    /// 2.3 (Debian 11 and 12, Ubuntu 20.04 to 24.04, RHEL 8 and 9).
    V2_3,
    /// 2.4 (Debian 13 and later): other names for most settings of TLS.
    V2_4,
}

impl DovecotVersion {
    /// All versions.
    pub const ALL: [Self; 2] = [Self::V2_3, Self::V2_4];
}

impl fmt::Display for DovecotVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V2_3 => "2.3",
            Self::V2_4 => "2.4",
        })
    }
}

impl FromStr for DovecotVersion {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL
            .into_iter()
            .find(|version| version.to_string() == text)
            .ok_or_else(|| RoleError::DovecotVersion(validate::shown(text)))
    }
}

pub(super) fn snippet(host: &RoleHost) -> RoleSnippet {
    let versions: Vec<DovecotVersion> = match host.dovecot_version {
        Some(version) => vec![version],
        None => DovecotVersion::ALL.to_vec(),
    };
    let pieces: Vec<(DovecotVersion, String)> = versions
        .into_iter()
        .map(|version| (version, piece(host, version)))
        .collect();
    let hook = hook::dovecot(&host.certificate, &host.dovecot_directory);
    RoleSnippet {
        main_cf: None,
        master_cf: None,
        script: text(host, &pieces, hook.as_ref()),
        dovecot: pieces,
        hook,
        warnings: host.certificate.warnings(host.role),
    }
}

/// The file, in the words of a version.
fn piece(host: &RoleHost, version: DovecotVersion) -> String {
    let (certificate, key) = (host.certificate.certificate(), host.certificate.key());
    let queue = &host.queue_directory;
    let (clear, files) = match version {
        DovecotVersion::V2_3 => (
            "disable_plaintext_auth = yes",
            format!("ssl_cert = <{certificate}\nssl_key = <{key}"),
        ),
        DovecotVersion::V2_4 => (
            "auth_allow_cleartext = no",
            format!("ssl_server_cert_file = {certificate}\nssl_server_key_file = {key}"),
        ),
    };
    let first = match version {
        DovecotVersion::V2_3 => "",
        DovecotVersion::V2_4 => {
            "# dovecot_config_version stands in dovecot.conf, before all else, as 2.4 wants it.\n"
        }
    };
    format!(
        "\
# BEGIN relayca role dovecot
# For Dovecot {version}. The whole file belongs to relayca: pasting its block again writes it anew.
{first}\
# TLS before any password, on every port; 993 and 995 begin with it. This host itself needs none (webmail).
ssl = required
{clear}
# TLS 1.2 or later.
ssl_min_protocol = TLSv1.2
# The certificate with its chain, and its key; read by root, at the start and at doveadm reload.
{files}
# Here Postfix asks about passwords (smtpd_sasl_path = private/auth).
service auth {{
  unix_listener {queue}/private/auth {{
    mode = 0660
    user = postfix
    group = postfix
  }}
}}
# END relayca role dovecot
"
    )
}

fn text(
    host: &RoleHost,
    pieces: &[(DovecotVersion, String)],
    hook: Option<&super::Hook>,
) -> String {
    let title = format!(
        "Dovecot of {}: TLS, and passwords for Postfix",
        host.host.as_deref().unwrap_or(host.certificate.name())
    );
    let directory = &host.dovecot_directory;
    let queue = &host.queue_directory;
    let mut text = script::head(&title, &host.config_directory);
    let _ = write!(
        text,
        "\
PATH=$PATH:/usr/local/bin; export PATH
dovecot={directory}
conf=$dovecot/dovecot.conf
socket={queue}/private/auth
command -v doveconf > /dev/null || stop 'Dovecot is not installed here; nothing was changed'
[ -f \"$conf\" ] || stop \"$conf is missing; nothing was changed\"
[ -d \"$dovecot/conf.d\" ] || stop \"$dovecot/conf.d is missing; nothing was changed\"
[ \"$(postconf -h queue_directory)\" = {queue} ] || stop \"the queue of this Postfix is $(postconf -h queue_directory): print the block again with --queue-directory; nothing was changed\"
if [ -e \"$socket\" ] && [ ! -S \"$socket\" ]; then stop \"$socket is there and is no socket; nothing was changed\"; fi
[ -d {queue}/private ] || stop '{queue}/private is missing: start Postfix once; nothing was changed'
[ \"$(postconf -h mail_owner)\" = postfix ] || stop \"this Postfix runs as $(postconf -h mail_owner), not as postfix; nothing was changed\"
"
    );
    text.push_str(&host.certificate.look(host.host.as_deref()));
    text.push_str("version=$(dovecot --version)\ncase $version in\n");
    for (version, _) in pieces {
        // What `doveconf -n` shows of the certificate, where nothing else comes after the file.
        let shown = match version {
            DovecotVersion::V2_3 => "ssl_cert = <$certificate",
            DovecotVersion::V2_4 => "  cert_file = $certificate",
        };
        let _ = writeln!(text, "({version}.*) wanted={version}; shown=\"{shown}\" ;;");
    }
    let known: Vec<String> = pieces
        .iter()
        .map(|(version, _)| version.to_string())
        .collect();
    let _ = write!(
        text,
        "\
(*) stop \"this is Dovecot $version, and the block is for {}; nothing was changed\" ;;
esac
doveconf -c \"$conf\" -n > /dev/null || stop \"Dovecot finds fault with $conf as it is; nothing was changed\"
case $(doveconf -c \"$conf\" protocols) in
(*imap* | *pop3*) ;;
(*) say 'warning: neither IMAP nor POP3 is among the protocols of this Dovecot' ;;
esac
",
        known.join(" and ")
    );
    text.push_str(&keep(hook));
    for (version, piece) in pieces {
        let _ = write!(
            text,
            "\
if [ $wanted = {version} ]; then
{}\
fi
",
            script::here(piece, "\"$work/new\"")
        );
    }
    text.push_str(
        "\
if [ -f \"$file\" ] && cmp -s \"$work/new\" \"$file\"; then :; else
  changed=yes
  mv \"$work/new\" \"$file\"
fi
",
    );
    if let Some(hook) = hook {
        text.push_str(&hook::install(hook));
    }
    text.push_str(FINISH);
    text
}

/// Copies that come back unless the script reaches its end; a file that was not there goes again.
fn keep(hook: Option<&super::Hook>) -> String {
    let (assign, back) = match hook {
        Some(hook) => (format!("hook={}\n", hook.path), paste::HOOK_BACK),
        None => (String::new(), ""),
    };
    format!(
        "
# Keep what is there; unless the end is reached it comes back.
file=$dovecot/conf.d/{FILE}
{assign}\
work=$(mktemp -d \"$dovecot/relayca-work.XXXXXX\")
changed=no
hooked=no
restore() {{
  if [ -f \"$work/old\" ]; then mv \"$work/old\" \"$file\" || return 1; else rm -f \"$file\"; fi
{back}  changed=no
}}
start() {{
  if [ -d /run/systemd/system ] && [ \"$conf\" = /etc/dovecot/dovecot.conf ] && systemctl start dovecot; then return; fi
  dovecot -c \"$conf\" < /dev/null > /dev/null 2>&1
}}
leave() {{
  result=$?
  trap - 0
  set +e
  if [ $changed = yes ]; then restore && say 'this did not go well; everything is as before'; fi
  rm -rf \"$work\"
  exit \"$result\"
}}
trap leave 0
trap 'exit 1' 1 2 15
if [ -f \"$file\" ]; then cp -p \"$file\" \"$work/old\"; fi

"
    )
}

/// Does Dovecot read it, and does nothing after it say otherwise? Then let it begin, and see that it listens for Postfix.
const FINISH: &str = "
# Does Dovecot take it, and does nothing that comes later say otherwise?
doveconf -c \"$conf\" -n > \"$work/seen\" || stop 'Dovecot finds fault with it'
for line in 'ssl = required' \"$shown\"; do
  grep -Fx \"$line\" \"$work/seen\" > /dev/null || stop \"Dovecot does not see $line: $conf must include conf.d/*.conf, and no later file may set it\"
done
if doveadm -c \"$conf\" service status > /dev/null 2>&1; then
  doveadm -c \"$conf\" reload
  tries=0
  until doveadm -c \"$conf\" service status > /dev/null 2>&1 && [ -S \"$socket\" ]; do
    tries=$((tries + 1))
    if [ $tries -gt 5 ]; then
      restore
      # 2.3 ends where it cannot listen after a reload.
      if doveadm -c \"$conf\" service status > /dev/null 2>&1; then doveadm -c \"$conf\" reload || :; else start; fi
      stop \"Dovecot does not listen at $socket: its log says why; everything is as before\"
    fi
    sleep 1
  done
else
  say 'Dovecot is not running; what was written counts when it starts'
fi
changed=no
say 'done'
)
";
