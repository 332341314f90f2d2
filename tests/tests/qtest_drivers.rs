//! The guest's drivers in this process, over QEMU's devices without a processor.
//!
//! No firmware has run: the drivers place the BARs, and number the buses, themselves.

use std::io::Write;

use eclipse_devices::Preset;
use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_kernel::scenario;
use eclipse_tests::{Loopback, QtestMachine};

/// A machine of QEMU: its type, and what is added to it.
struct Board {
    machine: &'static str,
    devices: &'static [&'static str],
}

const MODERN: Board = Board {
    machine: "pc",
    devices: &["-device", "virtio-blk-pci,drive=disk,addr=04.0,disable-legacy=on"],
};
const TRANSITIONAL: Board = Board {
    machine: "pc",
    devices: &[
        "-device",
        "virtio-blk-pci,drive=disk,addr=04.0,disable-legacy=off,disable-modern=off",
    ],
};
const LEGACY: Board = Board {
    machine: "pc",
    devices: &[
        "-device",
        "virtio-blk-pci,drive=disk,addr=04.0,disable-legacy=off,disable-modern=on",
    ],
};
const PACKED: Board = Board {
    machine: "pc",
    devices: &["-device", "virtio-blk-pci,drive=disk,addr=04.0,disable-legacy=on,packed=on"],
};
const Q35: Board = Board { machine: "q35", devices: MODERN.devices };
const ROOT_PORT: Board = Board {
    machine: "q35",
    devices: &[
        "-device",
        "pcie-root-port,id=behind,chassis=1,addr=05.0",
        "-device",
        "virtio-blk-pci,drive=disk,bus=behind",
    ],
};

/// The log without the lines that show which devices there are, where, and what they offer.
fn comparable<'a>(log: impl Iterator<Item = &'a str>) -> Vec<String> {
    let of_the_machine = ["[PCI]", "[VirtIO]   Bus=", "[VirtIO]   BAR0="];
    log.filter(|line| !of_the_machine.iter().any(|start| line.starts_with(start)))
        .map(Into::into)
        .collect()
}

/// What a scenario logs; it succeeds and gives all memory back.
fn log(board: &Board, cmdline: &str) -> Vec<String> {
    let mut disk = tempfile::NamedTempFile::new().expect("the host has room");
    disk.write_all(&default_image()).expect("the host has room");
    let machine = QtestMachine::new(board.machine, disk.path(), board.devices);
    let result = scenario::run(&machine, cmdline);
    let log = machine.log_lines();
    assert_eq!(result, Ok(()), "{cmdline}: {log:#?}");
    assert_eq!(machine.dma_allocated(), 0, "{cmdline}: DMA memory that was not given back");
    let interrupted = machine.interrupts() != 0;
    assert_eq!(interrupted, !cmdline.ends_with("interrupts=none"), "{cmdline}");
    log
}

/// Asserts that scenarios log what they do in loopback.
fn same(board: &Board, preset: Preset, cmdlines: &[&str]) {
    for cmdline in cmdlines {
        let loopback = Loopback::new(preset, MemoryDisk::new(default_image()));
        assert_eq!(scenario::run(&loopback, cmdline), Ok(()));
        let console = loopback.console();
        let found = log(board, cmdline);
        let found = comparable(found.iter().map(String::as_str));
        assert_eq!(found, comparable(console.lines()), "{cmdline}");
    }
}

const ROWS: &[&str] = &[
    "scenario=init",
    "scenario=read sector=9",
    "scenario=write",
    "scenario=batch",
    "scenario=bytes",
    "scenario=boot",
    "scenario=boot interrupts=none",
];

#[test]
fn the_modern_device() {
    same(&MODERN, Preset::Modern, ROWS);
    same(&MODERN, Preset::Modern, &["scenario=tasks", "scenario=servers", "scenario=fsck"]);
}

#[test]
fn the_transitional_device_by_both_interfaces() {
    same(&TRANSITIONAL, Preset::Transitional, ROWS);
    for row in ROWS {
        let (scenario, ways) = row.split_once(' ').unwrap_or((row, ""));
        let cmdline = format!("{scenario} transport=legacy {ways}");
        same(&TRANSITIONAL, Preset::Transitional, &[&cmdline]);
    }
}

#[test]
fn the_legacy_device() {
    same(&LEGACY, Preset::Legacy, ROWS);
}

#[test]
fn the_packed_device() {
    same(&PACKED, Preset::Packed, ROWS);
}

#[test]
fn the_device_of_a_q35() {
    same(&Q35, Preset::Modern, ROWS);
}

#[test]
fn the_device_behind_a_root_port_that_nobody_has_set_up() {
    same(&ROOT_PORT, Preset::Bridge, ROWS);
}

#[test]
fn all_data_of_mixed_requests_is_as_it_was_written() {
    for board in [MODERN, TRANSITIONAL, LEGACY, PACKED, Q35] {
        let log = log(&board, "scenario=soak count=300");
        assert!(log.iter().any(|line| line.starts_with("[VirtIO] Soak of 300: ")), "{log:?}");
    }
    let log = log(&MODERN, "scenario=discard");
    assert!(log.contains(&"[VirtIO] Block 63: discarded".to_string()), "{log:?}");
}

#[test]
fn the_device_says_what_qemu_gave_it() {
    let features = |board| {
        let log = log(board, "scenario=info");
        assert!(
            log.iter().any(|line| line.starts_with("[VirtIO] Capacity: 512 sectors")),
            "{log:?}"
        );
        let line = log.iter().find_map(|line| line.strip_prefix("[VirtIO] Features: 0x"));
        u64::from_str_radix(line.unwrap_or_default(), 16).expect("the features are a number")
    };
    const VERSION_1: u64 = 1 << 32;
    const RING_PACKED: u64 = 1 << 34;
    let of_interest = |board| features(board) & (VERSION_1 | RING_PACKED);
    assert_eq!(of_interest(&MODERN), VERSION_1);
    assert_eq!(of_interest(&PACKED), VERSION_1 | RING_PACKED);
    assert_eq!(of_interest(&LEGACY), 0);
}
