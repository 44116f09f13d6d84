//! What a staged file is called while it waits.
//!
//! In: a path below the authority. Out: one plain name, and back. It refuses to know the disk.

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
