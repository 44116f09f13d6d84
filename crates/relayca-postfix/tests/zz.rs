#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
mod pair;
use pair::*;
#[test]
fn z() {
    let pair = Pair::before_pasting(Wish::default());
    pair.paste_map(&[&pair.listed]);
    paste(&pair.relay, &pair.relay_script());
    println!("{:?}", pair.relay.run("postconf", &["-P", &format!("{}/inet", pair.port.number())]).unwrap());
    println!("{:?}", pair.relay.run("postconf", &["-P", &format!("{}/inet/smtpd_tls_CAfile", pair.port.number())]).unwrap());
    println!("{:?}", pair.relay.run("postconf", &["-M"]).unwrap());
    println!("{:?}", pair.relay.run("postconf", &["-Mf"]).unwrap().stdout.len());
    println!("{}", pair.relay_script());
    println!("{}", pair.mail_host_script());
}
