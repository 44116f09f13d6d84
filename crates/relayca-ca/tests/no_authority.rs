//! What is not taken for an authority, and what an authority that lacks something is held to.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod judges;

use judges::{Bench, issue, made, made_read, now, request};
use relayca_ca::{Authority, Certificate, IssueError, KeyType, NewCrl, PrivateKey, Role};

use judges::FULL;

#[test]
fn what_is_no_authority_stays_refused() {
    let bench = Bench::new();
    let refused = |certificate: Certificate, key: PrivateKey, why: &str| {
        let error = Authority::load(certificate, key, now()).unwrap_err();
        assert!(matches!(error, IssueError::NotAnAuthority(_)), "{error}");
        assert!(error.to_string().contains(why), "{error}");
    };
    let (leaf, key) = made(&bench, "[dn]\nCN=leaf", "basicConstraints=CA:FALSE\n", "");
    refused(leaf, key, "basicConstraints");
    let (bare, key) = made(
        &bench,
        "[dn]\nCN=bare",
        "subjectKeyIdentifier=hash\nkeyUsage=keyCertSign\n",
        "",
    );
    refused(bare, key, "basicConstraints");
    let (mute, key) = made(
        &bench,
        "[dn]\nCN=mute",
        "basicConstraints=CA:TRUE\nkeyUsage=cRLSign\n",
        "",
    );
    refused(mute, key, "keyUsage");
    for constraints in [
        "3003020101",
        "3000",
        // Exclusions of a kind of name that there is not; something behind the permissions.
        "300ea006300482026162a10430028f00",
        "300ba006300482026162020101",
    ] {
        let extension = format!(
            "basicConstraints=CA:TRUE\nnameConstraints=critical,DER:{}\n",
            constraints
        );
        let (odd, key) = made(&bench, "[dn]\nCN=odd", &extension, "");
        refused(odd, key, "cannot be read");
    }
    // Intermediates, of version 3 and of version 1.
    let (root, _) = made(&bench, "[dn]\nCN=root", FULL, "");
    bench.put("root.pem", root.to_pem());
    bench.put("root.key", bench.text("made.key"));
    bench.put("between.ext", FULL);
    for extensions in ["-extfile between.ext", ""] {
        bench.must("openssl req -new -newkey rsa:2048 -nodes -keyout made.key -out made.csr -subj /CN=between");
        bench.must(&format!(
            "openssl x509 -req -in made.csr -CA root.pem -CAkey root.key -set_serial 5 -days 30 {extensions} -out made.pem"
        ));
        let (between, key) = made_read(&bench);
        let why = if extensions.is_empty() {
            "basicConstraints"
        } else {
            "self-signed"
        };
        refused(between, key, why);
    }
    // The root's own name over another key: a forgery that only the signature shows.
    bench.must(
        "openssl req -new -newkey rsa:2048 -nodes -keyout made.key -out made.csr -subj /CN=root",
    );
    bench.must("openssl x509 -req -in made.csr -CA root.pem -CAkey root.key -set_serial 5 -days 30 -extfile between.ext -out made.pem");
    let (forged, key) = made_read(&bench);
    refused(forged, key, "self-signed");
    // No name at all.
    bench.must("openssl req -x509 -newkey rsa:2048 -nodes -keyout made.key -out made.pem -subj / -addext basicConstraints=critical,CA:TRUE");
    let (nameless, key) = made_read(&bench);
    refused(nameless, key, "no name");
    // Another's key.
    let (ca, _) = made(&bench, "[dn]\nCN=CA", FULL, "");
    let stranger = PrivateKey::generate(KeyType::P256).unwrap();
    assert_eq!(
        Authority::load(ca, stranger, now()).unwrap_err(),
        IssueError::KeyMismatch
    );
}

#[test]
fn an_authority_that_may_not_sign_lists_or_serve_a_role_is_held_to_it() {
    let bench = Bench::new();
    let (certificate, key) = made(
        &bench,
        "[dn]\nCN=CA",
        "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\nsubjectKeyIdentifier=hash\nextendedKeyUsage=serverAuth\n",
        "",
    );
    let ca = Authority::load(certificate, key, now()).unwrap();
    let wanted = NewCrl {
        number: 1,
        days: 30,
        revoked: Vec::new(),
    };
    assert_eq!(
        ca.revocation_list(&wanted, now()),
        Err(IssueError::MayNotSignLists)
    );
    let leaf = issue(&ca, Role::Relay, "relay.example.org", &[]);
    bench
        .openssl(&leaf, ca.certificate(), Role::Relay, true)
        .unwrap();
    let key = PrivateKey::generate(KeyType::P256).unwrap();
    let error = ca
        .issue(
            &request(Role::MailHost, "mailhost.example.org", &[]),
            key.spki_der(),
            now(),
        )
        .unwrap_err();
    assert!(error.to_string().contains("clientAuth"), "{error}");
}
