use crate::rules::testing::{BLOCK, Transcript};
use crate::{DescriptorFlags, Event, Ring, Table};

const NEXT: u16 = 1;
const WRITE: u16 = 2;
const INDIRECT: u16 = 4;
const INDIRECT_DESC: u32 = 1 << 28;

/// A device with a queue of 8, which takes a chain that begins at `head`.
fn taking(features: u32, head: u16) -> Transcript {
    let mut device = Transcript::driven(features);
    device.notify(0);
    device.ring(Ring::AvailIdx, 1);
    device.ring(Ring::AvailRing(0), head);
    device
}

/// The device reads an entry of an indirect table.
fn entry(device: &mut Transcript, index: u16, flags: u16, next: u16) {
    let flags = DescriptorFlags(flags);
    let (table, addr, len) = (Table::Indirect, 0x5000, 512);
    device.device(Event::Descriptor { queue: 0, table, index, addr, len, flags, next });
}

/// A header, data and a status, as they should be.
fn request(device: &mut Transcript) {
    device.desc(0, 0x2000, 16, NEXT, 1);
    device.desc(1, 0x3000, 512, NEXT | WRITE, 2);
    device.desc(2, 0x2010, 1, WRITE, 0xdead);
}

#[test]
fn a_right_chain_keeps_every_rule_that_applies_to_it() {
    let mut device = taking(0, 0);
    request(&mut device);
    for rule in ["D2.7.4.2-a", "D2.7.5.2-a", "I2.7.5-a", "I2.7.5-b", "D2.7.5.3.1-a"] {
        device.keeps(rule, 1);
    }
    device.keeps("D2.7.5.3.1-c", 1);
    for rule in ["D2.7.5.2-b", "D2.7.5.3.1-b", "D2.7.5.3.1-d", "D2.7.5.3.1-e"] {
        device.keeps(rule, 0);
    }
}

#[test]
fn a_readable_buffer_does_not_follow_a_writable_one() {
    let mut device = taking(0, 0);
    device.desc(0, 0x2000, 16, NEXT | WRITE, 1);
    device.desc(1, 0x3000, 512, NEXT, 2);
    device.breaks("D2.7.4.2-a", &["desc[1], which is readable"]);
}

#[test]
fn the_write_flag_of_an_indirect_descriptor_means_nothing() {
    let mut device = taking(INDIRECT_DESC, 0);
    device.desc(0, 0x5000, 32, INDIRECT | WRITE, 0);
    entry(&mut device, 0, NEXT, 1);
    entry(&mut device, 1, WRITE, 0);
    device.keeps("D2.7.4.2-a", 1);
    device.keeps("D2.7.5.3.1-a", 1);
    device.keeps("D2.7.5.3.1-b", 1);
    device.keeps("D2.7.5.3.1-d", 1);
    device.keeps("D2.7.5.3.1-c", 1);
}

#[test]
fn a_chain_that_never_ends_has_a_loop() {
    let mut device = taking(0, 0);
    for index in 0..8 {
        device.desc(index % 3, 0x2000, 16, NEXT, (index + 1) % 3);
    }
    let again: Vec<_> = [0, 1, 2, 0, 1].map(|index| format!("desc[{index}] once more")).into();
    assert_eq!(device.judged("D2.7.5.2-a").1, again);
    device.breaks("D2.7.5.3.1-c", &["8 and more"]);
}

#[test]
fn a_chain_that_takes_all_descriptors_and_goes_on_has_a_loop() {
    let mut device = Transcript::new();
    device.negotiate([0, 1], [0, 1]);
    device.enable(0, 128);
    device.status(&[0x0f]);
    device.ring(Ring::AvailIdx, 1);
    device.ring(Ring::AvailRing(0), 0);
    for index in 0..128 {
        device.desc(index, 0x2000, 16, NEXT, (index + 1) % 128);
    }
    device.breaks("D2.7.5.2-a", &["desc[127] goes on, as all before"]);
}

#[test]
fn a_table_whose_last_entry_goes_on_has_a_loop() {
    let mut device = taking(INDIRECT_DESC, 0);
    device.desc(0, 0x5000, 32, INDIRECT, 0);
    entry(&mut device, 0, NEXT, 1);
    entry(&mut device, 1, NEXT, 0);
    device.breaks("D2.7.5.2-a", &["indirect[1] goes on, as all before"]);
}

#[test]
fn a_chain_has_no_more_than_4_gib() {
    let mut device = taking(0, 0);
    device.desc(0, 0x2000, 1, NEXT, 1);
    device.desc(1, 0x3000, u32::MAX, WRITE, 0);
    device.keeps("D2.7.5.2-a", 1);
    let mut device = taking(0, 0);
    device.desc(0, 0x2000, 2, NEXT, 1);
    device.desc(1, 0x3000, u32::MAX, WRITE, 0);
    device.breaks("D2.7.5.2-a", &["4294967297 bytes"]);
}

#[test]
fn a_chain_in_a_table_is_no_longer_than_the_queue_either() {
    let mut device = taking(INDIRECT_DESC, 0);
    device.desc(0, 0x5000, 9 * 16, INDIRECT, 0);
    for index in 0..8 {
        entry(&mut device, index, NEXT, index + 1);
    }
    device.breaks("D2.7.5.3.1-c", &["8 and more"]);
    device.keeps("D2.7.5.2-a", 0);
}

#[test]
fn a_chain_as_long_as_the_queue_is_not_too_long() {
    let mut device = taking(0, 0);
    for index in 0..7 {
        device.desc(index, 0x2000, 16, NEXT, index + 1);
    }
    device.desc(7, 0x2000, 16, 0, 0);
    device.keeps("D2.7.5.3.1-c", 1);
    device.keeps("D2.7.5.2-a", 1);
}

#[test]
fn a_chain_goes_on_inside_the_table() {
    let mut device = taking(0, 0);
    device.desc(0, 0x2000, 16, NEXT, 8);
    device.breaks("I2.7.5-a", &["next 8"]);
    let mut device = taking(INDIRECT_DESC, 0);
    device.desc(0, 0x5000, 32, INDIRECT, 0);
    entry(&mut device, 0, NEXT, 2);
    device.breaks("I2.7.5-a", &["next 2"]);
}

#[test]
fn a_buffer_has_bytes() {
    let mut device = taking(0, 0);
    device.desc(0, 0x2000, 0, NEXT, 1);
    device.breaks("I2.7.5-b", &["desc[0] has length 0"]);
}

#[test]
fn indirect_is_negotiated() {
    let mut device = taking(0, 0);
    device.desc(0, 0x5000, 32, INDIRECT, 0);
    device.breaks("D2.7.5.3.1-a", &["desc[0] with flags 0x0004"]);
}

#[test]
fn indirect_descriptors_neither_nest_nor_go_on() {
    let mut device = taking(INDIRECT_DESC, 0);
    device.desc(0, 0x5000, 32, INDIRECT | NEXT, 1);
    device.breaks("D2.7.5.3.1-d", &["flags 0x0005"]);
    entry(&mut device, 0, INDIRECT, 0);
    device.breaks("D2.7.5.3.1-b", &["indirect[0] with flags 0x0004"]);
}

/// A device with IN_ORDER, which is in the second window.
fn in_order(head: u16) -> Transcript {
    let mut device = Transcript::new();
    device.negotiate([INDIRECT_DESC, 1 | 1 << 3], [INDIRECT_DESC, 1 | 1 << 3]);
    device.enable(0, 8);
    device.status(&[0x0f]);
    device.notify(0);
    device.ring(Ring::AvailIdx, 1);
    device.ring(Ring::AvailRing(0), head);
    device
}

#[test]
fn in_order_a_chain_goes_on_at_the_next_descriptor_and_round_the_end() {
    let mut device = in_order(6);
    device.desc(6, 0x2000, 16, NEXT, 7);
    device.desc(7, 0x2000, 16, NEXT, 0);
    device.desc(0, 0x2000, 16, NEXT, 2);
    device.breaks("D2.7.5.2-b", &["next 2"]);
    assert_eq!(device.judged("D2.7.5.2-b").0, 2);
}

#[test]
fn in_order_a_table_is_sequential() {
    let mut device = in_order(0);
    device.desc(0, 0x5000, 48, INDIRECT, 0);
    entry(&mut device, 0, NEXT, 1);
    entry(&mut device, 1, NEXT, 0);
    device.breaks("D2.7.5.3.1-e", &["next 0"]);
    assert_eq!(device.judged("D2.7.5.3.1-e").0, 1);
    device.keeps("D2.7.5.2-b", 0);
}

#[test]
fn a_finding_names_the_function_and_the_entry() {
    let mut device = taking(0, 0);
    device.desc(0, 0x2000, 0, NEXT, 1);
    let report = crate::rules::judge(device.entries(), device.end);
    let finding = report.findings.iter().find(|finding| finding.rule == "I2.7.5-b").unwrap();
    assert_eq!(finding.function, Some(BLOCK));
    assert_eq!(finding.seq, Some(device.entries().len() as u64 - 1));
}
