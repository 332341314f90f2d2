use super::super::End;
use super::super::testing::{BLOCK, Transcript};
use crate::register::{BlockCfg, CommonCfg};
use crate::{Register, Ring};

#[test]
fn the_steps_come_one_after_the_other() {
    Transcript::driven(0).keeps("D3.1.1-a", 4);
    let broken: [(&[u8], &str); 6] = [
        (&[1, 3, 0xb], "0x01 first"),
        (&[0, 2], "0x02 after 0x00"),
        (&[0, 3], "0x03 after 0x00"),
        (&[0, 1, 3, 7], "0x07 after 0x03"),
        (&[0, 1, 3, 0x0f], "0x0f after 0x03"),
        (&[0, 1, 9], "0x09 after 0x01"),
    ];
    for (status, seen) in broken {
        let mut driver = Transcript::new();
        driver.status(status);
        driver.breaks("D3.1.1-a", &[seen]);
    }
}

#[test]
fn features_and_queues_have_their_place() {
    let mut driver = Transcript::new();
    driver.status(&[0]);
    driver.common(CommonCfg::DriverFeature, 0);
    driver.status(&[1, 3]);
    driver.enable(0, 8);
    driver.breaks(
        "D3.1.1-a",
        &[
            "driver_feature stored while the status is 0x00",
            "queue 0 programmed while the status is 0x03",
        ],
    );
    let mut driver = Transcript::new();
    driver.negotiate([0, 1], [0, 1]);
    driver.enable(0, 8);
    driver.notify(0);
    driver.notify(0);
    driver.breaks("D3.1.1-a", &["queue 0 notified while it is 0x0b"]);
    driver.breaks("D3.1.1-g", &["queue 0 notified while it is 0x0b"; 2]);
}

#[test]
fn a_second_life_begins_its_rings_anew() {
    let second = |heads: &[u16]| {
        let mut driver = Transcript::driven(0);
        driver.negotiate([0, 1], [0, 1]);
        driver.enable(0, 8);
        driver.status(&[0x0f]);
        driver.notify(0);
        driver.ring(Ring::AvailIdx, heads.len() as u16);
        for (slot, &head) in (0..).zip(heads) {
            driver.ring(Ring::AvailRing(slot), head);
        }
        driver
    };
    second(&[0, 3]).keeps("D3.1.1-a", 9);
    second(&[0, 0, 3]).breaks("D3.1.1-a", &["head 0 twice in the first chains of queue 0"]);
}

#[test]
fn the_configuration_is_stored_to_after_features_ok() {
    let writeback = Register::Block { function: BLOCK, register: BlockCfg::Writeback };
    let mut driver = Transcript::driven(0);
    driver.store(writeback, 1, 0);
    driver.keeps("D3.1.1-b", 2);
    let mut driver = Transcript::new();
    driver.status(&[0, 1, 3]);
    driver.store(writeback, 1, 0);
    driver.breaks("D3.1.1-b", &["a store while the status is 0x03"]);
}

#[test]
fn no_feature_comes_after_features_ok() {
    let mut driver = Transcript::driven(0);
    driver.keeps("D3.1.1-c", 2);
    driver.common(CommonCfg::DriverFeature, 4);
    driver.breaks("D3.1.1-c", &["0x00000004 stored after it"]);
}

#[test]
fn features_ok_is_read_back() {
    Transcript::driven(0).keeps("D3.1.1-d", 1);
    let mut driver = Transcript::new();
    driver.status(&[0, 1, 3, 0xb]);
    driver.enable(0, 8);
    driver.breaks("D3.1.1-d", &["queue_size stored"]);
    let mut driver = Transcript::new();
    driver.status(&[0, 1, 3, 0xb, 0xf]);
    driver.breaks("D3.1.1-d", &["DRIVER_OK stored"]);
}

/// A driver whose FEATURES_OK is not kept.
fn refused() -> Transcript {
    let mut driver = Transcript::new();
    driver.status(&[0, 1, 3, 0xb]);
    driver.common_load(CommonCfg::DeviceStatus, 3);
    driver
}

#[test]
fn a_driver_whose_features_are_refused_gives_up() {
    let mut driver = refused();
    driver.status(&[0x83]);
    driver.end = End::Failure;
    driver.keeps("D3.1.1-d", 1);
    driver.keeps("D3.1.1-e", 1);
    driver.keeps("D3.1.1-f", 1);
    let mut driver = refused();
    driver.end = End::Failure;
    driver.breaks("D3.1.1-e", &["00:04.0 0x0b: FEATURES_OK was not kept"]);
    let mut driver = refused();
    driver.enable(0, 8);
    driver.breaks("D3.1.1-d", &["queue_size stored"]);
    driver.breaks("D3.1.1-f", &["a queue programmed"]);
    let mut again = refused();
    again.negotiate([0, 1], [0, 1]);
    again.keeps("D3.1.1-e", 0);
    again.keeps("D3.1.1-f", 1);
}

#[test]
fn a_driver_without_version_1_gives_up_too() {
    let mut driver = Transcript::new();
    driver.negotiate([4, 0], [4, 0]);
    driver.status(&[0x8b]);
    driver.notify(0);
    driver.keeps("D3.1.1-e", 1);
    driver.breaks("D3.1.1-f", &["queue 0 notified"]);
}

#[test]
fn queues_are_enabled_before_driver_ok() {
    let mut driver = Transcript::driven(0);
    driver.notify(0);
    driver.keeps("D3.1.1-h", 1);
    driver.keeps("D3.1.1-g", 1);
    driver.enable(1, 8);
    driver.breaks("D3.1.1-h", &["queue 1 enabled after it"]);
    let mut driver = Transcript::driven(0);
    driver.notify(1);
    driver.breaks("D3.1.1-h", &["queue 1 notified and not enabled"]);
    let mut twice = Transcript::driven(0);
    twice.common(CommonCfg::QueueEnable, 1);
    twice.common(CommonCfg::QueueReset, 1);
    twice.enable(0, 8);
    twice.keeps("D3.1.1-h", 2);
}
