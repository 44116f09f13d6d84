//! The databases that postmap makes of the maps.
//!
//! In: a map's text. Out: the files that belong beside it, made in a private directory. It refuses to look into them by itself:
//! whether one is of today is asked of `postmap -s`.

use std::collections::BTreeSet;
use std::path::Path;

use super::place::Place;
use super::programs::run;
use super::rehearsal::Scratch;
use crate::failure::Failure;

/// How the names of databases end, by their types (postmap(1)).
pub const ENDINGS: [&str; 5] = ["db", "lmdb", "cdb", "dir", "pag"];

/// The type that this Postfix prefers, which is what `${default_database_type}` in the settings stands for.
pub fn kind(config: &str) -> Result<String, Failure> {
    let ran = run(
        "postconf",
        &["-c", config, "-h", "-x", "default_database_type"],
    )?
    .done("postconf default_database_type")?;
    let kind = ran.out.trim().to_owned();
    if !kind.is_empty() && kind.bytes().all(|byte| byte.is_ascii_lowercase()) {
        Ok(kind)
    } else {
        Err(Failure::new(format!(
            "`default_database_type` is `{}`, which is no type of a table",
            crate::printer::one_line(&kind)
        ))
        .hint("`postconf -m` lists them"))
    }
}

/// Makes them of a map. Gives their names and bytes.
pub fn make(place: &Place, name: &str, text: &[u8]) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let kind = kind(&place.inside)?;
    let scratch = Scratch::new()?;
    let path = scratch.put(name, text)?;
    let table = format!("{kind}:{}", path.display());
    run("postmap", &["-c", &place.inside, &table])?.done("postmap")?;
    let mut made = Vec::new();
    let entries = std::fs::read_dir(&scratch.path)
        .map_err(|error| Failure::io("read", &scratch.path, &error))?;
    for entry in entries {
        let entry = entry.map_err(|error| Failure::io("read", &scratch.path, &error))?;
        let file = entry.file_name().to_string_lossy().into_owned();
        if file
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
        {
            let content = scratch.read(&file)?;
            made.push((file, content));
        }
    }
    made.sort();
    Ok(made)
}

/// Whether what lies there is what the text says.
pub fn is_of_today(place: &Place, path: &Path, text: &[u8], kind: &str) -> Result<bool, Failure> {
    let ran = run(
        "postmap",
        &[
            "-c",
            &place.inside,
            "-s",
            &format!("{kind}:{}", path.display()),
        ],
    )?;
    Ok(ran.ok && rows(&ran.out) == rows(&String::from_utf8_lossy(text)))
}

/// Keys and values; keys without regard to case, as the tables have them.
fn rows(text: &str) -> BTreeSet<(String, String)> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(char::is_whitespace))
        .map(|(key, value)| (key.to_lowercase(), value.trim().to_owned()))
        .collect()
}
