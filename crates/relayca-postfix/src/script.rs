//! The shell around the pieces: what is pasted into a root shell.
//!
//! Enters: pieces of configuration and plain words, all validated. Leaves: POSIX `sh`. Refuses to know what the
//! settings mean.
//!
//! Properties that every script keeps, each with a test:
//! - one subshell in parentheses, so a failure never ends the login shell, and a paste cut short never runs;
//! - a paste with CRLF line ends is a syntax error as a whole (`)` followed by a carriage return), and never runs;
//! - no tabs (completion), no backslash at a line's end, no apostrophe or `!` in comments (history expansion);
//! - the old files come back unless everything went well.

use std::fmt::Write as _;

use crate::SUBDIRECTORY;
use crate::mail_host::Style;

/// Ends the heredocs.
pub(crate) const DELIMITER: &str = "RELAYCA_END";

/// The oldest Postfix whose settings these are (`*_tls_chain_files` came with it), and its `case` patterns of older ones.
pub(crate) const OLDEST: Oldest = Oldest {
    version: "3.4",
    older: "[0-2].*|3.[0-3]|3.[0-3][.-]*",
};

/// Lists of next hops came with 3.5; before, the whole list would be one host name.
pub(crate) const OLDEST_WITH_SEVERAL_RELAYS: Oldest = Oldest {
    version: "3.5",
    older: "[0-2].*|3.[0-4]|3.[0-4][.-]*",
};

/// A minimum version.
#[derive(Clone, Copy)]
pub(crate) struct Oldest {
    version: &'static str,
    older: &'static str,
}

/// What a script is for.
pub(crate) struct Target<'a> {
    /// For the first comment and the last message.
    pub(crate) title: String,
    /// Postfix's configuration directory.
    pub(crate) directory: &'a str,
    /// Whose bundle brings the files.
    pub(crate) bundle_of: &'a str,
    /// What must lie in the subdirectory.
    pub(crate) files: Vec<String>,
    /// The oldest Postfix that understands the result.
    pub(crate) oldest: Oldest,
}

/// The head that all scripts share: shell options, messages, and who may run it.
pub(crate) fn head(title: &str, directory: &str) -> String {
    format!(
        "\
# relayca: {title}.
# Paste all of it into sh (or bash, dash, ash, ksh), as root. It runs when the last line is in; a second time does no harm.
(
set -eu
umask 022
MAIL_CONFIG={directory}; export MAIL_CONFIG
PATH=$PATH:/usr/sbin:/usr/local/sbin; export PATH
LC_ALL=C; export LC_ALL
files=$MAIL_CONFIG/{SUBDIRECTORY}
say() {{ echo \"relayca: $*\" >&2; }}
stop() {{ say \"$*\"; exit 1; }}

# What must be so before anything is touched.
[ \"$(id -u)\" = 0 ] || stop 'this must run as root; nothing was changed'
command -v postconf > /dev/null || stop 'Postfix is not installed here; nothing was changed'
"
    )
}

/// The head and the checks of a script that changes main.cf or master.cf.
pub(crate) fn start(target: &Target<'_>) -> String {
    let mut text = head(&target.title, target.directory);
    let Target {
        bundle_of, oldest, ..
    } = target;
    let _ = write!(
        text,
        "\
for file in main.cf master.cf; do
  [ -f \"$MAIL_CONFIG/$file\" ] || stop \"$MAIL_CONFIG/$file is missing; nothing was changed\"
done
for file in {files}; do
  [ -s \"$files/$file\" ] || stop \"$files/$file is missing: unpack the bundle of {bundle_of} there first; nothing was changed\"
done
{young_enough}",
        files = target.files.join(" "),
        young_enough = young_enough(*oldest),
    );
    text
}

/// Stops on an older Postfix.
fn young_enough(oldest: Oldest) -> String {
    format!(
        "\
case $(postconf -h mail_version) in
({older}) stop 'this Postfix is older than {version}; nothing was changed' ;;
esac
",
        older = oldest.older,
        version = oldest.version,
    )
}

/// What of a script is the same wherever it is run: what is asked before anything is touched, and what is set. Both use `stop`
/// and `say`; the second changes `$main` and `$master` by way of `$work`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts {
    pub(crate) checks: String,
    pub(crate) edits: String,
}

impl Parts {
    pub(crate) fn new(oldest: Oldest, checks: &str, edits: String) -> Self {
        Self {
            checks: format!("{}{checks}", young_enough(oldest)),
            edits,
        }
    }
}

/// Stops if another service listens on the port, or if the port is another domain's.
pub(crate) fn port_is_ours(port: u16, authority_file: &str) -> String {
    // A service under the name that /etc/services has for the port would be a second listener: master(8) ends then.
    let names = match port {
        25 => " || $1 == \"smtp\"",
        465 => " || $1 == \"smtps\" || $1 == \"submissions\" || $1 == \"urd\" || $1 == \"ssmtp\"",
        587 => " || $1 == \"submission\"",
        _ => "",
    };
    format!(
        "\
other=$(postconf -M | awk '$2 == \"inet\" && ($1 ~ /:{port}$/{names}) {{ print $1 }}')
[ -z \"$other\" ] || stop \"the service $other of master.cf listens on port {port} too; nothing was changed\"
{}",
        belongs_to_nobody_else(&format!("postconf -P {port}/inet/smtpd_tls_CAfile"), authority_file, &format!("port {port} of this Postfix")),
    )
}

/// Stops if the transport is another domain's.
pub(crate) fn transport_is_ours(authority_file: &str) -> String {
    belongs_to_nobody_else(
        "postconf -P relayca/unix/smtp_tls_CAfile",
        authority_file,
        "the transport relayca of this Postfix",
    )
}

/// Stops if main.cf already belongs to another domain.
pub(crate) fn main_is_ours(authority_file: &str) -> String {
    belongs_to_nobody_else(
        "postconf smtp_tls_CAfile",
        authority_file,
        "main.cf of this Postfix",
    )
}

fn belongs_to_nobody_else(ask: &str, authority_file: &str, what: &str) -> String {
    format!(
        "\
other=$({ask} 2> /dev/null) || :
case $other in
(*\"= $files/{authority_file}\") ;;
(*\"= $files/\"*-ca.crt.pem) stop \"{what} serves another domain (${{other##*/}}); nothing was changed\" ;;
esac
"
    )
}

/// Stops unless every name resolves. Needs `say` and `stop`; defines `in_hosts`.
///
/// The names are taken as they are: check them first.
#[must_use]
pub fn names_resolve(names: &[&str]) -> String {
    format!(
        "
# Mail for a name that does not resolve could not leave.
in_hosts() {{
  awk -v name=\"$1\" '{{ sub(/#.*/, \"\"); for (i = 2; i <= NF; i++) if (tolower($i) == name) found = 1 }} END {{ exit (found == 0) }}' /etc/hosts
}}
resolves() {{
  if command -v getent; then getent hosts \"$1\"; return; fi
  if in_hosts \"$1\"; then return; fi
  if command -v host; then host \"$1\"; return; fi
  if command -v nslookup; then nslookup \"$1\"; return; fi
  say \"warning: no getent, host or nslookup here, so $1 was not looked up; mail waits while it does not resolve\"
}}
for name in {names}; do
  resolves \"$name\" > /dev/null || stop \"$name does not resolve here; mail could not leave. Enter it in DNS or /etc/hosts first; nothing was changed\"
done
",
        names = names.join(" ")
    )
}

/// Stops if a next hop is a name that does not resolve: its mail would wait in vain, and bounce in the end.
///
/// `getent` asks what `smtp_host_lookup = native` asks. The other programs ask the DNS alone, so /etc/hosts is read too.
pub(crate) fn next_hops_resolve(names: &[&str], style: Style) -> String {
    if names.is_empty() {
        return String::new();
    }
    let mut text = names_resolve(names);
    if style == Style::Main {
        let _ = write!(
            text,
            "\
case $(postconf -h disable_dns_lookups),$(postconf -h smtp_host_lookup) in
(yes,*|*native*) ;;
(*)
  for name in {names}; do
    if in_hosts \"$name\"; then say \"warning: Postfix does not look into /etc/hosts here (smtp_host_lookup = dns); mail waits unless DNS knows $name too\"; fi
  done
;;
esac
",
            names = names.join(" ")
        );
    }
    text
}

/// Says which settings of this Postfix send mail elsewhere.
pub(crate) fn overriding_settings(style: Style, several: bool) -> String {
    let (before, after, ours) = match style {
        // With several relays `default_transport` names them all, and the maps for `relayhost` have no say.
        Style::Main if several => (
            "transport_maps sender_dependent_default_transport_maps",
            "sender_dependent_relayhost_maps",
            "default_transport",
        ),
        Style::Main => (
            "transport_maps sender_dependent_default_transport_maps sender_dependent_relayhost_maps",
            "",
            "relayhost",
        ),
        Style::Transport | Style::Postconf => (
            "transport_maps sender_dependent_default_transport_maps",
            "relayhost sender_dependent_relayhost_maps",
            "default_transport",
        ),
    };
    let mut text = format!(
        "
# Mail that goes another way.
for name in {before}; do
  value=$(postconf -h \"$name\")
  [ -z \"$value\" ] || say \"warning: $name = $value comes before {ours}: what it names does not go through the relay\"
done
"
    );
    if !after.is_empty() {
        let _ = write!(
            text,
            "\
for name in {after}; do
  value=$(postconf -h \"$name\")
  [ -z \"$value\" ] || say \"warning: $name = $value has no say any more, as {ours} names the relay\"
done
"
        );
    }
    text
}

/// Copies of main.cf and master.cf that come back unless the script reaches its end.
pub(crate) fn keep_old_files() -> String {
    "
# Keep main.cf and master.cf as they are; unless the end is reached they come back.
main=$(readlink -f \"$MAIL_CONFIG/main.cf\")
master=$(readlink -f \"$MAIL_CONFIG/master.cf\")
work=$(mktemp -d \"$files/work.XXXXXX\")
changed=no
leave() {
  result=$?
  trap - 0
  set +e
  if [ $changed = yes ]; then
    mv \"$work/main.cf\" \"$main\" && mv \"$work/master.cf\" \"$master\" && say 'this did not go well; main.cf and master.cf are as before'
  fi
  rm -rf \"$work\"
  exit \"$result\"
}
trap leave 0
trap 'exit 1' 1 2 15
cp -p \"$main\" \"$work/main.cf\"
cp -p \"$master\" \"$work/master.cf\"
"
    .to_owned()
}

/// Runs `postmap` on a map that lies there.
pub(crate) fn build_map(map: &str) -> String {
    format!(
        "
# The map, in the type that this Postfix prefers.
postmap \"$files/{map}\"
"
    )
}

/// The shell function that puts a block into a file.
pub(crate) fn edit_function(owner: &str) -> String {
    format!(
        "
# put NAME FILE WORDS: the block in $work/block goes where its earlier self is in FILE, or to the end.
# What it sets is commented out elsewhere (#relayca#), as Postfix wants nothing twice.
put() {{
  cp -p \"$2\" \"$work/new\"
  awk -v file=\"$1\" -v words=\"$3\" -v owner='{owner}' -v block=\"$work/block\" '
{AWK}  ' \"$2\" > \"$work/new\"
  if cmp -s \"$work/new\" \"$2\"; then return; fi
  changed=yes
  mv \"$work/new\" \"$2\"
}}
"
    )
}

/// A comment or an empty line ends no logical line (master(5)), and an indented line goes on with the one before.
const AWK: &str = r##"    function stop(why) { print "relayca: " file ": " why "; nothing was changed" > "/dev/stderr"; failed = 1; exit 1 }
    function put_block() { while ((getline line < block) > 0) print line; placed = 1 }
    BEGIN { count = split(words, list, " "); for (i = 1; i <= count; i++) ours[list[i]] = 1; inside = "" }
    /^# BEGIN relayca / {
      if (inside != "") stop("the block of " inside " has no END")
      inside = $4 " " $5
      if (inside != owner) print; else if (placed == 0) put_block()
      next
    }
    /^# END relayca / {
      if (inside != $4 " " $5) stop("the block of " $4 " " $5 " has no BEGIN")
      if (inside != owner) print; else hide = 1
      inside = ""
      next
    }
    inside == owner { next }
    /^[ \t\r]*(#|$)/ { print; next }
    /^[ \t]/ { print (hide ? "#relayca# " : "") $0; next }
    {
      if (file == "main.cf") { word = $0; sub(/[ \t]*=.*/, "", word) } else word = $1 "/" $2
      hide = (word in ours)
      if (hide && inside != "") stop(word " belongs to the block of " inside)
      print (hide ? "#relayca# " : "") $0
    }
    END { if (failed) exit 1; if (inside != "") stop("the block of " inside " has no END"); if (placed == 0) put_block() }
"##;

/// A heredoc.
pub(crate) fn here(text: &str, to: &str) -> String {
    format!("cat > {to} << '{DELIMITER}'\n{text}{DELIMITER}\n")
}

/// Puts a block into `main.cf` or `master.cf`; `words` are what it sets.
pub(crate) fn edit(file: &str, words: &str, block: &str) -> String {
    format!("\n{}{}", here(block, "\"$work/block\""), put(file, words))
}

/// Likewise, where Postfix may not know one of the settings.
pub(crate) fn edit_if_known(name: &str, file: &str, words: &str, block: &str) -> String {
    format!(
        "\n{}\
# Not every Postfix knows {name}.
if [ -z \"$(postconf -dh {name} 2> /dev/null)\" ]; then
  sed 's/^{name}/#&/' \"$work/block\" > \"$work/known\"
  mv \"$work/known\" \"$work/block\"
fi
{}",
        here(block, "\"$work/block\""),
        put(file, words)
    )
}

fn put(file: &str, words: &str) -> String {
    format!(
        "put {file} \"${}\" '{words}'\n",
        file.trim_end_matches(".cf")
    )
}

/// Runs commands only where Postfix knows a setting.
pub(crate) fn if_known(name: &str, commands: &str) -> String {
    let mut text = format!("if [ -n \"$(postconf -dh {name} 2> /dev/null)\" ]; then\n");
    for line in commands.lines() {
        let _ = writeln!(text, "  {line}");
    }
    text.push_str("fi\n");
    text
}

/// Marks that files change from here on, where `postconf` does it. A csh runs a paste line by line, without subshell and
/// checks: a variable that it does not know keeps it from changing anything.
pub(crate) fn changing() -> &'static str {
    "\nchanged=yes\npostconf=postconf\n"
}

const CHECK: &str = "
# Does Postfix take it? Then let it begin.
postfix check || stop 'postfix check found a fault'
if postfix status > /dev/null 2>&1; then
  postfix reload
";

/// The end of a block that reloaded Postfix if it runs.
pub(crate) const NOT_RUNNING: &str = "\
else
  say 'Postfix is not running; what was written counts when it starts'
fi
changed=no
say 'done'
)
";

/// Checks, reloads, and lets the new files stay.
pub(crate) fn finish() -> String {
    format!("{CHECK}{NOT_RUNNING}")
}

/// Likewise on a relay, where Postfix ends if it cannot have the port.
pub(crate) fn finish_relay(port: u16) -> String {
    format!(
        "{CHECK}  \
  # Postfix ends if something else has port {port}. Then the old files come back, and Postfix too.
  sleep 1
  if postfix status > /dev/null 2>&1; then :; else
    mv \"$work/main.cf\" \"$main\"; mv \"$work/master.cf\" \"$master\"; changed=no
    postfix start || :
    stop 'Postfix ended: is port {port} taken? main.cf and master.cf are as before, and Postfix was started again'
  fi
{NOT_RUNNING}"
    )
}
