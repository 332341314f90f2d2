//! Every scenario of the drivers, on every machine, in loopback and on KVM: one transcript.
//!
//! Memory is named by what lies there, because a process and a kernel allocate at different
//! places. All else is compared: each access, each request, each interrupt and each line of
//! the log, in their order, and how the scenario ended.

use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_devices::pci::Placement;
use eclipse_devices::virtio::Features;
use eclipse_devices::{BlockDevice, Completion, PlatformConfig, Preset};
use eclipse_kernel::scenario::{self, SCENARIOS};
use eclipse_tests::{Loopback, kvm, slice};
use eclipse_trace::Bdf;
use eclipse_vmm::Outcome;

/// What is asked of each preset.
const ROWS: &[&str] = &[
    "scenario=boot",
    "scenario=pci",
    "scenario=init",
    "scenario=read sector=9",
    "scenario=write",
    "scenario=info",
    "scenario=batch count=8",
    "scenario=bytes",
    "scenario=discard",
    "scenario=tasks count=4",
    "scenario=soak count=20",
    "scenario=devices",
    "scenario=ata",
    "scenario=ls",
    "scenario=fsck",
    "scenario=servers",
];

/// The same in the other ways to drive a device that a command line can ask for.
const WAYS: &[&str] = &[
    "scenario=write interrupts=intx",
    "scenario=batch count=8 interrupts=intx",
    "scenario=tasks count=4 interrupts=intx",
    "scenario=servers interrupts=intx",
    "scenario=write interrupts=none",
    "scenario=batch count=8 interrupts=none",
    "scenario=tasks count=4 interrupts=none",
    "scenario=boot config=ecam",
];

/// The same by the legacy interface, where there is one.
const LEGACY: &[&str] = &[
    "scenario=boot transport=legacy",
    "scenario=write transport=legacy interrupts=intx",
    "scenario=batch count=8 transport=legacy interrupts=none",
];

/// What is asked of machines that differ from a preset in something.
const SOME: &[&str] =
    &["scenario=boot", "scenario=info", "scenario=batch count=8", "scenario=devices"];

fn disk() -> Box<MemoryDisk> {
    Box::new(MemoryDisk::new(default_image()))
}

fn preset(preset: Preset) -> PlatformConfig {
    preset.config(disk())
}

/// The preset's machine with a disk on its IDE controller.
fn with_ide(preset: Preset) -> PlatformConfig {
    PlatformConfig { ata: Some(disk()), ..self::preset(preset) }
}

fn without_virtio(ata: Option<Box<dyn eclipse_devices::disk::Disk>>) -> PlatformConfig {
    PlatformConfig { blocks: Vec::new(), placement: Placement::default(), ata }
}

/// The modern machine and a second disk at `function`.
fn with_second(function: Bdf) -> PlatformConfig {
    let mut config = preset(Preset::Modern);
    let second = BlockDevice::new(Box::new(MemoryDisk::counting(200)));
    config.blocks.push(BlockDevice { function, ..second });
    config
}

/// The preset's machine, with every feature offered that the driver has a use for.
fn with_all_features(preset: Preset) -> PlatformConfig {
    let more = Features::INDIRECT_DESC
        | Features::EVENT_IDX
        | Features::RING_RESET
        | Features::SIZE_MAX
        | Features::GEOMETRY
        | Features::TOPOLOGY
        | Features::CONFIG_WCE
        | Features::DISCARD
        | Features::WRITE_ZEROES;
    let mut config = self::preset(preset);
    for block in &mut config.blocks {
        block.virtio.offer |= more;
        block.blk.features |= more;
    }
    config
}

fn with_queues(count: u16) -> PlatformConfig {
    let mut config = preset(Preset::Modern);
    for block in &mut config.blocks {
        block.blk.queues = count;
        block.blk.features |= Features::MQ;
        block.virtio.vectors = count + 1;
    }
    config
}

/// The preset's machine, whose devices complete requests by `completion`.
fn completing(preset: Preset, completion: Completion) -> PlatformConfig {
    let mut config = self::preset(preset);
    for block in &mut config.blocks {
        block.completion = completion;
    }
    config
}

fn placed(preset: Preset, placement: Placement) -> PlatformConfig {
    PlatformConfig { placement, ..self::preset(preset) }
}

/// What the drivers did in loopback, and how that ended.
fn in_loopback(cmdline: &str, devices: PlatformConfig) -> (String, Outcome) {
    let machine = Loopback::with(devices);
    let result = scenario::run(&machine, cmdline);
    assert_eq!(machine.dma_allocated(), 0, "{cmdline}: DMA memory that was not given back");
    let (error, value) = match result {
        Ok(()) => (String::new(), 0x10),
        Err(error) => (format!("guest   console [ERROR] {error}\n"), 0x11),
    };
    let end = format!("{error}guest   debug_exit <- {value:02x}\n");
    (machine.transcript_from(0) + &end, Outcome::of_exit(value))
}

/// What they did in the image on KVM, from where the library begins.
fn on_kvm(cmdline: &str, devices: PlatformConfig) -> (String, Outcome) {
    let run = kvm::boot_with(cmdline, devices);
    let entries = run.recorder.entries();
    let stages = slice::position(entries, "[SRV] Servers registered: block, file");
    (slice::transcript(&entries[stages + 1..], entries), run.outcome)
}

/// Asserts that both do the same; answers with what they do.
fn same(cmdline: &str, devices: impl Fn() -> PlatformConfig) -> (String, Outcome) {
    let (expected, found) = (in_loopback(cmdline, devices()), on_kvm(cmdline, devices()));
    let both = || expected.0.lines().zip(found.0.lines());
    let same = both().take_while(|(expected, found)| expected == found).count();
    let show = |text: &str| {
        let lines = text.lines().skip(same.saturating_sub(5)).take(12);
        lines.map(|line| format!("  {line}\n")).collect::<String>()
    };
    assert!(
        expected == found,
        "{cmdline}: line {} differs; in loopback\n{}but on KVM\n{}",
        same + 1,
        show(&expected.0),
        show(&found.0),
    );
    found
}

/// Asserts that both do the same, and that what fails is what `fails` says.
fn all(cmdlines: &[&[&str]], devices: impl Fn() -> PlatformConfig, fails: &[(&str, &str)]) {
    let mut failed = Vec::new();
    for &cmdline in cmdlines.iter().copied().flatten() {
        let (transcript, outcome) = same(cmdline, &devices);
        assert!(!transcript.contains("violation"), "{cmdline}:\n{transcript}");
        if outcome != Outcome::Success {
            let error =
                transcript.lines().filter_map(|line| line.split_once("[ERROR] ")).next_back();
            failed.push((cmdline, error.unwrap_or_default().1.to_string()));
        }
    }
    let failed: Vec<_> = failed.iter().map(|(cmdline, error)| (*cmdline, error.as_str())).collect();
    assert_eq!(failed, fails);
}

const NO_VIRTIO: &str = "no VirtIO block device is on the PCI bus";
const NO_ATA: (&str, &str) = ("scenario=ata", "there is no ATA disk");

#[test]
fn every_scenario_that_drives_devices_is_a_row() {
    let rows: Vec<_> = ROWS.iter().map(|row| row.split(['=', ' ']).nth(1)).collect();
    for scenario in SCENARIOS.iter().filter(|scenario| scenario.devices) {
        // Ring 3 is the image's own: tests/kernel.rs.
        let known = scenario.name == "user" || rows.contains(&Some(scenario.name));
        assert!(known, "{} has no row", scenario.name);
    }
}

#[test]
fn the_modern_preset() {
    all(&[ROWS, WAYS], || preset(Preset::Modern), &[NO_ATA]);
}

#[test]
fn the_transitional_preset() {
    all(&[ROWS, WAYS, LEGACY], || preset(Preset::Transitional), &[NO_ATA]);
}

#[test]
fn the_legacy_preset() {
    all(&[ROWS, WAYS, LEGACY], || preset(Preset::Legacy), &[NO_ATA]);
}

#[test]
fn the_packed_preset() {
    all(&[ROWS, WAYS], || preset(Preset::Packed), &[NO_ATA]);
}

#[test]
fn the_bridge_preset() {
    all(&[ROWS, WAYS], || preset(Preset::Bridge), &[NO_ATA]);
}

#[test]
fn devices_that_offer_every_feature() {
    let rows = ["scenario=discard", "scenario=bytes", "scenario=tasks count=4 interrupts=intx"];
    for preset in [Preset::Modern, Preset::Packed] {
        all(&[SOME, &rows], || with_all_features(preset), &[]);
    }
}

#[test]
fn a_device_of_several_queues() {
    let rows = ["scenario=batch count=8 interrupts=intx", "scenario=tasks count=8"];
    all(&[SOME, &rows], || with_queues(4), &[]);
}

#[test]
fn two_devices_share_an_interrupt_line() {
    let rows = ["scenario=devices interrupts=none", "scenario=devices config=ecam"];
    let two = || with_second(Bdf::new(0, 8, 0));
    all(&[SOME, &rows], two, &[]);
    let (transcript, outcome) = same("scenario=devices interrupts=intx", two);
    assert_eq!(outcome, Outcome::Success);
    let last = |function, change| {
        let event = format!("{function} inta {change}, gsi 10\n");
        transcript.rfind(&event).unwrap_or_else(|| panic!("no {event}{transcript}"))
    };
    let (first, second) = ("00:04.0", "00:08.0");
    // Both hold the line; when one lets it go, the other's interrupt is still to come.
    assert!(last(first, "asserted") < last(second, "asserted"), "{transcript}");
    assert!(last(second, "asserted") < last(first, "deasserted"), "{transcript}");
    assert!(last(first, "deasserted") < last(second, "deasserted"), "{transcript}");
}

#[test]
fn a_device_on_the_root_bus_and_one_behind_the_bridge() {
    let rows = ["scenario=devices interrupts=intx"];
    all(&[SOME, &rows], || with_second(Bdf::new(1, 3, 0)), &[]);
}

#[test]
fn machines_whose_bars_are_unassigned() {
    for preset in [Preset::Modern, Preset::Transitional, Preset::Legacy, Preset::Bridge] {
        all(&[SOME], || placed(preset, Placement::Unassigned), &[]);
    }
}

#[test]
fn machines_that_a_loader_has_used() {
    for preset in Preset::ALL {
        all(&[SOME], || placed(*preset, Placement::Warm), &[]);
    }
}

#[test]
fn requests_that_complete_late_or_out_of_order() {
    let rows = ["scenario=batch count=8", "scenario=tasks count=4", "scenario=servers"];
    for completion in [Completion::Halt, Completion::Reverse(None), Completion::Batch(3)] {
        for preset in [Preset::Modern, Preset::Packed] {
            all(&[&rows], || completing(preset, completion), &[]);
        }
    }
}

#[test]
fn a_disk_on_the_ide_controller_beside_the_block_device() {
    all(&[&["scenario=boot", "scenario=ata"]], || with_ide(Preset::Modern), &[]);
}

#[test]
fn the_ladder_ends_at_the_ata_disk() {
    let rows =
        ["scenario=boot", "scenario=ls", "scenario=fsck", "scenario=ata", "scenario=devices"];
    all(&[&rows], || without_virtio(Some(disk())), &[("scenario=devices", NO_VIRTIO)]);
}

#[test]
fn the_ladder_ends_at_a_simulated_disk() {
    let rows =
        ["scenario=boot", "scenario=ls", "scenario=fsck", "scenario=init", "scenario=servers"];
    all(
        &[&rows],
        || without_virtio(None),
        &[("scenario=init", NO_VIRTIO), ("scenario=servers", NO_VIRTIO)],
    );
}
