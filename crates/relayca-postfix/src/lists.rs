//! The scripts that put a relay's list in place, and what keeps an old one from taking the place of a later one.
//!
//! Enters: the text of a list, the change of the authority that it is of. Leaves: POSIX `sh`. Refuses to know whom a list names.

use std::fmt::Write as _;

use crate::CLIENT_MAP;
use crate::script::{head, here};

/// The lines of a script that refuse a list which is older than the one in `$files/LIST`: it would let in again who was taken out
/// since. They call `stop`. What is there and cannot be told is refused too: reading it must succeed, and a list of relayca's
/// must have a plain number. The highest one counts, as it does for `relayca_fingerprint::progress`.
#[must_use]
pub fn refuse_older_list(list: &str, as_of: u64) -> String {
    format!(
        "
# An old list, from a terminal of last week or a restored backup, would let in again who was taken out since.
{OF_CHANGE_OF}\
if [ -e \"$files/{list}\" ]; then
  of_change \"$files/{list}\" || stop \"$files/{list} cannot be read; nothing was changed\"
  remedy=\"\\`relayca map --format paste\\` prints today's. If the authority was made anew or restored from a backup, look whom its list has, and remove $files/{list} first\"
  case $change in
  (odd|-1) stop \"the list here does not say plainly of which change of the authority it is; nothing was changed. $remedy\" ;;
  esac
  [ \"${{change:-0}}\" -le {as_of} ] || stop \"the list here is of change $change of the authority, and this one of change {as_of}: it is an old one; nothing was changed. $remedy\"
fi
"
    )
}

/// Says in `$change` of which change of the authority a list is: the highest number that it has; `odd` where one is not plain; -1
/// where it is relayca's and has none; nothing where it is somebody else's. Fifteen digits are what every shell can compare.
pub(crate) const OF_CHANGE_OF: &str = r##"of_change() {
  said=$(LC_ALL=C sed -n '
    /^[[:space:]]*#[[:space:]]*As of change[[:space:]][[:space:]]*[0-9]\{1,15\}\([[:space:]].*\)*$/ {
      s/^[^0-9]*\([0-9]*\).*$/\1/
      s/^0*\(.\)/\1/
      p
      d
    }
    s/^[[:space:]]*#[[:space:]]*As of change.*$/odd/p
    s/^[[:space:]]*#[[:space:]]*Who may relay, by .*$/own/p
    s/^[[:space:]]*#.*Made by relayca.*$/own/p
  ' "$1") || return
  change=
  for word in $said; do
    case $word in
    (odd) change=odd; return ;;
    (own) change=${change:--1} ;;
    (*) [ "${change:--1}" -ge "$word" ] || change=$word ;;
    esac
  done
}
"##;

/// The line that stops where a directory has the list's name: `mv` would put the list into it, and nobody would be listed.
#[must_use]
pub fn is_no_directory(list: &str) -> String {
    format!(
        "[ ! -d \"$files/{list}\" ] || stop \"$files/{list} is a directory: move it away first; nothing was changed\"\n"
    )
}

/// Writes a map whole, unless it is of an earlier change of the authority than the list in place.
pub(crate) fn write_map(directory: &str, name: &str, map_text: &str, as_of: Option<u64>) -> String {
    let mut content = map_text.to_owned();
    if !content.is_empty() && !content.ends_with('\n') {
        content.push('\n');
    }
    let mut text = head(&format!("the map {name}"), directory);
    let _ = write!(
        text,
        "\
[ -d \"$files\" ] || stop \"$files is missing: unpack the bundle of the relay there first; nothing was changed\"
{}{}
# Written beside the old one and moved over it; the old one comes back if postmap does not take the new one.
work=$(mktemp -d \"$files/work.XXXXXX\")
trap 'rm -rf \"$work\"' 0
trap 'exit 1' 1 2 15
{}\
chmod 644 \"$work/new\"
if [ -f \"$files/{name}\" ]; then cp -p \"$files/{name}\" \"$work/old\"; fi
mv \"$work/new\" \"$files/{name}\"
postmap \"$files/{name}\" || {{
  if [ -f \"$work/old\" ]; then mv \"$work/old\" \"$files/{name}\"; postmap \"$files/{name}\" || :; else rm \"$files/{name}\"; fi
  stop 'postmap failed; the map is as before'
}}
say 'done: {name}'
)
",
        is_no_directory(name),
        as_of
            .map(|as_of| refuse_older_list(CLIENT_MAP, as_of))
            .unwrap_or_default(),
        here(&content, "\"$work/new\"")
    );
    text
}
