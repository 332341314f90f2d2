//! Every scenario of the drivers, and the machines that it runs on.

use eclipse_devices::disk::{Disk, MemoryDisk, default_image};
use eclipse_devices::pci::Placement;
use eclipse_devices::virtio::Features;
use eclipse_devices::{BlockDevice, Completion, PlatformConfig, Preset};
use eclipse_trace::Bdf;

/// What is asked of each preset.
pub const ROWS: &[&str] = &[
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

/// A machine, and what its drivers are asked for.
pub struct Case {
    /// What the machine is, for messages.
    pub name: String,
    /// The command lines.
    pub cmdlines: Vec<&'static str>,
    /// The devices and their disks, new each time.
    pub devices: Box<dyn Fn() -> PlatformConfig>,
    /// The command lines that fail, with the error.
    pub fails: &'static [(&'static str, &'static str)],
}

impl Case {
    fn new(
        name: impl Into<String>,
        cmdlines: &[&[&'static str]],
        devices: impl Fn() -> PlatformConfig + 'static,
    ) -> Self {
        let (name, cmdlines, devices) = (name.into(), cmdlines.concat(), Box::new(devices));
        Self { name, cmdlines, devices, fails: &[] }
    }
}

const NO_VIRTIO: &str = "no VirtIO block device is on the PCI bus";

fn disk() -> Box<MemoryDisk> {
    Box::new(MemoryDisk::new(default_image()))
}

fn ordinary(preset: Preset) -> PlatformConfig {
    preset.config(disk())
}

/// The preset's machine with a disk on its IDE controller.
fn with_ide(preset: Preset) -> PlatformConfig {
    PlatformConfig { ata: Some(disk()), ..ordinary(preset) }
}

fn without_virtio(ata: Option<Box<dyn Disk>>) -> PlatformConfig {
    PlatformConfig { blocks: Vec::new(), placement: Placement::default(), ata }
}

/// The modern machine and a second disk at `function`.
fn with_second(function: Bdf) -> PlatformConfig {
    let mut config = ordinary(Preset::Modern);
    let second = BlockDevice::new(Box::new(MemoryDisk::counting(200)));
    config.blocks.push(BlockDevice { function, ..second });
    config
}

/// The machine, with every feature offered that the driver has a use for.
pub fn offering_all(mut config: PlatformConfig) -> PlatformConfig {
    let more = Features::INDIRECT_DESC
        | Features::EVENT_IDX
        | Features::RING_RESET
        | Features::SIZE_MAX
        | Features::GEOMETRY
        | Features::TOPOLOGY
        | Features::CONFIG_WCE
        | Features::DISCARD
        | Features::WRITE_ZEROES;
    for block in &mut config.blocks {
        block.virtio.offer |= more;
        block.blk.features |= more;
    }
    config
}

fn with_queues(count: u16) -> PlatformConfig {
    let mut config = ordinary(Preset::Modern);
    for block in &mut config.blocks {
        block.blk.queues = count;
        block.blk.features |= Features::MQ;
        block.virtio.vectors = count + 1;
    }
    config
}

/// The preset's machine, whose devices complete requests by `completion`.
fn completing(preset: Preset, completion: Completion) -> PlatformConfig {
    let mut config = ordinary(preset);
    for block in &mut config.blocks {
        block.completion = completion;
    }
    config
}

fn placed(preset: Preset, placement: Placement) -> PlatformConfig {
    PlatformConfig { placement, ..ordinary(preset) }
}

/// A preset as it is, with every row.
pub fn preset(preset: Preset) -> Case {
    let legacy: &[_] = match preset {
        Preset::Transitional | Preset::Legacy => LEGACY,
        _ => &[],
    };
    let fails = &[("scenario=ata", "there is no ATA disk")];
    Case { fails, ..Case::new(preset.to_string(), &[ROWS, WAYS, legacy], move || ordinary(preset)) }
}

/// Devices that offer every feature.
pub fn every_feature() -> Vec<Case> {
    let rows = ["scenario=discard", "scenario=bytes", "scenario=tasks count=4 interrupts=intx"];
    let with = |preset| {
        let name = format!("{preset} with every feature");
        Case::new(name, &[SOME, &rows], move || offering_all(ordinary(preset)))
    };
    [Preset::Modern, Preset::Packed].map(with).into()
}

/// A device of several queues.
pub fn several_queues() -> Case {
    let rows = ["scenario=batch count=8 interrupts=intx", "scenario=tasks count=8"];
    Case::new("four queues", &[SOME, &rows], || with_queues(4))
}

/// Two devices that share an interrupt line.
pub fn two_devices() -> Case {
    let rows = [
        "scenario=devices interrupts=intx",
        "scenario=devices interrupts=none",
        "scenario=devices config=ecam",
    ];
    Case::new("two devices", &[SOME, &rows], || with_second(Bdf::new(0, 8, 0)))
}

/// A device on the root bus, and one behind the bridge.
pub fn two_buses() -> Case {
    let rows = ["scenario=devices interrupts=intx"];
    Case::new("two buses", &[SOME, &rows], || with_second(Bdf::new(1, 3, 0)))
}

/// Machines whose BARs are unassigned.
pub fn unassigned() -> Vec<Case> {
    let with = |preset| {
        let name = format!("{preset}, unassigned");
        Case::new(name, &[SOME], move || placed(preset, Placement::Unassigned))
    };
    [Preset::Modern, Preset::Transitional, Preset::Legacy, Preset::Bridge].map(with).into()
}

/// Machines that a loader has used.
pub fn warm() -> Vec<Case> {
    let with = |preset: &Preset| {
        let preset = *preset;
        let name = format!("{preset}, warm");
        Case::new(name, &[SOME], move || placed(preset, Placement::Warm))
    };
    Preset::ALL.iter().map(with).collect()
}

/// Requests that complete late or out of order.
pub fn late_completions() -> Vec<Case> {
    let rows = ["scenario=batch count=8", "scenario=tasks count=4", "scenario=servers"];
    let mut cases = Vec::new();
    for completion in [Completion::Halt, Completion::Reverse(None), Completion::Batch(3)] {
        for preset in [Preset::Modern, Preset::Packed] {
            let name = format!("{preset}, {completion}");
            cases.push(Case::new(name, &[&rows], move || completing(preset, completion)));
        }
    }
    cases
}

/// A disk on the IDE controller beside the block device.
pub fn ide() -> Case {
    let rows = ["scenario=boot", "scenario=ata"];
    Case::new("a disk on IDE", &[&rows], || with_ide(Preset::Modern))
}

/// No block device, but an ATA disk.
pub fn ata_alone() -> Case {
    let rows =
        ["scenario=boot", "scenario=ls", "scenario=fsck", "scenario=ata", "scenario=devices"];
    let fails = &[("scenario=devices", NO_VIRTIO)];
    Case { fails, ..Case::new("ATA alone", &[&rows], || without_virtio(Some(disk()))) }
}

/// No disk at all.
pub fn no_disk() -> Case {
    let rows =
        ["scenario=boot", "scenario=ls", "scenario=fsck", "scenario=init", "scenario=servers"];
    let fails = &[("scenario=init", NO_VIRTIO), ("scenario=servers", NO_VIRTIO)];
    Case { fails, ..Case::new("no disk", &[&rows], || without_virtio(None)) }
}

/// All of them.
pub fn all() -> impl Iterator<Item = Case> {
    let presets = Preset::ALL.iter().copied().map(preset);
    let single = [several_queues(), two_devices(), two_buses(), ide(), ata_alone(), no_disk()];
    let several = [every_feature(), unassigned(), warm(), late_completions()];
    presets.chain(single).chain(several.into_iter().flatten())
}
