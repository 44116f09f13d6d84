//! Finding a path as another system would: below a directory that stands for its root.
//!
//! In: the root and an absolute path. Out: the file's path here, every symbolic link on the way followed below the root. It
//! refuses to leave the root, and knows nothing of what lies there.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io;
use std::path::{Component, Path, PathBuf};

/// As many as Linux follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// Where `path` lies below `root`; what it names need not be there, but all directories on the way must.
///
/// # Errors
/// Those of looking at the directories, and too many links.
pub fn beneath(root: &Path, path: &Path) -> io::Result<PathBuf> {
    let mut left: VecDeque<OsString> = VecDeque::new();
    push(&mut left, path);
    let mut so_far: Vec<OsString> = Vec::new();
    let mut links = 0;
    while let Some(name) = left.pop_front() {
        if name == ".." {
            so_far.pop();
            continue;
        }
        let here = join(root, &so_far).join(&name);
        let is_link = match here.symlink_metadata() {
            Ok(metadata) => metadata.is_symlink(),
            // The last one may be missing; the caller sees that.
            Err(error) if left.is_empty() && error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !is_link {
            so_far.push(name);
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            return Err(io::Error::other("too many symbolic links"));
        }
        let target = std::fs::read_link(&here)?;
        if target.is_absolute() {
            so_far.clear();
        }
        let behind = std::mem::take(&mut left);
        push(&mut left, &target);
        left.extend(behind);
    }
    Ok(join(root, &so_far))
}

fn push(left: &mut VecDeque<OsString>, path: &Path) {
    for component in path.components() {
        match component {
            Component::Normal(name) => left.push_back(name.to_owned()),
            Component::ParentDir => left.push_back("..".into()),
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
}

fn join(root: &Path, names: &[OsString]) -> PathBuf {
    names
        .iter()
        .fold(root.to_owned(), |path, name| path.join(name))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_below_the_root_and_never_out_of_it() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path();
        std::fs::create_dir_all(root.join("etc/letsencrypt/archive")).unwrap();
        std::fs::create_dir_all(root.join("etc/letsencrypt/live/mx")).unwrap();
        std::fs::write(root.join("etc/letsencrypt/archive/key1.pem"), "").unwrap();
        symlink(
            "../../archive/key1.pem",
            root.join("etc/letsencrypt/live/mx/privkey.pem"),
        )
        .unwrap();
        symlink("/etc/letsencrypt/live/mx", root.join("etc/certs")).unwrap();
        symlink("../../../../../../etc/passwd", root.join("etc/out")).unwrap();
        symlink("loop", root.join("etc/loop")).unwrap();
        let found = |path: &str| beneath(root, Path::new(path));
        assert_eq!(
            found("/etc/certs/privkey.pem").unwrap(),
            root.join("etc/letsencrypt/archive/key1.pem")
        );
        assert_eq!(found("/etc/out").unwrap(), root.join("etc/passwd"));
        assert_eq!(found("/../../etc/out").unwrap(), root.join("etc/passwd"));
        assert!(found("/etc/loop").is_err());
        assert_eq!(found("/etc/none").unwrap(), root.join("etc/none"));
        assert_eq!(
            found("/none/none").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }
}
