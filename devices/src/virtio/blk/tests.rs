use eclipse_trace::Violation;
use eclipse_trace::register::BlockCfg;

use super::{Blk, BlkConfig, Features};
use crate::disk::MemoryDisk;

const ALL: Features = Features::VERSION_1.union(Features::FLUSH).union(Features::CONFIG_WCE);

fn blk(features: Features) -> Blk {
    let config = BlkConfig { features, ..BlkConfig::default() };
    Blk::new(Box::new(MemoryDisk::counting(8)), config)
}

#[test]
fn the_capacity_follows_the_disk_up_and_down() {
    let mut blk = blk(ALL);
    for sectors in [9, 3, 0] {
        blk.set_capacity(sectors).unwrap();
        assert_eq!(blk.config(BlockCfg::CapacityLow), Some(sectors as u32));
        assert_eq!(blk.config(BlockCfg::CapacityHigh), Some(0));
    }
    assert!(blk.set_capacity(u64::MAX).is_err());
    assert_eq!(blk.config(BlockCfg::CapacityLow), Some(0));
}

// VIRTIO 1.4, 5.2.6.2: cases 1 to 3, and what is not offered.
#[test]
fn what_was_negotiated_says_whether_a_write_is_durable_at_once() {
    let (version, flush, wce) = (Features::VERSION_1, Features::FLUSH, Features::CONFIG_WCE);
    for (accepted, through) in
        [(version, true), (version | flush, false), (version | wce, true), (ALL, false)]
    {
        let mut blk = blk(ALL);
        blk.negotiate(accepted);
        assert_eq!(blk.writes_through(), through, "{accepted}");
    }
    let mut blk = blk(ALL);
    blk.negotiate(ALL);
    blk.store_config(BlockCfg::Writeback, 0).unwrap();
    assert!(blk.writes_through());
    blk.negotiate(ALL);
    assert!(blk.writes_through(), "nothing but a reset and the driver changes the mode");
    blk.reset();
    blk.negotiate(ALL);
    assert!(!blk.writes_through());
    assert_eq!(flush | wce | version, ALL);
}

#[test]
fn what_is_withheld_is_not_in_the_configuration_and_takes_along_what_needs_it() {
    let mut blk = blk(ALL | Features::SEG_MAX);
    blk.restrict(Features::FLUSH | Features::SEG_MAX, false);
    assert_eq!(blk.offered(), Features::VERSION_1);
    assert_eq!(blk.config(BlockCfg::SegMax), None);
    assert_eq!(blk.config(BlockCfg::Writeback), None);
}

// VIRTIO 1.4, 5.2.5.3.
#[test]
fn a_legacy_driver_switches_the_cache_whenever_it_likes_and_by_writeback_alone() {
    let mut blk = blk(ALL);
    assert_eq!(blk.store_config(BlockCfg::Writeback, 0), Err(Violation::ConfigBeforeFeaturesOk));
    blk.negotiate(Features::empty());
    blk.store_config(BlockCfg::Writeback, 0).unwrap();
    assert_eq!(blk.config(BlockCfg::Writeback), Some(0));
    blk.store_config(BlockCfg::Writeback, 1).unwrap();
    blk.negotiate(Features::CONFIG_WCE);
    assert_eq!(blk.config(BlockCfg::Writeback), Some(1), "FLUSH was not accepted");
    blk.negotiate(Features::CONFIG_WCE | Features::VERSION_1);
    assert_eq!(blk.config(BlockCfg::Writeback), Some(0), "5.2.5.2 is for a modern driver");
}
