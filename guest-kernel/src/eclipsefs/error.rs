//! What can be wrong with a file system, or with what is asked of it.

use alloc::string::String;

use super::Kind;

/// Why a file cannot be read. `E` is the block device's error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error<E: core::error::Error + 'static> {
    /// The device failed.
    #[error("block {block} cannot be read: {source}")]
    Device {
        /// Which block.
        block: u64,
        /// Why.
        source: E,
    },
    /// Something is said to be where the device is not.
    #[error("{len} bytes at {offset:#x} are not on a device of {device} bytes")]
    Outside {
        /// Where it begins.
        offset: u64,
        /// Its bytes.
        len: u64,
        /// The bytes of the device.
        device: u64,
    },
    /// The magic is not there.
    #[error("the device does not begin with the EclipseFS signature")]
    NotEclipseFs,
    /// Another version than 2.0.
    #[error("EclipseFS version {major}.{minor} is not supported, 2.0 is")]
    Version {
        /// The major version.
        major: u16,
        /// The minor version.
        minor: u16,
    },
    /// The header is damaged.
    #[error("the header's checksum is {stored:#010x}, its bytes give {computed:#010x}")]
    HeaderChecksum {
        /// What the header says.
        stored: u32,
        /// What is right.
        computed: u32,
    },
    /// The number of inodes cannot be.
    #[error("{0} inodes cannot be")]
    Inodes(u32),
    /// The body was written by `mkfs.eclipsefs`, and not populated since.
    #[error(
        "the inode table has 16 bytes an inode: mkfs.eclipsefs wrote it, and its body can only be \
         read after populate-eclipsefs"
    )]
    Unpopulated,
    /// The inode table has not 8 bytes an inode.
    #[error("the inode table of {inodes} inodes has {size} bytes, not 8 each")]
    TableSize {
        /// How many inodes.
        inodes: u32,
        /// Bytes of the table.
        size: u64,
    },
    /// The inode table is not behind the header, or not on the device.
    #[error("the inode table of {size} bytes cannot be at {offset:#x}")]
    TableOffset {
        /// Where it is said to be.
        offset: u64,
        /// Bytes of the table.
        size: u64,
    },
    /// There is no such inode.
    #[error("inode {inode} is named by {by}, there are {inodes}")]
    NoInode {
        /// The inode.
        inode: u32,
        /// The inode of the directory that names it.
        by: u32,
        /// How many inodes there are.
        inodes: u32,
    },
    /// A table entry or a record is another inode's.
    #[error("the {place} of inode {inode} says that it is inode {found}'s")]
    ForeignInode {
        /// `inode table entry` or `record`.
        place: &'static str,
        /// Whose it should be.
        inode: u32,
        /// Whose it says it is.
        found: u32,
    },
    /// A record is shorter than its header, or leaves the device.
    #[error("the record of inode {inode} at {offset:#x} cannot have {size} bytes")]
    Record {
        /// Whose record.
        inode: u32,
        /// Where it is.
        offset: u64,
        /// Bytes, as it says.
        size: u32,
    },
    /// A field leaves its record.
    #[error("a field of inode {inode} at {offset:#x} ends behind its record")]
    FieldOverrun {
        /// Whose field.
        inode: u32,
        /// Where the field begins.
        offset: u64,
    },
    /// A record has no end of fields.
    #[error("inode {inode} has more than {limit} fields")]
    Fields {
        /// Whose record.
        inode: u32,
        /// The limit.
        limit: u32,
    },
    /// A field has not its length.
    #[error("field {tag:#06x} of inode {inode} has {len} bytes")]
    FieldLength {
        /// Whose field.
        inode: u32,
        /// Which field.
        tag: u16,
        /// Its bytes.
        len: u32,
    },
    /// The node type is none.
    #[error("inode {inode} is of type {kind}, which is none")]
    NodeType {
        /// Which inode.
        inode: u32,
        /// Its type.
        kind: u8,
    },
    /// A file's size is not that of its content.
    #[error("inode {inode} says {size} bytes and has {content}")]
    Size {
        /// Which inode.
        inode: u32,
        /// What its size field says.
        size: u64,
        /// The bytes of its content field.
        content: u32,
    },
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
    /// Memory is short.
    #[error("no memory for the {0} bytes of a file")]
    Memory(u32),
    /// A directory entry leaves its directory.
    #[error("an entry of directory {inode} at {offset:#x} ends behind the directory")]
    EntryOverrun {
        /// The directory.
        inode: u32,
        /// Where the entry begins.
        offset: u64,
    },
    /// A name has no bytes, or more than 255.
    #[error("an entry of directory {inode} at {offset:#x} has a name of {len} bytes")]
    NameLength {
        /// The directory.
        inode: u32,
        /// Where the entry begins.
        offset: u64,
        /// Bytes of the name.
        len: u32,
    },
    /// The path does not begin with `/`.
    #[error("path `{0}` does not begin with `/`")]
    NotAbsolute(String),
    /// The path has too many names.
    #[error("path `{path}` has more than {limit} names")]
    TooDeep {
        /// The path.
        path: String,
        /// The limit.
        limit: usize,
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
    /// What should be read is no file.
    #[error("inode {inode} is a {kind}, not a file")]
    NotAFile {
        /// Which inode.
        inode: u32,
        /// What it is.
        kind: Kind,
    },
}
