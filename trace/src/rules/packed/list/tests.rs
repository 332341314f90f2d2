use crate::rules::testing::Transcript;
use crate::{DescriptorFlags, Event, Ring, Table};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
/// Available in the first lap.
const AVAIL: u16 = 1 << 7;

/// A device with a packed queue of 4 and these features of the first window.
fn device(features: u32) -> Transcript {
    let mut device = Transcript::new();
    device.negotiate([features, 5], [features, 5]);
    device.enable(0, 4);
    device.status(&[0x0f]);
    device
}

/// The device reads a descriptor.
fn read(device: &mut Transcript, table: Table, index: u16, len: u32, flags: u16) {
    let (addr, flags) = (0x2000, DescriptorFlags(flags));
    device.device(Event::PackedDescriptor { queue: 0, table, index, addr, len, id: 9, flags });
}

fn slot(device: &mut Transcript, index: u16, flags: u16) {
    read(device, Table::Queue, index, 16, flags | AVAIL);
}

fn used(device: &mut Transcript, slot: u16) {
    let flags = DescriptorFlags(0);
    device.device(Event::PackedUsed { queue: 0, slot, id: 9, len: 0, flags });
}

#[test]
fn a_right_list_keeps_every_rule() {
    let mut device = device(0);
    slot(&mut device, 0, NEXT);
    slot(&mut device, 1, NEXT | WRITE);
    slot(&mut device, 2, WRITE);
    for rule in ["D2.8.17-a", "D2.8.17-b", "D2.8.17-c", "D2.8.17-d", "D2.8.19-a"] {
        device.keeps(rule, 1);
    }
    // The next one is not available: that is no part of this list.
    device.ring(Ring::DescriptorFlags(3), 0);
    device.keeps("D2.8.17-d", 1);
}

#[test]
fn a_list_is_no_longer_than_the_queue() {
    let mut long = device(0);
    for index in 0..4 {
        slot(&mut long, index, NEXT);
    }
    long.breaks("D2.8.17-a", &["4 and more"]);
    let mut whole = device(0);
    for index in 0..3 {
        slot(&mut whole, index, NEXT);
    }
    slot(&mut whole, 3, 0);
    whole.keeps("D2.8.17-a", 1);
    let mut table = device(1 << 28);
    read(&mut table, Table::Queue, 0, 5 * 16, INDIRECT | AVAIL);
    table.breaks("D2.8.17-a", &["5"]);
}

#[test]
fn a_readable_buffer_does_not_follow_a_writable_one() {
    let mut device = device(0);
    slot(&mut device, 0, NEXT | WRITE);
    slot(&mut device, 1, 0);
    device.breaks("D2.8.17-b", &["desc[1], which is readable"]);
}

#[test]
fn a_list_does_not_lie_over_one_that_is_not_used() {
    let mut device = device(0);
    slot(&mut device, 0, 0);
    device.notify(0);
    slot(&mut device, 0, 0);
    device.breaks("D2.8.17-c", &["slot 0, which is not used"]);
}

#[test]
fn a_slot_that_was_given_back_is_free() {
    let mut device = device(0);
    slot(&mut device, 0, 0);
    used(&mut device, 0);
    device.notify(0);
    slot(&mut device, 0, 0);
    device.keeps("D2.8.17-c", 2);
}

#[test]
fn the_rest_of_a_list_is_available_when_its_first_descriptor_is() {
    let mut device = device(0);
    slot(&mut device, 0, NEXT);
    device.ring(Ring::DescriptorFlags(1), 0);
    device.breaks("D2.8.17-d", &["slot 1, which is not"]);
}

#[test]
fn indirect_is_negotiated_alone_and_flat() {
    let mut unasked = device(0);
    slot(&mut unasked, 0, INDIRECT);
    unasked.breaks("D2.8.19-a", &["desc[0] with flags 0x0084"]);
    let mut in_list = device(1 << 28);
    slot(&mut in_list, 0, NEXT);
    slot(&mut in_list, 1, INDIRECT);
    in_list.breaks("D2.8.19-a", &["desc[1] with flags 0x0084"]);
    let mut flat = device(1 << 28);
    read(&mut flat, Table::Queue, 0, 32, INDIRECT | AVAIL);
    read(&mut flat, Table::Indirect, 0, 16, 0);
    read(&mut flat, Table::Indirect, 1, 16, WRITE);
    flat.keeps("D2.8.19-a", 1);
    flat.keeps("D2.8.17-a", 1);
    let mut linked = device(1 << 28);
    read(&mut linked, Table::Queue, 0, 32, INDIRECT | AVAIL);
    read(&mut linked, Table::Indirect, 0, 16, NEXT);
    linked.breaks("D2.8.19-a", &["indirect[0] with flags 0x0001"]);
}
