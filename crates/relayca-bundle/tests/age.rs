//! Stock `age` opens what is sealed here, and what stock `age` sealed is opened here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::{Typist, identities, on_terminal, run};
use relayca_bundle::{
    ADMIN_WORK_FACTOR, GENERATED_WORK_FACTOR, Identities, IdentityError, MAX_WORK_FACTOR,
    OpenError, OpenWith, Passphrase, Recipient, SealError, SealTo, generate_identity, no_prompt,
    open, parse_recipients_file, seal, sealed_with_passphrase,
};
use std::fs;
use zeroize::Zeroizing;

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn seal_to(plain: &[u8], recipients: &[Recipient]) -> Vec<u8> {
    seal(
        plain,
        &SealTo::Recipients {
            recipients,
            prompt: &no_prompt(),
        },
    )
    .unwrap()
}

fn seal_with(plain: &[u8], passphrase: &Passphrase, work_factor: u8) -> Vec<u8> {
    seal(
        plain,
        &SealTo::Passphrase {
            passphrase,
            work_factor,
        },
    )
    .unwrap()
}

#[test]
fn stock_age_opens_what_is_sealed_to_an_age_recipient() {
    let dir = tempfile::tempdir().unwrap();
    let (text, recipient) = generate_identity();
    fs::write(dir.path().join("key.txt"), text.as_bytes()).unwrap();
    assert_eq!(
        run("age-keygen", &["-y", "key.txt"], dir.path(), b"").trim_ascii(),
        recipient.text().as_bytes()
    );
    for size in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let plain = vec![7u8; size];
        let sealed = seal_to(&plain, std::slice::from_ref(&recipient));
        assert_eq!(
            run("age", &["-d", "-i", "key.txt"], dir.path(), &sealed),
            plain
        );
        assert!(!sealed_with_passphrase(&sealed).unwrap());
    }
}

#[test]
fn what_stock_age_sealed_opens_here_armored_or_not() {
    let dir = tempfile::tempdir().unwrap();
    let text = run("age-keygen", &[], dir.path(), b"");
    let known = identities(&text);
    assert!(known.native_only() && !known.is_empty());
    let recipient = known.recipients().remove(0);
    let plain = vec![42u8; 150_000];
    for armor in [false, true] {
        let mut args = vec!["-r", recipient.text()];
        if armor {
            args.push("-a");
        }
        let sealed = run("age", &args, dir.path(), &plain);
        assert_eq!(
            *open(&sealed, &OpenWith::Identities(&known)).unwrap(),
            plain
        );
    }
}

#[test]
fn each_of_many_recipients_opens_it_and_a_stranger_does_not() {
    let made: Vec<_> = (0..20).map(|_| generate_identity()).collect();
    let recipients: Vec<Recipient> = made.iter().map(|(_, r)| r.clone()).collect();
    let sealed = seal_to(b"for all", &recipients);
    for (text, _) in &made {
        let known = identities(text.as_bytes());
        assert_eq!(
            *open(&sealed, &OpenWith::Identities(&known)).unwrap(),
            b"for all"
        );
    }
    let stranger = identities(generate_identity().0.as_bytes());
    assert!(matches!(
        open(&sealed, &OpenWith::Identities(&stranger)),
        Err(OpenError::WrongKey)
    ));
    assert!(matches!(
        open(&sealed, &OpenWith::Identities(&Identities::default())),
        Err(OpenError::WrongKey)
    ));
    let mut merged = stranger;
    merged.merge(identities(made[3].0.as_bytes()));
    assert_eq!(
        *open(&sealed, &OpenWith::Identities(&merged)).unwrap(),
        b"for all"
    );
}

#[test]
fn stock_age_opens_what_is_sealed_with_a_passphrase() {
    let dir = tempfile::tempdir().unwrap();
    let generated = Passphrase::generate_words().unwrap();
    let chosen = passphrase("correct horse battery staple");
    for (secret, work_factor) in [
        (&generated, GENERATED_WORK_FACTOR),
        (&chosen, ADMIN_WORK_FACTOR),
    ] {
        let sealed = seal_with(b"the secret", secret, work_factor);
        assert!(sealed_with_passphrase(&sealed).unwrap());
        fs::write(dir.path().join("sealed.age"), sealed).unwrap();
        let typed = format!("{}\n", secret.expose());
        assert!(on_terminal(
            "age -d -o opened sealed.age",
            dir.path(),
            &typed
        ));
        assert_eq!(fs::read(dir.path().join("opened")).unwrap(), b"the secret");
        fs::remove_file(dir.path().join("opened")).unwrap();
    }
}

#[test]
fn what_stock_age_sealed_with_a_passphrase_opens_here() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("plain"), b"the secret").unwrap();
    let typed = "pass word\npass word\n";
    assert!(on_terminal("age -p -o sealed.age plain", dir.path(), typed));
    let sealed = fs::read(dir.path().join("sealed.age")).unwrap();
    let with = passphrase("pass word");
    assert_eq!(
        *open(&sealed, &OpenWith::Passphrase(&with)).unwrap(),
        b"the secret"
    );
}

#[test]
fn wrong_keys_are_told_apart() {
    let (text, recipient) = generate_identity();
    let known = identities(text.as_bytes());
    let secret = passphrase("right");
    let to_words = seal_with(b"a", &secret, 1);
    let to_key = seal_to(b"a", &[recipient]);
    let with =
        |p: &Passphrase| open(&to_words, &OpenWith::Passphrase(p)).map(|plain| plain.to_vec());
    assert_eq!(with(&secret).unwrap(), b"a");
    assert!(matches!(
        with(&passphrase("wrong")),
        Err(OpenError::WrongPassphrase)
    ));
    assert!(matches!(
        open(&to_words, &OpenWith::Identities(&known)),
        Err(OpenError::NeedsPassphrase)
    ));
    assert!(matches!(
        open(&to_key, &OpenWith::Passphrase(&secret)),
        Err(OpenError::NeedsIdentity)
    ));
}

#[test]
fn more_work_than_allowed_is_neither_written_nor_done() {
    let secret = passphrase("right");
    for work_factor in [0, MAX_WORK_FACTOR + 1, 64, 255] {
        let refused = seal(
            b"a",
            &SealTo::Passphrase {
                passphrase: &secret,
                work_factor,
            },
        );
        assert!(matches!(refused, Err(SealError::WorkFactor { .. })));
    }
    let sealed = seal_with(b"a", &secret, 1);
    let text = String::from_utf8_lossy(&sealed).into_owned();
    let line = text.lines().nth(1).unwrap().to_owned();
    let dear = line.strip_suffix(" 1").unwrap().to_owned() + " 23";
    let at = sealed
        .windows(line.len())
        .position(|w| w == line.as_bytes())
        .unwrap();
    let hostile = [&sealed[..at], dear.as_bytes(), &sealed[at + line.len()..]].concat();
    let refused = open(&hostile, &OpenWith::Passphrase(&secret));
    assert!(matches!(
        refused,
        Err(OpenError::ExcessiveWork { required: 23 })
    ));
}

#[test]
fn recipients_that_are_none_or_too_many_are_refused() {
    let (_, recipient) = generate_identity();
    let prompt = no_prompt();
    let none = seal(
        b"a",
        &SealTo::Recipients {
            recipients: &[],
            prompt: &prompt,
        },
    );
    assert!(matches!(none, Err(SealError::NoRecipients)));
    let crowd = vec![recipient; 65];
    let many = seal(
        b"a",
        &SealTo::Recipients {
            recipients: &crowd,
            prompt: &prompt,
        },
    );
    assert!(matches!(many, Err(SealError::TooManyRecipients)));
    assert!(
        seal(
            b"a",
            &SealTo::Recipients {
                recipients: &crowd[..64],
                prompt: &prompt
            }
        )
        .is_ok()
    );
}

#[test]
fn an_identity_file_that_stock_age_encrypted_and_armored_opens() {
    let dir = tempfile::tempdir().unwrap();
    run("age-keygen", &["-o", "key.txt"], dir.path(), b"");
    let clear = identities(&fs::read(dir.path().join("key.txt")).unwrap());
    let typed = "open sesame\nopen sesame\n";
    assert!(on_terminal(
        "age -p -a -o key.age key.txt",
        dir.path(),
        typed
    ));
    let file = fs::read(dir.path().join("key.age")).unwrap();
    assert!(file.starts_with(b"-----BEGIN AGE ENCRYPTED FILE-----"));
    let locked = Identities::parse(&file, "key.age", Typist::new(Some("open sesame"))).unwrap();
    let sealed = seal_to(b"locked away", &clear.recipients());
    assert_eq!(
        *open(&sealed, &OpenWith::Identities(&locked)).unwrap(),
        b"locked away"
    );
}

#[test]
fn an_encrypted_identity_file_asks_once_and_only_when_needed() {
    let (text, recipient) = generate_identity();
    let file = seal_with(text.as_bytes(), &passphrase("open sesame"), 1);
    let sealed = seal_to(b"locked away", std::slice::from_ref(&recipient));

    let typist = Typist::new(Some("open sesame"));
    let locked = Identities::parse(&file, "key.age", typist.clone()).unwrap();
    assert!(!locked.native_only() && locked.recipients().is_empty());
    assert_eq!(typist.times_asked(), 0);
    for _ in 0..2 {
        assert_eq!(
            *open(&sealed, &OpenWith::Identities(&locked)).unwrap(),
            b"locked away"
        );
    }
    assert_eq!(
        *typist.asked.lock().unwrap(),
        ["the identity file `key.age`"]
    );
    assert_eq!(locked.recipients(), [recipient]);

    for wrong in ["open barley", ""] {
        let mistyped = Identities::parse(&file, "key.age", Typist::new(Some(wrong))).unwrap();
        let error = open(&sealed, &OpenWith::Identities(&mistyped));
        assert!(matches!(
            error,
            Err(OpenError::WrongIdentityPassphrase { .. })
        ));
    }
    let silent = Identities::parse(&file, "key.age", no_prompt()).unwrap();
    let nobody = open(&sealed, &OpenWith::Identities(&silent));
    assert!(matches!(nobody, Err(OpenError::IdentityLocked { .. })));
}

#[test]
fn a_clear_key_that_fits_spares_the_question() {
    let (text, recipient) = generate_identity();
    let locked = seal_with(generate_identity().0.as_bytes(), &passphrase("p"), 1);
    let typist = Typist::new(Some("p"));
    let mut known = Identities::parse(&locked, "key.age", typist.clone()).unwrap();
    known.merge(identities(text.as_bytes()));
    let sealed = seal_to(b"a", &[recipient]);
    assert_eq!(*open(&sealed, &OpenWith::Identities(&known)).unwrap(), b"a");
    assert_eq!(typist.times_asked(), 0);
}

#[test]
fn an_identity_file_says_which_line_is_wrong_but_not_what_stands_there() {
    let (text, recipient) = generate_identity();
    let secret = text.lines().nth(1).unwrap();
    let parse = |bytes: &[u8]| Identities::parse(bytes, "key.txt", no_prompt());
    let damaged = format!("# mine\n\n{}\n", &secret[..secret.len() - 1]);
    let error = parse(damaged.as_bytes()).unwrap_err();
    assert!(matches!(error, IdentityError::Line { line: 3, .. }));
    assert!(!format!("{error} {error:?}").contains(&secret[..20]));
    assert!(matches!(
        parse(recipient.text().as_bytes()),
        Err(IdentityError::Public { line: 1, .. })
    ));
    assert!(matches!(
        parse(b"# nothing\n"),
        Err(IdentityError::NoneInFile { .. })
    ));
    assert!(matches!(parse(b""), Err(IdentityError::NoneInFile { .. })));
    assert!(matches!(
        parse(b"\xff\xfe"),
        Err(IdentityError::NotIdentities { .. })
    ));
    assert!(matches!(
        parse(&vec![b'#'; 2 << 20]),
        Err(IdentityError::TooLarge { .. })
    ));
    let to_key = seal_to(text.as_bytes(), &[recipient]);
    assert!(matches!(
        parse(&to_key),
        Err(IdentityError::SealedToRecipients { .. })
    ));
    assert!(matches!(
        parse(&to_key[..30]),
        Err(IdentityError::DamagedAge { .. })
    ));
    // Windows line ends and blanks around are no reason to fail.
    assert!(parse(text.replace('\n', "  \r\n").as_bytes()).is_ok());
    assert_eq!(
        format!("{:?}", parse(text.as_bytes()).unwrap()),
        "Identities(1 [elided])"
    );
}

#[test]
fn an_encrypted_file_with_something_else_inside_is_named() {
    let (_, recipient) = generate_identity();
    let sealed = seal_to(b"a", &[recipient]);
    let locked = seal_with(b"no identity\n", &passphrase("p"), 1);
    let known = Identities::parse(&locked, "key.age", Typist::new(Some("p"))).unwrap();
    let error = open(&sealed, &OpenWith::Identities(&known)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the identity file `key.age` cannot be used: `key.age` line 1 is not an identity"
    );
}

#[test]
fn a_recipients_file_is_read_as_age_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (generate_identity(), generate_identity());
    let file = format!("# admins\n\n{}\r\n  {}\n", one.1, two.1);
    let read = parse_recipients_file(&file).unwrap();
    assert_eq!(read, [one.1.clone(), two.1]);
    fs::write(
        dir.path().join("recipients"),
        format!("# admins\n\n{}\n", one.1),
    )
    .unwrap();
    let sealed = run("age", &["-R", "recipients"], dir.path(), b"a");
    assert_eq!(
        *open(
            &sealed,
            &OpenWith::Identities(&identities(one.0.as_bytes()))
        )
        .unwrap(),
        b"a"
    );

    let error = parse_recipients_file(&format!("{}\nage1wrong\n", one.1)).unwrap_err();
    assert!(error.to_string().starts_with("line 2: "), "{error}");
    assert!(parse_recipients_file("# nobody\n").is_err());
}

#[test]
fn a_secret_key_given_as_recipient_is_refused_without_repeating_it() {
    let (text, _) = generate_identity();
    let secret = text.lines().nth(1).unwrap();
    for given in [
        secret.to_owned(),
        secret.to_lowercase(),
        format!("  {secret}\n"),
    ] {
        let error = Recipient::parse(&given).unwrap_err();
        let told = format!("{error} {error:?} {:?}", error.hint()).to_lowercase();
        assert!(!told.contains(&secret[20..30].to_lowercase()), "{told}");
    }
}

#[test]
fn recipients_with_anything_wrong_are_refused() {
    let (_, recipient) = generate_identity();
    let text = recipient.text();
    let wrong = [
        String::new(),
        "root@relay".into(),
        text[..text.len() - 1].to_owned(),
        text.replace("age1", "age2"),
        format!("{text}\u{7}"),
        format!("{text} {text}"),
        format!("age1{}", "q".repeat(20_000)),
        "age1yubikey1qqqq".into(),
    ];
    for given in wrong {
        assert!(Recipient::parse(&given).is_err(), "{given}");
    }
}

#[test]
fn nothing_is_sealed_to_a_recipient_of_low_order() {
    // Well-formed texts of the points 0 and 1: whatever the ephemeral key, the shared secret is zero.
    for text in [
        "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z",
        "age1qyqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqj7vrya",
    ] {
        let weak = Recipient::parse(text).unwrap();
        let (_, good) = generate_identity();
        let refused = seal(
            b"a",
            &SealTo::Recipients {
                recipients: &[good, weak],
                prompt: &no_prompt(),
            },
        );
        assert!(matches!(refused, Err(SealError::WeakRecipient)));
    }
}
