use super::super::End;
use super::super::testing::{BLOCK, Transcript};
use crate::register::{BlockCfg, CommonCfg, Structure};
use crate::{Access, Effect, Event, Refusal, Register, RequestKind, RequestStatus};

fn capacity(driver: &mut Transcript, before: Option<u64>, behind: Option<u64>) {
    if let Some(generation) = before {
        driver.common_load(CommonCfg::ConfigGeneration, generation);
    }
    driver.block_load(BlockCfg::CapacityLow, 8);
    driver.block_load(BlockCfg::CapacityHigh, 0);
    if let Some(generation) = behind {
        driver.common_load(CommonCfg::ConfigGeneration, generation);
    }
}

#[test]
fn the_capacity_is_read_between_two_generations() {
    let mut driver = Transcript::new();
    driver.status(&[0, 1, 3, 0x0b]);
    driver.block_load(BlockCfg::BlkSize, 512);
    capacity(&mut driver, Some(0), Some(1));
    capacity(&mut driver, None, Some(1));
    driver.status(&[0x0f]);
    capacity(&mut driver, Some(1), Some(1));
    driver.keeps("D2.5.1-b", 2);
}

#[test]
fn a_reading_without_generations_is_none() {
    let broken = [
        (None, None, "a reading without config_generation before"),
        (None, Some(1), "a reading without config_generation before"),
        (Some(1), None, "a reading without config_generation behind"),
        (Some(1), Some(2), "a reading that was not repeated"),
    ];
    for (before, behind, seen) in broken {
        let mut driver = Transcript::new();
        capacity(&mut driver, before, behind);
        driver.status(&[0x0f]);
        driver.breaks("D2.5.1-b", &[seen]);
    }
}

#[test]
fn optional_fields_are_offered() {
    let mut driver = Transcript::driven(1 << 6);
    driver.block_load(BlockCfg::CapacityLow, 8);
    driver.block_load(BlockCfg::BlkSize, 512);
    driver.keeps("D2.5.1-c", 1);
    let place = Register::None { function: BLOCK, structure: Structure::Block, offset: 0x0c };
    driver.refused(place, Access::Load { width: 4, value: 0 }, Refusal::NoRegister);
    driver.load(Register::LegacyConfig { function: BLOCK, offset: 0x20 }, 1, 0);
    driver.breaks("D2.5.1-c", &["an access to seg_max", "an access to writeback"]);
}

#[test]
fn writeback_is_read_after_features_ok() {
    let mut driver = Transcript::driven(1 << 11);
    driver.block_load(BlockCfg::Writeback, 1);
    driver.keeps("D5.2.5.1-c", 2);
    let mut driver = Transcript::new();
    driver.status(&[0, 1, 3]);
    driver.block_load(BlockCfg::Writeback, 1);
    driver.breaks("D5.2.5.1-c", &["a load while the status is 0x03"]);
}

fn changes(driver: &mut Transcript) {
    let effect = Box::new(Effect::Capacity { sectors: 16 });
    driver.device(Event::Fault { fault: "F41".into(), effect });
}

#[test]
fn a_torn_capacity_is_read_again() {
    let torn = || {
        let mut driver = Transcript::new();
        driver.status(&[0, 1, 3, 0x0b]);
        driver.block_load(BlockCfg::CapacityLow, 8);
        changes(&mut driver);
        driver.block_load(BlockCfg::CapacityHigh, 0);
        driver
    };
    let mut driver = torn();
    capacity(&mut driver, None, None);
    driver.status(&[0x0f]);
    driver.keeps("D2.5.1-a", 1);
    let mut driver = torn();
    driver.status(&[0x0f]);
    driver.breaks("D2.5.1-a", &["halves of different capacities used"]);
    // Or as the device says.
    let mut driver = Transcript::new();
    capacity(&mut driver, Some(0), Some(1));
    driver.status(&[0x0f]);
    driver.breaks("D2.5.1-a", &["halves of different capacities used"]);
    let mut driver = Transcript::new();
    capacity(&mut driver, Some(0), Some(1));
    capacity(&mut driver, None, Some(1));
    driver.status(&[0x0f]);
    driver.keeps("D2.5.1-a", 1);
}

#[test]
fn a_change_is_looked_at() {
    let changed = |config_vector, queue_vector| {
        let mut driver = Transcript::new();
        driver.negotiate([0, 1], [0, 1]);
        driver.common(CommonCfg::ConfigMsixVector, config_vector);
        driver.common(CommonCfg::QueueSelect, 0);
        driver.common(CommonCfg::QueueMsixVector, queue_vector);
        driver.status(&[0x0f]);
        changes(&mut driver);
        let vector = config_vector as u16;
        driver.device(Event::Msix { vector, address: 0xfee0_0000, data: 0x30 });
        driver
    };
    for (rule, vectors) in [("D5.2.6.1-a", (0, 1)), ("D4.1.5.4.2-a", (0, 0))] {
        let mut driver = changed(vectors.0, vectors.1);
        driver.block_load(BlockCfg::CapacityLow, 16);
        driver.keeps(rule, 1);
        let mut driver = changed(vectors.0, vectors.1);
        driver.notify(0);
        driver.keeps(rule, 0);
        (0..7).for_each(|_| driver.notify(0));
        driver.breaks(rule, &["00:04.0: 8 notifications and no load"]);
        driver.end = End::Died;
        driver.keeps(rule, 0);
    }
}

#[test]
fn a_promise_comes_after_a_flush() {
    let request = |driver: &mut Transcript, request| {
        let (queue, head, sector, len) = (0, 0, 0, 512);
        let status = RequestStatus::Ok;
        driver.device(Event::Request { queue, head, request, sector, len, status });
    };
    let promise = |driver: &mut Transcript| driver.store(Register::DebugMark, 4, 0x2000_0001);
    let mut driver = Transcript::driven(1 << 9);
    request(&mut driver, RequestKind::Out);
    request(&mut driver, RequestKind::Flush);
    promise(&mut driver);
    driver.keeps("D5.2.5.1-b", 1);
    request(&mut driver, RequestKind::Out);
    promise(&mut driver);
    driver.breaks("D5.2.5.1-b", &["promise 1 of 00:04.0"]);
    let mut without = Transcript::driven(0);
    request(&mut without, RequestKind::Out);
    promise(&mut without);
    without.keeps("D5.2.5.1-b", 0);
}
