//! The judges: stock programs, run on what the crate made.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use relayca_bundle::{Identities, Prompt};
use zeroize::Zeroizing;

/// Runs a program to its end with the given input and insists on success.
pub fn run(program: &str, args: &[&str], dir: &Path, input: &[u8]) -> Vec<u8> {
    let output = try_run(program, args, dir, input);
    assert!(
        output.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output.stdout
}

/// Runs a program to its end with the given input.
pub fn try_run(program: &str, args: &[&str], dir: &Path, input: &[u8]) -> Output {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program} is needed by this test: {e}"));
    // A program that needs no input may have gone before it is written.
    let mut stdin = child.stdin.take().unwrap();
    // Written beside the reading: both pipes could be full otherwise, and each side wait for the other.
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    })
}

/// Runs a shell command on a terminal of its own and types into it, as `age` takes passphrases from terminals only.
#[allow(dead_code)]
pub fn on_terminal(command: &str, dir: &Path, typed: &str) -> bool {
    try_run(
        "script",
        &["-qec", command, "/dev/null"],
        dir,
        typed.as_bytes(),
    )
    .status
    .success()
}

/// Answers every question with the same passphrase, and remembers the questions.
pub struct Typist {
    answer: Option<String>,
    pub asked: Mutex<Vec<String>>,
}

impl Typist {
    #[allow(dead_code)]
    pub fn new(answer: Option<&str>) -> Arc<Self> {
        Arc::new(Self {
            answer: answer.map(str::to_owned),
            asked: Mutex::default(),
        })
    }

    #[allow(dead_code)]
    pub fn times_asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

impl Prompt for Typist {
    fn passphrase(&self, description: &str) -> Option<Zeroizing<String>> {
        self.asked.lock().unwrap().push(description.to_owned());
        self.answer.clone().map(Zeroizing::new)
    }

    fn message(&self, text: &str) {
        self.asked.lock().unwrap().push(text.to_owned());
    }
}

/// Reads an identity file with nobody to ask.
#[allow(dead_code)]
pub fn identities(bytes: &[u8]) -> Identities {
    Identities::parse(bytes, "key.txt", relayca_bundle::no_prompt()).unwrap()
}
