use super::super::End;
use super::super::testing::{BLOCK, Transcript};
use crate::register::{CommonCfg, ConfigHeader, Header, LegacyCfg, Mechanism};
use crate::{Effect, Event, Register};

/// A driver that was offered something and accepted something, after it read what the device is.
fn block(offered: [u32; 2], accepted: [u32; 2]) -> Transcript {
    let mut driver = Transcript::new();
    driver.load(Transcript::header(BLOCK, ConfigHeader::VendorId), 4, 0x1042_1af4);
    driver.negotiate(offered, accepted);
    driver
}

#[test]
fn what_is_accepted_was_offered() {
    block([0x246, 1], [0x44, 1]).keeps("D2.2.1-a", 2);
    block([0x46, 1], [0x244, 1]).breaks("D2.2.1-a", &["0x00000244"]);
    // Swapped windows.
    block([0x46, 1], [1, 0x46]).breaks("D2.2.1-a", &["0x00000001", "0x00000046"]);
    let mut legacy = Transcript::new();
    legacy.legacy_load(LegacyCfg::DeviceFeatures, 0x44);
    legacy.legacy(LegacyCfg::DriverFeatures, 0x04);
    legacy.keeps("D2.2.1-a", 1);
    legacy.legacy(LegacyCfg::DriverFeatures, 0x01);
    legacy.breaks("D2.2.1-a", &["0x00000001"]);
}

#[test]
fn words_that_change_are_accepted_as_they_were_in_one_of_the_loads() {
    let mut driver = Transcript::new();
    driver.common_load(CommonCfg::DeviceFeature, 0x246);
    driver.common_load(CommonCfg::DeviceFeature, 0x46);
    driver.common(CommonCfg::DriverFeature, 0x246);
    driver.keeps("D2.2.1-a", 1);
}

#[test]
fn what_a_feature_requires_is_accepted_too() {
    block([0, 5], [0, 5]).keeps("D2.2.1-b", 1);
    block([0, 5], [0, 4]).breaks("D2.2.1-b", &["bit 34 without it"]);
}

#[test]
fn a_contradictory_offer_is_masked() {
    block([0xa00, 1], [0xa00, 1]).keeps("D2.2.1-c", 0);
    block([0x800, 1], [0, 1]).keeps("D2.2.1-c", 1);
    block([0x800, 1], [0x800, 1]).breaks("D2.2.1-c", &["bit 11"]);
    block([0, 4], [0, 4]).breaks("D2.2.1-c", &["bit 34"]);
}

#[test]
fn bits_without_meaning_are_ignored() {
    let all = [u32::MAX, u32::MAX];
    // All that are a block device's, legacy or not.
    block([0x3903_fef7, 0xfff], [0x44, 1]).keeps("D2.2.1-d", 0);
    block(all, [0x44, 1]).keeps("D2.2.1-d", 1);
    for (accepted, bit) in [
        ([1 << 18, 1], 18),
        ([1 << 3, 1], 3),
        ([1 << 30, 1], 30),
        ([1 << 8, 1], 8),
        ([0, 0x1001], 44),
        ([0, 0x8000_0001], 63),
    ] {
        block(all, accepted).breaks("D2.2.1-d", &[&format!("bit {bit}")]);
    }
}

#[test]
fn bits_without_meaning_are_no_reason_to_give_up() {
    let mut driver = block([1 << 18, 1], [0, 1]);
    driver.status(&[0x0f]);
    driver.keeps("D2.2.1-f", 1);
    let offered = |other: bool| {
        let mut driver = Transcript::new();
        driver.load(Transcript::header(BLOCK, ConfigHeader::VendorId), 4, 0x1042_1af4);
        driver.status(&[0, 1, 3]);
        for (window, value) in [(0, 1 << 18), (1, 1)] {
            driver.common(CommonCfg::DeviceFeatureSelect, window);
            let effect = Box::new(Effect::Answer { instead_of: 0, value });
            driver.device(Event::Fault { fault: "F34".into(), effect });
            driver.common_load(CommonCfg::DeviceFeature, value);
        }
        if other {
            driver
                .device(Event::Fault { fault: "F31".into(), effect: Box::new(Effect::NeedsReset) });
        }
        driver.status(&[0x83]);
        driver
    };
    offered(false).breaks("D2.2.1-f", &["FAILED when bit 18 was offered"]);
    offered(true).keeps("D2.2.1-f", 0);
}

#[test]
fn a_device_without_version_1_is_given_up() {
    let mut driver = Transcript::new();
    driver.status(&[0, 1, 3]);
    driver.common(CommonCfg::DeviceFeatureSelect, 1);
    driver.common_load(CommonCfg::DeviceFeature, 0);
    driver.end = End::Failure;
    driver.breaks("D2.2.1-e", &["00:04.0 left as it was"]);
    driver.status(&[0x83]);
    driver.keeps("D2.2.1-e", 1);
    block([4, 0], [4, 0]).breaks("D2.2.1-e", &["0x0b"]);
}

#[test]
fn there_are_no_administration_queues() {
    let mut driver = block([4, 1], [4, 1]);
    driver.common_load(CommonCfg::NumQueues, 1);
    driver.enable(0, 8);
    driver.keeps("D2.12/2.13", 1);
    driver.enable(1, 8);
    driver.breaks("D2.12/2.13", &["queue 1 enabled"]);
    block([4, 1], [4, 0x201]).breaks("D2.12/2.13", &["bit 41 accepted"]);
}

#[test]
fn what_is_good_is_accepted() {
    block([0, 0x87], [0, 0x87]).keeps("D6.1-a", 1);
    for (rule, bit) in [("D6.1-a", 0), ("D6.1-b", 1), ("D6.1-d", 2), ("D6.1-g", 7)] {
        block([0, 0x87], [0, 0x87 & !(1 << bit)]).breaks(rule, &["not accepted"]);
    }
    let mut driver = Transcript::new();
    driver.status(&[0, 1, 3, 0xb]);
    driver.breaks("D6.1-a", &["neither looked for nor accepted"]);
    driver.keeps("D6.1-b", 0);
}

#[test]
fn sr_iov_needs_its_capability() {
    let accepts = |capability| {
        let mut driver = Transcript::new();
        let register = Register::Config {
            function: BLOCK,
            mechanism: Mechanism::Ecam,
            header: Header::Device,
            offset: 0x100,
            capability: None,
        };
        driver.load(register, 4, capability);
        driver.negotiate([0, 0x21], [0, 0x21]);
        driver
    };
    accepts(0x0001_0010).keeps("D6.1-f", 1);
    accepts(0x0001_0001).breaks("D6.1-f", &["bit 37 accepted"]);
    block([0, 0x21], [0, 1]).keeps("D6.1-f", 1);
}

#[test]
fn a_host_managed_device_discards_nothing() {
    let zoned = |accepted| {
        let mut driver = Transcript::new();
        driver.load(Register::LegacyConfig { function: BLOCK, offset: 0x5c }, 1, 1);
        driver.negotiate([0x2_2000, 1], [accepted, 1]);
        driver
    };
    zoned(0x2_0000).keeps("D5.2.5.1-d", 1);
    zoned(0x2_2000).breaks("D5.2.5.1-d", &["DISCARD with a host-managed device"]);
}
