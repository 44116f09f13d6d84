//! What `restore` refuses: anybody can seal a file to the admins, and disks and copies fail.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod authority;
mod copies;

use std::path::PathBuf;

use authority::{Admin, Outcome, age_with_identity, keygen};
use copies::{assert_identical, assert_no_leavings, full};

#[test]
fn a_damaged_or_foreign_file_leaves_nothing() {
    let admin = full();
    admin.done(&["backup", "b"]);
    let good = std::fs::read(admin.file("b")).unwrap();
    let refused = |content: &[u8]| {
        admin.write("bad", content);
        let told = admin.refused(1, &["restore", "bad", "-i", "key.txt", "--dir", "r"]);
        assert!(told.contains("`bad`") || told.contains("bad:"), "{told}");
        told
    };
    let end = good.len();
    for cut in [0, 5, 100, 200, 1000, 66_000, end / 2, end - 20, end - 1] {
        let told = refused(&good[..cut]);
        assert!(told.contains("cut short"), "{cut}: {told}");
    }
    for at in [40, 150, 230, 1000, 70_000, end - 1] {
        let mut altered = good.clone();
        altered[at] ^= 1;
        refused(&altered);
    }
    assert!(refused(&[&good[..], b"x"].concat()).contains("age file"));
    assert!(refused(b"nonsense").contains("not an age file"));
    let bundle = std::fs::read(admin.part("bundles/other.example.org.tar.age")).unwrap();
    admin.write("bad", &bundle);
    let told = admin.refused(1, &["restore", "bad", "-i", "host.txt", "--dir", "r"]);
    assert!(told.contains("not a backup"), "{told}");
    keygen(&admin.file("stranger.txt"));
    let told = admin.refused(1, &["restore", "b", "-i", "stranger.txt", "--dir", "r"]);
    assert!(told.contains("none of the identities"), "{told}");
    admin.refused(2, &["restore", "b", "--dir", "r"]);
    admin.refused(1, &["restore", "missing", "-i", "key.txt", "--dir", "r"]);
    assert_no_leavings(&admin);
}

/// The files of a backup, to be spoiled and sealed again, as anybody can who knows a recipient.
struct Forger<'a> {
    admin: &'a Admin,
    directory: PathBuf,
}

impl<'a> Forger<'a> {
    fn new(admin: &'a Admin) -> Self {
        admin.done(&["backup", "good"]);
        let archive = age_with_identity(&admin.identity(), &admin.file("good"));
        let directory = authority::untar(admin, &archive);
        Self { admin, directory }
    }

    /// Runs a script in the files, packs them with `tar -cf TAR`'s arguments that it leaves in `$what`, seals them.
    fn forged(&self, script: &str) -> Outcome {
        let admin = self.admin;
        let _ = std::fs::remove_file(admin.file("forged"));
        let all = format!(
            "set -e; cp -a {0} {0}.copy; cd {0}.copy
             more=; options=; order='relayca.toml ca bundles inventory.db'
             sums() {{ find relayca.toml ca bundles inventory.db -type f | xargs sha256sum > SHA256SUMS; }}
             {script}
             tar --format=gnu $options -cf ../forged.tar $order $more SHA256SUMS
             rm -rf {0}.copy; age -r {1} -o ../forged ../forged.tar",
            self.directory.display(),
            admin.recipient()
        );
        let mut command = admin.program("bash");
        command.args(["-c", &all]);
        Outcome::of(&mut command).done();
        admin.run(&["restore", "forged", "-i", "key.txt", "--dir", "r"])
    }
}

#[test]
fn only_an_authority_is_laid_out_whoever_sealed_it() {
    let admin = full();
    admin.done(&[
        "init",
        "example.net",
        "--recipient",
        admin.recipient(),
        "-i",
        "key.txt",
    ]);
    let net = admin.file("data/relayca/example.net");
    let net = net.to_str().unwrap();
    admin.done(&["backup", "good0", "--domain", "example.org"]);
    std::fs::rename(net, admin.file("net")).unwrap();
    let net = admin.name("net");
    let forger = Forger::new(&admin);
    // As stock tar packs it, it is one.
    forger.forged("sums").done();
    assert_identical(&admin.root(), &admin.file("r"));
    std::fs::remove_dir_all(admin.file("r")).unwrap();
    for (script, told) in [
        (
            "options=-P; echo x > ../x; more=../x; sums",
            "`../x` is not a plain path",
        ),
        (
            "options=-P; more=/etc/hostname; sums",
            "`/etc/hostname` is not a plain path",
        ),
        (
            "ln -s /etc/passwd bundles/x.age; sums",
            "neither a file nor a directory",
        ),
        (
            "ln -s / bundles/old/x; sums",
            "neither a file nor a directory",
        ),
        (
            "ln bundles/relayhost.example.org.tar.age bundles/x.age; sums",
            "neither a file nor a directory",
        ),
        (
            "mkfifo bundles/x.age; sums",
            "neither a file nor a directory",
        ),
        (
            "echo x > ca/x; sums",
            "`ca/x` is not a file of an authority",
        ),
        (
            "mkdir -m 700 staged; more=staged; sums",
            "`staged` is not a file of an authority",
        ),
        (
            "echo x > bundles/run.sh; sums",
            "`bundles/run.sh` is not a file of an authority",
        ),
        (
            "echo x > .profile; more=.profile; sums",
            "`.profile` is not a plain path",
        ),
        (
            "chmod 4755 ca/ca.key.pem; sums",
            "`ca/ca.key.pem` has mode 4755",
        ),
        (
            "chmod 644 ca/ca.key.pem; sums",
            "`ca/ca.key.pem` has mode 0644",
        ),
        ("chmod 777 bundles; sums", "`bundles` has mode 0777"),
        (
            "order='ca relayca.toml bundles inventory.db'; sums",
            "not a backup",
        ),
        ("more=ca/ca.key.pem; sums", "neither a file nor a directory"),
        (
            "options=--hard-dereference; more=ca/ca.key.pem; sums",
            "in the archive twice",
        ),
        (
            "sums; echo >> relayca.toml",
            "`relayca.toml` does not match its checksum",
        ),
        ("sums; sed -i 1d SHA256SUMS", "is not listed"),
        ("sums; rm bundles/relayhost*", "but missing"),
        (": > SHA256SUMS", "is not listed"),
        ("rm ca/ca.key.pem; sums", "`ca/ca.key.pem` is missing"),
        (
            "rm ca/ca.passphrase.age; sums",
            "`ca/ca.passphrase.age` is missing",
        ),
        (
            "head -c 9000 inventory.db > i; cat i > inventory.db; rm i; sums",
            "",
        ),
        (
            "echo x > inventory.db; sums",
            "`inventory.db` is not a relayca inventory",
        ),
        (
            "printf xxxxxxxxxxxxxxxx | dd of=inventory.db bs=1 seek=8192 conv=notrunc 2> /dev/null; sums",
            "",
        ),
        ("echo 'domain = 1' > relayca.toml; sums", "relayca.toml"),
        (
            "sed -i 's/^domain = .*/domain = \"example.com\"/; s/^relays = .*/relays = []/' relayca.toml; sums",
            "is not for `example.com`",
        ),
        ("truncate -s 5M relayca.toml; sums", "larger than"),
        ("truncate -s 2M ca/ca.key.pem; sums", "larger than"),
        (
            &format!("cp {net}/ca/ca.crt.pem ca/; sums"),
            "not the active CA",
        ),
        (
            &format!("cp {net}/inventory.db .; sums"),
            "not the active CA",
        ),
    ] {
        let outcome = forger.forged(script);
        assert!(!admin.file("r").exists(), "{script}: {outcome:?}");
        let stderr = outcome.refused(1);
        assert!(stderr.contains(told), "{script}: {stderr}");
        assert!(!stderr.contains("unfinished"), "{script}: {stderr}");
        assert_no_leavings(&admin);
    }
    assert!(!admin.file("x").exists() || std::fs::read(admin.file("x")).unwrap() == b"x\n");
}
