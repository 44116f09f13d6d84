//! Links GCC's unwinder into the program, and packs its relocations.
//!
//! In: the target, its C compiler and library. Out: what the linker is told. As a library of its own (libgcc_s) the unwinder
//! takes the loader 0.2 ms at every start, of the 5 that issuing a certificate takes. Where the compiler has no static one,
//! nothing is told.

#![allow(
    clippy::print_stdout,
    reason = "cargo reads what a build script prints"
)]

use std::path::{Path, PathBuf};
use std::process::Command;

/// GCC's unwinder as an archive.
const UNWINDER: &str = "libgcc_eh.a";

/// Set where the program is to run on other systems than this one: `cargo xtask dist` does.
const PORTABLE: &str = "RELAYCA_PORTABLE";

/// The first glibc that loads packed relocations (DT_RELR).
const PACKED_SINCE: (u32, u32) = (2, 36);

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={PORTABLE}");
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|found| found == value);
    if !is("CARGO_CFG_TARGET_OS", "linux") || !is("CARGO_CFG_TARGET_ENV", "gnu") {
        return;
    }
    // This machine's unwinder and loader are newer than those that such a program must run with.
    if std::env::var_os(PORTABLE).is_some() {
        return;
    }
    // Another target's archive would not fit: whoever builds across machines gets the library.
    if std::env::var("HOST").ok() != std::env::var("TARGET").ok() {
        return;
    }
    if let Some(directory) = unwinder().as_deref().and_then(Path::parent) {
        println!("cargo:rustc-link-search=native={}", directory.display());
        println!("cargo:rustc-link-lib=static:-bundle=gcc_eh");
    }
    // A hundred pages less to read at every start; a program so linked wants a loader that knows the form.
    if c_library().is_some_and(|version| version >= PACKED_SINCE) {
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}

/// The version of the C library that is installed.
fn c_library() -> Option<(u32, u32)> {
    let asked = Command::new("getconf")
        .arg("GNU_LIBC_VERSION")
        .output()
        .ok()?;
    let text = String::from_utf8(asked.stdout).ok()?;
    let (major, minor) = text.trim().strip_prefix("glibc ")?.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Where the compiler keeps it. Asked for a file that it does not have, it gives back the bare name.
fn unwinder() -> Option<PathBuf> {
    let asked = Command::new("cc")
        .arg(format!("-print-file-name={UNWINDER}"))
        .output()
        .ok()?;
    let path = PathBuf::from(String::from_utf8(asked.stdout).ok()?.trim_end());
    path.is_absolute()
        .then_some(path)
        .filter(|path| path.is_file())
}
