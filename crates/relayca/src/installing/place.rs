//! Where on a system things go.
//!
//! In: the configuration directory as that system names it, and another root if there is one. Out: a [`Place`], looked at and
//! locked. It refuses a place in which somebody else than root could change what we put there.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use relayca_postfix::SUBDIRECTORY;

use super::programs;
use crate::failure::Failure;
use crate::home::refuse_odd_path;
use crate::linting::beneath::beneath;

/// Where Postfix's configuration is where nobody says otherwise.
const USUAL: &str = "/etc/postfix";

/// The places of one Postfix.
#[derive(Debug)]
pub struct Place {
    /// Another system's root.
    pub root: Option<PathBuf>,
    /// The configuration directory as that system names it.
    pub inside: String,
    /// The same, here.
    pub config: PathBuf,
    /// Where our files go: CONFIG/relayca.
    pub files: PathBuf,
    /// main.cf; what a link leads to.
    pub main_cf: PathBuf,
    /// master.cf, likewise.
    pub master_cf: PathBuf,
}

/// Held while something is changed.
#[derive(Debug)]
pub struct Lock {
    _directory: File,
}

impl Place {
    /// Finds it: the directory that is named, or else the one that `postconf` takes.
    pub fn find(root: Option<&Path>, named: Option<&str>) -> Result<Self, Failure> {
        let root = root
            .map(|root| fs::canonicalize(root).map_err(|error| Failure::io("find", root, &error)))
            .transpose()?
            .filter(|root| root != Path::new("/"));
        let inside = match named {
            Some(named) => named.trim_end_matches('/').to_owned(),
            None if root.is_some() => USUAL.to_owned(),
            None => default_directory(),
        };
        if !inside.starts_with('/') {
            return Err(
                Failure::usage(format!("`{inside}` is not an absolute path"))
                    .hint("as in --config-directory /etc/postfix"),
            );
        }
        let top = root.as_deref().unwrap_or(Path::new("/"));
        let below = |path: &str| {
            beneath(top, Path::new(path)).map_err(|error| {
                Failure::io("find", &top.join(path.trim_start_matches('/')), &error)
                    .hint("install Postfix first, or name its directory: --config-directory DIR")
            })
        };
        let config = below(&inside)?;
        if !config.is_dir() {
            return Err(
                Failure::new(format!("there is no directory `{}`", config.display()))
                    .hint("install Postfix first, or name its directory: --config-directory DIR"),
            );
        }
        let [main_cf, master_cf] = ["main.cf", "master.cf"].map(|file| {
            let path = below(&format!("{inside}/{file}"))?;
            refuse_odd_path(&path).map(|()| path)
        });
        Ok(Self {
            files: config.join(SUBDIRECTORY),
            main_cf: main_cf?,
            master_cf: master_cf?,
            root,
            inside,
            config,
        })
    }

    /// A path here, as the other system names it.
    pub fn within(&self, path: &Path) -> PathBuf {
        match self
            .root
            .as_deref()
            .and_then(|root| path.strip_prefix(root).ok())
        {
            Some(rest) => Path::new("/").join(rest),
            None => path.to_owned(),
        }
    }

    /// A path of the other system, here.
    pub fn outside(&self, path: &Path) -> PathBuf {
        match &self.root {
            Some(root) => root.join(path.strip_prefix("/").unwrap_or(path)),
            None => path.to_owned(),
        }
    }

    /// That nobody but root, or who runs this, can change what lies there.
    pub fn refuse_foreign(&self) -> Result<(), Failure> {
        let me = rustix::process::geteuid().as_raw();
        let wrong = |path: &Path, why: &str| {
            Err(
                Failure::new(format!("`{}` {why}; nothing was changed", path.display())).hint(
                    format!(
                        "chown root:root {0} && chmod go-w {0}",
                        crate::steps::quoted(path)
                    ),
                ),
            )
        };
        let mut looked_at: Vec<(&Path, u32)> = Vec::new();
        for path in [&self.config, &self.main_cf, &self.master_cf] {
            let above = path.ancestors().skip(usize::from(*path != self.config));
            let within = above.take_while(|path| {
                self.root
                    .as_deref()
                    .is_none_or(|root| path.starts_with(root))
            });
            looked_at.extend(within.map(|path| (path, 0o002)));
        }
        looked_at.push((&self.files, 0o022));
        for (path, others) in looked_at {
            let found = match path.symlink_metadata() {
                Ok(found) => found,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(Failure::io("look at", path, &error)),
            };
            if !found.is_dir() {
                return Err(Failure::new(format!(
                    "`{}` is not a directory; nothing was changed",
                    path.display()
                ))
                .hint("move away what has its name"));
            }
            if found.uid() != 0 && found.uid() != me {
                return wrong(path, "belongs to somebody else than root");
            }
            // In one like /tmp nobody can move what is another's.
            let sticky = found.mode() & 0o1000 != 0 && path != self.files;
            if found.mode() & others != 0 && !sticky {
                return wrong(path, "can be written by others than root");
            }
        }
        Ok(())
    }

    /// Whether CONFIG/relayca is not there, or empty: a run that was killed at its first step leaves it so.
    pub fn has_no_files(&self) -> bool {
        fs::read_dir(&self.files).map_or(true, |mut entries| entries.next().is_none())
    }

    /// Keeps a second run out.
    pub fn lock(&self) -> Result<Lock, Failure> {
        let directory =
            File::open(&self.config).map_err(|error| Failure::io("open", &self.config, &error))?;
        directory.try_lock().map_err(|_| {
            Failure::new(format!(
                "another relayca is at work in `{}`; nothing was changed",
                self.config.display()
            ))
            .hint("run it again when that has ended")
        })?;
        Ok(Lock {
            _directory: directory,
        })
    }
}

fn default_directory() -> String {
    programs::find("postconf")
        .and_then(|_| programs::run("postconf", &["-d", "-h", "config_directory"]).ok())
        .map(|ran| ran.out.trim().to_owned())
        .filter(|directory| directory.starts_with('/'))
        .unwrap_or_else(|| USUAL.to_owned())
}
