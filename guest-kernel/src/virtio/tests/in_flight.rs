//! What becomes of requests that the device still has when something else goes wrong.

use std::{rc::Rc, time::Duration};

use crate::{
    fake::{FakeHal, notified},
    pci::Pci,
    task::Tasks,
    virtio::{
        self,
        blk::{COMPLETION_LIMIT, Error, Kind, Options, SharedBlk, VirtioBlk},
    },
};

fn disk() -> (FakeHal, VirtioBlk<FakeHal>) {
    let hal = FakeHal::with_block();
    let disk = virtio::init(&Pci::init(&hal), Options::default()).expect("it works so far");
    hal.machine().device.requests.clear();
    hal.machine().log.clear();
    (hal, disk)
}

/// A disk that interrupts by its line, so that the ISR status tells of its configuration.
fn disk_with_line() -> (FakeHal, VirtioBlk<FakeHal>) {
    let hal = FakeHal::with_block();
    hal.machine().functions.get_mut(&(0, 4, 0)).unwrap().set(0x40, &[0x05]);
    let disk = virtio::init(&Pci::init(&hal), Options::default()).expect("it works so far");
    hal.machine().device.requests.clear();
    (hal, disk)
}

/// Says that the configuration changed.
fn tell_of_change(hal: &FakeHal) {
    let mut machine = hal.machine();
    machine.device.isr |= 2;
    machine.pending += 1;
}

#[test]
fn a_wait_that_ends_before_its_request_leaves_the_request_its_memory() {
    let (hal, mut disk) = disk_with_line();
    hal.machine().device.hold = true;
    let first = disk.submit_read(5, 512).unwrap();
    hal.machine().device.blk_size = 3;
    tell_of_change(&hal);
    assert_eq!(disk.finish(first, &mut [0; 512]), Err(Error::BlockSize(3)));
    // The device has the first request still. The second is not to be its memory's next owner.
    hal.machine().device.blk_size = 512;
    let second = disk.submit_read(7, 512).unwrap();
    disk.notify();
    hal.machine().device.hold = false;
    notified(&mut hal.machine());
    let mut data = [0; 512];
    assert_eq!(disk.finish(second, &mut data), Ok(()));
    assert_eq!(data, [7; 512]);
    assert_eq!(hal.machine().device.requests, [(0, 5), (0, 7)]);
}

#[test]
fn tasks_that_wait_together_have_the_device_started_again_once() {
    let (hal, disk) = disk();
    let tasks = Tasks::new(&hal);
    let shared = SharedBlk::new(&tasks, disk);
    hal.machine().device.hold = true;
    // It answers nothing in its first life, and late in its second.
    let late = hal.machine().clock + COMPLETION_LIMIT + COMPLETION_LIMIT / 2;
    hal.machine().on_dma = Some(Box::new(move |machine, _| {
        if machine.device.hold && machine.clock >= late {
            machine.device.hold = false;
            notified(machine);
        }
    }));
    let reads: Vec<_> = (0..6)
        .map(|sector| {
            let disk = shared.clone();
            tasks.spawn("reader", async move {
                let mut data = [0; 512];
                disk.read_sectors(sector, &mut data).await.map(|()| data)
            })
        })
        .collect();
    for (read, sector) in reads.iter().zip(0..) {
        let data = tasks.run_until(read, Duration::from_secs(60)).unwrap();
        assert_eq!(data, Ok([sector; 512]));
    }
    let resets: Vec<_> =
        hal.machine().log.iter().filter(|line| line.contains("reset, try")).cloned().collect();
    assert_eq!(resets, ["[VirtIO] 00:04.0: reset, try 1 of 3, 6 request(s) again"]);
    // Ten times a second, and not all the time.
    let sleeps = hal.machine().sleeps;
    assert!((70..100).contains(&sleeps), "{sleeps} sleeps");
}

#[test]
fn a_request_that_the_device_takes_no_more_ends_and_the_others_go_on() {
    let (hal, mut disk) = disk();
    hal.machine().device.hold = true;
    let inside = disk.submit_read(5, 512).unwrap();
    let outside = disk.submit_read(40, 512).unwrap();
    disk.notify();
    // It comes back smaller.
    hal.machine().device.sectors = 32;
    let shrunk = Rc::new(std::cell::Cell::new(false));
    let seen = shrunk.clone();
    let late = hal.machine().clock + COMPLETION_LIMIT;
    hal.machine().on_dma = Some(Box::new(move |machine, _| {
        if machine.device.hold && machine.clock >= late {
            machine.device.hold = false;
            seen.set(true);
        }
    }));
    let mut data = [0; 512];
    assert_eq!(disk.finish(inside, &mut data), Ok(()));
    assert_eq!(data, [5; 512]);
    assert!(shrunk.get(), "only after a reset");
    let gone = Error::OutOfRange { sector: 40, count: 1, sectors: 32 };
    assert_eq!(disk.finish(outside, &mut data), Err(gone));
    assert_eq!(hal.machine().device.requests, [(0, 5)]);
}

#[test]
fn a_flush_that_the_device_offers_no_more_is_not_sent_again() {
    let (hal, mut disk) = disk();
    hal.machine().device.hold = true;
    let flush = disk.submit_flush().unwrap().expect("it has a cache");
    disk.notify();
    hal.machine().device.offered &= !(1 << 9);
    let error = disk.finish(flush, &mut []);
    assert_eq!(error, Err(Error::NotOffered(Kind::Flush)));
    assert!(hal.machine().device.requests.is_empty());
}
