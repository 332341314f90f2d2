//! Requests: what reaches the device, what comes back, and what a bad device achieves.

use crate::{
    block::{BlockDevice, zeroed},
    dma::DmaBuffer,
    fake::{FakeBlock, FakeHal, Fault, notified},
    memory,
    pci::Pci,
    virtio::{
        self,
        blk::{Error, Failure, Kind, Options, VirtioBlk},
    },
};

fn disk_with(change: impl FnOnce(&mut FakeBlock)) -> (FakeHal, VirtioBlk<FakeHal>) {
    let hal = FakeHal::with_block();
    change(&mut hal.machine().device);
    let pci = Pci::init(&hal);
    let disk = virtio::init(&pci, Options::default()).expect("the device works so far");
    let mut machine = hal.machine();
    machine.device.requests.clear();
    machine.accesses.clear();
    drop(machine);
    (hal, disk)
}

fn disk() -> (FakeHal, VirtioBlk<FakeHal>) {
    disk_with(|_| ())
}

/// Reads sector 3 from a device that goes wrong; the error, and the machine.
fn read_from(fault: Fault) -> (Option<Error>, FakeHal, VirtioBlk<FakeHal>) {
    let (hal, mut disk) = disk();
    hal.machine().device.fault = fault;
    let mut data = [0xee; 512];
    let result = disk.read_sectors(3, &mut data);
    assert_eq!(data == [3; 512], result.is_ok(), "data comes with success only");
    (result.err(), hal, disk)
}

#[test]
fn a_read_is_one_notification_and_one_wait() {
    let (hal, mut disk) = disk();
    let mut data = [0; 512];
    let waits = hal.machine().waits;
    disk.read_sectors(63, &mut data).unwrap();
    assert_eq!(data, [63; 512]);
    assert_eq!(hal.machine().accesses, ["notify +00 <- 0000"]);
    assert_eq!(hal.machine().device.requests, [(0, 63)]);
    assert_eq!(hal.machine().waits, waits + 1);
}

#[test]
fn what_is_written_and_flushed_is_what_is_read() {
    let (hal, mut disk) = disk();
    let mut block = zeroed();
    block.fill(0x5a);
    disk.write_block(7, &block).unwrap();
    disk.flush().unwrap();
    let mut back = zeroed();
    disk.read_block(7, &mut back).unwrap();
    assert_eq!(back, block);
    assert_eq!(hal.machine().device.requests, [(1, 56), (4, 0), (0, 56)]);
    disk.read_block(6, &mut back).unwrap();
    assert_eq!(back[..512], [48; 512], "the block before is as it was");
}

#[test]
fn a_long_request_is_split_into_pieces_of_64_kib() {
    let (hal, mut disk) = disk_with(|device| {
        device.sectors = 400;
        device.disk = vec![0x77; 400 * 512];
    });
    let data: Vec<u8> = (0..300 * 512).map(|byte| (byte / 512) as u8).collect();
    disk.write_sectors(50, &data).unwrap();
    let mut back = vec![0; data.len()];
    disk.read_sectors(50, &mut back).unwrap();
    assert_eq!(back, data);
    let requests = [(1, 50), (1, 178), (1, 306), (0, 50), (0, 178), (0, 306)];
    assert_eq!(hal.machine().device.requests, requests);
}

#[test]
fn what_is_not_on_the_disk_or_no_sector_is_refused_without_io() {
    let (hal, mut disk) = disk();
    let mut data = [0; 1024];
    let end = Error::OutOfRange { sector: 63, count: 2, sectors: 64 };
    assert_eq!(disk.read_sectors(63, &mut data), Err(end));
    let wrap = Error::OutOfRange { sector: u64::MAX, count: 2, sectors: 64 };
    assert_eq!(disk.write_sectors(u64::MAX, &data), Err(wrap));
    for bytes in [0, 1, 511, 513] {
        let error = Error::Unaligned { sector: 0, bytes, unit: 512 };
        assert_eq!(disk.read_sectors(0, &mut data[..bytes]), Err(error));
    }
    assert!(disk.read_block(8, &mut zeroed()).is_err());
    assert!(disk.read_block(u64::MAX, &mut zeroed()).is_err());
    let long = Error::OutOfRange { sector: 0, count: 129, sectors: 64 };
    assert_eq!(disk.submit_read(0, 129 * 512), Err(long));
    assert!(hal.machine().accesses.is_empty());
}

#[test]
fn requests_of_a_disk_with_blocks_of_4096_bytes_are_whole_blocks() {
    let (_, mut disk) = disk_with(|device| device.blk_size = 4096);
    let error = Error::Unaligned { sector: 8, bytes: 512, unit: 4096 };
    assert_eq!(disk.read_sectors(8, &mut [0; 512]), Err(error));
    let error = Error::Unaligned { sector: 1, bytes: 4096, unit: 4096 };
    assert_eq!(disk.read_sectors(1, &mut [0; 4096]), Err(error));
    assert_eq!(disk.read_block(1, &mut zeroed()), Ok(()));
}

#[test]
fn a_read_only_disk_is_not_written() {
    let (hal, mut disk) = disk_with(|device| device.offered |= 1 << 5);
    assert!(disk.read_only());
    assert_eq!(disk.write_block(2, &zeroed()), Err(Error::ReadOnly(16)));
    assert_eq!(disk.submit_write(5, &[0; 512]), Err(Error::ReadOnly(5)));
    assert!(hal.machine().accesses.is_empty());
}

#[test]
fn without_the_feature_a_flush_is_no_request() {
    let (hal, mut disk) = disk_with(|device| device.offered = 1 << 32);
    disk.flush().unwrap();
    assert!(hal.machine().accesses.is_empty());
}

#[test]
fn several_requests_are_in_flight_and_finish_in_any_order() {
    let (hal, mut disk) = disk_with(|device| device.queue_size = 16);
    hal.machine().device.fault = Fault::NeverCompletes;
    let tokens: Vec<_> = (0..5).map(|at| disk.submit_read(at * 2, 512).unwrap()).collect();
    assert_eq!(disk.submit_read(0, 512), Err(Error::Busy), "5 chains of 3 are 15 of 16");
    assert!(hal.machine().accesses.is_empty(), "a batch is notified as one");
    assert_eq!(disk.poll(&tokens[4]), Ok(false));
    assert_eq!(hal.machine().accesses, ["notify +00 <- 0000"]);
    hal.machine().device.fault = Fault::Nothing;
    notified(&mut hal.machine());
    for (token, sector) in tokens.into_iter().zip(0..5).rev() {
        let mut data = [0; 512];
        disk.finish(token, &mut data).unwrap();
        assert_eq!(data, [sector * 2; 512]);
    }
    disk.read_block(0, &mut zeroed()).unwrap();
}

#[test]
fn a_request_that_fails_does_so_by_its_status() {
    let cases = [
        (Fault::Status(1), Failure::Io),
        (Fault::Status(2), Failure::Unsupported),
        (Fault::Status(3), Failure::Unknown(3)),
        (Fault::NoStatus, Failure::NotWritten),
    ];
    for (fault, failure) in cases {
        let (error, hal, mut disk) = read_from(fault);
        assert_eq!(error, Some(Error::Failed { kind: Kind::Read, sector: 3, failure }));
        let error = Error::Failed { kind: Kind::Flush, sector: 0, failure };
        assert_eq!(disk.flush(), Err(error), "no flush succeeds in silence");
        hal.machine().device.fault = Fault::Nothing;
        assert_eq!(disk.flush(), Ok(()), "the device goes on");
    }
}

#[test]
fn a_read_that_has_not_all_its_bytes_is_an_error() {
    for written in [0, 1, 512, 514, u32::MAX] {
        let (error, ..) = read_from(Fault::UsedLen(written));
        assert_eq!(
            error,
            Some(Error::Length { kind: Kind::Read, sector: 3, written, expected: 513 })
        );
    }
    let (hal, mut disk) = disk();
    hal.machine().device.fault = Fault::UsedLen(0);
    assert_eq!(disk.write_sectors(0, &[0; 512]), Ok(()), "of a write it means nothing");
}

#[test]
fn a_lost_interrupt_loses_no_completion_and_spurious_ones_do_no_harm() {
    let (error, ..) = read_from(Fault::LosesInterrupts);
    assert_eq!(error, None);
    let (error, hal, mut disk) = read_from(Fault::SpuriousInterrupts);
    assert_eq!(error, None);
    hal.machine().device.fault = Fault::Nothing;
    disk.read_block(0, &mut zeroed()).unwrap();
}

#[test]
fn a_device_that_does_not_want_notifications_gets_none() {
    let (error, hal, mut disk) = read_from(Fault::NoNotify);
    assert_eq!(error, None);
    hal.machine().accesses.clear();
    let token = disk.submit_read(1, 512).unwrap();
    assert_eq!(disk.poll(&token), Ok(false));
    assert!(hal.machine().accesses.is_empty());
    notified(&mut hal.machine());
    let mut data = [0; 512];
    disk.finish(token, &mut data).unwrap();
    assert_eq!(data, [1; 512]);
}

#[test]
fn memory_of_a_device_that_does_not_reset_is_leaked_on_purpose() {
    let (hal, disk) = disk();
    hal.machine().device.fault = Fault::NeverResets;
    drop(disk);
    assert!(hal.machine().released.is_empty());
    let line = hal.machine().log.last().cloned().unwrap();
    assert!(line.ends_with("its DMA memory is not released"), "{line}");
}

#[test]
fn dma_memory_is_reached_within_its_bounds_only() {
    let hal = FakeHal::new();
    let mut buffer = DmaBuffer::new(&hal, 8, 8).unwrap();
    buffer.store(4, 0x1234_5678_u32);
    assert_eq!(buffer.load::<u16>(6), 0x1234);
    for (offset, align) in [(8, 1), (7, 2), (usize::MAX, 1)] {
        let load = std::panic::AssertUnwindSafe(|| match align {
            1 => u16::from(buffer.load::<u8>(offset)),
            _ => buffer.load::<u16>(offset),
        });
        assert!(std::panic::catch_unwind(load).is_err(), "{offset}");
    }
    assert!(DmaBuffer::new(&hal, 0, 8).is_err());
    assert!(DmaBuffer::new(&hal, 8, 3).is_err());
}

#[test]
#[allow(unsafe_code)]
fn eclipses_memory_calls_agree_with_each_other() {
    let hal = FakeHal::new();
    let (pointer, address) = memory::alloc_dma_buffer(&hal, 4096, 4096).unwrap();
    assert_eq!(memory::virt_to_phys(&hal, pointer.addr() as u64 + 5), Ok(address + 5));
    assert!(memory::virt_to_phys(&hal, 0x1000).is_err(), "no identity to fall back to");
    assert_eq!(memory::alloc_dma_buffer(&hal, 0, 8), None);
    // SAFETY: the buffer was allocated so just now, and is not used again.
    unsafe { memory::free_dma_buffer(&hal, pointer, 4096, 4096) }.unwrap();
    assert_eq!(hal.machine().released, [address]);
    // SAFETY: a null pointer is refused before it is used.
    assert!(unsafe { memory::free_dma_buffer(&hal, core::ptr::null_mut(), 8, 8) }.is_err());
}
