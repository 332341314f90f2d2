//! A block device that several tasks use at once, against devices that complete in any order.

use std::time::Duration;

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::fault::by_name;
use eclipse_devices::{Completion, PlatformConfig, Preset};
use eclipse_kernel::pci::Pci;
use eclipse_kernel::task::{Join, Tasks};
use eclipse_kernel::virtio::blk::{Error, Failure, Kind, Options, SharedBlk, VirtioBlk};
use eclipse_kernel::virtio::init;
use eclipse_kernel::virtio::transport::Signalling;
use eclipse_tests::Loopback;
use eclipse_tests::ata::counting;
use eclipse_trace::{Bdf, Entry, Event};

const MINUTE: Duration = Duration::from_secs(60);
const FUNCTION: Bdf = Bdf::new(0, 4, 0);
const WAYS: [Signalling; 3] = [Signalling::Best, Signalling::Line, Signalling::Polling];

/// A machine whose disk counts, and its driver.
fn start(
    preset: Preset,
    signalling: Signalling,
    change: impl FnOnce(&mut PlatformConfig),
) -> (Loopback, VirtioBlk<Loopback>) {
    let mut config = preset.config(Box::new(MemoryDisk::counting(64)));
    change(&mut config);
    let machine = Loopback::with(config);
    let options = Options { signalling, ..Options::default() };
    let disk = init(&Pci::init(&machine), options).expect("it works so far");
    (machine, disk)
}

/// What is wanted of the record from an entry on, in order.
fn recorded<T>(machine: &Loopback, from: usize, wanted: impl Fn(&Entry) -> Option<T>) -> Vec<T> {
    machine.entries_from(from).iter().filter_map(wanted).collect()
}

fn requests(machine: &Loopback, from: usize) -> Vec<u64> {
    recorded(machine, from, |entry| match entry.event {
        Event::Request { sector, .. } => Some(sector),
        _ => None,
    })
}

fn doorbells(machine: &Loopback, from: usize) -> usize {
    let rung = |line: &&str| line.starts_with("guest") && line.contains("notify");
    machine.transcript_from(from).lines().filter(rung).count()
}

fn no_violations(machine: &Loopback) {
    let broken = recorded(machine, 0, |entry| match &entry.event {
        Event::Violation { violation } => Some(violation.to_string()),
        _ => None,
    });
    assert_eq!(broken, [""; 0]);
}

type Read = Join<Result<Vec<u8>, Error>>;

fn read(tasks: &Tasks<Loopback>, disk: &SharedBlk<Loopback>, sector: u64) -> Read {
    let disk = disk.clone();
    tasks.spawn("reader", async move {
        let mut data = vec![0; 512];
        disk.read_sectors(sector, &mut data).await.map(|()| data)
    })
}

#[test]
fn defect_38_no_task_takes_anothers_completion() {
    let (reverse, shuffle) =
        (Completion::Reverse(None), Completion::Shuffle { seed: 7, batch: None });
    for preset in [Preset::Modern, Preset::Legacy, Preset::Packed] {
        for signalling in WAYS {
            for completion in [reverse, shuffle, Completion::Halt, Completion::Immediate] {
                let (machine, disk) = start(preset, signalling, |_| ());
                machine.complete_by(completion);
                let tasks = Tasks::new(&machine);
                let shared = SharedBlk::new(&tasks, disk);
                let from = machine.recorded();
                let reads: Vec<_> = (0..12).map(|at| read(&tasks, &shared, 5 * at)).collect();
                for (read, sector) in reads.iter().zip((0..).step_by(5)) {
                    let data = tasks.run_until(read, MINUTE).unwrap().unwrap();
                    assert_eq!(data, counting(sector), "{preset}, {signalling:?}, {completion}");
                }
                let order = requests(&machine, from);
                let sorted = order.is_sorted();
                let reversed = order.iter().rev().is_sorted();
                assert_eq!(reversed, completion == reverse, "{order:?}");
                assert_eq!(!sorted && !reversed, completion == shuffle, "{order:?}");
                assert_eq!(doorbells(&machine, from), 1, "all together");
                no_violations(&machine);
                shared.into_inner().unwrap().close().unwrap();
                assert_eq!(machine.dma_allocated(), 0);
            }
        }
    }
}

#[test]
fn defect_38_between_a_tasks_write_and_its_read_others_go_on() {
    let (machine, disk) = start(Preset::Modern, Signalling::Best, |_| ());
    machine.complete_by(Completion::Shuffle { seed: 3, batch: None });
    let tasks = Tasks::new(&machine);
    let shared = SharedBlk::new(&tasks, disk);
    let writers: Vec<_> = (0..8)
        .map(|number: u64| {
            let disk = shared.clone();
            tasks.spawn("writer", async move {
                for round in 0..5 {
                    let pattern = [number as u8 * 16 + round; 1024];
                    disk.write_sectors(2 * number, &pattern).await?;
                    let mut back = [0; 1024];
                    disk.read_sectors(2 * number, &mut back).await?;
                    disk.flush().await?;
                    assert_eq!(back, pattern, "task {number}, round {round}");
                }
                Ok::<_, Error>(())
            })
        })
        .collect();
    for writer in &writers {
        assert_eq!(tasks.run_until(writer, MINUTE).unwrap(), Ok(()));
    }
    no_violations(&machine);
}

#[test]
fn more_tasks_than_a_queue_has_room_for_all_have_their_turn() {
    for preset in [Preset::Modern, Preset::Legacy] {
        let (machine, disk) = start(preset, Signalling::Best, |config| {
            config.blocks[0].virtio.queue_size = 8;
        });
        machine.complete_by(Completion::Reverse(None));
        let tasks = Tasks::new(&machine);
        let shared = SharedBlk::new(&tasks, disk);
        let reads: Vec<_> = (0..30).map(|sector| read(&tasks, &shared, sector)).collect();
        for (read, sector) in reads.iter().zip(0..) {
            let data = tasks.run_until(read, MINUTE).unwrap().unwrap();
            assert_eq!(data, counting(sector), "{preset}");
        }
        no_violations(&machine);
    }
}

#[test]
fn a_fault_of_the_device_is_survived_by_all_tasks() {
    // A request that never comes back, an ID out of the table, a death, a lost interrupt.
    for name in ["F76", "F65", "F114:request=1", "F90"] {
        for signalling in WAYS {
            let (machine, disk) = start(Preset::Modern, signalling, |_| ());
            machine.inject(by_name(name).unwrap_or_else(|error| panic!("{error}")));
            let tasks = Tasks::new(&machine);
            let shared = SharedBlk::new(&tasks, disk);
            let reads: Vec<_> = (0..6).map(|sector| read(&tasks, &shared, sector)).collect();
            for (read, sector) in reads.iter().zip(0..) {
                let ended = tasks.run_until(read, MINUTE).unwrap();
                assert_eq!(ended, Ok(counting(sector)), "{name}, {signalling:?}");
            }
        }
    }
}

#[test]
fn a_capacity_that_shrinks_fails_what_is_in_flight_behind_it_and_nothing_else() {
    for signalling in WAYS {
        let (machine, disk) = start(Preset::Modern, signalling, |_| ());
        machine.complete_by(Completion::Halt);
        let tasks = Tasks::new(&machine);
        let shared = SharedBlk::new(&tasks, disk);
        let (low, high) = (read(&tasks, &shared, 3), read(&tasks, &shared, 60));
        let other = machine.clone();
        // It runs when both have submitted and before either has waited.
        let shrink = tasks.spawn("shrink", async move { other.set_capacity(FUNCTION, 32) });
        tasks.run_until(&shrink, MINUTE).unwrap().unwrap();
        assert_eq!(tasks.run_until(&low, MINUTE).unwrap(), Ok(counting(3)));
        let failed = Error::Failed { kind: Kind::Read, sector: 60, failure: Failure::Io };
        assert_eq!(tasks.run_until(&high, MINUTE).unwrap(), Err(failed), "{signalling:?}");
    }
}
