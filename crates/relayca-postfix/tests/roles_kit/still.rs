//! A host on which nothing runs: what scripts refuse, warn of, and put back.

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::Path;

use relayca_postfix::RelayStyle;
use relayca_postfix::roles::Role;
use xtask::lab::{Setup, Tree};

use super::HOST;
use super::server::Server;

/// A host on which nothing runs, and Dovecot's socket is there.
pub fn still(style: RelayStyle, setup: impl FnOnce(Setup) -> Setup) -> Server {
    let server = Server::still(setup, style, &Tree::default());
    // What the real one says is for the other tests, which wait for it.
    server.pretend("postfix", "[ \"$1\" = check ]");
    let private = server.postfix.directory().join("queue/private");
    fs::create_dir(&private).unwrap();
    drop(UnixListener::bind(private.join("auth")).unwrap());
    server
}

pub fn as_it_is(setup: Setup) -> Setup {
    setup
}

pub fn config(server: &Server, file: &str) -> String {
    fs::read_to_string(server.postfix.config().join(file)).unwrap()
}

pub fn add(server: &Server, file: &str, text: &str) {
    fs::write(
        server.postfix.config().join(file),
        format!("{}{text}", config(server, file)),
    )
    .unwrap();
}

/// Refused with these words, and nothing is changed.
pub fn refuses(server: &Server, role: Role, words: &str) {
    let before = server.files();
    let said = server.paste(role);
    assert!(
        !said.ok() && said.stderr.contains(words),
        "{role}: {words}: {said:?}"
    );
    assert!(
        said.stderr.contains("nothing was changed")
            || said.stderr.contains("everything is as before"),
        "{said:?}"
    );
    assert_eq!(before, server.files(), "{role}: {words}");
}

/// Taken, with these words.
pub fn warns(server: &Server, role: Role, words: &str) {
    let said = server.paste(role);
    assert!(
        said.ok() && said.stderr.contains(words),
        "{role}: {words}: {said:?}"
    );
}

pub fn install(server: &Server, certificate: &Path, key: &Path) {
    let live = server.letsencrypt().join("live").join(HOST);
    for (name, file) in [("fullchain.pem", certificate), ("privkey.pem", key)] {
        let _ = fs::remove_file(live.join(name));
        fs::copy(file, live.join(name)).unwrap();
    }
}
