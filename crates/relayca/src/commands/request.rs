//! `relayca request`: on a host, makes a key and the certificate request for it.
//!
//! In: the host's name. Out: `HOST.key.pem` (0600) and `HOST.csr.pem`. It knows no authority: the key never leaves this place.

use std::path::PathBuf;

use relayca_ca::{HostName, PrivateKey, certificate_request, public_key_from_csr};
use serde_json::json;

use crate::cli::Request;
use crate::disk;
use crate::failure::Failure;
use crate::pieces;
use crate::run::Run;
use crate::settings::word;

/// Runs the command.
pub fn run(run: &Run, arguments: &Request) -> Result<(), Failure> {
    let host = HostName::parse(&arguments.host)?;
    let directory = arguments
        .directory
        .clone()
        .unwrap_or_else(|| PathBuf::from("."));
    crate::home::refuse_odd_path(&directory)?;
    let key_file = directory.join(format!("{host}.key.pem"));
    let request_file = directory.join(format!("{host}.csr.pem"));
    for path in [&key_file, &request_file] {
        if path.symlink_metadata().is_ok() {
            return Err(Failure::new(format!(
                "`{}` is there already; nothing was changed",
                path.display()
            ))
            .hint("a key is never overwritten: move it away, or name another directory with -C"));
        }
    }
    let key = PrivateKey::generate(word(&arguments.key)?)?;
    let request = certificate_request(&key, &host)?;
    // Read again as the admin will: a request that is refused there would cost a journey.
    if public_key_from_csr(request.as_bytes())?.spki_der != key.spki_der() {
        return Err(Failure::new(
            "the certificate request is not for the key; nothing was changed",
        )
        .hint("this must not happen: check the machine's memory and report it"));
    }
    disk::make_private(&directory)?;
    disk::write_all_new(&[
        (&key_file, key.to_pkcs8_pem().as_bytes(), pieces::PRIVATE),
        (&request_file, request.as_bytes(), pieces::PUBLIC),
    ])?;
    if run.printer.json {
        run.printer.json(&json!({
            "host": host.as_str(),
            "key": key_file,
            "request": request_file,
            "fingerprint": relayca_fingerprint::fingerprint(relayca_fingerprint::Digest::Sha256, key.spki_der()).to_string(),
        }))?;
    } else {
        run.printer.data(&request)?;
    }
    run.printer.note(&format!(
        "made a key, which stays here: {}",
        key_file.display()
    ));
    run.printer.note(&format!(
        "next: send {} to the admin, for `relayca issue {host} --csr {host}.csr.pem`",
        request_file.display()
    ));
    Ok(())
}
