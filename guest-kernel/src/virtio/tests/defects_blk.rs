//! Defects that drivers of this kernel have really had with block requests, by their numbers: each
//! test fails with a driver that has the defect.

use core::time::Duration;

use crate::{
    block::{BlockDevice, zeroed},
    fake::{FakeBlock, FakeHal, Fault, notified, serve_next},
    hal::Hal,
    pci::Pci,
    virtio::{
        self,
        blk::{COMPLETION_LIMIT, Error, Failure, Kind, Options, VirtioBlk},
        transport::Signalling,
    },
};

fn disk_by(
    signalling: Signalling,
    change: impl FnOnce(&mut FakeBlock),
) -> (FakeHal, VirtioBlk<FakeHal>) {
    let hal = FakeHal::with_block();
    change(&mut hal.machine().device);
    let options = Options { signalling, ..Options::default() };
    let disk = virtio::init(&Pci::init(&hal), options).expect("the device works so far");
    let mut machine = hal.machine();
    machine.device.requests.clear();
    machine.accesses.clear();
    drop(machine);
    (hal, disk)
}

fn disk_with(change: impl FnOnce(&mut FakeBlock)) -> (FakeHal, VirtioBlk<FakeHal>) {
    disk_by(Signalling::Best, change)
}

fn disk() -> (FakeHal, VirtioBlk<FakeHal>) {
    disk_with(|_| ())
}

#[test]
fn defect_29_a_late_completion_is_not_the_next_requests() {
    let (hal, mut disk) = disk();
    hal.machine().device.hold = true;
    let late = disk.submit_read(3, 512).unwrap();
    assert_eq!(disk.poll(&late), Ok(false));
    disk.forget(late);
    let next = disk.submit_read(5, 512).unwrap();
    assert_eq!(disk.poll(&next), Ok(false));
    assert!(serve_next(&mut hal.machine()), "the one that nobody waits for");
    assert_eq!(disk.poll(&next), Ok(false), "a completion, and not its own");
    assert!(serve_next(&mut hal.machine()));
    assert_eq!(disk.poll(&next), Ok(true));
    let mut data = [0; 512];
    disk.finish(next, &mut data).unwrap();
    assert_eq!(data, [5; 512]);
}

#[test]
fn defect_29_a_length_that_cannot_be_is_an_error() {
    let (hal, mut disk) = disk();
    for written in [0, 1, 512, 514, u32::MAX] {
        hal.machine().device.fault = Fault::UsedLen(written);
        let error = Error::Length { kind: Kind::Read, sector: 3, written, expected: 513 };
        assert_eq!(disk.read_sectors(3, &mut [0; 512]), Err(error));
    }
}

#[test]
fn defect_30_a_status_that_is_not_written_is_no_success() {
    let (hal, mut disk) = disk();
    // The same place had the status of a request that went well.
    disk.read_sectors(3, &mut [0; 512]).unwrap();
    hal.machine().device.fault = Fault::NoStatus;
    let failed = |kind, sector| Error::Failed { kind, sector, failure: Failure::NotWritten };
    assert_eq!(disk.read_sectors(3, &mut [0; 512]), Err(failed(Kind::Read, 3)));
    assert_eq!(disk.write_sectors(4, &[0; 512]), Err(failed(Kind::Write, 4)));
    assert_eq!(disk.flush(), Err(failed(Kind::Flush, 0)));
}

#[test]
fn defect_34_success_means_that_the_device_did_it() {
    let (hal, mut disk) = disk();
    let mut block = zeroed();
    disk.read_block(1, &mut block).unwrap();
    disk.write_block(2, &block).unwrap();
    disk.flush().unwrap();
    assert_eq!(hal.machine().device.requests, [(0, 8), (1, 16), (4, 0)]);
    assert_eq!(hal.machine().device.disk[16 * 512..24 * 512], block[..]);
    let failures = |disk: &mut VirtioBlk<FakeHal>| {
        let block = &mut zeroed();
        [disk.read_block(1, block), disk.write_block(2, block), disk.flush()].map(|done| done.err())
    };
    for code in [1, 2, 77] {
        hal.machine().device.fault = Fault::Status(code);
        assert!(failures(&mut disk).iter().all(Option::is_some), "status {code}");
    }
    hal.machine().device.fault = Fault::NeverCompletes;
    assert!(failures(&mut disk).iter().all(Option::is_some));
}

#[test]
fn defect_34_a_device_is_not_initialised_before_a_read_came_back() {
    let initialised = "[VirtIO] Real PCI device initialized successfully";
    for (fault, works) in
        [(Fault::Nothing, true), (Fault::Status(1), false), (Fault::NeverCompletes, false)]
    {
        let hal = FakeHal::with_block();
        hal.machine().device.fault = fault;
        let disk = virtio::init(&Pci::init(&hal), Options::default());
        assert_eq!(disk.is_ok(), works);
        assert_eq!(hal.machine().log.iter().any(|line| line == initialised), works, "{fault:?}");
    }
}

#[test]
fn defect_35_the_capacity_is_all_64_bits_and_nothing_behind_it_is_asked_for() {
    let (_, huge) = disk_with(|device| device.sectors = 0x5_0000_0040);
    assert_eq!((huge.config().sectors, huge.blocks()), (0x5_0000_0040, 0xa000_0008));
    let (hal, mut disk) = disk();
    disk.read_sectors(63, &mut [0; 512]).unwrap();
    for (sector, count) in [(64, 1), (63, 2), (0, 65), (1 << 40, 1)] {
        let error = Error::OutOfRange { sector, count, sectors: 64 };
        let mut data = vec![0; count as usize * 512];
        assert_eq!(disk.read_sectors(sector, &mut data), Err(error));
        assert_eq!(disk.write_sectors(sector, &data), Err(error));
    }
    assert!(disk.read_block(8, &mut zeroed()).is_err());
    assert_eq!(hal.machine().device.requests, [(0, 63)]);
}

#[test]
fn defect_35_a_read_only_disk_is_sent_no_write() {
    let (hal, mut disk) = disk_with(|device| device.offered |= 1 << 5);
    assert!(disk.read_only());
    assert_eq!(disk.write_sectors(5, &[0; 512]), Err(Error::ReadOnly(5)));
    assert_eq!(disk.write_bytes(5, &[0; 3]), Err(Error::ReadOnly(0)));
    assert_eq!(disk.write_block(1, &zeroed()), Err(Error::ReadOnly(8)));
    assert!(disk.submit_write(5, &[0; 512]).is_err());
    assert_eq!(hal.machine().device.requests, []);
    disk.read_sectors(5, &mut [0; 512]).unwrap();
}

#[test]
fn defect_36_a_block_is_one_request_for_all_of_its_sectors() {
    let (hal, mut disk) = disk();
    let mut block = zeroed();
    disk.read_block(2, &mut block).unwrap();
    let expected: Vec<u8> = (16..24).flat_map(|sector| [sector; 512]).collect();
    assert_eq!(block[..], expected);
    assert_eq!(hal.machine().device.requests, [(0, 16)]);
    hal.machine().device.hold = true;
    let _read = disk.submit_read(7, 3 * 512).unwrap();
    let _write = disk.submit_write(8, &[0; 1024]).unwrap();
    let lengths = |chain: &Vec<_>| {
        let parts = chain.iter().map(|&(_, len, writes): &(u64, u32, bool)| (len, writes));
        parts.collect::<Vec<_>>()
    };
    let chains: Vec<_> = hal.machine().chains().iter().map(lengths).collect();
    let [read, write] = &chains[..] else { panic!("{chains:?}") };
    assert_eq!(read[..], [(16, false), (1536, true), (1, true)]);
    assert_eq!(write[..], [(16, false), (1024, false), (1, true)]);
}

#[test]
fn defect_36_what_is_not_whole_sectors_is_refused() {
    let (hal, mut disk) = disk();
    for bytes in [1, 511, 513, 1023] {
        let error = Error::Unaligned { sector: 2, bytes, unit: 512 };
        assert_eq!(disk.read_sectors(2, &mut vec![0; bytes]), Err(error));
        assert_eq!(disk.write_sectors(2, &vec![0; bytes]), Err(error));
    }
    assert_eq!(hal.machine().device.requests, []);
}

/// How long a read took of a device that completes it after `after`, and how it ended.
fn read_after(
    signalling: Signalling,
    pause: Duration,
    after: Duration,
) -> (Duration, Result<(), Error>, Vec<String>) {
    let (hal, mut disk) = disk_by(signalling, |_| ());
    hal.machine().pause = pause;
    hal.machine().log.clear();
    hal.machine().device.hold = true;
    let began = hal.now();
    let mut served = false;
    hal.machine().on_dma = Some(Box::new(move |machine, _| {
        if !served && machine.clock >= began + after {
            served = true;
            machine.device.hold = false;
            notified(machine);
        }
    }));
    let result = disk.read_sectors(3, &mut [0; 512]);
    hal.machine().on_dma = None;
    let log = hal.machine().log.clone();
    (hal.now() - began, result, log)
}

#[test]
fn defect_39_a_wait_is_bounded_by_the_clock_and_not_by_rounds() {
    let second = Duration::from_secs(1);
    for signalling in [Signalling::Best, Signalling::Polling] {
        // A processor that is quick, and one that is slow.
        for pause in [Duration::from_nanos(900), Duration::from_millis(1)] {
            let (took, result, log) = read_after(signalling, pause, 4 * second);
            assert_eq!((result, log), (Ok(()), vec![]), "{signalling:?}, {pause:?}");
            let late = Duration::from_millis(200);
            assert!((4 * second..4 * second + late).contains(&took), "{took:?}");
            // Behind the limit the device is started again, and serves it then.
            let (took, result, log) = read_after(signalling, pause, COMPLETION_LIMIT + second);
            assert!(took > COMPLETION_LIMIT, "{took:?}");
            assert!(took < COMPLETION_LIMIT + 2 * second, "{took:?}");
            assert_eq!(result, Ok(()));
            assert_eq!(log.len(), 2, "{log:?}");
        }
    }
}
