//! Places for BARs that have none.

use crate::{
    fake::{FakeHal, Function},
    pci::{Address, Bar, Device, Error, Pci, place::find},
};

const DEVICE: Address = Address { bus: 0, device: 4, function: 0 };

/// A function with an I/O BAR, a 32-bit and a 64-bit one, all without an address.
fn bare() -> Function {
    let mut function = Function::new(0x1af4, 0x1001, 0x01_00_00);
    function.register(0x10, 0x1, 0xffff_ff80);
    function.register(0x14, 0x0, 0xffff_f000);
    function.register(0x20, 0xc, 0xffff_c000);
    function.register(0x24, 0x0, 0xffff_ffff);
    function
}

fn placed(hal: &FakeHal, address: Address) -> Result<Device, Error> {
    let pci = Pci::init(hal);
    let found = pci.devices().iter().find(|device| device.address() == address);
    let mut device = found.expect("the device").clone();
    pci.size_bars(&mut device);
    for bar in [0, 1, 4] {
        device.claim(bar);
    }
    hal.machine().accesses.clear();
    pci.place_bars(&mut device)?;
    pci.enable_device(&mut device, true);
    Ok(device)
}

fn bars(device: &Device) -> [Bar; 3] {
    [0, 1, 4].map(|index| device.bar(index))
}

#[test]
fn a_place_is_aligned_inside_and_free() {
    let room = 0x1000..0x9000;
    let taken = [0x2800..0x3000, 0x5000..0x5001, 0x1000..0x1000];
    assert_eq!(find(&room, 0x1000, 0x1000, &taken), Some(0x1000));
    assert_eq!(find(&room, 0x2000, 0x2000, &taken), Some(0x6000));
    assert_eq!(find(&room, 0x3000, 0x1000, &taken), Some(0x6000));
    assert_eq!(find(&room, 0x4000, 0x4000, &taken), None);
    assert_eq!(find(&(0..u64::MAX), 1 << 63, 1 << 63, &[0..1, 1 << 63..1 << 63 | 1]), None);
    assert_eq!(find(&(0..0), 1, 1, &[]), None);
}

#[test]
fn bars_on_bus_0_are_placed_in_the_hole_where_nothing_else_is() {
    let hal = FakeHal::new();
    hal.insert(4, 0, bare());
    let mut other = Function::new(0x8086, 0x100e, 0x02_00_00);
    other.register(0x10, 0xf000_0000, 0xffff_e000);
    other.register(0x14, 0xc001, 0xffff_ffe0);
    hal.insert(3, 0, other);
    let device = placed(&hal, DEVICE).unwrap();
    assert_eq!(
        bars(&device),
        [
            Bar::Port { base: 0xc080, size: 0x80 },
            Bar::Memory { base: 0xf000_2000, size: 0x1000 },
            Bar::Memory { base: 0xf000_4000, size: 0x4000 },
        ]
    );
    let machine = hal.machine();
    let low = machine.accesses.iter().position(|line| line == "config +20 <- f0004000").unwrap();
    assert_eq!(machine.accesses[low + 2], "config +24 <- 00000000", "the upper half too");
    let bytes = &machine.functions[&(0, 4, 0)].bytes;
    assert_eq!(bytes[0x10..0x18], [0x81, 0xc0, 0, 0, 0, 0x20, 0, 0xf0]);
    assert_eq!(bytes[0x20..0x28], [0x0c, 0x40, 0, 0xf0, 0, 0, 0, 0], "both halves");
    assert_eq!(bytes[4], 0x07, "both spaces, and a bus master");
    assert_eq!(machine.functions[&(0, 3, 0)].bytes[0x10..0x14], [0, 0, 0, 0xf0], "as it was");
}

#[test]
fn bars_behind_a_bridge_are_placed_in_its_windows_and_the_bridge_passes_them_on() {
    let address = Address { bus: 1, device: 0, function: 0 };
    let hal = FakeHal::new();
    let mut bridge = Function::bridge(1, 1);
    bridge.set(0x1c, &[0xd0, 0xd0]);
    bridge.set(0x20, &[0x20, 0xfd, 0x20, 0xfd]);
    hal.insert(5, 0, bridge);
    hal.insert_at(address, bare());
    let device = placed(&hal, address).unwrap();
    assert_eq!(
        bars(&device),
        [
            Bar::Port { base: 0xd000, size: 0x80 },
            Bar::Memory { base: 0xfd20_4000, size: 0x1000 },
            Bar::Memory { base: 0xfd20_0000, size: 0x4000 },
        ]
    );
    assert_eq!(hal.machine().functions[&(0, 5, 0)].bytes[4], 0x07);
}

#[test]
fn a_shut_window_is_opened_where_nothing_else_is() {
    let address = Address { bus: 1, device: 0, function: 0 };
    let hal = FakeHal::new();
    hal.insert(5, 0, Function::bridge(1, 1));
    hal.insert_at(address, bare());
    let mut other = Function::bridge(2, 2);
    other.set(0x20, &[0x00, 0xf0, 0x00, 0xf0]);
    hal.insert(6, 0, other);
    let device = placed(&hal, address).unwrap();
    assert_eq!(
        bars(&device),
        [
            Bar::Port { base: 0xc000, size: 0x80 },
            Bar::Memory { base: 0xf010_4000, size: 0x1000 },
            Bar::Memory { base: 0xf010_0000, size: 0x4000 },
        ]
    );
    let machine = hal.machine();
    let bytes = &machine.functions[&(0, 5, 0)].bytes;
    assert_eq!(bytes[0x1c..0x1e], [0xc0, 0xc0]);
    assert_eq!(bytes[0x20..0x24], [0x10, 0xf0, 0x10, 0xf0]);
}

#[test]
fn without_room_or_where_the_address_is_not_taken_it_is_an_error() {
    let hal = FakeHal::new();
    let mut huge = bare();
    huge.register(0x14, 0, 0xf000_0000);
    hal.insert(4, 0, huge);
    assert_eq!(placed(&hal, DEVICE), Err(Error::NoRoom { index: 1, size: 0x1000_0000 }));
    let mut stuck = bare();
    // It sizes as 4 KiB, but bit 29 is not there.
    stuck.register(0x14, 0, 0xdfff_f000);
    hal.insert(4, 0, stuck);
    let error = Error::BarMisplaced { index: 1, base: 0xf000_4000, size: 0x1000 };
    assert_eq!(placed(&hal, DEVICE), Err(error));
}

#[test]
fn what_has_an_address_keeps_it_and_costs_no_access() {
    let hal = FakeHal::with_block();
    let pci = Pci::init(&hal);
    let mut device = pci.devices()[0].clone();
    pci.size_bars(&mut device);
    device.claim(0);
    hal.machine().accesses.clear();
    pci.place_bars(&mut device).unwrap();
    assert!(hal.machine().accesses.is_empty());
}

#[test]
fn the_record_of_a_bar_that_was_placed_has_both_halves() {
    let hal = FakeHal::new();
    hal.insert(4, 0, bare());
    let device = placed(&hal, DEVICE).unwrap();
    let pci = Pci::init(&hal);
    hal.machine().accesses.clear();
    // The larger one has the first place.
    let raw = [0, 1, 4, 5, 6].map(|index| pci.get_bar(&device, index));
    assert_eq!(raw, [Some(0xc001), Some(0xf000_4000), Some(0xf000_000c), Some(0), None]);
    assert_eq!(hal.machine().accesses.len(), 0, "it is on record");
}

#[test]
fn a_bar_that_was_not_sized_is_loaded() {
    let hal = FakeHal::new();
    let mut function = Function::new(0x1af4, 0x1001, 0x01_00_00);
    function.register(0x14, 0xfebc_1000, 0xffff_f000);
    function.register(0x24, 0xfe00_0008, 0xffff_c000);
    hal.insert(4, 0, function);
    let pci = Pci::init(&hal);
    let device = &pci.devices()[0];
    let raw = [0, 1, 5, 6].map(|index| pci.get_bar(device, index));
    assert_eq!(raw, [Some(0), Some(0xfebc_1000), Some(0xfe00_0008), None]);
}
