//! `relayca passphrase`: prints the passphrase of a bundle or of the CA key, and nothing else, on stdout.

use relayca_bundle::OpenWith;
use zeroize::Zeroizing;

use super::snippet::known_host;
use crate::cli::Passphrase;
use crate::failure::Failure;
use crate::home::Home;
use crate::opening::passphrase_of;
use crate::run::Run;

/// Runs the command.
pub fn run(run: &Run, arguments: &Passphrase) -> Result<(), Failure> {
    if run.printer.json {
        return Err(Failure::usage("a passphrase is not printed as JSON")
            .hint("leave --json out: stdout is the passphrase alone"));
    }
    let home = run.home(Some(&arguments.what))?;
    let (passphrase, opens) = if arguments.what == "ca" {
        (
            home.ca_passphrase(&run.secrets)?.0,
            home.path(crate::home::CA_KEY),
        )
    } else {
        let (host, _) = known_host(&home, &arguments.what)?;
        (
            bundle_passphrase(run, &home, &host)?,
            home.path(&Home::bundle(&host)),
        )
    };
    let line = Zeroizing::new(format!("{}\n", passphrase.expose()));
    run.printer.data(&line)?;
    run.printer.note(&format!("it opens {}", opens.display()));
    Ok(())
}

/// The passphrase of a host's bundle.
pub fn bundle_passphrase(
    run: &Run,
    home: &Home,
    host: &relayca_ca::HostName,
) -> Result<relayca_bundle::Passphrase, Failure> {
    let relative = Home::bundle_passphrase(host);
    let path = home.path(&relative);
    if !home.path(&Home::bundle(host)).exists() {
        return Err(Failure::new(format!(
            "`{host}` has no sealed bundle: its key was made on the host and lies there alone"
        ))
        .hint(format!(
            "`relayca bundle {host}` writes its files, without a key, and no passphrase is needed"
        )));
    }
    if !path.exists() {
        return Err(Failure::new(format!(
            "the bundle of `{host}` has no passphrase: it is sealed to a key of that host"
        ))
        .hint(format!(
            "on {host}: age -d -i /etc/ssh/ssh_host_ed25519_key {host}.tar.age"
        )));
    }
    sealed_passphrase(run, home, &relative)
}

/// The passphrase in a file of the authority that is sealed to the admins.
pub fn sealed_passphrase(
    run: &Run,
    home: &Home,
    relative: &str,
) -> Result<relayca_bundle::Passphrase, Failure> {
    passphrase_by(home, relative, &home.admin_identities(&run.secrets)?)
}

/// Likewise, with what opens it at hand.
pub fn passphrase_by(
    home: &Home,
    relative: &str,
    identities: &relayca_bundle::Identities,
) -> Result<relayca_bundle::Passphrase, Failure> {
    let path = home.path(relative);
    let sealed = home.read(relative)?;
    let opened = relayca_bundle::open(&sealed, &OpenWith::Identities(identities))
        .map_err(|error| Failure::from(error).within(path.display()))?;
    passphrase_of(&opened).map_err(|failure| failure.within(path.display()))
}
