//! Reading what another program left of a CA: the Makefile's `certs/`, an easy-rsa `pki/`, a bare CA and its key.
//!
//! In: a directory, which is only read. Out: the CA with its key, the domain, its certificates with what is to become of each,
//! and what is weak about all that. It refuses to know the new authority; and nothing goes by the name of a file where the
//! content tells.
//!
//! [`tree`] reads the files, [`contents`] tells what they are, [`source`] finds the CA among them, [`domain`] what it is for,
//! [`leaves`] what becomes of each certificate, [`weak`] what to mend.

pub mod contents;
pub mod domain;
pub mod evidence;
pub mod index;
pub mod leaves;
pub mod passphrase;
pub mod report;
pub mod source;
pub mod tree;
pub mod weak;
