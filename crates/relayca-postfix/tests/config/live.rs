//! What the daemons themselves take, where `postconf` is no judge: it shows what it thinks, they do.

use std::io::Read as _;
use std::net::TcpStream;
use std::time::Duration;

use relayca_postfix::config::{Config, DefectKind};
use xtask::lab::{Port, Setup};

/// Options of a service; the greeting tells what became of them.
const OPTIONS: &[&str] = &[
    "-o smtpd_banner=$mydomain -o myhostname=mail.elsewhere.example",
    "-osmtpd_banner=x.$mydomain",
    "-o{smtpd_banner=braced}",
    "-o{ smtpd_banner = braced }",
    "-o { smtpd_banner = one, two }",
    "-o smtpd_banner = a",
    "-o smtpd_banner= a",
    "-o smtpd_banner=$service_name/$process_name -o service_name=other",
    "-o smtpd_banner=one, two -o smtpd_banner=three",
    "-o smtpd_banner=one # comment",
    "-x -o smtpd_banner=x",
    "-o smtpd_banner=1 -- -o smtpd_banner=2",
    "-o smtpd_banner=1 -o smtpd_banner=2 --",
    "-o smtpd_banner={one two",
    "-o smtpd_banner=$nobody|x",
    "-o smtpd_banner",
    "-vo smtpd_banner=short",
    "-o smtpd_banner=${{$compatibility_level}>=level{3.6}?{new}:{old}}",
];

/// All that is said before anything is asked; nothing where the service does not greet.
fn greeting(port: u16) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(4)))
        .unwrap();
    let mut said = Vec::new();
    let mut buffer = [0; 512];
    while !said.ends_with(b"\r\n") {
        match stream.read(&mut buffer) {
            Ok(length) if length > 0 => said.extend(&buffer[..length]),
            _ => return None,
        }
    }
    let said = String::from_utf8(said).unwrap();
    Some(
        said.strip_prefix("220 ")
            .unwrap_or(&said)
            .trim_end()
            .to_owned(),
    )
}

#[test]
fn a_service_greets_as_its_options_are_read_and_is_silent_where_they_are_wrong() {
    let mut setup = Setup::new("mail.example.org").set("smtpd_banner", "default");
    let mut ports = Vec::new();
    for options in OPTIONS {
        let port = Port::reserve().unwrap();
        setup = setup.service(&format!("{} inet n - n - - smtpd {options}", port.number()));
        ports.push(port);
    }
    let instance = setup.start().unwrap();
    let file = |name: &str| std::fs::read(instance.config().join(name)).unwrap();
    let version = super::judge::version();
    let config = Config::parse(&file("main.cf"), Some(&file("master.cf")), Some(version));
    let greetings = super::judge::at_once(&ports, |port| greeting(port.number()));
    let mut silent = 0;
    for ((options, port), said) in OPTIONS.iter().zip(&ports).zip(greetings) {
        let label = format!("{}/inet", port.number());
        let service = config.master.service(&label).unwrap();
        let stops = config.master.defects.iter().any(|defect| {
            defect.service.as_deref() == Some(label.as_str())
                && match defect.kind {
                    DefectKind::BadOption => !options.contains("-o{smtpd"),
                    DefectKind::UnbalancedBraces | DefectKind::ReadOnlyParameter => false,
                    _ => true,
                }
        });
        let text = config.scope(service).value("smtpd_banner").text;
        let meant = (!stops).then_some(text);
        assert_eq!(said, meant, "{options}: {}", instance.log());
        silent += usize::from(stops);
    }
    assert_eq!(silent, 8);
}
