use crate::rules::testing::Transcript;
use crate::{Area, Effect, Ring};

/// The driver stores a chain of one descriptor.
fn desc(driver: &mut Transcript, index: u16) {
    driver.ram_desc(index, 0x2000, 16, 0, 0);
}

fn slot(driver: &mut Transcript, slot: u32, head: u64) {
    driver.ram(Area::Avail, 4 + 2 * slot, 2, head);
}

fn index(driver: &mut Transcript, idx: u64) {
    driver.ram(Area::Avail, 2, 2, idx);
}

/// The device takes the chain of one descriptor at `head`, and gives it back.
fn work(device: &mut Transcript, idx: u16, head: u16) {
    device.notify(0);
    device.ring(Ring::AvailIdx, idx);
    device.ring(Ring::AvailRing((idx - 1) % 8), head);
    device.desc(head, 0x2000, 16, 0, 0);
    device.used((idx - 1) % 8, head.into());
}

/// Round the ring, and further.
#[test]
fn descriptors_slot_and_index_in_this_order_keep_every_rule() {
    let mut driver = Transcript::driven(0);
    for idx in 1..=10 {
        desc(&mut driver, 0);
        slot(&mut driver, u32::from(idx - 1) % 8, 0);
        index(&mut driver, idx.into());
        work(&mut driver, idx, 0);
    }
    driver.keeps("D2.7.13.3.1-a", 10);
    driver.keeps("I2.7.13-a", 20);
    driver.keeps("D2.7.6.1-a", 10);
    driver.keeps("D3.3.1-a", 10);
    driver.keeps("I2.7.8-a", 10);
}

#[test]
fn several_chains_may_be_made_available_at_once() {
    let mut driver = Transcript::driven(0);
    for chain in 0..3 {
        desc(&mut driver, chain);
        slot(&mut driver, chain.into(), chain.into());
    }
    index(&mut driver, 3);
    driver.keeps("D2.7.13.3.1-a", 1);
    driver.keeps("I2.7.13-a", 1);
}

#[test]
fn a_slot_behind_its_index_is_late() {
    let mut driver = Transcript::driven(0);
    desc(&mut driver, 0);
    index(&mut driver, 1);
    slot(&mut driver, 0, 0);
    driver.breaks("D2.7.13.3.1-a", &["behind avail.idx = 0x0001"]);
}

#[test]
fn a_descriptor_behind_its_index_is_late() {
    let mut driver = Transcript::driven(0);
    driver.ram_desc(0, 0x2000, 16, 1, 1);
    slot(&mut driver, 0, 0);
    index(&mut driver, 1);
    driver.ram(Area::Desc, 16 + 8, 8, 0x0002_0000_0010);
    // The second descriptor belongs to the chain as soon as the first says so.
    driver.breaks("D2.7.13.3.1-a", &["behind avail.idx = 0x0001"]);
    driver.breaks("D3.3.1-a", &["one to desc[1].len, which is available"]);
}

#[test]
fn a_descriptor_of_a_chain_that_came_back_is_free() {
    let mut driver = Transcript::driven(0);
    desc(&mut driver, 0);
    slot(&mut driver, 0, 0);
    index(&mut driver, 1);
    work(&mut driver, 1, 0);
    desc(&mut driver, 0);
    driver.keeps("D2.7.13.3.1-a", 1);
    driver.keeps("D3.3.1-a", 1);
}

#[test]
fn a_descriptor_that_the_device_has_is_not_stored_to() {
    let mut driver = Transcript::driven(0);
    desc(&mut driver, 0);
    slot(&mut driver, 0, 0);
    index(&mut driver, 1);
    driver.notify(0);
    driver.ring(Ring::AvailIdx, 1);
    driver.ring(Ring::AvailRing(0), 0);
    driver.desc(0, 0x2000, 16, 0, 0);
    driver.ram(Area::Desc, 0, 8, 0x3000);
    driver.keeps("D2.7.13.3.1-a", 1);
    driver.breaks("D3.3.1-a", &["one to desc[0].addr, which is available"]);
}

#[test]
fn a_head_stands_in_the_slot_of_its_index() {
    let mut driver = Transcript::driven(0);
    desc(&mut driver, 0);
    slot(&mut driver, 1, 0);
    index(&mut driver, 1);
    driver.breaks("I2.7.13-a", &["one in slot 1, and avail.idx = 0x0001"]);
}

#[test]
fn a_slot_that_has_the_right_head_from_before_need_not_be_stored_again() {
    let mut driver = Transcript::driven(0);
    for idx in 1..=8 {
        slot(&mut driver, u32::from(idx) - 1, 0);
        index(&mut driver, idx.into());
        work(&mut driver, idx, 0);
    }
    index(&mut driver, 9);
    work(&mut driver, 9, 0);
    driver.breaks("I2.7.13-a", &[]);
}

#[test]
fn no_head_stands_behind_the_ring() {
    let mut driver = Transcript::driven(0);
    for idx in 1..=8 {
        slot(&mut driver, u32::from(idx) - 1, 0);
        index(&mut driver, idx.into());
        work(&mut driver, idx, 0);
    }
    driver.ram(Area::UsedEvent, 0, 2, 0);
    driver.breaks("I2.7.13-a", &["a store to slot 8, behind the ring's end"]);
}

#[test]
fn with_event_idx_used_event_stands_behind_the_ring() {
    let mut driver = Transcript::driven(1 << 29);
    for idx in 1..=8 {
        slot(&mut driver, u32::from(idx) - 1, 0);
        index(&mut driver, idx.into());
        work(&mut driver, idx, 0);
    }
    driver.ram(Area::UsedEvent, 0, 2, 8);
    driver.breaks("I2.7.13-a", &[]);
}

#[test]
fn the_index_does_not_leave_out_65535() {
    let mut driver = Transcript::driven(0);
    driver.ring(Ring::AvailIdx, 0xfffe);
    slot(&mut driver, 6, 0);
    index(&mut driver, 0);
    driver.breaks("I2.7.13-b", &["0x0000, and nothing in slot 7 for 0xffff"]);

    let mut driver = Transcript::driven(0);
    driver.ring(Ring::AvailIdx, 0xfffe);
    slot(&mut driver, 6, 0);
    slot(&mut driver, 7, 1);
    index(&mut driver, 0);
    driver.keeps("I2.7.13-b", 0);
}

#[test]
fn the_used_ring_is_the_devices() {
    let mut driver = Transcript::driven(0);
    driver.ram(Area::Avail, 0, 2, 1);
    driver.ram_load(Area::Used, 2, 2, 0);
    driver.ram(Area::Used, 2, 2, 0);
    driver.breaks("I2.7.8-a", &["a store to used.idx"]);
}

#[test]
fn a_used_element_is_read_behind_the_index() {
    let mut driver = Transcript::driven(0);
    driver.ram_load(Area::Used, 2, 2, 0);
    driver.ram_load(Area::Used, 2, 2, 2);
    for offset in [4, 8, 12, 16] {
        driver.ram_load(Area::Used, offset, 4, 0);
    }
    // Twice the first field of an element, and the second one of the same.
    driver.keeps("I2.7.14-a", 2);
    driver.ram_load(Area::Used, 20, 4, 0);
    driver.breaks("I2.7.14-a", &["a load of used.ring[2]"]);
}

#[test]
fn a_queue_that_a_fault_has_altered_is_not_judged() {
    let mut driver = Transcript::driven(0);
    desc(&mut driver, 0);
    index(&mut driver, 1);
    driver.fault(Effect::RingStore { addr: 0x11002, instead_of: 0, value: 1 });
    slot(&mut driver, 0, 0);
    driver.keeps("D2.7.13.3.1-a", 1);
}

/// A queue of 4 whose device was not told: it takes the rings for a part of the table.
#[test]
fn where_areas_overlap_the_available_ring_counts() {
    let mut driver = Transcript::driven(0);
    for (register, address) in [
        (crate::register::CommonCfg::QueueDriverLow, 0x10040),
        (crate::register::CommonCfg::QueueDeviceLow, 0x10050),
    ] {
        driver.common(register, address);
    }
    for idx in 1..=4 {
        driver.ram(Area::Desc, 0x44 + 2 * ((idx - 1) % 4), 2, 0);
        driver.ram(Area::Desc, 0x42, 2, idx.into());
        work(&mut driver, idx as u16, 0);
    }
    driver.ram(Area::Desc, 0x44, 2, 0);
    driver.ram(Area::Desc, 0x42, 2, 5);
    driver.breaks("I2.7.13-a", &["one in slot 0, and avail.idx = 0x0005"]);
}
