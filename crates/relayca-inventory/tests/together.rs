//! Many at once, and some of them killed: nothing that was reported is lost, nothing half done is left.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod sample;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Stdio;

use relayca_inventory::{Filter, Inventory as _, Records as _, open};
use sample::{again, ask, certificate, event, inventory, serial};

const PROCESSES: u64 = 8;
const EACH: u64 = 25;

#[test]
fn eight_processes_at_once_lose_no_serial_and_no_event() {
    let (_dir, path, inventory) = inventory();
    let children: Vec<_> = (0..PROCESSES)
        .map(|number| {
            again("issue_one_by_one")
                .env("RELAYCA_TEST_DB", &path)
                .env("RELAYCA_TEST_FROM", (number * EACH).to_string())
                .env("RELAYCA_TEST_COUNT", EACH.to_string())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let found: BTreeSet<_> = inventory
        .certificates(&Filter::default())
        .unwrap()
        .into_iter()
        .map(|record| record.serial)
        .collect();
    assert_eq!(found, (0..PROCESSES * EACH).map(serial).collect());
    let events = inventory.events(usize::MAX).unwrap();
    assert_eq!(events.len() as u64, PROCESSES * EACH);
    assert_eq!(
        events
            .iter()
            .filter_map(|event| event.serial.clone())
            .collect::<BTreeSet<_>>(),
        found
    );
    assert_eq!(ask(&path, "PRAGMA integrity_check"), "ok");
}

#[test]
fn of_eight_processes_that_want_one_serial_one_gets_it() {
    let (_dir, path, inventory) = inventory();
    let children: Vec<_> = (0..PROCESSES)
        .map(|_| {
            again("issue_one_by_one")
                .env("RELAYCA_TEST_DB", &path)
                .env("RELAYCA_TEST_FROM", "7")
                .env("RELAYCA_TEST_COUNT", "1")
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    let done = children
        .into_iter()
        .map(|child| child.wait_with_output().unwrap().status.success());
    assert_eq!(done.filter(|done| *done).count(), 1);
    assert_eq!(inventory.certificates(&Filter::default()).unwrap().len(), 1);
    assert_eq!(
        inventory.events(10).unwrap().len(),
        1,
        "those who lost left no event"
    );
}

#[test]
fn threads_with_connections_of_their_own_take_turns() {
    let (_dir, path, inventory) = inventory();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let path = &path;
            scope.spawn(move || {
                for number in 0..10 {
                    let mut own = open(path).unwrap();
                    let mut change = own.change().unwrap();
                    change
                        .add_certificate(&certificate(thread * 10 + number, "b.example.org"))
                        .unwrap();
                    change.commit().unwrap();
                }
            });
        }
    });
    assert_eq!(
        inventory.certificates(&Filter::default()).unwrap().len(),
        40
    );
}

#[test]
fn after_kill_9_everything_reported_is_there_and_nothing_is_half_done() {
    for lines in [1, 4, 9, 16] {
        let (_dir, path, inventory) = inventory();
        drop(inventory);
        let mut child = again("issue_one_by_one")
            .env("RELAYCA_TEST_DB", &path)
            .env("RELAYCA_TEST_FROM", "0")
            .env("RELAYCA_TEST_COUNT", "1000000")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let reported: Vec<String> = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map_while(Result::ok)
            .filter_map(|line| line.strip_prefix("committed ").map(str::to_owned))
            .take(lines)
            .collect();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(reported.len(), lines);

        let mut inventory = open(&path).unwrap();
        for serial in &reported {
            assert!(
                inventory.certificate(serial).unwrap().is_some(),
                "{serial} was reported and is gone"
            );
        }
        let certificates = inventory.certificates(&Filter::default()).unwrap().len();
        assert_eq!(
            inventory.events(usize::MAX).unwrap().len(),
            certificates,
            "each with its event"
        );
        assert_eq!(inventory.damage().unwrap(), Vec::<String>::new());
        inventory.change().unwrap().commit().unwrap();
    }
}

#[test]
fn a_change_killed_after_it_reached_the_file_is_rolled_back() {
    let (_dir, path, inventory) = inventory();
    drop(inventory);
    sample::cut_off(&path);
    let inventory = open(&path).unwrap();
    assert_eq!(inventory.hosts().unwrap().len(), 3);
    assert!(!sample::is_cut_off(&path));
    assert_eq!(ask(&path, "PRAGMA integrity_check"), "ok");
}

#[test]
#[ignore = "run by the tests above as a process of its own"]
fn issue_one_by_one() {
    let Some(path) = std::env::var_os("RELAYCA_TEST_DB") else {
        return;
    };
    let variable = |name: &str| std::env::var(name).unwrap();
    let from: u64 = variable("RELAYCA_TEST_FROM").parse().unwrap();
    let count: u64 = variable("RELAYCA_TEST_COUNT").parse().unwrap();
    for number in from..from + count {
        let mut inventory = open(Path::new(&path)).unwrap();
        let mut change = inventory.change().unwrap();
        change
            .add_certificate(&certificate(number, "a.example.org"))
            .unwrap();
        change
            .record(&event("issue", Some(serial(number))))
            .unwrap();
        change.commit().unwrap();
        // The test harness may have left its own words on this line.
        println!("\ncommitted {}", serial(number));
    }
}
