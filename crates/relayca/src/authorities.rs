//! The CAs of one authority: the active one, and during a rollover another beside it.
//!
//! In: the inventory's records. Out: [`Authorities`]: whom the hosts trust, who signed what, and the directory of each CA's
//! files. It refuses to know keys, and what the files hold.

use relayca_ca::Certificate;
use relayca_inventory::{Phase, Records};

use crate::failure::Failure;

/// One CA and where it stands.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Its certificate.
    pub certificate: Certificate,
    /// Where it stands in a rollover.
    pub phase: Phase,
}

impl Standing {
    /// The directory of its files, below the authority.
    pub fn directory(&self) -> String {
        directory(&self.certificate.serial().to_string(), self.phase)
    }
}

/// All CAs that an authority has or had.
#[derive(Debug, Clone)]
pub struct Authorities {
    /// The active one first, then the outgoing, the prepared and the retired ones.
    all: Vec<Standing>,
}

impl Authorities {
    /// As the inventory has them.
    pub fn of(records: &(impl Records + ?Sized)) -> Result<Self, Failure> {
        let mut all = Vec::new();
        for record in records.authorities()? {
            let found = records.certificate(&record.serial)?.ok_or_else(|| {
                Failure::new(format!(
                    "the inventory has no CA certificate {}",
                    record.serial
                ))
                .hint("restore `inventory.db` from a backup")
            })?;
            all.push(Standing {
                certificate: Certificate::from_der(&found.certificate_der)?,
                phase: record.phase,
            });
        }
        if !all.iter().any(|one| one.phase == Phase::Active) {
            return Err(Failure::new("the inventory has no active CA")
                .hint("restore `inventory.db` from a backup"));
        }
        Ok(Self { all })
    }

    /// All of them, the active one first.
    pub fn all(&self) -> &[Standing] {
        &self.all
    }

    /// The one in this phase.
    pub fn in_phase(&self, phase: Phase) -> Option<&Standing> {
        self.all.iter().find(|one| one.phase == phase)
    }

    /// Whom the hosts have to trust today, the newest CA first: what `DOMAIN-ca.crt.pem` holds. The newest is told by its
    /// phase, not by its date: a clock may have been set back, or two CAs made within a second.
    pub fn trusted(&self) -> Vec<Certificate> {
        let mut all: Vec<&Standing> = self.in_use().collect();
        // Stable, and the active one was before the outgoing one.
        all.sort_by_key(|one| one.phase != Phase::Prepared);
        all.iter().map(|one| one.certificate.clone()).collect()
    }

    /// Refuses to go on with a CA that is not the active one any more: it was opened before the inventory was locked, and a
    /// rollover went on meanwhile.
    pub fn still_active(&self, opened: &Certificate) -> Result<(), Failure> {
        let active = self.in_phase(Phase::Active);
        if active.is_some_and(|active| active.certificate.der() == opened.der()) {
            return Ok(());
        }
        Err(
            Failure::new("the CA was replaced while this command began; nothing was changed")
                .hint("run it again: the new CA signs then"),
        )
    }

    /// Those that are still of use: not retired.
    pub fn in_use(&self) -> impl Iterator<Item = &Standing> {
        self.all.iter().filter(|one| one.phase != Phase::Retired)
    }

    /// The CA that signed a certificate.
    pub fn signer_of(&self, certificate: &Certificate) -> Option<&Standing> {
        self.all.get(self.position_of_signer(certificate)?)
    }

    /// Where in [`Self::all`] that one is.
    pub fn position_of_signer(&self, certificate: &Certificate) -> Option<usize> {
        self.all
            .iter()
            .position(|one| certificate.issuer_is(&one.certificate))
    }
}

/// Where the files of a CA lie: those of the active one in `ca`, of every other in `ca/SERIAL`.
pub fn directory(serial: &str, phase: Phase) -> String {
    match phase {
        Phase::Active => "ca".to_owned(),
        _ => format!("ca/{serial}"),
    }
}
