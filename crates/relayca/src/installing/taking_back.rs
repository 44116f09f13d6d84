//! Taking back exactly what `install` did.
//!
//! In: the record, what lies there now. Out: changes, and what somebody changed since and so stays. It refuses to remove what is
//! not as it was put there, and what Postfix still names.

use relayca_ca::Certificate;
use relayca_postfix::config::Config;
use relayca_postfix::{authority_file, certificate_file};
use zeroize::Zeroizing;

use super::changes::{Change, Found, NewFile, found};
use super::databases;
use super::digest;
use super::files::ROOT;
use super::place::Place;
use super::record::{File, Installation, NAME, Record, Whole};
use super::rehearsal::Rehearsal;
use super::settings::{self, Outcome};
use crate::failure::Failure;

/// What is to be done.
#[derive(Debug, Default)]
pub struct Planned {
    /// To be done.
    pub changes: Vec<Change>,
    /// Settings, each as a line to be read.
    pub settings: Vec<String>,
    /// What stays, because somebody changed it since, Postfix still names it, or what lay there before is out of date.
    pub left: Vec<String>,
    /// Whether Postfix goes on with files of relayca: by a block that was pasted before.
    pub goes_on: bool,
}

/// Thinks it out.
pub fn plan(
    place: &Place,
    record: &Record,
    old: &Installation,
    now: (Option<Found>, Option<Found>),
) -> Result<Planned, Failure> {
    let mut planned = Planned::default();
    let named = match now {
        (Some(main), Some(master)) => planned.configuration(place, old, (main, master))?,
        // Postfix went, and its settings with it.
        _ => String::new(),
    };
    let others = || {
        record
            .installations
            .iter()
            .filter(|one| one.host != old.host)
    };
    let shared = |name: &str| others().any(|one| one.files.iter().any(|file| file.name == name));
    planned.goes_on = names(&named, &inside(place, &certificate_file(&old.host)));
    planned.files(place, old, &named, &shared)?;
    for whole in old.main_cf.iter().chain(&old.master_cf) {
        planned.remove(place, &whole.before)?;
    }
    let mut rest = record.clone();
    rest.installations.retain(|one| one.host != old.host);
    let there = found(&place.files.join(NAME))?;
    planned.changes.push(Change {
        path: place.files.join(NAME),
        was: there.map(|there| there.content),
        becomes: if rest.installations.is_empty() {
            None
        } else {
            Some(NewFile {
                content: Zeroizing::new(rest.bytes()?),
                mode: 0o600,
                owner: ROOT,
            })
        },
    });
    Ok(planned)
}

impl Planned {
    /// main.cf and master.cf. Gives what they say then.
    fn configuration(
        &mut self,
        place: &Place,
        old: &Installation,
        (main, master): (Found, Found),
    ) -> Result<String, Failure> {
        let config = Config::parse(&main.content, Some(&master.content), None);
        let Outcome { edits, left, .. } = settings::uninstall(&config, old);
        self.left = left;
        let (mut new_main, mut new_master) = (main.content.to_vec(), master.content.to_vec());
        if !edits.is_empty() {
            let rehearsal = Rehearsal::of(&main.content, &master.content)?;
            edits.carry_out(&rehearsal)?;
            if !(edits.set.is_empty() && edits.unset.is_empty()) {
                new_main = rehearsal.main_cf()?;
            }
            let of_master = [
                &edits.make,
                &edits.remove,
                &edits.fields,
                &edits.options,
                &edits.no_options,
            ];
            if of_master.iter().any(|list| !list.is_empty()) {
                new_master = rehearsal.master_cf()?;
            }
            self.settings.extend(edits.told);
        }
        // What nobody else has changed since is again what it was to the last byte.
        for (now, new, whole) in [
            (&main, &mut new_main, &old.main_cf),
            (&master, &mut new_master, &old.master_cf),
        ] {
            if let Some(before) = before(place, whole.as_ref(), &now.content)? {
                *new = before;
            }
        }
        let said = format!(
            "{}\n{}",
            String::from_utf8_lossy(&new_main),
            String::from_utf8_lossy(&new_master)
        );
        for (path, now, new) in [
            (&place.main_cf, main, new_main),
            (&place.master_cf, master, new_master),
        ] {
            if *now.content != new {
                self.changes.push(Change {
                    path: path.clone(),
                    becomes: Some(NewFile {
                        content: Zeroizing::new(new),
                        mode: now.mode,
                        owner: now.owner,
                    }),
                    was: Some(now.content),
                });
            }
        }
        Ok(said)
    }

    fn files(
        &mut self,
        place: &Place,
        old: &Installation,
        said: &str,
        shared: &dyn Fn(&str) -> bool,
    ) -> Result<(), Failure> {
        // What another host's installation has as well goes with that one.
        for file in old.files.iter().filter(|file| !shared(&file.name)) {
            if file.kept {
                // The map was there before; what postmap made of it for us was not.
                self.made(place, old, &file.name)?;
                continue;
            }
            let path = place.files.join(&file.name);
            let Some(there) = found(&path)? else {
                continue;
            };
            let named = names(said, &inside(place, &file.name));
            if named && file.was.is_none() && file.before.is_none() {
                self.left
                    .push(format!("{} (Postfix still names it)", path.display()));
                continue;
            }
            if digest(&there.content) != file.sha256 {
                self.left.push(path.display().to_string());
                continue;
            }
            let is_old = match &file.was {
                Some(was) => is_out_of_date(old, file, was, &there.content, named),
                // The key stays with its certificate.
                None => file.before.is_some() && certificate_stays(place, old, said)?,
            };
            if is_old {
                if let Some(before) = &file.before {
                    self.remove(place, before)?;
                }
                let path = path.display();
                self.left
                    .push(format!("{path} (what lay there before is out of date)"));
                continue;
            }
            let was = match &file.before {
                Some(before) => {
                    let Some(key) = found(&place.files.join(before))? else {
                        self.left
                            .push(format!("{} ({before} is gone)", path.display()));
                        continue;
                    };
                    self.remove(place, before)?;
                    Some(key.content)
                }
                None => file
                    .was
                    .as_ref()
                    .map(|was| Zeroizing::new(was.clone().into_bytes())),
            };
            self.databases(
                place,
                old,
                &file.name,
                was.as_ref().map(|was| was.as_slice()),
            )?;
            self.changes.push(Change {
                path,
                was: Some(there.content),
                becomes: was.map(|was| NewFile {
                    content: was,
                    mode: there.mode,
                    owner: there.owner,
                }),
            });
        }
        Ok(())
    }

    /// Those of a map go with it, or are made of what it was.
    fn databases(
        &mut self,
        place: &Place,
        old: &Installation,
        map: &str,
        was: Option<&[u8]>,
    ) -> Result<(), Failure> {
        match was {
            // Those that somebody made by hand, as told after `--root`, have nothing in them but the map.
            None if is_map(map) => {
                for ending in databases::ENDINGS {
                    self.remove(place, &format!("{map}.{ending}"))?;
                }
            }
            None => {}
            Some(text) if place.root.is_none() && is_map(map) => {
                self.made(place, old, map)?;
                for (name, content) in databases::make(place, map, text)? {
                    let path = place.files.join(&name);
                    if old.databases.contains(&name) {
                        continue;
                    }
                    if let Some(there) = found(&path)? {
                        self.changes.push(Change {
                            path,
                            was: Some(there.content),
                            becomes: Some(NewFile {
                                content: Zeroizing::new(content),
                                mode: there.mode,
                                owner: there.owner,
                            }),
                        });
                    }
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Databases of a map that were not there before.
    fn made(&mut self, place: &Place, old: &Installation, map: &str) -> Result<(), Failure> {
        let of_map = |name: &&String| {
            name.strip_prefix(map)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        for name in old.databases.iter().filter(of_map) {
            self.remove(place, name)?;
        }
        Ok(())
    }

    fn remove(&mut self, place: &Place, name: &str) -> Result<(), Failure> {
        let path = place.files.join(name);
        if let Some(there) = found(&path)? {
            self.changes.push(Change {
                path,
                was: Some(there.content),
                becomes: None,
            });
        }
        Ok(())
    }
}

/// As Postfix names it.
fn inside(place: &Place, name: &str) -> String {
    format!("{}/{}/{name}", place.inside, relayca_postfix::SUBDIRECTORY)
}

/// Whether the certificate stays that is there now: Postfix goes on to show it, and the one of before is another.
fn certificate_stays(place: &Place, old: &Installation, said: &str) -> Result<bool, Failure> {
    let name = certificate_file(&old.host);
    let there = found(&place.files.join(&name))?;
    let file = old.files.iter().find(|file| file.name == name);
    let was = file.and_then(|file| Some((file, file.was.as_ref()?)));
    Ok(match (there, was) {
        (Some(there), Some((file, was))) => {
            let named = names(said, &inside(place, &name));
            is_out_of_date(old, file, was, &there.content, named)
        }
        _ => false,
    })
}

/// Whether a file of before may not come back. A list would let in again who was revoked since, a CA file would trust a CA that was
/// retired, and a certificate that Postfix goes on to show may have expired.
fn is_out_of_date(old: &Installation, file: &File, was: &str, now: &[u8], named: bool) -> bool {
    let now = String::from_utf8_lossy(now);
    if is_map(&file.name) {
        let entries = |text: &str| {
            let mut pairs = relayca_fingerprint::parse_text(text).ok()?;
            pairs.sort_unstable();
            Some(pairs)
        };
        // What cannot be read is not the same.
        let (was, now) = (entries(was), entries(&now));
        return was.is_none() || was != now;
    }
    let certificates = |text: &str| {
        let all = Certificate::all_from_pem(text).ok()?;
        let mut all: Vec<Vec<u8>> = all.iter().map(|one| one.der().to_vec()).collect();
        all.sort_unstable();
        Some(all)
    };
    let checked = file.name == authority_file(&old.domain)
        || named && file.name == certificate_file(&old.host);
    checked && certificates(was) != certificates(&now)
}

fn is_map(name: &str) -> bool {
    [relayca_postfix::CLIENT_MAP, relayca_postfix::ACCESS_MAP].contains(&name)
}

/// The bytes of before, while nobody has changed the file since.
fn before(place: &Place, whole: Option<&Whole>, now: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
    let Some(whole) = whole.filter(|whole| whole.is == digest(now)) else {
        return Ok(None);
    };
    let before = found(&place.files.join(&whole.before))?;
    Ok(before
        .filter(|before| digest(&before.content) == whole.was)
        .map(|before| before.content.to_vec()))
}

/// Whether a line that is no comment has this path.
fn names(said: &str, path: &str) -> bool {
    let ends =
        |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || "._-".contains(c));
    said.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .any(|line| {
            line.match_indices(path)
                .any(|(at, _)| ends(line.get(at + path.len()..).unwrap_or_default()))
        })
}
