//! The same image and disk in stock QEMU: the same log, the same verdict.
//!
//! Behind the feature `qemu`, because cargo cannot install QEMU; `./check` does.

use std::process::{Command, Output};

fn eclipse_vmm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eclipse-vmm"))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("the program does not start: {error}"))
}

/// The console without the lines that show which devices there are and where.
fn log(output: &Output) -> Vec<String> {
    let device_line = |line: &&str| line.starts_with("[PCI]") || line.contains("BAR0=");
    let verdict = |line: &&str| line.starts_with("verdict: ");
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    // The table of `run` stands behind the log, after an empty line of its own.
    let log = text.split("\naccesses ").next().unwrap_or_default();
    log.trim_end()
        .lines()
        .filter(|line| !device_line(line) && !verdict(line))
        .map(Into::into)
        .collect()
}

fn verdict(output: &Output) -> (Option<i32>, String) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text.lines().last().unwrap_or_default().to_string())
}

/// What both print and how both end, for one command line.
fn same_in_both(cmdline: &str) -> Vec<String> {
    same(&[], &[], cmdline)
}

/// The same with disks that both are given, on a board that QEMU is given.
fn same(board: &[&str], disks: &[&str], cmdline: &str) -> Vec<String> {
    let cmdline = ["--cmdline", cmdline];
    let ours = eclipse_vmm(&[&["run"], disks, &cmdline].concat());
    let qemu = eclipse_vmm(&[&["qemu"], board, disks, &cmdline].concat());
    let said = String::from_utf8_lossy(&qemu.stderr);
    assert_eq!(verdict(&qemu), verdict(&ours), "{board:?} {disks:?} {cmdline:?} {said}");
    assert_eq!(log(&qemu), log(&ours), "{board:?} {disks:?} {cmdline:?}");
    log(&ours)
}

const BOARDS: [&[&str]; 2] = [&[], &["--machine", "q35"]];

#[test]
fn the_image_boots_with_the_same_log_and_verdict() {
    let log = same_in_both("");
    assert!(log.contains(&"[FS] Filesystem mounted successfully".to_string()), "{log:?}");
    assert!(log.iter().any(|line| line.ends_with("written, flushed, read back, restored")));
}

#[test]
fn a_sector_is_read_with_the_same_content() {
    let log = same_in_both("scenario=read sector=9");
    assert!(log.iter().any(|line| line.starts_with("[VirtIO] Sector 9: CRC-32 ")), "{log:?}");
}

#[test]
fn a_failure_is_a_failure_in_both() {
    let log = same_in_both("scenario=dance");
    assert!(log.iter().any(|line| line.starts_with("[ERROR] unknown scenario `dance`")), "{log:?}");
}

#[test]
fn a_hang_ends_by_its_timeout_in_both() {
    let options = ["--cmdline", "scenario=hang", "--timeout", "3", "--quiet"];
    let ours = eclipse_vmm(&[&["run"], &options[..]].concat());
    let qemu = eclipse_vmm(&[&["qemu"], &options[..]].concat());
    assert_eq!(ours.status.code(), Some(4));
    assert_eq!(verdict(&qemu), verdict(&ours));
}

#[test]
fn every_preset_boots_on_both_boards() {
    for preset in ["modern", "transitional", "legacy", "packed", "bridge"] {
        for board in BOARDS {
            let log = same(board, &["--preset", preset], "");
            assert!(log.iter().any(|line| line.starts_with("[VirtIO] Scratch block")), "{log:?}");
        }
    }
}

#[test]
fn qemus_device_is_what_the_preset_says() {
    const VERSION_1: u64 = 1 << 32;
    const RING_PACKED: u64 = 1 << 34;
    let of_interest = |preset: &str| {
        let output = eclipse_vmm(&["qemu", "--preset", preset, "--cmdline", "scenario=info"]);
        let log = log(&output);
        let found = log.iter().find_map(|line| line.strip_prefix("[VirtIO] Features: 0x"));
        let features = found.unwrap_or_else(|| panic!("no features: {log:?}"));
        u64::from_str_radix(features, 16).expect("a number") & (VERSION_1 | RING_PACKED)
    };
    assert_eq!(of_interest("modern"), VERSION_1);
    assert_eq!(of_interest("packed"), VERSION_1 | RING_PACKED);
    assert_eq!(of_interest("legacy"), 0);
}

#[test]
fn devices_interrupt_by_their_line_or_not_at_all_in_both() {
    for interrupts in ["interrupts=intx", "interrupts=none"] {
        same(&[], &[], interrupts);
        same(BOARDS[1], &["--preset", "bridge"], interrupts);
        let legacy = format!("scenario=tasks transport=legacy {interrupts}");
        same(&[], &["--preset", "transitional"], &legacy);
    }
}

#[test]
fn configuration_space_is_reached_by_memory_on_a_q35() {
    same(BOARDS[1], &["--preset", "bridge"], "config=ecam");
}

#[test]
fn several_disks_are_all_used() {
    let directory = tempfile::tempdir().expect("the host has room");
    let mut blocks = Vec::new();
    for (place, sectors) in [("00:06.0", 100), ("00:08.0", 50), ("01:00.0", 8)] {
        let path = directory.path().join(format!("{sectors}.img"));
        let bytes: Vec<u8> = (0..sectors * 512).map(|byte: usize| (byte / 7) as u8).collect();
        std::fs::write(&path, bytes).expect("the host has room");
        blocks.extend(["--block".to_string(), format!("{place}={}", path.display())]);
    }
    let blocks: Vec<_> = blocks.iter().map(String::as_str).collect();
    for board in BOARDS {
        for cmdline in ["scenario=devices", "scenario=devices interrupts=intx"] {
            let log = same(board, &blocks, cmdline);
            assert!(log.contains(&"[VirtIO] 4 devices read at once".to_string()), "{log:?}");
        }
    }
}

#[test]
fn without_a_block_device_it_goes_down_the_ladder() {
    let directory = tempfile::tempdir().expect("the host has room");
    let disk = directory.path().join("disk.img").display().to_string();
    assert!(eclipse_vmm(&["disk", &disk]).status.success());
    let ends = |log: Vec<String>, tag: &str| {
        let last = log.last().map(String::as_str).unwrap_or_default();
        assert!(last.starts_with(&format!("[{tag}] Scratch block")), "{log:?}");
    };
    // Each has its own name for the drive.
    let ide = ["--no-disk", "--ide", &disk];
    let anonymous = |arguments: &[&str]| -> Vec<String> {
        let log = log(&eclipse_vmm(arguments));
        log.into_iter().filter(|line| !line.starts_with("[ATA] Found")).collect()
    };
    let ours = anonymous(&[&["run"], &ide[..]].concat());
    assert_eq!(anonymous(&[&["qemu"], &ide[..]].concat()), ours);
    ends(ours, "ATA");
    for board in BOARDS {
        ends(same(board, &["--no-disk"], ""), "RAM");
    }
}

#[test]
fn an_ide_disk_beside_the_block_device_is_read_and_written() {
    let directory = tempfile::tempdir().expect("the host has room");
    let disk = directory.path().join("disk.img").display().to_string();
    assert!(eclipse_vmm(&["disk", &disk]).status.success());
    let last = |command| {
        let output = eclipse_vmm(&[command, "--ide", &disk, "--cmdline", "scenario=ata"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        log(&output).split_off(log(&output).len() - 2)
    };
    assert_eq!(last("qemu"), last("run"));
}

#[test]
fn what_a_board_cannot_have_is_a_usage_error() {
    let refused = |arguments: &[&str]| {
        let output = eclipse_vmm(&[&["qemu"], arguments].concat());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        error.lines().next().unwrap_or_default().to_string()
    };
    let why = "error: --ide needs --machine pc: a q35 has no IDE controller";
    assert_eq!(refused(&["--machine", "q35", "--ide", "disk.img"]), why);
    let why = "error: 07:00.0 is on no bus of this machine; there are buses 0 and 1";
    assert_eq!(refused(&["--block", "07:00.0=disk.img"]), why);
    assert!(refused(&["--no-disk", "--disk", "disk.img"]).contains("cannot be used with"));
}

#[test]
fn many_requests_of_all_sorts_come_to_the_same() {
    // What both devices offer: QEMU's writes zeroes as well.
    let log = same(&[], &[], "scenario=soak count=50 features=0x244");
    let last = log.last().map(String::as_str).unwrap_or_default();
    assert!(last.starts_with("[VirtIO] Soak of 50: "), "{log:?}");
}

#[test]
fn the_indices_of_qemus_queue_go_all_round() {
    let qemu = eclipse_vmm(&["qemu", "--cmdline", "scenario=soak count=65536"]);
    assert_eq!(verdict(&qemu), (Some(0), "verdict: success".to_string()), "{:?}", log(&qemu));
    let log = log(&qemu);
    assert!(!log.iter().any(|line| line.contains("reset, try")), "{log:?}");
}

/// The image in a QEMU with so many MiB, of which the VMM would give it more: what it says last,
/// and QEMU's exit code.
fn with_memory(mib: u32) -> (String, Option<i32>) {
    let directory = tempfile::tempdir().expect("there is room for an image");
    let kernel = directory.path().join("kernel.elf");
    let kernel = kernel.to_str().expect("it is text");
    assert!(eclipse_vmm(&["image", kernel]).status.success());
    let output = Command::new("qemu-system-x86_64")
        .args(["-M", "pc", "-accel", "tcg", "-nodefaults", "-display", "none", "-no-reboot"])
        .args(["-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
        .args(["-m", &format!("{mib}M"), "-kernel", kernel])
        .output()
        .unwrap_or_else(|error| panic!("QEMU does not start: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (text.trim_end().lines().last().unwrap_or_default().to_string(), output.status.code())
}

#[test]
fn too_little_memory_is_a_failure_that_says_so() {
    let outside = "[ERROR] the memory map does not call the memory of the kernel image RAM";
    assert_eq!(with_memory(3), (outside.to_string(), Some(0x11 << 1 | 1)));
    let (said, code) = with_memory(6);
    assert!(said.starts_with("[ERROR] too little memory: "), "{said}");
    assert_eq!(code, Some(0x11 << 1 | 1));
}
