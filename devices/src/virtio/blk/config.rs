use eclipse_trace::register::BlockCfg;

use super::{Blk, Features};

/// The value of `register` of `struct virtio_blk_config` (VIRTIO 1.4, 5.2.4).
pub(super) fn value(blk: &Blk, register: BlockCfg) -> Option<u32> {
    let capacity = blk.disk.sectors();
    let guarded = |feature, value| blk.offered.contains(feature).then_some(value);
    match register {
        BlockCfg::CapacityLow => Some(capacity as u32),
        BlockCfg::CapacityHigh => Some((capacity >> 32) as u32),
        BlockCfg::SegMax => guarded(Features::SEG_MAX, Blk::SEG_MAX),
        BlockCfg::BlkSize => guarded(Features::BLK_SIZE, Blk::BLK_SIZE),
        // The fields of features that this device never offers.
        BlockCfg::SizeMax
        | BlockCfg::Cylinders
        | BlockCfg::Heads
        | BlockCfg::Sectors
        | BlockCfg::PhysicalBlockExp
        | BlockCfg::AlignmentOffset
        | BlockCfg::MinIoSize
        | BlockCfg::OptIoSize
        | BlockCfg::Writeback
        | BlockCfg::NumQueues
        | BlockCfg::MaxDiscardSectors
        | BlockCfg::MaxDiscardSeg
        | BlockCfg::DiscardSectorAlignment
        | BlockCfg::MaxWriteZeroesSectors
        | BlockCfg::MaxWriteZeroesSeg
        | BlockCfg::WriteZeroesMayUnmap
        | BlockCfg::MaxSecureEraseSectors
        | BlockCfg::MaxSecureEraseSeg
        | BlockCfg::SecureEraseSectorAlignment => None,
    }
}
