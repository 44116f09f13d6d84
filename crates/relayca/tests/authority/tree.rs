//! A directory, byte for byte, to prove that nothing changed.
//!
//! In: a directory. Out: every name below it with its mode and content, but for what an authority keeps so as not to make it anew
//! each time: an empty spare directory, and the journal of a change that is over. It refuses to follow links.

use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What lies below a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree(pub BTreeMap<PathBuf, Node>);

/// Mode (with the file type) and content of one name.
#[derive(Clone, PartialEq, Eq)]
pub struct Node {
    pub mode: u32,
    pub owner: u32,
    pub content: Vec<u8>,
}

impl std::fmt::Debug for Node {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{:o}, {} bytes", self.mode, self.content.len())
    }
}

/// Whether it is a journal that nobody would roll back.
fn is_over(path: &Path, content: &[u8]) -> bool {
    path.ends_with("inventory.db-journal") && content.first().is_none_or(|byte| *byte == 0)
}

impl Tree {
    /// Reads the tree. A directory that is absent is an empty tree.
    pub fn of(root: &Path) -> Self {
        let mut nodes = BTreeMap::new();
        if root.exists() {
            read(root, root, &mut nodes);
        }
        nodes.retain(|path, node| !is_over(path, &node.content));
        Self(nodes)
    }

    /// The tree without one name.
    pub fn without(mut self, name: &str) -> Self {
        self.0.retain(|path, _| !path.starts_with(name));
        self
    }

    /// Names below the directory.
    pub fn names(&self) -> Vec<String> {
        self.0
            .keys()
            .map(|path| path.to_string_lossy().into_owned())
            .collect()
    }

    /// Whether some file holds these bytes.
    pub fn holds(&self, needle: &[u8]) -> bool {
        self.0.values().any(|node| {
            node.content
                .windows(needle.len())
                .any(|window| window == needle)
        })
    }

    /// Fails with the names that differ.
    #[track_caller]
    pub fn assert_same(&self, after: &Self) {
        let differ = |path: &&PathBuf| self.0.get(*path) != after.0.get(*path);
        let changed: Vec<_> = self.0.keys().chain(after.0.keys()).filter(differ).collect();
        assert!(changed.is_empty(), "changed: {changed:?}");
    }
}

fn read(root: &Path, path: &Path, nodes: &mut BTreeMap<PathBuf, Node>) {
    let metadata = path.symlink_metadata().unwrap();
    let content = if metadata.is_file() {
        std::fs::read(path).unwrap()
    } else {
        Vec::new()
    };
    let node = Node {
        mode: metadata.permissions().mode(),
        owner: metadata.uid(),
        content,
    };
    nodes.insert(path.strip_prefix(root).unwrap().to_owned(), node);
    if metadata.is_dir() {
        for entry in path.read_dir().unwrap() {
            read(root, &entry.unwrap().path(), nodes);
        }
    }
}
