//! Device configuration of a block device (VIRTIO 1.4, 5.2.4).

use super::Error;
use crate::{
    block::BLOCK_SIZE,
    hal::Hal,
    mutant::mutated,
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
    /// The most bytes of a data segment, whole blocks.
    pub segment_bytes: u32,
    /// Whether writes are refused.
    pub read_only: bool,
    /// Whether the device takes flush requests.
    pub flush: bool,
    /// How many request queues there are, at least 1.
    pub queues: u16,
    /// Cylinders, heads and sectors of a track, for what still counts so.
    pub geometry: Option<(u16, u8, u8)>,
    /// Whether the device has a cache that is written back, where it says so.
    pub write_back: Option<bool>,
    /// How the medium likes to be accessed.
    pub topology: Option<Topology>,
    /// What a discard may ask for; `None` where the device has none.
    pub discard: Option<Limits>,
    /// What a write-zeroes may ask for; `None` where the device has none.
    pub write_zeroes: Option<Limits>,
}

/// How the medium likes to be accessed (VIRTIO 1.4, 5.2.4, `topology`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Bytes of a block of the medium.
    pub physical_block: u64,
    /// Which logical block is the first one that is aligned so.
    pub alignment_offset: u8,
    /// The least that is worth a request, in logical blocks.
    pub min_io: u16,
    /// What is best for a request, in logical blocks; 0: the device does not say.
    pub opt_io: u32,
}

/// What one discard or write-zeroes may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most sectors of one segment, at least 1.
    pub sectors: u32,
    /// What the sectors are to be a multiple of, at least 1.
    pub alignment: u32,
    /// Whether write-zeroes may leave the sectors unmapped.
    pub may_unmap: bool,
}

/// The fields as they were loaded; those without their feature were not.
#[derive(PartialEq)]
struct Fields {
    sectors: u64,
    size_max: Option<u32>,
    seg_max: Option<u32>,
    blk_size: Option<u32>,
    geometry: Option<(u16, u8, u8)>,
    topology: Option<(u8, u8, u16, u32)>,
    write_back: Option<u8>,
    queues: Option<u16>,
    discard: Option<(u32, u32)>,
    write_zeroes: Option<(u32, u8)>,
}

impl Fields {
    fn load<H: Hal>(
        transport: &Transport<H>,
        features: Features,
    ) -> Result<Self, transport::Error> {
        let with = |feature| features.contains(feature);
        let optional = |feature, field| -> Result<Option<u32>, transport::Error> {
            with(feature).then(|| transport.load_config(field)).transpose()
        };
        let hal = transport.hal();
        if mutated!(hal, L06) {
            optional(Features::BLK_SIZE, blk::BLK_SIZE)?;
        }
        let sectors = match mutated!(hal, M55 | M56) {
            false => {
                let low = transport.load_config(blk::CAPACITY_LOW)?;
                let high = transport.load_config(blk::CAPACITY_HIGH)?;
                u64::from(high) << 32 | u64::from(low)
            }
            true if mutated!(hal, M55) => transport.load_config(blk::CAPACITY_LOW)?.into(),
            true => transport.load_config_64(blk::CAPACITY_LOW)?,
        };
        Ok(Self {
            sectors,
            size_max: optional(Features::SIZE_MAX, blk::SIZE_MAX)?.filter(|_| !mutated!(hal, M60)),
            seg_max: optional(Features::SEG_MAX, blk::SEG_MAX)?,
            blk_size: optional(Features::BLK_SIZE, blk::BLK_SIZE)?,
            geometry: match with(Features::GEOMETRY) {
                true => Some((
                    transport.load_config(blk::CYLINDERS)?,
                    transport.load_config(blk::HEADS)?,
                    transport.load_config(blk::SECTORS)?,
                )),
                false => None,
            },
            topology: match with(Features::TOPOLOGY) {
                true => Some((
                    transport.load_config(blk::PHYSICAL_BLOCK_EXP)?,
                    transport.load_config(blk::ALIGNMENT_OFFSET)?,
                    transport.load_config(blk::MIN_IO_SIZE)?,
                    transport.load_config(blk::OPT_IO_SIZE)?,
                )),
                false => None,
            },
            write_back: match with(Features::CONFIG_WCE) || mutated!(hal, M58) {
                true => Some(transport.load_config(blk::WRITEBACK)?),
                false => None,
            },
            queues: match with(Features::MQ) {
                true => Some(transport.load_config(blk::NUM_QUEUES)?),
                false => None,
            },
            discard: match with(Features::DISCARD) {
                true => Some((
                    transport.load_config(blk::MAX_DISCARD_SECTORS)?,
                    transport.load_config(blk::DISCARD_SECTOR_ALIGNMENT)?,
                )),
                false => None,
            },
            write_zeroes: match with(Features::WRITE_ZEROES) {
                true => Some((
                    transport.load_config(blk::MAX_WRITE_ZEROES_SECTORS)?,
                    transport.load_config(blk::WRITE_ZEROES_MAY_UNMAP)?,
                )),
                false => None,
            },
        })
    }
}

impl Config {
    /// Loads the configuration; fields without their feature are not touched.
    pub(super) fn load<H: Hal>(
        transport: &Transport<H>,
        features: Features,
    ) -> Result<Self, Error> {
        let fields = transport.read_config(|transport| Fields::load(transport, features))?;
        let mut config = Self::check_fields(&fields, features)?;
        if mutated!(transport.hal(), M152) {
            config.sectors = u64::MAX / SECTOR as u64;
        }
        if mutated!(transport.hal(), M156) {
            config.read_only = false;
        }
        Ok(config)
    }

    fn check_fields(fields: &Fields, features: Features) -> Result<Self, Error> {
        let sectors = fields.sectors;
        if sectors > u64::MAX / SECTOR as u64 {
            return Err(Error::Capacity(sectors));
        }
        let blk_size = fields.blk_size.unwrap_or(SECTOR as u32);
        // Larger blocks than this driver's could not be written one at a time.
        let sane = SECTOR as u32..=BLOCK_SIZE as u32;
        if !blk_size.is_power_of_two() || !sane.contains(&blk_size) {
            return Err(Error::BlockSize(blk_size));
        }
        // A segment that has not room for a block would have blocks cut in pieces.
        let size_max = fields.size_max.unwrap_or(u32::MAX);
        if size_max < blk_size {
            return Err(Error::SegmentSize(size_max));
        }
        if fields.queues == Some(0) {
            return Err(Error::NoQueues);
        }
        let limits = |sectors: u32, alignment: u32, may_unmap| {
            // A device that takes no sector at all does not have the request.
            (sectors > 0).then(|| Limits { sectors, alignment: alignment.max(1), may_unmap })
        };
        Ok(Self {
            sectors,
            sectors_per_block: u64::from(blk_size) / SECTOR as u64,
            segments: fields.seg_max.unwrap_or(1).max(1),
            segment_bytes: size_max / blk_size * blk_size,
            read_only: features.contains(Features::RO),
            flush: features.contains(Features::FLUSH),
            queues: fields.queues.unwrap_or(1),
            geometry: fields.geometry,
            write_back: fields.write_back.map(|byte| byte != 0),
            topology: fields.topology.and_then(|fields| Topology::check(blk_size, fields)),
            discard: fields.discard.and_then(|(most, alignment)| limits(most, alignment, false)),
            write_zeroes: fields
                .write_zeroes
                .and_then(|(most, may_unmap)| limits(most, 1, may_unmap != 0)),
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
            return Err(Error::Unaligned { sector, bytes, unit: self.block() as u64 });
        }
        self.check_range(sector, count)?;
        Ok(count)
    }

    /// Checks that sectors are on the disk.
    pub(super) fn check_range(&self, sector: u64, count: u64) -> Result<(), Error> {
        match sector.checked_add(count) {
            Some(end) if end <= self.sectors => Ok(()),
            _ => Err(Error::OutOfRange { sector, count, sectors: self.sectors }),
        }
    }

    /// Bytes of a block: what sectors and lengths are multiples of.
    pub fn block(&self) -> usize {
        // At most 8 sectors.
        self.sectors_per_block as usize * SECTOR
    }

    /// Bytes of the disk.
    pub fn bytes(&self) -> u64 {
        self.sectors * SECTOR as u64
    }
}

impl Topology {
    /// `None` where the fields make no sense: the device can be driven without them.
    fn check(
        blk_size: u32,
        (exponent, alignment_offset, min_io, opt_io): (u8, u8, u16, u32),
    ) -> Option<Self> {
        let physical_block = 1_u64.checked_shl(exponent.into())?.checked_mul(blk_size.into())?;
        let in_physical = u64::from(alignment_offset) < physical_block / u64::from(blk_size);
        in_physical.then_some(Self {
            physical_block,
            alignment_offset,
            min_io: min_io.max(1),
            opt_io,
        })
    }
}
