//! Device configuration of a block device (VIRTIO 1.4, 5.2.4).

use super::Error;
use crate::{
    block::BLOCK_SIZE,
    hal::Hal,
    virtio::{
        features::Features,
        registers::blk,
        transport::{self, Transport},
    },
};

/// Bytes of a sector, whatever `blk_size` says.
pub const SECTOR: usize = 512;

/// What the device says of itself, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Sectors of 512 bytes; their bytes fit in 64 bits.
    pub sectors: u64,
    /// What every request's sector and length are multiples of: 1 to 8 sectors.
    pub sectors_per_block: u64,
    /// The most data segments of a request, at least 1.
    pub segments: u32,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether the device takes flush requests.
    pub flush: bool,
}

impl Config {
    /// Loads the configuration; fields without their feature are not touched.
    pub(super) fn load<H: Hal>(
        transport: &Transport<H>,
        features: Features,
    ) -> Result<Self, Error> {
        let (sectors, seg_max, blk_size) = transport.read_config(|transport| {
            let low = transport.load_config(blk::CAPACITY_LOW)?;
            let high = transport.load_config(blk::CAPACITY_HIGH)?;
            let optional = |feature, field| -> Result<Option<u32>, transport::Error> {
                features.contains(feature).then(|| transport.load_config(field)).transpose()
            };
            Ok((
                u64::from(high) << 32 | u64::from(low),
                optional(Features::SEG_MAX, blk::SEG_MAX)?,
                optional(Features::BLK_SIZE, blk::BLK_SIZE)?,
            ))
        })?;
        if sectors > u64::MAX / SECTOR as u64 {
            return Err(Error::Capacity(sectors));
        }
        let blk_size = blk_size.unwrap_or(SECTOR as u32);
        // Larger blocks than this driver's could not be written one at a time.
        let sane = SECTOR as u32..=BLOCK_SIZE as u32;
        if !blk_size.is_power_of_two() || !sane.contains(&blk_size) {
            return Err(Error::BlockSize(blk_size));
        }
        Ok(Self {
            sectors,
            sectors_per_block: u64::from(blk_size) / SECTOR as u64,
            segments: seg_max.unwrap_or(1).max(1),
            read_only: features.contains(Features::RO),
            flush: features.contains(Features::FLUSH),
        })
    }

    /// Checks a request against the device, before any I/O; answers with its sectors.
    pub(super) fn check(&self, sector: u64, bytes: usize) -> Result<u64, Error> {
        let count = (bytes / SECTOR) as u64;
        if bytes == 0
            || !bytes.is_multiple_of(SECTOR)
            || !count.is_multiple_of(self.sectors_per_block)
            || !sector.is_multiple_of(self.sectors_per_block)
        {
            return Err(Error::Unaligned {
                sector,
                bytes,
                unit: self.sectors_per_block * SECTOR as u64,
            });
        }
        match sector.checked_add(count) {
            Some(end) if end <= self.sectors => Ok(count),
            _ => Err(Error::OutOfRange { sector, count, sectors: self.sectors }),
        }
    }
}
