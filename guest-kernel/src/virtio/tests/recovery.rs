//! What the driver does with a device that does not do its part.

use crate::{
    dma::DmaBuffer,
    fake::{FakeHal, Fault, notified},
    pci::Pci,
    virtio::{
        self,
        blk::{Error, Kind, Options, TRIES, VirtioBlk},
        queue,
    },
};

fn disk() -> (FakeHal, VirtioBlk<FakeHal>) {
    let hal = FakeHal::with_block();
    let disk = virtio::init(&Pci::init(&hal), Options::default()).expect("it works so far");
    hal.machine().accesses.clear();
    hal.machine().device.requests.clear();
    hal.machine().log.clear();
    (hal, disk)
}

/// Reads sector 3 from a device that goes wrong: the result, the machine, the disk.
fn read_from(fault: Fault) -> (Result<(), Error>, FakeHal, VirtioBlk<FakeHal>) {
    let (hal, mut disk) = disk();
    hal.machine().device.fault = fault;
    let mut data = [0xee; 512];
    let result = disk.read_sectors(3, &mut data);
    assert_eq!(data == [3; 512], result.is_ok(), "data comes with success only");
    (result, hal, disk)
}

fn status_stores(hal: &FakeHal) -> Vec<String> {
    let machine = hal.machine();
    machine.accesses.iter().filter(|line| line.starts_with("common +14 <-")).cloned().collect()
}

/// The stores to the status of a device that is reset and started again.
const RESTART: [&str; 6] = [
    // To be sure of the memory, then as every start begins.
    "common +14 <- 00",
    "common +14 <- 00",
    "common +14 <- 01",
    "common +14 <- 03",
    "common +14 <- 0b",
    "common +14 <- 0f",
];

#[test]
fn a_device_that_breaks_the_queue_once_is_started_again_and_nobody_notices() {
    for fault in [Fault::UsedId(1), Fault::UsedId(0x1_0000), Fault::UsedIndex(1), Fault::NeedsReset]
    {
        let (hal, mut disk) = disk();
        hal.machine().device.fault = fault;
        hal.machine().device.faults_left = Some(1);
        let mut data = [0; 512];
        assert_eq!(disk.read_sectors(3, &mut data), Ok(()), "{fault:?}");
        assert_eq!(data, [3; 512]);
        assert_eq!(status_stores(&hal), RESTART, "{fault:?}");
        let last = hal.machine().log.last().cloned().unwrap();
        assert_eq!(last, "[VirtIO] 00:04.0: reset, try 1 of 3, 1 request(s) again");
        assert_eq!(disk.read_sectors(4, &mut data), Ok(()));
        assert_eq!(status_stores(&hal), RESTART, "and it stays up");
    }
}

#[test]
fn all_that_was_in_flight_is_submitted_again() {
    let (hal, mut disk) = disk();
    hal.machine().device.fault = Fault::NeverCompletes;
    hal.machine().device.faults_left = Some(1);
    let write = disk.submit_write(9, &[0x5a; 512]).unwrap();
    let read = disk.submit_read(5, 512).unwrap();
    let mut data = [0; 512];
    assert_eq!(disk.finish(read, &mut data), Ok(()));
    assert_eq!(data, [5; 512]);
    assert_eq!(disk.finish(write, &mut []), Ok(()));
    assert_eq!(hal.machine().device.requests, [(1, 9), (0, 5)]);
    assert_eq!(hal.machine().device.disk[9 * 512..10 * 512], [0x5a; 512]);
    let first = hal.machine().log.first().cloned().unwrap();
    assert_eq!(first, "[VirtIO] 00:04.0: read at sector 5: no completion in time");
}

#[test]
fn a_device_that_keeps_failing_is_given_up() {
    let cases = [
        (Fault::NeverCompletes, Error::TimedOut { kind: Kind::Read, sector: 3 }),
        (Fault::NeedsReset, Error::NeedsReset),
        (Fault::UsedId(7), Error::Queue { queue: 0, source: queue::Error::UsedId(7) }),
    ];
    for (fault, cause) in cases {
        let (result, hal, mut disk) = read_from(fault);
        assert_eq!(result, Err(cause), "{fault:?}");
        let starts = status_stores(&hal).iter().filter(|line| line.ends_with("0f")).count();
        assert_eq!(starts, TRIES as usize, "{fault:?}");
        assert_eq!(hal.machine().device.status(), 0, "it is left reset");
        let last = hal.machine().log.last().cloned().unwrap();
        assert_eq!(last, "[VirtIO] 00:04.0: given up after 3 tries");
        hal.machine().accesses.clear();
        assert_eq!(disk.read_sectors(0, &mut [0; 512]), Err(Error::Stopped));
        assert!(hal.machine().accesses.is_empty(), "it is left alone");
    }
}

#[test]
fn rings_of_a_former_life_are_released_once_the_reset_is_confirmed() {
    let (hal, mut disk) = disk();
    hal.machine().device.fault = Fault::UsedId(1);
    hal.machine().device.faults_left = Some(1);
    disk.read_sectors(3, &mut [0; 512]).unwrap();
    assert_eq!(hal.machine().released.len(), 1, "the rings");
    drop(disk);
    assert_eq!(hal.machine().released.len(), 4, "rings, headers, data");
}

#[test]
fn memory_is_kept_when_the_reset_is_not_confirmed() {
    let (hal, mut disk) = disk();
    let token = disk.submit_read(3, 512).unwrap();
    hal.machine().device.fault = Fault::NeverResets;
    hal.machine().device.hold = true;
    let error = disk.finish(token, &mut [0; 512]).unwrap_err();
    assert_eq!(error.to_string(), "the device does not reset: its status stays 0x0f");
    assert_eq!(disk.read_sectors(0, &mut [0; 512]), Err(Error::Stopped));
    let command = hal.machine().functions[&(0, 4, 0)].bytes[4];
    assert_eq!(command & 4, 0, "it is no bus master any more");
    drop(disk);
    assert!(hal.machine().released.is_empty(), "the device may still write there");
}

#[test]
fn a_device_that_is_gone_is_given_up() {
    let (hal, mut disk) = disk();
    let from = hal.machine().count;
    hal.machine().mishap = crate::fake::Mishap::Gone(from);
    let error = disk.read_sectors(3, &mut [0; 512]).unwrap_err();
    assert_eq!(error.to_string(), "the device does not reset: its status stays 0xff");
}

#[test]
fn memory_that_a_device_has_is_not_released_by_mistake() {
    let hal = FakeHal::new();
    let mut buffer = DmaBuffer::new(&hal, 64, 64).unwrap();
    buffer.lend();
    drop(buffer);
    assert!(hal.machine().released.is_empty());
    let line = hal.machine().log.last().cloned().unwrap();
    assert_eq!(line, "[DMA] 64 bytes at 0x100000 are still a device's, and not released");
    let mut buffer = DmaBuffer::new(&hal, 64, 64).unwrap();
    buffer.lend();
    buffer.take_back();
    drop(buffer);
    assert_eq!(hal.machine().released.len(), 1);
}

#[test]
fn a_request_in_flight_has_its_data_lent_until_it_is_back() {
    let (hal, mut disk) = disk();
    let token = disk.submit_read(3, 512).unwrap();
    // As if the driver forgot the reset that comes first.
    hal.machine().device.hold = true;
    disk.notify();
    assert!(disk.data_is_lent(&token));
    hal.machine().device.hold = false;
    notified(&mut hal.machine());
    assert_eq!(disk.poll(&token), Ok(true));
    assert!(!disk.data_is_lent(&token));
    disk.finish(token, &mut [0; 512]).unwrap();
}
