//! The CAs that are trusted: whether a chain can end in them at all.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: whose CA it should be.

use super::certificates::{day, now};
use super::named::{Named, Side, sides};
use super::pairs::{blocks, certificates, keys};
use crate::rules::{Certificate, Finding, Look, Rule, Severity, Subject, fix};

pub(super) const WITHOUT_ROOT: Rule = Rule {
    id: "ca-file-without-root",
    severity: Severity::Error,
    title: "there is no self-signed root in the CA file",
    why: "A chain must end in a root: Postfix does not take an intermediate, or the certificate of the other side itself, as an anchor. With an \
          intermediate alone verification ends in `num=2: unable to get issuer certificate`, with a host's own certificate in `untrusted \
          issuer`; a relay then answers everybody 421, a mail host keeps its mail.",
    remedy: "put the root into the file",
    sources: &[
        "postconf(5) smtpd_tls_CAfile",
        "postconf(5) smtp_tls_CAfile",
    ],
    check: without_root,
};

pub(super) const WITHOUT_CERTIFICATE: Rule = Rule {
    id: "ca-file-without-certificate",
    severity: Severity::Error,
    title: "there is no certificate in the CA file",
    why: "Postfix logs `cannot load Certification Authority data: disabling TLS support`, without the word `warning`: a server answers STARTTLS with \
          `454 4.7.0 TLS not available due to local problem`.",
    remedy: "name the file with the CA's certificate",
    sources: &["postconf(5) smtpd_tls_CAfile"],
    check: without_certificate,
};

pub(super) const WITH_KEY: Rule = Rule {
    id: "ca-file-with-a-key",
    severity: Severity::Error,
    title: "a private key lies in the CA file",
    why: "Postfix overlooks it. If it is the CA's key, whoever reads the file can issue certificates that are trusted here. A CA's key has no \
          business on a mail server.",
    remedy: "take the key out; if others could read it, make a new CA",
    sources: &["postconf(5) smtpd_tls_CAfile"],
    check: with_key,
};

pub(super) const EXPIRED: Rule = Rule {
    id: "ca-expired",
    severity: Severity::Error,
    title: "a CA certificate in the CA file is no longer valid, or ends within 30 days",
    why: "Every certificate below it is refused with it, whatever its own dates say (`CA certificate verification failed: certificate has expired`): a \
          relay that requires certificates answers 421 to all.",
    remedy: "put the new CA certificate beside it, renew the certificates, then take the old one out",
    sources: &["RFC 5280 section 6.1.3", "postconf(5) smtpd_tls_CAfile"],
    check: expired,
};

pub(super) const OUTSIDE_JAIL: Rule = Rule {
    id: "ca-directory-outside-the-jail",
    severity: Severity::Error,
    title: "the CA directory is out of reach of a chrooted service",
    why: "Files of a CA directory are opened when they are needed, after the chroot: the path is then below the queue directory. Nothing is found \
          there, and certificates of the right CA are refused as `untrusted issuer`. A CA file is read before the chroot.",
    remedy: "use a CA file, or take the service out of the jail",
    sources: &[
        "postconf(5) smtpd_tls_CApath",
        "postconf(5) smtp_tls_CApath",
        "master(5) chroot",
    ],
    check: outside_jail,
};

/// More certificates than this are a collection for everybody, not somebody's CA.
const COLLECTION: usize = 20;

fn ca_file<'a>(subject: &Subject<'a>, side: &Side<'_>) -> Option<(Named, Vec<&'a Certificate>)> {
    let file = side.named("tls_CAfile")?;
    let blocks = blocks(subject, &file.path)?;
    Some((file, certificates(blocks).collect()))
}

fn without_root(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in sides(subject).iter().filter(|side| side.needs_trust()) {
        let Some((file, list)) = ca_file(subject, side) else {
            continue;
        };
        let elsewhere = !side.value("tls_CApath").is_empty()
            || side.scope.yes("tls_append_default_CA")
            || (!side.is_server() && !side.value("tls_trust_anchor_file").is_empty());
        if list.is_empty() || elsewhere || list.iter().any(|one| one.self_signed) {
            continue;
        }
        let what = if list.iter().any(|one| one.ca) {
            "intermediate CAs only"
        } else {
            "no CA certificate"
        };
        out.push(
            WITHOUT_ROOT
                .finds(file.place.clone(), format!("`{}` holds {what}", file.path))
                .on(file.service.clone())
                .fix([
                    fix::note(&format!(
                        "put the root's certificate into {}, then:",
                        file.path
                    )),
                    fix::reload(),
                ]),
        );
    }
}

fn without_certificate(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in sides(subject).iter().filter(|side| side.speaks_tls()) {
        let Some((file, list)) = ca_file(subject, side) else {
            continue;
        };
        if list.is_empty() {
            out.push(
                WITHOUT_CERTIFICATE
                    .finds(
                        file.place.clone(),
                        format!("`{}` holds no certificate", file.path),
                    )
                    .on(file.service.clone())
                    .fix([
                        fix::note(&format!("name the CA's certificate in {}", file.parameter)),
                        fix::reload(),
                    ]),
            );
        }
    }
}

fn with_key(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in &sides(subject) {
        let Some(file) = side.named("tls_CAfile") else {
            continue;
        };
        // A file with everything in it, named for everything, is a bad habit, but the key's own rules look at it.
        let own = side.key_files().iter().any(|key| key.path == file.path);
        if !own && blocks(subject, &file.path).is_some_and(|blocks| keys(blocks).next().is_some()) {
            out.push(
                WITH_KEY
                    .finds(
                        file.place.clone(),
                        format!("`{}` holds a private key", file.path),
                    )
                    .on(file.service.clone())
                    .fix([
                        fix::chmod(&file.path, 0o600),
                        fix::note(&format!("take the key out of {}", file.path)),
                    ]),
            );
        }
    }
}

fn expired(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    const MONTH: i64 = 30 * 86_400;
    let Some(now) = now(subject) else { return };
    for side in sides(subject).iter().filter(|side| side.speaks_tls()) {
        let Some((file, list)) = ca_file(subject, side) else {
            continue;
        };
        if list.len() > COLLECTION {
            continue;
        }
        let another = list
            .iter()
            .any(|one| one.self_signed && one.not_after >= now + MONTH && one.not_before <= now);
        for certificate in list.iter().filter(|one| one.not_after < now + MONTH) {
            let gone = certificate.not_after < now;
            let (word, severity) = match (gone, another) {
                (true, false) => ("ended", Severity::Error),
                (true, true) => ("ended", Severity::Note),
                (false, false) => ("ends", Severity::Warning),
                // Being replaced, as it should be.
                (false, true) => continue,
            };
            out.push(
                EXPIRED
                    .finds(
                        file.place.clone(),
                        format!(
                            "{} in `{}` {word} on {}",
                            certificate.subject,
                            file.path,
                            day(certificate.not_after)
                        ),
                    )
                    .as_severe_as(severity)
                    .on(file.service.clone())
                    .fix([
                        fix::note(&format!(
                            "put the CA certificate that is valid into {}, then:",
                            file.path
                        )),
                        fix::reload(),
                    ]),
            );
        }
    }
}

fn outside_jail(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in sides(subject).iter().filter(|side| side.needs_trust()) {
        let Some(service) = side.scope.service() else {
            continue;
        };
        let Some(directory) = side.named("tls_CApath") else {
            continue;
        };
        let jail = side.scope.value("queue_directory").text;
        // What begins with `y` is chrooted; a `-` is so only before 3.0.
        if service.chroot != Some(true) || jail.is_empty() || jail.contains('$') {
            continue;
        }
        let inside = format!("{}{}", jail.trim_end_matches('/'), directory.path);
        let reachable = match subject.facts.look(&inside) {
            Some(Look::Absent) => false,
            Some(_) => true,
            // Debian's start script copies the system's CAs into the jail.
            None => directory.path.starts_with("/etc/ssl/certs"),
        };
        if reachable {
            continue;
        }
        let label = service.label();
        let alone = side.value("tls_CAfile").is_empty();
        out.push(
            OUTSIDE_JAIL
                .finds(
                    directory.place.clone(),
                    format!(
                        "`{}` of a chrooted service is looked for as `{inside}`",
                        directory.path
                    ),
                )
                .as_severe_as(if alone {
                    Severity::Error
                } else {
                    Severity::Note
                })
                .on(Some(label.clone()))
                .fix([fix::field(&label, "chroot", "n"), fix::reload()]),
        );
    }
}
