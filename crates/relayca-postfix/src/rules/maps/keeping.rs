//! Whether what Postfix reads is what people wrote, and who else can write it.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what is in the tables.

use super::named::{Table, all};
use crate::rules::files::open_directory;
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const NOT_REBUILT: Rule = Rule {
    id: "map-not-rebuilt",
    severity: Severity::Warning,
    title: "the text of a table is newer than its database",
    why: "Postfix reads the database, not the text. A fingerprint that was taken out goes on relaying, one that was added does not relay, until \
          postmap is run. The log warns (`is older than source file`) only when a daemon opens the table, and not in the first minutes after \
          the change.",
    remedy: "run postmap",
    sources: &["postmap(1)", "DATABASE_README"],
    check: not_rebuilt,
};

pub(super) const NEEDS_RELOAD: Rule = Rule {
    id: "map-needs-a-reload",
    severity: Severity::Note,
    title: "changes of this table take effect after a reload only",
    why: "A running smtpd keeps what it read from texthash, regexp, pcre, cidr and inline: a fingerprint that was taken out goes on relaying until \
          `postfix reload`. Databases are noticed when they change.",
    remedy: "reload after each change",
    sources: &["DATABASE_README", "texthash in postconf(1) -m"],
    check: needs_reload,
};

pub(super) const WRITABLE: Rule = Rule {
    id: "map-writable-by-others",
    severity: Severity::Error,
    title: "others can write the table of those who may relay",
    why: "Whoever can write the table, its database or the directory they lie in can list a certificate of their own, and relays. Postfix looks at \
          no modes and says nothing.",
    remedy: "take the right away",
    sources: &["postconf(5) relay_clientcerts", "DATABASE_README"],
    check: writable,
};

fn not_rebuilt(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for table in all(subject) {
        let (Some(source), Some(ends)) = (table.source(subject), table.databases()) else {
            continue;
        };
        let older = ends.iter().any(|end| {
            subject
                .facts
                .found(&format!("{}{end}", table.name))
                .is_some_and(|database| database.modified < source.modified)
        });
        if older {
            let severity = if table.of_fingerprints() {
                Severity::Error
            } else {
                Severity::Warning
            };
            out.push(
                NOT_REBUILT
                    .finds(
                        table.place.clone(),
                        format!("`{}` was changed after its database was built", table.name),
                    )
                    .as_severe_as(severity)
                    .on(table.service.clone())
                    .fix([fix::postmap(&table.kind, &table.name)]),
            );
        }
    }
}

fn needs_reload(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for table in all(subject).iter().filter(|table| table.of_fingerprints()) {
        if matches!(
            table.kind.as_str(),
            "texthash" | "regexp" | "pcre" | "cidr" | "inline"
        ) {
            out.push(
                NEEDS_RELOAD
                    .finds(
                        table.place.clone(),
                        format!(
                            "`{}` of the type `{}` is read once",
                            table.parameter, table.kind
                        ),
                    )
                    .on(table.service.clone())
                    .fix([fix::reload()]),
            );
        }
    }
}

/// The files of a table.
fn files(table: &Table) -> Vec<String> {
    let Some(ends) = table.databases() else {
        return Vec::new();
    };
    std::iter::once(table.name.clone())
        .chain(ends.iter().map(|end| format!("{}{end}", table.name)))
        .collect()
}

fn writable(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for table in all(subject).iter().filter(|table| table.of_fingerprints()) {
        for path in files(table) {
            let Some(found) = subject.facts.found(&path) else {
                continue;
            };
            let open = found.mode & 0o002 != 0 || (found.mode & 0o020 != 0 && found.gid != 0);
            if open && !found.directory {
                out.push(
                    WRITABLE
                        .finds(
                            table.place.clone(),
                            format!("`{path}` has mode {:04o}", found.mode),
                        )
                        .on(table.service.clone())
                        .fix([fix::chmod(&path, found.mode & !0o022)]),
                );
            }
        }
        if table.databases().is_some()
            && let Some(open) = open_directory(subject, &table.name)
        {
            out.push(
                WRITABLE
                    .finds(
                        table.place.clone(),
                        format!(
                            "`{}`, where `{}` lies, has mode {:04o}",
                            open.directory, table.name, open.mode
                        ),
                    )
                    .as_severe_as(open.severity())
                    .on(table.service.clone())
                    .fix([fix::chmod(&open.directory, open.closed())]),
            );
        }
    }
}
