//! The header of the file system, and where all else is.

use super::{Damage, Error, Finding, cache::Cache};
use crate::{
    block::{BLOCK_SIZE, BlockDevice},
    crc32::crc32,
};

pub(super) const MAGIC: &[u8; 9] = b"ECLIPSEFS";
/// Bytes of the header that mean something.
const LEN: usize = 65;
/// Bytes that the header takes.
pub(super) const HEADER: u64 = BLOCK_SIZE as u64;
/// Bytes of an entry of the inode table.
pub(super) const TABLE_ENTRY: u64 = 8;
/// Bytes of an entry where `mkfs.eclipsefs` wrote the table.
const TABLE_ENTRY_MKFS: u64 = 16;
/// The format reserves the numbers from here on.
const INODES: u32 = 0xf000_0000;

const VERSION: usize = 9;
const TABLE_OFFSET: usize = 13;
const TABLE_SIZE: usize = 21;
const TOTAL_INODES: usize = 29;
const HEADER_CHECKSUM: usize = 33;
const DATA_CHECKSUM: usize = 41;
/// Behind the three checksums.
const CREATION_TIME: usize = 45;

/// A header whose signature is right; nothing else is checked yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superblock {
    bytes: [u8; LEN],
}

/// Where the inodes are, checked against the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Geometry {
    /// How many inodes.
    pub(super) inodes: u32,
    /// Where their table begins.
    pub(super) table: u64,
    /// Where their records begin.
    pub(super) records: u64,
}

impl Geometry {
    /// Where the table entry of an inode is; numbers begin with 1.
    pub(super) fn entry(&self, inode: u32) -> u64 {
        self.table + TABLE_ENTRY * u64::from(inode.saturating_sub(1))
    }

    /// Whether there is such an inode.
    pub(super) fn has(&self, inode: u32) -> bool {
        inode != 0 && inode <= self.inodes
    }
}

impl Superblock {
    /// The header, if the signature is there.
    pub(super) fn read<D: BlockDevice>(cache: &mut Cache<D>) -> Result<Self, Error<D::Error>> {
        if cache.bytes() < HEADER {
            return Err(Error::TooSmall(cache.bytes()));
        }
        let bytes: [u8; LEN] = cache.read(0)?;
        if bytes.starts_with(MAGIC) { Ok(Self { bytes }) } else { Err(Error::NotEclipseFs) }
    }

    /// Major and minor version.
    pub fn version(&self) -> (u16, u16) {
        let version = self.u32_at(VERSION);
        ((version >> 16) as u16, version as u16)
    }

    /// Whether the header has a checksum of all data.
    pub fn has_data_checksum(&self) -> bool {
        self.u32_at(DATA_CHECKSUM) != 0
    }

    /// Checks that the file system is one that can be read at all.
    pub(super) fn supported<E: core::error::Error>(&self) -> Result<(), Error<E>> {
        let (major, minor) = self.version();
        if (major, minor) != (2, 0) {
            return Err(Error::Version { major, minor });
        }
        let inodes = self.u32_at(TOTAL_INODES);
        if inodes != 0 && self.u64_at(TABLE_SIZE) == TABLE_ENTRY_MKFS * u64::from(inodes) {
            return Err(Error::Unpopulated);
        }
        Ok(())
    }

    /// Checks everything else that the header says; `device` is the size of the device.
    pub(super) fn geometry(&self, device: u64) -> Result<Geometry, Finding> {
        let inodes = self.u32_at(TOTAL_INODES);
        if inodes == 0 || inodes >= INODES {
            return Err(Damage::Inodes(inodes).at(None, TOTAL_INODES as u64));
        }
        let (offset, size) = (self.u64_at(TABLE_OFFSET), self.u64_at(TABLE_SIZE));
        if size != TABLE_ENTRY * u64::from(inodes) {
            return Err(Damage::TableSize { inodes, size }.at(None, TABLE_SIZE as u64));
        }
        match offset.checked_add(size) {
            Some(records) if offset >= HEADER && records <= device => {
                Ok(Geometry { inodes, table: offset, records })
            }
            _ => Err(Damage::TableOffset { offset, size }.at(None, TABLE_OFFSET as u64)),
        }
    }

    /// Writers leave the checksum 0; one that is not is right.
    pub(super) fn verify(&self) -> Result<(), Finding> {
        let stored = self.u32_at(HEADER_CHECKSUM);
        if stored == 0 {
            return Ok(());
        }
        // All of the header but the three checksums.
        let (before, _) = self.bytes.split_at(HEADER_CHECKSUM);
        let (_, behind) = self.bytes.split_at(CREATION_TIME);
        let computed = crc32(before.iter().chain(behind).copied());
        if stored == computed {
            return Ok(());
        }
        Err(Damage::HeaderChecksum { stored, computed }.at(None, HEADER_CHECKSUM as u64))
    }

    fn u32_at(&self, offset: usize) -> u32 {
        u32::from_le_bytes(core::array::from_fn(|byte| self.bytes[offset + byte]))
    }

    fn u64_at(&self, offset: usize) -> u64 {
        u64::from_le_bytes(core::array::from_fn(|byte| self.bytes[offset + byte]))
    }
}
