bitflags::bitflags! {
    /// Feature bits of a virtio block device (VIRTIO 1.4, 5.2.3 and 6).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u64 {
        /// `seg_max` limits the data segments of a request.
        const SEG_MAX = 1 << 2;
        /// The device is read-only.
        const RO = 1 << 5;
        /// `blk_size` is the disk's block size.
        const BLK_SIZE = 1 << 6;
        /// The device takes flush requests.
        const FLUSH = 1 << 9;
        /// VIRTIO 1.x, not legacy.
        const VERSION_1 = 1 << 32;
        const _ = !0;
    }
}

impl Features {
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
