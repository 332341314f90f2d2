//! What the image does to its block device, by QEMU's trace and by the record of `run`.
//!
//! Behind the feature `qemu`, because cargo cannot install QEMU; `./check` does.

use std::{
    fs::File,
    io::BufReader,
    path::Path,
    process::{Command, Output},
};

use eclipse_trace::{
    Actor, Bdf, Entry, Event, Register,
    import::qemu,
    jsonl,
    register::{CapabilityKind, CommonCfg, ConfigHeader, LegacyCfg, MsixCap},
    rules::{End, Judge},
};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_eclipse-vmm"))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("the program does not start: {error}"))
}

fn eclipse_vmm(arguments: &[&str]) {
    let output = run(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
}

fn open(path: &Path) -> BufReader<File> {
    BufReader::new(File::open(path).expect("it was written"))
}

/// What is the driver's doing and not the machine's: where capabilities and BARs are and what a
/// device offers differ from one to the other.
fn doing(entries: &[Entry]) -> Vec<String> {
    let function: Bdf = "00:04.0".parse().expect("it is a function");
    let begins =
        |entry: &Entry| matches!(&entry.event, Event::Console { line } if line.contains("[BOOT]"));
    let first = entries.iter().position(begins).expect("the kernel says that it starts");
    let of_driver = |entry: &&Entry| match &entry.event {
        Event::Register {
            register: Register::Config { function: of, offset, capability, .. },
            ..
        } => {
            let command = *offset == ConfigHeader::Command.offset();
            let control = capability.is_some_and(|capability| {
                let inside = offset - u16::from(capability.at);
                capability.kind == CapabilityKind::Msix
                    && inside == MsixCap::MessageControl.offset()
            });
            *of == function && (command || control)
        }
        Event::Register { register, access } => {
            let offer = matches!(
                register,
                Register::Common { register: CommonCfg::DeviceFeature, .. }
                    | Register::Legacy { register: LegacyCfg::DeviceFeatures, .. }
            );
            register.function() == Some(function) && (!offer || access.is_store())
        }
        Event::Refused { register, .. } => register.function() == Some(function),
        Event::Msix { .. } | Event::Intx { asserted: true, .. } => {
            entry.by == Actor::Device(function)
        }
        _ => false,
    };
    let shown = |entry: &Entry| match entry.event {
        // A line has another number there.
        Event::Intx { .. } => "interrupt".to_string(),
        _ => entry.to_string(),
    };
    entries[first..].iter().filter(of_driver).map(shown).collect()
}

/// Asserts that the referee finds nothing in the driver's doing but for what it was `asked` to do.
fn judged(recording: &qemu::Recording, asked: &[&str], boot: &str) {
    let mut judge = Judge::by(recording.judged());
    recording.show(&mut judge);
    let report = judge.finish(End::Unknown);
    let kept = report.rules.iter().filter(|(_, tally)| tally.kept != 0).count();
    assert!(kept > 15, "{boot}: only {kept} rules had anything to look at");
    assert_eq!(report.broken_rules(), asked, "{boot}: {:#?}", report.findings);
}

/// What the same boot looks like in both.
fn same(preset: &str, cmdline: &str) -> Vec<String> {
    let directory = tempfile::tempdir().expect("the host has room");
    let (log, trace) = (directory.path().join("qemu.log"), directory.path().join("ours.jsonl"));
    let path = |path: &Path| path.to_str().expect("it is text").to_string();
    // What both devices offer.
    let cmdline = format!("{cmdline} features=0x244");
    let options = ["--preset", preset, "--quiet", "--cmdline", &cmdline];
    eclipse_vmm(&[&["qemu", "--record", &path(&log)], &options[..]].concat());
    eclipse_vmm(&[&["run", "--warm", "--trace", &path(&trace)], &options[..]].concat());

    let recording = qemu::read(open(&log)).expect("the log is whole");
    // `features` leaves out RING_PACKED and ANY_LAYOUT, which a driver SHOULD accept; QEMU offers
    // the latter with a transitional device alone.
    let asked: &[_] = match preset {
        "packed" => &["D6.1-d"],
        "transitional" => &["L6.3"],
        _ => &[],
    };
    judged(&recording, asked, &format!("{preset}: {cmdline}"));
    let ours = jsonl::read(open(&trace)).expect("the trace is whole");
    let (found, expected) = (doing(&recording.entries), doing(&ours.entries));
    assert_eq!(found, expected, "{preset}: {cmdline}");
    found
}

#[test]
fn the_driver_does_the_same_on_the_modern_device() {
    let found = same("modern", "scenario=read sector=3");
    assert!(found.len() > 50 && found.iter().any(|line| line.contains("msix 1")), "{found:#?}");
    same("modern", "scenario=write");
    same("modern", "scenario=read interrupts=intx");
}

#[test]
fn the_driver_does_the_same_on_the_packed_device() {
    same("packed", "scenario=read");
}

#[test]
fn the_driver_does_the_same_over_the_legacy_interface() {
    let found = same("legacy", "scenario=read");
    assert!(
        found.len() > 30 && found.iter().any(|line| line.contains("legacy queue_notify")),
        "{found:#?}"
    );
    same("transitional", "scenario=read transport=legacy");
}

#[test]
fn the_driver_is_judged_and_the_firmware_only_where_it_is_asked_for() {
    let directory = tempfile::tempdir().expect("the host has room");
    let log = directory.path().join("qemu.log");
    let log = log.to_str().expect("it is text");
    eclipse_vmm(&["qemu", "--record", log, "--quiet", "--cmdline", "scenario=read"]);
    let judged = run(&["judge", "--qemu", log]);
    assert_eq!(judged.status.code(), Some(0), "{judged:?}");
    let firmware = run(&["judge", "--qemu", log, "--firmware"]);
    assert_eq!(firmware.status.code(), Some(5), "{firmware:?}");
    let text = String::from_utf8_lossy(&firmware.stdout).into_owned();
    assert!(text.contains("D4.1.4.3.2-e"), "{text}");
}

#[test]
fn a_machine_without_a_kernel_is_left_to_its_firmware_and_to_what_qemu_is_told() {
    let directory = tempfile::tempdir().expect("the host has room");
    let log = directory.path().join("qemu.log");
    let path = log.to_str().expect("it is text");
    // A boot sector that stores 0x10 to port 0xf4: mov al, 0x10; out 0xf4, al; hlt.
    let disk = directory.path().join("disk.img");
    let mut image = vec![0; 16 << 20];
    image[..5].copy_from_slice(&[0xb0, 0x10, 0xe6, 0xf4, 0xf4]);
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(&disk, image).expect("the host has room");
    let disk = disk.to_str().expect("it is text");
    let options = ["--quiet", "--no-kernel", "--disk", disk, "--", "-name", "firmware"];
    eclipse_vmm(&[&["qemu", "--record", path], &options[..]].concat());
    let recording = qemu::read(open(&log)).expect("the log is whole");
    let rings = |entry: &&Entry| {
        let notify = |register: &Register| matches!(register, Register::Notify { .. });
        matches!(&entry.event, Event::Register { register, .. } if notify(register))
    };
    assert_eq!(recording.entries.iter().filter(rings).count(), 1, "SeaBIOS reads one sector");
}
