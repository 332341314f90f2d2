use crate::rules::testing::{BLOCK, Transcript};
use crate::{Access, Event, MemoryKind, Place, Ring, Table};

const NEXT: u16 = 1;
const WRITE: u16 = 2;

/// The device takes a chain of a readable and a writable page.
fn take(device: &mut Transcript, idx: u16, head: u16, readable: u64, writable: u64) {
    device.ring(Ring::AvailRing(idx - 1), head);
    device.desc(head, readable, 0x1000, NEXT, head + 1);
    device.desc(head + 1, writable, 0x1000, WRITE, 0);
}

fn look(device: &mut Transcript, idx: u16) {
    device.notify(0);
    device.ring(Ring::AvailIdx, idx);
}

#[test]
fn what_may_be_written_is_not_shared() {
    for (readable, writable, seen) in [
        (0x3000, 0x5000, None),
        (0x2000, 0x5000, None),
        (0x3000, 0x4fff, Some("0x4fff, which it has by another")),
        (0x3fff, 0x6000, Some("0x4000, which it has by another")),
        (0x3000, 0x2800, Some("0x2800, which it has by another")),
    ] {
        let mut device = Transcript::driven(0);
        look(&mut device, 1);
        take(&mut device, 1, 0, 0x2000, 0x4000);
        look(&mut device, 2);
        take(&mut device, 2, 2, readable, writable);
        let seen: Vec<_> = seen.into_iter().collect();
        device.breaks("R-dma-twice", &seen);
    }
}

#[test]
fn a_buffer_that_came_back_is_free() {
    let mut device = Transcript::driven(0);
    look(&mut device, 1);
    take(&mut device, 1, 0, 0x2000, 0x4000);
    device.used(0, 0);
    look(&mut device, 2);
    take(&mut device, 2, 0, 0x2000, 0x4000);
    device.keeps("R-dma-twice", 2);
}

#[test]
fn two_chains_of_one_look_were_available_together() {
    let mut device = Transcript::driven(0);
    look(&mut device, 2);
    take(&mut device, 1, 0, 0x2000, 0x4000);
    device.used(0, 0);
    take(&mut device, 2, 2, 0x3000, 0x4000);
    device.breaks("R-dma-twice", &["0x4000, which it has by another"]);
}

#[test]
fn a_device_that_looks_again_by_itself_sees_what_is_new() {
    let mut device = Transcript::driven(0);
    look(&mut device, 1);
    take(&mut device, 1, 0, 0x2000, 0x4000);
    device.used(0, 0);
    device.ring(Ring::AvailIdx, 2);
    take(&mut device, 2, 0, 0x2000, 0x4000);
    device.keeps("R-dma-twice", 2);
}

#[test]
fn a_reset_takes_everything_back() {
    let mut device = Transcript::driven(0);
    look(&mut device, 1);
    take(&mut device, 1, 0, 0x2000, 0x4000);
    device.negotiate([0, 1], [0, 1]);
    device.enable(0, 8);
    look(&mut device, 1);
    take(&mut device, 1, 0, 0x2000, 0x4000);
    device.keeps("R-dma-twice", 2);
}

#[test]
fn a_buffer_inside_of_a_long_one_is_found() {
    let mut device = Transcript::driven(0);
    look(&mut device, 1);
    device.ring(Ring::AvailRing(0), 0);
    device.desc(0, 0x10_0000, 0x10_0000, WRITE, 0);
    look(&mut device, 2);
    take(&mut device, 2, 1, 0x2000, 0x1f_f000);
    device.breaks("R-dma-twice", &["0x1ff000, which it has by another"]);
}

/// The guest accesses a buffer that the device has.
fn access(writable: bool, access: Access) -> Transcript {
    let mut device = Transcript::driven(0);
    look(&mut device, 1);
    take(&mut device, 1, 0, 0x2000, 0x4000);
    touch(&mut device, writable, access);
    device
}

fn touch(device: &mut Transcript, writable: bool, access: Access) {
    let place =
        Place::Buffer { function: BLOCK, queue: 0, table: Table::Queue, index: 1, writable };
    let addr = if writable { 0x4000 } else { 0x2000 };
    device.guest(Event::Ram { place, addr, access });
}

#[test]
fn what_came_back_is_the_drivers_even_if_it_is_to_come_back_twice() {
    let mut device = Transcript::driven(0);
    look(&mut device, 1);
    take(&mut device, 1, 0, 0x2000, 0x4000);
    device.used(0, 0);
    touch(&mut device, true, Access::Load { width: 1, value: 0 });
    touch(&mut device, true, Access::Store { width: 1, value: 0 });
    device.keeps("R-dma-read", 0);
    device.keeps("R-dma-write", 0);
}

#[test]
fn what_is_available_is_the_devices_before_it_looks() {
    let mut device = Transcript::driven(0);
    device.ram(crate::Area::Avail, 4, 2, 0);
    device.ram(crate::Area::Avail, 2, 2, 1);
    touch(&mut device, true, Access::Load { width: 1, value: 0 });
    device.breaks("R-dma-read", &["one of the 00:04.0 q0 writable buffer of desc[1]"]);
}

#[test]
fn a_buffer_is_left_alone_until_it_comes_back() {
    let (load, store) = (Access::Load { width: 1, value: 0 }, Access::Store { width: 1, value: 0 });
    let (readable, writable) = (
        "one to the 00:04.0 q0 readable buffer of desc[1]",
        "one to the 00:04.0 q0 writable buffer of desc[1]",
    );
    access(false, store).breaks("R-dma-write", &[readable]);
    access(true, store).breaks("R-dma-write", &[writable]);
    access(false, load).keeps("R-dma-write", 0);
    access(false, load).keeps("R-dma-read", 0);
    access(true, load).breaks("R-dma-read", &["one of the 00:04.0 q0 writable buffer of desc[1]"]);
}

/// A machine with text from 0x5000 to 0x6000.
fn with_text(readable: u64, writable: u64) -> Transcript {
    let mut device = Transcript::new();
    for (kind, start, len) in [(MemoryKind::Ram, 0, 0x10000), (MemoryKind::Text, 0x5000, 0x1000)] {
        device.guest(Event::Memory { kind, start, len });
    }
    look(&mut device, 1);
    take(&mut device, 1, 0, readable, writable);
    device
}

#[test]
fn the_device_does_not_write_to_text() {
    with_text(0x5000, 0x6000).keeps("R-dma-place", 1);
    with_text(0x2000, 0x4001).breaks("R-dma-place", &["0x4001, which is text"]);
}

#[test]
fn a_page_that_the_guest_marks_is_what_it_says() {
    let mut device = Transcript::driven(0);
    take(&mut device, 1, 0, 0x2000, 0x4000);
    device.keeps("R-dma-place", 0);
    device.store(crate::Register::DebugMark, 4, 6 << 28 | 4);
    take(&mut device, 2, 2, 0x2000, 0x4000);
    device.breaks("R-dma-place", &["0x4000, which is stack"]);
}
