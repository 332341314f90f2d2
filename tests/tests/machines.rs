//! Machines of several block devices, on the root bus and behind the bridge.

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::pci::Placement;
use eclipse_devices::virtio::{Features, Transport, VirtioConfig};
use eclipse_devices::{BlockDevice, ConfigError, Platform, PlatformConfig, Space};
use eclipse_tests::Loopback;
use eclipse_trace::Bdf;

const FIRST: Bdf = Bdf::new(0, 4, 0);
const SECOND: Bdf = Bdf::new(0, 6, 0);
const BEHIND: Bdf = Bdf::new(1, 2, 0);
const BRIDGE: Bdf = Bdf::new(0, 5, 0);

fn block(function: Bdf, sectors: u32) -> BlockDevice {
    let device = BlockDevice::new(Box::new(MemoryDisk::counting(sectors)));
    BlockDevice { function, ..device }
}

fn config(blocks: Vec<BlockDevice>) -> PlatformConfig {
    PlatformConfig { blocks, placement: Placement::default(), ata: None }
}

fn load(machine: &Loopback, function: Bdf, offset: u8, width: u8) -> u64 {
    let place = u64::from(function.bus()) << 16 | u64::from(function.device()) << 11;
    machine.store(Space::Port, 0xcf8, 4, 0x8000_0000 | place | u64::from(offset & 0xfc));
    machine.load(Space::Port, 0xcfc + u64::from(offset & 3), width)
}

/// Where the function's 64-bit BAR 4 is.
fn structures(machine: &Loopback, function: Bdf) -> u64 {
    load(machine, function, 0x24, 4) << 32 | load(machine, function, 0x20, 4) & !0xf
}

#[test]
fn each_device_has_its_own_disk_features_and_place() {
    let mut second = block(SECOND, 200);
    second.virtio.transport = Transport::Transitional;
    second.virtio.withhold = Features::FLUSH;
    let machine = Loopback::with(config(vec![block(FIRST, 100), second, block(BEHIND, 300)]));
    let ids = [FIRST, SECOND, BEHIND].map(|function| load(&machine, function, 0, 4));
    assert_eq!(ids, [0x1042_1af4, 0x1001_1af4, 0x1042_1af4]);
    for (function, sectors, flush) in [(FIRST, 100, 1), (SECOND, 200, 0), (BEHIND, 300, 1)] {
        let at = structures(&machine, function);
        assert_eq!(machine.load(Space::Memory, at + 0x2000, 4), sectors, "{function}");
        let offered = machine.load(Space::Memory, at + 4, 4);
        assert_eq!(offered >> 9 & 1, flush, "{function} FLUSH");
    }
    // The transitional device's ports, too.
    let ports = load(&machine, SECOND, 0x10, 4) & !3;
    assert_eq!(machine.load(Space::Port, ports + 20, 4), 200);
}

#[test]
fn what_is_behind_the_bridge_is_reached_through_its_windows() {
    let machine = Loopback::with(config(vec![block(FIRST, 100), block(BEHIND, 300)]));
    assert_eq!(load(&machine, BRIDGE, 0x0e, 1), 1, "a type 1 header");
    assert_eq!(load(&machine, BRIDGE, 0x18, 4) & 0xff_ffff, 0x01_01_00, "buses 0, 1 and 1");
    let at = structures(&machine, BEHIND);
    assert_eq!(machine.load(Space::Memory, at + 0x2000, 4), 300);
    // Memory decode off in the bridge: nothing behind it answers.
    machine.store(Space::Port, 0xcf8, 4, 0x8000_2804);
    machine.store(Space::Port, 0xcfc, 2, 0);
    assert_eq!(machine.load(Space::Memory, at + 0x2000, 4), 0xffff_ffff);
    // No secondary bus number: no configuration access goes through.
    machine.store(Space::Port, 0xcf8, 4, 0x8000_2818);
    machine.store(Space::Port, 0xcfc, 4, 0);
    assert_eq!(load(&machine, BEHIND, 0, 4), 0xffff_ffff);
}

#[test]
fn an_unassigned_machine_has_no_addresses_until_they_are_given() {
    let placement = Placement::Unassigned;
    let blocks = vec![block(FIRST, 100)];
    let machine = Loopback::with(PlatformConfig { blocks, placement, ata: None });
    assert_eq!(load(&machine, FIRST, 0x04, 2), 0, "decode is off");
    assert_eq!((load(&machine, FIRST, 0x10, 4), structures(&machine, FIRST)), (0, 0));
    machine.store(Space::Port, 0xcf8, 4, 0x8000_2020);
    machine.store(Space::Port, 0xcfc, 4, 0xd000_0000);
    machine.store(Space::Port, 0xcf8, 4, 0x8000_2004);
    machine.store(Space::Port, 0xcfc, 2, 2);
    assert_eq!(machine.load(Space::Memory, 0xd000_2000, 4), 100);
}

#[test]
fn a_warm_machine_is_as_a_loader_left_it() {
    let placement = Placement::Warm;
    let blocks = vec![block(FIRST, 100)];
    let machine = Loopback::with(PlatformConfig { blocks, placement, ata: None });
    assert_eq!(load(&machine, FIRST, 0x04, 2) & 7, 7, "decode and bus mastering are on");
    let at = structures(&machine, FIRST);
    assert_eq!(machine.load(Space::Memory, at + 0x14, 1), 0x0f);
    assert_eq!(machine.load(Space::Memory, at + 0x1c, 2), 1, "the queue is enabled");
    machine.store(Space::Memory, at + 0x14, 1, 0);
    assert_eq!(machine.load(Space::Memory, at + 0x1c, 2), 0, "until it is reset");
}

#[test]
fn a_machine_that_cannot_be_is_refused_with_the_reason() {
    let error = |blocks| Platform::with(config(blocks)).err();
    assert_eq!(error(vec![block(FIRST, 1), block(FIRST, 1)]), Some(ConfigError::Taken(FIRST)));
    assert_eq!(error(vec![block(BRIDGE, 1)]), Some(ConfigError::Taken(BRIDGE)));
    let far = Bdf::new(2, 0, 0);
    assert_eq!(error(vec![block(far, 1)]), Some(ConfigError::NoBus(far)));
    let many = (8..17).map(|device| block(Bdf::new(0, device, 0), 1)).collect();
    assert_eq!(error(many), Some(ConfigError::TooMany(9)));
    let mut odd = block(FIRST, 1);
    odd.virtio = VirtioConfig { queue_size: 24, ..VirtioConfig::default() };
    assert!(matches!(error(vec![odd]), Some(ConfigError::Device { function: FIRST, .. })));
}
