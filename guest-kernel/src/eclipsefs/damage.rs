//! What can be wrong with a file system.

use alloc::string::String;
use core::fmt;

use super::Kind;

/// A damage, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The inode that is damaged; `None` of the header.
    pub inode: Option<u32>,
    /// Where the damage is, in bytes from the start of the file system.
    pub offset: u64,
    /// What it is.
    pub damage: Damage,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.inode {
            Some(inode) => write!(f, "inode {inode} at {:#x}: {}", self.offset, self.damage),
            None => write!(f, "header at {:#x}: {}", self.offset, self.damage),
        }
    }
}

impl core::error::Error for Finding {}

/// What is wrong at one place. The reader stops at those that it meets; `fsck` finds all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damage {
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
    /// The table entry is another inode's.
    #[error("the inode table entry says that it is inode {0}'s")]
    ForeignEntry(u32),
    /// The record is another inode's.
    #[error("the record says that it is inode {0}'s")]
    ForeignRecord(u32),
    /// The record begins behind the end.
    #[error("the record begins behind the end of the device")]
    RecordOutside,
    /// The record is shorter than its header, or leaves the device.
    #[error("the record cannot have {0} bytes")]
    RecordSize(u32),
    /// Records lie back to back, in the order of their inodes.
    #[error("the record does not begin where the one before ends, at {0:#x}")]
    RecordPlace(u64),
    /// A field leaves its record.
    #[error("a field ends behind its record")]
    FieldOverrun,
    /// A record has no end of fields.
    #[error("there are more than {0} fields")]
    Fields(u32),
    /// A field has not its length.
    #[error("field {tag:#06x} has {len} bytes")]
    FieldLength {
        /// Which field.
        tag: u16,
        /// Its bytes.
        len: u32,
    },
    /// A field that there can be one of.
    #[error("field {0:#06x} is there twice")]
    FieldTwice(u16),
    /// A directory with content, or entries of what is none.
    #[error("a {kind} has no field {tag:#06x}")]
    FieldOfOther {
        /// What the node is.
        kind: Kind,
        /// Which field.
        tag: u16,
    },
    /// The node type is none.
    #[error("type {0} is none")]
    NodeType(u8),
    /// The type bits of the mode are another kind's.
    #[error("mode {mode:#o} is not a {kind}'s")]
    Mode {
        /// What the node is.
        kind: Kind,
        /// Its mode.
        mode: u32,
    },
    /// The size is not that of the content, or a directory has one.
    #[error("the size is {size} bytes, the content has {content}")]
    Size {
        /// What the size field says.
        size: u64,
        /// The bytes of the content field.
        content: u32,
    },
    /// A directory entry leaves its directory.
    #[error("a directory entry ends behind its directory")]
    EntryOverrun,
    /// A name has no bytes, or more than 255.
    #[error("a directory entry has a name of {0} bytes")]
    NameLength(u32),
    /// A name is not UTF-8.
    #[error("a name is not UTF-8")]
    NameText,
    /// A name that leads elsewhere, or nowhere.
    #[error("{0:?} cannot be a name: it is `.` or `..`, or holds `/` or NUL")]
    Name(String),
    /// Two entries of a directory have one name.
    #[error("the name {0:?} is there twice")]
    NameTwice(String),
    /// A directory entry names an inode that there is not.
    #[error("a directory entry names inode {inode}, there are {inodes}")]
    NoInode {
        /// The inode.
        inode: u32,
        /// How many inodes there are.
        inodes: u32,
    },
    /// The root is in a directory.
    #[error("a directory entry names the root")]
    RootNamed,
    /// A directory is in two directories, or twice in one.
    #[error("a directory entry names directory {inode}, which is in directory {parent} already")]
    TwoParents {
        /// The directory that is named.
        inode: u32,
        /// Where it was named first.
        parent: u32,
    },
    /// The number of links is another one.
    #[error("{says} links are said to be, and there are {found}")]
    Links {
        /// What the field says.
        says: u32,
        /// The entries that name it.
        found: u32,
    },
    /// A directory is in itself, perhaps by others.
    #[error("the directory is part of a cycle")]
    Cycle,
    /// No path leads there.
    #[error("no path leads there from the root")]
    Unreachable,
    /// The root is no directory.
    #[error("the root is a {0}")]
    Root(Kind),
    /// A symbolic link leads nowhere, or too far.
    #[error("the target of a symbolic link has {0} bytes")]
    TargetLength(u32),
    /// A symbolic link is no text.
    #[error("the target of a symbolic link is not UTF-8, or holds NUL")]
    TargetText,
}

impl Damage {
    /// A short name for programs; it does not change.
    pub fn name(&self) -> &'static str {
        match self {
            Self::HeaderChecksum { .. } => "header-checksum",
            Self::Inodes(_) => "inodes",
            Self::TableSize { .. } => "table-size",
            Self::TableOffset { .. } => "table-offset",
            Self::ForeignEntry(_) => "foreign-entry",
            Self::ForeignRecord(_) => "foreign-record",
            Self::RecordOutside => "record-outside",
            Self::RecordSize(_) => "record-size",
            Self::RecordPlace(_) => "record-place",
            Self::FieldOverrun => "field-overrun",
            Self::Fields(_) => "fields",
            Self::FieldLength { .. } => "field-length",
            Self::FieldTwice(_) => "field-twice",
            Self::FieldOfOther { .. } => "field-of-other",
            Self::NodeType(_) => "node-type",
            Self::Mode { .. } => "mode",
            Self::Size { .. } => "size",
            Self::EntryOverrun => "entry-overrun",
            Self::NameLength(_) => "name-length",
            Self::NameText => "name-text",
            Self::Name(_) => "name",
            Self::NameTwice(_) => "name-twice",
            Self::NoInode { .. } => "no-inode",
            Self::RootNamed => "root-named",
            Self::TwoParents { .. } => "two-parents",
            Self::Links { .. } => "links",
            Self::Cycle => "cycle",
            Self::Unreachable => "unreachable",
            Self::Root(_) => "root",
            Self::TargetLength(_) => "target-length",
            Self::TargetText => "target-text",
        }
    }

    pub(super) fn at<I: Into<Option<u32>>>(self, inode: I, offset: u64) -> Finding {
        Finding { inode: inode.into(), offset, damage: self }
    }
}
