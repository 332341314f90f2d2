//! One node: its record, and the fields in it.

use core::fmt;

use super::{
    Error,
    cache::Cache,
    superblock::{Geometry, TABLE_ENTRY},
};
use crate::block::BlockDevice;

/// Bytes of a record's header: inode and size.
const RECORD_HEADER: u32 = 8;
/// Bytes of a field's header: tag and length.
const FIELD_HEADER: u64 = 6;
/// The most fields of a record; the format knows eleven.
const FIELDS: u32 = 64;

const NODE_TYPE: u16 = 0x0001;
const MODE: u16 = 0x0002;
const SIZE: u16 = 0x0005;
const CONTENT: u16 = 0x000a;
const DIRECTORY_ENTRIES: u16 = 0x000b;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "file",
            Self::Directory => "directory",
            Self::Symlink => "symbolic link",
        })
    }
}

/// A run of bytes on the device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Extent {
    /// Where it begins.
    pub(super) offset: u64,
    /// Its bytes.
    pub(super) len: u32,
}

/// A node, without its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Its number.
    pub inode: u32,
    /// What it is.
    pub kind: Kind,
    /// `st_mode`, type bits and all.
    pub mode: u32,
    /// Bytes of data; 0 of a directory.
    pub size: u64,
    pub(super) content: Extent,
    pub(super) entries: Extent,
}

impl Node {
    /// Reads the node of an inode that is known to exist.
    pub(super) fn read<D: BlockDevice>(
        cache: &mut Cache<D>,
        geometry: &Geometry,
        inode: u32,
    ) -> Result<Self, Error<D::Error>> {
        // Numbers begin with 1.
        let index = u64::from(inode.saturating_sub(1));
        let (found, offset) = pair(cache.read(geometry.table + TABLE_ENTRY * index)?);
        same("inode table entry", inode, found)?;
        let start = geometry.records.saturating_add(offset.into());
        let (found, size) = pair(cache.read(start)?);
        same("record", inode, found)?;
        let end = start.checked_add(size.into());
        let Some(end) = end.filter(|end| size >= RECORD_HEADER && *end <= cache.bytes()) else {
            return Err(Error::Record { inode, offset: start, size });
        };
        let mut node = Self {
            inode,
            kind: Kind::File,
            mode: 0o100_644,
            size: 0,
            content: Extent::default(),
            entries: Extent::default(),
        };
        node.read_fields(cache, start + u64::from(RECORD_HEADER), end)?;
        node.check()?;
        Ok(node)
    }

    fn read_fields<D: BlockDevice>(
        &mut self,
        cache: &mut Cache<D>,
        start: u64,
        end: u64,
    ) -> Result<(), Error<D::Error>> {
        let inode = self.inode;
        let mut at = start;
        for _ in 0..FIELDS {
            if at == end {
                return Ok(());
            }
            let overrun = Error::FieldOverrun { inode, offset: at };
            if end - at < FIELD_HEADER {
                return Err(overrun);
            }
            let [t0, t1, l0, l1, l2, l3] = cache.read(at)?;
            let value =
                Extent { offset: at + FIELD_HEADER, len: u32::from_le_bytes([l0, l1, l2, l3]) };
            // `end` is on the device, so this cannot wrap.
            if u64::from(value.len) > end - value.offset {
                return Err(overrun);
            }
            self.read_field(cache, u16::from_le_bytes([t0, t1]), value)?;
            at = value.offset + u64::from(value.len);
        }
        Err(Error::Fields { inode, limit: FIELDS })
    }

    /// Takes one field; those that a reader does not need, and unknown ones, are skipped.
    fn read_field<D: BlockDevice>(
        &mut self,
        cache: &mut Cache<D>,
        tag: u16,
        value: Extent,
    ) -> Result<(), Error<D::Error>> {
        let inode = self.inode;
        match (tag, value.len) {
            (NODE_TYPE, 1) => {
                let [kind] = cache.read(value.offset)?;
                self.kind = match kind {
                    1 => Kind::File,
                    2 => Kind::Directory,
                    3 => Kind::Symlink,
                    kind => return Err(Error::NodeType { inode, kind }),
                };
            }
            (MODE, 4) => self.mode = u32::from_le_bytes(cache.read(value.offset)?),
            (SIZE, 8) => self.size = u64::from_le_bytes(cache.read(value.offset)?),
            (NODE_TYPE | MODE | SIZE, len) => {
                return Err(Error::FieldLength { inode, tag, len });
            }
            (CONTENT, _) => self.content = value,
            (DIRECTORY_ENTRIES, _) => self.entries = value,
            _ => {}
        }
        Ok(())
    }

    fn check<E: core::error::Error>(&self) -> Result<(), Error<E>> {
        let content = self.content.len;
        if self.kind != Kind::Directory && self.size != u64::from(content) {
            return Err(Error::Size { inode: self.inode, size: self.size, content });
        }
        Ok(())
    }
}

/// Two integers of 32 bits, as table entries, records and directory entries begin.
pub(super) fn pair([a, b, c, d, e, f, g, h]: [u8; 8]) -> (u32, u32) {
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}

fn same<E: core::error::Error>(
    place: &'static str,
    inode: u32,
    found: u32,
) -> Result<(), Error<E>> {
    if inode == found {
        return Ok(());
    }
    Err(Error::ForeignInode { place, inode, found })
}
