//! nullmailer on a mail host: its remotes are the relays, and nothing else.
//!
//! Enters: a mail host, checked. Leaves: [`Text`]. Refuses to know what nullmailer does with messages before they are sent.

use std::fmt::Write as _;

use crate::script::{self, Checked};
use crate::{Piece, Text};

const FIND: &str = "\
command -v nullmailer-send > /dev/null || stop 'nullmailer is not installed here; nothing was changed'
[ -d /var/spool/nullmailer/queue ] || stop '/var/spool/nullmailer/queue is missing, so it cannot be told who nullmailer runs as; nothing was changed'
group=$(ls -lnd /var/spool/nullmailer/queue | awk '{ print $4 }')
";

/// The snippet for a mail host.
pub(crate) fn sender(host: &Checked<'_>) -> Text {
    let owner = host.owner();
    let tls = if host.wrapper { "tls" } else { "starttls" };
    // A remote is tried after the other; each is a line.
    let mut remotes =
        "# Nothing is sent unless the certificate of the relay is good and carries its name.\n# What the relay answers with 5xx bounces, its greeting too; everything else waits.\n"
            .to_owned();
    for (name, port) in &host.relays {
        let _ = writeln!(
            remotes,
            "{name} smtp --port={port} --{tls} --x509cafile={trust} --x509certfile={certificate} --x509keyfile={key}",
            trust = host.trust(),
            certificate = host.certificate(),
            key = host.key(),
        );
    }
    let block = script::block(&owner, &remotes);
    let mut text = script::start(host, "nullmailer", FIND);
    text.push_str(script::KEEP);
    text.push('\n');
    text.push_str(&script::here(&block, "\"$work/block\""));
    text.push_str(&edit(&owner));
    text.push_str(script::DONE);
    let mut warnings = host.elsewhere_warnings();
    warnings.push("nullmailer sends everything to the relay, also mail for users of this host; a greeting or an answer with 5xx is final for it: the mail bounces".to_owned());
    Text {
        pieces: vec![Piece {
            name: "remotes",
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
# The relays are the only remotes; others are commented out (#relayca#).
[ -f "$directory/remotes" ] || : > "$work/empty"
old=$directory/remotes
[ -f "$old" ] || old=$work/empty
awk -v owner='{owner}' -v block="$work/block" '
{awk}    /^[ \t\r]*(#|$)/ {{ print; next }}
    {{ print "#relayca# " $0 }}
    END {{ if (failed) exit 1; if (hide) stop("a block of relayca has no END"); put_block(block) }}
' "$old" > "$work/new" || stop "$directory/remotes cannot be edited"
place "$directory/remotes"

# nullmailer reads all of it as its own user.
chown root:"$group" "$files" "$files"/*.key.pem
chmod 750 "$files"
chmod 640 "$files"/*.key.pem

# It reads its remotes anew whenever it sends; this has it send now what waits.
if [ -d /run/systemd/system ] && systemctl --quiet is-active nullmailer; then systemctl restart nullmailer; fi
"##
    )
}
