//! One node: its record, and the fields in it.

use core::fmt;

use super::{Damage, Error, cache::Cache, superblock::Geometry};
use crate::block::BlockDevice;

/// Bytes of a record's header: inode and size.
const RECORD_HEADER: u32 = 8;
/// Bytes of a field's header: tag and length.
const FIELD_HEADER: u64 = 6;
/// The most fields of a record; the format knows eleven.
const FIELDS: u32 = 64;

const NODE_TYPE: u16 = 0x0001;
const MODE: u16 = 0x0002;
const UID: u16 = 0x0003;
const GID: u16 = 0x0004;
const SIZE: u16 = 0x0005;
const ATIME: u16 = 0x0006;
const MTIME: u16 = 0x0007;
const CTIME: u16 = 0x0008;
const NLINK: u16 = 0x0009;
pub(super) const CONTENT: u16 = 0x000a;
pub(super) const DIRECTORY_ENTRIES: u16 = 0x000b;

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

impl Kind {
    /// The type bits of a mode.
    pub(super) fn mode_bits(self) -> u32 {
        match self {
            Self::File => 0o100_000,
            Self::Directory => 0o040_000,
            Self::Symlink => 0o120_000,
        }
    }
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

impl Extent {
    /// Where it ends. What was checked to be on the device cannot wrap.
    pub(super) fn end(self) -> u64 {
        self.offset.saturating_add(self.len.into())
    }
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
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes of data; 0 of a directory.
    pub size: u64,
    /// Time of the last access, in seconds since 1970.
    pub atime: u64,
    /// Time of the last change of the data.
    pub mtime: u64,
    /// Time of the last change of the node.
    pub ctime: u64,
    /// How many directory entries name it, as it says.
    pub nlink: u32,
    pub(super) record: Extent,
    pub(super) content: Extent,
    pub(super) entries: Extent,
}

impl Node {
    /// A node with what holds for fields that are missing.
    fn new(inode: u32, record: Extent) -> Self {
        Self {
            inode,
            kind: Kind::File,
            mode: 0o100_644,
            uid: 0,
            gid: 0,
            size: 0,
            atime: 0,
            mtime: 0,
            ctime: 0,
            nlink: 1,
            record,
            content: Extent::default(),
            entries: Extent::default(),
        }
    }

    /// Reads the node of an inode that is known to exist.
    pub(super) fn read<D: BlockDevice>(
        cache: &mut Cache<D>,
        geometry: &Geometry,
        inode: u32,
    ) -> Result<Self, Error<D::Error>> {
        let entry = geometry.entry(inode);
        let (found, offset) = pair(cache.read(entry)?);
        if found != inode {
            return Err(Damage::ForeignEntry(found).at(inode, entry).into());
        }
        let start = geometry.records.saturating_add(offset.into());
        let room = cache.bytes().saturating_sub(start);
        if room < RECORD_HEADER.into() {
            return Err(Damage::RecordOutside.at(inode, entry).into());
        }
        let (found, size) = pair(cache.read(start)?);
        if found != inode {
            return Err(Damage::ForeignRecord(found).at(inode, start).into());
        }
        if size < RECORD_HEADER || u64::from(size) > room {
            return Err(Damage::RecordSize(size).at(inode, start).into());
        }
        let mut node = Self::new(inode, Extent { offset: start, len: size });
        node.read_fields(cache)?;
        node.check()?;
        Ok(node)
    }

    fn read_fields<D: BlockDevice>(&mut self, cache: &mut Cache<D>) -> Result<(), Error<D::Error>> {
        let Extent { offset, .. } = self.record;
        let (mut at, end) = (offset + u64::from(RECORD_HEADER), self.record.end());
        let mut seen = 0_u32;
        for _ in 0..FIELDS {
            if at == end {
                return Ok(());
            }
            let overrun = || Damage::FieldOverrun.at(self.inode, at);
            if end - at < FIELD_HEADER {
                return Err(overrun().into());
            }
            let [t0, t1, l0, l1, l2, l3] = cache.read(at)?;
            let tag = u16::from_le_bytes([t0, t1]);
            let value =
                Extent { offset: at + FIELD_HEADER, len: u32::from_le_bytes([l0, l1, l2, l3]) };
            // `end` is on the device, so this cannot wrap.
            if u64::from(value.len) > end - value.offset {
                return Err(overrun().into());
            }
            if (NODE_TYPE..=DIRECTORY_ENTRIES).contains(&tag) {
                if seen & 1 << tag != 0 {
                    return Err(Damage::FieldTwice(tag).at(self.inode, at).into());
                }
                seen |= 1 << tag;
            }
            self.read_field(cache, tag, value)?;
            at = value.end();
        }
        Err(Damage::Fields(FIELDS).at(self.inode, at).into())
    }

    /// Takes one field; an unknown one is skipped.
    fn read_field<D: BlockDevice>(
        &mut self,
        cache: &mut Cache<D>,
        tag: u16,
        value: Extent,
    ) -> Result<(), Error<D::Error>> {
        match (tag, value.len) {
            (NODE_TYPE, 1) => {
                let [kind] = cache.read(value.offset)?;
                self.kind = match kind {
                    1 => Kind::File,
                    2 => Kind::Directory,
                    3 => Kind::Symlink,
                    kind => return Err(Damage::NodeType(kind).at(self.inode, value.offset).into()),
                };
            }
            (MODE | UID | GID | NLINK, 4) => {
                let number = u32::from_le_bytes(cache.read(value.offset)?);
                match tag {
                    MODE => self.mode = number,
                    UID => self.uid = number,
                    GID => self.gid = number,
                    _ => self.nlink = number,
                }
            }
            (SIZE | ATIME | MTIME | CTIME, 8) => {
                let number = u64::from_le_bytes(cache.read(value.offset)?);
                match tag {
                    SIZE => self.size = number,
                    ATIME => self.atime = number,
                    MTIME => self.mtime = number,
                    _ => self.ctime = number,
                }
            }
            (CONTENT, _) => self.content = value,
            (DIRECTORY_ENTRIES, _) => self.entries = value,
            (NODE_TYPE..=NLINK, len) => {
                let at = value.offset - FIELD_HEADER;
                return Err(Damage::FieldLength { tag, len }.at(self.inode, at).into());
            }
            _ => {}
        }
        Ok(())
    }

    fn check<E: core::error::Error>(&self) -> Result<(), Error<E>> {
        let content = self.content.len;
        if self.kind != Kind::Directory && self.size != u64::from(content) {
            let damage = Damage::Size { size: self.size, content };
            return Err(damage.at(self.inode, self.record.offset).into());
        }
        Ok(())
    }

    /// Checks that the node is of a kind.
    pub(super) fn expect<E: core::error::Error>(&self, wanted: Kind) -> Result<(), Error<E>> {
        if self.kind == wanted {
            return Ok(());
        }
        Err(Error::Kind { inode: self.inode, kind: self.kind, wanted })
    }
}

/// Two integers of 32 bits, as table entries, records and directory entries begin.
pub(super) fn pair([a, b, c, d, e, f, g, h]: [u8; 8]) -> (u32, u32) {
    (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]))
}
