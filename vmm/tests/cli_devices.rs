//! The devices by the command line: what can be had, and what is wrong said in one sentence.

#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_eclipse-vmm"));
    command.arg("run").args(arguments).output().unwrap()
}

fn refused(code: i32, arguments: &[&str]) -> String {
    let output = run(arguments);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{error}");
    error.lines().next().unwrap_or_default().to_string()
}

#[test]
fn the_guest_succeeds_on_each_machine_that_its_driver_is_made_for() {
    for arguments in [
        &["--preset", "transitional"][..],
        &["--preset", "legacy"],
        &["--preset", "packed"],
        &["--preset", "bridge"],
        &["--bars", "unassigned"],
        &["--preset", "bridge", "--bars", "unassigned"],
        &["--warm"],
        &["--queues", "4"],
        &["--profile", "lenient"],
        &["--offer", "EVENT_IDX+INDIRECT_DESC+RING_RESET"],
        &["--withhold", "SEG_MAX"],
    ] {
        let output = run(&[&["--quiet"], arguments].concat());
        let verdict = String::from_utf8(output.stdout).unwrap();
        assert_eq!((output.status.code(), verdict.as_str()), (Some(0), "verdict: success\n"));
    }
}

#[test]
fn a_second_device_is_there_for_the_guest_to_find() {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("second.img");
    std::fs::write(&disk, [0; 4096]).unwrap();
    let block = format!("00:06.0={},read-only", disk.display());
    let output = run(&["--block", &block, "--cmdline", "scenario=pci"]);
    let log = String::from_utf8(output.stdout).unwrap();
    assert!(log.contains("[PCI] Found 6 PCI device(s)"), "{log}");
    assert!(log.contains("Bus 0 Device 6 Func 0: Vendor=0x1AF4 Device=0x1042"), "{log}");
}

#[test]
fn without_its_block_device_the_guest_goes_down_the_ladder() {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk.img");
    std::fs::write(&disk, eclipse_devices::disk::default_image()).unwrap();
    let ide = ["--no-disk", "--ide", disk.to_str().unwrap()];
    for (arguments, last) in [(&ide[..], "[ATA] Scratch block 63"), (&ide[..1], "[RAM] Scratch")] {
        let output = run(arguments);
        let log = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(0), "{log}");
        assert!(log.contains("[VirtIO] Falling back to ATA\n"), "{log}");
        assert!(log.contains(last), "{log}");
    }
}

#[test]
fn devices_that_cannot_be_are_usage_errors() {
    let directory = tempfile::tempdir().unwrap();
    let disk = directory.path().join("disk.img");
    std::fs::write(&disk, [0; 512]).unwrap();
    let block = |function: &str| format!("{function}={}", disk.display());
    assert_eq!(
        refused(2, &["--block", &block("00:04.0")]),
        "error: 00:04.0 is taken; put the block device elsewhere"
    );
    assert_eq!(
        refused(2, &["--block", &block("07:00.0")]),
        "error: 07:00.0 is on no bus of this machine; there are buses 0 and 1"
    );
    assert!(refused(2, &["--block", "disk.img"]).contains("such as 00:06.0=disk.img"));
    assert!(refused(2, &["--block", "0.6=disk.img"]).contains("is not a PCI function"));
    assert!(refused(2, &["--offer", "SPEED"]).contains("there is no feature \"SPEED\""));
    assert!(refused(2, &["--warm", "--bars", "unassigned"]).contains("cannot be used with"));
    assert!(refused(2, &["--no-disk", "--disk", "a.img"]).contains("cannot be used with"));
    assert!(refused(2, &["--queues", "0"]).contains("0 is not in 1..=64"));
    assert!(refused(3, &["--block", "00:06.0=/nowhere/disk"]).contains("/nowhere/disk"));
    assert!(refused(3, &["--ide", "/nowhere/disk"]).contains("/nowhere/disk"));
}
