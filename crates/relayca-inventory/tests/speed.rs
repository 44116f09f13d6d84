//! How long it takes. Run with `cargo test --release -p relayca-inventory --test speed -- --ignored --nocapture`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    missing_docs
)]

mod sample;

use std::time::Instant;

use relayca_inventory::{Filter, Inventory as _, Records as _, open, open_read_only};
use sample::{certificate, event, host, inventory, serial};

#[test]
#[ignore = "a measurement"]
fn measure() {
    let (_dir, path, inventory) = inventory();
    drop(inventory);

    let mut each: Vec<_> = (1_000_000..1_000_200)
        .map(|number| {
            let start = Instant::now();
            let mut inventory = open(&path).unwrap();
            let mut change = inventory.change().unwrap();
            change
                .add_certificate(&certificate(number, "a.example.org"))
                .unwrap();
            change
                .record(&event("issue", Some(serial(number))))
                .unwrap();
            change.commit().unwrap();
            drop(inventory);
            start.elapsed()
        })
        .collect();
    each.sort();
    println!(
        "open, one certificate, one event, commit: median {:?}, worst {:?}",
        each[100], each[199]
    );

    let records: Vec<_> = (0..10_000)
        .map(|number| certificate(number, &format!("h{number}.example.org")))
        .collect();
    let start = Instant::now();
    let mut inventory = open(&path).unwrap();
    let mut change = inventory.change().unwrap();
    for record in &records {
        change.add_host(&host(&record.host)).unwrap();
        change.add_certificate(record).unwrap();
        change
            .record(&event("issue", Some(record.serial.clone())))
            .unwrap();
    }
    let written = start.elapsed();
    change.commit().unwrap();
    println!(
        "10,000 hosts, certificates and events: {written:?}, with the commit {:?}",
        start.elapsed()
    );

    let start = Instant::now();
    let inventory = open(&path).unwrap();
    println!("open it: {:?}", start.elapsed());
    let start = Instant::now();
    let one = Filter {
        host: Some("h77.example.org".to_owned()),
        ..Filter::default()
    };
    assert_eq!(inventory.certificates(&one).unwrap().len(), 1);
    println!("certificates of one host: {:?}", start.elapsed());
    let start = Instant::now();
    let live = Filter {
        role: Some("mailhost".to_owned()),
        valid_at: Some(sample::NOW.to_owned()),
        ..Filter::default()
    };
    assert_eq!(inventory.certificates(&live).unwrap().len(), 10_200);
    println!("certificates of all hosts: {:?}", start.elapsed());
    let start = Instant::now();
    let image = inventory.image().unwrap();
    println!("image of {} KiB: {:?}", image.len() / 1024, start.elapsed());
    let mut inventory = inventory;
    let start = Instant::now();
    let mut change = inventory.change().unwrap();
    for record in &records {
        change
            .revoke(&record.serial, sample::NOW, "superseded")
            .unwrap();
    }
    change.commit().unwrap();
    println!("10,000 revocations: {:?}", start.elapsed());

    let dir = tempfile::TempDir::new().unwrap();
    let old = dir.path().join("old.db");
    sample::layout_1(&old, 10_000);
    let start = Instant::now();
    open_read_only(&old).unwrap();
    println!("read 10,000 of layout 1: {:?}", start.elapsed());
    let start = Instant::now();
    open(&old).unwrap();
    println!("bring them up to date: {:?}", start.elapsed());
}
