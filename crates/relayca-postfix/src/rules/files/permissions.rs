//! Who else can read or replace a key.
//!
//! Enters: a [`Subject`]. Leaves: findings. Refuses to know: what is in the files. Root reads what it likes, so a mode that keeps
//! root out is no fault.

use super::named::{Named, sides};
use super::pairs::{blocks, keys};
use crate::rules::{Finding, Found, Look, Rule, Severity, Subject, fix};

pub(super) const KEY_READABLE: Rule = Rule {
    id: "key-readable-by-everybody",
    severity: Severity::Error,
    title: "everybody on the system can read the private key",
    why: "Whoever has the key can read traffic that was meant for this host, or relay in its name. Postfix opens keys as root, so no more than \
          root needs to read them; it loads a key that all can read without a word.",
    remedy: "take the rights away; if others use the system, make a new key as well",
    sources: &["postconf(5) smtpd_tls_key_file", "TLS_README"],
    check: key_readable,
};

pub(super) const KEY_GROUP_READABLE: Rule = Rule {
    id: "key-readable-by-a-group",
    severity: Severity::Note,
    title: "a group can read the private key",
    why: "Postfix opens keys as root, before it gives up its rights: it needs no group for that. Other programs may.",
    remedy: "if no other program needs it, take the right away",
    sources: &["postconf(5) smtpd_tls_key_file", "TLS_README"],
    check: key_group_readable,
};

pub(super) const KEY_WRITABLE: Rule = Rule {
    id: "key-writable-by-others",
    severity: Severity::Error,
    title: "others than the owner can write the private key",
    why: "Whoever can write it can put a key of their own there. Postfix does not look at the mode and loads what it finds.",
    remedy: "take the right away",
    sources: &["postconf(5) smtpd_tls_key_file"],
    check: key_writable,
};

pub(super) const KEY_OWNER: Rule = Rule {
    id: "key-not-owned-by-root",
    severity: Severity::Warning,
    title: "the private key belongs to another user than root",
    why: "The owner can read and replace it, whatever its mode says. Postfix opens keys as root and needs no other owner; a key of the user \
          `postfix` is in reach of every daemon that talks to the internet.",
    remedy: "give it to root",
    sources: &["postconf(5) smtpd_tls_key_file", "postconf(5) mail_owner"],
    check: key_owner,
};

pub(super) const DIRECTORY_WRITABLE: Rule = Rule {
    id: "directory-of-keys-writable",
    severity: Severity::Error,
    title: "others can write the directory in which a key, certificate or CA file lies",
    why: "Whoever can write the directory can put another file in the place of this one, whatever its own mode: their certificate, or their CA, \
          whose certificates are then trusted. Postfix does not look at modes.",
    remedy: "take the right away",
    sources: &[
        "postconf(5) smtpd_tls_key_file",
        "postconf(5) smtpd_tls_CAfile",
    ],
    check: directory_writable,
};

/// Keys that Postfix has or would load: the key files, and certificate files that hold a key too.
fn key_files<'a>(subject: &Subject<'a>) -> Vec<(Named, &'a Found)> {
    let mut files: Vec<(Named, &Found)> = Vec::new();
    for side in &sides(subject) {
        let mut named = side.key_files();
        named.extend(
            side.pairs()
                .into_iter()
                .map(|pair| pair.certificate)
                .filter(|file| {
                    blocks(subject, &file.path).is_some_and(|blocks| keys(blocks).next().is_some())
                }),
        );
        for file in named {
            let Some(found) = subject.facts.found(&file.path) else {
                continue;
            };
            let without_key = found
                .pem
                .as_ref()
                .is_some_and(|blocks| keys(blocks).next().is_none());
            let known = files
                .iter()
                .any(|(other, _)| other.path == file.path && other.place == file.place);
            if !found.directory && !without_key && !known {
                files.push((file, found));
            }
        }
    }
    files
}

/// Whether owners mean anything: in a tree that an ordinary user unpacked, everything is that user's.
fn owners_are_real(subject: &Subject<'_>) -> bool {
    subject
        .facts
        .paths
        .values()
        .any(|look| matches!(look, Look::Found(found) if found.uid == 0))
}

fn key_readable(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (file, found) in key_files(subject) {
        if found.mode & 0o004 != 0 {
            out.push(
                KEY_READABLE
                    .finds(
                        file.place,
                        format!("`{}` has mode {:04o}", file.path, found.mode),
                    )
                    .on(file.service)
                    .fix([fix::chmod(&file.path, 0o600)]),
            );
        }
    }
}

fn key_group_readable(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (file, found) in key_files(subject) {
        // Debian keeps keys for the group ssl-cert there.
        let meant = found.gid == 0 || file.path.starts_with("/etc/ssl/private/");
        if found.mode & 0o044 == 0o040 && !meant && owners_are_real(subject) {
            out.push(
                KEY_GROUP_READABLE
                    .finds(
                        file.place,
                        format!(
                            "`{}` has mode {:04o} and group {}",
                            file.path, found.mode, found.gid
                        ),
                    )
                    .on(file.service)
                    .fix([fix::chmod(&file.path, 0o600)]),
            );
        }
    }
}

fn key_writable(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for (file, found) in key_files(subject) {
        if found.mode & 0o022 != 0 {
            out.push(
                KEY_WRITABLE
                    .finds(
                        file.place,
                        format!("`{}` has mode {:04o}", file.path, found.mode),
                    )
                    .on(file.service)
                    .fix([fix::chmod(&file.path, 0o600)]),
            );
        }
    }
}

fn key_owner(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    if !owners_are_real(subject) {
        return;
    }
    for (file, found) in key_files(subject) {
        if found.uid != 0 {
            out.push(
                KEY_OWNER
                    .finds(
                        file.place,
                        format!("`{}` belongs to user {}", file.path, found.uid),
                    )
                    .on(file.service)
                    .fix([fix::chown_root(&file.path), fix::chmod(&file.path, 0o600)]),
            );
        }
    }
}

/// A directory that others can write.
pub(in crate::rules) struct Open {
    /// Its path.
    pub directory: String,
    /// Its mode.
    pub mode: u32,
}

impl Open {
    /// The mode without the rights of others.
    pub fn closed(&self) -> u32 {
        self.mode & !0o022
    }

    /// Everybody is worse than a group.
    pub fn severity(&self) -> Severity {
        if self.mode & 0o002 == 0 {
            Severity::Warning
        } else {
            Severity::Error
        }
    }
}

/// The directory in which a file lies, if others can change what lies there. A sticky one lets nobody touch the files of others.
pub(in crate::rules) fn open_directory(subject: &Subject<'_>, path: &str) -> Option<Open> {
    let (directory, _) = path.rsplit_once('/')?;
    let directory = if directory.is_empty() { "/" } else { directory };
    let found = subject.facts.found(directory)?;
    let open = found.mode & 0o002 != 0 || (found.mode & 0o020 != 0 && found.gid != 0);
    (found.directory && open && found.mode & 0o1000 == 0).then(|| Open {
        directory: directory.to_owned(),
        mode: found.mode,
    })
}

fn directory_writable(subject: &Subject<'_>, out: &mut Vec<Finding>) {
    for side in &sides(subject) {
        let mut files = side.loaded();
        files.extend(side.key_files());
        for file in files {
            if let Some(open) = open_directory(subject, &file.path) {
                out.push(
                    DIRECTORY_WRITABLE
                        .finds(
                            file.place,
                            format!(
                                "`{}`, where `{}` lies, has mode {:04o}",
                                open.directory, file.path, open.mode
                            ),
                        )
                        .as_severe_as(open.severity())
                        .on(file.service)
                        .fix([fix::chmod(&open.directory, open.closed())]),
                );
            }
        }
    }
}
