use eclipse_trace::Violation;
use eclipse_trace::register::BlockCfg;

use super::{Blk, Features};
use crate::disk::Abilities;

/// The value of `register` of `struct virtio_blk_config` (VIRTIO 1.4, 5.2.4).
pub(super) fn value(blk: &Blk, register: BlockCfg) -> Option<u32> {
    let Blk { config, .. } = blk;
    let capacity = blk.disk.sectors();
    let with = |feature, value| blk.offered.contains(feature).then_some(value);
    let geometry = || config.geometry(capacity);
    match register {
        BlockCfg::CapacityLow => Some(capacity as u32),
        BlockCfg::CapacityHigh => Some((capacity >> 32) as u32),
        BlockCfg::SizeMax => with(Features::SIZE_MAX, config.size_max),
        BlockCfg::SegMax => with(Features::SEG_MAX, config.seg_max),
        BlockCfg::Cylinders => with(Features::GEOMETRY, geometry().cylinders.into()),
        BlockCfg::Heads => with(Features::GEOMETRY, geometry().heads.into()),
        BlockCfg::Sectors => with(Features::GEOMETRY, geometry().sectors.into()),
        BlockCfg::BlkSize => with(Features::BLK_SIZE, config.blk_size),
        BlockCfg::PhysicalBlockExp => {
            with(Features::TOPOLOGY, config.topology.physical_block_exp.into())
        }
        BlockCfg::AlignmentOffset => {
            with(Features::TOPOLOGY, config.topology.alignment_offset.into())
        }
        BlockCfg::MinIoSize => with(Features::TOPOLOGY, config.topology.min_io_size.into()),
        BlockCfg::OptIoSize => with(Features::TOPOLOGY, config.topology.opt_io_size),
        BlockCfg::Writeback => with(Features::CONFIG_WCE, blk.writeback.into()),
        // 5.2.5.2: padding is 0. It is there with the field that it follows.
        BlockCfg::Unused0 => with(Features::CONFIG_WCE, 0),
        BlockCfg::NumQueues => with(Features::MQ, config.queues.into()),
        BlockCfg::MaxDiscardSectors => with(Features::DISCARD, config.discard.sectors),
        BlockCfg::MaxDiscardSeg => with(Features::DISCARD, config.discard.segments),
        BlockCfg::DiscardSectorAlignment => with(Features::DISCARD, config.discard.alignment),
        BlockCfg::MaxWriteZeroesSectors => {
            with(Features::WRITE_ZEROES, config.write_zeroes.sectors)
        }
        BlockCfg::MaxWriteZeroesSeg => with(Features::WRITE_ZEROES, config.write_zeroes.segments),
        BlockCfg::WriteZeroesMayUnmap => {
            with(Features::WRITE_ZEROES, blk.disk.abilities().contains(Abilities::UNMAP).into())
        }
        BlockCfg::Unused1First | BlockCfg::Unused1Second | BlockCfg::Unused1Third => {
            with(Features::WRITE_ZEROES, 0)
        }
        BlockCfg::MaxSecureEraseSectors => {
            with(Features::SECURE_ERASE, config.secure_erase.sectors)
        }
        BlockCfg::MaxSecureEraseSeg => with(Features::SECURE_ERASE, config.secure_erase.segments),
        BlockCfg::SecureEraseSectorAlignment => {
            with(Features::SECURE_ERASE, config.secure_erase.alignment)
        }
    }
}

/// See [`Blk::check_load`].
pub(super) fn check_load(blk: &Blk, register: BlockCfg) -> Result<(), Violation> {
    match register {
        BlockCfg::Writeback if blk.negotiated.is_none() => Err(Violation::WritebackReadEarly),
        _ => Ok(()),
    }
}

/// See [`Blk::store_config`].
pub(super) fn store(blk: &mut Blk, register: BlockCfg, value: u32) -> Result<(), Violation> {
    assert!(register == BlockCfg::Writeback, "a read-only register is refused before");
    let negotiated = blk.negotiated.ok_or(Violation::ConfigBeforeFeaturesOk)?;
    // 5.2.5.3: a legacy driver may switch before it has accepted anything.
    if negotiated.contains(Features::VERSION_1) && !negotiated.contains(Features::CONFIG_WCE) {
        return Err(Violation::WritebackNotNegotiated);
    }
    blk.writeback = match value {
        0 => false,
        1 => true,
        value => return Err(Violation::WritebackValue(value as u8)),
    };
    Ok(())
}
