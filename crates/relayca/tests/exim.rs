//! A revocation list in a real Exim, the MTA that reads one: a revoked client is refused, another is not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use authority::{Admin, feed, unseal, untar};
use xtask::lab::{Port, wait_for};

const SOON: Duration = Duration::from_secs(30);
const RELAY: &str = "relayhost.example.org";
/// The user that Debian's Exim runs as; the machine need not have it.
const USER: &str = "Debian-exim";

/// Exim from target/judges, on loopback, with all its files in a directory of its own.
struct Exim {
    daemon: Child,
    directory: tempfile::TempDir,
    port: Port,
}

impl Exim {
    fn start(files: &Path, list: &str) -> Self {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/judges/exim");
        let program = place.join("usr/sbin/exim4");
        assert!(
            program.exists(),
            "{} is missing: `cargo xtask test` puts it there",
            program.display()
        );
        let directory = tempfile::tempdir().unwrap();
        let at = directory.path();
        fs::set_permissions(at, fs::Permissions::from_mode(0o755)).unwrap();
        for name in ["spool", "log", "tls"] {
            fs::create_dir(at.join(name)).unwrap();
        }
        for name in [
            format!("{RELAY}.crt.pem"),
            format!("{RELAY}.key.pem"),
            "example.org-ca.crt.pem".to_owned(),
        ] {
            fs::copy(files.join(&name), at.join("tls").join(&name)).unwrap();
        }
        fs::write(at.join("tls/crl.pem"), list).unwrap();
        let port = Port::reserve().unwrap();
        let here = at.display();
        fs::write(
            at.join("exim.conf"),
            format!(
                "\
primary_hostname = {RELAY}
spool_directory = {here}/spool
log_file_path = {here}/log/%slog
pid_file_path = {here}/pid
daemon_smtp_ports = {}
local_interfaces = 127.0.0.1
keep_environment =
smtp_enforce_sync = false
tls_advertise_hosts = *
tls_certificate = {here}/tls/{RELAY}.crt.pem
tls_privatekey = {here}/tls/{RELAY}.key.pem
tls_verify_certificates = {here}/tls/example.org-ca.crt.pem
tls_verify_hosts = *
tls_crl = {here}/tls/crl.pem
acl_smtp_rcpt = accept verify = certificate
begin routers
all:
  driver = accept
  transport = none
begin transports
none:
  driver = appendfile
  file = /dev/null
  user = root
",
                port.number()
            ),
        )
        .unwrap();
        for (file, line) in [
            ("passwd", format!("{USER}:x:64998:64998::/:/bin/false\n")),
            ("group", format!("{USER}:x:64998:\n")),
        ] {
            let text = fs::read_to_string(Path::new("/etc").join(file)).unwrap();
            let text: String = text
                .lines()
                .filter(|line| !line.starts_with(USER))
                .map(|line| format!("{line}\n"))
                .collect();
            fs::write(at.join(file), text + &line).unwrap();
        }
        // In a room of its own, where that user is known.
        let script = format!(
            "mount --bind {here}/passwd /etc/passwd && mount --bind {here}/group /etc/group && \
             chown -R {USER}: {here}/spool {here}/log {here}/tls && exec {} -C {here}/exim.conf -bdf",
            program.display()
        );
        let libraries: Vec<String> = ["usr/lib", "lib"]
            .iter()
            .flat_map(|name| fs::read_dir(place.join(name)).into_iter().flatten())
            .map(|entry| entry.unwrap().path())
            .filter(|path: &PathBuf| path.is_dir())
            .map(|path| path.display().to_string())
            .collect();
        let daemon = Command::new("unshare")
            .args(["--mount", "sh", "-c", &script])
            .env("LD_LIBRARY_PATH", libraries.join(":"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(at.join("said")).unwrap())
            .spawn()
            .unwrap();
        let exim = Self {
            daemon,
            directory,
            port,
        };
        let listens = || std::net::TcpStream::connect(("127.0.0.1", exim.port.number())).is_ok();
        wait_for("Exim", SOON, listens).unwrap_or_else(|error| panic!("{error}: {}", exim.log()));
        exim
    }

    fn log(&self) -> String {
        ["said", "log/mainlog", "log/paniclog"]
            .iter()
            .map(|name| fs::read_to_string(self.directory.path().join(name)).unwrap_or_default())
            .collect()
    }

    /// Whether it takes a recipient from a client with this certificate.
    fn takes(&self, files: &Path, host: &str) -> bool {
        let part = |end: &str| files.join(format!("{host}.{end}")).display().to_string();
        let place = format!("127.0.0.1:{}", self.port.number());
        let mut client = Command::new("openssl");
        client
            .args([
                "s_client",
                "-quiet",
                "-starttls",
                "smtp",
                "-connect",
                &place,
            ])
            .args(["-cert", &part("crt.pem"), "-key", &part("key.pem")]);
        let said = b"EHLO test.example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.net>\r\nQUIT\r\n";
        feed(&mut client, said).stdout.contains("250 Accepted")
    }
}

impl Drop for Exim {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

#[test]
fn exim_refuses_the_revoked_client_and_takes_the_other() {
    let admin = Admin::with_mailhost();
    admin.done(&["issue", "stolen"]);
    let relay = unseal(&admin, RELAY);
    let (good, bad) = (
        unseal(&admin, "mailhost.example.org"),
        unseal(&admin, "stolen.example.org"),
    );

    let exim = Exim::start(&relay, &admin.done(&["crl"]));
    assert!(exim.takes(&good, "mailhost.example.org"), "{}", exim.log());
    assert!(
        exim.takes(&bad, "stolen.example.org"),
        "nobody is revoked: {}",
        exim.log()
    );
    drop(exim);

    admin.done(&["revoke", "stolen", "--reason", "keyCompromise"]);
    let exim = Exim::start(&relay, &admin.done(&["crl"]));
    assert!(exim.takes(&good, "mailhost.example.org"), "{}", exim.log());
    assert!(!exim.takes(&bad, "stolen.example.org"), "{}", exim.log());
    wait_for("its log", SOON, || exim.log().contains("revoked"))
        .unwrap_or_else(|error| panic!("{error}\n{}", exim.log()));
    drop(exim);

    // While a CA is replaced the file has two lists; clients of either CA are told apart.
    admin.done(&["rollover", "prepare"]);
    admin.done(&["rollover", "activate"]);
    admin.done(&["issue", "new"]);
    let archive = fs::read(admin.part(&format!("bundles/{RELAY}.public.tar"))).unwrap();
    let both = untar(&admin, &archive).join("example.org-ca.crt.pem");
    fs::copy(both, relay.join("example.org-ca.crt.pem")).unwrap();
    let exim = Exim::start(&relay, &admin.done(&["crl"]));
    let new = unseal(&admin, "new.example.org");
    assert!(exim.takes(&good, "mailhost.example.org"), "{}", exim.log());
    assert!(exim.takes(&new, "new.example.org"), "{}", exim.log());
    assert!(!exim.takes(&bad, "stolen.example.org"), "{}", exim.log());
}
