use super::super::super::End;
use super::super::super::testing::{BLOCK, Transcript};
use crate::register::{CapabilityKind, ConfigHeader};
use crate::{Access, Bdf, Effect, Event, MemoryKind, Refusal, Register, Setting, Space};

fn bar(function: Bdf, index: u16) -> Register {
    Transcript::config(function, 0x10 + 4 * index, None)
}

fn command(function: Bdf) -> Register {
    Transcript::header(function, ConfigHeader::Command)
}

/// Sizes a BAR as it should be done.
fn size(driver: &mut Transcript, function: Bdf, index: u16, value: u64, answer: u64) {
    driver.load(bar(function, index), 4, value);
    driver.store(bar(function, index), 4, 0xffff_ffff);
    driver.load(bar(function, index), 4, answer);
    driver.store(bar(function, index), 4, value);
}

fn quiet(function: Bdf) -> Transcript {
    let mut driver = Transcript::new();
    driver.load(command(function), 2, 3);
    driver.store(command(function), 2, 0);
    driver
}

#[test]
fn decode_is_off_while_a_bar_is_sized() {
    let mut driver = quiet(BLOCK);
    size(&mut driver, BLOCK, 0, 0xc001, 0xffff_ffc1);
    size(&mut driver, BLOCK, 4, 0xfe00_000c, 0xffff_c00c);
    size(&mut driver, BLOCK, 5, 0, 0xffff_ffff);
    driver.store(command(BLOCK), 2, 3);
    driver.keeps("P05", 3);
    driver.load(bar(BLOCK, 4), 4, 0xfe00_000c);
    driver.store(bar(BLOCK, 4), 4, 0xffff_fff0);
    driver.breaks("P05", &["BAR4 sized while COMMAND is 0x0003"]);
}

#[test]
fn the_value_is_back_before_decode_is_on() {
    let mut driver = quiet(BLOCK);
    driver.load(bar(BLOCK, 0), 4, 0xfebc_0000);
    driver.store(bar(BLOCK, 0), 4, 0xffff_ffff);
    driver.load(bar(BLOCK, 0), 4, 0xffff_f000);
    // One that is not there keeps nothing.
    driver.load(bar(BLOCK, 1), 4, 0);
    driver.store(bar(BLOCK, 1), 4, 0xffff_ffff);
    driver.load(bar(BLOCK, 1), 4, 0);
    driver.store(command(BLOCK), 2, 2);
    driver.breaks("P05", &["COMMAND 0x0002 while BAR0 has ones"]);
}

#[test]
fn what_is_decoded_is_known_or_nothing() {
    let mut cold = Transcript::new();
    size(&mut cold, BLOCK, 0, 0, 0xffff_f000);
    cold.keeps("P05", 1);
    let mut warm = Transcript::new();
    size(&mut warm, BLOCK, 0, 0xfebc_0000, 0xffff_f000);
    warm.breaks("P05", &["BAR0 sized and COMMAND not looked at"]);
    let host = Bdf::new(0, 0, 0);
    let mut bridge = Transcript::new();
    bridge.load(Transcript::header(host, ConfigHeader::RevisionId), 4, 0x0600_0002);
    bridge.load(command(host), 2, 3);
    size(&mut bridge, host, 0, 8, 0xfc00_0008);
    bridge.keeps("P05", 0);
}

/// A driver whose structures are in BAR 4.
fn structured() -> Transcript {
    let mut driver = quiet(BLOCK);
    let common = |inside: u16| {
        Transcript::config(BLOCK, 0x40 + inside, Some((CapabilityKind::Virtio(1), 0x40)))
    };
    driver.load(common(4), 1, 4);
    driver.load(common(8), 4, 0);
    driver.load(common(12), 4, 0x38);
    driver
}

#[test]
fn a_wide_bar_has_two_halves() {
    let driven = |halves: u16, sized: bool| {
        let mut driver = structured();
        for (index, value) in [(4, 0xfe00_000c), (5, 0)].into_iter().take(halves.into()) {
            if sized {
                size(&mut driver, BLOCK, index, value, 0xffff_c00c);
            } else {
                driver.load(bar(BLOCK, index), 4, value);
            }
        }
        driver.status(&[0, 1, 3, 0x0b, 0x0f]);
        driver
    };
    for sized in [false, true] {
        driven(2, sized).keeps("P08", 1);
        driven(1, sized).breaks("P08", &["BAR4 without BAR5"]);
    }
}

#[test]
fn bars_have_places_of_their_own() {
    let other = Bdf::new(0, 5, 0);
    let placed = |at: u64| {
        let mut driver = quiet(BLOCK);
        driver.guest(Event::Memory { kind: MemoryKind::Ram, start: 0, len: 0x400_0000 });
        size(&mut driver, other, 0, 0xfe00_0000, 0xffff_f000);
        driver.store(command(other), 2, 2);
        size(&mut driver, BLOCK, 0, 0, 0xffff_c000);
        driver.store(bar(BLOCK, 0), 4, at);
        driver.store(command(BLOCK), 2, 2);
        driver
    };
    placed(0xfe00_4000).keeps("P10", 2);
    placed(0xfe00_0000).breaks("P10", &["BAR0 at 0xfe000000, where BAR0 of 00:05.0 is"]);
    placed(0xfe00_5000).breaks("P10", &["BAR0 of 0x4000 bytes at 0xfe005000"]);
    placed(0x0010_0000).breaks("P10", &["BAR0 at 0x100000"]);
}

#[test]
fn a_bar_is_decoded_when_it_is_accessed() {
    let accessed = |enable: u64| {
        let mut driver = quiet(BLOCK);
        size(&mut driver, BLOCK, 0, 0xfebc_0000, 0xffff_f000);
        driver.store(command(BLOCK), 2, enable);
        let place = Register::Unclaimed { space: Space::Memory, address: 0xfebc_0ffc };
        let beyond = Register::Unclaimed { space: Space::Memory, address: 0xfebc_1000 };
        for place in [place, beyond] {
            driver.refused(place, Access::Load { width: 1, value: 0xff }, Refusal::Unclaimed);
        }
        driver.status(&[0, 1, 3, 0x0b, 0x0f]);
        driver
    };
    accessed(2).keeps("P11", 1);
    accessed(4).breaks("P11", &["an access to BAR0 of 00:04.0"]);
    let mut unplaced = quiet(BLOCK);
    size(&mut unplaced, BLOCK, 0, 0, 0xffff_f000);
    unplaced.store(command(BLOCK), 2, 2);
    unplaced.breaks("P11", &["memory decoded, and BAR0 is 0"]);
}

#[test]
fn narrow_and_large_bars_are_no_reason_to_fail() {
    for (rule, setting, value) in
        [("P06", Setting::NarrowPorts, 1), ("P09", Setting::BarSize, 8 << 30)]
    {
        let mut driver = Transcript::new();
        let effect = Box::new(Effect::Machine { setting, value });
        driver.device(Event::Fault { fault: "machine".into(), effect });
        driver.load(Transcript::header(BLOCK, ConfigHeader::VendorId), 4, 0x1042_1af4);
        driver.end = End::Failure;
        driver.breaks(rule, &["00:04.0 is not driven"]);
        driver.status(&[0, 1, 3, 0x0b, 0x0f]);
        driver.keeps(rule, 1);
    }
}
