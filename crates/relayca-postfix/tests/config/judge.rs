//! `postconf`: this machine's, or the one that RELAYCA_POSTCONF names (a wrapper around another version's).

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::fs;
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use relayca_postfix::config::{Config, Defect, DefectKind, Place, Service, Version};
use tempfile::TempDir;

fn program() -> String {
    std::env::var("RELAYCA_POSTCONF").unwrap_or_else(|_| "postconf".to_owned())
}

/// The version of the judge.
pub fn version() -> Version {
    static VERSION: OnceLock<Version> = OnceLock::new();
    *VERSION.get_or_init(|| {
        let output = Command::new(program())
            .args(["-d", "-h", "mail_version"])
            .output()
            .expect("postconf");
        let text = String::from_utf8(output.stdout).unwrap();
        text.trim().parse().expect(&text)
    })
}

/// A directory with a main.cf and a master.cf, and what `postconf` says of it.
pub struct Judge {
    directory: TempDir,
}

/// What `postconf` said.
#[derive(Debug)]
pub struct Said {
    pub ok: bool,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Said {
    /// The names it warned of in this manner, with the file of each.
    pub fn warned(&self, manner: &str) -> BTreeSet<(String, String)> {
        self.stderr
            .lines()
            .filter_map(|line| {
                let (_, warning) = line.split_once(": warning: ")?;
                let (file, rest) = warning.split_once(&format!(": {manner}: "))?;
                let file = file.rsplit('/').next()?;
                // A value follows the one, nothing the other.
                let name = match manner {
                    "unused parameter" => rest.split('=').next()?,
                    _ => rest,
                };
                Some((file.to_owned(), masked(name)))
            })
            .collect()
    }
}

/// What cannot be printed is a question mark in a warning.
fn masked(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b' '..=b'~' => char::from(byte),
            _ => '?',
        })
        .collect()
}

impl Judge {
    pub fn of(main_cf: &[u8], master_cf: &[u8]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        for (name, text) in [("main.cf", main_cf), ("master.cf", master_cf)] {
            let path = directory.path().join(name);
            fs::write(&path, text).unwrap();
            // A file that was just written is read again and again until it has cooled down.
            let file = fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(3600))
                .unwrap();
        }
        Self { directory }
    }

    pub fn directory(&self) -> &str {
        self.directory.path().to_str().unwrap()
    }

    pub fn ask(&self, arguments: &[&str]) -> Said {
        let Output {
            status,
            stdout,
            stderr,
        } = Command::new(program())
            .args(["-c", self.directory()])
            .args(arguments)
            .output()
            .expect("postconf");
        Said {
            ok: status.success(),
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        }
    }
}

/// Asserts that the reader agrees, as [`compare`] has it, and that `postconf` takes the configuration.
pub fn assert_agrees(main_cf: &[u8], master_cf: &[u8]) {
    match compare(main_cf, master_cf) {
        Ok(taken) => assert!(taken, "postconf refuses it"),
        Err(why) => panic!("{why}"),
    }
}

/// Compares all that the reader says of a configuration with what `postconf` says: what is set, what is unknown, what
/// expands to what, what the services are and override. Gives whether `postconf` took it at all, or where they differ.
pub fn compare(main_cf: &[u8], master_cf: &[u8]) -> Result<bool, String> {
    let judge = Judge::of(main_cf, master_cf);
    let config =
        Config::parse(main_cf, Some(master_cf), Some(version())).in_directory(judge.directory());
    judged(&judge, &config).map_err(|why| {
        let shown = |bytes: &[u8]| bytes.escape_ascii().to_string().replace("\\n", "\n");
        let (main_cf, master_cf) = (shown(main_cf), shown(master_cf));
        format!("main.cf:\n{main_cf}\nmaster.cf:\n{master_cf}\n{why}")
    })
}

/// `postconf` sleeps a second before it stops at a fault: many at once.
const AT_ONCE: usize = 16;

/// Does something with each of many, several at once; what comes of it in the same order.
pub fn at_once<T: Sync, R: Send>(all: &[T], each: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let mut done: Vec<(usize, R)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE.min(all.len()))
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(one) = all.get(at) else { break done };
                        done.push((at, each(one)));
                    }
                })
            })
            .collect();
        let threads = threads.into_iter();
        threads.flat_map(|thread| thread.join().unwrap()).collect()
    });
    done.sort_by_key(|(at, _)| *at);
    done.into_iter().map(|(_, result)| result).collect()
}

/// [`compare`] for many.
pub fn compare_all(files: &[(String, String)]) -> Vec<Result<bool, String>> {
    at_once(files, |(main_cf, master_cf)| {
        compare(main_cf.as_bytes(), master_cf.as_bytes())
    })
}

/// Whether two are the same; else what they are.
fn same<T: Debug + PartialEq>(what: &str, ours: T, theirs: T) -> Result<(), String> {
    if ours == theirs {
        Ok(())
    } else {
        Err(format!("{what}\n  ours: {ours:?}\ntheirs: {theirs:?}"))
    }
}

fn names(found: Vec<(String, Place)>) -> BTreeSet<(String, String)> {
    found
        .into_iter()
        .map(|(name, place)| (place.file, masked(&name)))
        .collect()
}

fn judged(judge: &Judge, config: &Config) -> Result<bool, String> {
    let defects = || config.main.defects.iter().chain(&config.master.defects);
    let said = judge.ask(&["-n"]);
    if defects().any(|defect| {
        matches!(
            defect.kind,
            DefectKind::MissingEquals | DefectKind::MissingName | DefectKind::BadService
        )
    }) {
        same(&format!("refused: {said:?}"), false, said.ok)?;
        return Ok(false);
    }
    // A value that is no expression stops it here only where it looks for tables in it; `-x` always looks.
    let broken = |defect: &Defect| {
        matches!(
            defect.kind,
            DefectKind::BadExpression | DefectKind::Recursion
        )
    };
    if defects().any(broken) {
        for defect in config
            .main
            .defects
            .iter()
            .filter(|defect| broken(defect))
            .take(2)
        {
            let name = defect.name.as_deref().unwrap();
            let said = judge.ask(&["-x", "-h", name]);
            let stopped = !said.ok || said.stderr.contains(": unknown parameter");
            same(&format!("{defect:?}\n{said:?}"), true, stopped)?;
        }
        return Ok(false);
    }
    same(&format!("taken: {said:?}"), true, said.ok)?;

    let unknown = names(config.unknown_parameters());
    same("unknown", &unknown, &said.warned("unused parameter"))?;
    let undefined = names(config.undefined_parameters());
    same("undefined", &undefined, &said.warned("undefined parameter"))?;

    for expanded in [false, true] {
        let said = judge.ask(if expanded { &["-n", "-x"] } else { &["-n"] });
        let ours: BTreeSet<String> = config
            .main
            .counting()
            .filter(|entry| !unknown.contains(&("main.cf".to_owned(), entry.name.clone())))
            .filter(|entry| !is_read_only(&entry.name))
            .map(|entry| {
                let value = if expanded {
                    config.main_scope().value(&entry.name).text
                } else {
                    entry.value.clone()
                };
                single_blanks(&format!("{} = {value}", entry.name))
            })
            .collect();
        let theirs: BTreeSet<String> = lines(&said)
            .filter(|line| !line.starts_with("config_directory = "))
            .collect();
        let what = if expanded { "-n -x" } else { "-n" };
        same(what, ours, theirs)?;
    }
    judge_services(judge, config)?;
    Ok(true)
}

/// What Postfix sets itself is struck out.
fn is_read_only(name: &str) -> bool {
    matches!(name, "process_name" | "process_id")
}

fn lines(said: &Said) -> impl Iterator<Item = String> {
    let text = String::from_utf8_lossy(&said.stdout).into_owned();
    let lines: Vec<String> = text
        .split('\n')
        .filter(|line| !line.is_empty())
        .map(single_blanks)
        .collect();
    lines.into_iter()
}

/// `postconf` writes one blank for several, whatever the value says.
fn single_blanks(line: &str) -> String {
    let words = line
        .split([' ', '\t', '\r'])
        .filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

fn judge_services(judge: &Judge, config: &Config) -> Result<(), String> {
    let said = judge.ask(&["-M"]);
    let theirs: Vec<String> = lines(&said).collect();
    let ours: Vec<String> = config.master.services.iter().map(rendered).collect();
    same("-M", ours, theirs)?;
    for expanded in [false, true] {
        let said = judge.ask(if expanded { &["-P", "-x"] } else { &["-P"] });
        let theirs: BTreeSet<String> = lines(&said).collect();
        let mut ours = BTreeSet::new();
        for service in &config.master.services {
            let scope = config.scope(service);
            for option in service
                .counting()
                .filter(|option| !is_read_only(&option.name))
            {
                let value = if expanded {
                    match scope.expanded(&option.value) {
                        Some(text) => text,
                        // One that the daemon does not expand when it reads it, `postconf` does.
                        None => return same("-P -x", false, said.ok),
                    }
                } else {
                    option.value.clone()
                };
                let line = format!("{}/{} = {value}", service.label(), option.name);
                ours.insert(single_blanks(&line));
            }
        }
        same(if expanded { "-P -x" } else { "-P" }, ours, theirs)?;
    }
    Ok(())
}

/// A service as `postconf -M` writes it, with single blanks between the fields.
fn rendered(service: &Service) -> String {
    let flag = |flag: Option<bool>| match flag {
        Some(true) => "y",
        Some(false) => "n",
        None => "-",
    };
    let mut line = [
        &service.name,
        &service.kind,
        flag(service.private),
        flag(service.unprivileged),
        flag(service.chroot),
        &service.wakeup,
        &service.max_processes,
        &service.command,
    ]
    .join(" ");
    let blank = |text: &str| text.contains([' ', '\t', '\r']);
    let mut words = service.words.iter();
    let mut options = true;
    while let Some(word) = words.next() {
        if options && (!word.text.starts_with('-') || word.text == "--") {
            // The braces of the first word behind the options are forgotten.
            options = false;
            line.push_str(&format!(" {}", word.text));
            continue;
        }
        if !options {
            line.push_str(&if blank(&word.text) {
                format!(" {{{}}}", word.text)
            } else {
                format!(" {}", word.text)
            });
            continue;
        }
        // `-vo` is written as two.
        let letters = word.text.trim_start_matches('-');
        let (flags, option) = match letters.split_once('o') {
            Some((flags, rest)) => (flags, Some(rest)),
            None => (letters, None),
        };
        if !flags.is_empty() {
            line.push_str(&format!(" -{flags}"));
        }
        let Some(attached) = option else { continue };
        line.push_str(" -o");
        let (mut value, braced) = if attached.is_empty() {
            match words.next() {
                Some(word) => (word.text.clone(), word.braced),
                None => continue,
            }
        } else {
            (attached.to_owned(), false)
        };
        if braced && let Some((name, rest)) = value.split_once('=') {
            value = format!("{}={}", name.trim(), rest.trim());
        }
        line.push_str(&if blank(&value) {
            format!(" {{{value}}}")
        } else {
            format!(" {value}")
        });
    }
    single_blanks(&line)
}
