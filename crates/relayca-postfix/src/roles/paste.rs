//! The shell around the pieces of a role: what is looked at first, what is kept, and when it comes back.
//!
//! Enters: plain words and pieces, all validated. Leaves: POSIX `sh`, with the properties that the other scripts keep (one
//! subshell, nothing that a terminal expands, the old files back unless the end is reached). Refuses to know what the
//! settings mean.

use super::hook::Hook;
use crate::script;

/// The oldest Postfix that knows all settings (`*_tls_chain_files` came with 3.4).
const OLDEST: &str = "\
case $(postconf -h mail_version) in
([0-2].*|3.[0-3]|3.[0-3][.-]*) stop 'this Postfix is older than 3.4; nothing was changed' ;;
esac
";

/// The part of `restore` that is about the hook.
pub(super) const HOOK_BACK: &str = "  if [ -f \"$work/hook.old\" ]; then mv \"$work/hook.old\" \"$hook\"; elif [ $hooked = yes ]; then rm -f \"$hook\"; fi\n";

/// The head, and what every role of Postfix needs.
pub(super) fn start(title: &str, config_directory: &str) -> String {
    let mut text = script::head(title, config_directory);
    text.push_str(
        "\
for file in main.cf master.cf; do
  [ -f \"$MAIL_CONFIG/$file\" ] || stop \"$MAIL_CONFIG/$file is missing; nothing was changed\"
done
",
    );
    text.push_str(OLDEST);
    text
}

/// Copies that come back unless the script reaches its end. The hook comes back too, or goes.
pub(super) fn keep(hook: Option<&Hook>) -> String {
    let (assign, back) = match hook {
        Some(hook) => (format!("hook={}\n", hook.path), HOOK_BACK),
        None => (String::new(), ""),
    };
    format!(
        "
# Keep the files as they are; unless the end is reached they come back.
main=$(readlink -f \"$MAIL_CONFIG/main.cf\")
master=$(readlink -f \"$MAIL_CONFIG/master.cf\")
{assign}\
work=$(mktemp -d \"$MAIL_CONFIG/relayca-work.XXXXXX\")
changed=no
hooked=no
restore() {{
  mv \"$work/main.cf\" \"$main\" && mv \"$work/master.cf\" \"$master\" || return 1
{back}  changed=no
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
cp -p \"$main\" \"$work/main.cf\"
cp -p \"$master\" \"$work/master.cf\"
"
    )
}

/// The function that puts blocks into main.cf and master.cf; a script of a role has several owners.
pub(super) fn edit_function() -> String {
    script::edit_function("@OWNER@")
        // The same function for each owner, which the block itself names.
        .replace(
            "-v owner='@OWNER@'",
            "-v owner=\"$(sed -n '1s/^# BEGIN relayca //p' \"$work/block\")\"",
        )
}

/// Checks, reloads, and lets the new files stay. With ports of its own Postfix ends where something else has them.
pub(super) fn finish(port: Option<u16>) -> String {
    let watch = port.map_or_else(String::new, |port| {
        format!(
            "  # Postfix ends if something else has port {port}. Then the old files come back, and Postfix too.
  sleep 1
  if postfix status > /dev/null 2>&1; then :; else
    restore
    postfix start || :
    stop 'Postfix ended: is port {port} taken? Everything is as before, and Postfix was started again'
  fi
"
        )
    });
    format!(
        "
# Does Postfix take it? Then let it begin.
postfix check || stop 'postfix check found a fault'
if postfix status > /dev/null 2>&1; then
  postfix reload
{watch}{}",
        script::NOT_RUNNING
    )
}
