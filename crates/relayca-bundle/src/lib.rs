//! What leaves the authority, sealed: bundles for hosts and passphrase files for admins.
//!
//! In come the files of a bundle or a secret, and whom it is for; out come age files and plain tar archives that
//! stock `age`, `tar` and `sha256sum` open. This crate refuses to know where the parts come from, what a certificate
//! is, and where the result is written: it does no file IO and reads no clock. Plugins (`age-plugin-*`) are the one
//! exception, run from `PATH` because that is how age defines them.

mod archive;
mod checksums;
mod identity;
mod locked;
mod native;
mod passphrase;
mod payload;
mod prompt;
mod recipient;
mod seal;
mod seal_error;
mod ssh_wire;
mod stream;
mod stretch;
mod tree;
mod tree_error;
mod wipe;

pub use archive::{
    ArchiveError, Entry, MAX_ARCHIVE_BYTES, MAX_ENTRIES, MAX_ENTRY_BYTES, MAX_NAME_BYTES, MODES,
    pack, unpack,
};
pub use checksums::CHECKSUMS_NAME;
pub use identity::{Identities, IdentityError, generate_identity};
pub use passphrase::{Passphrase, PassphraseError};
pub use prompt::{NoPrompt, Prompt, no_prompt};
pub use recipient::{Recipient, RecipientError, parse_recipients_file};
pub use seal::{
    ADMIN_WORK_FACTOR, GENERATED_WORK_FACTOR, MAX_RECIPIENTS, MAX_SEALED_BYTES, MAX_WORK_FACTOR,
    OpenWith, SealTo, open, seal, sealed_with_passphrase,
};
pub use seal_error::{OpenError, SealError};
pub use stream::{OpenedReader, SealedReader, SealingWriter, seal_to_writer};
pub use tree::{
    MAX_TREE_BYTES, MAX_TREE_ENTRIES, Manifest, Member, TreeFile, TreeWriter, read_tree,
};
pub use tree_error::TreeError;
pub use wipe::wipe;
