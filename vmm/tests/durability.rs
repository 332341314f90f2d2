//! What is on the disk after the VMM was killed: all that the guest had flushed.

#![allow(clippy::unwrap_used)]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, Stdio},
};

use common::{exit, expect_byte, fill, image, port_store, print, store};

/// The block device of the modern preset, as firmware leaves it.
const COMMON: u32 = 0xFE00_0000;
const NOTIFY: u32 = 0xFE00_3000;

const DESC: u32 = 0x20_0000;
const AVAIL: u32 = 0x20_1000;
const USED: u32 = 0x20_2000;
const HEADER: u32 = 0x20_3000;
const STATUS: u32 = 0x20_3010;
const DATA: u32 = 0x20_4000;

const OUT: u32 = 1;
const FLUSH: u32 = 4;

/// Bus mastering on, and the initialisation of VIRTIO 1.4, 3.1.1, with FLUSH and VERSION_1
/// and a queue of eight.
fn initialise() -> Vec<u8> {
    let stores = [
        (0x14, 1, 0x00),
        (0x14, 1, 0x01),
        (0x14, 1, 0x03),
        (0x0C, 4, 1 << 9),
        (0x08, 4, 1),
        (0x0C, 4, 1),
        (0x14, 1, 0x0B),
        (0x18, 2, 8),
        (0x20, 4, DESC),
        (0x28, 4, AVAIL),
        (0x30, 4, USED),
        (0x1C, 2, 1),
        (0x14, 1, 0x0F),
    ];
    let command = [port_store(0xCF8, 0x8000_2004), port_store(0xCFC, 0x0000_0406)].concat();
    let stores = stores.into_iter().flat_map(|(at, width, value)| store(COMMON + at, width, value));
    command.into_iter().chain(stores).chain(expect_byte(COMMON + 0x14, 0x0F, 0x21)).collect()
}

fn descriptor(index: u32, addr: u32, len: u32, flags: u32, next: u32) -> Vec<u8> {
    let at = DESC + 16 * index;
    [store(at, 4, addr), store(at + 8, 4, len), store(at + 12, 4, next << 16 | flags)].concat()
}

/// A request without an interrupt, which is over with the store to the doorbell; `idx` chains
/// were made available before. A status other than 0 ends the guest.
fn request(idx: u32, kind: u32, sector: u32) -> Vec<u8> {
    let data = if kind == OUT { 1 } else { 2 };
    let code = [
        store(HEADER, 4, kind),
        store(HEADER + 8, 4, sector),
        store(STATUS, 1, 0xFF),
        descriptor(0, HEADER, 16, 1, data),
        descriptor(1, DATA, 512, 1, 2),
        descriptor(2, STATUS, 1, 2, 0),
        store(AVAIL, 2, 1),
        store(AVAIL + 2, 2, idx + 1),
        store(NOTIFY, 2, 0),
        expect_byte(USED + 2, (idx + 1) as u8, 0x22),
        expect_byte(STATUS, 0, 0x23),
    ];
    code.concat()
}

/// Writes 7 to sector 5, flushes where `flushes`, says so, and then writes 8 to sector 6 for
/// ever: `inc word [avail.idx]; mov word [notify], 0; jmp back`.
fn guest(flushes: bool) -> Vec<u8> {
    let mut code = initialise();
    code.extend(fill(DATA, 128, 0x0707_0707));
    code.extend(request(0, OUT, 5));
    let mut idx = 1;
    if flushes {
        code.extend(request(idx, FLUSH, 0));
        idx += 1;
    }
    code.extend(print("done\n"));
    code.extend(fill(DATA, 128, 0x0808_0808));
    code.extend(request(idx, OUT, 6));
    code.extend(store(HEADER, 4, OUT));
    let mut again = vec![0x66, 0xFF, 0x05];
    again.extend((AVAIL + 2).to_le_bytes());
    again.extend(store(NOTIFY, 2, 0));
    let back = again.len() as u8 + 2;
    again.extend([0xEB, 0u8.wrapping_sub(back)]);
    code.extend(again);
    code.extend(exit(0x24));
    code
}

/// Runs the guest over `disk` until it has said that it is done, and kills the VMM.
fn run_and_kill(directory: &Path, disk: &str, flushes: bool) {
    fs::write(directory.join("kernel.elf"), image(&guest(flushes))).unwrap();
    let mut vmm = Command::new(env!("CARGO_BIN_EXE_eclipse-vmm"))
        .args(["run", "--kernel", "kernel.elf", "--disk", disk])
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(vmm.stdout.take().unwrap()).lines();
    let done = lines.map_while(Result::ok).any(|line| line == "done");
    vmm.kill().unwrap();
    let status = vmm.wait().unwrap();
    assert!(done, "the guest ended before it was done: {status}");
    assert_eq!(status.signal(), Some(9), "it was still at work");
}

#[test]
fn what_the_guest_flushed_survives_the_death_of_the_vmm() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("disk.img");
    fs::write(&path, [1; 16 * 512]).unwrap();
    run_and_kill(directory.path(), "disk.img,write", true);
    let bytes = fs::read(&path).unwrap();
    assert_eq!(bytes.len(), 16 * 512);
    assert_eq!(bytes[5 * 512..6 * 512], [7; 512]);
    assert_eq!(bytes[..5 * 512], [1; 5 * 512]);
    assert_eq!(bytes[7 * 512..], [1; 9 * 512], "sector 6 was not promised, the others not touched");
}

#[test]
fn a_copy_on_write_disk_stays_as_it_is_when_the_vmm_dies() {
    for flushes in [false, true] {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.img");
        fs::write(&path, [1; 16 * 512]).unwrap();
        run_and_kill(directory.path(), "disk.img", flushes);
        assert_eq!(fs::read(&path).unwrap(), [1; 16 * 512]);
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().collect();
        assert_eq!(names.len(), 2, "nothing but the kernel and the disk: {names:?}");
    }
}
