//! What a disk can do beside reading and writing.

bitflags::bitflags! {
    /// What a disk can do beside reading and writing.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Abilities: u8 {
        /// Sectors can be given up; what they hold then is anybody's guess.
        const DISCARD = 1;
        /// Sectors can be zeroed without being sent zeroes.
        const WRITE_ZEROES = 2;
        /// Zeroing, where the caller allows it, gives up the space of the sectors.
        const UNMAP = 4;
        /// Sectors can be erased so that nothing of them is left anywhere.
        const SECURE_ERASE = 8;
    }
}

/// How worn a disk is, in the words of eMMC (VIRTIO 1.4, 5.2.6; JESD84-B50).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lifetime {
    pre_eol_info: u8,
    typ_a: u8,
    typ_b: u8,
}

impl Lifetime {
    /// The consumption of reserved blocks (0 unknown, 1 normal, 2 from 80%, 3 from 90%), and
    /// the wear of SLC cells and of MLC cells (0 unknown, n up to n * 10%, 11 exceeded).
    ///
    /// `None` for a reserved value, which a device must not send (5.2.6.2).
    pub const fn new(pre_eol_info: u8, typ_a: u8, typ_b: u8) -> Option<Lifetime> {
        if pre_eol_info > 3 || typ_a > 11 || typ_b > 11 {
            return None;
        }
        Some(Lifetime { pre_eol_info, typ_a, typ_b })
    }

    /// `struct virtio_blk_lifetime`.
    pub(crate) fn to_bytes(self) -> [u8; 6] {
        [self.pre_eol_info, 0, self.typ_a, 0, self.typ_b, 0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_lifetime_cannot_be_made() {
        assert_eq!(Lifetime::new(3, 11, 10).unwrap().to_bytes(), [3, 0, 11, 0, 10, 0]);
        assert_eq!(Lifetime::new(4, 0, 0), None);
        assert_eq!(Lifetime::new(0, 12, 0), None);
        assert_eq!(Lifetime::new(0, 0, 12), None);
    }
}
