//! Where a configuration lies, and its bytes.
//!
//! In: the command line. Out: the paths of main.cf and master.cf, and what they hold. It refuses to know what the words in
//! them mean.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use relayca_postfix::config::{Config, Version};

use super::beneath::beneath;
use crate::cli::Lint;
use crate::failure::Failure;

/// Where Postfix looks if nobody says otherwise (postconf(5) config_directory).
pub const DEFAULT_DIRECTORY: &str = "/etc/postfix";
/// The most that is read of main.cf or master.cf.
const LONGEST: u64 = 4 << 20;

/// Where it lies.
#[derive(Debug, Clone)]
pub struct Source {
    /// The root of the system that is looked at: `/`, or what `--root` says.
    pub root: PathBuf,
    /// The configuration directory as that system sees it; none where single files were given.
    pub directory: Option<PathBuf>,
    /// main.cf, as it is opened.
    pub main_cf: PathBuf,
    /// master.cf, as it is opened; none if only main.cf was given.
    pub master_cf: Option<PathBuf>,
}

impl Source {
    /// What the command line means.
    ///
    /// # Errors
    /// Where the directory cannot be found.
    pub fn find(arguments: &Lint) -> Result<Self, Failure> {
        let root = arguments.root.clone().unwrap_or_else(|| "/".into());
        if arguments.root.is_some() && !root.is_dir() {
            return Err(
                Failure::usage(format!("`{}` is not a directory", root.display()))
                    .hint("--root is the root directory of another system"),
            );
        }
        if let Some(main_cf) = &arguments.main_cf {
            return Ok(Self {
                root,
                directory: None,
                main_cf: main_cf.clone(),
                master_cf: arguments.master_cf.clone(),
            });
        }
        let directory = match (&arguments.directory, &arguments.root) {
            (None, _) => PathBuf::from(DEFAULT_DIRECTORY),
            (Some(directory), Some(_)) => Path::new("/").join(directory),
            (Some(directory), None) => std::path::absolute(directory)
                .map_err(|error| Failure::io("find", directory, &error))?,
        };
        let below = |name: &str| {
            let path = directory.join(name);
            beneath(&root, &path).map_err(|error| no_configuration(&root, &path, &error))
        };
        Ok(Self {
            main_cf: below("main.cf")?,
            master_cf: Some(below("master.cf")?),
            directory: Some(directory.clone()),
            root,
        })
    }

    /// Reads and parses both files. A missing master.cf is as good as an empty one only where it was not asked for.
    ///
    /// # Errors
    /// Where one cannot be read.
    pub fn read(&self, version: Option<Version>) -> Result<Config, Failure> {
        let main_cf = content(&self.main_cf)?;
        let master_cf = self.master_cf.as_deref().map(content).transpose()?;
        let config = Config::parse(&main_cf, master_cf.as_deref(), version);
        Ok(match self.directory.as_deref().and_then(Path::to_str) {
            Some(directory) => config.in_directory(directory),
            None => config,
        })
    }

    /// A file of the configuration as people find it: `main.cf` and `master.cf` become paths.
    pub fn shown(&self, file: &str) -> String {
        let path = match file {
            "main.cf" => self.main_cf.clone(),
            "master.cf" => self.master_cf.clone().unwrap_or_else(|| "master.cf".into()),
            path => match self.root.as_os_str() == "/" {
                true => path.into(),
                false => self.root.join(path.trim_start_matches('/')),
            },
        };
        crate::printer::one_line(&path.display().to_string())
    }
}

fn content(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut content = Vec::new();
    let file = File::open(path).map_err(|error| no_configuration(Path::new("/"), path, &error))?;
    file.take(LONGEST + 1)
        .read_to_end(&mut content)
        .map_err(|error| Failure::io("read", path, &error))?;
    if content.len() as u64 > LONGEST {
        return Err(
            Failure::new(format!("`{}` is larger than 4 MiB", path.display()))
                .hint("that is no configuration of Postfix"),
        );
    }
    Ok(content)
}

fn no_configuration(root: &Path, path: &Path, error: &std::io::Error) -> Failure {
    let shown = match root.as_os_str() == "/" {
        true => path.to_owned(),
        false => root.join(path.strip_prefix("/").unwrap_or(path)),
    };
    let failure = Failure::io("read", &shown, error);
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            failure.hint("give the directory in which main.cf and master.cf lie")
        }
        _ => failure.or_hint("give the directory in which main.cf and master.cf lie"),
    }
}
