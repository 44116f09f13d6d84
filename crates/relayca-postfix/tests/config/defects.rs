//! What Postfix would not take as it was meant.

use relayca_postfix::config::{Config, Defect, DefectKind};

use super::judge::{Judge, compare_all};
use super::read;

const HEAD: &str = "smtp inet n - n - - smtpd\n";

fn in_main(main_cf: &str) -> Vec<Defect> {
    read(main_cf, "").main.defects
}

fn in_master(master_cf: &str) -> Vec<Defect> {
    read("", master_cf).master.defects
}

fn kinds(defects: &[Defect]) -> Vec<(DefectKind, u32)> {
    defects
        .iter()
        .map(|defect| (defect.kind, defect.place.line.unwrap()))
        .collect()
}

#[test]
fn what_is_wrong_in_main_cf_is_found_with_its_line() {
    use DefectKind::*;
    for (main_cf, kind, line, says) in [
        (
            "# c\n  a = b\n",
            ContinuationWithoutLine,
            2,
            "`a = b` begins with a blank",
        ),
        (
            "biff = no\nnothing\n",
            MissingEquals,
            2,
            "no `=` in `nothing`",
        ),
        ("biff no\n", MissingEquals, 1, "`biff no`"),
        ("biff = no\n= x\n", MissingName, 2, "no name"),
        (
            "biff = no\nrelayhost =\nbiff = yes\n",
            DuplicateParameter,
            3,
            "line 1 too, with another value",
        ),
        (
            "biff = no\nbiff = no\n",
            DuplicateParameter,
            2,
            "with the same value",
        ),
        (
            "relayhost = a # b\n",
            TrailingComment,
            1,
            "`# b` is part of the value of `relayhost`",
        ),
        (
            "relayhost = a,\n  b\n  c # d\n",
            TrailingComment,
            3,
            "`# d`",
        ),
        ("relayhost = # none\n", TrailingComment, 1, "`# none`"),
        (
            "relayhost = \u{201c}a\u{201d}\n",
            NonAscii,
            1,
            "quotation mark U+201C",
        ),
        (
            "relayhost =\u{a0}a\n",
            NonAscii,
            1,
            "blank that is none to Postfix, U+00A0",
        ),
        ("\u{feff}biff = no\n", NonAscii, 1, "byte order mark"),
        ("relayhost = a\u{7}b\n", ControlCharacter, 1, "U+0007"),
        ("relayhost = a\0b\n", Nul, 1, "NUL"),
        ("biff = no\r\nrelayhost =\r\n", CarriageReturn, 1, "Windows"),
        (
            "relayhost = ${a\n",
            BadExpression,
            1,
            "`relayhost` is no expression",
        ),
        (
            "a = $b\nb = $a\nrelayhost =\n",
            Recursion,
            1,
            "contains itself",
        ),
        ("mynetworks = { a\n", UnbalancedBraces, 1, "do not pair"),
        (
            "process_name = x\n",
            ReadOnlyParameter,
            1,
            "`process_name` is set by Postfix alone",
        ),
    ] {
        let defects = in_main(main_cf);
        let found = defects.iter().find(|defect| defect.kind == kind);
        let found = found.unwrap_or_else(|| panic!("{main_cf:?}: {defects:?}"));
        assert_eq!(found.place.line, Some(line), "{main_cf:?}");
        assert!(found.text.contains(says), "{}", found.text);
    }
    for well in [
        "",
        "# only a comment",
        "biff = no # ".trim_end_matches([' ', '#']),
        "smtpd_banner = $myhostname #1".trim_end_matches(" #1"),
        "header_checks = pcre:{ { /a/ reject # b } }\n",
        "relayhost = a#b\n",
        "default_rbl_reply = ${\n".trim_end_matches("{\n"),
        "smtpd_recipient_restrictions = check_client_access inline:{ {a=b} },\n\treject\n",
    ] {
        assert_eq!(in_main(well), [], "{well:?}");
    }
}

#[test]
fn what_is_wrong_in_master_cf_is_found_with_its_line_and_service() {
    use DefectKind::*;
    let smtpd = |words: &str| format!("2500 inet n - n - - smtpd{words}\n");
    for (master_cf, kind, line, says) in [
        (
            "  -o a=b\n".to_owned(),
            ContinuationWithoutLine,
            1,
            "belongs to no service",
        ),
        ("smtp inet n - n\n".to_owned(), BadService, 1, "has 5"),
        (
            "smtp tcp n - n - - smtpd\n".to_owned(),
            BadService,
            1,
            "`tcp` is no kind",
        ),
        (
            "smtp inet - - n - - smtpd\n".to_owned(),
            BadService,
            1,
            "cannot be private",
        ),
        (
            "smtp inet n x n - - smtpd\n".to_owned(),
            BadService,
            1,
            "`x` in the field unpriv",
        ),
        (
            "smtp inet n - n ? - smtpd\n".to_owned(),
            BadService,
            1,
            "wakeup",
        ),
        (
            "smtp inet n - n - 1k smtpd\n".to_owned(),
            BadService,
            1,
            "maxproc",
        ),
        (
            "smtp inet n - n - - -\n".to_owned(),
            BadService,
            1,
            "no default command",
        ),
        (
            smtpd("\n  -o a=b, c\n  -o d=e"),
            WordsAfterOption,
            2,
            "`c` is no part of the value of `a`, and `-o d` behind it",
        ),
        (
            smtpd(" -o a= b -o c=d -o e=f"),
            WordsAfterOption,
            1,
            "the 2 options behind it do not count: `c`, `e`",
        ),
        (
            smtpd(" -o a=b -- -o c=d"),
            WordsAfterOption,
            1,
            "`-o c` behind it",
        ),
        (smtpd("\n  -o a = b"), SpacedOption, 2, "needs braces"),
        (smtpd("\n  -o a =b"), SpacedOption, 2, "`-o a = ...`"),
        (smtpd(" -o a"), BadOption, 1, "`-o a` is no `name=value`"),
        (smtpd(" -o"), BadOption, 1, "nothing follows"),
        (
            smtpd(" -o{ a = b }"),
            BadOption,
            1,
            "needs a blank before the brace",
        ),
        (smtpd(" -x"), UnknownFlag, 1, "`-x`"),
        (
            smtpd(" -o { a = b"),
            UnbalancedBraces,
            1,
            "no closing brace",
        ),
        (smtpd(" -o {a=b}c"), UnbalancedBraces, 1, "goes on behind"),
        (
            smtpd(" -o a={b -o c=d"),
            UnbalancedBraces,
            1,
            "takes in all that follows",
        ),
        (smtpd(" -o a=b # c"), TrailingComment, 1, "`#`"),
        (smtpd(" -o a=$a"), Recursion, 1, "`a` has no end"),
        (
            smtpd(" -o service_name=x"),
            ReadOnlyParameter,
            1,
            "set by Postfix alone",
        ),
        (
            "smtp inet n - n - - smtpd\n#submission inet n - n - - smtpd\n  -o a=b\n".to_owned(),
            OptionsUnderComment,
            3,
            "`submission/inet` of line 2 belongs to `smtp/inet` of line 1",
        ),
        (
            format!("{HEAD}25 inet n - n - - smtpd\n"),
            DuplicateService,
            2,
            "line 1 too",
        ),
        (
            "a unix - - n - - smtp\na unix y - n - - lmtp\n".to_owned(),
            DuplicateService,
            2,
            "`a/unix`",
        ),
        (
            "x unix - n n - - pipe\n  flags=R -o a=b argv=/x\n".to_owned(),
            WordsAfterOption,
            2,
            "`-o a`",
        ),
    ] {
        let defects = in_master(&master_cf);
        let found = defects.iter().find(|defect| defect.kind == kind);
        let found = found.unwrap_or_else(|| panic!("{master_cf:?}: {defects:?}"));
        assert_eq!(found.place.line, Some(line), "{master_cf:?}");
        assert!(found.text.contains(says), "{}", found.text);
    }
    for well in [
        smtpd(" -v -o a=b\n  -o { c = d, e }\n # comment\n  -o f="),
        smtpd("\n#  -o a=b\n  -o c=d"),
        "smtp inet n - n - - smtpd\n#smtp inet n - n - 1 postscreen\n  -o a=b\n".to_owned(),
        "smtp inet n - n - - smtpd\n#submission inet n - n - - smtpd\n#  -o a=b\nrelay unix - - n - - smtp\n".to_owned(),
        "x unix - n n - - pipe\n  flags=R user=a argv=/x -o a=b # c\n".to_owned(),
        "x unix - n n - 0 spawn user=a argv=/x -o b\n".to_owned(),
        "127.0.0.1:25 inet n - n - - smtpd\n[::1]:25 inet n - n - - smtpd\na unix n - n - - smtp\na unix y - n - - smtp\n".to_owned(),
    ] {
        assert_eq!(in_master(&well), [], "{well:?}");
    }
    let lost = in_master(&smtpd("\n  -o a=b, c\n"));
    assert_eq!(lost[0].service.as_deref(), Some("2500/inet"));
    assert_eq!(lost[0].name.as_deref(), Some("a"));
    assert_eq!(kinds(&lost), [(DefectKind::WordsAfterOption, 2)]);
}

#[test]
fn postconf_stops_where_a_line_is_said_to_stop_it() {
    let files: Vec<(String, String)> = [
        ("nothing\n", ""),
        ("= x\n", ""),
        ("", "smtp inet n - n\n"),
        ("", "smtp tcp n - n - - smtpd\n"),
        ("", "smtp inet n x n - - smtpd\n"),
        ("", "smtp inet n - n x - smtpd\n"),
        ("", "smtp inet n - n - 1k smtpd\n"),
    ]
    .map(|(main_cf, master_cf)| (main_cf.to_owned(), master_cf.to_owned()))
    .to_vec();
    for (pair, judged) in files.iter().zip(compare_all(&files)) {
        assert_eq!(judged, Ok(false), "{pair:?}");
    }
}

#[test]
fn what_is_behind_a_nul_is_not_there() {
    let main_cf = b"relayhost = a\0b\n  c\nbiff = no\nsmtpd_banner\0 = x\n";
    let config = Config::parse(&main_cf[..30], None, None);
    assert_eq!(config.main.get("relayhost").unwrap().value, "a");
    assert_eq!(config.main.get("biff").unwrap().line, 3);
    let said = Judge::of(&main_cf[..30], b"").ask(&["-h", "relayhost", "biff"]);
    assert_eq!(said.stdout, b"a\nno\n");
    let config = Config::parse(main_cf, None, None);
    assert_eq!(
        kinds(&config.main.defects).last().unwrap().0,
        DefectKind::Nul
    );
    assert!(
        config
            .main
            .defects
            .iter()
            .any(|defect| defect.kind == DefectKind::MissingEquals)
    );
    assert!(!Judge::of(main_cf, b"").ask(&["-n"]).ok);
}

#[test]
fn what_a_defect_says_cannot_steer_a_terminal() {
    let nasty = "\u{1b}[31m\u{202e}\u{200b}`x";
    let main_cf =
        format!("a{nasty} = 1\na{nasty} = 2\n{nasty}\nb = ${{{nasty}}} # {nasty}\n {nasty}\n");
    let master_cf = format!(
        "{nasty}\n {nasty}\nx{nasty} unix - - n - - smtp -o{{{nasty} -o {nasty} = -{nasty} -o a{nasty}=1, {nasty}\nx{nasty} unix - - n - - smtp {{{nasty}\n"
    );
    let config = Config::parse(main_cf.as_bytes(), Some(master_cf.as_bytes()), None);
    let defects: Vec<_> = config
        .main
        .defects
        .iter()
        .chain(&config.master.defects)
        .collect();
    assert!(defects.len() > 6, "{defects:?}");
    for defect in defects {
        let steers = |c: char| c.is_control() || matches!(c, '\u{202e}' | '\u{200b}');
        assert!(!defect.text.contains(steers), "{defect:?}");
        assert_eq!(defect.text.matches('`').count() % 2, 0, "{defect:?}");
    }
}
