//! Configuration space through both mechanisms: every byte, width and alignment.

use expect_test::expect;

use super::*;
use crate::pci::Bridge;

const F: Bdf = at(0, 3, 0);

/// A function with one of everything.
fn full() -> (Bdf, Box<dyn Function>) {
    let config = Probe::config()
        .with_interrupt_pin(Pin::B)
        .with_bar(0, BarKind::Io16, 0x40, 0xc000)
        .with_bar(1, BarKind::Memory32, 0x1000, 0xc000_0000)
        .with_bar(2, BarKind::Memory64, 0x4000, 0x1_0000_0000);
    Probe::with_msix(F, config, 1)
}

/// The bits of each doubleword that a store changes, by the specification's tables.
const DEVICE_WRITABLE: [(u8, u32); 8] = [
    (0x04, 0x0000_0547),
    (0x0c, 0x0000_00ff),
    (0x10, 0x0000_ffc0),
    (0x14, 0xffff_f000),
    (0x18, 0xffff_c000),
    (0x1c, 0xffff_ffff),
    (0x3c, 0x0000_00ff),
    (0x40, 0xc000_0000),
];

const BRIDGE_WRITABLE: [(u8, u32); 10] = [
    (0x04, 0x0000_0547),
    (0x0c, 0x0000_00ff),
    (0x18, 0xffff_ffff),
    (0x1c, 0x0000_f0f0),
    (0x20, 0xfff0_fff0),
    (0x24, 0xfff0_fff0),
    (0x28, 0xffff_ffff),
    (0x2c, 0xffff_ffff),
    (0x3c, 0x0067_00ff),
    (0xfc, 0),
];

/// Every offset and width that fits into a doubleword, and both mechanisms.
fn accesses() -> impl Iterator<Item = (u8, u8, bool)> {
    (0..=255_u8).flat_map(|offset| {
        let widths = [1, 2, 4].into_iter().filter(move |width| offset % 4 + width <= 4);
        widths.flat_map(move |width| [(offset, width, false), (offset, width, true)])
    })
}

fn load(rig: &mut Rig, offset: u8, width: u8, ecam: bool) -> u64 {
    match ecam {
        false => rig.config(F, offset, width),
        true => rig.load(Space::Memory, Rig::ecam(F, offset.into()), width).unwrap(),
    }
}

fn store(rig: &mut Rig, offset: u8, width: u8, ecam: bool, value: u64) {
    match ecam {
        false => rig.set_config(F, offset, width, value),
        true => rig.store(Space::Memory, Rig::ecam(F, offset.into()), width, value).unwrap(),
    }
}

/// A store changes the writable bits of the bytes that it has, and no others.
fn check_masks(new: impl Fn() -> Rig, writable: &[(u8, u32)]) {
    for (offset, width, ecam) in accesses() {
        let mut rig = new();
        let start = offset & 0xfc;
        let mask = writable.iter().find(|(at, _)| *at == start).map_or(0, |(_, mask)| *mask);
        let lanes =
            (u64::from(crate::platform::all_ones(width) as u32) << (8 * (offset & 3))) as u32;
        let before = load(&mut rig, start, 4, false) as u32;
        for ones in [u32::MAX, 0, 0xa5a5_a5a5, 0x5a5a_5a5a] {
            let expected = before & !(mask & lanes) | ones & mask & lanes;
            store(&mut rig, offset, width, ecam, (ones >> (8 * (offset & 3))).into());
            let after = load(&mut rig, start, 4, ecam) as u32;
            assert_eq!(after, expected, "{width} bytes at {offset:#x}, ecam {ecam}, {ones:#x}");
            store(&mut rig, start, 4, ecam, before.into());
        }
    }
}

#[test]
fn a_store_changes_the_writable_bits_of_its_bytes_and_nothing_else() {
    check_masks(|| Rig::new(vec![full()]), &DEVICE_WRITABLE);
}

#[test]
fn so_it_does_to_a_bridge() {
    let new = || Rig::new(vec![(F, Box::new(Bridge::new(F, Vec::new())) as Box<dyn Function>)]);
    check_masks(new, &BRIDGE_WRITABLE);
}

#[test]
fn a_load_of_any_width_has_the_bytes_of_the_doubleword() {
    let mut rig = Rig::new(vec![full()]);
    for (offset, width, ecam) in accesses() {
        let whole = load(&mut rig, offset & 0xfc, 4, false);
        let expected = whole >> (8 * (offset & 3)) & crate::platform::all_ones(width);
        assert_eq!(load(&mut rig, offset, width, ecam), expected, "{width} at {offset:#x}");
    }
}

#[test]
fn an_access_that_leaves_its_doubleword_is_refused_by_both_mechanisms() {
    for (lane, width) in [(1, 4), (2, 4), (3, 4), (3, 2)] {
        let mut rig = Rig::new(vec![full()]);
        let before = rig.config(F, 0x04, 4);
        rig.select(F, 0x04);
        let all = Some(crate::platform::all_ones(width));
        let transcript = rig.transcript(|rig| {
            let ecam = Rig::ecam(F, 4 + lane);
            assert_eq!(rig.load(Space::Port, 0xcfc + lane, width), all);
            assert_eq!(rig.load(Space::Memory, ecam, width), all);
            rig.store(Space::Port, 0xcfc + lane, width, 0).unwrap();
            rig.store(Space::Memory, ecam, width, 0).unwrap();
        });
        assert_eq!(transcript.matches("refused: not aligned to a register").count(), 4);
        assert_eq!(rig.config(F, 0x04, 4), before);
    }
}

#[test]
fn config_address_is_a_doubleword_and_its_other_bytes_are_ordinary_ports() {
    let mut rig = Rig::new(vec![full()]);
    rig.select(F, 0x40);
    for (port, width) in [
        (0xcf8, 1),
        (0xcf9, 1),
        (0xcfa, 1),
        (0xcfb, 1),
        (0xcf8, 2),
        (0xcf9, 2),
        (0xcfa, 2),
        (0xcfb, 2),
        (0xcf9, 4),
        (0xcfa, 4),
        (0xcfb, 4),
        (0xcf5, 4),
        (0xcf8, 8),
    ] {
        assert_eq!(rig.store(Space::Port, port, width, 0), None, "{width} bytes at {port:#x}");
        assert_eq!(rig.load(Space::Port, port, width), None, "{width} bytes at {port:#x}");
        assert_eq!(rig.load(Space::Port, 0xcf8, 4), Some(0x8000_1840));
    }
    rig.store(Space::Port, 0xcf8, 4, 0xffff_ffff).unwrap();
    assert_eq!(rig.load(Space::Port, 0xcf8, 4), Some(0x80ff_fffc), "reserved bits are zero");
    rig.store(Space::Port, 0xcf8, 4, 0x7fff_ffff).unwrap();
    for port in 0xcfc..0xd00 {
        assert_eq!(rig.load(Space::Port, port, 1), None, "not enabled: an ordinary port");
    }
}

#[test]
fn the_window_reaches_every_bus_device_and_function_number() {
    let mut rig = Rig::new(vec![full()]);
    for target in [at(0, 0, 0), at(0, 3, 1), at(0, 31, 7), at(1, 3, 0), at(255, 31, 7)] {
        let address = Rig::ecam(target, 0);
        assert_eq!(rig.load(Space::Memory, address, 4), Some(0xffff_ffff));
        let last = rig.recorder.entries().last().map(ToString::to_string);
        assert_eq!(last, Some(format!("guest   {target} ecam vendor_id -> ffffffff")));
    }
    assert_eq!(rig.load(Space::Memory, ECAM.start - 1, 1), None);
    assert_eq!(rig.load(Space::Memory, ECAM.end, 1), None);
    assert_eq!(rig.load(Space::Memory, ECAM.end - 1, 1), Some(0xff));
}

#[test]
fn behind_256_bytes_the_window_has_nothing() {
    let mut rig = Rig::new(vec![full()]);
    expect![[r#"
        guest   00:03.0 ecam +ff -> 00
        guest   00:03.0 ecam +100 -> ffffffff refused: no register here
        guest   00:03.0 ecam +fff -> ff refused: no register here
        guest   00:03.0 ecam +100 <- 00000000 refused: no register here
        guest   00:04.0 ecam +100 -> ffffffff
        guest   00:03.0 ecam vendor_id -> ffffffffffffffff refused: the register has another width
    "#]]
    .assert_eq(&rig.transcript(|rig| {
        rig.load(Space::Memory, Rig::ecam(F, 0xff), 1);
        rig.load(Space::Memory, Rig::ecam(F, 0x100), 4);
        rig.load(Space::Memory, Rig::ecam(F, 0xfff), 1);
        rig.store(Space::Memory, Rig::ecam(F, 0x100), 4, 0);
        rig.load(Space::Memory, Rig::ecam(at(0, 4, 0), 0x100), 4);
        rig.load(Space::Memory, Rig::ecam(F, 0), 8);
    }));
}

#[test]
fn a_store_to_one_function_reaches_no_other_of_its_device() {
    let functions = (0..8).map(|function| memory(at(0, 3, function), 0xc000_0000)).collect();
    let mut rig = Rig::new(functions);
    rig.set_config(at(0, 3, 5), 0x3c, 1, 0x55);
    for function in 0..8 {
        let expected = if function == 5 { 0x55 } else { 0 };
        assert_eq!(rig.config(at(0, 3, function), 0x3c, 1), expected);
    }
}
