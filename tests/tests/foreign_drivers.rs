//! The referee over drivers that nobody here wrote, by what QEMU's trace showed of them.
//!
//! The logs are in `data/qemu`, and `record.sh` there says how each was made: SeaBIOS 1.16.2 and
//! Debian's Linux 6.1.192 over QEMU 7.2, and the crate `virtio-drivers` 0.13 with its own PCI
//! transport, in a program of a Linux guest that has no driver for the device. Each verdict was
//! checked by hand against the log and the clause; a line number is one of the log.
//!
//! A log shows registers. Every rule about rings, descriptors and requests is left out.

use std::collections::BTreeSet;
use std::io::{BufReader, Read};
use std::path::Path;

use eclipse_trace::import::qemu::{self, Note, Recording};
use eclipse_trace::rules::{End, Judge, Report};
use flate2::read::GzDecoder;

/// A verdict: the rule, how often it is broken, the first line of the log that breaks it, and
/// what stands there.
type Verdict = (&'static str, u64, u64, &'static str);

fn log(name: &str) -> Vec<u8> {
    let path = format!("{}/data/qemu/{name}.log.gz", env!("CARGO_MANIFEST_DIR"));
    let file = std::fs::File::open(Path::new(&path)).expect("the log is there");
    let mut log = Vec::new();
    GzDecoder::new(file).read_to_end(&mut log).expect("the log is whole");
    log
}

fn recording(name: &str) -> Recording {
    qemu::read(BufReader::new(&log(name)[..])).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn report(recording: &Recording) -> Report {
    let mut judge = Judge::by(recording.judged());
    recording.show(&mut judge);
    judge.finish(End::Unknown)
}

/// Asserts that the driver of a log breaks exactly these rules, and that rules which `kept`
/// names applied to it and were kept.
fn judged(name: &str, expected: &[Verdict], kept: &[&str]) {
    let recording = recording(name);
    let report = report(&recording);
    let mut found = Vec::<(&str, u64, u64, &str)>::new();
    for finding in &report.findings {
        let line = finding.seq.map_or(0, |seq| recording.lines[seq as usize]);
        let of_rule = report.rules.iter().find(|(rule, _)| rule.id == finding.rule);
        let broken = of_rule.map_or(0, |(_, tally)| tally.broken);
        if !found.iter().any(|(rule, ..)| *rule == finding.rule) {
            found.push((finding.rule, broken, line, &finding.entry));
        }
    }
    assert_eq!(found, expected, "{name}: {:#?}", report.findings);
    let well: BTreeSet<_> = report
        .rules
        .iter()
        .filter(|(_, tally)| tally.kept != 0 && tally.broken == 0)
        .map(|(rule, _)| rule.id)
        .collect();
    for rule in kept {
        assert!(well.contains(rule), "{name}: {rule} is not among what was kept: {well:?}");
    }
}

/// What each driver that starts a modern device has to do, and these do.
const MODERN: &[&str] = &[
    "D2.1.1-a",
    "D2.1.1-b",
    "D2.2.1-a",
    "D3.1.1-b",
    "D3.1.1-c",
    "D3.1.1-g",
    "D3.1.1-h",
    "D4.1.4.1-g",
    "D4.1.4.3.2-a",
    "D4.1.4.3.2-d",
    "D4.1.4.3.2-f",
    "D4.1.5.1.1.1-a",
    "D4.1.5.2.1-a",
    "D4.1.5.2.1-c",
    "D6.1-a",
    "I4.1.4.4-a",
    "P12",
    "P14",
];

/// SeaBIOS stores 0 to the status (line 1131), loads the ISR status where the driver of a modern
/// device loads the device status until it is 0 (4.1.4.3.2), and then takes two steps at once,
/// where 3.1.1 has ACKNOWLEDGE and then DRIVER. The capacity (lines 1155 and 1156) is two loads
/// without `config_generation` before and after.
const SEABIOS: &[Verdict] = &[
    ("D2.4.2-a", 1, 1141, "guest   00:04.0 common device_status <- 03"),
    ("D4.1.4.3.2-e", 1, 1141, "guest   00:04.0 common device_status <- 03"),
    ("D3.1.1-a", 1, 1141, "guest   00:04.0 common device_status <- 03"),
    ("D2.5.1-b", 1, 1172, "guest   00:04.0 common device_status <- 0f"),
];

#[test]
fn seabios_does_not_wait_for_its_reset_and_takes_two_steps_at_once() {
    judged("seabios-modern", SEABIOS, MODERN);
    judged("seabios-modern", SEABIOS, &["D2.5.1-c", "D3.1.1-d", "P01", "P02", "P03"]);
}

/// The same start over the legacy interface: 0 (line 975), then both steps at once.
const SEABIOS_LEGACY: &[Verdict] =
    &[("L3.1.2", 1, 985, "guest   00:04.0 legacy device_status <- 03")];

#[test]
fn seabios_takes_two_steps_at_once_over_the_legacy_interface_too() {
    let kept = ["D2.1.1-a", "D2.1.1-b", "L2.7.2-a", "L4.1.4.10-a", "L4.1.5.1.1.1", "P02", "P12"];
    judged("seabios-legacy", SEABIOS_LEGACY, &kept);
}

/// The drivers for virtio break nothing. What is broken is broken by Linux's early code for PCI,
/// long before it looks for devices: `read_pci_config_16` and `read_pci_config_byte` store the
/// offset to CONFIG_ADDRESS with its bits 1:0, which are reserved (lines 9 to 112). It does no
/// harm on a host bridge that has them read-only, as they are to be.
const LINUX: &[Verdict] = &[("P01", 41, 10, "guest   00:00.0 config subclass -> 0600")];

#[test]
fn linux_starts_and_stops_the_device_as_it_should() {
    for name in ["linux-modern", "linux-transitional", "linux-packed", "linux-intx"] {
        judged(name, LINUX, MODERN);
        judged(name, LINUX, &["D2.4.2-a", "D4.1.4.3.2-e", "D3.1.1-a", "D3.1.1-d", "P02", "P05"]);
        judged(name, LINUX, &["D2.5.1-b", "D2.5.1-c", "D5.2.5.1-c"]);
    }
    // With messages: each vector is read back, and the ISR status is left alone.
    for name in ["linux-modern", "linux-transitional", "linux-packed"] {
        judged(name, LINUX, &["D4.1.5.1.2.2-b", "D4.1.5.1.2.2-c", "D4.1.4.5.2-a", "P21"]);
    }
    judged("linux-packed", LINUX, &["D6.1-d", "D2.8.11-a", "D4.1.4.3.2-b"]);
}

#[test]
fn linux_over_the_legacy_interface() {
    let kept = ["D2.1.1-a", "D2.1.1-b", "D2.5.1-c", "D4.1.5.1.2.2-c", "L2.7.2-a", "L3.1.2"];
    judged("linux-legacy", LINUX, &kept);
    judged("linux-legacy", LINUX, &["L4.1.4.10-a", "L4.1.4.10-b", "L4.1.5.1.1.1", "L6.3"]);
}

/// The crate's bus enumeration asks for all eight functions of each device (lines 12 to 24),
/// although header type 0 of 00:00.0 says that there is one. `begin_init` of its `Transport`
/// stores 0 to the status (433) and then both steps at once (436); FEATURES_OK (446) is not
/// loaded again before the queue is set up (457).
const VIRTIO_DRIVERS: &[Verdict] = &[
    ("P03", 7, 12, "guest   00:00.1 config vendor_id -> ffffffff"),
    ("D2.4.2-a", 1, 436, "guest   00:04.0 common device_status <- 03"),
    ("D4.1.4.3.2-e", 1, 436, "guest   00:04.0 common device_status <- 03"),
    ("D3.1.1-a", 1, 436, "guest   00:04.0 common device_status <- 03"),
    ("D3.1.1-d", 1, 457, "guest   00:04.0 common queue_size <- 0010"),
];

#[test]
fn virtio_drivers_does_not_wait_for_its_reset_and_does_not_look_at_features_ok() {
    judged("virtio-drivers", VIRTIO_DRIVERS, MODERN);
    judged("virtio-drivers", VIRTIO_DRIVERS, &["D2.5.1-b", "P01", "P02", "P05", "P08", "P15"]);
}

/// The crate has split queues only, and does not take RING_PACKED where it is offered (446).
#[test]
fn virtio_drivers_declines_a_packed_queue() {
    let mut expected = VIRTIO_DRIVERS.to_vec();
    expected.insert(4, ("D6.1-d", 1, 446, "guest   00:04.0 common device_status <- 0b"));
    judged("virtio-drivers-packed", &expected, MODERN);
}

const LOGS: [&str; 9] = [
    "seabios-modern",
    "seabios-legacy",
    "linux-modern",
    "linux-transitional",
    "linux-packed",
    "linux-legacy",
    "linux-intx",
    "virtio-drivers",
    "virtio-drivers-packed",
];

#[test]
fn what_a_log_does_not_show_is_said_and_not_judged() {
    for name in LOGS {
        let recording = recording(name);
        assert!(recording.notes.contains(&Note::RegistersOnly), "{name}");
        let assumed = |note: &Note| matches!(note, Note::PlaceAssumed { .. });
        assert!(!recording.notes.iter().any(assumed), "{name}: {:?}", recording.notes);
        let ring = |rule: &str| rule.starts_with("D2.7.13") || rule.starts_with("D5.2.6.1-b");
        assert!(!recording.judged().any(|rule| ring(rule.id)), "{name}");
        assert!(recording.judged().any(|rule| rule.id == "D2.1.1-b"), "{name}");
    }
}

#[test]
fn a_real_log_that_is_damaged_is_read_or_refused() {
    for name in LOGS {
        let log = log(name);
        for round in 0..6 {
            // Other places and other damage each time, the same ones in every run.
            let place = ((round + name.len()) * 7919 + 13) * 104_729 % log.len();
            let mut damaged = log.clone();
            damaged[place] = b"0x \n'@>f"[round % 8];
            drop(qemu::read(&damaged[..]));
            damaged.drain(place..(place + 40).min(log.len()));
            drop(qemu::read(&damaged[..]));
            drop(qemu::read(&log[..place]));
            drop(qemu::read(&log[place..]));
        }
    }
}
