//! Why a file system does not do what is asked of it.

use alloc::string::String;

use super::{Finding, Kind};

/// Why a file cannot be found, read or written. `E` is the block device's error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E: core::error::Error + 'static> {
    /// The device failed.
    #[error("block {block} cannot be {done}: {source}")]
    Device {
        /// Which block.
        block: u64,
        /// `read`, `written` or `flushed`.
        done: &'static str,
        /// Why.
        source: E,
    },
    /// There is no room for a header.
    #[error("a device of {0} bytes is too small for EclipseFS, whose header has 4096")]
    TooSmall(u64),
    /// The magic is not there, nor is a partition that has it.
    #[error("the device does not begin with the EclipseFS signature")]
    NotEclipseFs,
    /// The magic is in none of the partitions.
    #[error("none of the {0} partitions begins with the EclipseFS signature")]
    NoPartition(usize),
    /// Another version than 2.0.
    #[error("EclipseFS version {major}.{minor} is not supported, 2.0 is")]
    Version {
        /// The major version.
        major: u16,
        /// The minor version.
        minor: u16,
    },
    /// The body was written by `mkfs.eclipsefs`, and not populated since.
    #[error(
        "the inode table has 16 bytes an inode: mkfs.eclipsefs wrote it, and its body can only be \
         read after populate-eclipsefs"
    )]
    Unpopulated,
    /// Something on the device is damaged.
    #[error("{0}")]
    Damaged(#[source] Finding),
    /// Memory is short.
    #[error("no memory for {0} bytes")]
    Memory(u64),
    /// More than this reader takes at once.
    #[error("inode {inode} has {len} bytes, more than the {limit} that are read at once")]
    TooLarge {
        /// Which inode.
        inode: u32,
        /// Its bytes.
        len: u32,
        /// The limit.
        limit: u32,
    },
    /// There is no such inode.
    #[error("there is no inode {inode}, there are {inodes}")]
    NoInode {
        /// The inode.
        inode: u32,
        /// How many inodes there are.
        inodes: u32,
    },
    /// The path does not begin with `/`.
    #[error("path `{0}` does not begin with `/`")]
    NotAbsolute(String),
    /// The path has too many bytes, as it was given or with a symbolic link in it.
    #[error("a path of {len} bytes is longer than {limit}")]
    PathTooLong {
        /// Its bytes.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// A name of the path has too many bytes.
    #[error("a name of {len} bytes is longer than {limit}")]
    NameTooLong {
        /// Its bytes.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// Symbolic links lead to symbolic links without end.
    #[error("path `{path}` leads through more than {limit} symbolic links")]
    SymlinkLoop {
        /// The path.
        path: String,
        /// The limit.
        limit: u32,
    },
    /// A symbolic link on the way leads to what is not there.
    #[error("path `{path}` leads through a symbolic link to `{target}`, which does not exist")]
    Dangling {
        /// The path.
        path: String,
        /// Where the link leads.
        target: String,
    },
    /// A name is not in its directory.
    #[error("`{name}` of path `{path}` does not exist")]
    NotFound {
        /// The path.
        path: String,
        /// The name.
        name: String,
    },
    /// A name on the way is no directory.
    #[error("`{name}` of path `{path}` is a {kind}, not a directory")]
    NotADirectory {
        /// The path.
        path: String,
        /// The name.
        name: String,
        /// What it is.
        kind: Kind,
    },
    /// The node is of another kind than what is asked of it.
    #[error("inode {inode} is a {kind}, not a {wanted}")]
    Kind {
        /// Which inode.
        inode: u32,
        /// What it is.
        kind: Kind,
        /// What it should be.
        wanted: Kind,
    },
    /// The disk cannot be written.
    #[error("inode {0} cannot be written: the disk is read-only")]
    ReadOnly(u32),
    /// A file is written in its place: it does not grow.
    #[error("{len} bytes at {offset} are not in inode {inode}, which has {size}")]
    BeyondEnd {
        /// Which inode.
        inode: u32,
        /// Where the write begins.
        offset: u64,
        /// Its bytes.
        len: usize,
        /// The bytes of the file.
        size: u64,
    },
    /// A write would make the header's checksum of the data wrong.
    #[error("the file system has a checksum of its data, so that none can be written in place")]
    DataChecksum,
}

impl<E: core::error::Error + 'static> From<Finding> for Error<E> {
    fn from(finding: Finding) -> Self {
        Self::Damaged(finding)
    }
}
