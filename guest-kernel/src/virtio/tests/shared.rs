//! A block device that several tasks use, and what becomes of them when it does not do its part.

use std::time::Duration;

use crate::{
    fake::{FakeBlock, FakeHal, Fault, notified, serve_next},
    hal::Hal,
    pci::Pci,
    task::{self, Join, Tasks, TimedOut},
    virtio::{
        self,
        blk::{COMPLETION_LIMIT, Error, Kind, Options, SharedBlk},
        transport::Signalling,
    },
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

struct Machine {
    hal: FakeHal,
    tasks: Tasks<FakeHal>,
    disk: SharedBlk<FakeHal>,
}

/// A task's read of a sector.
type Read = Join<Result<[u8; 512], Error>>;

impl Machine {
    fn new(signalling: Signalling, change: impl FnOnce(&mut FakeBlock)) -> Self {
        let hal = FakeHal::with_block();
        change(&mut hal.machine().device);
        let options = Options { signalling, ..Options::default() };
        let disk = virtio::init(&Pci::init(&hal), options).expect("it works so far");
        {
            let mut machine = hal.machine();
            machine.pending = 0;
            machine.accesses.clear();
            machine.device.requests.clear();
            machine.log.clear();
        }
        let tasks = Tasks::new(&hal);
        let disk = SharedBlk::new(&tasks, disk);
        Self { hal, tasks, disk }
    }

    fn read(&self, sector: u64) -> Read {
        let disk = self.disk.clone();
        self.tasks.spawn("reader", async move {
            let mut data = [0; 512];
            disk.read_sectors(sector, &mut data).await.map(|()| data)
        })
    }

    fn reads(&self, sectors: core::ops::Range<u64>) -> Vec<Read> {
        sectors.map(|sector| self.read(sector)).collect()
    }

    fn end(&self, read: &Read) -> Result<[u8; 512], Error> {
        self.tasks.run_until(read, MINUTE).expect("it comes to an end")
    }

    /// Has the device take requests from now on, and complete them at a time; with an interrupt,
    /// or without.
    fn completes_at(&self, time: Duration, fault: Fault) {
        let mut machine = self.hal.machine();
        machine.device.hold = true;
        machine.on_dma = Some(Box::new(move |machine, _| {
            if machine.device.hold && machine.clock >= time {
                machine.device.hold = false;
                machine.device.fault = fault;
                notified(machine);
            }
        }));
    }
}

#[test]
fn what_tasks_submit_together_is_one_notification() {
    let machine = Machine::new(Signalling::Best, |_| ());
    let reads = machine.reads(0..20);
    for (read, sector) in reads.iter().zip(0..) {
        assert_eq!(machine.end(read), Ok([sector; 512]));
    }
    assert_eq!(machine.hal.machine().accesses, ["notify +00 <- 0000"]);
}

#[test]
fn defect_38_a_completion_ends_the_task_whose_it_is_and_no_other() {
    let machine = Machine::new(Signalling::Best, |_| ());
    machine.hal.machine().device.hold = true;
    let (first, second) = (machine.read(3), machine.read(5));
    let short = SECOND / 1000;
    assert!(machine.tasks.run_until(&first, short).is_err(), "the device has both");
    {
        // It takes the second one first.
        let mut machine = machine.hal.machine();
        let [_, driver, _] = machine.areas();
        let [a, b, c, d]: [u8; 4] = machine.ram(driver + 6);
        machine.set_ram(driver + 6, &[c, d, a, b]);
        assert!(serve_next(&mut machine));
        assert_eq!(machine.device.requests, [(0, 5)]);
    }
    assert_eq!(machine.end(&second), Ok([5; 512]));
    assert!(machine.tasks.run_until(&first, short).is_err(), "it waits on");
    assert!(serve_next(&mut machine.hal.machine()));
    assert_eq!(machine.end(&first), Ok([3; 512]));
}

#[test]
fn a_task_waits_until_there_is_room() {
    // Five chains of three.
    for signalling in [Signalling::Best, Signalling::Polling] {
        let machine = Machine::new(signalling, |device| device.queue_size = 16);
        let reads = machine.reads(0..23);
        for (read, sector) in reads.iter().zip(0..) {
            assert_eq!(machine.end(read), Ok([sector; 512]));
        }
        let notifications = machine.hal.machine().accesses.len();
        assert_eq!(notifications, 5, "as many as batches");
    }
}

#[test]
fn a_lost_interrupt_is_made_up_for_in_a_tenth_of_a_second() {
    let machine = Machine::new(Signalling::Best, |_| ());
    let began = machine.hal.now();
    machine.completes_at(began + SECOND / 50, Fault::LosesInterrupts);
    let reads = machine.reads(0..3);
    for (read, sector) in reads.iter().zip(0..) {
        assert_eq!(machine.end(read), Ok([sector; 512]));
    }
    let took = machine.hal.now() - began;
    assert!((SECOND / 10..SECOND / 5).contains(&took), "{took:?}");
}

#[test]
fn a_device_that_is_stuck_is_started_again_once_for_all_who_wait() {
    for signalling in [Signalling::Best, Signalling::Line, Signalling::Polling] {
        let machine = Machine::new(signalling, |_| ());
        let began = machine.hal.now();
        // Not even after the reset at once.
        machine.completes_at(began + COMPLETION_LIMIT + SECOND, Fault::Nothing);
        let reads = machine.reads(0..3);
        for (read, sector) in reads.iter().zip(0..) {
            assert_eq!(machine.end(read), Ok([sector; 512]), "{signalling:?}");
        }
        let log = machine.hal.machine().log.join("\n");
        let expected = "\
[VirtIO] 00:04.0: read at sector 0: no completion in time
[VirtIO] 00:04.0: reset, try 1 of 3, 3 request(s) again";
        assert_eq!(log, expected, "{signalling:?}");
    }
}

#[test]
fn who_waits_for_a_device_that_is_stuck_sleeps() {
    let machine = Machine::new(Signalling::Best, |_| ());
    machine.hal.machine().device.fault = Fault::NeverCompletes;
    let reads = machine.reads(0..3);
    for (read, sector) in reads.iter().zip(0..) {
        let error = machine.end(read).unwrap_err();
        // Whoever was first was told first; the others learn of the same.
        let first = Error::TimedOut { kind: Kind::Read, sector: 0 };
        assert_eq!(error, first, "reader of sector {sector}");
    }
    let log = machine.hal.machine().log.join("\n");
    assert!(log.ends_with("[VirtIO] 00:04.0: given up after 3 tries"), "{log}");
    // Four times five seconds, and a look each tenth of a second.
    let sleeps = machine.hal.machine().sleeps;
    assert!((190..300).contains(&sleeps), "{sleeps}");
    let disk = machine.disk.clone();
    let later = machine.read(5);
    assert_eq!(machine.end(&later), Err(Error::Stopped));
    drop(disk);
}

impl Machine {
    /// Tasks that read and wait for a second, in vain.
    fn give_up(&self, count: u64) {
        let impatient: Vec<_> = (0..count)
            .map(|sector| {
                let (disk, tasks) = (self.disk.clone(), self.tasks.clone());
                self.tasks.spawn("impatient", async move {
                    let mut data = [0; 512];
                    task::timeout(&tasks, SECOND, disk.read_sectors(sector, &mut data)).await
                })
            })
            .collect();
        for read in &impatient {
            assert_eq!(self.tasks.run_until(read, MINUTE).unwrap(), Err(TimedOut));
        }
    }
}

#[test]
fn who_finds_no_room_on_a_device_that_is_stuck_has_it_started_again() {
    for signalling in [Signalling::Best, Signalling::Polling] {
        let machine = Machine::new(signalling, |device| device.queue_size = 16);
        machine.hal.machine().device.fault = Fault::NeverCompletes;
        machine.hal.machine().device.faults_left = Some(1);
        // All that there is room for, and nobody waits for it any more.
        machine.give_up(5);
        let began = machine.hal.now();
        let reads = machine.reads(10..13);
        for (read, sector) in reads.iter().zip(10..) {
            assert_eq!(machine.end(read), Ok([sector; 512]), "{signalling:?}");
        }
        let took = machine.hal.now() - began;
        assert!((COMPLETION_LIMIT..COMPLETION_LIMIT + SECOND).contains(&took), "{took:?}");
        let log = machine.hal.machine().log.join("\n");
        let expected = "\
[VirtIO] 00:04.0: read at sector 0: no completion in time
[VirtIO] 00:04.0: reset, try 1 of 3, 5 request(s) again";
        assert_eq!(log, expected, "{signalling:?}");
    }
}

#[test]
fn a_task_that_gives_up_leaves_nothing_behind() {
    let machine = Machine::new(Signalling::Best, |device| device.queue_size = 16);
    let mut allocated = None;
    for round in 0..20 {
        machine.hal.machine().device.hold = true;
        machine.give_up(3);
        machine.hal.machine().device.hold = false;
        notified(&mut machine.hal.machine());
        let reads = machine.reads(10..15);
        for (read, sector) in reads.iter().zip(10..) {
            assert_eq!(machine.end(read), Ok([sector; 512]));
        }
        let now = machine.hal.machine().allocated.len();
        assert_eq!(*allocated.get_or_insert(now), now, "round {round}");
    }
}
