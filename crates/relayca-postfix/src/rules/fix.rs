//! Remedies as text to paste into a root shell.
//!
//! Enters: names, values and paths, wherever they come from. Leaves: one line each, a command or a `#` note for people.
//! Refuses to know what is wrong: what cannot be quoted safely, or what the command would not take, becomes a note.

/// `postconf -e`: sets a parameter in main.cf.
#[must_use]
pub fn set(name: &str, value: &str) -> String {
    if is_parameter(name) && is_one_line(value) {
        let assignment = format!("{name} = {value}");
        format!("postconf -e {}", quoted(assignment.trim_end()))
    } else {
        note(&format!("in main.cf: {name} = {value}"))
    }
}

/// `postconf -X`: removes a parameter from main.cf, so that its default counts.
#[must_use]
pub fn unset(name: &str) -> String {
    if is_parameter(name) {
        format!("postconf -X {}", quoted(name))
    } else {
        note(&format!("remove {name} from main.cf"))
    }
}

/// `postconf -P`: sets `-o name=value` of a service in master.cf. The service is its label, `2500/inet`. `postconf -P` takes no
/// blanks in a value, so such a one is written as a note in the braced form that master.cf takes.
#[must_use]
pub fn override_(service: &str, name: &str, value: &str) -> String {
    let plain = is_one_line(value) && !value.contains([' ', '\t']);
    if is_service(service) && is_parameter(name) && plain {
        format!(
            "postconf -P {}",
            quoted(&format!("{service}/{name}={value}"))
        )
    } else if plain {
        note(&format!("in master.cf, under {service}: -o {name}={value}"))
    } else {
        note(&format!(
            "in master.cf, under {service}: -o {{ {name} = {value} }}"
        ))
    }
}

/// `postconf -PX`: removes a `-o` of a service from master.cf.
#[must_use]
pub fn unset_override(service: &str, name: &str) -> String {
    if is_service(service) && is_parameter(name) {
        format!("postconf -PX {}", quoted(&format!("{service}/{name}")))
    } else {
        note(&format!("in master.cf, remove -o {name} of {service}"))
    }
}

/// [`set`] or [`override_`]: for a service where one is given, else in main.cf.
#[must_use]
pub fn set_for(service: Option<&str>, name: &str, value: &str) -> String {
    match service {
        Some(service) => override_(service, name, value),
        None => set(name, value),
    }
}

/// [`unset`] or [`unset_override`]: of a service where one is given, else in main.cf.
#[must_use]
pub fn unset_for(service: Option<&str>, name: &str) -> String {
    match service {
        Some(service) => unset_override(service, name),
        None => unset(name),
    }
}

/// `postconf -F`: sets a column of a service in master.cf (`private`, `unprivileged`, `chroot`, `wakeup`, `process_limit`, `command`).
#[must_use]
pub fn field(service: &str, column: &str, value: &str) -> String {
    let plain = is_one_line(value) && !value.contains([' ', '\t']) && !value.is_empty();
    if is_service(service) && is_parameter(column) && plain {
        format!(
            "postconf -F {}",
            quoted(&format!("{service}/{column}={value}"))
        )
    } else {
        note(&format!(
            "in master.cf, set the {column} of {service} to {value}"
        ))
    }
}

/// `postconf -M#`: comments a service out of master.cf.
#[must_use]
pub fn without_service(service: &str) -> String {
    if is_service(service) {
        format!("postconf -M# {}", quoted(service))
    } else {
        note(&format!("comment {service} out of master.cf"))
    }
}

/// `chmod`, with the bits in octal.
#[must_use]
pub fn chmod(path: &str, mode: u32) -> String {
    if is_absolute(path) {
        format!("chmod {:04o} {}", mode & 0o7777, quoted(path))
    } else {
        note(&format!("chmod {:04o} {path}", mode & 0o7777))
    }
}

/// `chown root:root`.
#[must_use]
pub fn chown_root(path: &str) -> String {
    if is_absolute(path) {
        format!("chown root:root {}", quoted(path))
    } else {
        note(&format!("chown root:root {path}"))
    }
}

/// `postmap`: builds a map's database from its text. An empty type leaves it to `$default_database_type`.
#[must_use]
pub fn postmap(kind: &str, path: &str) -> String {
    let known = kind.chars().all(|c| c.is_ascii_alphanumeric());
    match (is_absolute(path), kind) {
        (true, "") => format!("postmap {}", quoted(path)),
        (true, kind) if known => format!("postmap {}", quoted(&format!("{kind}:{path}"))),
        _ => note(&format!("postmap {kind}:{path}")),
    }
}

/// `postfix reload`.
#[must_use]
pub fn reload() -> String {
    "postfix reload".to_owned()
}

/// A line for people: `# text`. Control characters, line ends included, and those that turn the writing become blanks.
#[must_use]
pub fn note(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if hides(c) { ' ' } else { c })
        .collect();
    format!("# {}", text.trim())
}

/// Whether a line of these, command or note, would have a service of master.cf changed.
pub(super) fn edits_service(line: &str, label: &str) -> bool {
    match line.strip_prefix("# ") {
        Some(note) => {
            let tells = note.starts_with("in master.cf, ") || note.ends_with(" out of master.cf");
            let is_label = |word: &str| word.trim_end_matches(':') == label;
            tells && note.split(' ').any(is_label)
        }
        None => ["-P", "-PX", "-F", "-M#"].iter().any(|option| {
            line.strip_prefix(&format!("postconf {option} '{label}"))
                .is_some_and(|rest| rest.starts_with(['/', '\'']))
        }),
    }
}

/// One word for `sh`, whatever is in it.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// No control characters: those could end a line or hide what is pasted.
fn is_one_line(text: &str) -> bool {
    !text.chars().any(hides)
}

/// Control characters, and those that turn the direction of writing.
fn hides(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn is_parameter(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// `name/type`, in which nothing is a pattern for postconf or splits its argument.
fn is_service(label: &str) -> bool {
    label.split_once('/').is_some_and(|(name, kind)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || ".:_-[]%+".contains(c);
        !name.is_empty()
            && name.chars().all(plain)
            && matches!(kind, "inet" | "unix" | "unix-dgram" | "fifo" | "pass")
    })
}

fn is_absolute(path: &str) -> bool {
    path.starts_with('/') && is_one_line(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use std::process::Command;

    #[test]
    fn commands_are_as_postconf_takes_them() {
        assert_eq!(
            set("smtpd_tls_req_ccert", "yes"),
            "postconf -e 'smtpd_tls_req_ccert = yes'"
        );
        assert_eq!(
            set("smtpd_tls_CApath", ""),
            "postconf -e 'smtpd_tls_CApath ='"
        );
        assert_eq!(
            override_("2500/inet", "smtpd_tls_CApath", ""),
            "postconf -P '2500/inet/smtpd_tls_CApath='"
        );
        assert_eq!(
            override_("2500/inet", "a", "permit_tls_clientcerts, defer"),
            "# in master.cf, under 2500/inet: -o { a = permit_tls_clientcerts, defer }"
        );
        assert_eq!(chmod("/etc/a key", 0o600), "chmod 0600 '/etc/a key'");
        assert_eq!(postmap("lmdb", "/etc/m"), "postmap 'lmdb:/etc/m'");
        assert_eq!(postmap("", "/etc/m"), "postmap '/etc/m'");
        assert_eq!(
            field("smtp/unix", "chroot", "n"),
            "postconf -F 'smtp/unix/chroot=n'"
        );
    }

    #[test]
    fn what_edits_a_service_is_known_by_its_line() {
        for line in [
            override_("2500/inet", "a", "b"),
            override_("2500/inet", "a", "b c"),
            unset_override("2500/inet", "a"),
            field("2500/inet", "chroot", "n"),
            field("2500/inet", "chroot", ""),
            without_service("2500/inet"),
        ] {
            assert!(edits_service(&line, "2500/inet"), "{line}");
            assert!(!edits_service(&line, "500/inet"), "{line}");
            assert!(!edits_service(&line, "2500/in"), "{line}");
        }
        assert!(!edits_service(&set("a", "2500/inet"), "2500/inet"));
    }

    #[test]
    fn a_shell_runs_nothing_that_a_name_or_value_brings_along() {
        let nasty = [
            "'; touch /tmp/owned; '",
            "$(id)",
            "`id`",
            "a\nid",
            "a\rid",
            "*",
            "a'b\"c\\",
            "!SSLv2,!SSLv3",
            "\u{202e}x",
            "-rf",
            "",
        ];
        for text in nasty {
            let path = format!("/{text}");
            let service = format!("{text}/inet");
            for line in [
                set(text, text),
                set("name", text),
                unset(text),
                override_(&service, text, text),
                override_("25/inet", "name", text),
                unset_override(&service, text),
                field(&service, text, text),
                without_service(&service),
                chmod(&path, 0o600),
                chmod(text, 0o600),
                chown_root(&path),
                postmap(text, &path),
                note(text),
            ] {
                assert!(!line.contains(['\n', '\r', '\u{202e}']), "{line:?}");
                assert_eq!(line.lines().count(), 1, "{line:?}");
                if line.starts_with('#') {
                    continue;
                }
                // The shell sees the words, and nothing but words.
                let (program, rest) = line.split_once(' ').unwrap();
                assert!(["postconf", "chmod", "chown", "postmap"].contains(&program));
                let said = Command::new("sh")
                    .args(["-c", &format!("printf '%s\\n' {rest}")])
                    .current_dir("/")
                    .output()
                    .unwrap();
                assert!(said.status.success(), "{line}");
                let said = String::from_utf8(said.stdout).unwrap();
                assert!(said.contains(text), "{line} gave {said}");
            }
        }
    }
}
