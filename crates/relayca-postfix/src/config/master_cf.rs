//! master.cf.
//!
//! Enters: its bytes. Leaves: the services with their words and the parameters that they override, and what Postfix
//! would not take as it was meant. Refuses to know: what a parameter means.

use std::collections::HashMap;
use std::ops::Range;

use super::MASTER_CF;
use super::defect::{Defect, DefectKind, Defects, shown};
use super::logical::{Logical, is_blank, logical_lines};
use super::options::read_options;
use super::words::{Braces, in_braces, words};

/// How many arguments of a service are read.
const MAX_WORDS: usize = 2000;

/// What master.cf holds.
#[derive(Debug, Clone, Default)]
pub struct MasterCf {
    /// The services, in the order of the file, doubles among them.
    pub services: Vec<Service>,
    /// What Postfix would not take as it was meant, in the order of the lines.
    pub defects: Vec<Defect>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// `smtp`, `2500`, `127.0.0.1:10025`.
    pub name: String,
    /// `inet`, `unix`, `fifo`, `pass` or `unix-dgram`.
    pub kind: String,
    /// Whether only Postfix can reach it; none for `-`.
    pub private: Option<bool>,
    /// Whether it runs as the mail owner; none for `-`.
    pub unprivileged: Option<bool>,
    /// Whether it is chrooted; none for `-`.
    pub chroot: Option<bool>,
    /// Seconds, `0`, `60?`, or `-`.
    pub wakeup: String,
    /// A number or `-`.
    pub max_processes: String,
    /// `smtpd`, `smtp`, `pipe`, ...
    pub command: String,
    /// All arguments of the command, with their lines.
    pub words: Vec<Word>,
    /// The parameters that the service overrides, as far as the daemon takes them, in the order of the file.
    pub options: Vec<Override>,
    /// Its first line, from 1.
    pub line: u32,
    /// How many lines of the file it spans, comments between them counted too.
    pub lines: u32,
    /// Whether it stands in a block that relayca marks as its own.
    pub marked: bool,
    /// Where in the options the last of a name is.
    last: HashMap<String, usize>,
}

/// An argument of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// As the daemon gets it: the outer braces of `{ ... }` are taken off.
    pub text: String,
    /// The line that it begins on.
    pub line: u32,
    /// Whether it stood in braces.
    pub braced: bool,
}

/// A `-o name=value` or `-o { name = value }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// The parameter.
    pub name: String,
    /// The value; nothing is expanded.
    pub value: String,
    /// The line of the value.
    pub line: u32,
    /// Whether it stood in braces.
    pub braced: bool,
}

impl Service {
    /// As `postconf -P` names it: `2500/inet`.
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}/{}", self.name, self.kind)
    }

    /// The last part of the command's path: what `$process_name` is.
    #[must_use]
    pub fn process_name(&self) -> &str {
        self.command.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it receives mail by SMTP.
    #[must_use]
    pub fn is_smtpd(&self) -> bool {
        self.process_name() == "smtpd"
    }

    /// Whether it sends mail by SMTP or LMTP.
    #[must_use]
    pub fn is_smtp_client(&self) -> bool {
        matches!(self.process_name(), "smtp" | "lmtp")
    }

    /// The TCP port that it listens on; none where it does not, or by a name that is not known here.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        if self.kind != "inet" {
            return None;
        }
        let port = self.name.rsplit(':').next().unwrap_or_default();
        match port {
            "smtp" | "mail" => Some(25),
            "submission" | "msa" => Some(587),
            "submissions" | "smtps" | "ssmtp" | "urd" => Some(465),
            "lmtp" => Some(24),
            "qmqp" => Some(628),
            _ if port.bytes().all(|byte| byte.is_ascii_digit()) => port.parse().ok(),
            _ => None,
        }
    }

    /// The option that counts for a parameter: the last.
    #[must_use]
    pub fn option(&self, name: &str) -> Option<&Override> {
        self.last.get(name).and_then(|at| self.options.get(*at))
    }

    /// The options that count, one for a parameter, in the order of the file.
    pub fn counting(&self) -> impl Iterator<Item = &Override> {
        self.options
            .iter()
            .enumerate()
            .filter(|(at, option)| self.last.get(&option.name) == Some(at))
            .map(|(_, option)| option)
    }
}

impl MasterCf {
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let lines = logical_lines(bytes);
        let mut defects = Defects::of(MASTER_CF);
        defects.add_lines(&lines);
        let mut services: Vec<Service> = Vec::new();
        let mut seen: HashMap<(String, String), usize> = HashMap::new();
        let marked = marked_lines(bytes);
        for logical in &lines.lines {
            if logical.is_orphan() {
                let text = logical.text.trim_start();
                defects.add(
                    DefectKind::ContinuationWithoutLine,
                    logical.first(),
                    format!("`{}` belongs to no service", shown(text)),
                );
                continue;
            }
            let Some(mut service) = read_service(logical, &mut defects) else {
                continue;
            };
            service.marked = marked.iter().any(|lines| lines.contains(&service.line));
            if let Some(before) = seen.insert(endpoint(&service), services.len())
                && let Some(before) = services.get(before)
            {
                let text = format!(
                    "`{}` stands on line {} too; Postfix takes the last",
                    shown(&service.label()),
                    before.line
                );
                let kind = DefectKind::DuplicateService;
                defects.push(kind, Some(service.line), Some(service.label()), None, text);
            }
            services.push(service);
        }
        Self {
            services,
            defects: defects.into_vec(),
        }
    }

    /// The service of a label, `2500/inet`: the last.
    #[must_use]
    pub fn service(&self, label: &str) -> Option<&Service> {
        let (name, kind) = label.rsplit_once('/')?;
        self.services
            .iter()
            .rev()
            .find(|service| service.name == name && service.kind == kind)
    }
}

/// The lines of the blocks that relayca put there, as its own script finds them. One without an end goes to the end of the file.
fn marked_lines(bytes: &[u8]) -> Vec<Range<u32>> {
    let mut found = Vec::new();
    let mut begun = None;
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        if line.starts_with(b"# BEGIN relayca ") {
            begun.get_or_insert(number);
        } else if line.starts_with(b"# END relayca ") {
            found.extend(begun.take().map(|begun| begun..number));
        }
    }
    found.extend(begun.map(|begun| begun..u32::MAX));
    found
}

/// By what master(8) tells two services apart: kind and place, a port by its number.
fn endpoint(service: &Service) -> (String, String) {
    let name = match service.port() {
        Some(port) => match service.name.rsplit_once(':') {
            Some((host, _)) => {
                let host = host.trim_matches(|c| matches!(c, '[' | ']'));
                format!("{host}:{port}")
            }
            None => format!(":{port}"),
        },
        None => service.name.clone(),
    };
    let private = service.kind != "inet" && service.private != Some(false);
    (service.kind.clone(), format!("{private}/{name}"))
}

fn read_service(logical: &Logical, defects: &mut Defects) -> Option<Service> {
    let line = logical.first();
    let mut found = words(&logical.text, is_blank);
    let fields: Vec<&str> = found.by_ref().take(8).map(|(_, word)| word).collect();
    let [
        name,
        kind,
        private,
        unprivileged,
        chroot,
        wakeup,
        processes,
        command,
    ] = fields[..]
    else {
        let text = format!(
            "a service has eight fields, `{}` has {}",
            shown(&logical.text),
            fields.len()
        );
        defects.add(DefectKind::BadService, line, text);
        return None;
    };
    let label = format!("{name}/{kind}");
    for text in [
        wrong_kind(kind),
        wrong_flag("private", private),
        wrong_flag("unpriv", unprivileged),
        wrong_flag("chroot", chroot),
        wrong_number("wakeup", wakeup.strip_suffix('?').unwrap_or(wakeup)),
        wrong_number("maxproc", processes),
        (kind == "inet" && matches!(private, "-" | "y")).then(|| {
            "a service of the kind `inet` cannot be private: the third field must be `n`".to_owned()
        }),
        (command == "-").then(|| "there is no default command".to_owned()),
    ]
    .into_iter()
    .flatten()
    {
        let kind = DefectKind::BadService;
        defects.push(kind, Some(line), Some(label.clone()), None, text);
    }
    let mut service = Service {
        name: name.to_owned(),
        kind: kind.to_owned(),
        private: flag(private),
        unprivileged: flag(unprivileged),
        chroot: flag(chroot),
        wakeup: wakeup.to_owned(),
        max_processes: processes.to_owned(),
        command: command.to_owned(),
        words: Vec::new(),
        options: Vec::new(),
        line,
        lines: logical.span(),
        marked: false,
        last: HashMap::new(),
    };
    for (at, text) in found {
        let line = logical.line_at(at);
        if service.words.len() == MAX_WORDS {
            let text = "more words than are read here: 2,000".to_owned();
            let kind = DefectKind::TooLong;
            defects.push(kind, Some(line), Some(label), None, text);
            break;
        }
        service.words.push(read_word(text, line, &label, defects));
    }
    service.options = read_options(&service, defects);
    service.last = (0..)
        .zip(&service.options)
        .map(|(at, option)| (option.name.clone(), at))
        .collect();
    options_under_comment(logical, &service, defects);
    Some(service)
}

fn read_word(text: &str, line: u32, label: &str, defects: &mut Defects) -> Word {
    let braced = text.starts_with('{');
    let (inside, braces) = if braced {
        in_braces(text)
    } else {
        (text, Braces::Balanced)
    };
    let level = |level: i64, byte: u8| match byte {
        b'{' => level + 1,
        b'}' => level - 1,
        _ => level,
    };
    let wrong = match braces {
        Braces::Open => Some("has no closing brace"),
        Braces::TextBehind => Some("goes on behind its closing brace"),
        Braces::Balanced if !braced && text.bytes().fold(0, level) > 0 => {
            Some("has a brace that is not closed, and takes in all that follows")
        }
        Braces::Balanced => None,
    };
    if let Some(wrong) = wrong {
        let kind = DefectKind::UnbalancedBraces;
        let text = format!("`{}` {wrong}", shown(text));
        defects.push(kind, Some(line), Some(label.to_owned()), None, text);
    }
    Word {
        text: inside.to_owned(),
        line,
        braced,
    }
}

/// A comment between the pieces of a service that looks like another service, with words of this one behind it.
fn options_under_comment(logical: &Logical, service: &Service, defects: &mut Defects) {
    for comment in &logical.comments {
        let fields: Vec<&str> = comment.text.split_ascii_whitespace().take(8).collect();
        let [name, kind, private, unprivileged, chroot, _, _, _] = fields[..] else {
            continue;
        };
        if wrong_kind(kind).is_some()
            || [private, unprivileged, chroot]
                .iter()
                .any(|field| wrong_flag("", field).is_some())
            // Another form of the same service: its options were meant for either.
            || (name, kind) == (service.name.as_str(), service.kind.as_str())
        {
            continue;
        }
        if let Some(word) = service.words.iter().find(|word| word.line > comment.line) {
            let text = format!(
                "what follows the commented-out service `{}` of line {} belongs to `{}` of line {}",
                shown(&format!("{name}/{kind}")),
                comment.line,
                shown(&service.label()),
                service.line
            );
            let kind = DefectKind::OptionsUnderComment;
            defects.push(kind, Some(word.line), Some(service.label()), None, text);
            return;
        }
    }
}

fn flag(field: &str) -> Option<bool> {
    match field {
        "y" => Some(true),
        "n" => Some(false),
        _ => None,
    }
}

fn wrong_flag(name: &str, field: &str) -> Option<String> {
    (!matches!(field, "y" | "n" | "-")).then(|| {
        format!(
            "`{}` in the field {name}, which takes `y`, `n` or `-`",
            shown(field)
        )
    })
}

fn wrong_kind(kind: &str) -> Option<String> {
    (!matches!(kind, "inet" | "unix" | "unix-dgram" | "fifo" | "pass"))
        .then(|| format!("`{}` is no kind of service", shown(kind)))
}

fn wrong_number(name: &str, field: &str) -> Option<String> {
    let number = !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_digit());
    (!number && field != "-").then(|| {
        format!(
            "`{}` in the field {name}, which takes a number or `-`",
            shown(field)
        )
    })
}
