use std::fmt;
use std::str::FromStr;

use bitflags::Flags;

bitflags::bitflags! {
    /// Feature bits of a virtio block device (VIRTIO 1.4, 5.2.3 and 6).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u64 {
        /// `size_max` limits a data segment.
        const SIZE_MAX = 1 << 1;
        /// `seg_max` limits the data segments of a request.
        const SEG_MAX = 1 << 2;
        /// The disk has cylinders, heads and sectors.
        const GEOMETRY = 1 << 4;
        /// The device is read-only.
        const RO = 1 << 5;
        /// `blk_size` is the disk's block size.
        const BLK_SIZE = 1 << 6;
        /// The device takes flush requests.
        const FLUSH = 1 << 9;
        /// The disk's preferred I/O sizes.
        const TOPOLOGY = 1 << 10;
        /// The driver can switch between write-back and write-through.
        const CONFIG_WCE = 1 << 11;
        /// Several queues.
        const MQ = 1 << 12;
        /// Discard requests.
        const DISCARD = 1 << 13;
        /// Write-zeroes requests.
        const WRITE_ZEROES = 1 << 14;
        /// Lifetime requests.
        const LIFETIME = 1 << 15;
        /// Secure-erase requests.
        const SECURE_ERASE = 1 << 16;
        /// Legacy: the device takes any layout of a request.
        const ANY_LAYOUT = 1 << 27;
        /// Descriptors may lie in a table of their own.
        const INDIRECT_DESC = 1 << 28;
        /// Notifications are suppressed by index, not by flag.
        const EVENT_IDX = 1 << 29;
        /// VIRTIO 1.x, not legacy.
        const VERSION_1 = 1 << 32;
        /// Addresses may need translation.
        const ACCESS_PLATFORM = 1 << 33;
        /// Packed virtqueues.
        const RING_PACKED = 1 << 34;
        /// Buffers are used in the order in which they were made available.
        const IN_ORDER = 1 << 35;
        /// A notification says how far the driver has come.
        const NOTIFICATION_DATA = 1 << 38;
        /// A notification carries what the device says, not the queue's index.
        const NOTIF_CONFIG_DATA = 1 << 39;
        /// A queue can be reset by itself.
        const RING_RESET = 1 << 40;
        const _ = !0;
    }
}

impl Features {
    /// Every feature that has a name, as text.
    fn all_named() -> String {
        Self::FLAGS
            .iter()
            .map(|flag| flag.name())
            .filter(|name| !name.is_empty())
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The 32 bits that a feature window shows; windows beyond the bits that exist are 0.
    pub(crate) fn window(self, select: u32) -> u32 {
        match select {
            0 => self.bits() as u32,
            1 => (self.bits() >> 32) as u32,
            _ => 0,
        }
    }

    /// Replaces the 32 bits of window `select`.
    pub(crate) fn set_window(&mut self, select: u32, value: u32) {
        let (low, high) = (self.window(0), self.window(1));
        let (low, high) = match select {
            0 => (value, high),
            1 => (low, value),
            _ => return,
        };
        *self = Self::from_bits_retain(u64::from(high) << 32 | u64::from(low));
    }
}

/// A word is not a feature.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no feature {0:?}; there are {known}", known = Features::all_named())]
pub struct UnknownFeature(String);

impl FromStr for Features {
    type Err = UnknownFeature;

    /// Names joined by `+`, in any case.
    fn from_str(text: &str) -> Result<Self, UnknownFeature> {
        text.split('+').try_fold(Self::empty(), |features, name| {
            let name = name.trim().to_ascii_uppercase();
            let feature = Self::from_name(&name).ok_or(UnknownFeature(name))?;
            Ok(features | feature)
        })
    }
}

impl fmt::Display for Features {
    /// Names joined by `+`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (name, _) in self.iter_names() {
            write!(f, "{separator}{name}")?;
            separator = "+";
        }
        Ok(())
    }
}
