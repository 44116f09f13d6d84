//! A pair that is set up by `relayca install` and by nothing else.
//!
//! Enters: where the two live, and whether the program runs there or only has their files. Leaves: nothing if mail flowed, everybody
//! else was refused, and `uninstall` left every byte of both as it was. Refuses to know what is written there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use xtask::lab::{Instance, Port, Setup, Sink, Tree};
use xtask::main_job::{Admin, MAIL_HOST, Pair, RELAY, SOON};

use super::scenario::{From, closed};

/// What the program needs of the system that it was built on: an older one has an older C library.
const LIBRARIES: [&str; 3] = ["libc.so.6", "libm.so.6", "ld-linux-x86-64.so.2"];

/// Sets the two up, sends a message, shows the relay all that it must refuse, and takes everything back.
///
/// # Errors
/// What did not hold.
pub fn holds(admin: Admin, relay: &Tree, mail_host: &Tree, from: From) -> Result<()> {
    let pair = pair(admin, relay, mail_host)?;
    let sides = [
        Side::new(&pair, RELAY, relay, from)?,
        Side::new(&pair, MAIL_HOST, mail_host, from)?,
    ];
    let before: Vec<_> = sides.iter().map(Side::files).collect::<Result<_>>()?;
    // The relay's sealed bundle is older than the mail host; its public one has it in the list.
    for (side, bundle) in [
        (&sides[0], format!("{RELAY}.tar.age")),
        (&sides[0], format!("{RELAY}.public.tar")),
        (&sides[1], format!("{MAIL_HOST}.tar.age")),
    ] {
        let inside = side.bring(&bundle)?;
        let said = side.run(&format!("install {inside} -i {}", side.identity()))?;
        let told = if from == From::Inside {
            "the probe holds"
        } else {
            "nothing was checked, reloaded or probed there"
        };
        ensure!(said.contains(told), "{bundle}: {said}");
        if from == From::Outside {
            side.tell_postfix()?;
        }
    }
    let main = fs::read_to_string(pair.mail_host.config().join("main.cf"))?;
    let known = pair
        .mail_host
        .run("postconf", &["-dh", "tls_required_enable"])?;
    ensure!(
        main.contains("\ntls_required_enable = no\n") != known.stdout.trim().is_empty(),
        "tls_required_enable: {}{main}",
        known.stdout
    );
    pair.relays("someone@example.net")?;
    let verified = format!("Verified TLS connection established to {RELAY}");
    pair.mail_host.wait_for_log(&verified, SOON)?;
    closed(&pair)?;
    for (side, before) in sides.iter().zip(before) {
        side.run("uninstall")?;
        ensure!(side.files()? == before, "{} is not as it was", side.host);
        let checked = side.instance.run("postfix", &["check"])?;
        ensure!(checked.ok(), "postfix check: {}", checked.stderr);
    }
    Ok(())
}

fn pair(admin: Admin, relay: &Tree, mail_host: &Tree) -> Result<Pair> {
    let internet = Sink::start()?;
    let port = Port::reserve()?;
    let relay = Setup::new(RELAY)
        .tree(relay.clone())
        .relays_to(&internet)
        .start()?;
    let mail_host = Setup::new(MAIL_HOST)
        .tree(mail_host.clone())
        .knows(RELAY)
        .start()?;
    for instance in [&relay, &mail_host] {
        // The lab makes it; here `install` is to.
        fs::remove_dir(instance.config().join("relayca"))?;
    }
    let place = format!("{RELAY}:{}", port.number());
    let recipient = admin.recipient().to_owned();
    let directory = relay.config_inside();
    let init = admin.init(&[
        "--relay",
        &place,
        "--config-directory",
        &directory,
        "--seal-to",
        &recipient,
    ])?;
    admin.config_directory(MAIL_HOST, &mail_host.config_inside())?;
    admin.done(&["issue", "mailhost", "--seal-to", &recipient])?;
    Ok(Pair {
        admin,
        relay,
        mail_host,
        internet,
        others: BTreeMap::new(),
        port,
        init,
    })
}

/// One of the two, and how the program reaches it.
struct Side<'a> {
    host: &'static str,
    admin: &'a Admin,
    instance: &'a Instance,
    tree: &'a Tree,
    from: From,
}

impl<'a> Side<'a> {
    fn new(pair: &'a Pair, host: &'static str, tree: &'a Tree, from: From) -> Result<Self> {
        let instance = if host == RELAY {
            &pair.relay
        } else {
            &pair.mail_host
        };
        let side = Self {
            host,
            admin: &pair.admin,
            instance,
            tree,
            from,
        };
        if from == From::Inside {
            for library in LIBRARIES {
                let found = ["/lib64", "/lib/x86_64-linux-gnu"]
                    .map(|place| Path::new(place).join(library))
                    .into_iter()
                    .find(|path| path.exists())
                    .with_context(|| format!("there is no {library}"))?;
                fs::copy(found, side.place().join(library))?;
            }
            fs::copy(pair.admin.program(), side.place().join("relayca"))?;
            fs::copy(pair.admin.identity(), side.place().join("key.txt"))?;
        }
        Ok(side)
    }

    fn place(&self) -> &Path {
        self.instance.directory()
    }

    /// A path of the instance as the program sees it.
    fn seen(&self, path: &Path) -> String {
        match self.from {
            From::Inside => self.instance.inside(path).display().to_string(),
            From::Outside => path.display().to_string(),
        }
    }

    fn identity(&self) -> String {
        match self.from {
            From::Inside => self.seen(&self.place().join("key.txt")),
            From::Outside => self.admin.identity().display().to_string(),
        }
    }

    /// Copies a bundle there, as scp would.
    fn bring(&self, bundle: &str) -> Result<String> {
        let path = self.place().join(bundle);
        fs::copy(self.admin.file(&format!("bundles/{bundle}")), &path)?;
        Ok(self.seen(&path))
    }

    /// Runs the program; gives all that it said.
    fn run(&self, words: &str) -> Result<String> {
        let config = self.instance.config_inside();
        let said = match self.from {
            From::Inside => {
                let place = self.seen(self.place());
                self.instance.paste(&format!(
                    "{place}/ld-linux-x86-64.so.2 --library-path {place} {place}/relayca {words} --config-directory {config} --apply\n"
                ))?
            }
            From::Outside => {
                let root = self.tree.outside(Path::new("/"));
                xtask::lab::paste(&format!(
                    "{} {words} --config-directory {config} --root {} --apply\n",
                    self.admin.program().display(),
                    root.display()
                ))?
            }
        };
        ensure!(
            said.ok(),
            "relayca {words}: {}{}{}",
            said.stdout,
            said.stderr,
            self.instance.log()
        );
        Ok(format!("{}{}", said.stdout, said.stderr))
    }

    /// What the report says is next.
    fn tell_postfix(&self) -> Result<()> {
        let config = self.instance.config_inside();
        let said = self.instance.paste(&format!(
            "export MAIL_CONFIG={config}\ncd {config}/relayca && if [ -f relay_clientcerts ]; then postmap relay_clientcerts; fi && postfix reload\n"
        ))?;
        ensure!(said.ok(), "{}", said.stderr);
        Ok(())
    }

    /// Names, modes and bytes of all that is in its configuration directory.
    fn files(&self) -> Result<BTreeMap<PathBuf, String>> {
        let output = Command::new("find")
            .arg(self.instance.config())
            .args(["-printf", "%p %M %u %g\\n"])
            .output()?;
        let mut files = BTreeMap::new();
        for line in String::from_utf8(output.stdout)?.lines() {
            let name = line.split(' ').next().unwrap_or_default();
            let content = fs::read(name)
                .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
                .unwrap_or_default();
            files.insert(PathBuf::from(line), content);
        }
        ensure!(files.len() > 2, "nothing is there");
        Ok(files)
    }
}
