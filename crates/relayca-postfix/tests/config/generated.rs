//! Configurations that nobody would write, against `postconf`.

use super::judge::{at_once, compare};

/// Numbers that are the same in every run, and others for other seeds.
pub struct Draw(u64);

impl Draw {
    pub fn new(seed: u64) -> Self {
        let seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self(seed ^ 0x5851_f42d_4c95_7f2d)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 20).unwrap() % bound
    }

    pub fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }

    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}

const NAMES: &[&str] = &[
    "smtpd_banner",
    "mydestination",
    "relayhost",
    "smtpd_tls_cert_file",
    "virtual_alias_maps",
    "smtpd_restriction_classes",
    "smtpd_recipient_restrictions",
    "smtp_tls_policy_maps",
    "default_rbl_reply",
    "compatibility_level",
    "smtpd_sender_restrictions",
    "virtual_maps",
    "relay_destination_concurrency_limit",
    "filter_time_limit",
    "nothing_time_limit",
    "people_server_host",
    "people_query",
    "apple",
    "b",
    "cherry_9",
    "D",
    "myhostname",
    "mydomain",
    "stress",
    "mail_name",
    "strange-name.x",
    "process_name",
];

/// A value, or something like one. Those of `depth` 0 have nothing within.
fn value(draw: &mut Draw, depth: usize, faults: bool) -> String {
    let mut text = String::new();
    for _ in 0..draw.below(4) {
        text.push_str(&piece(draw, depth, faults));
        if draw.one_in(3) {
            text.push_str(draw.of(&[" ", ", ", ",", "\t", "  "]));
        }
    }
    text
}

fn piece(draw: &mut Draw, depth: usize, faults: bool) -> String {
    if faults && draw.one_in(40) {
        return draw
            .of(&[
                "$",
                "${",
                "$(",
                "${}",
                "${apple",
                "$-",
                "${b?{x}y}",
                "${{1} ? {x}}",
                "${{1} = {1}}",
                "${b-c}",
                "${{1} == 1 ? {a}}",
                "${{x} <level {y} ? {a}}",
                "${a b}",
                "$apple$",
                "${b{x}}",
                "${{1} =={1}x}",
                "${{1}==+{1}}",
            ])
            .to_owned();
    }
    let name = match draw.of(NAMES).split(['-', '.']).next().unwrap() {
        // The one is `postconf` for postconf, the other it looks for in too few places.
        "process_name" | "smtpd_restriction_classes" => "stress",
        name => name,
    };
    if depth == 0 || draw.one_in(3) {
        return match draw.below(10) {
            0 => format!("${name}"),
            1 => format!("${{{name}}}"),
            2 => format!("$({name})"),
            3 => draw
                .of(&[
                    "ldap:people",
                    "hash:/etc/x",
                    "proxy:ldap:people",
                    "{ldap:people}",
                    "inline:{ {a=b} }",
                    "ldap:$apple",
                ])
                .to_owned(),
            4 => "$$".to_owned(),
            5 => draw
                .of(&[
                    "17",
                    "3.6",
                    "007",
                    "x=y",
                    "==",
                    "}",
                    "#",
                    "# no comment",
                    "{",
                    "\u{e9}",
                ])
                .to_owned(),
            _ => draw
                .of(&[
                    "plain",
                    "people",
                    "filter",
                    "D",
                    "two words",
                    "permit",
                    "reject",
                ])
                .to_owned(),
        };
    }
    let inner = |draw: &mut Draw| value(draw, depth - 1, faults).replace(['{', '}'], "");
    let blank = |draw: &mut Draw| draw.of(&["", "", " ", "\t"]);
    match draw.below(8) {
        0 => format!("${{{name}?{}}}", inner(draw)),
        1 => format!("${{{name}:{}}}", inner(draw)),
        2 => format!("$({name}?{})", inner(draw).replace(['(', ')'], "")),
        3 => {
            let (a, b) = (balanced(draw, depth, faults), balanced(draw, depth, faults));
            let (p, q, r) = (blank(draw), blank(draw), blank(draw));
            format!("${{{p}{name}{q}?{r}{{{a}}}{p}:{q}{{{b}}}{r}}}")
        }
        4 => format!(
            "${{{name}?{{{}}}:{}}}",
            balanced(draw, depth, faults),
            inner(draw)
        ),
        5 => format!(
            "${{{name}{}:{}{{{}}}}}",
            blank(draw),
            blank(draw),
            balanced(draw, depth, faults)
        ),
        _ => {
            let operator = draw.of(&["==", "!=", "<", "<=", ">=", ">"]);
            let (left, right) = (operand(draw, depth, faults), operand(draw, depth, faults));
            let (yes, no) = (balanced(draw, depth, faults), balanced(draw, depth, faults));
            let tail = match draw.below(4) {
                0 => String::new(),
                1 => format!("? {{{yes}}}"),
                2 => format!(": {{{no}}}"),
                _ => format!("?{{{yes}}}:{{{no}}}"),
            };
            format!(
                "${{{{{left}}} {operator} {{{right}}}{}{tail}}}",
                blank(draw)
            )
        }
    }
}

fn operand(draw: &mut Draw, depth: usize, faults: bool) -> String {
    match draw.below(3) {
        0 => draw
            .of(&["1", "10", "9", "a", "b", "", " 1", "3.6"])
            .to_owned(),
        1 => format!(
            "${}",
            draw.of(&["apple", "b", "cherry_9", "compatibility_level"])
        ),
        _ => balanced(draw, depth, faults),
    }
}

/// A value whose braces pair: the others would end the expression that it stands in.
fn balanced(draw: &mut Draw, depth: usize, faults: bool) -> String {
    let text = value(draw, depth - 1, faults);
    let mut level = 0_i32;
    let pairs = text.chars().all(|c| {
        level += i32::from(c == '{') - i32::from(c == '}');
        level >= 0
    });
    if pairs && level == 0 {
        text
    } else {
        "plain".to_owned()
    }
}

fn line_end(draw: &mut Draw) -> &'static str {
    if draw.one_in(12) { "\r\n" } else { "\n" }
}

/// What may stand between the pieces of a logical line.
fn between(draw: &mut Draw) -> &'static str {
    draw.of(&[
        "",
        "",
        "",
        "\n",
        "# comment\n",
        "  \t\n",
        "   # comment = $x\n",
        "#\n\n",
        "\x0b\n",
    ])
}

pub fn main_cf(draw: &mut Draw, faults: bool) -> String {
    let mut text = String::new();
    if draw.one_in(6) {
        text.push_str("  begins = with a blank\n   and goes on\n");
    }
    for _ in 0..draw.below(12) + 1 {
        text.push_str(between(draw));
        if faults && draw.one_in(80) {
            text.push_str(draw.of(&["nothing here\n", "= value\n", "name\n", "==\n"]));
        }
        let name = draw.of(NAMES);
        let equals = draw.of(&["=", " = ", "= ", " =", "\t=\t", " =  "]);
        let first = match name {
            // A wrong one breaks half of the defaults; there is a test for that alone.
            "compatibility_level" => draw.of(&["0", "2", "3.6", " 3.6.1", "999"]).to_owned(),
            _ => value(draw, 3, faults),
        };
        text.push_str(&format!("{name}{equals}{first}"));
        text.push_str(line_end(draw));
        while name != "compatibility_level" && draw.one_in(4) {
            text.push_str(between(draw));
            let blank = draw.of(&[" ", "\t", "    ", "\x0c"]);
            // What begins with `#` is a comment.
            let more = value(draw, 2, faults)
                .trim_start()
                .trim_start_matches('#')
                .to_owned();
            if !more.trim().is_empty() {
                text.push_str(&format!("{blank}{more}{}", line_end(draw)));
            }
        }
    }
    // Without it, the machine's.
    text.push_str(draw.of(&["myhostname = mail.example.org", "myhostname=mail\n"]));
    text
}

const SERVICES: &[&str] = &[
    "smtp inet n - y - - smtpd",
    "127.0.0.1:2500   inet\tn  -  n - 10 smtpd",
    "[::1]:25 inet n - - 60? - smtpd",
    "relay unix - - n - - smtp",
    "filter unix - n n - 10 pipe",
    "pickup fifo n - y 60 1 pickup",
    "postlog unix-dgram n - n - 1 postlogd",
    "smtpd pass - - n - - smtpd",
    "policy unix - n n - 0 spawn",
    "people unix - - n - - lmtp",
];

pub fn master_cf(draw: &mut Draw, faults: bool) -> String {
    let mut text = String::new();
    for service in SERVICES {
        if draw.one_in(2) {
            continue;
        }
        text.push_str(between(draw));
        if faults && draw.one_in(60) {
            text.push_str(draw.of(&[
                "short unix - - -\n",
                "odd tcp - - n - - smtp\n",
                "odd unix x - n - - smtp\n",
                "odd unix - - n often - smtp\n",
                "odd unix - - n - many smtp\n",
            ]));
        }
        text.push_str(service);
        for _ in 0..draw.below(5) {
            text.push_str(&if draw.one_in(2) {
                format!("{}{}  ", line_end(draw), between(draw))
            } else {
                " ".to_owned()
            });
            text.push_str(&argument(draw, faults));
        }
        if draw.one_in(8) {
            text.push_str(draw.of(&[
                " -- -o x=y",
                " flags=R user=nobody",
                " {a b} c",
                " reject -o apple=1",
            ]));
        }
        text.push_str(line_end(draw));
    }
    text
}

fn argument(draw: &mut Draw, faults: bool) -> String {
    let name = match draw.of(NAMES) {
        // The domain of a service whose host is another is that of the host to the daemon, not to `postconf`.
        "myhostname" => "mail_name",
        name => name,
    };
    match draw.below(9) {
        0 => "-v".to_owned(),
        1 => "-D".to_owned(),
        2 => format!("-vo {name}=short"),
        // Another `o` behind the first leads `postconf` astray, and no daemon.
        3 if !name.contains('o') => format!("-o{name}=attached"),
        4 => format!("-o {name}="),
        5 | 6 => {
            let value = value(draw, 2, faults).replace([' ', '\t'], "");
            let value = if closes(&value) {
                value
            } else {
                "x".to_owned()
            };
            format!("-o {name}={value}")
        }
        _ => {
            let value = value(draw, 2, faults);
            let value = if closes(&value) {
                value
            } else {
                "x y".to_owned()
            };
            let equals = draw.of(&["=", " = ", "= "]);
            let (open, close) = (draw.of(&["{", "{ "]), draw.of(&["}", " }"]));
            format!("-o {open}{name}{equals}{value}{close}")
        }
    }
}

fn closes(value: &str) -> bool {
    let mut level = 0_i32;
    value.chars().all(|c| {
        level += i32::from(c == '{') - i32::from(c == '}');
        level >= 0
    }) && level == 0
}

/// How many of the configurations made with some seeds `postconf` took, and how many it refused.
fn run(first: u64, count: u64, faults: bool) -> (usize, usize) {
    let seeds: Vec<u64> = (first..first + count).collect();
    let judged = at_once(&seeds, |seed| judge(*seed, faults));
    for (seed, result) in seeds.iter().zip(&judged) {
        if let Err(why) = result {
            panic!("seed {seed}:\n{why}");
        }
    }
    let taken = judged.iter().filter(|result| **result == Ok(true)).count();
    (taken, judged.len() - taken)
}

fn judge(seed: u64, faults: bool) -> Result<bool, String> {
    let mut draw = Draw::new(seed + 1);
    let main = main_cf(&mut draw, faults);
    let master = master_cf(&mut draw, faults);
    compare(main.as_bytes(), master.as_bytes()).map_err(|_| {
        let (main, master) = smallest(main, master);
        compare(main.as_bytes(), master.as_bytes()).unwrap_err()
    })
}

/// What is left of two files when every line is taken away without which they differ still.
fn smallest(main: String, master: String) -> (String, String) {
    let mut lines: Vec<(bool, String)> = Vec::new();
    for (first, text) in [(true, &main), (false, &master)] {
        lines.extend(
            text.split_inclusive('\n')
                .map(|line| (first, line.to_owned())),
        );
    }
    let joined = |lines: &[(bool, String)]| -> (String, String) {
        let of = |first: bool| {
            let lines = lines.iter().filter(|line| line.0 == first);
            lines.map(|line| line.1.as_str()).collect::<String>()
        };
        (of(true), of(false))
    };
    let mut at = 0;
    while at < lines.len() {
        let line = lines.remove(at);
        let (main, master) = joined(&lines);
        if compare(main.as_bytes(), master.as_bytes()).is_ok() {
            lines.insert(at, line);
            at += 1;
        } else {
            at = 0;
        }
    }
    joined(&lines)
}

/// How many; RELAYCA_SEEDS asks for more.
fn seeds(usual: u64) -> u64 {
    std::env::var("RELAYCA_SEEDS").map_or(usual, |text| text.parse().unwrap())
}

#[test]
fn what_is_made_up_is_read_as_postconf_reads_it() {
    let (taken, _) = run(0, seeds(120), false);
    assert!(taken > 40, "{taken}");
}

#[test]
fn what_is_made_up_with_faults_is_refused_where_postconf_refuses_it() {
    let (taken, refused) = run(1 << 32, seeds(60), true);
    assert!(taken > 10 && refused > 10, "{taken} {refused}");
}
