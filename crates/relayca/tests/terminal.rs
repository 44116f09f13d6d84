//! A person at a terminal: what is asked, what is shown, and what an interrupt leaves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use authority::terminal::Terminal;
use authority::{Admin, Outcome, Tree};

const CTRL_C: u8 = 3;

#[test]
fn an_admin_with_a_passphrase_is_asked_twice_for_a_new_one_and_once_a_command() {
    let admin = Admin::new();
    // `relayca init` alone asks for the domain too.
    let mut terminal = Terminal::run(&admin.relayca(&["init"]));
    terminal.await_text("domain");
    terminal.type_line("example.org");
    terminal.answer(
        "New passphrase for the authority of example.org",
        "correct horse",
    );
    terminal.answer("same again", "correct horse");
    let (code, shown, echoes) = terminal.end_and_echo();
    assert_eq!(code, Some(0), "{shown}");
    assert!(echoes, "the echo is on again");
    assert!(
        !shown.contains("correct horse"),
        "what was typed is not shown"
    );
    // Without a terminal nothing is asked: the error names the flags.
    for arguments in [
        ["issue", "a"].as_slice(),
        &["passphrase", "ca"],
        &["passphrase", "relayhost"],
        &["verify", "ca"],
    ] {
        let told = admin.refused(2, arguments);
        assert!(
            told.contains("--passphrase-file") && told.contains("--passphrase-fd"),
            "{told}"
        );
        // It is sealed to a passphrase already: recipients would open nothing.
        assert!(!told.contains("recipients"), "{told}");
    }
    let mut terminal = Terminal::run(&admin.relayca(&["issue", "mailhost"]));
    terminal.answer(
        "Passphrase of the authority of example.org",
        "correct horse",
    );
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(0), "{shown}");
    assert_eq!(shown.matches("Passphrase of").count(), 1);
    let before = admin.tree();
    let mut terminal = Terminal::run(&admin.relayca(&["issue", "other"]));
    terminal.answer("Passphrase of", "wrong");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(1), "{shown}");
    before.assert_same(&admin.tree());
}

#[test]
fn without_a_terminal_init_asks_nothing_and_names_the_flags() {
    let admin = Admin::new();
    for arguments in [["init", "example.org"].as_slice(), &["init"]] {
        let told = admin.refused(2, arguments);
        assert!(told.contains("terminal"), "{told}");
    }
    assert!(
        admin
            .refused(2, &["init", "example.org"])
            .contains("--passphrase-file")
    );
}

#[test]
fn init_takes_its_domain_from_the_option_that_every_command_has_too() {
    let admin = Admin::new();
    let more = ["--recipient", admin.recipient(), "-i", "key.txt"];
    let told = admin.refused(
        2,
        &[
            ["init", "example.org", "--domain", "example.net"].as_slice(),
            &more,
        ]
        .concat(),
    );
    assert!(told.contains("another domain"), "{told}");
    admin.done(&[["init", "--domain", "example.org"].as_slice(), &more].concat());
    assert!(admin.part("relayca.toml").exists());
}

#[test]
fn a_termination_at_a_prompt_gives_the_echo_back_too() {
    let admin = Admin::with_authority();
    std::fs::copy(
        admin.part("bundles/relayhost.example.org.tar.age"),
        admin.file("b.tar.age"),
    )
    .unwrap();
    let before = Tree::of(&admin.home());
    let mut terminal = Terminal::run(&admin.relayca(&["open", "b.tar.age", "-C", "out"]));
    terminal.await_text("Passphrase of");
    while terminal.echoes() {}
    authority::judge("kill", &["-TERM", &terminal.id().to_string()]);
    let (code, shown, echoes) = terminal.end_and_echo();
    assert_eq!(code, Some(143), "{shown}");
    assert!(echoes);
    before.assert_same(&Tree::of(&admin.home()));
}

#[test]
fn two_different_answers_make_no_authority() {
    let admin = Admin::new();
    let mut terminal = Terminal::run(&admin.relayca(&["init", "example.org"]));
    terminal.answer("New passphrase", "correct horse");
    terminal.answer("same again", "correct house");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("the two passphrases differ"), "{shown}");
    assert!(!admin.file("data").exists(), "nothing was made");
}

#[test]
fn an_empty_answer_is_no_passphrase() {
    let admin = Admin::new();
    let mut terminal = Terminal::run(&admin.relayca(&["init", "example.org"]));
    terminal.answer("New passphrase", "");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("hint:"), "{shown}");
    assert!(!admin.file("data").exists());
}

#[test]
fn a_domain_that_is_none_is_refused_before_a_passphrase_is_asked_for() {
    let admin = Admin::new();
    let mut terminal = Terminal::run(&admin.relayca(&["init"]));
    terminal.await_text("domain");
    terminal.type_line("not a domain");
    let (code, shown) = terminal.end();
    assert_eq!(code, Some(2), "{shown}");
    assert!(!shown.contains("New passphrase"), "{shown}");
}

#[test]
fn answers_piped_in_are_not_taken_for_a_person() {
    // The terminal is there, but standard input is not it.
    let admin = Admin::new();
    let mut command = admin.program("sh");
    command.args([
        "-c",
        "exec \"$0\" init example.org < /dev/null",
        authority::RELAYCA,
    ]);
    let (code, shown) = Terminal::run(&command).end();
    assert_eq!(code, Some(2), "{shown}");
    assert!(shown.contains("--passphrase-file"), "{shown}");
}

#[test]
fn an_interrupt_at_a_prompt_gives_the_echo_back_and_leaves_nothing() {
    let admin = Admin::new();
    let mut terminal = Terminal::run(&admin.relayca(&["init", "example.org"]));
    terminal.answer("New passphrase", "correct horse");
    terminal.await_text("same again");
    while terminal.echoes() {}
    terminal.press(CTRL_C);
    let (code, shown, echoes) = terminal.end_and_echo();
    assert_eq!(code, Some(130), "{shown}");
    assert!(echoes, "the terminal shows again what is typed");
    assert!(!admin.file("data").exists());
}

#[test]
fn an_interrupt_in_the_middle_of_a_bulk_issue_leaves_nothing_half_done() {
    let admin = Admin::with_mailhost();
    let hosts: String = (0..20_000).map(|number| format!("h{number}\n")).collect();
    admin.write("hosts", hosts);
    let before = admin.tree();
    let mut terminal = Terminal::run(&admin.relayca(&["issue", "--from", "hosts"]));
    // Some bundles are written: it is in the middle.
    let staged = admin.part("staged");
    while !staged.read_dir().is_ok_and(|mut all| {
        all.any(|one| {
            one.unwrap()
                .path()
                .read_dir()
                .is_ok_and(|files| files.count() > 40)
        })
    }) {
        std::thread::yield_now();
    }
    terminal.press(CTRL_C);
    let (code, shown, echoes) = terminal.end_and_echo();
    assert_eq!(code, Some(130), "{shown}");
    assert!(shown.contains("relayca: error: interrupted"), "{shown}");
    assert!(
        !shown.contains("cannot write"),
        "the threads that lost their place say nothing: {shown}"
    );
    assert!(echoes);
    // SQLite's own journal may stay: the next command takes it back.
    let after = admin.tree();
    let staged = after
        .names()
        .iter()
        .filter(|name| name.starts_with("staged/"))
        .count();
    assert_eq!(staged, 0, "nothing staged is left");
    let kept = |tree: Tree| {
        tree.without("inventory.db")
            .without("inventory.db-journal")
            .without("staged")
    };
    kept(before).assert_same(&kept(after));
    admin.done(&["issue", "h1"]);
    assert_eq!(admin.serials().len(), 4);
    admin.assert_whole();
}

#[test]
fn a_progress_bar_and_colours_are_for_terminals_only() {
    let admin = Admin::with_authority();
    let hosts: String = (0..60).map(|number| format!("h{number}\n")).collect();
    admin.write("hosts", hosts);
    let piped = admin.run(&["issue", "--from", "hosts"]);
    assert!(
        !piped.stderr.contains('\u{1b}') && !piped.stderr.contains("left"),
        "{}",
        piped.stderr
    );
    assert!(!piped.stdout.contains('\u{1b}'));
    let (code, shown) = Terminal::run(&admin.relayca(&["issue", "mailhost", "h1"])).end();
    assert_eq!(code, Some(1));
    assert!(shown.contains("\u{1b}[1;31merror:"), "{shown:?}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let mut command = admin.relayca(&["issue", "h1"]);
        command.env(name, value);
        let (_, shown) = Terminal::run(&command).end();
        assert!(!shown.contains('\u{1b}'), "{name}: {shown:?}");
        assert!(shown.contains("relayca: error:"), "{shown}");
    }
}

#[test]
fn the_help_and_usage_errors_have_no_colour_off_a_terminal_or_with_no_color() {
    let admin = Admin::new();
    for arguments in [
        ["--help"].as_slice(),
        &["issue", "--help"],
        &["nonsense"],
        &["issue"],
    ] {
        let outcome = admin.run(arguments);
        assert!(!outcome.stdout.contains('\u{1b}') && !outcome.stderr.contains('\u{1b}'));
        let mut command = admin.relayca(arguments);
        command.env("NO_COLOR", "1");
        let (_, shown) = Terminal::run(&command).end();
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
}

#[test]
fn a_progress_bar_is_shown_on_a_terminal_and_not_with_quiet() {
    let admin = Admin::with_authority();
    for (name, quiet, bar) in [("a", false, true), ("b", true, false)] {
        let hosts: String = (0..150).map(|number| format!("{name}{number}\n")).collect();
        admin.write(name, hosts);
        let mut arguments = vec!["issue", "--from", name];
        if quiet {
            arguments.push("-q");
        }
        let (code, shown) = Terminal::run(&admin.relayca(&arguments)).end();
        assert_eq!(code, Some(0), "{shown}");
        assert_eq!(shown.contains("issuing"), bar, "{shown:?}");
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let admin = Admin::with_mailhost();
    for command in [
        "map",
        "list",
        "list --json",
        "snippet relayhost",
        "man",
        "completions bash",
        "show mailhost",
        "--help",
        "issue --help",
    ] {
        // `:` reads nothing and ends at once; sleep lets it go first, whatever the scheduler does.
        let script = format!(
            "{{ cat gate > /dev/null; {} {command}; echo $? >&3; }} 3> code | :",
            authority::RELAYCA
        );
        admin.write("gate", "");
        let outcome = Outcome::of(admin.program("sh").args(["-c", &script]));
        assert_eq!(outcome.code, Some(0));
        assert_eq!(
            std::fs::read_to_string(admin.file("code")).unwrap().trim(),
            "0",
            "{command}: {}",
            outcome.stderr
        );
        assert!(
            !outcome.stderr.contains("error") && !outcome.stderr.contains("panicked"),
            "{command}: {}",
            outcome.stderr
        );
    }
    let outcome = Outcome::of(admin.program("bash").args([
        "-c",
        &format!("set -o pipefail; {} map | head -0", authority::RELAYCA),
    ]));
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
}
