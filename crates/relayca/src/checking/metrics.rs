//! A report as metrics for node_exporter's textfile collector (the Prometheus text format 0.0.4).
//!
//! In: a report. Out: text. Every series has the domain, as the files of several authorities may lie side by side. It refuses
//! to know where the text goes.

use std::fmt::Write as _;

use super::{Report, Severity};
use crate::dates;

/// The metrics, each with its HELP and TYPE.
pub fn text(report: &Report) -> String {
    let domain = label(&report.domain);
    let mut out = String::new();
    family(
        &mut out,
        "relayca_check_status",
        "What relayca check found: 0 all is well, 3 warnings, 4 critical.",
        [(String::new(), i64::from(report.exit_code()))],
        &domain,
    );
    family(
        &mut out,
        "relayca_findings",
        "Number of findings of a severity.",
        [Severity::Warning, Severity::Critical].map(|severity| {
            (
                format!(",severity=\"{}\"", severity.as_str()),
                i64::try_from(report.count(severity)).unwrap_or(i64::MAX),
            )
        }),
        &domain,
    );
    family(
        &mut out,
        "relayca_certificate_not_after_seconds",
        "End of a certificate in use, in seconds since 1970.",
        report.expiries.iter().map(|expiry| {
            (
                format!(
                    ",host=\"{}\",role=\"{}\",serial=\"{}\"",
                    label(&expiry.subject),
                    label(&expiry.role),
                    label(&expiry.serial)
                ),
                expiry.not_after.unix_timestamp(),
            )
        }),
        &domain,
    );
    family(
        &mut out,
        "relayca_crl_next_update_seconds",
        "When the next revocation list of a CA is due, in seconds since 1970.",
        report.crls.iter().filter_map(|crl| {
            let next = dates::moment(&crl.next_update)?;
            Some((
                format!(",authority=\"{}\"", label(&crl.authority)),
                next.unix_timestamp(),
            ))
        }),
        &domain,
    );
    family(
        &mut out,
        "relayca_checked_at_seconds",
        "When relayca check looked, in seconds since 1970.",
        [(String::new(), report.at.unix_timestamp())],
        &domain,
    );
    out
}

/// One metric; none where it has no sample.
fn family(
    out: &mut String,
    name: &str,
    help: &str,
    samples: impl IntoIterator<Item = (String, i64)>,
    domain: &str,
) {
    let mut samples = samples.into_iter().peekable();
    if samples.peek().is_none() {
        return;
    }
    // Writing to a string cannot fail.
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
    for (labels, value) in samples {
        let _ = writeln!(out, "{name}{{domain=\"{domain}\"{labels}}} {value}");
    }
}

/// A label's value between its quotes.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped() {
        assert_eq!(label("a\"b\\c\nd"), "a\\\"b\\\\c\\nd");
    }
}
