#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
mod pair;
use pair::*;
use std::process::Command;
use std::time::Duration;
#[test]
fn burst() {
    let n: usize = std::env::var("N").unwrap().parse().unwrap();
    let pair = Pair::before_pasting(Wish::default());
    pair.paste_map(&[&pair.listed]);
    paste(&pair.relay, &pair.relay_script().replace("_rate_limit=12000", &format!("_rate_limit={}", std::env::var("LIMIT").unwrap())));
    paste(&pair.mail_host, &pair.mail_host_script());
    let start = std::time::Instant::now();
    let said = Command::new("/usr/sbin/smtp-source").args(["-c", "-m", &n.to_string(), "-s", "20", "-f", "info@example.org", "-t", "someone@example.net", &format!("127.0.0.1:{}", pair.mail_host.port())]).output().unwrap();
    assert!(said.status.success());
    println!("accepted {:?}", start.elapsed());
    let r = pair.internet.wait_for(n, Duration::from_secs(60));
    println!("{} relayed in {:?}", pair.internet.count(), start.elapsed());
    let log = pair.mail_host.log();
    println!("deferred {} suspended {}", log.matches("status=deferred").count(), log.matches("temporarily suspended").count());
    println!("{}", log.lines().find(|l| l.contains("status=deferred")).unwrap_or(""));
    let log = pair.relay.log();
    println!("{}", log.lines().filter(|l| l.contains("statistics") || l.contains("limit")).take(4).collect::<Vec<_>>().join("\n"));
    drop(r);
}
#[test]
fn port_taken() {
    let pair = Pair::before_pasting(Wish::default());
    pair.paste_map(&[&pair.listed]);
    let _taken = std::net::TcpListener::bind(("127.0.0.1", pair.port.number())).unwrap();
    let before = config_files(&pair.relay);
    let said = pair.relay.paste(&pair.relay_script()).unwrap();
    println!("{said:?}\n{}", pair.relay.log());
    println!("{}", before == config_files(&pair.relay));
    println!("master {:?}", pair.relay.master());
}
