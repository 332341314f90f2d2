//! A PCI-to-PCI bridge: its registers, its windows, and what is behind it.

use expect_test::expect;

use super::*;
use crate::pci::{Bridge, Placement};

const BRIDGE: Bdf = at(0, 5, 0);
const NEAR: Bdf = at(1, 0, 0);
const FAR: Bdf = at(2, 7, 3);

/// Ports at c040 to c07f, memory at c0000000 and prefetchable memory at 100000000.
fn endpoint(at: Bdf) -> (Bdf, Box<dyn Function>) {
    let config = Probe::config()
        .with_bar(0, BarKind::Io, 0x40, 0xc040)
        .with_bar(1, BarKind::Memory32, 0x1000, 0xc000_0000)
        .with_bar(4, BarKind::Memory64, 0x4000, 0x1_0000_0000);
    Probe::with_msix(at, config, 1)
}

fn bridge(at: Bdf, behind: Vec<(Bdf, Box<dyn Function>)>) -> (Bdf, Box<dyn Function>) {
    (at, Box::new(Bridge::new(at, behind)))
}

fn one_bridge() -> Rig {
    Rig::new(vec![bridge(BRIDGE, vec![endpoint(NEAR)])])
}

/// Two bridges, one behind the other.
fn two_bridges() -> Rig {
    let inner = bridge(at(1, 2, 0), vec![endpoint(FAR)]);
    Rig::new(vec![bridge(BRIDGE, vec![memory(NEAR, 0xc010_0000), inner])])
}

/// Whether the endpoint's ports, memory and prefetchable memory are reached.
fn reached(rig: &mut Rig) -> [bool; 3] {
    let places =
        [(Space::Port, 0xc040), (Space::Memory, 0xc000_0000), (Space::Memory, 0x1_0000_0000)];
    places.map(|(space, address)| rig.load(space, address, 4).is_some())
}

#[test]
fn its_header_is_type_1_with_numbers_and_windows_for_what_is_behind_it() {
    let mut rig = one_bridge();
    // Offset, width, value (PCI-to-PCI Bridge 1.2, 3.2).
    let table: &[(u8, u8, u64)] = &[
        (0x00, 4, 0x0001_1b36),
        (0x04, 2, 0x0007),
        (0x08, 4, 0x0604_0000),
        (0x0e, 1, 0x01),
        (0x10, 4, 0),
        (0x14, 4, 0),
        (0x18, 1, 0),
        (0x19, 1, 1),
        (0x1a, 1, 1),
        (0x1c, 2, 0xc0c0),
        (0x20, 4, 0xc000_c000),
        (0x24, 4, 0x0001_0001),
        (0x28, 4, 1),
        (0x2c, 4, 1),
        (0x30, 4, 0),
        (0x38, 4, 0),
        (0x3c, 4, 0),
    ];
    for &(offset, width, value) in table {
        assert_eq!(rig.config(BRIDGE, offset, width), value, "at {offset:#x}");
    }
    assert_eq!(reached(&mut rig), [true; 3]);
}

#[test]
fn an_empty_window_has_its_base_above_its_limit() {
    let mut rig = Rig::new(vec![bridge(BRIDGE, vec![memory(NEAR, 0xc010_0000)])]);
    assert_eq!(rig.config(BRIDGE, 0x1c, 2), 0x00f0);
    assert_eq!(rig.config(BRIDGE, 0x20, 4), 0xc010_c010);
    assert_eq!(rig.config(BRIDGE, 0x24, 4), 0x0001_fff1);
    assert_eq!((rig.config(BRIDGE, 0x28, 4), rig.config(BRIDGE, 0x2c, 4)), (0, 0));
}

#[test]
fn each_window_forwards_what_is_wholly_inside_it() {
    let mut rig = one_bridge();
    // Offset, width, a value that moves the window away, and which access is lost.
    let table: [(u8, u8, u64, usize); 6] = [
        (0x1c, 1, 0xd0, 0),
        (0x1d, 1, 0xb0, 0),
        (0x20, 2, 0xc010, 1),
        (0x22, 2, 0xbff0, 1),
        (0x28, 4, 2, 2),
        (0x2c, 4, 0, 2),
    ];
    for (offset, width, away, lost) in table {
        let old = rig.config(BRIDGE, offset, width);
        rig.set_config(BRIDGE, offset, width, away);
        let mut expected = [true; 3];
        expected[lost] = false;
        assert_eq!(reached(&mut rig), expected, "{offset:#x} <- {away:#x}");
        rig.set_config(BRIDGE, offset, width, old);
        assert_eq!(reached(&mut rig), [true; 3]);
    }
    // A BAR may lie partly outside; what is outside is not forwarded.
    rig.set_config(NEAR, 0x20, 4, 0x000f_e000);
    let reaches = |rig: &mut Rig, address| rig.load(Space::Memory, address, 4).is_some();
    assert!(!reaches(&mut rig, 0x1_0010_0000));
    rig.set_config(NEAR, 0x20, 4, 0x000f_c000);
    assert!(reaches(&mut rig, 0x1_000f_fffc));
}

#[test]
fn an_access_across_the_end_of_a_window_is_not_forwarded() {
    let config = Probe::config().with_bar(0, BarKind::Memory32, 2 << 20, 0xc000_0000);
    let mut rig = Rig::new(vec![bridge(BRIDGE, vec![Probe::plugged(NEAR, config)])]);
    // The window ends in the middle of the BAR.
    rig.set_config(BRIDGE, 0x22, 2, 0xc000);
    assert!(rig.load(Space::Memory, 0xc00f_fff8, 8).is_some());
    assert_eq!(rig.load(Space::Memory, 0xc00f_fffc, 8), None);
    assert_eq!(rig.load(Space::Memory, 0xc010_0000, 8), None);
}

#[test]
fn command_gates_each_direction() {
    let mut rig = one_bridge();
    for (command, expected) in [
        (0x6, [false, true, true]),
        (0x5, [true, false, false]),
        (0x4, [false, false, false]),
        (0x7, [true, true, true]),
    ] {
        rig.set_config(BRIDGE, 0x04, 2, command);
        assert_eq!(reached(&mut rig), expected, "command {command:#x}");
    }
    rig.set_config(BRIDGE, 0x04, 2, 0x3);
    rig.set_config(NEAR, 0x04, 2, 0x7);
    rig.set_config(NEAR, 0x42, 2, 0x8000);
    for (offset, value) in [(0x800, 0xfee0_0000), (0x804, 0), (0x808, 0x41), (0x80c, 0)] {
        rig.store(Space::Memory, 0xc000_0000 + offset, 4, value);
    }
    expect![[r#"
        01:00.0 msix 0: pending
        guest   config_address <- 80002804
        guest   00:05.0 config command <- 0007
        01:00.0 msix 0: 00000041 to fee00000
    "#]]
    .assert_eq(&rig.transcript(|rig| {
        rig.store(Space::Memory, 0xc000_0004, 4, 0);
        assert!(rig.outside.messages.is_empty(), "the bridge may not master the bus for it");
        rig.set_config(BRIDGE, 0x04, 2, 0x7);
    }));
    rig.set_config(BRIDGE, 0x04, 2, 0);
    assert_ne!(rig.config(NEAR, 0x00, 2), 0xffff, "configuration accesses always pass");
}

#[test]
fn isa_enable_keeps_the_upper_ports_of_each_kib_on_the_near_side() {
    let mut rig = one_bridge();
    for (base, passes) in [(0xc000, true), (0xc080, true), (0xc100, false), (0xc200, false)] {
        rig.set_config(BRIDGE, 0x3e, 2, 0x0004);
        rig.set_config(NEAR, 0x10, 4, base);
        assert_eq!(rig.load(Space::Port, base, 4).is_some(), passes, "port {base:#x}");
        rig.set_config(BRIDGE, 0x3e, 2, 0);
        assert!(rig.load(Space::Port, base, 4).is_some());
    }
}

#[test]
fn config_accesses_are_routed_by_secondary_and_subordinate_number() {
    let mut rig = two_bridges();
    let vendor = |rig: &mut Rig, at| rig.config(at, 0x00, 2);
    assert_eq!(rig.config(BRIDGE, 0x18, 4), 0x0002_0100);
    assert_eq!(rig.config(at(1, 2, 0), 0x18, 4), 0x0002_0201);
    assert_eq!(vendor(&mut rig, NEAR), 0x1234);
    assert_eq!(vendor(&mut rig, at(1, 2, 0)), 0x1b36);
    assert_eq!(vendor(&mut rig, FAR), 0x1234);
    for absent in [at(1, 0, 1), at(1, 1, 0), at(2, 7, 0), at(2, 0, 0), at(3, 7, 3)] {
        assert_eq!(vendor(&mut rig, absent), 0xffff, "{absent}");
    }
    // Subordinate 1: bus 2 is beyond.
    rig.set_config(BRIDGE, 0x1a, 1, 1);
    assert_eq!(vendor(&mut rig, FAR), 0xffff);
    assert_eq!(vendor(&mut rig, NEAR), 0x1234);
    // The same functions under other numbers.
    rig.set_config(BRIDGE, 0x18, 4, 0x00ff_4000);
    rig.set_config(at(0x40, 2, 0), 0x18, 4, 0x0080_8040);
    assert_eq!(vendor(&mut rig, at(0x40, 0, 0)), 0x1234);
    assert_eq!(vendor(&mut rig, at(0x80, 7, 3)), 0x1234);
    assert_eq!(vendor(&mut rig, NEAR), 0xffff);
    // Two windows deep, and known by its new number.
    let answer = Probe::answer(at(0x80, 7, 3), 1, 0);
    assert_eq!(rig.load(Space::Memory, 0xc000_0000, 4), Some(answer & 0xffff_ffff));
}

#[test]
fn without_numbers_nothing_is_behind_it() {
    let bus = PciBus::new(vec![bridge(BRIDGE, vec![endpoint(NEAR)])]);
    let mut rig = Rig::on(bus.placed(Placement::Unassigned));
    assert_eq!(rig.config(BRIDGE, 0x18, 4), 0);
    assert_eq!(rig.config(BRIDGE, 0x04, 2), 0);
    assert_eq!(rig.config(NEAR, 0x00, 2), 0xffff);
    assert_eq!(reached(&mut rig), [false; 3]);
    rig.set_config(BRIDGE, 0x18, 4, 0x0003_0300);
    assert_eq!(rig.config(at(3, 0, 0), 0x00, 2), 0x1234);
    assert_eq!(rig.config(at(3, 0, 0), 0x04, 2), 0, "the function was reset as well");
}

#[test]
fn secondary_bus_reset_silences_the_bus_and_resets_its_functions() {
    let mut rig = two_bridges();
    rig.set_config(BRIDGE, 0x3e, 2, 0x0040);
    assert_eq!(rig.config(NEAR, 0x00, 2), 0xffff);
    assert_eq!(reached(&mut rig), [false; 3]);
    rig.set_config(BRIDGE, 0x3e, 2, 0);
    assert_eq!(rig.config(NEAR, 0x04, 2), 0);
    assert_eq!(rig.config(NEAR, 0x10, 4), 0);
    assert_eq!(rig.config(at(1, 2, 0), 0x18, 4), 0, "and the bridge behind it");
    rig.set_config(at(1, 2, 0), 0x18, 4, 0x0002_0201);
    assert_eq!(rig.config(FAR, 0x04, 2), 0, "and what is behind that");
}

#[test]
fn its_registers_are_named_by_the_type_1_header() {
    let mut rig = one_bridge();
    expect![[r#"
        guest   config_address <- 80002818
        guest   00:05.0 config primary_bus <- 00050500
        guest   config_address <- 8000281c
        guest   00:05.0 config io_limit -> c0
        guest   00:05.0 ecam memory_base -> c000
        guest   00:05.0 ecam prefetchable_limit_high+2 -> 0000
        guest   00:05.0 ecam bridge_control -> 0000
        guest   05:00.0 ecam bar1 -> c0000000
    "#]]
    .assert_eq(&rig.transcript(|rig| {
        rig.set_config(BRIDGE, 0x18, 4, 0x0005_0500);
        rig.config(BRIDGE, 0x1d, 1);
        for (offset, width) in [(0x20, 2), (0x2e, 2), (0x3e, 2)] {
            rig.load(Space::Memory, Rig::ecam(BRIDGE, offset), width);
        }
        rig.load(Space::Memory, Rig::ecam(at(5, 0, 0), 0x14), 4);
    }));
}
