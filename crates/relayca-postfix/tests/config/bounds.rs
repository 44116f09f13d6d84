//! Files that are made to hurt.

use std::time::{Duration, Instant};

use relayca_postfix::config::{Config, DefectKind};

/// Reads, and asks all that can be asked of it as a whole, within a bound that is far above what it should take.
fn hurried(main_cf: &str, master_cf: &str, bound: Duration) -> Config {
    let start = Instant::now();
    let config = Config::parse(main_cf.as_bytes(), Some(master_cf.as_bytes()), None);
    let _ = config.unknown_parameters();
    let _ = config.undefined_parameters();
    let taken = start.elapsed();
    assert!(taken < bound, "{taken:?}");
    config
}

fn has(config: &Config, kind: DefectKind) -> bool {
    config
        .main
        .defects
        .iter()
        .chain(&config.master.defects)
        .any(|defect| defect.kind == kind)
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn four_mebibytes_are_read_and_no_more() {
    let value = "value, $relayhost, ${mydestination?{x}:{y}} and more";
    let filling = "x".repeat(370);
    let main_cf: String = (0..9000)
        .map(|number| format!("name{number} = {value} {filling}\n"))
        .collect();
    assert!(
        main_cf.len() < 4 << 20 && main_cf.len() > 3 << 20,
        "{}",
        main_cf.len()
    );
    let config = hurried(&main_cf, "", LONG);
    assert_eq!(config.main.entries.len(), 9000);
    assert!(!has(&config, DefectKind::TooLong));

    let main_cf = format!("{main_cf}{main_cf}");
    let config = hurried(&main_cf, "", LONG);
    assert!(has(&config, DefectKind::TooLong));
    assert!(config.main.entries.len() < 10_000);
    // No line is read in part.
    let whole = &config.main.get("name0").unwrap().value;
    assert_eq!(&config.main.entries.last().unwrap().value, whole);

    let long = format!("relayhost = {}", "x".repeat(5 << 20));
    assert_eq!(hurried(&long, &long, LONG).main.entries.len(), 0);
}

#[test]
fn ten_thousand_lines_are_read_and_no_more() {
    let main_cf = "a=b\n".repeat(30_000);
    let services = (0..30_000).map(|number| format!("a{number} unix - - n - - smtp\n"));
    let config = hurried(&main_cf, &services.collect::<String>(), LONG);
    assert_eq!(config.main.entries.len(), 10_000);
    assert_eq!(config.master.services.len(), 10_000);
    assert_eq!(config.master.defects.len(), 1);
    assert_eq!(config.master.defects[0].kind, DefectKind::TooLong);
    assert_eq!(config.master.defects[0].place.line, Some(10_001));
    // So many doubles are not all told.
    assert_eq!(config.main.defects.len(), 1001);
    assert!(has(&config, DefectKind::DuplicateParameter));
}

#[test]
fn a_service_with_a_million_words_is_cut() {
    let master_cf = format!("a unix - - n - - smtp {}", "-oa=b ".repeat(600_000));
    let config = hurried("", &master_cf, LONG);
    assert_eq!(config.master.services[0].words.len(), 2000);
    assert!(has(&config, DefectKind::TooLong));
    let master_cf: String = (0..100)
        .map(|number| {
            format!(
                "a{number} unix - - n - - smtp {}\n",
                "-ob=$b$c ".repeat(1500)
            )
        })
        .collect();
    hurried("c = $c$c\n", &master_cf, LONG);
}

#[test]
fn values_that_grow_or_have_no_end_are_given_up() {
    let doubling: String = (0..90)
        .map(|number| format!("a{number} = $a{}$a{}\n", number + 1, number + 1))
        .collect();
    let config = hurried(
        &format!("{doubling}a90 = x\nmyhostname = $a0\nmydestination = $mydomain\n"),
        "",
        LONG,
    );
    assert!(has(&config, DefectKind::Recursion));
    assert!(config.main_scope().value("a0").broken.is_some());
    assert_eq!(config.main_scope().value("a80").text.len(), 1024);

    let many = format!("{}a90 = {}\n", doubling, "$mydomain".repeat(4_000));
    hurried(&format!("{many}myhostname = $a0\n"), "", LONG);

    let branching: String = (0..500)
        .map(|number| format!("b{number} = ${{a0?$b{}}}$(a1:$a0)\n", number + 1))
        .collect();
    hurried(&format!("{doubling}{branching}"), "", LONG);

    let itself =
        "a = $a\nb = ${b?{$b}:{$b}}\nc = ${{$c} == {x} ? {y}}\nd = ${domain_to_ascii{$d}}\n";
    let config = hurried(itself, "", LONG);
    for name in ["a", "b", "c", "d"] {
        assert!(config.main_scope().value(name).broken.is_some(), "{name}");
    }

    for (open, close) in [
        ("${", "}"),
        ("$(", ")"),
        ("${a?{", "}}"),
        ("${{", "} == {}}"),
        ("{", "}"),
        ("ldap:{", "}"),
    ] {
        let deep = format!(
            "alias_maps = {}x{}\n",
            open.repeat(30_000),
            close.repeat(30_000)
        );
        hurried(
            &deep,
            &format!("a unix - - n - - smtp -o {{{deep}}}\n"),
            LONG,
        );
        hurried(&deep.replace(close, ""), "", LONG);
    }
}

/// As deep as Postfix goes, and a step deeper.
#[test]
fn a_hundred_names_within_one_another_are_taken_and_one_more_is_not() {
    for (steps, taken) in [(100, true), (101, false)] {
        let mut main_cf = "myhostname = a.example\nmydestination = $a0\n".to_owned();
        for step in 0..steps - 1 {
            main_cf.push_str(&format!("a{step} = $a{}\n", step + 1));
        }
        main_cf.push_str(&format!("a{} = x\n", steps - 1));
        let config = Config::parse(main_cf.as_bytes(), None, None);
        assert_eq!(
            config.main_scope().value("mydestination").broken.is_none(),
            taken
        );
        assert_eq!(super::judge::compare(main_cf.as_bytes(), b""), Ok(taken));
    }
}

#[test]
fn noise_is_read_without_a_fall() {
    let mut draw = super::generated::Draw::new(7);
    let bytes = b" \t\r\n\0=#{}()$?:<>!-o,a1_\xff\xc3\xa9\x0b";
    for _ in 0..300 {
        let mut noise = |length: usize| -> Vec<u8> {
            let length = draw.below(length);
            (0..length)
                .map(|_| bytes[draw.below(bytes.len())])
                .collect()
        };
        let (main_cf, mut master_cf) = (noise(400), b"a unix - - n - - smtp ".to_vec());
        master_cf.extend(noise(400));
        let config = Config::parse(&main_cf, Some(&master_cf), None);
        let _ = (config.unknown_parameters(), config.undefined_parameters());
        for service in &config.master.services {
            let scope = config.scope(service);
            for option in &service.options {
                let _ = (
                    scope.value(&option.name),
                    scope.list(&option.name),
                    scope.level(&option.name),
                );
            }
        }
    }
}
