//! Feature bits (VIRTIO 1.4, 2.2).

bitflags::bitflags! {
    /// The feature bits that this driver knows.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u64 {
        /// VIRTIO 1.4, 5.2.3: `seg_max` is there.
        const SEG_MAX = 1 << 2;
        /// The device is read-only.
        const RO = 1 << 5;
        /// `blk_size` is there.
        const BLK_SIZE = 1 << 6;
        /// The device takes flush requests.
        const FLUSH = 1 << 9;
        /// VIRTIO 1.4, 6: the device is not a legacy one.
        const VERSION_1 = 1 << 32;
    }
}

impl Features {
    /// What is accepted of an offer: the bits that this driver knows, and no other.
    ///
    /// None of them depends on another.
    pub fn accept(offered: u64) -> Self {
        Self::from_bits_truncate(offered)
    }
}
