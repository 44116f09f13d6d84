//! Every seed, and what little damage makes of it, keeps every promise. What a fuzzer found is a seed from then on.
#![allow(missing_docs)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use relayca_fuzz::{TARGETS, Target};

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/fuzz")
}

fn seeds(name: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let mut seeds: Vec<_> = fs::read_dir(fixtures().join(name))
        .unwrap_or_else(|error| panic!("seeds of {name}: {error}"))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    seeds.sort();
    seeds
}

/// Runs one target over one input; the name of the input is told where a promise breaks. Gives whether it was taken.
fn run((name, body): &Target, input: &[u8], what: &str) -> bool {
    std::panic::catch_unwind(|| body(input))
        .unwrap_or_else(|_| panic!("{name}: {what}: {}", input.escape_ascii()))
}

#[test]
fn every_seed_keeps_every_promise() {
    for target in TARGETS {
        let mut taken = 0;
        for (path, seed) in seeds(target.0) {
            taken += usize::from(run(target, &seed, &path.display().to_string()));
        }
        // Seeds that all are turned away at the door try nothing behind it.
        assert!(taken > 0, "{}", target.0);
    }
}

#[test]
fn no_target_falls_over_the_seeds_of_another() {
    for target in TARGETS {
        for (other, _) in TARGETS.iter().filter(|(name, _)| *name != target.0) {
            for (path, seed) in seeds(other).into_iter().take(3) {
                run(target, &seed, &path.display().to_string());
            }
        }
    }
}

/// Cut short, or with one byte changed: at places that are the same in every run.
#[test]
fn damaged_seeds_keep_every_promise() {
    for target in TARGETS {
        for (path, seed) in seeds(target.0).iter().filter(|(_, seed)| !seed.is_empty()) {
            let mut state = 0x9e37_79b9_u64;
            for _ in 0..4 {
                let mut draw = |below: usize| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    usize::try_from(state >> 33).unwrap() % below
                };
                let cut = draw(seed.len());
                run(target, &seed[..cut], &format!("{}, cut", path.display()));
                let (at, with) = (draw(seed.len()), draw(255) + 1);
                let mut changed = seed.clone();
                changed[at] ^= u8::try_from(with).unwrap();
                run(target, &changed, &format!("{}, changed", path.display()));
            }
        }
    }
}

#[test]
fn every_target_has_seeds_and_a_binary_and_nothing_is_left_over() {
    let names: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    let listed = |directory: PathBuf| -> BTreeSet<String> {
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_none_or(|extension| extension == "rs"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect()
    };
    assert_eq!(listed(fixtures()), names);
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    assert_eq!(listed(fuzz.join("fuzz_targets")), names);
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    for name in &names {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
    }
}
