use super::super::testing::{BLOCK, Transcript};
use crate::register::{BlockCfg, CommonCfg, Structure};
use crate::{Access, Refusal, Register};

fn none(structure: Structure, offset: u32) -> Register {
    Register::None { function: BLOCK, structure, offset }
}

#[test]
fn an_access_is_as_wide_as_its_field() {
    let mut driver = Transcript::new();
    driver.common_load(CommonCfg::DeviceStatus, 0);
    driver.block_load(BlockCfg::CapacityLow, 8);
    driver.load(Register::Isr { function: BLOCK }, 1, 0);
    let absent = Access::Load { width: 4, value: 0xffff_ffff };
    driver.refused(none(Structure::Block, 0x20), absent, Refusal::NoRegister);
    driver.keeps("D4.1.3.1-a", 3);
    let desc = Register::Common { function: BLOCK, register: CommonCfg::QueueDescLow };
    driver.store(desc, 8, 0);
    let wide = |width| Access::Load { width, value: 0 };
    driver.refused(none(Structure::Common, 0x14), wide(4), Refusal::Width);
    driver.refused(none(Structure::Common, 0x22), wide(2), Refusal::Unaligned);
    driver.refused(none(Structure::Block, 0), wide(8), Refusal::Width);
    driver.load(Register::Isr { function: BLOCK }, 4, 0);
    driver.breaks(
        "D4.1.3.1-a",
        &["8 bytes", "4 bytes at 0x14", "2 bytes at 0x22", "8 bytes at 0x0", "4 bytes"],
    );
}

#[test]
fn what_is_to_be_read_is_not_written() {
    let mut driver = Transcript::new();
    driver.status(&[0]);
    driver.keeps("D4.1.4.3.2-a", 1);
    let store = Access::Store { width: 2, value: 1 };
    driver.refused(none(Structure::Common, 0x12), store, Refusal::ReadOnly);
    driver.common(CommonCfg::QueueNotifyOff, 0);
    driver.breaks("D4.1.4.3.2-a", &["0x1 stored to num_queues", "0x0 stored to queue_notify_off"]);
}

/// A driver that stores these sizes, with these features of window 1, when 8 is offered.
fn sizes(upper: u32, sizes: &[u64]) -> Transcript {
    let mut driver = Transcript::new();
    driver.negotiate([0, upper], [0, upper]);
    driver.common(CommonCfg::QueueSelect, 0);
    driver.common_load(CommonCfg::QueueSize, 8);
    for &size in sizes {
        driver.common(CommonCfg::QueueSize, size);
        driver.common_load(CommonCfg::QueueSize, size);
    }
    driver
}

#[test]
fn a_split_queue_has_a_power_of_two() {
    sizes(1, &[4, 8, 1]).keeps("D4.1.4.3.2-c", 3);
    sizes(1, &[4, 6, 16, 0]).breaks("D4.1.4.3.2-c", &["6", "16", "0"]);
    sizes(5, &[6]).keeps("D4.1.4.3.2-c", 0);
    sizes(5, &[6]).keeps("D4.1.4.3.2-b", 1);
    sizes(5, &[0]).breaks("D4.1.4.3.2-b", &["0"]);
}

#[test]
fn a_queue_is_whole_when_it_is_enabled() {
    Transcript::driven(0).keeps("D4.1.4.3.2-d", 1);
    let mut offered = Transcript::new();
    offered.negotiate([0, 1], [0, 1]);
    offered.common(CommonCfg::QueueSelect, 0);
    offered.common_load(CommonCfg::QueueSize, 8);
    // The upper halves first, and the size as it is.
    for (register, value) in [
        (CommonCfg::QueueDescHigh, 0),
        (CommonCfg::QueueDriverHigh, 0),
        (CommonCfg::QueueDeviceHigh, 0),
        (CommonCfg::QueueDescLow, 0x1000),
        (CommonCfg::QueueDriverLow, 0x2000),
        (CommonCfg::QueueDeviceLow, 0x3000),
        (CommonCfg::QueueEnable, 1),
        (CommonCfg::QueueEnable, 1),
    ] {
        offered.common(register, value);
    }
    offered.keeps("D4.1.4.3.2-d", 1);
    offered.common(CommonCfg::QueueSize, 4);
    offered.breaks("D4.1.4.3.2-d", &["queue 0 altered after it"]);
}

#[test]
fn a_queue_that_lacks_something_is_not_enabled() {
    let mut driver = Transcript::new();
    driver.negotiate([0, 1], [0, 1]);
    driver.common(CommonCfg::QueueEnable, 1);
    driver.common(CommonCfg::QueueSelect, 1);
    driver.common(CommonCfg::QueueEnable, 1);
    driver.breaks("D4.1.4.3.2-d", &["queue_enable without it"; 2]);
    let mut large = Transcript::new();
    large.negotiate([0, 1], [0, 1]);
    large.enable(0, 512);
    large.breaks("D4.1.4.3.2-d", &["areas that overlap at a size of 512"]);
}

#[test]
fn a_queue_is_not_disabled_by_a_zero() {
    let mut driver = Transcript::driven(0);
    driver.keeps("D4.1.4.3.2-f", 1);
    driver.common(CommonCfg::QueueEnable, 0);
    driver.breaks("D4.1.4.3.2-f", &["0"]);
}

#[test]
fn an_administration_queue_is_where_the_device_says() {
    let mut driver = Transcript::new();
    driver.negotiate([0, 0x201], [0, 0x201]);
    driver.common_load(CommonCfg::NumQueues, 1);
    driver.load(none(Structure::Common, 0x3c), 2, 5);
    driver.load(none(Structure::Common, 0x3e), 2, 1);
    driver.enable(0, 8);
    driver.enable(5, 8);
    driver.keeps("D4.1.4.3.2-h", 1);
    driver.enable(6, 8);
    driver.breaks("D4.1.4.3.2-h", &["queue 6 enabled"]);
}

#[test]
fn a_queue_that_is_not_there_is_not_set_up() {
    let absent = || {
        let mut driver = Transcript::new();
        driver.negotiate([0, 1], [0, 1]);
        driver.common(CommonCfg::QueueSelect, 0);
        driver.common_load(CommonCfg::QueueSize, 0);
        driver
    };
    let mut driver = absent();
    driver.status(&[0x8b]);
    driver.keeps("I4.1.5.1.3-a", 1);
    let mut driver = absent();
    driver.common(CommonCfg::QueueEnable, 1);
    driver.breaks("I4.1.5.1.3-a", &["queue 0 set up, whose size is 0"]);
}
