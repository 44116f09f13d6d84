//! Years in a minute: while mail flows, certificates are renewed, keys and the CA replaced, and another host is shut out.
//! Everything is done by pasting what is printed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use xtask::lab::{Instance, wait_for};
use xtask::main_job::{MAIL_HOST, Pair, RELAY, SOON};

const OTHER: &str = "mail2.example.org";
/// How often the lasting host sends.
const PACE: Duration = Duration::from_secs(1);

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_relayca"))
}

/// What the lasting host sends until it is told to stop.
struct Stream {
    sent: AtomicUsize,
}

impl Stream {
    fn run(&self, mail_host: &Instance, stop: &Receiver<()>) {
        while stop.recv_timeout(PACE) == Err(RecvTimeoutError::Timeout) {
            let number = self.sent.load(Ordering::SeqCst);
            mail_host
                .send(
                    "info@example.org",
                    "someone@example.net",
                    &format!("stream-{number}."),
                )
                .unwrap();
            self.sent.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// How often each message of the stream arrived.
fn arrived(pair: &Pair) -> BTreeMap<usize, usize> {
    let mut arrived = BTreeMap::new();
    for message in pair.internet.messages() {
        let number = message
            .text
            .split("stream-")
            .nth(1)
            .and_then(|rest| rest.split('.').next())
            .and_then(|number| number.parse().ok());
        if let Some(number) = number {
            *arrived.entry(number).or_insert(0) += 1;
        }
    }
    arrived
}

/// What was sent from now on arrives: the way is open with what the hosts have now.
fn flows(pair: &Pair, stream: &Stream, after: &str) {
    let next = stream.sent.load(Ordering::SeqCst) + 1;
    wait_for(&format!("mail after {after}"), SOON, || {
        arrived(pair).contains_key(&next)
    })
    .unwrap_or_else(|error| {
        panic!(
            "{error}\nmail host:\n{}\nrelay:\n{}",
            pair.mail_host.log(),
            pair.relay.log()
        )
    });
}

fn on(instance: &Instance, file: &str) -> String {
    std::fs::read_to_string(instance.config().join("relayca").join(file)).unwrap()
}

/// Runs relayca and pastes what it prints.
fn pasted(pair: &Pair, arguments: &[&str]) -> String {
    let printed = pair.admin.done(arguments).unwrap();
    pair.paste(&printed)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error:#}"));
    printed
}

#[test]
fn a_host_lives_through_renewal_rekeying_and_a_new_ca_without_losing_a_message() {
    let mut pair = Pair::new(program(), &[], None).unwrap();
    pair.add_mail_host(OTHER).unwrap();
    pair.issue(&[]).unwrap();
    pasted(&pair, &["issue", "mail2"]);
    let stream = Stream {
        sent: AtomicUsize::new(0),
    };
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let (mail_host, stream_of) = (&pair.mail_host, &stream);
        let sender = scope.spawn(move || stream_of.run(mail_host, &stopped));
        // However the story ends, the stream ends with it.
        let story = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            live(&pair, &stream);
        }));
        drop(stop);
        sender.join().unwrap();
        if let Err(panic) = story {
            std::panic::resume_unwind(panic);
        }
    });

    let sent = stream.sent.load(Ordering::SeqCst);
    pair.mail_host.flush().unwrap();
    wait_for("the rest of the stream", SOON, || {
        arrived(&pair).len() == sent
    })
    .unwrap();
    let counts = arrived(&pair);
    assert!(
        counts.values().all(|count| *count == 1) && counts.len() == sent,
        "each of {sent} exactly once: {counts:?}"
    );
    for instance in [&pair.mail_host, &pair.relay, &pair.others[OTHER]] {
        let log = instance.log();
        assert!(!log.contains("status=bounced"), "{log}");
    }
}

fn live(pair: &Pair, stream: &Stream) {
    let certificate = format!("{MAIL_HOST}.crt.pem");
    let key = format!("{MAIL_HOST}.key.pem");
    let trust = "example.org-ca.crt.pem";
    let other = &pair.others[OTHER];
    flows(pair, stream, "the first day");

    let (first, first_key) = (on(&pair.mail_host, &certificate), on(&pair.mail_host, &key));
    let map = on(&pair.relay, "relay_clientcerts");
    pasted(pair, &["renew", "mailhost"]);
    assert_ne!(on(&pair.mail_host, &certificate), first);
    assert_eq!(on(&pair.mail_host, &key), first_key);
    assert_eq!(
        on(&pair.relay, "relay_clientcerts"),
        map,
        "the relay needs nothing"
    );
    flows(pair, stream, "a renewal");

    let fingerprints = |text: &str| {
        text.lines()
            .filter(|line| line.ends_with(MAIL_HOST) && !line.starts_with('#'))
            .count()
    };
    pasted(pair, &["renew", "--rekey", "mailhost"]);
    assert_ne!(on(&pair.mail_host, &key), first_key);
    assert_eq!(fingerprints(&on(&pair.relay, "relay_clientcerts")), 2);
    flows(pair, stream, "a new key");
    pasted(pair, &["retire", "mailhost"]);
    assert_eq!(fingerprints(&on(&pair.relay, "relay_clientcerts")), 1);
    flows(pair, stream, "the old key was retired");

    pasted(pair, &["renew", "--rekey", "relayhost"]);
    flows(pair, stream, "the relay has a new key");
    pasted(pair, &["retire", "relayhost"]);

    let cas = |instance: &Instance| on(instance, trust).matches("BEGIN CERTIFICATE").count();
    pasted(pair, &["rollover", "prepare"]);
    assert_eq!([cas(&pair.relay), cas(&pair.mail_host), cas(other)], [2; 3]);
    flows(pair, stream, "everybody trusts two CAs");
    pasted(pair, &["rollover", "activate"]);
    flows(pair, stream, "the new CA signs");
    let refused = pair.admin.run(&["rollover", "retire"]).unwrap();
    assert_eq!(refused.code, 1);
    for host in [MAIL_HOST, RELAY, OTHER] {
        assert!(refused.stderr.contains(host), "{}", refused.stderr);
    }
    pasted(pair, &["renew", "--due"]);
    flows(pair, stream, "everybody has certificates of the new CA");
    pasted(pair, &["retire", "mailhost", "relayhost", "mail2"]);
    pasted(pair, &["rollover", "retire"]);
    assert_eq!([cas(&pair.relay), cas(&pair.mail_host), cas(other)], [1; 3]);
    flows(pair, stream, "the old CA is gone");

    other
        .send("info@example.org", "someone@example.net", "before.")
        .unwrap();
    wait_for("the other host's mail", SOON, || {
        texts(pair, "before.").len() == 1
    })
    .unwrap();
    pasted(
        pair,
        &["revoke", "mail2", "--all", "--reason", "keyCompromise"],
    );
    other
        .send("info@example.org", "someone@example.net", "after.")
        .unwrap();
    other.wait_for_log("status=deferred", SOON).unwrap();
    assert_eq!(other.queue().unwrap().len(), 1, "{}", other.log());
    flows(pair, stream, "another host was revoked");
    assert!(texts(pair, "after.").is_empty());
}

fn texts(pair: &Pair, words: &str) -> Vec<String> {
    let mut texts: Vec<String> = pair
        .internet
        .messages()
        .into_iter()
        .map(|message| message.text)
        .collect();
    texts.retain(|text| text.lines().any(|line| line == words));
    texts
}
