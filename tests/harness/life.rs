//! What a driver is asked for while its device has a fault, what becomes of it, and what must
//! hold in any case.

use std::time::Duration;

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::fault::Fault;
use eclipse_devices::{Platform, PlatformConfig, Preset, Ram};
use eclipse_kernel::block::BlockDevice;
use eclipse_kernel::hal::Hal;
use eclipse_kernel::pci::Pci;
use eclipse_kernel::virtio::{
    self,
    blk::{Error, Options, SECTOR, VirtioBlk},
};
use eclipse_trace::{Entry, Event};

use crate::Loopback;

/// Sectors of the disk.
const SECTORS: u32 = 64;
/// Entries within which the driver has come to an end; without a fault it takes 450.
const ENTRIES: usize = 10_000;
/// The same in virtual time: a completion may take 5 seconds and a reset one, and the driver
/// tries three times.
const TIME: Duration = Duration::from_secs(30);

/// Rows of the catalogue of faults with other numbers: later requests, other values.
pub const OTHER_NUMBERS: [&str; 42] = [
    "F12:cap=2",
    "F27:loads=1000",
    "F30:nth=4",
    "F31:stage=1",
    "F31:stage=2",
    "F31:stage=3",
    "F31:stage=5",
    "F40:sectors=0x80000000000000",
    "F44:blk_size=1",
    "F44:blk_size=511",
    "F44:blk_size=0x80000000",
    "F45:seg_max=0xffffffff",
    "F55:size=1",
    "F55:size=2",
    "F55:size=3",
    "F55:size=32768",
    "F55:size=65535",
    "F65:id=16",
    "F65:id=256",
    "F65:id=0xffff",
    "F65:id=0xffffffff",
    "F65:id=0x10000,nth=3",
    "F68:nth=4",
    "F70:len=0,nth=2",
    "F70:len=1,nth=2",
    "F70:len=0xffffffff,nth=2",
    "F72:nth=3",
    "F76:nth=5",
    "F77:nth=3",
    "F97:type=0,nth=2",
    "F97:type=1",
    "F97:type=4",
    "F97:type=8",
    "F98:type=1",
    "F98:type=4",
    "F99:status=254,nth=2",
    "F100:nth=2",
    "F101:nth=2",
    "F110:nth=2",
    "F111:exit=250",
    "F114:request=1",
    "F114:request=5",
];

/// What became of a driver's work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It was done, as if nothing were wrong.
    Ok,
    /// It was done; the device was reset for it.
    Recovered,
    /// A part was done, and whoever wanted the rest was told.
    Degraded,
    /// The device was given up, and whoever wanted something was told.
    Refused,
    /// What was read is not what is on the disk, and nobody was told.
    Corrupt,
}

impl Verdict {
    /// Its word in the tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Recovered => "recovered",
            Self::Degraded => "degraded",
            Self::Refused => "refused",
            Self::Corrupt => "CORRUPT",
        }
    }
}

/// Why one thing that the driver was asked for was not done.
enum Why {
    Told,
    Wrong,
}

impl From<Error> for Why {
    fn from(_: Error) -> Self {
        Self::Told
    }
}

type Disk = VirtioBlk<Loopback>;

/// What the disk of this test holds from a sector on.
fn content(sector: u64) -> Vec<u8> {
    let first = sector * (SECTOR / 8) as u64;
    (first..first + 8 * (SECTOR / 8) as u64).flat_map(u64::to_le_bytes).collect()
}

fn same(data: &[u8], expected: &[u8]) -> Result<(), Why> {
    if data == expected { Ok(()) } else { Err(Why::Wrong) }
}

fn read(disk: &mut Disk, sector: u64, expected: &[u8]) -> Result<(), Why> {
    let mut data = [0xa5; 8 * SECTOR];
    disk.read_sectors(sector, &mut data)?;
    same(&data, expected)
}

/// Three reads that are in flight together.
fn batch(disk: &mut Disk) -> Result<(), Why> {
    let sectors = [32, 40, 48];
    let mut tokens = Vec::new();
    for sector in sectors {
        match disk.submit_read(sector, 8 * SECTOR) {
            Ok(token) => tokens.push(token),
            Err(error) => {
                tokens.into_iter().for_each(|token| disk.forget(token));
                return Err(error.into());
            }
        }
    }
    let mut worst = Ok(());
    for (sector, token) in sectors.into_iter().zip(tokens) {
        let mut data = [0xa5; 8 * SECTOR];
        let ended = disk.finish(token, &mut data).map_err(Why::from);
        match ended.and_then(|()| same(&data, &content(sector))) {
            Err(Why::Wrong) => worst = Err(Why::Wrong),
            Err(Why::Told) if worst.is_ok() => worst = Err(Why::Told),
            _ => {}
        }
    }
    worst
}

/// Uses a disk, and goes on with what can still be done where something fails.
fn use_it(disk: &mut Disk) -> Verdict {
    let mut ends = vec![read(disk, 8, &content(8))];
    if !disk.config().read_only {
        let pattern = content(1 << 20);
        ends.push(disk.write_sectors(16, &pattern).map_err(Why::from));
        ends.push(disk.flush().map_err(Why::from));
        let written = ends.iter().all(Result::is_ok);
        if written {
            ends.push(read(disk, 16, &pattern));
        }
    }
    ends.push(batch(disk));
    ends.push(disk.get_id().map(drop).map_err(Why::from));
    ends.push(read(disk, 0, &content(0)));
    let wrong = ends.iter().any(|end| matches!(end, Err(Why::Wrong)));
    let all = ends.iter().all(Result::is_ok);
    match (wrong, all, ends.last().is_some_and(Result::is_ok)) {
        (true, ..) => Verdict::Corrupt,
        (_, true, _) if disk.hal().console().contains("reset, try") => Verdict::Recovered,
        (_, true, _) => Verdict::Ok,
        (_, false, true) => Verdict::Degraded,
        (_, false, false) => Verdict::Refused,
    }
}

/// A driver's whole life on a machine.
pub fn live(machine: &Loopback) -> Verdict {
    let Ok(mut disk) = virtio::init(&Pci::init(machine), Options::default()) else {
        return Verdict::Refused;
    };
    let verdict = use_it(&mut disk);
    // Whether the device confirms its reset is looked at by what becomes of the memory.
    let _ = disk.close();
    verdict
}

/// The preset's machine with the disk of this test.
pub fn config(preset: Preset) -> PlatformConfig {
    preset.config(Box::new(MemoryDisk::counting(SECTORS)))
}

/// A machine with a fault, if it can strike there.
pub fn machine(preset: Preset, schedule: &[Fault]) -> Option<Loopback> {
    on(|| config(preset), schedule)
}

/// The same, made of these devices.
pub fn on(devices: impl Fn() -> PlatformConfig, schedule: &[Fault]) -> Option<Loopback> {
    Platform::with_faults(devices(), schedule, Ram::Direct).ok()?;
    Some(Loopback::with_faults(devices(), schedule.to_vec(), Ram::Direct))
}

/// Whether a device touched memory.
fn touched(entries: &[Entry]) -> bool {
    entries.iter().any(|entry| {
        matches!(entry.event, Event::Used { .. } | Event::PackedUsed { .. } | Event::Buffer { .. })
    })
}

/// What must hold whatever the device does; answers with what became of the work.
pub fn stands(name: &str, preset: Preset, machine: &Loopback) -> Verdict {
    let verdict = live(machine);
    let ended = machine.recorded();
    assert!(ended < ENTRIES, "{name}, {preset}: {ended} entries");
    let took = machine.now();
    assert!(took < TIME, "{name}, {preset}: {took:?}");
    let lost = machine.console().contains("did not confirm its reset");
    let kept = machine.dma_allocated();
    assert!(kept == 0 || lost, "{name}, {preset}: {kept} bytes: {}", machine.console());
    for _ in 0..3 {
        machine.halt();
    }
    let after = machine.entries_from(ended);
    assert!(lost || !touched(&after), "{name}, {preset}: memory is used after its release");
    verdict
}
