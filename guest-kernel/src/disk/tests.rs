//! The ladder of system disks, on a machine without an ATA controller.

use super::{Disk, find};
use crate::{
    fake::{FakeHal, Fault},
    pci::Pci,
    scenario,
    virtio::{self, blk::Options},
};

const SUCCESS: &str = "[VirtIO] Real PCI device initialized successfully";
/// What the ladder says of the steps that it takes down to the disk in RAM.
const DOWN: [&str; 5] = [
    "[VirtIO] Falling back to ATA",
    "[ATA] Initializing ATA devices...",
    "[ATA] No ATA disk found",
    "[VirtIO] Falling back to simulated block device",
    "[VirtIO] Simulated device initialized successfully",
];

fn log_of(hal: &FakeHal) -> Vec<String> {
    hal.machine().log.clone()
}

#[test]
fn defect_37_a_fall_back_tells_what_failed_before_it() {
    for fault in [Fault::Status(1), Fault::NeverCompletes, Fault::RefusesFeatures] {
        let hal = FakeHal::with_block();
        hal.machine().device.fault = fault;
        let found = find(&Pci::init(&hal), Options::default());
        assert!(matches!(found.disk, Disk::Ram(_)), "{fault:?}");
        let [failure @ virtio::Error::Device { .. }] = found.failures[..] else {
            panic!("{:?}", found.failures);
        };
        let log = log_of(&hal);
        assert!(log.ends_with(&DOWN.map(String::from)), "{log:?}");
        assert_eq!(log[log.len() - 6], format!("[VirtIO] {failure}"), "the reason comes first");
        assert!(!log.contains(&SUCCESS.into()), "{fault:?}");
        // A boot from what is left is no success.
        assert!(scenario::run(&hal, "").is_err(), "{fault:?}");
    }
}

#[test]
fn defect_37_no_step_of_the_ladder_is_skipped_or_taken_without_need() {
    let hal = FakeHal::with_block();
    let found = find(&Pci::init(&hal), Options::default());
    assert!(matches!(found.disk, Disk::VirtIo(_)) && found.failures.is_empty());
    assert_eq!(log_of(&hal).last().map(String::as_str), Some(SUCCESS), "and no step further");
    let hal = FakeHal::new();
    let found = find(&Pci::init(&hal), Options::default());
    assert!(matches!(found.disk, Disk::Ram(_)) && found.failures.is_empty());
    assert!(log_of(&hal).ends_with(&DOWN.map(String::from)));
}
