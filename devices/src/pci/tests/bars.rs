//! Base address registers: what they are sized to, what they claim, and who wins.

use super::*;

const F: Bdf = at(0, 3, 0);

fn loads(rig: &mut Rig, space: Space, address: u64) -> Option<u64> {
    rig.load(space, address, 1)
}

#[test]
fn every_kind_of_bar_is_sized_by_all_ones_and_by_the_mask_of_its_address_bits() {
    // Kind, size, and the registers after all ones were stored.
    let table: &[(BarKind, u64, u32, u32)] = &[
        (BarKind::Io, 4, 0xffff_fffd, 0),
        (BarKind::Io, 0x80, 0xffff_ff81, 0),
        (BarKind::Io, 0x100, 0xffff_ff01, 0),
        (BarKind::Io16, 0x20, 0x0000_ffe1, 0),
        (BarKind::Io16, 0x100, 0x0000_ff01, 0),
        (BarKind::Memory32, 0x10, 0xffff_fff0, 0),
        (BarKind::Memory32, 0x1000, 0xffff_f000, 0),
        (BarKind::Memory32, 1 << 31, 0x8000_0000, 0),
        (BarKind::Memory64, 0x10, 0xffff_fffc, 0xffff_ffff),
        (BarKind::Memory64, 0x4000, 0xffff_c00c, 0xffff_ffff),
        (BarKind::Memory64, 1 << 32, 0x0000_000c, 0xffff_ffff),
        (BarKind::Memory64, 8 << 30, 0x0000_000c, 0xffff_fffe),
        (BarKind::Memory64, 1 << 63, 0x0000_000c, 0x8000_0000),
    ];
    for &(kind, size, low, high) in table {
        let mut rig = Rig::new(vec![Probe::plugged(F, Probe::config().with_bar(2, kind, size, 0))]);
        let original = rig.config(F, 0x18, 4);
        let flags_mask = if kind.is_io() { 0x3 } else { 0xf };
        for probe in [0xffff_ffff, 0xffff_ffff & !flags_mask] {
            rig.set_config(F, 0x18, 4, probe);
            rig.set_config(F, 0x1c, 4, 0xffff_ffff);
            let sized = (rig.config(F, 0x18, 4), rig.config(F, 0x1c, 4));
            assert_eq!(sized, (low.into(), high.into()), "{kind:?} of {size:#x} bytes");
        }
        rig.set_config(F, 0x18, 4, original);
        assert_eq!(rig.config(F, 0x18, 4), original);
        for byte in 0..4 {
            rig.set_config(F, 0x18 + byte, 1, 0xff);
        }
        assert_eq!(rig.config(F, 0x18, 4), u64::from(low), "byte by byte");
    }
}

#[test]
fn each_decode_bit_of_command_gates_its_own_space() {
    let config = Probe::config().with_bar(0, BarKind::Io, 0x40, 0xc000).with_bar(
        1,
        BarKind::Memory32,
        0x1000,
        0xc000_0000,
    );
    let mut rig = Rig::new(vec![Probe::plugged(F, config)]);
    for (command, io, memory) in
        [(0, false, false), (1, true, false), (2, false, true), (3, true, true), (4, false, false)]
    {
        rig.set_config(F, 0x04, 2, command);
        assert_eq!(loads(&mut rig, Space::Port, 0xc010).is_some(), io, "command {command:#x}");
        assert_eq!(loads(&mut rig, Space::Memory, 0xc000_0010).is_some(), memory, "{command:#x}");
    }
    rig.set_config(F, 0x04, 2, 3);
    assert_eq!(loads(&mut rig, Space::Port, 0xc000_0010), None, "memory's address is no port");
    assert_eq!(loads(&mut rig, Space::Memory, 0xc010), None, "nor the other way round");
}

#[test]
fn a_bar_claims_exactly_its_bytes_wherever_it_is_moved() {
    let config = Probe::config().with_bar(4, BarKind::Memory64, 0x4000, 0xfe00_0000);
    let mut rig = Rig::new(vec![Probe::plugged(F, config)]);
    let places = [
        0xfe00_0000_u64,
        0,
        0x4000,
        0xc000_0000,
        0xffff_c000,
        0x1_0000_0000,
        0x40_0000_0000,
        0x8000_0000_0000_0000,
        0xffff_ffff_ffff_c000,
    ];
    for base in places {
        rig.set_config(F, 0x20, 4, base & 0xffff_ffff);
        rig.set_config(F, 0x24, 4, base >> 32);
        let answer = |offset| Some(Probe::answer(F, 4, offset) & 0xff);
        assert_eq!(loads(&mut rig, Space::Memory, base), answer(0), "{base:#x}");
        assert_eq!(loads(&mut rig, Space::Memory, base + 0x3fff), answer(0x3fff), "{base:#x}");
        assert_eq!(rig.load(Space::Memory, base + 0x3ffc, 8), None, "over the end, {base:#x}");
        if let Some(before) = base.checked_sub(1) {
            assert_eq!(loads(&mut rig, Space::Memory, before), None, "{base:#x}");
        }
        if let Some(after) = base.checked_add(0x4000) {
            assert_eq!(loads(&mut rig, Space::Memory, after), None, "{base:#x}");
        }
    }
}

#[test]
fn a_64_bit_bar_is_somewhere_between_its_two_halves_being_stored() {
    let config = Probe::config().with_bar(0, BarKind::Memory64, 0x1000, 0xc000_0000);
    let mut rig = Rig::new(vec![Probe::plugged(F, config)]);
    rig.set_config(F, 0x14, 4, 0x20);
    assert_eq!(loads(&mut rig, Space::Memory, 0xc000_0000), None);
    assert!(loads(&mut rig, Space::Memory, 0x20_c000_0000).is_some());
}

#[test]
fn of_overlapping_ranges_the_lowest_function_and_its_lowest_bar_answer() {
    let two = |at| {
        let config = Probe::config().with_bar(0, BarKind::Memory32, 0x1000, 0xc000_0000);
        Probe::plugged(at, config.with_bar(1, BarKind::Memory32, 0x2000, 0xc000_0000))
    };
    // Given out of order: what counts is the address on the bus.
    let mut rig = Rig::new(vec![two(at(0, 5, 0)), two(at(0, 4, 1)), two(at(0, 4, 0))]);
    let first = Probe::answer(at(0, 4, 0), 0, 0);
    assert_eq!(rig.load(Space::Memory, 0xc000_0000, 4), Some(first));
    let second = Probe::answer(at(0, 4, 0), 1, 0);
    assert_eq!(rig.load(Space::Memory, 0xc000_1000, 4), Some(second));
    rig.set_config(at(0, 4, 0), 0x04, 2, 0);
    let next = Probe::answer(at(0, 4, 1), 0, 0);
    assert_eq!(rig.load(Space::Memory, 0xc000_0000, 4), Some(next));
}

#[test]
fn the_configuration_ports_and_window_win_over_any_bar() {
    let config = Probe::config().with_bar(0, BarKind::Io, 0x100, 0x0c00).with_bar(
        1,
        BarKind::Memory32,
        0x1000_0000,
        ECAM.start,
    );
    let mut rig = Rig::new(vec![Probe::plugged(F, config)]);
    assert_eq!(rig.load(Space::Memory, Rig::ecam(F, 0), 4), Some(0x5678_1234));
    rig.select(F, 0);
    assert_eq!(rig.load(Space::Port, 0xcfc, 4), Some(0x5678_1234));
    let byte = Some(Probe::answer(F, 0, 0xf8) & 0xff);
    assert_eq!(rig.load(Space::Port, 0xcf8, 1), byte, "no doubleword is ordinary I/O");
}

#[test]
fn unplaced_functions_answer_nothing_but_configuration_accesses() {
    let bus = || {
        let config = Probe::config().with_interrupt_pin(Pin::A);
        PciBus::new(vec![Probe::plugged(
            F,
            config.with_bar(0, BarKind::Io, 0x40, 0xc000).with_bar(
                4,
                BarKind::Memory64,
                0x4000,
                0xfe00_0000,
            ),
        )])
    };
    let mut rig = Rig::on(bus().placed(crate::pci::Placement::Unassigned));
    assert_eq!(rig.config(F, 0x04, 2), 0);
    assert_eq!(rig.config(F, 0x10, 4), 0x1);
    assert_eq!((rig.config(F, 0x20, 4), rig.config(F, 0x24, 4)), (0xc, 0));
    assert_eq!((rig.config(F, 0x3c, 1), rig.config(F, 0x3d, 1)), (0, 1));
    rig.set_config(F, 0x24, 4, 0x10);
    rig.set_config(F, 0x04, 2, 2);
    assert!(loads(&mut rig, Space::Memory, 0x10_0000_0000).is_some());

    let mut rig = Rig::on(bus().placed(crate::pci::Placement::Warm));
    assert_eq!(rig.config(F, 0x04, 2), 0x0107);
    assert!(loads(&mut rig, Space::Memory, 0xfe00_0000).is_some());
}
