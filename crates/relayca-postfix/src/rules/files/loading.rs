//! Whether what is named can be found, and whether it is what Postfix takes.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what is in the files.

use super::named::{Named, Side, sides};
use crate::config::Origin;
use crate::rules::{Finding, Look, Rule, Severity, Subject, fix};

pub(super) const FILE_RELATIVE: Rule = Rule {
    id: "tls-file-relative",
    severity: Severity::Error,
    title: "a key, certificate or CA file is named by a relative path",
    why: "Postfix's daemons work in the queue directory, not in /etc/postfix, and look for a relative path there. The file is not found: a \
          server answers STARTTLS with `454 4.7.0 TLS not available due to local problem`, and a client has no TLS.",
    remedy: "write the whole path",
    sources: &[
        "postconf(5) queue_directory",
        "postconf(5) smtpd_tls_cert_file",
    ],
    check: file_relative,
};

pub(super) const FILE_MISSING: Rule = Rule {
    id: "tls-file-missing",
    severity: Severity::Error,
    title: "a key, certificate or CA file is not there",
    why: "A file that cannot be opened turns TLS off. A server still offers STARTTLS and answers it with `454 4.7.0 TLS not available due to \
          local problem`: who may, sends the mail in the clear, who must not, waits. A client at level `may` sends in the clear and shows no \
          certificate; at `encrypt` and above the mail waits (4.7.5).",
    remedy: "put the file there, or name the one that is meant",
    sources: &[
        "postconf(5) smtpd_tls_cert_file",
        "postconf(5) smtpd_tls_CAfile",
        "TLS_README",
    ],
    check: file_missing,
};

pub(super) const FILE_IS_DIRECTORY: Rule = Rule {
    id: "tls-file-is-a-directory",
    severity: Severity::Error,
    title: "a directory is named where a file is wanted, or a file where a directory is wanted",
    why: "A directory opens and holds no PEM: OpenSSL finds `no start line`, and TLS is off as if the file were missing (`454 4.7.0 TLS not \
          available due to local problem`). A file as CApath trusts nobody and says nothing.",
    remedy: "name the file, or use smtpd_tls_CApath for a directory of CAs",
    sources: &[
        "postconf(5) smtpd_tls_cert_file",
        "postconf(5) smtpd_tls_CApath",
    ],
    check: file_is_directory,
};

pub(super) const CERTIFICATE_BEATEN: Rule = Rule {
    id: "inherited-certificate-wins",
    severity: Severity::Error,
    title: "a certificate of main.cf is shown instead of the one that the service names",
    why: "Chain files beat every other certificate parameter, whoever sets them. An ECDSA certificate in smtpd_tls_eccert_file is loaded after \
          the one in smtpd_tls_cert_file: it takes its place if that is ECDSA too, and is preferred if that is RSA. So an `-o …_cert_file` of a \
          service is ignored while main.cf sets one of these. On the mail host the relay then sees a certificate that is not listed.",
    remedy: "empty the inherited parameters in the service",
    sources: &[
        "postconf(5) smtpd_tls_chain_files",
        "postconf(5) smtpd_tls_eccert_file",
        "postconf(5) smtp_tls_chain_files",
    ],
    check: certificate_beaten,
};

pub(super) const CHAIN_AND_CERTIFICATE: Rule = Rule {
    id: "chain-files-hide-certificates",
    severity: Severity::Warning,
    title: "chain files and certificate files are both set: the certificate files are ignored",
    why: "With chain files, Postfix does not look at cert_file, eccert_file and dcert_file, and warns of it in the log of every process: a \
          renewed certificate in one of those is never shown.",
    remedy: "keep one kind",
    sources: &["postconf(5) smtpd_tls_chain_files"],
    check: chain_and_certificate,
};

/// All that is loaded, relative or not, of sides that speak TLS; CA directories too.
fn every_path<'a>(side: &Side<'a>) -> Vec<Named> {
    let mut files = side.loaded();
    files.extend(side.named("tls_CApath"));
    files
}

fn is_relative(file: &Named) -> bool {
    !file.written.starts_with('/')
}

fn file_relative(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in sides(subject).iter().filter(|side| side.speaks_tls()) {
        for file in every_path(side).iter().filter(|file| is_relative(file)) {
            let meant = format!(
                "{}/{}",
                subject.config.directory().trim_end_matches('/'),
                file.written
            );
            let there = subject.facts.found(&file.path).is_some();
            let mut finding = FILE_RELATIVE
                .finds(
                    file.place.clone(),
                    if there {
                        format!(
                            "`{}` names `{}`, which is found below the queue directory as `{}` only",
                            file.parameter, file.written, file.path
                        )
                    } else {
                        format!(
                            "`{}` names `{}`, which Postfix looks for as `{}`",
                            file.parameter, file.written, file.path
                        )
                    },
                )
                .on(file.service.clone());
            if there {
                finding = finding.as_severe_as(Severity::Warning);
            }
            // Of several chain files one cannot be set alone.
            let line = if side.chain_files().len() > 1 && file.parameter.ends_with("chain_files") {
                fix::note(&format!("in {}, write `{meant}`", file.parameter))
            } else {
                fix::set_for(file.service.as_deref(), &file.parameter, &meant)
            };
            out.push(finding.fix([line, fix::reload()]));
        }
    }
}

fn file_missing(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in sides(subject).iter().filter(|side| side.speaks_tls()) {
        for file in side.loaded().iter().filter(|file| !is_relative(file)) {
            // Another rule tells of chain files: those fail in another way.
            if file.parameter.ends_with("chain_files") {
                continue;
            }
            if subject.facts.look(&file.path) == Some(&Look::Absent) {
                out.push(
                    FILE_MISSING
                        .finds(
                            file.place.clone(),
                            format!(
                                "`{}` names `{}`, which is not there",
                                file.parameter, file.path
                            ),
                        )
                        .on(file.service.clone())
                        .fix([
                            fix::note(&format!("put `{}` in place, then:", file.path)),
                            fix::reload(),
                        ]),
                );
            }
        }
    }
}

fn file_is_directory(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in sides(subject).iter().filter(|side| side.speaks_tls()) {
        for file in every_path(side) {
            let Some(found) = subject.facts.found(&file.path) else {
                continue;
            };
            let wants_directory = file.parameter.ends_with("CApath");
            if found.directory == wants_directory {
                continue;
            }
            let (is, wanted) = if found.directory {
                ("a directory", "a file")
            } else {
                ("a file", "a directory")
            };
            let mut finding = FILE_IS_DIRECTORY
                .finds(
                    file.place.clone(),
                    format!(
                        "`{}` wants {wanted}, and `{}` is {is}",
                        file.parameter, file.path
                    ),
                )
                .on(file.service.clone());
            finding = match file.parameter.strip_suffix("CAfile") {
                Some(start) if found.directory => finding.fix([
                    fix::set_for(
                        file.service.as_deref(),
                        &format!("{start}CApath"),
                        &file.path,
                    ),
                    fix::unset_for(file.service.as_deref(), &file.parameter),
                    fix::reload(),
                ]),
                _ => finding.fix([fix::note(&format!("name {wanted} in {}", file.parameter))]),
            };
            out.push(finding);
        }
    }
}

fn certificate_beaten(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in sides(subject).iter().filter(|side| side.speaks_tls()) {
        let Some(service) = side.scope.service() else {
            continue;
        };
        let Some(own) = side.named("tls_cert_file").filter(|file| file.own) else {
            continue;
        };
        for rest in ["tls_chain_files", "tls_eccert_file", "tls_dcert_file"] {
            let parameter = side.parameter(rest);
            let value = side.scope.value(&parameter);
            if value.is_empty()
                || !matches!(value.origin, Origin::Main { .. })
                || value.text == own.written
            {
                continue;
            }
            let key = match rest {
                "tls_eccert_file" => Some("tls_eckey_file"),
                "tls_dcert_file" => Some("tls_dkey_file"),
                _ => None,
            };
            let label = service.label();
            let mut lines = vec![fix::override_(&label, &parameter, "")];
            if let Some(key) = key {
                lines.push(fix::override_(&label, &side.parameter(key), ""));
            }
            lines.push(fix::reload());
            let mut finding = CERTIFICATE_BEATEN
                .finds(
                    own.place.clone(),
                    format!(
                        "`{parameter} = {}` of main.cf beats `{}`",
                        value.text, own.written
                    ),
                )
                .on(Some(label))
                .fix(lines);
            // DSA alone is a certificate that nobody asks for; but nothing keeps another kind out of that file.
            if rest == "tls_dcert_file" {
                finding = finding.as_severe_as(Severity::Warning);
            }
            out.push(finding);
            if rest == "tls_chain_files" {
                break;
            }
        }
    }
}

fn chain_and_certificate(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in sides(subject).iter().filter(|side| side.speaks_tls()) {
        let chains = side.value("tls_chain_files");
        if chains.is_empty() {
            continue;
        }
        for rest in ["tls_cert_file", "tls_eccert_file", "tls_dcert_file"] {
            let Some(file) = side.named(rest) else {
                continue;
            };
            // The rule above tells of an own certificate under inherited chains; own chains over an inherited certificate are
            // what was meant.
            let own_chains = matches!(chains.origin, Origin::Override { .. });
            if file.own != own_chains {
                continue;
            }
            out.push(
                CHAIN_AND_CERTIFICATE
                    .finds(
                        file.place.clone(),
                        format!(
                            "`{}` is ignored, because `{}` is set",
                            file.parameter,
                            side.parameter("tls_chain_files")
                        ),
                    )
                    .on(file.service.clone())
                    .fix([
                        fix::unset_for(file.service.as_deref(), &file.parameter),
                        fix::reload(),
                    ]),
            );
        }
    }
}
