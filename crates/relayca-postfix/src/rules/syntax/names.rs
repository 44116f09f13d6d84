//! Names of parameters that this Postfix does not know.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what the parameters do.

use crate::config::{MASTER_CF, Place, parameter, parameters};
use crate::rules::{Finding, Rule, Severity, Subject, fix};

pub(super) const UNKNOWN: Rule = Rule {
    id: "parameter-unknown",
    severity: Severity::Warning,
    title: "a parameter that no Postfix knows",
    why: "Postfix takes a name that it does not know for one of your own, and never looks at it: what it should do is not done. \
          Only postconf and postfix check warn (`unused parameter`).",
    remedy: "mend the name, or remove the line",
    sources: &["postconf(5)", "postconf(1)"],
    check: unknown,
};

pub(super) const TOO_NEW: Rule = Rule {
    id: "parameter-too-new",
    severity: Severity::Warning,
    title: "a parameter of a later Postfix",
    why: "This version never looks at it; postconf and postfix check warn (`unused parameter`).",
    remedy: "remove it until the Postfix of this host is new enough",
    sources: &["postconf(5)"],
    check: too_new,
};

pub(super) const REMOVED: Rule = Rule {
    id: "parameter-removed",
    severity: Severity::Warning,
    title: "a parameter that this Postfix does not have any more",
    why: "Older versions had it, and this one never looks at it; postconf and postfix check warn (`unused parameter`).",
    remedy: "remove it",
    sources: &["postconf(5)", "RELEASE_NOTES"],
    check: removed,
};

pub(super) const UNDEFINED: Rule = Rule {
    id: "name-undefined",
    severity: Severity::Warning,
    title: "a `$name` that nobody defines",
    why: "It stands for nothing: the value is read as if the `$name` were not there, and a restriction list that was to come \
          from it is empty. Only postconf and postfix check warn (`undefined parameter`).",
    remedy: "define it in main.cf, or mend the name",
    sources: &["postconf(5)", "postconf(1)"],
    check: undefined,
};

/// For so many names it is asked what was meant.
const MOST_SUGGESTIONS: usize = 100;

/// The service on whose lines a place is.
fn service(subject: &Subject<'_>, place: &Place) -> Option<String> {
    let line = place.line.filter(|_| place.file == MASTER_CF)?;
    let services = &subject.config.master.services;
    let behind = services.partition_point(|service| service.line <= line);
    let service = services.get(behind.checked_sub(1)?)?;
    Some(service.label())
}

/// Names that the version does not know, apart by whether others do.
fn each(subject: &Subject<'_>, mut tell: impl FnMut(&str, Place, Option<String>)) {
    for (name, place) in subject.config.unknown_parameters() {
        let who = service(subject, &place);
        tell(&name, place, who);
    }
}

fn unknown(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    let mut suggestions = 0;
    each(subject, |name, place, who| {
        if parameter(name).is_some() {
            return;
        }
        let mut finding = UNKNOWN.finds(place, format!("`{name}` is no parameter of Postfix"));
        suggestions += 1;
        if suggestions <= MOST_SUGGESTIONS
            && let Some(meant) = suggestion(subject, name)
        {
            finding.message = format!("`{name}` is no parameter of Postfix; is `{meant}` meant?");
        }
        found.push(finding.fix([fix::unset_for(who.as_deref(), name)]).on(who));
    });
}

fn too_new(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    each(subject, |name, place, who| {
        let Some(since) = since(subject, name) else {
            return;
        };
        found.push(
            TOO_NEW
                .finds(place, format!("`{name}` came with Postfix {since}"))
                .fix([fix::unset_for(who.as_deref(), name)])
                .on(who),
        );
    });
}

fn removed(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    each(subject, |name, place, who| {
        if since(subject, name).is_some() {
            return;
        }
        let Some(until) = parameter(name).and_then(|parameter| parameter.until) else {
            return;
        };
        found.push(
            REMOVED
                .finds(place, format!("`{name}` is gone since Postfix {until}"))
                .fix([fix::unset_for(who.as_deref(), name)])
                .on(who),
        );
    });
}

/// The version with which a parameter came, if that is later than this.
fn since(subject: &Subject<'_>, name: &str) -> Option<crate::config::Version> {
    let since = parameter(name)?.since?;
    subject
        .config
        .version
        .is_some_and(|version| version < since)
        .then_some(since)
}

fn undefined(subject: &Subject<'_>, found: &mut Vec<Finding>) {
    for (count, (name, place)) in subject
        .config
        .undefined_parameters()
        .into_iter()
        .enumerate()
    {
        let who = service(subject, &place);
        let mut message = format!("nobody defines `${name}`: it stands for nothing");
        if count < MOST_SUGGESTIONS
            && let Some(meant) = suggestion(subject, &name)
        {
            message = format!("{message}; is `${meant}` meant?");
        }
        found.push(UNDEFINED.finds(place, message).on(who));
    }
}

/// A parameter that this version knows, or a name of this configuration, which is a slip of the pen away.
fn suggestion(subject: &Subject<'_>, name: &str) -> Option<String> {
    let far = if name.len() < 8 { 1 } else { 2 };
    let known = parameters()
        .iter()
        .filter(|parameter| parameter.known_by(subject.config.version))
        .map(|parameter| parameter.name);
    known
        .filter(|known| known.len().abs_diff(name.len()) <= far)
        .map(|known| (distance(known, name), known))
        .filter(|(distance, _)| *distance <= far)
        .min()
        .map(|(_, known)| known.to_owned())
}

/// How many letters have to be put in, left out, changed or swapped with the next to get from one to the other.
fn distance(one: &str, other: &str) -> usize {
    let one: Vec<char> = one.chars().collect();
    let other: Vec<char> = other.chars().collect();
    let width = other.len() + 1;
    let at = |rows: &[Vec<usize>], row: usize, column: usize| -> usize {
        rows.get(row)
            .and_then(|cells| cells.get(column))
            .copied()
            .unwrap_or(usize::MAX / 2)
    };
    let mut rows: Vec<Vec<usize>> = vec![(0..width).collect()];
    for (row, left) in (1_usize..).zip(&one) {
        let mut cells = vec![row];
        for (column, right) in (1_usize..).zip(&other) {
            let changed = at(&rows, row - 1, column - 1) + usize::from(left != right);
            let put_in = cells.last().copied().unwrap_or_default() + 1;
            let left_out = at(&rows, row - 1, column) + 1;
            let mut least = changed.min(put_in).min(left_out);
            let swapped = row > 1
                && column > 1
                && one.get(row - 2) == Some(right)
                && other.get(column - 2) == Some(left);
            if swapped {
                least = least.min(at(&rows, row - 2, column - 2) + 1);
            }
            cells.push(least);
        }
        rows.push(cells);
    }
    at(&rows, one.len(), other.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_counted() {
        assert_eq!(distance("smtpd_tls_cert_file", "smtpd_tls_cert_file"), 0);
        assert_eq!(distance("smtpd_tls_cert_file", "smtpd_tls_cert_fiel"), 1);
        assert_eq!(distance("smtpd_tls_cert_file", "smtp_tls_cert_file"), 1);
        assert_eq!(distance("relayhost", "relay_host"), 1);
        assert_eq!(distance("", "ab"), 2);
        assert_eq!(distance("kitten", "sitting"), 3);
    }
}
