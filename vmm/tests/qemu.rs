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
    let ours = eclipse_vmm(&["run", "--cmdline", cmdline]);
    let qemu = eclipse_vmm(&["qemu", "--cmdline", cmdline]);
    assert_eq!(verdict(&qemu), verdict(&ours), "{}", String::from_utf8_lossy(&qemu.stderr));
    assert_eq!(log(&qemu), log(&ours));
    log(&ours)
}

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
fn many_requests_of_all_sorts_come_to_the_same() {
    // What both devices offer: QEMU's writes zeroes as well.
    let log = same_in_both("scenario=soak count=50 features=0x244");
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
