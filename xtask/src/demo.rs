//! `cargo xtask demo`: the main job in a temporary place, shown step by step.
//!
//! Enters: nothing. Leaves: what an admin would see, and where Postfix can be run the log lines of a message that
//! was really relayed. Everything is gone afterwards.

use std::path::PathBuf;

use anyhow::Result;
use xtask::lab;
use xtask::main_job::{Admin, DOMAIN, MAIL_HOST, Pair, RELAY};

use crate::needs;
use crate::test::cargo;

/// Runs the command.
pub fn run() -> Result<()> {
    println!("Building relayca.");
    cargo(&["build", "--quiet", "--locked", "--package", "relayca"])?;
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| needs::workspace().join("target"), PathBuf::from);
    let program = target.join("debug/relayca");
    let tools = ["age", "tar", "script"]
        .iter()
        .all(|tool| needs::present(tool));
    match lab::available() {
        Ok(()) if tools => relay_a_message(&program),
        Ok(()) => without_postfix(&program, "age, tar or script is not installed"),
        Err(reason) => without_postfix(&program, &reason),
    }
}

/// Two Postfixes on loopback, set up by pasting what is printed.
fn relay_a_message(program: &std::path::Path) -> Result<()> {
    heading(&format!(
        "relayca init {DOMAIN}: the authority, and the steps for the relay"
    ));
    println!(
        "(pasted as printed into a real Postfix that plays {RELAY}; directories and port are the demo's)\n"
    );
    let pair = Pair::new(program, &[], None)?;
    print!("{}", pair.init);
    heading("relayca issue mailhost: the steps for the relay's map and for the mail host");
    println!(
        "(pasted likewise; the bundle is opened by age and tar, with the passphrase that relayca shows)\n"
    );
    print!("{}", pair.issue(&[])?);
    finish(&pair.admin)?;
    heading("A message from the mail host through the relay to the internet");
    pair.relays("someone@example.net")?;
    println!("mail host:");
    show_log(
        &pair.mail_host.log(),
        &["Verified TLS connection", "status=sent"],
    );
    println!("relay:");
    show_log(
        &pair.relay.log(),
        &["Trusted TLS connection", "status=sent"],
    );
    for message in pair.internet.messages() {
        println!(
            "the internet got: from <{}> to <{}>",
            message.from,
            message.to.join(">, <")
        );
    }
    println!(
        "\nThe message was relayed. Both Postfixes are stopped and the temporary place is removed."
    );
    Ok(())
}

/// The same without Postfix: the snippets are printed, the bundle is opened.
fn without_postfix(program: &std::path::Path, reason: &str) -> Result<()> {
    println!(
        "No message will be relayed: {reason}. `cargo xtask test`, as root, installs what is missing."
    );
    let admin = Admin::new(program)?;
    heading(&format!(
        "relayca init {DOMAIN}: the authority, and the steps for the relay"
    ));
    print!("{}", admin.init(&[])?);
    heading("relayca issue mailhost: the steps for the relay's map and for the mail host");
    print!("{}", admin.done(&["issue", "mailhost"])?);
    finish(&admin)
}

/// Opens the bundle, and lists what there is.
fn finish(admin: &Admin) -> Result<()> {
    heading("relayca open: what is in the mail host's bundle");
    let bundle = admin
        .file(&format!("bundles/{MAIL_HOST}.tar.age"))
        .display()
        .to_string();
    print!("{}", admin.done(&["open", &bundle])?);
    for style in ["main", "postconf"] {
        heading(&format!("relayca snippet mailhost --style {style}"));
        print!(
            "{}",
            admin.done(&["snippet", "mailhost", "--style", style])?
        );
    }
    heading("relayca list");
    print!("{}", admin.done(&["list"])?);
    Ok(())
}

fn heading(text: &str) {
    println!("\n==== {text}\n");
}

fn show_log(log: &str, words: &[&str]) {
    for line in log
        .lines()
        .filter(|line| words.iter().any(|word| line.contains(word)))
    {
        println!("  {line}");
    }
}
