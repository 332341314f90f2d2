use super::super::End;
use super::super::testing::{BLOCK, Transcript};
use crate::register::{CapabilityKind, CommonCfg, ConfigHeader, Structure};
use crate::{Access, Effect, Event, Refusal, Register, Setting};

/// Loads a capability at `at`, field by field.
fn capability(driver: &mut Transcript, at: u8, kind: u8, bar: u64, offset: u64, length: u64) {
    let place = |inside| register(at, kind, inside);
    driver.load(place(0), 2, 0x09);
    driver.load(place(2), 1, 16);
    driver.load(place(3), 1, kind.into());
    driver.load(place(4), 1, bar);
    driver.load(place(8), 4, offset);
    driver.load(place(12), 4, length);
}

fn register(at: u8, kind: u8, inside: u16) -> Register {
    Transcript::config(BLOCK, u16::from(at) + inside, Some((CapabilityKind::Virtio(kind), at)))
}

fn block() -> Transcript {
    let mut driver = Transcript::new();
    driver.load(Transcript::header(BLOCK, ConfigHeader::VendorId), 4, 0x1042_1af4);
    driver
}

#[test]
fn the_first_of_two_is_used() {
    let mut driver = block();
    capability(&mut driver, 0x40, 1, 4, 0, 0x1000);
    capability(&mut driver, 0x50, 1, 4, 0x3000, 0x38);
    driver.status(&[0, 1, 3, 0xb, 0xf]);
    driver.keeps("D4.1.4.1-b", 1);
    let place = |offset| Register::None { function: BLOCK, structure: Structure::Bar(4), offset };
    let store = Access::Store { width: 1, value: 0 };
    driver.refused(place(0x2000), store, Refusal::NoRegister);
    driver.refused(place(0x3014), store, Refusal::NoRegister);
    driver.breaks("D4.1.4.1-b", &["an access to BAR4 +0x3014, where another one says"]);
}

#[test]
fn capabilities_are_not_stored_to() {
    let mut driver = block();
    driver.store(register(0x90, 5, 4), 1, 4);
    driver.store(register(0x90, 5, 0x10), 4, 4);
    driver.status(&[0, 1, 3, 0xb, 0xf]);
    driver.keeps("D4.1.4.1-g", 1);
    driver.store(register(0x40, 1, 8), 4, 4);
    driver.store(register(0x90, 5, 2), 1, 4);
    driver.breaks("D4.1.4.1-g", &["0x4 stored at +0x8", "0x4 stored at +0x2"]);
}

#[test]
fn vendor_data_is_another_vendors() {
    let mut driver = block();
    driver.load(register(0xa0, 9, 4), 2, 0x8086);
    driver.store(register(0xa0, 9, 8), 4, 1);
    driver.keeps("D4.1.4.8.2-a", 1);
    let mut driver = block();
    driver.store(register(0xa0, 9, 8), 4, 1);
    driver.breaks("D4.1.4.8.2-a", &["0x1 stored at +0x8"]);
}

#[test]
fn the_window_is_in_a_structure() {
    let windowed = |bar, offset, length| {
        let mut driver = block();
        capability(&mut driver, 0x40, 1, 4, 0, 0x1000);
        driver.store(register(0x90, 5, 4), 1, bar);
        driver.store(register(0x90, 5, 8), 4, offset);
        driver.store(register(0x90, 5, 12), 4, length);
        driver.load(register(0x90, 5, 16), 4, 0);
        driver
    };
    windowed(4, 0x14, 1).keeps("D4.1.4.9.2-a", 1);
    windowed(4, 0x14, 1).keeps("D4.1.4.9.2-b", 1);
    windowed(4, 2, 4).breaks("D4.1.4.9.2-a", &["4 bytes at 0x2"]);
    windowed(4, 0, 0).breaks("D4.1.4.9.2-a", &["0 bytes at 0x0"]);
    windowed(4, 0x1000, 4).breaks("D4.1.4.9.2-b", &["4 bytes at 0x1000 of BAR4"]);
    windowed(2, 0, 4).breaks("D4.1.4.9.2-b", &["4 bytes at 0x0 of BAR2"]);
}

#[test]
fn structures_are_looked_for() {
    let mut driver = block();
    capability(&mut driver, 0x40, 1, 4, 0, 0x1000);
    driver.status(&[0, 1]);
    driver.keeps("D4.1.5.1.1.1-a", 1);
    let mut driver = block();
    driver.load(Transcript::config(BLOCK, 0x40, Some((CapabilityKind::Msix, 0x40))), 2, 0x11);
    driver.status(&[0, 1]);
    driver.breaks("D4.1.5.1.1.1-a", &["an access to it"]);
}

#[test]
fn a_capability_with_a_reserved_bar_is_none() {
    let mut driver = block();
    driver.load(register(0x40, 1, 3), 1, 1);
    driver.load(register(0x40, 1, 4), 1, 6);
    capability(&mut driver, 0x50, 1, 4, 0x3000, 0x1000);
    let place = Register::None { function: BLOCK, structure: Structure::Bar(4), offset: 0x3800 };
    driver.refused(place, Access::Store { width: 1, value: 0 }, Refusal::NoRegister);
    driver.status(&[0, 1, 3, 0xb, 0xf]);
    driver.keeps("D4.1.5.1.1.1-a", 1);
    driver.keeps("D4.1.4.1-b", 0);
    let mut alone = block();
    capability(&mut alone, 0x40, 1, 6, 0, 0x1000);
    alone.status(&[0, 1]);
    alone.breaks("D4.1.5.1.1.1-a", &["an access to it"]);
}

#[test]
fn a_structure_is_found_by_its_place_and_not_by_its_length() {
    let mut driver = block();
    for (inside, width, value) in [(0, 1, 9), (3, 1, 1), (4, 1, 4), (8, 4, 0)] {
        driver.load(register(0x40, 1, inside), width, value);
    }
    driver.status(&[0, 1]);
    driver.keeps("D4.1.5.1.1.1-a", 1);
}

fn edited(driver: &mut Transcript, offset: u16) {
    let effect = Box::new(Effect::Config { offset, instead_of: 0, value: 1 });
    driver.device(Event::Fault { fault: "edit".into(), effect });
}

/// Unusual devices: the byte that was edited, how the driver sees it, and the rule.
fn unusual() -> Vec<(&'static str, Transcript)> {
    let with = |offset: Option<u16>, loads: &dyn Fn(&mut Transcript)| {
        let mut driver = block();
        match offset {
            Some(offset) => edited(&mut driver, offset),
            None => {
                let effect = Box::new(Effect::Machine { setting: Setting::Vectors, value: 1 });
                driver.device(Event::Fault { fault: "machine".into(), effect });
            }
        }
        loads(&mut driver);
        driver
    };
    let revision = Transcript::header(BLOCK, ConfigHeader::RevisionId);
    let msix = Transcript::config(BLOCK, 0x42, Some((CapabilityKind::Msix, 0x40)));
    vec![
        ("D4.1.2.2-a", with(Some(3), &|_| {})),
        (
            "D4.1.2.2-b",
            with(Some(3), &|driver| {
                driver.load(Transcript::header(BLOCK, ConfigHeader::DeviceId), 2, 0x1001);
            }),
        ),
        ("D4.1.2.2-c", with(Some(8), &|driver| driver.load(revision, 1, 0xff))),
        ("D4.1.4.1-a", with(Some(0xa0), &|driver| capability(driver, 0xa0, 7, 4, 0, 1))),
        (
            "D4.1.4.1-c",
            with(Some(0x4e), &|driver| {
                driver.load(register(0x4c, 1, 2), 1, 32);
            }),
        ),
        ("D4.1.4.1-d", with(Some(0xa0), &|driver| capability(driver, 0xa0, 1, 6, 0, 1))),
        (
            "D4.1.4.1-f",
            with(Some(0x5f), &|driver| {
                capability(driver, 0x50, 1, 4, 0, 0x0100_1000);
            }),
        ),
        ("D2.5.1-d", with(Some(0x5d), &|driver| capability(driver, 0x50, 4, 4, 0, 0x2000))),
        ("D4.1.5.1.2.2-a", with(None, &|driver| driver.load(msix, 2, 0))),
    ]
}

#[test]
fn what_is_unusual_and_legal_is_driven() {
    for (rule, mut driver) in unusual() {
        driver.end = End::Failure;
        driver.breaks(rule, &["00:04.0 is not driven"]);
        driver.end = End::Success;
        driver.keeps(rule, 0);
        driver.status(&[0, 1, 3, 0xb, 0xf]);
        driver.end = End::Failure;
        driver.keeps(rule, 1);
    }
}

#[test]
fn what_many_devices_have_is_not_unusual() {
    let mut driver = block();
    driver.load(Transcript::header(BLOCK, ConfigHeader::RevisionId), 1, 1);
    driver.load(Transcript::config(BLOCK, 0x42, Some((CapabilityKind::Msix, 0x40))), 2, 0xff);
    capability(&mut driver, 0x50, 4, 5, 0, 0x1000);
    driver.status(&[0, 1, 3, 0xb, 0xf]);
    for (rule, _) in unusual().into_iter().filter(|(rule, _)| *rule != "D4.1.2.2-a") {
        driver.keeps(rule, 0);
    }
}

#[test]
fn what_is_wrong_besides_excuses_a_driver() {
    for (rule, mut driver) in unusual() {
        driver.end = End::Failure;
        edited(&mut driver, 0x06);
        driver.keeps(rule, 0);
    }
    for (rule, mut driver) in unusual() {
        driver.end = End::Failure;
        let effect = Box::new(Effect::Removed);
        driver.device(Event::Fault { fault: "F01".into(), effect });
        driver.keeps(rule, 0);
    }
    let mut usual = block();
    usual.end = End::Failure;
    usual.keeps("D4.1.2.2-a", 0);
    usual.common_load(CommonCfg::NumQueues, 0);
    usual.keeps("D4.1.2.2-a", 0);
}

#[test]
fn a_legacy_device_of_another_revision_is_not_there_to_be_driven() {
    let refused = |structures| {
        let mut driver = block();
        edited(&mut driver, 0x08);
        driver.load(Transcript::header(BLOCK, ConfigHeader::DeviceId), 2, 0x1001);
        driver.load(Transcript::header(BLOCK, ConfigHeader::RevisionId), 1, 0xff);
        driver.load(Transcript::config(BLOCK, 0x40, Some((CapabilityKind::Msix, 0x40))), 2, 0x11);
        if structures {
            capability(&mut driver, 0x50, 1, 4, 0, 0x1000);
        }
        driver.end = End::Failure;
        driver
    };
    for rule in ["D4.1.2.2-b", "D4.1.2.2-c"] {
        refused(false).keeps(rule, 0);
        refused(true).breaks(rule, &["00:04.0 is not driven"]);
    }
}
