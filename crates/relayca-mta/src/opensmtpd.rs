//! OpenSMTPD on a mail host: every action that relays goes to the relay, with our certificate.
//!
//! Enters: a mail host, checked. Leaves: [`Text`]. Refuses to know which mail is to be relayed: the `match` lines stay.
//!
//! From 7.0 on. OpenSMTPD 6 keeps keys in a process of its own in a way that OpenSSL 3 undid ("missing private key"), so that it
//! shows no certificate; Debian 12 has that pair (github.com/OpenSMTPD/OpenSMTPD issues 1171 and 1239).

use crate::script::{self, Checked};
use crate::{Piece, Text};

const FIND: &str = "\
smtpd=$(command -v smtpd) || stop 'OpenSMTPD is not installed here; nothing was changed'
case $(\"$smtpd\" -h 2>&1 | sed -n 's/^version: OpenSMTPD \\([0-9]*\\).*/\\1/p') in
('') stop \"$smtpd is not of OpenSMTPD; nothing was changed\" ;;
([0-6]) stop 'this OpenSMTPD is older than 7, and cannot show a certificate where it is built with OpenSSL 3; nothing was changed' ;;
esac
[ -f \"$directory/smtpd.conf\" ] || stop \"$directory/smtpd.conf is missing; nothing was changed\"
";

/// The snippet for a mail host.
pub(crate) fn sender(host: &Checked<'_>) -> Text {
    let ((relay, port), mut warnings) = host.only_relay("OpenSMTPD");
    let owner = host.owner();
    let scheme = if host.wrapper { "smtps" } else { "smtp+tls" };
    let block = script::block(
        &owner,
        &format!(
            "\
# The certificate that lets this host relay, and our CA. OpenSMTPD takes RSA and ECDSA keys. It sends to one relay, and can be none itself:
# it has no list of certificates that may.
pki \"relayca\" cert \"{certificate}\"
pki \"relayca\" key \"{key}\"
ca \"relayca\" cert \"{trust}\"
",
            certificate = host.certificate(),
            key = host.key(),
            trust = host.trust(),
        ),
    );
    // `ca` on an action stands in no manual; parse.y knows it, and a test tries that no other CA is trusted.
    let relaying =
        format!("relay host \"{scheme}://{relay}:{port}\" pki \"relayca\" ca \"relayca\" tls");
    let mut text = script::start(host, "OpenSMTPD", FIND);
    text.push_str(&format!(
        "\
if command -v openssl > /dev/null && openssl x509 -in \"$files/{}\" -noout -text | grep -qi 'ED25519'; then
  stop 'OpenSMTPD takes no Ed25519 key; \"relayca renew --rekey --key p256 {}\" makes another; nothing was changed'
fi
",
        relayca_postfix::certificate_file(host.host),
        host.host
    ));
    text.push_str(script::KEEP);
    text.push('\n');
    text.push_str(&script::here(&block, "\"$work/block\""));
    text.push_str(&edit(&owner, &relaying));
    text.push_str(RESTART);
    text.push_str(script::DONE);
    warnings.push("every `action ... relay` of smtpd.conf goes to the relay afterwards; which mail that is, the `match` lines say as before".to_owned());
    warnings.push("OpenSMTPD must be 7.0 or later, and the key RSA or ECDSA; a refusal with 5xx is final: the mail bounces".to_owned());
    Text {
        pieces: vec![Piece {
            name: "smtpd.conf",
            text: format!("{block}action \"relay\" {relaying} # relayca\n"),
        }],
        script: text,
        warnings,
    }
}

fn edit(owner: &str, relaying: &str) -> String {
    let awk = script::AWK;
    format!(
        r##"
# Our lines stand before all; an action that relays is commented out (#relayca#), and one of its name that goes to the relay follows it.
awk -v owner='{owner}' -v block="$work/block" -v relaying='{relaying}' '
{awk}    function ours(line) {{ split(line, word, /[ \t]+/); return "action " word[2] " " relaying " # relayca" }}
    placed == 0 {{ put_block(block); placed = 1 }}
    /^#relayca# action[ \t]/ {{ print; print ours(substr($0, 11)); actions++; next }}
    / # relayca$/ {{ next }}
    /^[ \t]*action[ \t]+[^ \t]+[ \t]+relay([ \t\r]|$)/ {{
      sub(/^[ \t]+/, "")
      if ($0 ~ /\\[ \t\r]*$/) stop("an action goes on in the next line: write it in one")
      if (match($0, /relay[ \t\r]*$/) == 0) print "relayca: warning: has no say any more: " $0 > "/dev/stderr"
      print "#relayca# " $0
      print ours($0)
      actions++
      next
    }}
    {{ print }}
    END {{
      if (failed) exit 1
      if (hide) stop("a block of relayca has no END")
      if (actions == 0) stop("no action relays; write `action \"relay\" relay` and `match from local for any action \"relay\"` first")
    }}
' "$directory/smtpd.conf" > "$work/new" || stop "$directory/smtpd.conf cannot be edited"
place "$directory/smtpd.conf"

# OpenSMTPD reads the key as root.
chown root "$files" "$files"/*.key.pem
chmod 700 "$files"
chmod 600 "$files"/*.key.pem
"$smtpd" -n -f "$directory/smtpd.conf" || stop 'OpenSMTPD does not accept it'
"##
    )
}

/// OpenSMTPD reads its configuration when it starts, and no other time.
pub(crate) const RESTART: &str = "\
restart() {
  if [ -d /run/systemd/system ]; then
    for unit in opensmtpd smtpd; do
      if systemctl --quiet is-active $unit; then systemctl restart $unit; return; fi
    done
  elif command -v rcctl > /dev/null && rcctl check smtpd > /dev/null; then
    rcctl restart smtpd
    return
  fi
  say 'start OpenSMTPD now, or restart it: it reads its configuration and the certificates when it starts'
}
restart
";
