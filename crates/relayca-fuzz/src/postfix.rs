//! Postfix's configuration files.
//!
//! Promised: what is read stands on lines that there are, is what is read again when it is written out, and is bounded
//! however it is expanded; what is said of it cannot steer a terminal.

use relayca_postfix::config::{Config, Defect, MAIN_CF, MASTER_CF, Place, Scope, Version};

/// What stands between main.cf and master.cf in an input.
const BETWEEN: &[u8] = b"\n%%%\n";

/// Beyond this no value grows, unless it is written so.
const LONGEST: usize = 1 << 19;

/// [`Config::parse`] over the bytes: main.cf, then behind a line of `%%%` master.cf. The first byte of all chooses the
/// version, unless it could begin a name.
pub fn postfix_config(data: &[u8]) -> bool {
    let (version, data) = match data {
        [b'3', rest @ ..] => (Some(Version::new(3, 5)), rest),
        [b'7', rest @ ..] => (Some(Version::new(3, 7)), rest),
        [b'9', rest @ ..] => (Some(Version::new(3, 11)), rest),
        _ => (None, data),
    };
    let at = data.windows(BETWEEN.len()).position(|part| part == BETWEEN);
    let (main_cf, master_cf) = match at {
        Some(at) => (&data[..at], &data[at + BETWEEN.len()..]),
        None => (data, &b""[..]),
    };
    let config = Config::parse(main_cf, Some(master_cf), version);
    let lines = [main_cf, master_cf]
        .map(|bytes| u32::try_from(bytes.split(|byte| *byte == b'\n').count()).unwrap());
    assert_places(&config, lines);
    assert_values(&config);
    assert_read_again(&config);
    !config.main.entries.is_empty() || !config.master.services.is_empty()
}

fn assert_places(config: &Config, [in_main, in_master]: [u32; 2]) {
    let there = |place: &Place| {
        let lines = if place.file == MAIN_CF {
            in_main
        } else {
            in_master
        };
        let line = place.line.unwrap();
        assert!((1..=lines).contains(&line), "{place:?}");
    };
    for (file, defects) in [
        (MAIN_CF, &config.main.defects),
        (MASTER_CF, &config.master.defects),
    ] {
        assert!(defects.len() <= 3000);
        assert!(defects.is_sorted_by_key(|defect: &Defect| defect.place.clone()));
        for defect in defects {
            assert_eq!(defect.place.file, file);
            there(&defect.place);
            crate::assert_printable(&defect.text);
        }
    }
    let mut last = 0;
    for entry in &config.main.entries {
        assert!(entry.line > last && entry.lines > 0, "{entry:?}");
        last = entry.line + entry.lines - 1;
        there(&Place::main(last));
        assert!(config.main.get(&entry.name).is_some());
    }
    for service in &config.master.services {
        there(&Place::master(service.line + service.lines - 1));
        let within = service.line..service.line + service.lines;
        assert!(service.words.iter().all(|word| within.contains(&word.line)));
        assert!(service.options.len() <= service.words.len());
        for option in &service.options {
            assert!(within.contains(&option.line) && service.option(&option.name).is_some());
        }
    }
    for (name, place) in config
        .unknown_parameters()
        .iter()
        .chain(&config.undefined_parameters())
    {
        assert!(!name.is_empty() || place.line.is_some());
        there(place);
    }
}

fn assert_values(config: &Config) {
    let names = |scope: Scope<'_>, names: Vec<&str>| {
        for name in names {
            let value = scope.value(name);
            assert!(value.text.len() <= LONGEST.max(value.raw.len()), "{name}");
            assert_eq!(value.is_set(), scope.is_set(name));
            if value.broken.is_some() {
                assert_eq!(value.text, value.raw);
            }
            for element in scope.list(name) {
                assert!(!element.is_empty());
                if !element.contains('{') {
                    assert!(!element.contains([',', ' ', '\t']), "{element:?}");
                }
            }
            crate::assert_printable(&value.broken.unwrap_or_default());
        }
        for side in ["smtpd", "smtp", "lmtp"] {
            assert!(!scope.level(side).is_empty());
        }
    };
    let set = config.main.counting().map(|entry| entry.name.as_str());
    let mut some: Vec<&str> = set.take(40).collect();
    some.extend([
        "myorigin",
        "mydomain",
        "smtpd_relay_restrictions",
        "proxy_read_maps",
    ]);
    names(config.main_scope(), some);
    for service in config.master.services.iter().take(10) {
        let set = service.counting().map(|option| option.name.as_str());
        names(config.scope(service), set.take(10).collect());
        assert!(service.kind == "inet" || service.port().is_none());
    }
    assert!(config.absolute("x", config.main_scope()).ends_with("/x"));
}

/// What counts, written out plainly, is read as the same.
fn assert_read_again(config: &Config) {
    let mut main_cf = String::new();
    for entry in config.main.counting() {
        main_cf.push_str(&format!("{} = {}\n", entry.name, entry.value));
    }
    let mut master_cf = String::new();
    let flag = |flag| match flag {
        Some(true) => "y",
        Some(false) => "n",
        None => "-",
    };
    let pairs = |text: &str| {
        let mut level = 0_i64;
        text.bytes().all(|byte| {
            level += i64::from(byte == b'{') - i64::from(byte == b'}');
            level >= 0
        }) && level == 0
    };
    // Braces hold together what is in them, if they pair.
    let plain = config.master.services.iter().filter(|service| {
        service.words.iter().all(|word| pairs(&word.text))
            && [
                &service.name,
                &service.kind,
                &service.command,
                &service.wakeup,
            ]
            .iter()
            .all(|field| pairs(field))
    });
    let plain: Vec<_> = plain.collect();
    for service in &plain {
        let fields = [
            &service.name,
            &service.kind,
            flag(service.private),
            flag(service.unprivileged),
            flag(service.chroot),
            &service.wakeup,
            &service.max_processes,
            &service.command,
        ];
        master_cf.push_str(&fields.join(" "));
        for word in &service.words {
            master_cf.push_str(&if word.braced {
                format!(" {{ {} }}", word.text)
            } else {
                format!(" {}", word.text)
            });
        }
        master_cf.push('\n');
    }
    let again = Config::parse(
        main_cf.as_bytes(),
        Some(master_cf.as_bytes()),
        config.version,
    );
    let entries = |config: &Config| -> Vec<(String, String)> {
        let entries = config.main.counting();
        entries
            .map(|entry| (entry.name.clone(), entry.value.clone()))
            .collect()
    };
    assert_eq!(entries(&again), entries(config));
    assert_eq!(again.master.services.len(), plain.len());
    for (one, other) in again.master.services.iter().zip(&plain) {
        assert_eq!(one.label(), other.label());
        let words = |service: &relayca_postfix::config::Service| -> Vec<(String, bool)> {
            service
                .words
                .iter()
                .map(|word| (word.text.clone(), word.braced))
                .collect()
        };
        assert_eq!(words(one), words(other));
        assert_eq!(
            one.counting()
                .map(|option| &option.value)
                .collect::<Vec<_>>(),
            other
                .counting()
                .map(|option| &option.value)
                .collect::<Vec<_>>()
        );
    }
}
