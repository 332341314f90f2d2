//! Many mixed requests by the guest's driver, every read verified, on every machine. On some
//! the indices of the rings go all round, which takes as many chains as they have values.
//!
//! A test makes no more requests than it has to. To have each make as many as one likes:
//!
//! ```console
//! $ ECLIPSE_SOAK=100000 cargo test --release -p eclipse-tests --test soak
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::virtio::Features;
use eclipse_devices::{PlatformConfig, Preset};
use eclipse_kernel::scenario;
use eclipse_tests::Loopback;
use eclipse_trace::{Access, Entry, Event, Recorder, Ring};

/// Chains after which a 16-bit index is where it began.
const ROUND: u32 = 1 << 16;
/// Requests where nothing has to go round.
const SOME: u32 = 4_000;
/// Entries that the recorder keeps; what it drops is counted.
const KEPT: usize = 1024;

/// What a device gave back by one queue.
#[derive(Clone, Copy, Debug, Default)]
struct Given {
    chains: u32,
    /// How often `used.idx` became 0 again.
    rounds: u32,
}

/// What was given back, by queue.
#[derive(Clone, Default)]
struct Count(Arc<Mutex<BTreeMap<u16, Given>>>);

impl Count {
    fn queues(&self) -> MutexGuard<'_, BTreeMap<u16, Given>> {
        self.0.lock().expect("nobody panics with it")
    }

    fn add(&self, entries: &[Entry]) {
        let mut queues = self.queues();
        for entry in entries {
            match entry.event {
                Event::Used { queue, .. } | Event::PackedUsed { queue, .. } => {
                    queues.entry(queue).or_default().chains += 1;
                }
                Event::Ring {
                    queue,
                    field: Ring::UsedIdx,
                    access: Access::Store { value: 0, .. },
                } => queues.entry(queue).or_default().rounds += 1,
                _ => {}
            }
        }
    }
}

/// How many requests: what the environment says, or else `count`.
fn requests(count: u32) -> u32 {
    match std::env::var("ECLIPSE_SOAK") {
        Ok(asked) => asked.parse().unwrap_or_else(|error| panic!("ECLIPSE_SOAK={asked}: {error}")),
        Err(_) => count,
    }
}

/// The machine `preset`, whose device writes zeroes too.
fn config(preset: Preset) -> PlatformConfig {
    let mut config = preset.config(Box::new(MemoryDisk::counting(1024)));
    for block in &mut config.blocks {
        block.blk.features |= Features::WRITE_ZEROES;
    }
    config
}

/// The machine `modern` with features that its device offers as well.
fn with(features: Features) -> PlatformConfig {
    let mut config = config(Preset::Modern);
    for block in &mut config.blocks {
        block.virtio.offer |= features;
    }
    config
}

/// Makes at least `count` requests, and answers with what was given back by each queue.
fn soak(config: PlatformConfig, count: u32, keys: &str) -> Vec<Given> {
    let count = requests(count);
    let given = Count::default();
    let sink = given.clone();
    let recorder = Recorder::keeping_last(KEPT, Some(Box::new(move |entries| sink.add(entries))));
    let machine = Loopback::with(config).recorded_by(recorder);
    let cmdline = format!("scenario=soak count={count} {keys}");
    assert_eq!(scenario::run(&machine, &cmdline), Ok(()), "{}", machine.console());
    assert!(machine.console().contains(&format!("Soak of {count}: ")), "{}", machine.console());
    assert!(!machine.console().contains("reset, try"), "{}", machine.console());
    assert_eq!(machine.dma_allocated(), 0);
    let summary = machine.summary();
    let failures = (summary.violations, summary.refused, summary.failed_requests);
    assert_eq!(failures, (0, 0, 0));
    for kind in ["in", "out", "flush", "get_id", "write_zeroes"] {
        let made = summary.requests.get(kind).copied().unwrap_or_default();
        assert!(made > u64::from(count / 50), "{made} {kind}: {:?}", summary.requests);
    }
    given.add(&machine.entries());
    let given: Vec<_> = given.queues().values().copied().collect();
    let chains: u32 = given.iter().map(|queue| queue.chains).sum();
    assert!(chains >= count, "{chains} chains for {count} requests");
    given
}

/// The same for a split queue whose indices are to go all round.
fn soak_all_round(config: PlatformConfig, keys: &str) {
    let given = soak(config, ROUND, keys);
    assert!(given.iter().all(|queue| queue.rounds >= 1), "{given:?}");
}

#[test]
fn the_indices_of_a_split_queue_go_all_round() {
    soak_all_round(config(Preset::Modern), "");
}

#[test]
fn the_indices_of_a_legacy_queue_go_all_round() {
    soak_all_round(config(Preset::Legacy), "");
}

#[test]
fn the_indices_of_a_queue_with_tables_and_events_go_all_round() {
    soak_all_round(with(Features::INDIRECT_DESC | Features::EVENT_IDX), "");
}

#[test]
fn a_packed_queue_goes_round_hundreds_of_times() {
    let given = soak(config(Preset::Packed), ROUND, "");
    // Of 256 slots a chain takes at least one.
    assert!(given.iter().all(|queue| queue.chains >= 256 * 256), "{given:?}");
}

#[test]
fn a_transitional_device_serves_by_either_interface() {
    for keys in ["transport=modern", "transport=legacy"] {
        soak(config(Preset::Transitional), SOME, keys);
    }
}

#[test]
fn a_device_behind_a_bridge_serves() {
    soak(config(Preset::Bridge), SOME, "");
}

#[test]
fn several_queues_share_the_requests() {
    for features in [Features::MQ, Features::MQ | Features::RING_PACKED] {
        let mut config = with(features);
        for block in &mut config.blocks {
            block.blk.features |= Features::MQ;
            block.blk.queues = 4;
        }
        let given = soak(config, SOME, "");
        assert_eq!(given.len(), 4, "{given:?}");
        let (least, most) = (given.iter().map(|queue| queue.chains))
            .fold((u32::MAX, 0), |(least, most), chains| (least.min(chains), most.max(chains)));
        assert!(most - least < most / 4, "{given:?}");
    }
}

#[test]
fn requests_come_back_in_any_order() {
    for completion in ["reverse", "reverse:3", "shuffle:7", "shuffle:7:4", "batch:5", "halt"] {
        for preset in [Preset::Modern, Preset::Legacy, Preset::Packed] {
            let mut config = config(preset);
            for block in &mut config.blocks {
                block.completion = completion.parse().expect("it is a schedule");
            }
            soak(config, SOME / 4, "");
        }
    }
}

#[test]
fn requests_come_back_however_the_device_tells() {
    for interrupts in ["msix", "intx", "none"] {
        for preset in [Preset::Modern, Preset::Legacy, Preset::Packed] {
            soak(config(preset), SOME / 4, &format!("interrupts={interrupts}"));
        }
    }
}
