//! What is recorded for a judge only: what the device found in memory that it does not use.

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::virtio::Features;
use eclipse_tests::bare::{INDIRECT, NEXT, WRITE};
use eclipse_tests::rings::{PackedDriver, offering, start};
use eclipse_tests::{Bare, Loopback};
use eclipse_trace::{Event, Recorder};

/// The same machine with a recorder for a judge.
fn witnessed(bare: Bare) -> Bare {
    let machine: Loopback = bare.machine.recorded_by(Recorder::new().witness());
    Bare { machine }
}

/// What was found, by line.
fn found(bare: &Bare) -> Vec<String> {
    let entries = bare.machine.entries();
    let found = entries.iter().filter(|entry| matches!(entry.event, Event::Snapshot { .. }));
    found.map(ToString::to_string).collect()
}

#[test]
fn what_an_enabled_queue_holds_is_found_once() {
    let bare = witnessed(Bare::new(MemoryDisk::counting(8)));
    bare.write(Bare::USED, 0xa5a5u16);
    bare.write(Bare::AVAIL + 2, 7u16);
    bare.start(u64::MAX);
    bare.common(0x1c, 2, 1);
    let expected = [
        "00:04.0 q0 avail.flags was 0000",
        "00:04.0 q0 avail.idx was 0007",
        "00:04.0 q0 used.flags was a5a5",
        "00:04.0 q0 used.idx was 0000",
    ];
    assert_eq!(found(&bare), expected);
}

#[test]
fn a_packed_queue_holds_event_structures() {
    let bare = witnessed(offering(Features::RING_PACKED));
    bare.write(Bare::AVAIL + 2, 2u16);
    start(&bare, 8);
    let expected = [
        "00:04.0 q0 driver_event.desc was 0000",
        "00:04.0 q0 driver_event.flags was 0002",
        "00:04.0 q0 device_event.desc was 0000",
        "00:04.0 q0 device_event.flags was 0000",
    ];
    assert_eq!(found(&bare), expected);
}

#[test]
fn the_status_byte_is_found_as_the_driver_left_it() {
    let bare = witnessed(Bare::ready(MemoryDisk::counting(8)));
    bare.header(0, 3);
    let chain = [
        (Bare::HEADER, 16, NEXT, 1),
        // The data and the status in one buffer.
        (Bare::DATA, 513, WRITE, 0),
    ];
    bare.write(Bare::DATA + 512, 0x77u8);
    bare.submit(&chain);
    assert_eq!(found(&bare), ["00:04.0 q0 the status byte of request 0 was 77"]);
}

#[test]
fn a_descriptor_that_changes_under_the_device_is_found() {
    let bare = witnessed(Bare::ready(MemoryDisk::counting(8)));
    bare.machine.complete_by("halt".parse().unwrap());
    bare.header(0, 3);
    let chain = [
        (Bare::HEADER, 16, NEXT, 1),
        (Bare::DATA, 512, WRITE | NEXT, 2),
        (Bare::STATUS, 1, WRITE, 0),
    ];
    bare.submit(&chain);
    bare.write(Bare::DESC + 16 + 8, 1024u32);
    bare.machine.halt();
    assert_eq!(found(&bare)[1..], ["00:04.0 q0 desc[1] of request 0 was altered"]);
}

#[test]
fn so_is_one_of_an_indirect_table() {
    let bare = witnessed(Bare { machine: offering(Features::INDIRECT_DESC).machine });
    bare.start(u64::MAX);
    bare.machine.complete_by("halt".parse().unwrap());
    bare.header(4, 0);
    const TABLE: u64 = 0x8000;
    bare.write(TABLE, Bare::HEADER);
    bare.write(TABLE + 8, 16u32);
    bare.write(TABLE + 12, NEXT);
    bare.write(TABLE + 14, 1u16);
    bare.write(TABLE + 16, Bare::STATUS);
    bare.write(TABLE + 24, 1u32);
    bare.write(TABLE + 28, WRITE);
    bare.submit(&[(TABLE, 32, INDIRECT, 0)]);
    bare.write(TABLE + 16, Bare::STATUS + 1);
    bare.write(Bare::DESC + 8, 16u32);
    bare.machine.halt();
    let expected = [
        "00:04.0 q0 the status byte of request 0 was ff",
        "00:04.0 q0 indirect[1] of request 0 was altered",
        "00:04.0 q0 desc[0] of request 0 was altered",
    ];
    assert_eq!(found(&bare)[4..], expected);
}

#[test]
fn a_packed_list_is_looked_at_in_the_ring() {
    let bare = witnessed(offering(Features::RING_PACKED));
    bare.config_store(0x04, 2, 0x0406);
    start(&bare, 8);
    bare.machine.complete_by("halt".parse().unwrap());
    bare.header(4, 0);
    let mut driver = PackedDriver::new(8);
    driver.push(&bare, &[(Bare::HEADER, 16, 0), (Bare::STATUS, 1, WRITE)], 5);
    bare.store(Bare::NOTIFY, 2, 0);
    bare.write(Bare::DESC + 16, 0x9000u64);
    bare.machine.halt();
    let expected = [
        "00:04.0 q0 the status byte of request 5 was ff",
        "00:04.0 q0 desc[1] of request 5 was altered",
    ];
    assert_eq!(found(&bare)[4..], expected);
}

#[test]
fn a_transcript_without_a_judge_has_nothing_of_this() {
    let bare = Bare::ready(MemoryDisk::counting(8));
    bare.header(4, 0);
    bare.submit(&[(Bare::HEADER, 16, NEXT, 1), (Bare::STATUS, 1, WRITE, 0)]);
    assert!(found(&bare).is_empty());
    assert!(bare.machine.entries().iter().all(|entry| entry.rip.is_none()));
}
