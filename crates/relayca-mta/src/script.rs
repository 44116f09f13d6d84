//! The shell around the pieces: what is pasted into a root shell.
//!
//! Enters: words, all checked. Leaves: POSIX `sh`. Refuses to know what any mail server's settings mean.
//!
//! It keeps what relayca-postfix's scripts keep: one subshell; a paste cut short or with CRLF never runs; no tabs, no backslash
//! at a line's end, no apostrophe or `!` in comments; the old files come back unless all went well.

use std::fmt::Write as _;

use relayca_postfix::{
    SUBDIRECTORY, SnippetError, authority_file, certificate_file, key_file, names_resolve, validate,
};

use crate::{MtaError, Sender};

/// Ends the heredocs.
pub(crate) const DELIMITER: &str = "RELAYCA_END";

/// A mail host whose every word was checked.
pub(crate) struct Checked<'a> {
    pub(crate) domain: &'a str,
    pub(crate) host: &'a str,
    pub(crate) directory: &'a str,
    pub(crate) relays: Vec<(&'a str, u16)>,
    /// Relays that are known by another name or an address, and that one.
    pub(crate) elsewhere: Vec<(&'a str, &'a str)>,
    pub(crate) wrapper: bool,
}

impl<'a> Checked<'a> {
    pub(crate) fn of(sender: &'a Sender) -> Result<Self, MtaError> {
        let mut relays = Vec::new();
        let mut elsewhere = Vec::new();
        for relay in &sender.relays {
            let name = validate::host(&relay.certificate_name)?;
            validate::destination(&relay.destination)?;
            let place = (name, validate::port(relay.port)?);
            if relays.contains(&place) {
                return Err(SnippetError::RelayTwice(format!("{name}:{}", relay.port)).into());
            }
            if relay.destination != relay.certificate_name {
                elsewhere.push((name, relay.destination.as_str()));
            }
            relays.push(place);
        }
        if relays.is_empty() {
            return Err(SnippetError::NoRelay.into());
        }
        Ok(Self {
            domain: validate::domain(&sender.domain)?,
            host: validate::host(&sender.host)?,
            directory: validate::directory(&sender.directory)?,
            relays,
            elsewhere,
            wrapper: sender.wrapper,
        })
    }

    /// `DIRECTORY/relayca/NAME`.
    fn file(&self, name: &str) -> String {
        format!("{}/{SUBDIRECTORY}/{name}", self.directory)
    }

    pub(crate) fn key(&self) -> String {
        self.file(&key_file(self.host))
    }

    pub(crate) fn certificate(&self) -> String {
        self.file(&certificate_file(self.host))
    }

    pub(crate) fn trust(&self) -> String {
        self.file(&authority_file(self.domain))
    }

    /// Whose block it is.
    pub(crate) fn owner(&self) -> String {
        format!("{} mailhost", self.domain)
    }

    /// What the admin should know of relays that go by another name.
    pub(crate) fn elsewhere_warnings(&self) -> Vec<String> {
        self.elsewhere
            .iter()
            .map(|(name, place)| {
                format!("the relay {place} is reached as {name}, the name in its certificate: enter that in DNS or in /etc/hosts on {}", self.host)
            })
            .collect()
    }

    /// The names of the relays, each once.
    fn names(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.relays.iter().map(|(name, _)| *name).collect();
        names.dedup();
        names
    }

    /// The first relay, and why the others have no say.
    pub(crate) fn only_relay(&self, mta: &str) -> ((&'a str, u16), Vec<String>) {
        let first = self.relays.first().copied().unwrap_or_default();
        let mut warnings = self.elsewhere_warnings();
        if self.relays.len() > 1 {
            warnings.push(format!(
                "{mta} sends to one relay: {}; the others are left out, and mail waits while it is down",
                first.0
            ));
        }
        (first, warnings)
    }
}

/// The head that all scripts share: shell options, messages, who may run it.
pub(crate) fn head(title: &str, directory: &str) -> String {
    format!(
        "\
# relayca: {title}.
# Paste all of it into sh (or bash, dash, ash, ksh), as root. It runs when the last line is in; a second time does no harm.
(
set -eu
umask 022
PATH=$PATH:/usr/sbin:/usr/local/sbin; export PATH
LC_ALL=C; export LC_ALL
directory={directory}
files=$directory/{SUBDIRECTORY}
say() {{ echo \"relayca: $*\" >&2; }}
stop() {{ say \"$*\"; exit 1; }}

# What must be so before anything is touched.
[ \"$(id -u)\" = 0 ] || stop 'this must run as root; nothing was changed'
"
    )
}

/// The files of the bundle must lie there.
pub(crate) fn files_lie_there(files: &[String], bundle_of: &str) -> String {
    format!(
        "\
for file in {}; do
  [ -s \"$files/$file\" ] || stop \"$files/$file is missing: unpack the bundle of {bundle_of} there first; nothing was changed\"
done
",
        files.join(" ")
    )
}

/// Head, programs and files of a mail host, and the relays' names; `find` says how the mail server is found.
pub(crate) fn start(host: &Checked<'_>, mta: &str, find: &str) -> String {
    let hops: Vec<String> = host
        .relays
        .iter()
        .map(|(name, port)| format!("{name}:{port}"))
        .collect();
    let mut text = head(
        &format!(
            "mail of {} goes through {} ({mta})",
            host.host,
            hops.join(", ")
        ),
        host.directory,
    );
    text.push_str(find);
    text.push_str(&files_lie_there(
        &[
            key_file(host.host),
            certificate_file(host.host),
            authority_file(host.domain),
        ],
        host.host,
    ));
    for (name, place) in &host.elsewhere {
        let _ = writeln!(
            text,
            "# {place} is reached as {name}: that name is in its certificate."
        );
    }
    text.push_str(&names_resolve(&host.names()));
    text
}

/// Files that are replaced come back unless the end is reached.
pub(crate) const KEEP: &str = "
# Files are written beside the old ones and moved over them; the old ones come back unless the end is reached.
work=$(mktemp -d \"$files/work.XXXXXX\")
kept=0
undo() { :; }
leave() {
  result=$?
  trap - 0
  set +e
  if [ \"$kept\" != 0 ]; then
    number=1
    while [ \"$number\" -le \"$kept\" ]; do
      file=$(cat \"$work/$number.name\")
      if [ -f \"$work/$number.old\" ]; then mv \"$work/$number.old\" \"$file\"; else rm -f \"$file\"; fi
      number=$((number + 1))
    done
    undo
    say 'this did not go well; the old files are back'
  fi
  rm -rf \"$work\"
  exit \"$result\"
}
trap leave 0
trap 'exit 1' 1 2 15
# place FILE: what is in $work/new goes there, with the mode of the old one.
place() {
  file=$(readlink -f \"$1\" 2> /dev/null) || file=$1
  [ -n \"$file\" ] || file=$1
  if cmp -s \"$work/new\" \"$file\"; then return; fi
  if [ -f \"$file\" ]; then
    cp -p \"$file\" \"$work/$((kept + 1)).old\"
    cp -p \"$file\" \"$work/next\"
  fi
  cat \"$work/new\" > \"$work/next\"
  echo \"$file\" > \"$work/$((kept + 1)).name\"
  kept=$((kept + 1))
  mv \"$work/next\" \"$file\"
}
";

/// The end: what was written stays.
pub(crate) const DONE: &str = "\
kept=0
say 'done'
)
";

/// A heredoc.
pub(crate) fn here(text: &str, to: &str) -> String {
    format!("cat > {to} << '{DELIMITER}'\n{text}{DELIMITER}\n")
}

/// A marked block.
pub(crate) fn block(owner: &str, text: &str) -> String {
    format!("# BEGIN relayca {owner}\n{text}# END relayca {owner}\n")
}

/// The awk that takes our block out of what is read, and stops where one is another domain's or has no end. `put_block(FILE)`
/// prints a file. What follows sees the other lines.
pub(crate) const AWK: &str = r#"    function stop(why) { print "relayca: " why "; nothing was changed" > "/dev/stderr"; failed = 1; exit 1 }
    function put_block(file) { while ((getline line < file) > 0) print line; close(file) }
    /^# BEGIN relayca / {
      if ($4 " " $5 != owner) stop("it belongs to relayca for " $4)
      if (hide) stop("a block of relayca has no END")
      hide = 1
      next
    }
    /^# END relayca / { hide = 0; next }
    hide { next }
"#;
