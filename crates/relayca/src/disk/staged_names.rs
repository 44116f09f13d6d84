//! What a staged file is called while it waits.
//!
//! In: a path below the authority, the ID of a change. Out: one plain name, and back. It refuses to know the disk.

use super::unfinished::GOING;
use crate::failure::Failure;

/// Where a staged file goes that has a plain name: the longest hosts' files leave no room for more in it.
const BUNDLES: &str = "bundles/";
/// Begins the name of any other staged file, and stands for `/` in it. No name of ours has one: host names cannot.
const SLASH: char = ',';

/// The name under `staged/ID` of a file that will be at `relative`, which may only go down.
pub(super) fn staged_name(relative: &str) -> Result<String, Failure> {
    let goes_down = relative
        .split('/')
        .all(|part| !matches!(part, "" | "." | ".."));
    if !goes_down || relative.contains([SLASH, '\0']) {
        return Err(Failure::new(format!(
            "`{relative}` is not a path below the authority, or has a comma"
        )));
    }
    Ok(match relative.strip_prefix(BUNDLES) {
        Some(name) if !name.contains('/') => name.to_owned(),
        _ => format!("/{relative}").replace('/', &SLASH.to_string()),
    })
}

/// Between the ID of a change and the name of a file that waits in `staged` itself. Neither has one.
const OF: char = '=';
/// Letters of an ID.
const ID: usize = 32;
/// Bytes of a file's name, on every file system that counts.
const LONGEST_NAME: usize = 255;

/// The name in `staged` itself of what [`staged_name`] gave; `None` where that is too long.
pub(super) fn flat_name(id: &str, name: &str) -> Option<String> {
    let flat = format!("{id}{OF}{name}");
    (flat.len() <= LONGEST_NAME).then_some(flat)
}

/// The ID of the change that this entry of `staged` is of, and which file it is; no file for the directory of a change. `None`
/// for what is not ours.
pub fn id_of(entry: &str, is_directory: bool) -> Option<(&str, Option<&str>)> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_id = |id: &str| id.len() == ID && id.bytes().all(is_hex);
    if is_directory {
        // An interrupt gives it another name before it takes it away.
        return is_id(entry.trim_end_matches(GOING)).then_some((entry, None));
    }
    let (id, name) = entry.split_once(OF)?;
    is_id(id).then_some((id, Some(name)))
}

/// Where the file of this name under `staged/ID` will be; `None` for a name that [`staged_name`] does not give.
pub(super) fn place_of(name: &str) -> Option<String> {
    let relative = match name.strip_prefix(SLASH) {
        Some(rest) => rest.replace(SLASH, "/"),
        None => format!("{BUNDLES}{name}"),
    };
    let ours = staged_name(&relative).is_ok_and(|again| again == name);
    ours.then_some(relative)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_in_staged_is_of_a_change_or_not_ours() {
        let id = "0123456789abcdef".repeat(2);
        let flat = flat_name(&id, ",ca,ca.key.pem").unwrap();
        let parts = Some((id.as_str(), Some(",ca,ca.key.pem")));
        assert_eq!(id_of(&flat, false), parts);
        assert_eq!(id_of(&id, true), Some((id.as_str(), None)));
        let going = format!("{id}.going");
        assert_eq!(id_of(&going, true), Some((going.as_str(), None)));
        for (entry, is_directory) in [
            (id.as_str(), false),
            (&flat, true),
            (".DS_Store", false),
            ("notes=2026.txt", false),
            (".spare", true),
            ("backup", true),
            ("=x", false),
            ("", true),
        ] {
            assert_eq!(id_of(entry, is_directory), None, "{entry}");
        }
        assert!(flat_name(&id, &"h".repeat(222)).is_some());
        assert!(flat_name(&id, &"h".repeat(223)).is_none());
    }

    #[test]
    fn each_name_comes_back_and_no_other_leads_anywhere() {
        for (relative, name) in [
            ("bundles/a.tar.age", "a.tar.age"),
            ("relayca.toml", ",relayca.toml"),
            ("ca/ca.crt.pem", ",ca,ca.crt.pem"),
            ("bundles/a/b", ",bundles,a,b"),
        ] {
            assert_eq!(staged_name(relative).unwrap(), name);
            assert_eq!(place_of(name).as_deref(), Some(relative));
        }
        for bad in ["..", ",..,x", ",", ",,x", "a,b", ",bundles,a", ""] {
            assert_eq!(place_of(bad), None, "{bad}");
        }
        let longest = "h".repeat(255);
        assert_eq!(staged_name(&format!("bundles/{longest}")).unwrap(), longest);
    }
}
