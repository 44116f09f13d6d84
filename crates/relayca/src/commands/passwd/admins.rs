//! Who opens the authority now, and who is to open it.
//!
//! In: the wish, identities and passphrases. Out: [`Present`], which opens what is there, and [`Admins`], to whom it is to be
//! sealed, with proof that somebody at hand can open that. It refuses to know which files there are.

use relayca_bundle::{
    ADMIN_WORK_FACTOR, Identities, OpenError, OpenWith, Passphrase, Prompt, Recipient, SealTo,
};
use std::sync::Arc;
use zeroize::Zeroizing;

use super::Wish;
use crate::failure::Failure;
use crate::home::{self, CA, Home};
use crate::opening::AdminKeys;
use crate::run::Run;

/// What opens the authority now.
pub struct Present {
    /// What the passphrases of bundles are sealed to.
    pub identities: Identities,
    /// The passphrase of the active CA's key.
    pub ca_passphrase: Passphrase,
    /// The admin passphrase, where there is one, and the text of the identity that it wraps.
    passphrase: Option<(Passphrase, Zeroizing<Vec<u8>>)>,
}

impl Present {
    /// Asks for it where it was not given, and tries it.
    pub fn open(run: &Run, home: &Home) -> Result<Self, Failure> {
        let keys = home.admin_keys(&run.secrets)?;
        let ca_passphrase = home.passphrase_in(CA, &keys)?;
        let passphrase = match keys {
            AdminKeys::Identities(identities) => {
                return Ok(Self {
                    identities,
                    ca_passphrase,
                    passphrase: None,
                });
            }
            AdminKeys::Passphrase(passphrase) => passphrase,
        };
        let sealed = home.read(home::ADMIN_IDENTITY)?;
        let name = home.path(home::ADMIN_IDENTITY).display().to_string();
        let text = relayca_bundle::open(&sealed, &OpenWith::Passphrase(&passphrase))
            .map_err(|error| Failure::from(error).within(&name))?;
        Ok(Self {
            identities: run.secrets.parse_identities(&text, &name)?,
            ca_passphrase,
            passphrase: Some((passphrase, text)),
        })
    }

    /// Whether it is an admin passphrase.
    pub fn by_passphrase(&self) -> bool {
        self.passphrase.is_some()
    }

    /// What opens the passphrases of the CA keys.
    pub fn ca(&self) -> OpenWith<'_> {
        match &self.passphrase {
            Some((passphrase, _)) => OpenWith::Passphrase(passphrase),
            None => OpenWith::Identities(&self.identities),
        }
    }
}

/// Who is to open the authority.
pub struct Admins {
    /// To whom the passphrases of bundles are sealed: relayca.toml names them.
    pub recipients: Vec<Recipient>,
    /// The admin passphrase; without one the recipients open the CA passphrases, too.
    pub passphrase: Option<Passphrase>,
    /// `ca/admin.identity.age` anew.
    pub wrapped: Option<Vec<u8>>,
    /// Whether the passphrases of bundles have to be sealed anew.
    pub bundles: bool,
    /// What opens what is sealed to them, where that is not what opens it now.
    fresh: Option<Identities>,
}

impl Admins {
    /// Works it out, and tries it. A new passphrase is asked for here.
    pub fn of(run: &Run, home: &Home, present: &Present, wish: &Wish) -> Result<Self, Failure> {
        let what = format!("the authority of {}", home.settings.domain);
        let new_passphrase = || {
            run.secrets
                .replacement(&what, wish.new_passphrase_file.as_deref())
        };
        let Some((old, text)) = &present.passphrase else {
            return if wish.new_passphrase {
                Self::behind_new_identity(run, new_passphrase()?)
            } else {
                Self::named(run, present, wish, &home.settings.recipients, None)
            };
        };
        if !wish.add.is_empty() {
            return Self::named(run, present, wish, &[], Some(given(run, home)?));
        }
        if !wish.remove.is_empty() {
            return Err(Failure::usage(
                "a passphrase opens the authority: there is no recipient to remove",
            )
            .hint("`--add RECIPIENT` puts recipients in the place of the passphrase"));
        }
        if !wish.new_passphrase {
            let same = Passphrase::new(Zeroizing::new(old.expose().to_owned()))?;
            return Self::behind_new_identity(run, same);
        }
        let new = new_passphrase()?;
        if wish.rotate {
            return Self::behind_new_identity(run, new);
        }
        if new.same_as(old) {
            return Err(
                Failure::usage("the new passphrase is the old one; nothing was changed")
                    .hint("take another one"),
            );
        }
        // The same identity behind another passphrase: what is sealed to it stays as it is.
        Ok(Self {
            bundles: false,
            ..Self::behind(run, new, text, home.settings.recipients.clone())?
        })
    }

    /// Recipients, from `now` on.
    fn named(
        run: &Run,
        present: &Present,
        wish: &Wish,
        now: &[Recipient],
        fresh: Option<Identities>,
    ) -> Result<Self, Failure> {
        let admins = Self {
            recipients: changed(now, wish)?,
            passphrase: None,
            wrapped: None,
            bundles: !(wish.add.is_empty() && wish.remove.is_empty()),
            fresh,
        };
        admins.prove(present, &run.secrets.prompt())?;
        Ok(admins)
    }

    fn behind_new_identity(run: &Run, passphrase: Passphrase) -> Result<Self, Failure> {
        let (text, recipient) = relayca_bundle::generate_identity();
        Self::behind(run, passphrase, text.as_bytes(), vec![recipient])
    }

    /// An identity wrapped by a passphrase.
    fn behind(
        run: &Run,
        passphrase: Passphrase,
        text: &[u8],
        recipients: Vec<Recipient>,
    ) -> Result<Self, Failure> {
        let to = SealTo::Passphrase {
            passphrase: &passphrase,
            work_factor: ADMIN_WORK_FACTOR,
        };
        let wrapped = relayca_bundle::seal(text, &to)?;
        // Opened again, not taken from memory: the file is what the admin will depend on.
        let opened = relayca_bundle::open(&wrapped, &OpenWith::Passphrase(&passphrase))?;
        if *opened != text {
            return Err(Failure::new(
                "the sealed admin identity did not open to what was sealed; nothing was changed",
            )
            .hint("this must not happen: check the machine's memory and report it"));
        }
        let fresh = run
            .secrets
            .parse_identities(&opened, home::ADMIN_IDENTITY)?;
        Ok(Self {
            recipients,
            passphrase: Some(passphrase),
            wrapped: Some(wrapped),
            bundles: true,
            fresh: Some(fresh),
        })
    }

    /// What opens what is sealed to the recipients.
    pub fn identities<'a>(&'a self, present: &'a Present) -> &'a Identities {
        self.fresh.as_ref().unwrap_or(&present.identities)
    }

    /// How the passphrases of the CA keys are sealed.
    pub fn seal_ca<'a>(&'a self, prompt: &'a Arc<dyn Prompt>) -> SealTo<'a> {
        match &self.passphrase {
            Some(passphrase) => SealTo::Passphrase {
                passphrase,
                work_factor: ADMIN_WORK_FACTOR,
            },
            None => self.seal_bundles(prompt),
        }
    }

    /// How the passphrases of bundles are sealed.
    pub fn seal_bundles<'a>(&'a self, prompt: &'a Arc<dyn Prompt>) -> SealTo<'a> {
        SealTo::Recipients {
            recipients: &self.recipients,
            prompt,
        }
    }

    /// What proves a sealed CA passphrase, where that needs nobody.
    pub fn proof_of_ca<'a>(&'a self, present: &'a Present) -> Option<OpenWith<'a>> {
        match &self.passphrase {
            Some(passphrase) => Some(OpenWith::Passphrase(passphrase)),
            None => self.proof_of_bundles(present),
        }
    }

    /// What proves a sealed passphrase of a bundle, likewise.
    pub fn proof_of_bundles<'a>(&'a self, present: &'a Present) -> Option<OpenWith<'a>> {
        let identities = self.identities(present);
        identities
            .asks_nobody()
            .then_some(OpenWith::Identities(identities))
    }

    /// The recipients for whom no identity is at hand: whether they can open it, they have to try themselves.
    pub fn untried(&self, present: &Present) -> Vec<&Recipient> {
        let known = self.identities(present).recipients();
        let untried = |recipient: &&Recipient| !known.contains(recipient);
        self.recipients.iter().filter(untried).collect()
    }

    /// Seals something to the recipients and opens it, with whatever touch or PIN that needs: a change after which nobody at
    /// hand opens the authority is refused before it begins.
    fn prove(&self, present: &Present, prompt: &Arc<dyn Prompt>) -> Result<(), Failure> {
        let text = Passphrase::generate_key()?;
        let sealed = relayca_bundle::seal(text.expose().as_bytes(), &self.seal_bundles(prompt))?;
        let with = OpenWith::Identities(self.identities(present));
        match relayca_bundle::open(&sealed, &with) {
            Ok(opened) if *opened == text.expose().as_bytes() => Ok(()),
            Ok(_) => Err(Failure::new(
                "what was sealed to the recipients did not open to the same; nothing was changed",
            )
            .hint("this must not happen: check the machine's memory and report it")),
            Err(OpenError::WrongKey) => Err(Failure::new(
                "none of the identities at hand would open the authority any more; nothing was changed",
            )
            .hint("give an identity of a recipient who stays with one more -i FILE, or let that admin run it")),
            Err(error) => Err(error.into()),
        }
    }
}

/// The identities of those who take the place of a passphrase.
fn given(run: &Run, home: &Home) -> Result<Identities, Failure> {
    run.secrets
        .identities(&home.settings.identities)?
        .filter(|identities| !identities.is_empty())
        .ok_or_else(|| {
            Failure::usage(
                "nobody at hand would open the authority any more: no identity was given",
            )
            .hint("give the identity of one of the new recipients with -i FILE")
        })
}

/// The recipients after the change.
fn changed(now: &[Recipient], wish: &Wish) -> Result<Vec<Recipient>, Failure> {
    for gone in &wish.remove {
        if !now.contains(gone) {
            return Err(Failure::usage(format!("`{gone}` is not a recipient"))
                .hint("`relayca passwd` lists them; give the whole recipient"));
        }
        if wish.add.contains(gone) {
            return Err(
                Failure::usage(format!("`{gone}` is both to be added and to be removed"))
                    .hint("leave one of the two out"),
            );
        }
    }
    let mut recipients: Vec<Recipient> = Vec::new();
    for recipient in now.iter().chain(&wish.add) {
        if !wish.remove.contains(recipient) && !recipients.contains(recipient) {
            recipients.push(recipient.clone());
        }
    }
    if recipients.is_empty() {
        return Err(Failure::usage(
            "the last recipient cannot be removed: nobody could open the authority",
        )
        .hint("add another with --add, or set a passphrase with --new-passphrase"));
    }
    Ok(recipients)
}
