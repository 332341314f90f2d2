//! The header of the file system, and where all else is.

use super::{Error, cache::Cache};
use crate::{
    block::{BLOCK_SIZE, BlockDevice},
    crc32::crc32,
};

const MAGIC: &[u8] = b"ECLIPSEFS";
/// Bytes of the header that mean something.
const LEN: usize = 65;
/// Bytes of an entry of the inode table.
pub(super) const TABLE_ENTRY: u64 = 8;
/// Bytes of an entry where `mkfs.eclipsefs` wrote the table.
const TABLE_ENTRY_MKFS: u64 = 16;
/// The format reserves the numbers from here on.
const INODES: u32 = 0xf000_0000;

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

impl Superblock {
    pub(super) fn read<D: BlockDevice>(cache: &mut Cache<D>) -> Result<Self, Error<D::Error>> {
        let bytes: [u8; LEN] = cache.read(0)?;
        if bytes.starts_with(MAGIC) { Ok(Self { bytes }) } else { Err(Error::NotEclipseFs) }
    }

    /// Major and minor version.
    pub fn version(&self) -> (u16, u16) {
        let version = self.u32_at(9);
        ((version >> 16) as u16, version as u16)
    }

    /// Checks everything that the header says; `device` is the size of the device.
    pub(super) fn geometry<E: core::error::Error>(
        &self,
        device: u64,
    ) -> Result<Geometry, Error<E>> {
        let (major, minor) = self.version();
        if (major, minor) != (2, 0) {
            return Err(Error::Version { major, minor });
        }
        self.verify()?;
        let inodes = self.u32_at(29);
        if inodes == 0 || inodes >= INODES {
            return Err(Error::Inodes(inodes));
        }
        let (offset, size) = (self.u64_at(13), self.u64_at(21));
        if size == TABLE_ENTRY_MKFS * u64::from(inodes) {
            return Err(Error::Unpopulated);
        }
        if size != TABLE_ENTRY * u64::from(inodes) {
            return Err(Error::TableSize { inodes, size });
        }
        match offset.checked_add(size) {
            Some(records) if offset >= BLOCK_SIZE as u64 && records <= device => {
                Ok(Geometry { inodes, table: offset, records })
            }
            _ => Err(Error::TableOffset { offset, size }),
        }
    }

    /// Writers leave the checksum 0; one that is not is right.
    fn verify<E: core::error::Error>(&self) -> Result<(), Error<E>> {
        let stored = self.u32_at(33);
        if stored == 0 {
            return Ok(());
        }
        // All of the header but the three checksums.
        let (before, rest) = self.bytes.split_at(33);
        let (_, behind) = rest.split_at(12);
        let computed = crc32(before.iter().chain(behind).copied());
        if stored == computed { Ok(()) } else { Err(Error::HeaderChecksum { stored, computed }) }
    }

    fn u32_at(&self, offset: usize) -> u32 {
        u32::from_le_bytes(core::array::from_fn(|byte| self.bytes[offset + byte]))
    }

    fn u64_at(&self, offset: usize) -> u64 {
        u64::from_le_bytes(core::array::from_fn(|byte| self.bytes[offset + byte]))
    }
}
