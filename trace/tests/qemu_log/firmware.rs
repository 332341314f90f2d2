//! What firmware did before the guest.

use eclipse_trace::import::qemu::{Note, read};

use crate::log::{BAR, COMMON, Log, request};

/// SeaBIOS says so on its debug port.
fn firmware(log: &mut Log) {
    for byte in b"SSeaBIOS (version" {
        log.store("io", 0x402, 1, u64::from(*byte));
    }
}

/// The lines of a log that are not the firmware's, by the entries that they show.
fn guests(log: &Log) -> (Vec<String>, Option<u64>) {
    let recording = read(log.0.as_bytes()).expect("the log is whole");
    let entries = recording.entries.iter().zip(&recording.by_firmware);
    let guests = entries.filter(|(_, firmware)| !**firmware);
    let firmware = recording.notes.iter().find_map(|note| match note {
        Note::Firmware { line } => Some(*line),
        _ => None,
    });
    (guests.map(|(entry, _)| entry.to_string()).collect(), firmware)
}

#[test]
fn what_seabios_did_before_the_guest_is_told_apart() {
    let mut log = Log::default();
    firmware(&mut log);
    log.0.push_str(&Log::modern().0);
    for status in [0, 3, 0xb, 0xf] {
        log.store(COMMON, BAR + 0x14, 1, status);
    }
    request(&mut log);
    let last =
        log.0.lines().position(|line| line.contains("notify-virtio-blk")).unwrap() as u64 + 1;
    log.config_load(0, 4, 0x1042_1af4);
    log.store(COMMON, BAR + 0x14, 1, 0).store(COMMON, BAR + 0x14, 1, 3);
    let expected = [
        "guest   config_address <- 80002000",
        "guest   00:04.0 config vendor_id -> 10421af4",
        "guest   00:04.0 common device_status <- 00",
        "guest   00:04.0 common device_status <- 03",
    ];
    assert_eq!(guests(&log), (expected.map(Into::into).to_vec(), Some(last)));
}

#[test]
fn a_device_that_seabios_left_alone_is_the_guests_from_the_start() {
    let mut log = Log::default();
    firmware(&mut log);
    log.0.push_str(&Log::modern().0);
    for status in [0, 1, 3, 0xb, 0xf, 0, 3] {
        log.store(COMMON, BAR + 0x14, 1, status);
    }
    let (entries, firmware) = guests(&log);
    assert_eq!(entries.iter().filter(|entry| entry.contains("device_status")).count(), 7);
    assert_eq!(firmware, None);
}

#[test]
fn without_the_name_nothing_is_firmware() {
    let mut log = Log::modern();
    for status in [0, 3, 0xb, 0xf, 0] {
        log.store(COMMON, BAR + 0x14, 1, status);
    }
    assert_eq!(guests(&log).1, None);
}
