//! The blocks that are printed, piped into a shell as root: what they leave, and the status that `ssh root@HOST sh` ends with.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use authority::cas::{RELAY, renew_and_retire_hosts};
use authority::feed;
use authority::piping::{LIST, SHELLS, Story, fails, names};
use authority::terminal::Terminal;

#[test]
fn a_list_that_was_not_put_in_place_makes_the_whole_block_fail() {
    let story = Story::new();
    let old = story.admin.done(&["map", "--format", "paste"]);
    story.admin.done(&["issue", "mail2"]);
    let new = story.admin.done(&["map", "--format", "paste"]);
    for shell in SHELLS {
        let _ = fs::remove_file(story.files().join(LIST));
        fs::write(story.files().join("relay_ccert_access"), "x\n").unwrap();
        story.pipe(shell, &new).done();
        assert!(story.called().contains("reload"), "{shell:?}");
        let list = story.list();
        assert!(list.contains("mail2"));

        let said = fails(story.pipe(shell, &old));
        assert_eq!(said.matches("it is an old one").count(), 1, "{said}");
        assert_eq!(story.list(), list);

        // As where the file is `chattr +i`.
        story.pretend("mv", "exit 1");
        let said = fails(story.pipe(shell, &new));
        assert!(!said.contains("done"), "{said}");
        fs::remove_file(story.admin.file("bin/mv")).unwrap();

        story.pretend("postmap", "exit 1");
        let said = fails(story.pipe(shell, &new));
        assert!(said.contains("postmap failed"), "{said}");
        story.pretend("postmap", "exit 0");
        assert!(!story.called().contains("reload"), "{shell:?}");

        story.pretend("postfix", "[ \"$1\" != reload ]");
        fails(story.pipe(shell, &new));
        story.pretend("postfix", "exit 0");

        fs::rename(story.files(), story.config().join("elsewhere")).unwrap();
        let said = fails(story.pipe(shell, &new));
        assert!(said.contains("unpack the bundle"), "{said}");
        fs::rename(story.config().join("elsewhere"), story.files()).unwrap();
        story.assert_no_work_left();
        story.called();

        // A shell into which it is pasted lives on.
        let said = story
            .pipe(shell, &format!("{old}echo status $? and still here\n"))
            .done();
        assert!(said.contains("status 1 and still here"), "{said}");
    }
}

#[test]
fn age_asks_the_admin_for_its_passphrase_and_not_the_next_pasted_line() {
    let story = Story::new();
    let admin = &story.admin;
    for (number, shell) in ["dash -i", "bash --norc --noprofile --noediting -i"]
        .into_iter()
        .enumerate()
    {
        let host = format!("new{number}.example.org");
        let printed = admin.done(&["issue", &host]);
        let passphrase = admin.done(&["passphrase", &host]);
        let sealed = format!("{host}.tar.age");
        fs::copy(
            admin.part(&format!("bundles/{sealed}")),
            admin.home().join(&sealed),
        )
        .unwrap();
        let directory = admin.file("opened");
        let step = story
            .step(&printed, "unpack the bundle")
            .replace("/etc/postfix", directory.to_str().unwrap());
        let words: Vec<&str> = shell.split(' ').collect();
        let mut command = admin.program(words[0]);
        command.args(&words[1..]).current_dir(admin.home());
        let mut terminal = Terminal::run(&command);
        terminal.type_line(step.trim_end());
        terminal.answer("assphrase", passphrase.trim());
        terminal.await_text("snippet.sh: OK");
        terminal.type_line("exit");
        terminal.end();
        assert!(directory.join(format!("relayca/{host}.key.pem")).exists());
        assert!(!admin.home().join(&sealed).exists());
        fs::remove_dir_all(&directory).unwrap();
    }
}

/// Lines that the same rules read: those of a list of relayca, and what people make of them.
const LINES: [&str; 22] = [
    "",
    "# Who may relay, by sha256 of the public key. Made by relayca.",
    "  # Who may relay, by sha1",
    "# Needs something. Made by relayca.",
    "AA:BB own.example.org",
    "# As of change 7 of the authority: a list with a lower number is an older one.",
    "# As of change 8 of the authority: a list with a lower number is an older one.  ",
    "\t# As of change 6 of the authority: edited",
    " #As of change\t9",
    "# As of change 0007 of the authority: 999",
    "# As of change 8\r",
    "# As of change 999999999999999 of",
    "# As of change 1000000000000000 of the authority:",
    "# As of change 99999999999999999999999999 of the authority:",
    "# As of change -5 of the authority:",
    "# As of change 5x of the authority:",
    "# As of change of the authority:",
    "# As of change",
    "# As of changes 5",
    "# as of change 9",
    "As of change 9",
    "# in words: # As of change 9",
];

#[test]
fn the_block_and_install_read_the_same_number_from_a_list() {
    let place = tempfile::tempdir().unwrap();
    let mut expected = String::new();
    let mut count = 0;
    for first in LINES {
        for second in LINES {
            let text = format!("{first}\n{second}\n");
            let files = place.path().join(format!("{count}"));
            fs::create_dir(&files).unwrap();
            fs::write(files.join(LIST), &text).unwrap();
            let ours = |line: &&str| line.contains("Made by relayca") || line.contains("Who may");
            let taken = match relayca_fingerprint::progress(&text) {
                Some(number) => number <= 7,
                None => !text.lines().any(|line| ours(&line)),
            };
            expected.push_str(&format!("{count} {taken}\n"));
            count += 1;
        }
    }
    let script = format!(
        "set -eu
        stop() {{ echo \"$*\" >&2; exit 1; }}
        judge() (
          {}
          echo \"${{files##*/}} true\"
        )
        number=0
        while [ $number -lt {count} ]; do
          files={}/$number
          judge || echo \"$number false\"
          number=$((number + 1))
        done
        ",
        relayca_postfix::refuse_older_list(LIST, 7),
        place.path().display()
    );
    for shell in SHELLS {
        let mut command = Command::new(shell[0]);
        command.args(&shell[1..]);
        let said = feed(&mut command, script.as_bytes());
        assert_eq!(said.stdout, expected, "{shell:?}: {}", said.stderr);
        assert!(said.stderr.contains("does not say plainly"));
    }
    assert!(expected.contains("true") && expected.contains("false"));
}

#[test]
fn a_list_that_cannot_be_read_is_not_replaced() {
    let story = Story::new();
    let block = story.admin.done(&["map", "--format", "paste"]);
    fs::write(
        story.files().join(LIST),
        "# As of change 2 of the authority\n# As of change 99 of the authority\n",
    )
    .unwrap();
    let list = story.list();
    for shell in SHELLS {
        // Missing, and failing.
        for status in [127, 1] {
            story.pretend("sed", &format!("exit {status}"));
            let said = fails(story.pipe(shell, &block));
            assert!(said.contains("cannot be read"), "{said}");
            assert_eq!(story.list(), list);
        }
        fs::remove_file(story.admin.file("bin/sed")).unwrap();
        story.pretend("head", "exit 127");
        let said = fails(story.pipe(shell, &block));
        assert!(said.contains("of change 99 of the authority"), "{said}");
        assert_eq!(story.list(), list);
    }
}

#[test]
fn a_directory_in_the_place_of_the_list_is_not_filled() {
    let story = Story::new();
    let block = story.admin.done(&["map", "--format", "paste"]);
    let list = story.files().join(LIST);
    for shell in SHELLS {
        fs::create_dir(&list).unwrap();
        let said = fails(story.pipe(shell, &block));
        assert!(
            said.contains("is a directory") && !said.contains("done"),
            "{said}"
        );
        assert!(names(&list).is_empty());
        fs::remove_dir(&list).unwrap();
        // A link to one is the same to mv.
        std::os::unix::fs::symlink(story.config(), &list).unwrap();
        fails(story.pipe(shell, &block));
        assert_eq!(names(&story.config()), ["relayca"]);
        fs::remove_file(&list).unwrap();
        assert_eq!(story.called(), "", "{shell:?}");
    }
}

#[test]
fn an_old_archive_does_not_bring_back_a_revoked_host() {
    let story = Story::new();
    let admin = &story.admin;
    let hosts: String = (0..101).map(|number| format!("h{number}\n")).collect();
    admin.write("hosts.txt", hosts);
    let archive = admin.part("bundles/relayhost.example.org.public.tar");
    let sent = admin.home().join("relayhost.example.org.public.tar");
    let first = story.step(
        &admin.done(&["issue", "--from", "hosts.txt"]),
        "put the map in place",
    );
    let old = fs::read(&archive).unwrap();
    let second = story.step(&admin.done(&["revoke", "h7"]), "put the map in place");
    let in_home = |block: &str| format!("cd {}\n{block}", admin.home().display());
    for shell in SHELLS {
        let _ = fs::remove_file(story.files().join(LIST));
        fs::write(&sent, &old).unwrap();
        story.pipe(shell, &in_home(&first)).done();
        assert!(story.called().contains("reload"), "{shell:?}");
        assert!(story.list().contains("h7.example.org"));
        // The old archive still lies there: nobody copied the new one.
        let said = fails(story.pipe(shell, &in_home(&second)));
        assert!(said.contains("it is an old one"), "{said}");
        fs::copy(&archive, &sent).unwrap();
        story.pipe(shell, &in_home(&second)).done();
        story.pipe(shell, &in_home(&second)).done();
        let list = story.list();
        assert!(!list.contains("h7.example.org") && list.contains("h8.example.org"));
        // What was printed before, with what was sent before.
        fs::write(&sent, &old).unwrap();
        let said = fails(story.pipe(shell, &in_home(&first)));
        assert!(said.contains("it is an old one"), "{said}");
        // Damaged, or not there at all.
        let digest = |text: &[u8]| {
            text.windows(9)
                .position(|part| part == b" h8.examp")
                .unwrap()
        };
        let mut damaged = fs::read(&archive).unwrap();
        let at = digest(&damaged);
        damaged[at + 1] = b'x';
        fs::write(&sent, &damaged).unwrap();
        let said = fails(story.pipe(shell, &in_home(&second)));
        assert!(said.contains("is damaged"), "{said}");
        fs::remove_file(&sent).unwrap();
        fails(story.pipe(shell, &in_home(&second)));
        assert_eq!(story.list(), list);
        story.assert_no_work_left();
    }
}

#[test]
fn a_relays_bundle_that_is_unpacked_late_leaves_the_later_list() {
    let story = Story::new();
    let admin = &story.admin;
    let host = "relayhost.example.org";
    let printed = admin.done(&["renew", "--rekey", host]);
    let step = story.step(&printed, "unpack the bundle");
    let opened = authority::unseal(admin, host);
    let sealed = admin.home().join(format!("{host}.tar.age"));
    let archive = |files: &[&str]| {
        let mut command = admin.program("tar");
        command.args(["-cf", sealed.to_str().unwrap(), "-C"]);
        authority::judged(command.arg(&opened).args(files));
    };
    // What it is sealed with is looked at elsewhere.
    story.pretend("age", "exec cat \"$2\"");
    let in_home = format!("cd {}\n{step}", admin.home().display());
    let all = names(&opened);
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    assert!(all.contains(&LIST) && all.contains(&"SHA256SUMS"));
    for tar in ["tar", "busybox tar"] {
        story.pretend(
            "tar",
            &format!("exec /usr/bin/env PATH=/usr/bin:/bin {tar} \"$@\""),
        );
        for shell in SHELLS {
            fs::remove_dir_all(story.files()).unwrap();
            archive(&all);
            story.pipe(shell, &in_home).done();
            assert_eq!(names(&story.files()), names(&opened), "{tar} {shell:?}");
            assert!(!sealed.exists());
            let key = story.files().join(format!("{host}.key.pem"));
            assert_eq!(key.metadata().unwrap().permissions().mode() & 0o777, 0o600);

            fs::write(story.files().join(LIST), "later\n").unwrap();
            fs::write(&key, "old\n").unwrap();
            archive(&all);
            story.pipe(shell, &in_home).done();
            assert_eq!(story.list(), "later\n");
            assert!(fs::read_to_string(&key).unwrap().contains("PRIVATE KEY"));

            // A file of SHA256SUMS is missing: nothing of it is taken.
            fs::write(&key, "old\n").unwrap();
            let without: Vec<&str> = all.iter().copied().filter(|name| *name != LIST).collect();
            archive(&without);
            fails(story.pipe(shell, &in_home));
            assert_eq!(fs::read_to_string(&key).unwrap(), "old\n");
            assert!(sealed.exists());
            story.assert_no_work_left();
        }
    }
}

#[test]
fn a_paste_during_another_waits_and_then_compares() {
    let story = Story::new();
    let old = story.admin.done(&["map", "--format", "paste"]);
    for shell in SHELLS {
        let _ = fs::remove_file(story.files().join(LIST));
        story.pretend("sleep", "exec /usr/bin/env PATH=/usr/bin:/bin sleep 0.1");
        let mut holder = Command::new("flock")
            .args([story.config().as_os_str(), "cat".as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It holds the lock when its `cat` answers.
        let mut held = holder.stdin.take().unwrap();
        held.write_all(b"x").unwrap();
        let mut answer = holder.stdout.take().unwrap();
        answer.read_exact(&mut [0]).unwrap();
        let said = std::thread::scope(|scope| {
            let pasting = scope.spawn(|| story.pipe(shell, &old));
            while !story.called().contains("sleep") {
                assert!(!pasting.is_finished(), "{shell:?} waited for nobody");
                std::thread::yield_now();
            }
            let later = "# As of change 99 of the authority\n";
            fs::write(story.files().join(LIST), later).unwrap();
            drop(held);
            pasting.join().unwrap()
        });
        holder.wait().unwrap();
        let said = fails(said);
        assert!(said.contains("of change 99"), "{shell:?}: {said}");
        story.assert_no_work_left();
    }
}

#[test]
fn an_old_block_does_not_bring_back_a_retired_ca() {
    let story = Story::new();
    let admin = &story.admin;
    let first = fs::read(admin.part("ca/ca.crt.pem")).unwrap();
    let block = |phase: &str| {
        let printed = admin.done(&["rollover", phase]);
        story.step(&printed, &format!("On {RELAY}, as root: the CA"))
    };
    let both = block("prepare");
    admin.done(&["rollover", "activate"]);
    renew_and_retire_hosts(admin, &["relayhost", "mailhost"]);
    let new = block("retire");
    let trust = story.files().join("example.org-ca.crt.pem");
    for shell in SHELLS {
        fs::write(&trust, &first).unwrap();
        story.pipe(shell, &both).done();
        story.pipe(shell, &both).done();
        story.pipe(shell, &new).done();
        let of_today = fs::read_to_string(&trust).unwrap();
        assert_eq!(of_today.matches("BEGIN").count(), 1);
        let said = fails(story.pipe(shell, &both));
        assert!(said.contains("of before that CA was retired"), "{said}");
        assert_eq!(fs::read_to_string(&trust).unwrap(), of_today);
        // As it may lie there after an editor, or openssl's `-text`.
        let edited = of_today.replace('\n', " \r\n");
        fs::write(&trust, format!("Certificate:\n{edited}\n")).unwrap();
        fails(story.pipe(shell, &both));
        story.pretend("awk", "exit 1");
        fails(story.pipe(shell, &both));
        fs::remove_file(admin.file("bin/awk")).unwrap();
        // Where none lies, none was retired.
        fs::remove_file(&trust).unwrap();
        story.pipe(shell, &both).done();
        story.assert_no_work_left();
    }
}
