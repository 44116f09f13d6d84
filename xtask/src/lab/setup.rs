//! What an instance should be like before relayca touches it: main.cf and master.cf as Debian ships them, or as people make
//! them. Enters: wishes. Leaves: configuration files in a temporary directory. Refuses to know relayca's settings.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};

use super::{Instance, Port, Sink, Tree, openssl};

/// master.cf of Debian 12, without the delivery agents of other programs. `@PORT@` is the port for ordinary SMTP.
const MASTER_CF: &str = "\
# Postfix master process configuration file.
# ==========================================================================
# service type  private unpriv  chroot  wakeup  maxproc command + args
#               (yes)   (yes)   (no)    (never) (100)
# ==========================================================================
@PORT@    inet  n       -       y       -       -       smtpd
#submission inet n       -       y       -       -       smtpd
#  -o syslog_name=postfix/submission
#  -o smtpd_tls_security_level=encrypt
pickup    unix  n       -       y       60      1       pickup
cleanup   unix  n       -       y       -       0       cleanup
qmgr      unix  n       -       n       300     1       qmgr
tlsmgr    unix  -       -       y       1000?   1       tlsmgr
rewrite   unix  -       -       y       -       -       trivial-rewrite
bounce    unix  -       -       y       -       0       bounce
defer     unix  -       -       y       -       0       bounce
trace     unix  -       -       y       -       0       bounce
verify    unix  -       -       y       -       1       verify
flush     unix  n       -       y       1000?   0       flush
proxymap  unix  -       -       n       -       -       proxymap
proxywrite unix -       -       n       -       1       proxymap
smtp      unix  -       -       y       -       -       smtp
relay     unix  -       -       y       -       -       smtp
        -o syslog_name=postfix/$service_name
showq     unix  n       -       y       -       -       showq
error     unix  -       -       y       -       -       error
retry     unix  -       -       y       -       -       error
discard   unix  -       -       y       -       -       discard
local     unix  -       n       n       -       -       local
virtual   unix  -       n       n       -       -       virtual
lmtp      unix  -       -       y       -       -       lmtp
anvil     unix  -       -       y       -       1       anvil
scache    unix  -       -       y       -       1       scache
postlog   unix-dgram n  -       n       -       1       postlogd
";

/// An instance to be.
#[derive(Debug, Clone)]
pub struct Setup {
    tree: Tree,
    hosts: Vec<String>,
    main_cf: Vec<(String, String)>,
    master_cf: String,
    hostile: bool,
}

impl Setup {
    /// A Postfix that calls itself `name`, on this system, otherwise as Debian 12 sets it up: `smtp_tls_CApath` and
    /// client session cache included.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let setup = Self {
            tree: Tree::default(),
            hosts: vec![name.to_owned()],
            main_cf: Vec::new(),
            master_cf: String::new(),
            hostile: false,
        };
        setup
            .set("smtpd_banner", "$myhostname ESMTP $mail_name (Debian/GNU)")
            .set("biff", "no")
            .set("append_dot_mydomain", "no")
            .set("readme_directory", "no")
            .set("compatibility_level", "3.6")
            .set(
                "smtpd_tls_cert_file",
                "/etc/ssl/certs/ssl-cert-snakeoil.pem",
            )
            .set(
                "smtpd_tls_key_file",
                "/etc/ssl/private/ssl-cert-snakeoil.key",
            )
            .set("smtpd_tls_security_level", "may")
            .set("smtp_tls_CApath", "/etc/ssl/certs")
            .set("smtp_tls_security_level", "may")
            .set(
                "smtp_tls_session_cache_database",
                "btree:${data_directory}/smtp_scache",
            )
            .set(
                "smtpd_relay_restrictions",
                "permit_mynetworks permit_sasl_authenticated defer_unauth_destination",
            )
            .set("myhostname", name)
            .set("mydestination", "$myhostname, localhost")
            .set("alias_maps", "")
            .set("alias_database", "")
            .set("relayhost", "")
            .set("mynetworks", "127.0.0.0/8 [::ffff:127.0.0.0]/104 [::1]/128")
            .set("mailbox_size_limit", "0")
            .set("recipient_delimiter", "+")
            .set("inet_interfaces", "127.0.0.1")
            .set("inet_protocols", "ipv4")
            // Names come from the /etc/hosts of the instance; there is no DNS in the lab.
            .set("smtp_host_lookup", "native")
    }

    /// Another system than this one.
    #[must_use]
    pub fn tree(mut self, tree: Tree) -> Self {
        self.tree = tree;
        self
    }

    /// Puts a name for 127.0.0.1 into the instance's `/etc/hosts`.
    #[must_use]
    pub fn knows(mut self, host: &str) -> Self {
        self.hosts.push(host.to_owned());
        self
    }

    /// Sets a parameter of main.cf, once.
    #[must_use]
    pub fn set(mut self, name: &str, value: &str) -> Self {
        match self.main_cf.iter_mut().find(|(old, _)| old == name) {
            Some((_, old)) => value.clone_into(old),
            None => self.main_cf.push((name.to_owned(), value.to_owned())),
        }
        self
    }

    /// Adds lines to master.cf.
    #[must_use]
    pub fn service(mut self, lines: &str) -> Self {
        self.master_cf.push_str(lines.trim_end());
        self.master_cf.push('\n');
        self
    }

    /// Sends everything that is not local to the sink, by a transport that nothing in main.cf touches.
    #[must_use]
    pub fn relays_to(self, sink: &Sink) -> Self {
        self.set("default_transport", &format!("internet:[127.0.0.1]:{}", sink.port()))
            .service("internet  unix  -       -       n       -       -       smtp\n  -o smtp_tls_security_level=none\n  -o smtp_tls_wrappermode=no\n  -o smtp_tls_policy_maps=\n  -o smtp_fallback_relay=\n")
    }

    /// What people leave in main.cf, all at once: chain files and certificates of other kinds that beat the ordinary ones,
    /// a CA directory, dead milters and filters, md5, wide `mynetworks`, `reject` wherever it fits, a table that
    /// turns TLS off, tickets and session caches, a proxy and a command filter, senders that must exist in the mail domain.
    /// The foreign CA (`foreign` in [`Instance::directory`](super::Instance::directory)) is trusted in every way there is:
    /// as a directory, as a trust anchor, and as one of those that the system trusts.
    #[must_use]
    pub fn hostile(mut self) -> Self {
        self.hostile = true;
        self
    }

    /// Writes the files, without starting anything.
    ///
    /// # Errors
    /// Where files cannot be written, a port reserved, or openssl run.
    pub fn create(self) -> Result<Instance> {
        let parent = self.tree.outside(Path::new("/tmp"));
        let directory = tempfile::Builder::new()
            .prefix("relayca-lab-")
            .tempdir_in(&parent)
            .with_context(|| format!("make a directory in {}", parent.display()))?;
        // The queue is entered by other users.
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let inside = self.tree.inside(directory.path());
        let port = Port::reserve()?;
        for part in ["config", "config/relayca", "queue", "data", "queue/etc"] {
            fs::create_dir(directory.path().join(part))?;
        }
        let mut setup = self;
        if setup.hostile {
            setup = setup.with_nasties(directory.path(), &inside)?;
        }
        let place = |name: &str| inside.join(name).display().to_string();
        let setup = setup
            .set("queue_directory", &place("queue"))
            .set("data_directory", &place("data"))
            .set("maillog_file", &place("log"))
            .set("maillog_file_prefixes", &inside.display().to_string())
            .set("multi_instance_name", "postfix-lab");
        let config = directory.path().join("config");
        fs::write(config.join("main.cf"), setup.main_cf_text())?;
        // Every Postfix program waits two seconds for a main.cf that was written just now (dict_load_file_xt).
        fs::File::options()
            .write(true)
            .open(config.join("main.cf"))?
            .set_modified(SystemTime::now() - Duration::from_secs(60))?;
        fs::write(
            config.join("master.cf"),
            format!(
                "{}{}",
                MASTER_CF.replace("@PORT@", &format!("{:<6}", port.number())),
                setup.master_cf
            ),
        )?;
        let hosts = format!("127.0.0.1 localhost\n127.0.0.1 {}\n", setup.hosts.join(" "));
        // For the namespace, and for services in the jail.
        fs::write(directory.path().join("hosts"), &hosts)?;
        fs::write(directory.path().join("queue/etc/hosts"), &hosts)?;
        // A name that is not in there does not exist, whatever DNS this machine has.
        fs::write(
            directory.path().join("queue/etc/nsswitch.conf"),
            "passwd: files\ngroup: files\nshadow: files\nhosts: files\nprotocols: files\nservices: files\n",
        )?;
        // Not every minimal system has it; then the jail goes without, as it does there.
        let _ = fs::copy(
            setup.tree.outside(Path::new("/etc/services")),
            directory.path().join("queue/etc/services"),
        );
        let status = setup
            .tree
            .command("chown")
            .arg("postfix")
            .arg(inside.join("data"))
            .status()?;
        anyhow::ensure!(status.success(), "chown postfix: is Postfix installed?");
        Ok(Instance::new(setup.tree, directory, port))
    }

    /// Writes the files and starts Postfix.
    ///
    /// # Errors
    /// Like [`Setup::create`], and where Postfix does not start.
    pub fn start(self) -> Result<Instance> {
        let instance = self.create()?;
        instance.start()?;
        Ok(instance)
    }

    fn main_cf_text(&self) -> String {
        let mut text =
            "# See /usr/share/postfix/main.cf.dist for a commented, more complete version\n\n"
                .to_owned();
        for (name, value) in &self.main_cf {
            let _ = writeln!(text, "{name} = {value}");
        }
        text
    }

    fn with_nasties(self, directory: &Path, inside: &Path) -> Result<Self> {
        let foreign = openssl::Authority::create(directory, "foreign")?;
        let certificate = foreign.issue("wrong.example.net", openssl::Usage::Server)?;
        let key = directory.join("wrong.key.pem");
        fs::copy(&certificate.key, &key)?;
        fs::copy(&certificate.certificate, directory.join("wrong.crt.pem"))?;
        let chain = [
            fs::read(&certificate.key)?,
            fs::read(&certificate.certificate)?,
        ]
        .concat();
        fs::write(directory.join("wrong.chain.pem"), chain)?;
        let place = |name: &str| inside.join(name).display().to_string();
        let (key, certificate, chain) = (
            place("wrong.key.pem"),
            place("wrong.crt.pem"),
            place("wrong.chain.pem"),
        );
        // A CA directory that trusts the foreign CA.
        fs::create_dir(directory.join("capath"))?;
        // Instances lay this one over the directory in which OpenSSL looks by itself.
        fs::create_dir(directory.join("system-ca"))?;
        let name = openssl::openssl(&[
            "x509",
            "-in",
            &foreign.certificate().display().to_string(),
            "-noout",
            "-subject_hash",
        ])?;
        let name = format!("{}.0", String::from_utf8(name)?.trim());
        for trusted in ["capath", "system-ca"] {
            fs::copy(foreign.certificate(), directory.join(trusted).join(&name))?;
        }
        fs::copy(foreign.certificate(), directory.join("anchor.pem"))?;
        let capath = place("capath");
        let mut setup = self;
        for side in ["smtpd", "smtp"] {
            for (suffix, value) in [
                ("tls_chain_files", chain.as_str()),
                ("tls_eccert_file", &certificate),
                ("tls_eckey_file", &key),
                ("tls_cert_file", &certificate),
                ("tls_key_file", &key),
                ("tls_CApath", &capath),
                ("tls_fingerprint_digest", "md5"),
                (
                    "tls_session_cache_database",
                    &format!("btree:${{data_directory}}/{side}_scache"),
                ),
                ("tls_wrappermode", "yes"),
                ("sasl_auth_enable", "no"),
            ] {
                setup = setup.set(&format!("{side}_{suffix}"), value);
            }
        }
        for part in [
            "client",
            "helo",
            "sender",
            "recipient",
            "data",
            "end_of_data",
        ] {
            setup = setup.set(&format!("smtpd_{part}_restrictions"), "reject");
        }
        Ok(setup
            .set("smtpd_tls_security_level", "none")
            .set("smtp_tls_security_level", "encrypt")
            .set("smtp_tls_per_site", "static:NONE")
            .set("smtp_fallback_relay", "[127.0.0.1]:9")
            .set("mynetworks", "0.0.0.0/0")
            .set("smtpd_milters", "inet:127.0.0.1:9")
            .set("smtpd_proxy_filter", "127.0.0.1:9")
            .set("milter_default_action", "tempfail")
            .set("tls_append_default_CA", "yes")
            .set("smtp_tls_trust_anchor_file", &place("anchor.pem"))
            .set("mydestination", "$myhostname, localhost, $mydomain")
            .set("smtpd_reject_unlisted_sender", "yes")
            .set("smtpd_upstream_proxy_protocol", "haproxy")
            .set("smtpd_upstream_proxy_timeout", "1s")
            .set("smtpd_command_filter", "static:QUIT"))
    }
}
