//! From reset to DRIVER_OK, and how it fails.

use crate::{
    fake::{FakeBlock, FakeHal, Fault, Function, capability},
    pci::Pci,
    virtio::{
        self,
        blk::{Options, VirtioBlk},
    },
};

/// What is wrong with a device, the error that says so, and the last status.
type Refused = (fn(&mut FakeBlock), &'static str, u8);

/// What is wrong with a configuration space, and the error that says so.
type Misplaced = (fn(&mut Function), &'static str);

/// Starts the block device of a machine.
fn start(hal: &FakeHal) -> Result<VirtioBlk<FakeHal>, String> {
    let pci = Pci::init(hal);
    let device = pci.find_virtio_block_device().expect("a block device");
    hal.machine().accesses.clear();
    VirtioBlk::new_from_pci(&pci, device).map_err(|error| error.to_string())
}

/// Starts a block device that was changed; the error, and the status that it ends with.
fn refused(change: impl FnOnce(&mut FakeBlock)) -> (String, u8) {
    let hal = FakeHal::with_block();
    change(&mut hal.machine().device);
    let error = start(&hal).expect_err("the driver refuses the device");
    let status = hal.machine().device.status();
    (error, status)
}

/// Starts a block device with a changed configuration space; the error.
fn misplaced(change: impl FnOnce(&mut Function)) -> String {
    let hal = FakeHal::with_block();
    change(hal.machine().functions.get_mut(&(0, 4, 0)).unwrap());
    let error = start(&hal).expect_err("the driver refuses the function");
    let touched = hal.machine().accesses.iter().any(|line| !line.starts_with("config"));
    assert!(!touched, "no register was accessed");
    error
}

#[test]
fn the_device_is_initialised_in_the_order_of_the_specification() {
    let hal = FakeHal::with_block();
    let disk = start(&hal).unwrap();
    let accesses = hal.machine().accesses.join("\n");
    let expected = include_str!("init.txt");
    assert_eq!(accesses, expected.trim_end());
    assert_eq!(disk.config().sectors, 64);
    assert!(disk.config().flush);
    hal.machine().accesses.clear();
    disk.close().unwrap();
    let end = ["common +14 <- 00", "common +14 -> 00", "config +42 <- 0001", "config +04 <- 0402"];
    assert_eq!(hal.machine().accesses, end);
    assert_eq!(hal.machine().released.len(), 2, "rings and headers");
}

#[test]
fn a_device_that_does_not_reset_is_given_up_after_a_second() {
    let hal = FakeHal::with_block();
    let disk = start(&hal).unwrap();
    hal.machine().device.fault = Fault::NeverResets;
    hal.machine().accesses.clear();
    let error = disk.close().unwrap_err().to_string();
    assert_eq!(error, "the device does not reset: its status stays 0x0f");
    assert_eq!(hal.machine().accesses.len(), 1020);
    assert!(hal.machine().released.is_empty(), "the device may still write there");
    let log = "[VirtIO] 00:04.0 did not confirm its reset: its DMA memory is not released";
    assert_eq!(hal.machine().log.last().unwrap(), log);
}

#[test]
fn features_beside_those_that_the_driver_knows_are_not_accepted() {
    let hal = FakeHal::with_block();
    hal.machine().device.offered = u64::MAX;
    let _disk = start(&hal).unwrap();
    let machine = hal.machine();
    let stores = machine.accesses.iter().filter(|line| line.starts_with("common +0c"));
    assert!(stores.eq(["common +0c <- 30007e76", "common +0c <- 00000007"]));
}

#[test]
fn fields_without_their_feature_are_not_loaded() {
    let hal = FakeHal::with_block();
    hal.machine().device.offered = 1 << 32;
    let disk = start(&hal).unwrap();
    let machine = hal.machine();
    let loads = machine.accesses.iter().filter(|line| line.starts_with("device"));
    assert!(loads.eq(["device +00 -> 00000040", "device +04 -> 00000000"]));
    assert!(!disk.config().flush);
    drop(machine);
}

#[test]
fn the_configuration_is_loaded_again_when_its_generation_changes() {
    let hal = FakeHal::with_block();
    hal.machine().device.changes = 3;
    let _disk = start(&hal).unwrap();
    let machine = hal.machine();
    let loads = machine.accesses.iter().filter(|line| line.starts_with("device +00"));
    assert_eq!(loads.count(), 2);
}

#[test]
fn a_device_that_cannot_be_driven_is_told_so() {
    let cases: [Refused; 12] = [
        (|d| d.offered = 1 << 9, "the device does not offer VERSION_1", 0x83),
        (
            |d| d.fault = Fault::RefusesFeatures,
            "the device refuses the features 0x100000244: its status is 0x03",
            0x83,
        ),
        (|d| d.changes = u32::MAX, "the device configuration does not come to rest", 0x8b),
        (|d| d.sectors = 1 << 55, "a capacity of 0x80000000000000 sectors cannot be", 0x8b),
        (
            |d| d.blk_size = 0,
            "a block size of 0 bytes is not a power of two from 512 to 4096",
            0x8b,
        ),
        (
            |d| d.blk_size = 513,
            "a block size of 513 bytes is not a power of two from 512 to 4096",
            0x8b,
        ),
        (
            |d| d.blk_size = 8192,
            "a block size of 8192 bytes is not a power of two from 512 to 4096",
            0x8b,
        ),
        (
            |d| d.blk_size = 256,
            "a block size of 256 bytes is not a power of two from 512 to 4096",
            0x8b,
        ),
        (|d| d.queue_size = 0, "there is no queue 0", 0x8b),
        (|d| d.queue_size = 3, "queue 0 has 2 entries, a request takes 3", 0x8b),
        (
            |d| d.notify_off = 0x400,
            "the doorbell of queue 0 is at 0x1000, outside its structure or odd",
            0x8b,
        ),
        (
            |d| d.notify_off = 0xffff,
            "the doorbell of queue 0 is at 0x3fffc, outside its structure or odd",
            0x8b,
        ),
    ];
    for (change, error, status) in cases {
        assert_eq!(refused(change), (error.into(), status));
    }
}

#[test]
fn a_structure_that_is_missing_or_misplaced_is_refused_before_any_access() {
    let cases: [Misplaced; 8] = [
        (
            |f| f.set(0x53, &[0x7f]),
            "no capability tells where the common configuration structure is",
        ),
        (|f| f.set(0x73, &[5]), "no capability tells where the device configuration structure is"),
        (|f| f.set(0x82, &[19]), "no capability tells where the notification structure is"),
        (|f| f.set(0x64, &[6]), "no capability tells where the ISR status structure is"),
        (
            |f| f.set(0x50, &capability(1, 0x60, 4, 0, 0x37)),
            "the common configuration structure has 55 bytes, 56 are needed",
        ),
        (
            |f| f.set(0x50, &capability(1, 0x60, 4, 2, 0x38)),
            "the common configuration structure is at offset 0x2, which is not aligned",
        ),
        (
            |f| f.set(0x70, &capability(4, 0x80, 4, 0x2000, u32::MAX)),
            "the device configuration structure: 0xffffffff bytes at 0x2000 do not lie in BAR4 of \
             0x4000 bytes",
        ),
        (
            |f| f.set(0x50, &capability(1, 0x60, 5, 0, 0x38)),
            "the common configuration structure: there is no BAR5",
        ),
    ];
    for (change, error) in cases {
        assert_eq!(misplaced(change), error);
    }
}

#[test]
fn a_short_device_configuration_is_refused_when_a_field_is_not_there() {
    let hal = FakeHal::with_block();
    let short = capability(4, 0x80, 4, 0x2000, 8);
    hal.machine().functions.get_mut(&(0, 4, 0)).unwrap().set(0x70, &short);
    let error = start(&hal).unwrap_err();
    assert_eq!(error, "the device configuration structure has 8 bytes, 16 are needed");
    assert_eq!(hal.machine().device.status(), 0x8b);
}

#[test]
fn decoys_and_longer_capabilities_do_not_disturb() {
    let hal = FakeHal::with_block();
    let mut function = hal.machine().functions[&(0, 4, 0)].clone();
    // Reserved types and BARs come first, and second instances last.
    function.set(0xa0, &capability(0x7f, 0xb0, 4, 0, 0x38));
    function.set(0xb0, &capability(1, 0x40, 6, 0, 0x38));
    function.set(0x34, &[0xa0]);
    function.set(0x52, &[64]);
    function.set(0x81, &[0xc0]);
    function.set(0xc0, &capability(1, 0, 4, 0x3000, 0x38));
    hal.insert(4, 0, function);
    start(&hal).unwrap();
    assert!(hal.machine().accesses.contains(&"common +14 <- 0f".into()));
}

#[test]
fn a_table_of_one_vector_serves_both_events() {
    let hal = FakeHal::with_block();
    hal.machine().functions.get_mut(&(0, 4, 0)).unwrap().set(0x42, &[0]);
    start(&hal).unwrap();
    let machine = hal.machine();
    assert!(machine.accesses.contains(&"common +1a <- 0000".into()));
    assert_eq!(machine.accesses.iter().filter(|line| line.starts_with("table")).count(), 4);
}

#[test]
fn without_a_block_device_the_log_says_so() {
    let hal = FakeHal::new();
    let pci = Pci::init(&hal);
    assert_eq!(virtio::init(&pci, Options::default()).unwrap_err(), virtio::Error::NotFound);
    let log = "[VirtIO] No VirtIO block device found on PCI bus";
    assert_eq!(hal.machine().log.last().unwrap(), log);
}
