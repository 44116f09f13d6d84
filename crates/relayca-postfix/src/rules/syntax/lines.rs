//! Lines that Postfix reads differently from what was meant, or not at all.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what the parameters do.

use crate::config::{Defect, DefectKind, MAIN_CF};
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const LOST_OPTIONS: Rule = Rule {
    id: "options-lost-to-a-space",
    severity: Severity::Error,
    title: "a space in an option ends it, and every option behind it is lost",
    why: "In master.cf a value ends at the first space. What stands behind it is no option, and Postfix stops reading options \
          there: `-o smtpd_relay_restrictions=permit_tls_clientcerts, reject` loses `reject` and each later `-o` of the service, \
          without a word.",
    remedy: "write no spaces in the value, or -o { name = value }",
    sources: &["master(5)"],
    check: lost_options,
};

pub(super) const OPTION_NOT_TAKEN: Rule = Rule {
    id: "option-malformed",
    severity: Severity::Error,
    title: "an option that the daemon does not take",
    why: "The daemon stops each time it is started (`missing '=' after attribute name`, `invalid option`): clients get no \
          greeting, and mail is not delivered. Spaces around `=` are for the form in braces.",
    remedy: "write -o name=value, or -o { name = value }",
    sources: &["master(5)"],
    check: option_not_taken,
};

pub(super) const UNDER_COMMENT: Rule = Rule {
    id: "options-under-a-commented-service",
    severity: Severity::Error,
    title: "options of a service that is commented out belong to the one above",
    why: "Lines that begin with a blank go on with the last line that is no comment. So the options under a `#submission ...` \
          count for the service before it, port 25 perhaps: it demands TLS or a login of the whole internet.",
    remedy: "comment the options out as well",
    sources: &["master(5)"],
    check: under_comment,
};

pub(super) const COMMENT_IN_VALUE: Rule = Rule {
    id: "comment-behind-a-value",
    severity: Severity::Error,
    title: "a comment behind a value is part of the value",
    why: "Only a line that begins with # is a comment. `smtp_tls_security_level = may # ...` is the level `may # ...`, which is \
          none: smtp stops (`Invalid TLS level`), and no mail leaves.",
    remedy: "put the comment on a line of its own",
    sources: &["postconf(5)", "master(5)"],
    check: comment_in_value,
};

pub(super) const PARAMETER_TWICE: Rule = Rule {
    id: "parameter-set-twice",
    severity: Severity::Warning,
    title: "a parameter is set more than once in main.cf",
    why: "The last one counts, wherever it stands, and where the values differ every daemon warns `overriding earlier entry`. \
          With maillog_file these warnings go to postlogd, which itself warns into its own socket: with eight or more Postfix \
          hangs as it starts, without a greeting and with an empty log. `cat >> main.cf` of a recipe is how it comes about.",
    remedy: "keep one",
    sources: &["postconf(5)", "postlogd(8)"],
    check: parameter_twice,
};

pub(super) const SERVICE_TWICE: Rule = Rule {
    id: "service-twice",
    severity: Severity::Warning,
    title: "a service stands more than once in master.cf",
    why: "Postfix warns `duplicate master.cf entry` and takes the last one as a whole: the options of the first count for \
          nothing.",
    remedy: "keep one",
    sources: &["master(5)", "master(8)"],
    check: service_twice,
};

pub(super) const FOREIGN_CHARACTERS: Rule = Rule {
    id: "characters-that-are-not-ascii",
    severity: Severity::Warning,
    title: "characters that Postfix does not read as they look",
    why: "Typographic quotes and no-break blanks come from copies of web pages: to Postfix they are part of the name or the \
          value beside them, which is then another. A carriage return is a blank.",
    remedy: "type the line anew",
    sources: &["postconf(5)"],
    check: foreign_characters,
};

pub(super) const MAIN_LINE: Rule = Rule {
    id: "main-cf-line-without-equals",
    severity: Severity::Error,
    title: "a line of main.cf that is no `name = value`",
    why: "Every program of Postfix stops on it (`missing '=' after attribute name`), the next time that it reads main.cf: no \
          daemon starts any more.",
    remedy: "mend the line, or begin it with #",
    sources: &["postconf(5)"],
    check: main_line,
};

pub(super) const MASTER_LINE: Rule = Rule {
    id: "master-cf-line-malformed",
    severity: Severity::Error,
    title: "a line of master.cf that is no service",
    why: "master stops on it, and Postfix does not start. With maillog_file and no syslog `postfix start` says nothing and \
          returns 1; `postconf -M` shows the line.",
    remedy: "give it its eight columns: service type private unpriv chroot wakeup maxproc command",
    sources: &["master(5)"],
    check: master_line,
};

pub(super) const ORPHAN: Rule = Rule {
    id: "line-belongs-nowhere",
    severity: Severity::Warning,
    title: "a line that begins with a blank, and none before it to go on with",
    why: "Lines that begin with a blank go on with the one before. Here there is none, and Postfix passes over it.",
    remedy: "remove the blank, or the line",
    sources: &["postconf(5)", "master(5)"],
    check: orphan,
};

pub(super) const EXPRESSION: Rule = Rule {
    id: "expression-malformed",
    severity: Severity::Error,
    title: "braces or a `$` expression that Postfix cannot read",
    why: "Whatever asks for such a value stops on it (`fatal: macro processing error`), postconf too: Postfix does not start.",
    remedy: "mend the braces; $$ is a plain $",
    sources: &["postconf(5)", "master(5)"],
    check: expression,
};

pub(super) const READ_ONLY: Rule = Rule {
    id: "parameter-set-by-postfix-alone",
    severity: Severity::Note,
    title: "a parameter that only Postfix itself sets",
    why: "process_name, process_id and service_name tell a daemon who it is; postconf warns `read-only parameter assignment`. \
          What is said here of the service and the process id is passed over, and what is said of the name makes values with \
          $process_name wrong.",
    remedy: "remove it",
    sources: &["postconf(5) process_name", "postconf(5) service_name"],
    check: read_only,
};

pub(super) const TOO_LONG: Rule = Rule {
    id: "configuration-not-read-to-the-end",
    severity: Severity::Warning,
    title: "the configuration is larger than is read here",
    why: "What lies beyond was not judged; Postfix reads it.",
    remedy: "keep lists in tables of their own",
    sources: &["postconf(5)"],
    check: too_long,
};

/// The defects of some kinds, as findings of a rule.
fn tell(
    subject: &Subject<'_>,
    rule: &Rule,
    kinds: &[DefectKind],
    found: &mut Vec<Finding>,
    each: impl Fn(&Defect, Finding) -> Finding,
) {
    let config = subject.config;
    for defect in config.main.defects.iter().chain(&config.master.defects) {
        if kinds.contains(&defect.kind) {
            let finding = rule
                .finds(defect.place.clone(), defect.text.clone())
                .on(defect.service.clone());
            found.push(each(defect, finding));
        }
    }
}

fn lost_options(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    tell(
        subject,
        &LOST_OPTIONS,
        &[DefectKind::WordsAfterOption],
        found,
        |_, finding| finding,
    );
}

fn option_not_taken(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let kinds = [
        DefectKind::SpacedOption,
        DefectKind::BadOption,
        DefectKind::UnknownFlag,
    ];
    tell(subject, &OPTION_NOT_TAKEN, &kinds, found, |_, finding| {
        finding
    });
}

fn under_comment(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    tell(
        subject,
        &UNDER_COMMENT,
        &[DefectKind::OptionsUnderComment],
        found,
        |_, finding| finding,
    );
}

fn comment_in_value(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    tell(
        subject,
        &COMMENT_IN_VALUE,
        &[DefectKind::TrailingComment],
        found,
        |_, finding| finding,
    );
}

/// From so many on, with maillog_file, nothing goes any more.
const HANGS: usize = 8;

fn parameter_twice(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let main = &subject.config.main;
    let mut values: std::collections::HashMap<&str, &str> = std::collections::HashMap::new();
    let warned = main
        .entries
        .iter()
        .filter(|entry| {
            values
                .insert(&entry.name, &entry.value)
                .is_some_and(|before| before != entry.value)
        })
        .count();
    let hangs = warned >= HANGS && !subject.config.main_scope().value("maillog_file").is_empty();
    tell(
        subject,
        &PARAMETER_TWICE,
        &[DefectKind::DuplicateParameter],
        found,
        |defect, finding| {
            // Of the same value twice Postfix says nothing.
            let same = defect.name.as_deref().is_some_and(|name| {
                let mut values = main
                    .entries
                    .iter()
                    .filter(|entry| entry.name == name)
                    .map(|entry| &entry.value);
                values
                    .next()
                    .is_some_and(|first| values.all(|value| value == first))
            });
            finding.as_severe_as(if hangs {
                Severity::Error
            } else if same {
                Severity::Note
            } else {
                Severity::Warning
            })
        },
    );
}

fn service_twice(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    tell(
        subject,
        &SERVICE_TWICE,
        &[DefectKind::DuplicateService],
        found,
        |_, finding| finding,
    );
}

fn foreign_characters(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let kinds = [
        DefectKind::NonAscii,
        DefectKind::ControlCharacter,
        DefectKind::CarriageReturn,
        DefectKind::Nul,
    ];
    tell(
        subject,
        &FOREIGN_CHARACTERS,
        &kinds,
        found,
        |defect, finding| {
            // A name in a banner may have letters of its own; quotes and blanks of that kind are never meant.
            let severity = match defect.kind {
                DefectKind::CarriageReturn => Severity::Note,
                DefectKind::NonAscii if defect.text.starts_with("character") => Severity::Note,
                _ => Severity::Warning,
            };
            finding.as_severe_as(severity)
        },
    );
}

fn main_line(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    tell(
        subject,
        &MAIN_LINE,
        &[DefectKind::MissingEquals, DefectKind::MissingName],
        found,
        |_, finding| finding,
    );
}

fn master_line(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    tell(
        subject,
        &MASTER_LINE,
        &[DefectKind::BadService],
        found,
        |_, finding| finding,
    );
}

fn orphan(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    tell(
        subject,
        &ORPHAN,
        &[DefectKind::ContinuationWithoutLine],
        found,
        |_, finding| finding,
    );
}

fn expression(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let kinds = [
        DefectKind::UnbalancedBraces,
        DefectKind::BadExpression,
        DefectKind::Recursion,
    ];
    tell(subject, &EXPRESSION, &kinds, found, |_, finding| finding);
}

fn read_only(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    tell(
        subject,
        &READ_ONLY,
        &[DefectKind::ReadOnlyParameter],
        found,
        |defect, finding| match &defect.name {
            Some(name) if defect.place.file == MAIN_CF => finding.fix([fix::unset(name)]),
            _ => finding,
        },
    );
}

fn too_long(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    tell(
        subject,
        &TOO_LONG,
        &[DefectKind::TooLong],
        found,
        |_, finding| finding,
    );
}
