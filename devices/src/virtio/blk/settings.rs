use std::fmt;
use std::str::FromStr;

use super::Features;
use crate::disk::{Abilities, Disk, Lifetime};

/// What a block device says of itself, apart from its disk (VIRTIO 1.4, 5.2.3 and 5.2.4).
///
/// The default is what a device offers when nobody asks for more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlkConfig {
    /// The features to offer. Those of the block device are offered where the disk can honour
    /// them; RO is the disk's to say, and the others pass as they are.
    pub features: Features,
    /// The answer to GET_ID.
    pub id: DeviceId,
    /// The longest data buffer, with SIZE_MAX.
    pub size_max: u32,
    /// The most data buffers of a request, with SEG_MAX.
    pub seg_max: u32,
    /// With GEOMETRY; `None` for one that fits the capacity.
    pub geometry: Option<Geometry>,
    /// Bytes in a block, with BLK_SIZE. Requests count sectors of 512 bytes all the same.
    pub blk_size: u32,
    /// With TOPOLOGY.
    pub topology: Topology,
    /// How many queues there are; the driver learns of more than one with MQ.
    pub queues: u16,
    /// With DISCARD.
    pub discard: SegmentLimits,
    /// With WRITE_ZEROES; it has no alignment.
    pub write_zeroes: SegmentLimits,
    /// With SECURE_ERASE.
    pub secure_erase: SegmentLimits,
    /// With LIFETIME, in place of what the disk says.
    pub lifetime: Option<Lifetime>,
    /// Whether the cache writes back after a reset, with CONFIG_WCE.
    pub writeback: bool,
    /// Whether a request is carried out whose feature was offered and not negotiated, as
    /// QEMU does; it is a violation either way.
    pub lenient: bool,
}

/// `struct virtio_blk_geometry` (VIRTIO 1.4, 5.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// `cylinders`.
    pub cylinders: u16,
    /// `heads`.
    pub heads: u8,
    /// `sectors` of a track.
    pub sectors: u8,
}

impl Geometry {
    /// 16 heads of 63 sectors, and as many whole cylinders as there are.
    fn of(capacity: u64) -> Self {
        let cylinders = u16::try_from(capacity / (16 * 63)).unwrap_or(u16::MAX);
        Self { cylinders, heads: 16, sectors: 63 }
    }
}

/// `struct virtio_blk_topology` (VIRTIO 1.4, 5.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// Blocks in a physical block, as a power of two.
    pub physical_block_exp: u8,
    /// The first aligned block.
    pub alignment_offset: u8,
    /// The least that is good to move at a time, in blocks.
    pub min_io_size: u16,
    /// The most that is good to move at a time, in blocks; 0 if it does not matter.
    pub opt_io_size: u32,
}

/// The limits of discard, write-zeroes and secure-erase requests (VIRTIO 1.4, 5.2.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentLimits {
    /// The most sectors of a segment.
    pub sectors: u32,
    /// The most segments of a request.
    pub segments: u32,
    /// What a segment is best aligned to, in sectors.
    pub alignment: u32,
}

impl Default for SegmentLimits {
    /// A request of 16 segments of 16 MiB.
    fn default() -> Self {
        Self { sectors: 1 << 15, segments: 16, alignment: 8 }
    }
}

impl BlkConfig {
    /// The features that need nothing but the device.
    const PLAIN: Features = Features::SIZE_MAX
        .union(Features::SEG_MAX)
        .union(Features::GEOMETRY)
        .union(Features::BLK_SIZE)
        .union(Features::FLUSH)
        .union(Features::TOPOLOGY)
        .union(Features::CONFIG_WCE)
        .union(Features::MQ);

    /// The feature bits that are for the block device to give a meaning (VIRTIO 1.4, 2.2).
    const OF_DEVICE_TYPE: u64 = (1 << 24) - 1;

    /// What of [`Self::features`] is offered over `disk`, and RO where that is so.
    pub fn offered(&self, disk: &dyn Disk) -> Features {
        let abilities = disk.abilities();
        let mut can = Self::PLAIN | Features::from_bits_retain(!Self::OF_DEVICE_TYPE);
        can.set(Features::DISCARD, abilities.contains(Abilities::DISCARD));
        can.set(Features::WRITE_ZEROES, abilities.contains(Abilities::WRITE_ZEROES));
        can.set(Features::SECURE_ERASE, abilities.contains(Abilities::SECURE_ERASE));
        can.set(Features::LIFETIME, self.lifetime.or(disk.lifetime()).is_some());
        let mut offered = self.features & can;
        // 5.2.5.2: CONFIG_WCE is not offered without FLUSH.
        if !offered.contains(Features::FLUSH) {
            offered -= Features::CONFIG_WCE;
        }
        offered.set(Features::RO, disk.read_only());
        offered
    }

    /// The geometry of a disk of this capacity.
    pub(super) fn geometry(&self, capacity: u64) -> Geometry {
        self.geometry.unwrap_or_else(|| Geometry::of(capacity))
    }
}

impl Default for BlkConfig {
    fn default() -> Self {
        Self {
            features: Features::VERSION_1
                | Features::SEG_MAX
                | Features::BLK_SIZE
                | Features::FLUSH,
            id: DeviceId::default(),
            size_max: 1 << 20,
            // A request also has a header and a status.
            seg_max: u32::from(super::Blk::QUEUE_SIZE) - 2,
            geometry: None,
            blk_size: 512,
            topology: Topology {
                physical_block_exp: 3,
                alignment_offset: 0,
                min_io_size: 8,
                opt_io_size: 128,
            },
            queues: 1,
            discard: SegmentLimits::default(),
            write_zeroes: SegmentLimits::default(),
            secure_erase: SegmentLimits::default(),
            lifetime: None,
            writeback: true,
            lenient: false,
        }
    }
}

/// The device ID string of GET_ID: up to 20 bytes of ASCII, padded with NUL (VIRTIO 1.4, 5.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceId([u8; DeviceId::LENGTH]);

impl DeviceId {
    /// Bytes of the answer.
    pub const LENGTH: usize = 20;

    /// The string with its padding.
    pub fn bytes(&self) -> &[u8; Self::LENGTH] {
        &self.0
    }
}

impl Default for DeviceId {
    fn default() -> Self {
        Self(*b"eclipse-vmm disk\0\0\0\0")
    }
}

impl FromStr for DeviceId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let printable = text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if !printable || text.len() > Self::LENGTH {
            return Err(format!("{text:?} is no device ID: up to 20 printable ASCII characters"));
        }
        let mut bytes = [0; Self::LENGTH];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self(bytes))
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.iter().position(|&byte| byte == 0).unwrap_or(Self::LENGTH);
        f.pad(&String::from_utf8_lossy(&self.0[..end]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{CopyOnWriteDisk, MemoryDisk};

    fn offered(features: Features, disk: &dyn Disk) -> Features {
        BlkConfig { features, ..BlkConfig::default() }.offered(disk)
    }

    #[test]
    fn only_what_the_disk_can_honour_is_offered() {
        let all = Features::from_bits_retain((1 << 24) - 1);
        let named = BlkConfig::PLAIN | Features::DISCARD | Features::WRITE_ZEROES;
        let memory = MemoryDisk::counting(8);
        let worn = memory.clone().worn(Lifetime::new(1, 2, 3).unwrap());
        assert_eq!(offered(all, &memory), named | Features::SECURE_ERASE);
        let worn_offer = named | Features::SECURE_ERASE | Features::LIFETIME;
        assert_eq!(offered(all, &worn), worn_offer);
        assert_eq!(
            offered(all, &memory.clone().write_protected()),
            BlkConfig::PLAIN | Features::RO
        );
        assert_eq!(offered(all, &CopyOnWriteDisk::new(memory.clone())), named);
        assert_eq!(offered(Features::empty(), &memory), Features::empty());
        let lifetime = BlkConfig { lifetime: Lifetime::new(0, 0, 0), ..BlkConfig::default() };
        let config = BlkConfig { features: Features::LIFETIME, ..lifetime };
        assert_eq!(config.offered(&memory), Features::LIFETIME);
    }

    #[test]
    fn the_default_is_four_features_and_read_only_where_the_disk_is() {
        let default = BlkConfig::default();
        let four = Features::VERSION_1 | Features::SEG_MAX | Features::BLK_SIZE | Features::FLUSH;
        let disk = MemoryDisk::counting(8);
        assert_eq!(default.offered(&disk), four);
        assert_eq!(default.offered(&disk.write_protected()), four | Features::RO);
    }

    #[test]
    fn config_wce_is_not_offered_without_flush_and_other_bits_pass() {
        let disk = MemoryDisk::counting(8);
        let wce = Features::CONFIG_WCE;
        assert_eq!(offered(wce, &disk), Features::empty());
        assert_eq!(offered(wce | Features::FLUSH, &disk), wce | Features::FLUSH);
        let transport = Features::VERSION_1 | Features::RING_PACKED | Features::ANY_LAYOUT;
        assert_eq!(offered(transport, &disk), transport);
    }

    #[test]
    fn a_device_id_is_up_to_20_characters_of_ascii() {
        let id: DeviceId = "12345678901234567890".parse().unwrap();
        assert_eq!(
            (id.bytes(), id.to_string().as_str()),
            (b"12345678901234567890", "12345678901234567890")
        );
        assert_eq!(
            *"a b".parse::<DeviceId>().unwrap().bytes(),
            *b"a b\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
        );
        assert_eq!(DeviceId::default().to_string(), "eclipse-vmm disk");
        for wrong in ["123456789012345678901", "caf\u{e9}", "nul\0", "tab\t"] {
            assert!(wrong.parse::<DeviceId>().is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_geometry_of_a_disk_is_no_larger_than_the_disk() {
        let config = BlkConfig::default();
        assert_eq!(config.geometry(1008 * 3 + 1007).cylinders, 3);
        assert_eq!(config.geometry(u64::MAX).cylinders, u16::MAX);
        assert_eq!(config.geometry(0), Geometry { cylinders: 0, heads: 16, sectors: 63 });
    }
}
