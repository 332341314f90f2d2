use crate::rules::testing::Transcript;
use crate::{Area, DescriptorFlags, Event, Table};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const AVAIL: u16 = 1 << 7;
const USED: u16 = 1 << 15;

/// A driver of a packed queue of 4.
fn driver() -> Transcript {
    let mut driver = Transcript::new();
    driver.negotiate([0, 5], [0, 5]);
    driver.enable(0, 4);
    driver.status(&[0x0f]);
    driver
}

/// The driver stores a descriptor but for its flags.
fn body(driver: &mut Transcript, slot: u32) {
    driver.ram(Area::PackedDesc, 16 * slot, 8, 0x2000);
    driver.ram(Area::PackedDesc, 16 * slot + 8, 4, 16);
    driver.ram(Area::PackedDesc, 16 * slot + 12, 2, 0);
}

fn flags(driver: &mut Transcript, slot: u32, flags: u16) {
    driver.ram(Area::PackedDesc, 16 * slot + 14, 2, flags.into());
}

/// The device reads a descriptor.
fn read(device: &mut Transcript, index: u16, flags: u16) {
    let (addr, len, flags, table) = (0x2000, 16, DescriptorFlags(flags), Table::Queue);
    device.device(Event::PackedDescriptor { queue: 0, table, index, addr, len, id: 0, flags });
}

fn used(device: &mut Transcript, slot: u16) {
    let flags = DescriptorFlags(AVAIL | USED);
    device.device(Event::PackedUsed { queue: 0, slot, id: 0, len: 0, flags });
}

/// Three lists of two in a ring of four: the second lap begins with the third.
#[test]
fn lists_whose_first_flags_come_last_keep_every_rule() {
    let mut driver = driver();
    for (first, available) in [(0, AVAIL), (2, AVAIL), (0, USED)] {
        body(&mut driver, first);
        body(&mut driver, first + 1);
        flags(&mut driver, first + 1, WRITE | available);
        flags(&mut driver, first, NEXT | available);
        driver.notify(0);
        read(&mut driver, first as u16, NEXT | available);
        read(&mut driver, first as u16 + 1, WRITE | available);
        used(&mut driver, first as u16);
    }
    driver.keeps("D2.8.21.1.1-a", 3);
    driver.keeps("D2.8.17-d", 0);
    driver.keeps("D2.8.16-a", 3);
    driver.keeps("D2.8.16-b", 3);
    driver.keeps("D3.3.1-a", 3);
}

#[test]
fn the_first_descriptor_is_not_available_before_the_others() {
    let mut driver = driver();
    body(&mut driver, 0);
    body(&mut driver, 1);
    flags(&mut driver, 0, NEXT | AVAIL);
    driver.breaks("D2.8.17-d", &["the first one is"]);
    flags(&mut driver, 1, WRITE | AVAIL);
    driver.breaks("D2.8.21.1.1-a", &["a store to slot 1 behind them"]);
}

#[test]
fn nothing_of_a_list_is_stored_behind_its_flags() {
    let mut driver = driver();
    flags(&mut driver, 0, AVAIL);
    driver.ram(Area::PackedDesc, 8, 4, 16);
    driver.breaks("D2.8.21.1.1-a", &["a store to slot 0 behind them"]);
    driver.breaks("D2.8.16-b", &["one to slot 0, which is available"]);
    driver.keeps("D2.8.16-a", 0);
    driver.breaks("D3.3.1-a", &["one to desc[0].len, which is available"]);
}

#[test]
fn a_descriptor_that_the_device_has_taken_is_left_alone() {
    let mut driver = driver();
    body(&mut driver, 0);
    flags(&mut driver, 0, AVAIL);
    read(&mut driver, 0, AVAIL);
    driver.ram(Area::PackedDesc, 0, 8, 0x3000);
    driver.breaks("D2.8.16-a", &["a store to slot 0, which the device has"]);
    driver.breaks("D2.8.16-b", &["one to slot 0, which is available"]);
    driver.keeps("D2.8.21.1.1-a", 1);
}

#[test]
fn flags_of_the_lap_before_make_nothing_available() {
    let mut driver = driver();
    flags(&mut driver, 0, USED);
    body(&mut driver, 0);
    driver.keeps("D2.8.16-b", 0);
    // One store may have all that is not the address.
    driver.ram(Area::PackedDesc, 8, 8, u64::from(AVAIL) << 48 | 16);
    driver.keeps("D2.8.21.1.1-a", 1);
    body(&mut driver, 0);
    assert_eq!(driver.judged("D2.8.16-b").1.len(), 3);
}

#[test]
fn the_event_suppression_structure_is_the_drivers() {
    let mut driver = driver();
    flags(&mut driver, 0, AVAIL);
    driver.ram(Area::DriverEvent, 0, 2, 0);
    driver.ram(Area::DriverEvent, 2, 2, 1);
    driver.keeps("D2.8.16-b", 0);
    driver.keeps("D3.3.1-a", 0);
}
