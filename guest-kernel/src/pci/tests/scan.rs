//! Buses, bridges, and what a hierarchy can look like that is none.

use crate::{
    fake::{FakeHal, Function},
    pci::{Address, Buses, ConfigAccess, ConfigSpace, Pci, bridge::Windows},
};

fn at(bus: u8, device: u8) -> Address {
    Address { bus, device, function: 0 }
}

fn found(hal: &FakeHal) -> Vec<Address> {
    Pci::init(hal).devices().iter().map(|device| device.address()).collect()
}

fn other() -> Function {
    Function::new(0x8086, 0x100e, 0x02_00_00)
}

#[test]
fn a_bus_that_two_bridges_lead_to_is_scanned_once() {
    let hal = FakeHal::new();
    hal.insert_at(at(0, 1), Function::bridge(1, 1));
    hal.insert_at(at(0, 2), Function::bridge(1, 1));
    hal.insert_at(at(1, 0), other());
    assert_eq!(found(&hal), [at(0, 1), at(0, 2), at(1, 0)]);
}

#[test]
fn a_window_that_may_be_prefetched_can_lie_beyond_4_gib() {
    let hal = FakeHal::new();
    let mut bridge = Function::bridge(1, 1);
    // Base and limit in units of 1 MiB, with type bits, and their upper halves.
    bridge.set(0x24, &[0x01, 0x80, 0x11, 0x80]);
    bridge.set(0x28, &[0x03, 0, 0, 0, 0x03, 0, 0, 0]);
    hal.insert_at(at(0, 1), bridge);
    let windows = Windows::load(&ConfigSpace::new(hal.clone(), at(0, 1)));
    assert_eq!(windows.prefetchable, 0x3_8000_0000..0x3_8020_0000);
    assert_eq!((windows.memory, windows.ports), (0..0, 0..0), "nobody opened them");
}

#[test]
fn a_bridge_that_leads_back_ends_the_scan() {
    let hal = FakeHal::new();
    hal.insert_at(at(0, 1), Function::bridge(1, 9));
    hal.insert_at(at(1, 0), Function::bridge(1, 9));
    hal.insert_at(at(1, 1), Function::bridge(2, 9));
    hal.insert_at(at(2, 0), Function::bridge(1, 9));
    hal.insert_at(at(2, 1), Function::bridge(2, 1));
    assert_eq!(found(&hal), [at(0, 1), at(1, 0), at(1, 1), at(2, 0), at(2, 1)]);
}

#[test]
fn a_chain_of_bridges_over_all_buses_is_followed_to_its_end() {
    let hal = FakeHal::new();
    for bus in 0..255 {
        hal.insert_at(at(bus, 0), Function::bridge(bus + 1, 255));
    }
    hal.insert_at(at(255, 31), other());
    let found = found(&hal);
    assert_eq!(found.len(), 256);
    assert_eq!(found.last(), Some(&at(255, 31)));
}

#[test]
fn bridges_without_numbers_get_those_behind_all_others() {
    let hal = FakeHal::new();
    hal.insert_at(at(0, 1), Function::bridge(0, 0));
    hal.insert_at(at(0, 2), Function::bridge(3, 4));
    hal.insert_at(at(0, 3), Function::bridge(0, 0));
    hal.insert_at(at(3, 0), other());
    // On the bus that the first will have: another bridge.
    hal.insert_at(at(5, 0), Function::bridge(0, 0));
    hal.insert_at(at(6, 0), other());
    hal.insert_at(at(7, 0), other());
    let pci = Pci::init(&hal);
    let buses = |address| {
        let device = pci.devices().iter().find(|device| device.address() == address).unwrap();
        let bytes = hal.machine().functions[&(address.bus, address.device, 0)].bytes;
        let Buses { secondary, subordinate } = device.buses.unwrap();
        assert_eq!(bytes[0x18..0x1b], [address.bus, secondary, subordinate]);
        (secondary, subordinate)
    };
    assert_eq!(
        [at(0, 1), at(0, 2), at(5, 0), at(0, 3)].map(buses),
        [(5, 6), (3, 4), (6, 6), (7, 7)]
    );
    assert_eq!(pci.devices().len(), 7);
}

#[test]
fn the_scan_loads_nothing_twice() {
    let hal = FakeHal::with_block();
    Pci::init(&hal);
    let transcript = [
        "config +00 -> 1af4",
        "config +02 -> 1042",
        "config +08 -> 01000000",
        "config +0e -> 00",
        "config +3d -> 01",
        "config +3c -> 0b",
    ];
    assert_eq!(hal.machine().accesses, transcript);
}

#[test]
fn a_bus_beyond_the_window_is_not_touched() {
    let hal = FakeHal::new();
    let cases = [
        (ConfigAccess::Ecam { base: 0, first_bus: 1, last_bus: 9 }, "bus 0 is not reached by the"),
        (ConfigAccess::Ecam { base: 0, first_bus: 0, last_bus: 9 }, "bus 0: device memory at 0x0"),
        (ConfigAccess::Ecam { base: u64::MAX, first_bus: 0, last_bus: 0 }, "bus 0"),
    ];
    for (access, line) in cases {
        let pci = Pci::with_access(&hal, access);
        assert!(pci.devices().is_empty());
        let machine = hal.machine();
        assert!(machine.log.iter().any(|own| own.starts_with(&format!("[PCI] {line}"))), "{line}");
    }
}
