//! msmtp on a mail host: an account that is the default for the whole system.
//!
//! Enters: a mail host, checked. Leaves: [`Text`]. Refuses to know users' own configurations, which come before the system's.

use crate::script::{self, Checked};
use crate::{Piece, Text};

const FIND: &str = "\
msmtp=$(command -v msmtp) || stop 'msmtp is not installed here; nothing was changed'
";

/// The snippet for a mail host.
pub(crate) fn sender(host: &Checked<'_>) -> Text {
    let ((relay, port), mut warnings) = host.only_relay("msmtp");
    let owner = host.owner();
    let starttls = if host.wrapper { "off" } else { "on" };
    let block = script::block(
        &owner,
        &format!(
            "\
# msmtp has no queue: what the relay does not take at once is lost, unless the caller tries again.
# Values that are not named here are those of a bare msmtp again.
defaults
account relayca
host {relay}
port {port}
protocol smtp
# Nothing is sent unless the certificate of the relay is good and carries its name. Our CA alone.
tls on
tls_starttls {starttls}
tls_certcheck on
tls_fingerprint
tls_trust_file {trust}
# The certificate that lets this host relay; it is the password.
tls_cert_file {certificate}
tls_key_file {key}
auth off
# The sender where the caller names none.
from %U@{domain}
account default : relayca
",
            trust = host.trust(),
            certificate = host.certificate(),
            key = host.key(),
            domain = host.domain,
        ),
    );
    let mut text = script::start(host, "msmtp", FIND);
    text.push_str(script::KEEP);
    text.push('\n');
    text.push_str(&script::here(&block, "\"$work/block\""));
    text.push_str(&edit(&owner));
    text.push_str(script::DONE);
    warnings.push("msmtp has no queue: what the relay does not take at once, for whatever reason, is lost unless the caller tries again (it ends with a status that is not 0)".to_owned());
    warnings.push(
        "msmtp reads the key as the user who calls it: root alone, unless msmtp is set-group-ID"
            .to_owned(),
    );
    Text {
        pieces: vec![Piece {
            name: "msmtprc",
            text: block,
        }],
        script: text,
        warnings,
    }
}

fn edit(owner: &str) -> String {
    let awk = script::AWK;
    format!(
        r##"
# Our account goes to the end; another default is commented out (#relayca#).
[ -f "$directory/msmtprc" ] || : > "$work/empty"
old=$directory/msmtprc
[ -f "$old" ] || old=$work/empty
awk -v owner='{owner}' -v block="$work/block" '
{awk}    /^[ \t]*account[ \t]+default[ \t\r]*$/ {{ stop("there is an `account default` with settings of its own: give it another name first") }}
    /^[ \t]*account[ \t]+relayca[ \t\r:]*/ {{ stop("there is an account relayca that is not ours") }}
    /^[ \t]*account[ \t]+default[ \t]*:/ {{ print "#relayca# " $0; next }}
    {{ print }}
    END {{ if (failed) exit 1; if (hide) stop("a block of relayca has no END"); put_block(block) }}
' "$old" > "$work/new" || stop "$directory/msmtprc cannot be edited"
place "$directory/msmtprc"

# Who calls msmtp must be able to read the key; where msmtp is set-group-ID, its group does.
group=root
if [ -g "$msmtp" ]; then group=$(ls -Ln "$msmtp" | awk '{{ print $4 }}'); fi
chown root:"$group" "$files" "$files"/*.key.pem
chmod 750 "$files"
chmod 640 "$files"/*.key.pem
"$msmtp" --file="$directory/msmtprc" --pretend --from=postmaster@relayca.invalid postmaster@relayca.invalid < /dev/null > /dev/null || stop 'msmtp does not accept it'
"##
    )
}
