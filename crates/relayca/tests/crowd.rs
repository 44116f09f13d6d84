//! Several admins at once: nothing is lost, nothing is there twice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::collections::BTreeSet;
use std::process::{Child, Command, Stdio};

use authority::{Admin, Outcome};

fn start(mut command: Command) -> Child {
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn end(children: Vec<Child>) -> Vec<Outcome> {
    children
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().into())
        .collect()
}

#[test]
fn eight_at_once_issuing_different_hosts_lose_none() {
    let admin = Admin::with_authority();
    let names = |process: usize| (0..5).map(move |number| format!("h{process}-{number}"));
    let children = (0..8).map(|process| {
        let script = names(process)
            .map(|name| format!("{} issue {name} || exit\n", authority::RELAYCA))
            .collect::<String>();
        let mut command = admin.program("sh");
        command.args(["-c", &script]);
        start(command)
    });
    for outcome in end(children.collect()) {
        outcome.done();
    }
    let serials = admin.serials();
    assert_eq!(serials.len(), 2 + 40);
    let different: BTreeSet<&String> = serials.values().flatten().collect();
    assert_eq!(different.len(), 42, "no serial twice");
    assert_eq!(
        admin.json(&["map"])["entries"].as_array().unwrap().len(),
        40
    );
    for process in 0..8 {
        for name in names(process) {
            assert!(
                admin
                    .part(&format!("bundles/{name}.example.org.tar.age"))
                    .exists(),
                "{name}"
            );
        }
    }
    // The relay's pieces are those of the last one, with all of them.
    let map = authority::judge(
        "tar",
        &[
            "-xOf",
            admin
                .part("bundles/relayhost.example.org.public.tar")
                .to_str()
                .unwrap(),
            "relay_clientcerts",
        ],
    );
    assert_eq!(map, admin.done(&["map"]));
    assert_eq!(admin.staged(), [""; 0]);
}

#[test]
fn eight_at_once_issuing_renewing_and_revoking_lose_nothing() {
    let admin = Admin::with_mailhost();
    for process in 0..8 {
        admin.done(&[
            "issue",
            &format!("old{process}"),
            &format!("gone{process}"),
            "-q",
        ]);
    }
    let children = (0..8).map(|process| {
        let commands = [
            format!("issue new{process}"),
            format!("renew old{process}"),
            format!("revoke gone{process} --reason superseded"),
            "renew mailhost".to_owned(),
            format!("renew --rekey old{process}"),
            format!("retire old{process}"),
            "crl".to_owned(),
            "map".to_owned(),
        ];
        let script = commands
            .map(|command| format!("{} {command} > /dev/null || exit\n", authority::RELAYCA))
            .concat();
        let mut command = admin.program("sh");
        command.args(["-c", &script]);
        start(command)
    });
    for outcome in end(children.collect()) {
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
    let all = admin.json(&["list", "--all"]);
    let all = all.as_array().unwrap();
    let serials: BTreeSet<&str> = all
        .iter()
        .map(|item| item["serial"].as_str().unwrap())
        .collect();
    // CA and relay; mailhost and its eight renewals; eight times old (three), gone and new.
    assert_eq!(all.len(), 2 + 9 + 8 * 5);
    assert_eq!(serials.len(), all.len(), "no serial twice");
    let in_state = |state: &str| all.iter().filter(|item| item["state"] == state).count();
    assert_eq!((in_state("revoked"), in_state("retired")), (8, 16));
    let numbers = authority::judge(
        "sqlite3",
        &[
            admin.part("inventory.db").to_str().unwrap(),
            "select number from crls order by number",
        ],
    );
    let expected: String = (1..=8).map(|number| format!("{number}\n")).collect();
    assert_eq!(numbers, expected, "no number of a revocation list twice");
    // mailhost, and of each process old and new.
    let map = admin.json(&["map"]);
    assert_eq!(map["entries"].as_array().unwrap().len(), 1 + 16);
    let checked = admin.run(&["check", "--open"]);
    assert!(matches!(checked.code, Some(0 | 3)), "{}", checked.stdout);
    assert_eq!(admin.staged(), [""; 0]);
}

#[test]
fn eight_at_once_issuing_the_same_host_have_one_winner() {
    let admin = Admin::with_authority();
    for host in ["one", "two", "three"] {
        let outcomes = end((0..8)
            .map(|_| start(admin.relayca(&["issue", host])))
            .collect());
        let winners = outcomes
            .iter()
            .filter(|outcome| outcome.code == Some(0))
            .count();
        assert_eq!(winners, 1, "{outcomes:?}");
        for outcome in outcomes
            .into_iter()
            .filter(|outcome| outcome.code != Some(0))
        {
            let told = outcome.refused(1);
            assert!(
                told.contains("has a certificate already") && told.contains("renew"),
                "{told}"
            );
        }
    }
    admin.assert_whole();
}

#[test]
fn eight_at_once_making_the_same_authority_have_one_winner() {
    let admin = Admin::new();
    let recipient = admin.recipient();
    let arguments = [
        "init",
        "example.org",
        "--recipient",
        recipient,
        "-i",
        "key.txt",
    ];
    let outcomes = end((0..8).map(|_| start(admin.relayca(&arguments))).collect());
    let winners = outcomes
        .iter()
        .filter(|outcome| outcome.code == Some(0))
        .count();
    assert_eq!(winners, 1, "{outcomes:?}");
    for outcome in outcomes
        .into_iter()
        .filter(|outcome| outcome.code != Some(0))
    {
        outcome.refused(1);
    }
    admin.done(&["issue", "mailhost"]);
    admin.assert_whole();
    let beside: Vec<_> = admin.root().parent().unwrap().read_dir().unwrap().collect();
    assert_eq!(beside.len(), 1);
}

#[test]
fn readers_and_writers_do_not_disturb_each_other() {
    let admin = Admin::with_mailhost();
    let loop_of = |command: &str, times: usize| {
        let script = format!(
            "set -e; for n in $(seq {times}); do {} {command} > /dev/null; done",
            authority::RELAYCA
        );
        let mut sh = admin.program("sh");
        sh.args(["-c", &script]);
        start(sh)
    };
    let children = vec![
        loop_of("issue w$n", 10),
        loop_of("issue v$n --senders example.org", 10),
        loop_of("issue --relay r$n:25", 5),
        loop_of("map", 20),
        loop_of("list --all", 20),
        loop_of("show mailhost", 20),
        loop_of("snippet relayhost", 20),
        loop_of("bundle mailhost relayhost", 8),
    ];
    for outcome in end(children) {
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    }
    // 10 + 10 mail hosts, 5 relays, and CA, relayhost and mailhost from before.
    assert_eq!(admin.serials().len(), 28);
    let settings = std::fs::read_to_string(admin.part("relayca.toml")).unwrap();
    for number in 1..=10 {
        assert!(
            settings.contains(&format!("[host.\"v{number}.example.org\"]")),
            "{settings}"
        );
    }
    for number in 1..=5 {
        assert!(
            settings.contains(&format!("\"r{number}.example.org:25\"")),
            "{settings}"
        );
    }
}

#[test]
fn a_reader_is_not_kept_waiting_by_a_bulk_issue() {
    let admin = Admin::with_mailhost();
    let hosts: String = (0..20_000).map(|number| format!("h{number}\n")).collect();
    admin.write("hosts", hosts);
    let mut command = admin.relayca(&["issue", "--from", "hosts"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut bulk = command.spawn().unwrap();
    while admin.staged().is_empty() {
        assert!(bulk.try_wait().unwrap().is_none());
    }
    let map = admin.done(&["map"]);
    assert!(
        bulk.try_wait().unwrap().is_none(),
        "the map came while the other was still issuing"
    );
    assert!(
        map.contains("mailhost.example.org") && !map.contains("h1.example.org"),
        "{map}"
    );
    bulk.kill().unwrap();
    bulk.wait().unwrap();
    assert_eq!(admin.serials().len(), 3);
}
