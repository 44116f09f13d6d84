//! Settings and how they are written: in main.cf, below a service of master.cf, and as `postconf` commands.
//!
//! Enters: names, values and the reason for each group. Leaves: text. Refuses to know what the settings do.

use std::fmt::Write as _;

/// Settings that share one reason.
pub(crate) struct Group {
    /// Why, in one line.
    pub(crate) why: String,
    /// Names and values of Postfix parameters.
    pub(crate) settings: Vec<(String, String)>,
}

/// A group.
pub(crate) fn group<const N: usize>(why: &str, settings: [(&str, String); N]) -> Group {
    Group {
        why: why.to_owned(),
        settings: settings
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

/// A group whose values are fixed.
pub(crate) fn fixed<const N: usize>(why: &str, settings: [(&str, &str); N]) -> Group {
    group(why, settings.map(|(name, value)| (name, value.to_owned())))
}

/// A marked block: `owner` is the domain and `relay` or `mailhost`, so that a Postfix can be both. The scripts look for
/// the first and the last line.
pub(crate) fn block(owner: &str, text: &str) -> String {
    format!("# BEGIN relayca {owner}\n{text}# END relayca {owner}\n")
}

/// A service of master.cf: its first line, then `-o` lines with the reasons between them.
///
/// No value has a space in it: after `-o` Postfix would ignore all that follows (master(5)), and `postconf -P` takes none.
pub(crate) fn service(line: &str, groups: &[Group]) -> String {
    let mut text = format!("{line}\n");
    for group in groups {
        let _ = writeln!(text, "  # {}", group.why);
        for (name, value) in &group.settings {
            let _ = writeln!(text, "  -o {name}={value}");
        }
    }
    text
}

/// Settings of main.cf.
pub(crate) fn main_cf(groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups {
        let _ = writeln!(text, "# {}", group.why);
        for (name, value) in &group.settings {
            let _ = writeln!(text, "{}", format!("{name} = {value}").trim_end());
        }
    }
    text
}

/// A service as `postconf -M` and `postconf -P` commands, by the variable that the script sets. `key` is for example
/// `2500/inet`.
pub(crate) fn postconf_service(key: &str, line: &str, groups: &[Group]) -> String {
    let mut text = format!("\"$postconf\" -M '{key}={line}'\n");
    for group in groups {
        let _ = writeln!(text, "# {}", group.why);
        for (name, value) in &group.settings {
            let _ = writeln!(text, "\"$postconf\" -P '{key}/{name}={value}'");
        }
    }
    text
}

/// Settings of main.cf as `postconf -e` commands.
pub(crate) fn postconf_main(groups: &[Group]) -> String {
    let mut text = String::new();
    for group in groups {
        let _ = writeln!(text, "# {}", group.why);
        for (name, value) in &group.settings {
            let _ = writeln!(
                text,
                "\"$postconf\" -e '{}'",
                format!("{name} = {value}").trim_end()
            );
        }
    }
    text
}

/// The names that a piece of main.cf sets.
pub(crate) fn names(groups: &[Group]) -> String {
    let names: Vec<&str> = groups
        .iter()
        .flat_map(|g| g.settings.iter().map(|(name, _)| name.as_str()))
        .collect();
    names.join(" ")
}
