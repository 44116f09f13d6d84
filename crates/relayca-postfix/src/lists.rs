//! The scripts that put a relay's list in place, and what keeps an old one from taking the place of a later one.
//!
//! Enters: the text of a list, the change of the authority that it is of. Leaves: POSIX `sh`. Refuses to know whom a list names.

use std::fmt::Write as _;

use crate::script::{head, here};
use crate::{CLIENT_MAP, SnippetError, validate};

/// The lines of a script that refuse a list which is older than the one in `$files/LIST`: it would let in again who was taken out
/// since. They call `stop`. What is there and cannot be told is refused too: reading it must succeed, and a list of relayca's
/// must have a plain number. The highest one counts, as it does for `relayca_fingerprint::progress`.
#[must_use]
pub fn refuse_older_list(list: &str, as_of: u64) -> String {
    format!(
        "\n{OF_CHANGE_OF}{}",
        not_older_than_there(list, &as_of.to_string())
    )
}

/// Compares; `as_of` is a number, or a variable of the shell.
fn not_older_than_there(list: &str, as_of: &str) -> String {
    format!(
        "\
# An old list, from a terminal of last week or a restored backup, would let in again who was taken out since.
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

/// Waits for another paste, `deploy` or `install`, which lock the configuration directory: of two at once the older list might be
/// the last. Below it the list there is compared and replaced. To korn shells the descriptor is their own, unless it is handed on.
pub const LOCK: &str = "\
if command -v flock > /dev/null; then
  exec 9< \"${files%/*}\"
  tries=0
  until flock -n 9 9<&9; do
    tries=$((tries + 1))
    [ \"$tries\" -le 30 ] || stop 'another relayca is at work here; nothing was changed'
    sleep 1
  done
fi
";

/// The line that stops where a directory has the list's name: `mv` would put the list into it, and nobody would be listed.
#[must_use]
pub fn is_no_directory(list: &str) -> String {
    format!(
        "[ ! -d \"$files/{list}\" ] || stop \"$files/{list} is a directory: move it away first; nothing was changed\"\n"
    )
}

/// A place of its own beside the lists.
const WORK: &str = "
# Written beside the old one and moved over it; the old one comes back if postmap does not take the new one.
work=$(mktemp -d \"$files/work.XXXXXX\")
trap 'rm -rf \"$work\"' 0
trap 'exit 1' 1 2 15
";

/// Moves `$work/new` to `$files/NAME` and runs postmap.
fn place(name: &str) -> String {
    format!(
        "\
chmod 644 \"$work/new\"
if [ -f \"$files/{name}\" ]; then cp -p \"$files/{name}\" \"$work/old\"; fi
mv \"$work/new\" \"$files/{name}\"
postmap \"$files/{name}\" || {{
  if [ -f \"$work/old\" ]; then mv \"$work/old\" \"$files/{name}\"; postmap \"$files/{name}\" || :; else rm \"$files/{name}\"; fi
  stop 'postmap failed; the map is as before'
}}
"
    )
}

/// Writes a map whole, unless it is of an earlier change of the authority than the list in place.
pub(crate) fn write_map(directory: &str, name: &str, map_text: &str, as_of: Option<u64>) -> String {
    let mut content = map_text.to_owned();
    if !content.is_empty() && !content.ends_with('\n') {
        content.push('\n');
    }
    format!(
        "\
{head}\
[ -d \"$files\" ] || stop \"$files is missing: unpack the bundle of the relay there first; nothing was changed\"
{is_no_directory}{WORK}{here}{LOCK}{refusal}{place}\
say 'done: {name}'
)
",
        head = head(&format!("the map {name}"), directory),
        is_no_directory = is_no_directory(name),
        refusal = as_of
            .map(|as_of| refuse_older_list(CLIENT_MAP, as_of))
            .unwrap_or_default(),
        here = here(&content, "\"$work/new\""),
        place = place(name),
    )
}

/// The script that takes lists out of `HOST.public.tar`, which lies where it is run, as [`crate::map_script`] puts them in place.
/// The first one says of which change they are: not of an earlier one than `as_of`, or the archive is not the one that was to be sent.
///
/// # Errors
/// [`SnippetError`] where a name or the directory is not plain.
pub fn archived_maps_script(
    config_directory: &str,
    host: &str,
    lists: &[&str],
    as_of: u64,
) -> Result<String, SnippetError> {
    let head = head(
        &format!("the maps in {host}.public.tar"),
        validate::directory(config_directory)?,
    );
    let mut text = from_archive(&head, host, lists, as_of)?;
    for list in lists {
        let _ = write!(
            text,
            "cat \"$work/archive/{list}\" > \"$work/new\"\n{}rm -f \"$work/old\"\n",
            place(list)
        );
    }
    let _ = write!(text, "say 'done: {}'\n)\n", lists.join(" "));
    Ok(text)
}

/// The same up to where the lists lie in `$work/archive`, looked at, for any mail server: `head` defines `say` and `stop`, and sets
/// `files` to the directory.
///
/// # Errors
/// Like [`archived_maps_script`].
pub fn from_archive(
    head: &str,
    host: &str,
    lists: &[&str],
    as_of: u64,
) -> Result<String, SnippetError> {
    let archive = format!("{}.public.tar", validate::host(host)?);
    let first = lists.first().copied().unwrap_or(CLIENT_MAP);
    let names = lists.join(" ");
    Ok(format!(
        "\
{head}\
[ -d \"$files\" ] || stop \"$files is missing: unpack the bundle of the relay there first; nothing was changed\"
{is_no_directory}\
[ -f {archive} ] || stop '{archive} is not in this directory: send it here first; nothing was changed'
{WORK}\
mkdir \"$work/archive\"
tar -xf {archive} -C \"$work/archive\" SHA256SUMS {names} || stop '{archive} has not all of the lists; nothing was changed'
for list in {names}; do
  ( cd \"$work/archive\" && grep \"  $list\\$\" SHA256SUMS > sums && sha256sum -c sums ) || stop \"$list in {archive} is damaged; nothing was changed\"
done
{OF_CHANGE_OF}\
of_change \"$work/archive/{first}\" || stop 'the list in {archive} cannot be read; nothing was changed'
case $change in
(''|odd|-1) stop 'the list in {archive} does not say plainly of which change of the authority it is; nothing was changed' ;;
esac
[ \"$change\" -ge {as_of} ] || stop \"the list in {archive} is of change $change of the authority, and the one to be put in place of change {as_of}: it is an old one; nothing was changed. Send {archive} here anew\"
as_of=$change
{LOCK}{not_older}",
        is_no_directory = lists
            .iter()
            .map(|list| is_no_directory(list))
            .collect::<String>(),
        not_older = not_older_than_there(first, "$as_of"),
    ))
}
