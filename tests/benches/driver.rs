//! The guest's driver and the emulated device together, in one process:
//! `cargo bench -p eclipse-tests --bench driver`.
//!
//! What is promised for one core, and the rows that show it:
//!
//! | promise | rows |
//! |---|---|
//! | a read of 4 KiB takes 2 µs at most, submitted, carried out and copied | `4 KiB read` |
//! | every scenario on every machine takes 10 s at most | `all scenarios` |

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_devices::virtio::Features;
use eclipse_devices::{PlatformConfig, Preset};
use eclipse_kernel::pci::Pci;
use eclipse_kernel::scenario::{self, SCENARIOS};
use eclipse_kernel::virtio::{
    self,
    blk::{Options, VirtioBlk},
};
use eclipse_tests::Loopback;
use eclipse_trace::Recorder;

const BLOCK: usize = 4096;
/// Sectors of the disk.
const SECTORS: u32 = 8192;
/// Sectors of a block.
const STEP: u64 = BLOCK as u64 / 512;

fn config(preset: Preset, offer: Features) -> PlatformConfig {
    let mut config = preset.config(Box::new(MemoryDisk::counting(SECTORS)));
    for block in &mut config.blocks {
        block.virtio.offer |= offer;
    }
    config
}

/// A driver that has started its device, without a record of what they do.
fn started(config: PlatformConfig) -> VirtioBlk<Loopback> {
    let machine = Loopback::with(config).recorded_by(Recorder::off());
    virtio::init(&Pci::init(&machine), Options::default()).expect("the device works")
}

fn reads(c: &mut Criterion) {
    let mut group = c.benchmark_group("4 KiB read");
    group.throughput(Throughput::Elements(1));
    let tables = Features::INDIRECT_DESC | Features::EVENT_IDX;
    for (name, config) in [
        ("split", config(Preset::Modern, Features::empty())),
        ("indirect and EVENT_IDX", config(Preset::Modern, tables)),
        ("packed", config(Preset::Modern, Features::RING_PACKED)),
        ("packed, indirect and EVENT_IDX", config(Preset::Packed, Features::empty())),
        ("legacy", config(Preset::Legacy, Features::empty())),
    ] {
        let mut disk = started(config);
        let mut data = [0; BLOCK];
        let mut sector = 0;
        group.bench_function(name, |b| {
            b.iter(|| {
                sector = (sector + STEP) % u64::from(SECTORS);
                disk.read_sectors(sector, black_box(&mut data)).expect("the device works");
            });
        });
        assert_eq!(data[..8], (sector * 64).to_le_bytes(), "the sector's first word");
    }
    group.finish();
}

/// What a boot can be asked for, on every machine, all of it recorded.
fn scenarios(c: &mut Criterion) {
    let mut group = c.benchmark_group("all scenarios");
    group.sample_size(10);
    group.bench_function("every preset", |b| b.iter(all_scenarios));
    group.finish();
}

fn all_scenarios() {
    for &preset in Preset::ALL {
        for scenario in SCENARIOS.iter().filter(|scenario| scenario.devices) {
            let machine = Loopback::new(preset, MemoryDisk::new(default_image()));
            machine.attach_ata(MemoryDisk::new(default_image()));
            let result = scenario::run(&machine, &format!("scenario={}", scenario.name));
            let done = matches!(result, Ok(()) | Err(scenario::Error::Image(_)));
            assert!(done, "{preset}, {}: {result:?}", scenario.name);
        }
    }
}

criterion_group!(benches, reads, scenarios);
criterion_main!(benches);
