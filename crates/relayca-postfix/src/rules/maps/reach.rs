//! Whether Postfix can open a table at all.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what is in it.

use super::named::{Table, all};
use crate::rules::{Finding, Look, Rule, Severity, Subject, fix};

const SOURCES: &[&str] = &[
    "DATABASE_README",
    "postconf(5) relay_clientcerts",
    "postconf(1) -m",
];

pub(super) const WITHOUT_TYPE: Rule = Rule {
    id: "map-without-type",
    severity: Severity::Error,
    title: "a table is named without its type",
    why: "Whichever daemon reads it ends with `fatal: open dictionary: expecting \"type:name\" form`. Of smtpd a client gets no greeting, and \
          its mail waits.",
    remedy: "write `type:/path`, for example `lmdb:/etc/postfix/relay_clientcerts`",
    sources: SOURCES,
    check: without_type,
};

pub(super) const TYPE_UNKNOWN: Rule = Rule {
    id: "map-type-unknown",
    severity: Severity::Error,
    title: "this Postfix does not have the type of a table",
    why: "Postfix starts, and every lookup fails: `error: unsupported dictionary type`, and the client hears `451 4.3.0 Temporary lookup failure`. \
          hash and btree are gone where Postfix is built without Berkeley DB; lmdb, cdb and pcre are packages of their own on Debian.",
    remedy: "use a type that `postconf -m` lists, or `${default_database_type}:`, and build the table with postmap; or install the package",
    sources: SOURCES,
    check: type_unknown,
};

pub(super) const TYPE_DEPRECATED: Rule = Rule {
    id: "map-type-deprecated",
    severity: Severity::Note,
    title: "a table is of the type hash or btree, which is being given up",
    why: "From 3.11 on Postfix warns that `hash` and `btree` (Berkeley DB) are deprecated, and distributions leave them out.",
    remedy: "use `${default_database_type}:`, lmdb or cdb, and build the table with postmap",
    sources: &["DATABASE_README", "postconf(5) default_database_type"],
    check: type_deprecated,
};

pub(super) const RELATIVE: Rule = Rule {
    id: "map-relative",
    severity: Severity::Error,
    title: "a table is named by a relative path",
    why: "Postfix looks for it below the queue directory, where the daemons work, and not in /etc/postfix. It is not found: `451 4.3.0 Temporary \
          lookup failure`. `postmap` on the command line finds it, because it works where you are.",
    remedy: "write the whole path",
    sources: SOURCES,
    check: relative,
};

pub(super) const MISSING: Rule = Rule {
    id: "map-missing",
    severity: Severity::Error,
    title: "a table, or the database that postmap makes of it, is not there",
    why: "Postfix starts, and every lookup fails: `error: open database …: No such file or directory`. A client hears `451 4.3.0 Temporary lookup \
          failure`, also one that is listed; mail waits.",
    remedy: "build it with postmap, or name the one that is meant",
    sources: SOURCES,
    check: missing,
};

fn without_type(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for table in all(subject) {
        if !table.kind.is_empty() || table.written.contains('$') || table.written.is_empty() {
            continue;
        }
        let meant = format!("${{default_database_type}}:{}", table.written);
        let finding = WITHOUT_TYPE
            .finds(
                table.place.clone(),
                format!(
                    "`{}` names `{}`, which has no type",
                    table.parameter, table.written
                ),
            )
            .on(table.service.clone());
        out.push(if table.parameter == "relay_clientcerts" {
            finding.fix([
                fix::set_for(table.service.as_deref(), &table.parameter, &meant),
                fix::postmap("", &table.written),
                fix::reload(),
            ])
        } else {
            finding.fix([fix::note(&format!("in {}, write {meant}", table.parameter))])
        });
    }
}

/// What to use instead of a type.
fn another_type(subject: &Subject<'_>) -> &'static str {
    let has = |kind: &str| {
        subject
            .facts
            .map_types
            .as_ref()
            .is_some_and(|types| types.iter().any(|known| known == kind))
    };
    ["lmdb", "cdb", "hash"]
        .into_iter()
        .find(|kind| has(kind))
        .unwrap_or("lmdb")
}

/// How to name a table of another type in the place of this one.
fn with_type(table: &Table, kind: &str) -> Vec<String> {
    let meant = format!("{kind}:{}", table.written);
    let line = if table.parameter == "relay_clientcerts" {
        fix::set_for(table.service.as_deref(), &table.parameter, &meant)
    } else {
        fix::note(&format!("in {}, write {meant}", table.parameter))
    };
    vec![fix::postmap(kind, &table.name), line, fix::reload()]
}

fn type_unknown(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    let Some(types) = &subject.facts.map_types else {
        return;
    };
    for table in all(subject) {
        let word = table.kind.chars().all(|c| c.is_ascii_alphanumeric());
        if table.kind.is_empty() || !word || types.contains(&table.kind) {
            continue;
        }
        let mut finding = TYPE_UNKNOWN
            .finds(
                table.place.clone(),
                format!(
                    "`{}` is of a type that this Postfix does not have",
                    table.shown()
                ),
            )
            .on(table.service.clone());
        if table.databases().is_some_and(|ends| !ends.is_empty()) {
            finding = finding.fix(with_type(&table, another_type(subject)));
        }
        out.push(finding);
    }
}

fn type_deprecated(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    if !subject.facts.at_least(3, 11) {
        return;
    }
    for table in all(subject) {
        let known = subject
            .facts
            .map_types
            .as_ref()
            .is_none_or(|types| types.contains(&table.kind));
        if known && matches!(table.kind.as_str(), "hash" | "btree") {
            out.push(
                TYPE_DEPRECATED
                    .finds(
                        table.place.clone(),
                        format!("`{}` is of the type `{}`", table.shown(), table.kind),
                    )
                    .on(table.service.clone())
                    .fix(with_type(&table, another_type(subject))),
            );
        }
    }
}

fn is_relative(table: &Table) -> bool {
    table.databases().is_some()
        && !table.written.starts_with('/')
        && !table.written.contains('$')
        && !table.written.is_empty()
}

fn relative(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for table in all(subject).iter().filter(|table| is_relative(table)) {
        let meant = format!(
            "{}/{}",
            subject.config.directory().trim_end_matches('/'),
            table.written
        );
        let line = if table.parameter == "relay_clientcerts" {
            fix::set_for(
                table.service.as_deref(),
                &table.parameter,
                &format!("{}:{meant}", table.kind),
            )
        } else {
            fix::note(&format!(
                "in {}, write {}:{meant}",
                table.parameter, table.kind
            ))
        };
        out.push(
            RELATIVE
                .finds(
                    table.place.clone(),
                    format!("`{}` is looked for as `{}`", table.shown(), table.name),
                )
                .on(table.service.clone())
                .fix([line, fix::reload()]),
        );
    }
}

fn missing(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for table in all(subject) {
        let Some(ends) = table.databases() else {
            continue;
        };
        if is_relative(&table) {
            continue;
        }
        let is_absent = |path: &str| subject.facts.look(path) == Some(&Look::Absent);
        let absent = if ends.is_empty() {
            is_absent(&table.name).then(|| table.name.clone())
        } else {
            ends.iter()
                .map(|end| format!("{}{end}", table.name))
                .find(|path| is_absent(path))
        };
        let Some(absent) = absent else {
            continue;
        };
        let line = if ends.is_empty() || is_absent(&table.name) {
            fix::note(&format!("write {}, then:", table.name))
        } else {
            fix::postmap(&table.kind, &table.name)
        };
        let mut lines = vec![line];
        if ends.is_empty() {
            lines.push(fix::reload());
        } else if lines.first().is_some_and(|line| line.starts_with('#')) {
            lines.push(fix::postmap(&table.kind, &table.name));
        }
        out.push(
            MISSING
                .finds(
                    table.place.clone(),
                    format!("`{}` needs `{absent}`, which is not there", table.shown()),
                )
                .on(table.service.clone())
                .fix(lines),
        );
    }
}
