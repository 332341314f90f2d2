use super::super::testing::{BLOCK, Transcript};
use crate::register::{CapabilityKind, ConfigHeader, LegacyCfg, Structure};
use crate::{Access, Bdf, Event, MemoryKind, Refusal, Register};

fn status(driver: &mut Transcript, values: &[u64]) {
    values.iter().for_each(|value| driver.legacy(LegacyCfg::DeviceStatus, *value));
}

fn config(driver: &mut Transcript, offset: u16, width: u8, value: u64) {
    driver.load(Register::LegacyConfig { function: BLOCK, offset }, width, value);
}

fn none(offset: u32) -> Register {
    Register::None { function: BLOCK, structure: Structure::Legacy, offset }
}

#[test]
fn a_device_without_version_1_is_a_legacy_one() {
    let looked = || {
        let mut driver = Transcript::new();
        driver.load(Transcript::header(BLOCK, ConfigHeader::VendorId), 4, 0x1001_1af4);
        driver.negotiate([4, 0], [4, 0]);
        driver
    };
    looked().breaks("L2.2.3", &["0x0b"]);
    let mut driver = Transcript::new();
    driver.load(Transcript::header(BLOCK, ConfigHeader::VendorId), 4, 0x1001_1af4);
    driver.common(crate::register::CommonCfg::DeviceFeatureSelect, 1);
    driver.common_load(crate::register::CommonCfg::DeviceFeature, 0);
    status(&mut driver, &[0, 1, 3, 7]);
    driver.keeps("L2.2.3", 1);
}

#[test]
fn the_capacity_is_read_twice() {
    let read = |readings: &[[u64; 2]]| {
        let mut driver = Transcript::new();
        for [low, high] in readings {
            config(&mut driver, 0, 4, *low);
            config(&mut driver, 4, 4, *high);
        }
        status(&mut driver, &[0, 1, 3, 7]);
        driver
    };
    read(&[[8, 0], [8, 0]]).keeps("L2.5.4", 1);
    read(&[[8, 0], [9, 0], [9, 0]]).keeps("L2.5.4", 1);
    read(&[]).keeps("L2.5.4", 0);
    read(&[[8, 0]]).breaks("L2.5.4", &["the last alone"]);
    read(&[[8, 0], [8, 1]]).breaks("L2.5.4", &["the last alone"]);
}

#[test]
fn a_legacy_device_has_three_steps() {
    let mut driver = Transcript::new();
    status(&mut driver, &[0, 1, 3, 7]);
    driver.keeps("L3.1.2", 3);
    for (values, seen) in
        [(&[1, 3][..], "0x01 first"), (&[0, 3], "0x03 after 0x00"), (&[0, 1, 3, 0x0b], "0x0b")]
    {
        let mut driver = Transcript::new();
        status(&mut driver, values);
        driver.breaks("L3.1.2", &[seen]);
    }
}

#[test]
fn registers_have_their_widths() {
    let mut driver = Transcript::new();
    status(&mut driver, &[0]);
    driver.refused(none(0x14), Access::Load { width: 4, value: 0 }, Refusal::Width);
    driver.keeps("L4.1.4.10-a", 1);
    driver.refused(none(0x10), Access::Store { width: 4, value: 0 }, Refusal::Width);
    driver.breaks("L4.1.4.10-a", &["4 bytes at 0x10"]);
}

#[test]
fn the_configuration_moves() {
    let with = |control: u64| {
        let mut driver = Transcript::new();
        let msix = Transcript::config(BLOCK, 0x42, Some((CapabilityKind::Msix, 0x40)));
        driver.store(msix, 2, control);
        driver
    };
    let mut driver = with(0x8001);
    driver.legacy(LegacyCfg::QueueMsixVector, 1);
    config(&mut driver, 0, 4, 8);
    driver.keeps("L4.1.4.10-b", 2);
    driver.refused(none(20), Access::Load { width: 4, value: 0 }, Refusal::Width);
    driver.breaks("L4.1.4.10-b", &["4 bytes -> 00000000 at 20"]);
    let mut driver = with(1);
    driver.refused(none(22), Access::Store { width: 2, value: 1 }, Refusal::ReadOnly);
    driver.breaks("L4.1.4.10-b", &["2 bytes <- 0001 at 22"]);
}

#[test]
fn capabilities_are_looked_for_first() {
    let mut driver = Transcript::new();
    driver.load(Transcript::header(BLOCK, ConfigHeader::CapabilitiesPointer), 1, 0);
    status(&mut driver, &[0, 1]);
    driver.keeps("L4.1.5.1.1.1", 1);
    let mut old = Transcript::new();
    status(&mut old, &[0, 1]);
    old.keeps("L4.1.5.1.1.1", 0);
    let mut transitional = Transcript::driven(0);
    let function = Bdf::new(0, 5, 0);
    let register = Register::Legacy { function, register: LegacyCfg::DeviceStatus };
    transitional.store(register, 1, 0);
    transitional.breaks("L4.1.5.1.1.1", &["a legacy register"]);
}

#[test]
fn a_queue_is_at_a_page() {
    let placed = |frame| {
        let mut driver = Transcript::new();
        driver.guest(Event::Memory { kind: MemoryKind::Ram, start: 0, len: 0x400_0000 });
        driver.legacy(LegacyCfg::QueueSelect, 0);
        driver.legacy_load(LegacyCfg::QueueSize, 8);
        driver.legacy(LegacyCfg::QueueAddress, frame);
        driver
    };
    placed(0x401).keeps("L4.1.5.1.3.1", 1);
    placed(0).keeps("L4.1.5.1.3.1", 0);
    placed(0x40_1000).breaks("L4.1.5.1.3.1", &["0x00401000"]);
    let mut blind = Transcript::new();
    blind.legacy(LegacyCfg::QueueAddress, 0x401);
    blind.breaks("L4.1.5.1.3.1", &["0x00000401"]);
}

#[test]
fn any_layout_is_accepted() {
    let accepted = |value| {
        let mut driver = Transcript::new();
        driver.legacy_load(LegacyCfg::DeviceFeatures, 0x4800_0000);
        driver.legacy(LegacyCfg::DriverFeatures, value);
        driver
    };
    accepted(0x0800_0000).keeps("L6.3", 1);
    accepted(0).breaks("L6.3", &["0x00000000"]);
    accepted(0x4800_0000).breaks("L6.3", &["0x48000000"]);
}
