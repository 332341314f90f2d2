//! Feature bits (VIRTIO 1.4, 2.2).

bitflags::bitflags! {
    /// The feature bits that the drivers know.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Features: u64 {
        /// VIRTIO 1.4, 5.2.3: `size_max` is there.
        const SIZE_MAX = 1 << 1;
        /// `seg_max` is there.
        const SEG_MAX = 1 << 2;
        /// `geometry` is there.
        const GEOMETRY = 1 << 4;
        /// The device is read-only.
        const RO = 1 << 5;
        /// `blk_size` is there.
        const BLK_SIZE = 1 << 6;
        /// The device takes flush requests.
        const FLUSH = 1 << 9;
        /// `topology` is there.
        const TOPOLOGY = 1 << 10;
        /// `writeback` is there, and can be stored.
        const CONFIG_WCE = 1 << 11;
        /// `num_queues` is there.
        const MQ = 1 << 12;
        /// The device takes discard requests.
        const DISCARD = 1 << 13;
        /// The device takes write zeroes requests.
        const WRITE_ZEROES = 1 << 14;
        /// VIRTIO 1.4, 6.3: a legacy device takes descriptors that are cut in any way.
        const ANY_LAYOUT = 1 << 27;
        /// VIRTIO 1.4, 6: the device takes indirect descriptors.
        const INDIRECT_DESC = 1 << 28;
        /// Both sides say at which index they want to be notified.
        const EVENT_IDX = 1 << 29;
        /// The device is not a legacy one.
        const VERSION_1 = 1 << 32;
        /// The device reaches memory through the platform, not by physical addresses.
        const ACCESS_PLATFORM = 1 << 33;
        /// Packed virtqueues.
        const RING_PACKED = 1 << 34;
    }
}

impl Features {
    /// What only a device with `VERSION_1` has: whatever a legacy device cannot offer, as its
    /// features end at bit 31 (VIRTIO 1.4, 2.2.3).
    const MODERN: Self = Self::ACCESS_PLATFORM.union(Self::RING_PACKED);

    /// What is accepted of an offer: what the driver wants, and no other.
    ///
    /// VIRTIO 1.4, 2.2.1: the driver MUST NOT accept a feature which requires another that was
    /// not accepted.
    pub fn accept(offered: u64, wanted: Self) -> Self {
        let mut accepted = Self::from_bits_truncate(offered) & wanted;
        if accepted.contains(Self::VERSION_1) {
            // What it allows is the rule since.
            accepted -= Self::ANY_LAYOUT;
        } else {
            accepted -= Self::MODERN;
        }
        if !accepted.contains(Self::FLUSH) {
            // 5.2.5.2: a cache that can be switched is one that can be flushed.
            accepted -= Self::CONFIG_WCE;
        }
        accepted
    }
}

#[cfg(test)]
mod tests {
    use super::Features;

    #[test]
    fn nothing_is_accepted_that_is_not_wanted_known_and_offered() {
        let all = Features::all();
        let accepted = Features::accept(u64::MAX, all);
        assert_eq!(accepted, all - Features::ANY_LAYOUT);
        for foreign in [0, 3, 7, 16, 24, 30, 31, 35, 36, 37, 38, 40, 41, 63] {
            assert_eq!(accepted.bits() >> foreign & 1, 0, "bit {foreign}");
        }
        let few = Features::RO | Features::VERSION_1;
        assert_eq!(Features::accept(u64::MAX, few), few);
        assert_eq!(Features::accept(Features::RO.bits(), few), Features::RO);
    }

    #[test]
    fn nothing_is_accepted_without_what_it_requires() {
        let cases = [
            (Features::RING_PACKED | Features::ACCESS_PLATFORM, Features::empty()),
            (
                Features::RING_PACKED | Features::VERSION_1,
                Features::RING_PACKED | Features::VERSION_1,
            ),
            (Features::CONFIG_WCE, Features::empty()),
            (Features::CONFIG_WCE | Features::FLUSH, Features::CONFIG_WCE | Features::FLUSH),
            (Features::ANY_LAYOUT, Features::ANY_LAYOUT),
            (Features::ANY_LAYOUT | Features::VERSION_1, Features::VERSION_1),
        ];
        for (offered, accepted) in cases {
            assert_eq!(Features::accept(offered.bits(), Features::all()), accepted, "{offered:?}");
        }
    }
}
