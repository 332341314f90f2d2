//! EclipseFS 2.0: a tree of directories, files and symbolic links, and its image.
//!
//! ```text
//! 0     header        one block of 4096 bytes: magic, version, where the inode table is
//! 4096  inode table   8 bytes an inode: its number, where its record is in the node area
//! …     node area     one record an inode, back to back: type-length-value fields
//! ```
//!
//! A file's contents are a field of its record, and so are a directory's entries. There is no free
//! map and no journal: an image is written whole. Here it is written so that the same tree gives the
//! same bytes: entries are sorted by name, times are fixed, and the optional checksums are left zero,
//! which means "none".

mod image;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{self, Write};
use std::path::PathBuf;

/// Longest name of a directory entry in bytes.
pub const MAX_NAME: usize = 255;

/// A directory: entries by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directory {
    /// Sorted by the bytes of the name, which makes the image reproducible.
    entries: BTreeMap<String, Node>,
}

/// What a name in a directory stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Directory(Directory),
    File(Contents),
    Symlink(String),
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Contents {
    Bytes(Vec<u8>),
    /// So many bytes of a file of the host.
    Host {
        path: PathBuf,
        len: u64,
    },
}

impl Directory {
    /// A directory without entries.
    pub fn new() -> Directory {
        Directory::default()
    }

    /// Adds a directory.
    pub fn directory(self, name: &str, directory: Directory) -> Result<Directory, Error> {
        self.with(name, Node::Directory(directory))
    }

    /// Adds a file.
    pub fn file(self, name: &str, contents: impl Into<Vec<u8>>) -> Result<Directory, Error> {
        self.with(name, Node::File(Contents::Bytes(contents.into())))
    }

    /// Adds a file whose `len` bytes are read from the host's file at `path` when the image is
    /// written.
    pub fn host_file(
        self,
        name: &str,
        path: impl Into<PathBuf>,
        len: u64,
    ) -> Result<Directory, Error> {
        self.with(name, Node::File(Contents::Host { path: path.into(), len }))
    }

    /// Adds a symbolic link to `target`, a path that need not lead anywhere.
    pub fn symlink(self, name: &str, target: &str) -> Result<Directory, Error> {
        if target.is_empty() || target.contains('\0') {
            return Err(Error::Target(target.into()));
        }
        self.with(name, Node::Symlink(target.into()))
    }

    /// The image of the filesystem whose root this directory is.
    ///
    /// It is as long as its contents ask for: 4096 bytes or more, not padded to a block.
    pub fn to_image(&self) -> Result<Vec<u8>, WriteError> {
        let mut image = Vec::new();
        self.write_image(&mut image)?;
        Ok(image)
    }

    /// Writes the image of the filesystem whose root this directory is, and says its bytes.
    ///
    /// Files of the host are read one after another, and never whole into memory.
    pub fn write_image(&self, out: &mut impl Write) -> Result<u64, WriteError> {
        image::write(self, out)
    }

    /// The bytes of the image.
    pub fn image_len(&self) -> Result<u64, Error> {
        image::len(self)
    }

    fn with(mut self, name: &str, node: Node) -> Result<Directory, Error> {
        if name.len() > MAX_NAME {
            return Err(Error::LongName(name.into()));
        }
        if matches!(name, "" | "." | "..") || name.contains(['/', '\0']) {
            return Err(Error::Name(name.into()));
        }
        match self.entries.entry(name.into()) {
            Entry::Occupied(_) => Err(Error::Duplicate(name.into())),
            Entry::Vacant(entry) => {
                entry.insert(node);
                Ok(self)
            }
        }
    }
}

/// Why a tree has no EclipseFS image.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The name is empty, `.` or `..`, or holds a slash or a NUL.
    #[error("{0:?} is not a file name: it must not be empty, `.` or `..`, or hold `/` or NUL")]
    Name(String),
    /// The name is longer than [`MAX_NAME`].
    #[error("file name {0:?} is longer than {MAX_NAME} bytes")]
    LongName(String),
    /// The directory has an entry of that name.
    #[error("the directory already has an entry {0:?}")]
    Duplicate(String),
    /// The target of a symbolic link is empty or holds a NUL.
    #[error("{0:?} is not a path that a symbolic link can lead to")]
    Target(String),
    /// A record, or all of them, are longer than the 32 bits of their length or offset.
    #[error("the tree is too large: EclipseFS 2.0 holds less than 4 GiB")]
    TooLarge,
}

/// Why an image was not written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The tree has none.
    #[error(transparent)]
    Tree(#[from] Error),
    /// A file of the host cannot be read.
    #[error("{}: cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// A file of the host is not as long as it was.
    #[error("{}: changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The image cannot be written.
    #[error("cannot be written")]
    Write(#[source] io::Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_1_to_255_bytes_without_slash_and_nul() {
        for name in ["a", " ", "...", ".profile", "sol y sombra", "日食", &"x".repeat(255)] {
            assert!(Directory::new().file(name, "").is_ok(), "{name:?}");
        }
        for name in ["", ".", "..", "/", "a/b", "a/", "\0", "a\0"] {
            let refusal = Err(Error::Name(name.into()));
            assert_eq!(Directory::new().file(name, ""), refusal);
            assert_eq!(Directory::new().directory(name, Directory::new()), refusal);
            assert_eq!(Directory::new().symlink(name, "a"), refusal);
        }
        for name in ["x".repeat(256), "日".repeat(86)] {
            let refusal = Directory::new().file(&name, "");
            assert_eq!(refusal, Err(Error::LongName(name)));
        }
    }

    #[test]
    fn a_name_stands_for_one_entry_whatever_its_kind() {
        let root = || Directory::new().file("a", "").unwrap();
        let duplicate = Err(Error::Duplicate("a".into()));
        assert_eq!(root().file("a", ""), duplicate);
        assert_eq!(root().directory("a", Directory::new()), duplicate);
        assert_eq!(root().symlink("a", "b"), duplicate);
        assert!(root().file("A", "").is_ok());
    }

    #[test]
    fn a_symbolic_link_leads_somewhere() {
        for target in ["", "a\0b"] {
            let refusal = Directory::new().symlink("a", target);
            assert_eq!(refusal, Err(Error::Target(target.into())));
        }
        assert!(Directory::new().symlink("a", "../no/such/place").is_ok());
    }
}
