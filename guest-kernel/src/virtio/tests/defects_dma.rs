//! Defects that drivers of this kernel have really had with DMA memory, by their numbers: each
//! test fails with a driver that has the defect.

use crate::{
    dma::DmaBuffer,
    fake::{FakeBlock, FakeHal, Fault, Machine, notified, serve_next},
    hal::Hal,
    memory,
    pci::Pci,
    virtio::{
        blk::{Error, Options, VirtioBlk},
        transport::Transport,
    },
};

fn start(hal: &FakeHal) -> Result<VirtioBlk<FakeHal>, Error> {
    let pci = Pci::init(hal);
    let device = pci.find_virtio_block_device().expect("a block device");
    VirtioBlk::start(Transport::open(&pci, device)?, Options::default())
}

fn disk_with(change: impl FnOnce(&mut FakeBlock)) -> (FakeHal, VirtioBlk<FakeHal>) {
    let hal = FakeHal::with_block();
    change(&mut hal.machine().device);
    let disk = start(&hal).expect("it works so far");
    (hal, disk)
}

fn large(device: &mut FakeBlock) {
    device.sectors = 400;
    device.disk = vec![0x77; 400 * 512];
}

/// Whether a range lies in one piece of memory that was allocated and not released.
fn in_one_allocation(machine: &Machine, address: u64, len: u64) -> bool {
    let live = machine.allocated.iter().filter(|(start, _)| !machine.released.contains(start));
    let mut live = live.map(|&(start, size)| start..start + size as u64);
    live.any(|piece| piece.start <= address && address + len <= piece.end)
}

/// Bytes of DMA memory that are in use.
fn in_use(hal: &FakeHal) -> usize {
    let machine = hal.machine();
    let live = machine.allocated.iter().filter(|(start, _)| !machine.released.contains(start));
    live.map(|(_, size)| size).sum()
}

#[test]
fn defect_14_the_device_is_told_physical_addresses() {
    // No virtual address of this machine is a physical one.
    for hal in [FakeHal::with_block(), FakeHal::with_legacy_block(false)] {
        let mut disk = start(&hal).unwrap();
        hal.machine().device.hold = true;
        let _write = disk.submit_write(3, &[1; 512]).unwrap();
        let _read = disk.submit_read(4, 1024).unwrap();
        let machine = hal.machine();
        assert!(machine.areas().iter().all(|&area| in_one_allocation(&machine, area, 6)));
        let chains = machine.chains();
        assert_eq!(chains.len(), 2);
        for (address, len, _) in chains.into_iter().flatten() {
            assert!(in_one_allocation(&machine, address, len.into()), "{len} at {address:#x}");
        }
    }
}

#[test]
fn defect_14_where_nothing_is_mapped_there_is_no_physical_address() {
    let hal = FakeHal::new();
    let (pointer, address) = memory::alloc_dma_buffer(&hal, 4096, 4096).unwrap();
    assert_eq!(memory::virt_to_phys(&hal, pointer.addr() as u64 + 17), Ok(address + 17));
    for virt in [0, 0x1000, address, u64::MAX] {
        assert!(memory::virt_to_phys(&hal, virt).is_err(), "{virt:#x} is no identity");
    }
}

#[test]
fn defect_15_what_one_descriptor_names_is_contiguous() {
    let (hal, mut disk) = disk_with(large);
    hal.machine().device.hold = true;
    // Nothing that is allocated lies beside the next.
    hal.machine().gap = 0x30;
    let most = disk.request_bytes();
    for bytes in [512, 4096, 4608, 8192, most] {
        let token = disk.submit_read(0, bytes).unwrap();
        let machine = hal.machine();
        let chain = machine.chains().pop().unwrap();
        for (address, len, _) in chain {
            assert!(in_one_allocation(&machine, address, len.into()), "{len} at {address:#x}");
        }
        drop(machine);
        disk.forget(token);
    }
}

#[test]
fn defect_16_a_callers_memory_is_never_the_devices() {
    let (hal, mut disk) = disk_with(|_| ());
    hal.machine().device.hold = true;
    let (mut data, mut into) = ([0; 512], [0; 512]);
    data.fill(0x11);
    let write = disk.submit_write(9, &data).unwrap();
    let read = disk.submit_read(5, 512).unwrap();
    {
        let machine = hal.machine();
        for (address, len, _) in machine.chains().into_iter().flatten() {
            assert!(in_one_allocation(&machine, address, len.into()), "{address:#x}");
        }
    }
    // The caller goes on, before the device has looked.
    data.fill(0x22);
    into.fill(0x33);
    hal.machine().device.hold = false;
    notified(&mut hal.machine());
    assert_eq!(into, [0x33; 512], "the device writes somewhere else");
    disk.finish(write, &mut []).unwrap();
    disk.finish(read, &mut into).unwrap();
    assert_eq!(into, [5; 512]);
    assert_eq!(hal.machine().device.disk[9 * 512..10 * 512], [0x11; 512]);
}

#[test]
fn defect_17_the_page_frame_number_keeps_the_whole_address() {
    let hal = FakeHal::with_legacy_block(false);
    // Free memory never begins where a page does.
    hal.machine().gap = 0x30;
    hal.allocate_dma(100, 4).unwrap();
    let mut disk = start(&hal).unwrap();
    let pages: Vec<u64> = hal
        .machine()
        .accesses
        .iter()
        .filter_map(|line| line.strip_prefix("ports +08 <- "))
        .map(|page| u64::from_str_radix(page, 16).unwrap())
        .collect();
    let [page] = pages[..] else { panic!("{pages:?}") };
    assert!(hal.machine().allocated.iter().any(|&(start, _)| start == page << 12));
    let mut data = [0; 512];
    disk.read_sectors(7, &mut data).unwrap();
    assert_eq!(data, [7; 512]);
}

#[test]
fn defect_18_the_rings_of_a_legacy_queue_are_one_piece() {
    for (size, pages) in [(16_u16, 2), (128, 2), (256, 3), (512, 5)] {
        let hal = FakeHal::with_legacy_block(false);
        hal.machine().device.queue_size = size;
        let mut disk = start(&hal).unwrap();
        {
            let machine = hal.machine();
            let [desc, avail, used] = machine.areas();
            assert_eq!(avail, desc + 16 * u64::from(size));
            assert_eq!(used, (avail + 6 + 2 * u64::from(size)).next_multiple_of(4096));
            let end = used + 6 + 8 * u64::from(size);
            assert!(in_one_allocation(&machine, desc, end - desc), "a queue of {size}");
            let rings = machine.allocated.iter().find(|&&(start, _)| start == desc);
            assert_eq!(rings.map(|&(_, bytes)| bytes), Some(pages * 4096));
        }
        let mut data = [0; 512];
        disk.read_sectors(7, &mut data).unwrap();
        assert_eq!(data, [7; 512]);
    }
}

#[test]
fn defect_19_nothing_is_released_while_the_device_may_write_it() {
    let faults = [Fault::NeverCompletes, Fault::NeedsReset, Fault::UsedId(7), Fault::NoStatus];
    for fault in faults {
        let (hal, mut disk) = disk_with(|device| device.queue_size = 16);
        hal.machine().device.fault = fault;
        assert!(disk.read_sectors(3, &mut [0; 512]).is_err());
        drop(disk);
        assert_eq!(hal.machine().released_live, [0; 0], "{fault:?}");
        assert_eq!(in_use(&hal), 0, "{fault:?}");
    }
    let (hal, mut disk) = disk_with(|_| ());
    let token = disk.submit_read(3, 512).unwrap();
    hal.machine().device.fault = Fault::NeverResets;
    hal.machine().device.hold = true;
    assert!(disk.finish(token, &mut [0; 512]).is_err());
    drop(disk);
    assert_eq!(hal.machine().released, [0; 0], "it never let go of it");
}

#[test]
fn defect_19_a_request_that_nobody_waits_for_keeps_its_memory() {
    let (hal, mut disk) = disk_with(|_| ());
    hal.machine().device.hold = true;
    let forgotten = disk.submit_write(9, &[0x11; 512]).unwrap();
    disk.forget(forgotten);
    let next = disk.submit_write(10, &[0x22; 512]).unwrap();
    disk.notify();
    hal.machine().device.hold = false;
    while serve_next(&mut hal.machine()) {}
    disk.finish(next, &mut []).unwrap();
    let machine = hal.machine();
    assert_eq!(machine.device.disk[9 * 512..10 * 512], [0x11; 512], "what was asked for");
    assert_eq!(machine.device.disk[10 * 512..11 * 512], [0x22; 512]);
}

#[test]
fn defect_20_a_start_that_fails_releases_what_it_took() {
    // What the device was told of stays its own: the rings of a queue that does not come on.
    for (fault, kept) in
        [(Fault::RefusesFeatures, 0), (Fault::NeverResets, 0), (Fault::NeverEnables, 3 * 4096)]
    {
        let hal = FakeHal::with_block();
        hal.machine().device.fault = fault;
        let modern = start(&hal);
        // A device that never resets starts once: it is reset already.
        assert_eq!(modern.is_ok(), fault == Fault::NeverResets);
        if modern.is_err() {
            assert_eq!(in_use(&hal), kept.min(in_use(&hal)), "{fault:?}");
            assert!(in_use(&hal) <= kept, "{fault:?}: {} bytes", in_use(&hal));
        }
        hal.machine().device.fault = Fault::Nothing;
    }
    let (hal, disk) = disk_with(|_| ());
    assert!(in_use(&hal) > 0);
    disk.close().unwrap();
    assert_eq!(in_use(&hal), 0);
}

#[test]
fn defect_20_a_request_that_is_refused_leaves_everything_free() {
    let (hal, mut disk) = disk_with(|device| device.queue_size = 16);
    hal.machine().device.hold = true;
    let fill = |disk: &mut VirtioBlk<FakeHal>| {
        let mut tokens = vec![];
        while let Ok(token) = disk.submit_read(0, 512) {
            tokens.push(token);
        }
        tokens
    };
    let tokens = fill(&mut disk);
    assert_eq!(tokens.len(), 5);
    let bytes = in_use(&hal);
    for _ in 0..3000 {
        assert_eq!(disk.submit_read(0, 512), Err(Error::Busy));
        assert!(disk.submit_read(64, 512).is_err());
        assert!(disk.submit_write(0, &[0; 100]).is_err());
    }
    assert!(in_use(&hal) <= bytes + 4096, "no more than a slot that was tried");
    hal.machine().device.hold = false;
    notified(&mut hal.machine());
    for token in tokens {
        disk.finish(token, &mut [0; 512]).unwrap();
    }
    hal.machine().device.hold = true;
    assert_eq!(fill(&mut disk).len(), 5, "as much room as ever");
}

#[test]
fn defect_20_where_memory_is_short_nothing_is_lost() {
    let (hal, mut disk) = disk_with(large);
    hal.machine().device.hold = true;
    let rest = hal.allocate_dma(800 << 10, 4096);
    assert!(rest.is_some());
    let mut tokens = vec![];
    let error = loop {
        match disk.submit_read(0, 65_536) {
            Ok(token) => tokens.push(token),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Memory(_)), "{error}");
    for _ in 0..3000 {
        assert_eq!(disk.submit_read(0, 65_536), Err(error));
    }
    hal.machine().device.hold = false;
    notified(&mut hal.machine());
    for token in tokens {
        disk.finish(token, &mut vec![0; 65_536]).unwrap();
    }
    // What those had is used again.
    assert_eq!(disk.read_sectors(0, &mut vec![0; 65_536]), Ok(()));
}

#[test]
fn defect_21_no_request_is_of_size_0_or_too_large() {
    let (hal, mut disk) = disk_with(|_| ());
    let before = in_use(&hal);
    assert!(disk.read_sectors(0, &mut []).is_err());
    assert!(disk.write_sectors(0, &[]).is_err());
    assert!(disk.submit_read(0, 0).is_err());
    for bytes in [usize::MAX & !511, 1 << 40, 65 * 512] {
        assert!(disk.submit_read(0, bytes).is_err(), "{bytes:#x}");
    }
    assert_eq!(in_use(&hal), before, "refused before any memory is taken");
    assert_eq!(hal.machine().device.requests, []);
    for (size, align) in [(0, 8), (8, 0), (8, 3), (usize::MAX, 1)] {
        let buffer = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            size != usize::MAX && DmaBuffer::new(&hal, size, align).is_ok()
        }));
        assert!(matches!(buffer, Ok(false)), "{size:#x} bytes aligned to {align}");
    }
}

#[test]
fn defect_25_an_offset_and_a_length_that_wrap_are_refused() {
    let (hal, mut disk) = disk_with(|_| ());
    let mut data = [0; 1024];
    for sector in [u64::MAX, u64::MAX - 1, 63, 1 << 55] {
        assert!(disk.read_sectors(sector, &mut data).is_err(), "{sector:#x}");
        assert!(disk.write_sectors(sector, &data).is_err(), "{sector:#x}");
    }
    for offset in [u64::MAX, u64::MAX - 1023, u64::MAX - 511, 64 * 512 - 1] {
        assert!(disk.read_bytes(offset, &mut data).is_err(), "{offset:#x}");
        assert!(disk.write_bytes(offset, &data).is_err(), "{offset:#x}");
    }
    assert_eq!(hal.machine().device.requests, [], "refused without I/O");
    let buffer = DmaBuffer::new(&hal, 64, 8).unwrap();
    for offset in [61, 64, usize::MAX, usize::MAX - 3] {
        let load = std::panic::AssertUnwindSafe(|| buffer.load::<u32>(offset));
        assert!(std::panic::catch_unwind(load).is_err(), "{offset:#x}");
    }
}

#[test]
fn a_buffer_has_as_many_bytes_as_were_asked_for_and_never_none() {
    let hal = FakeHal::new();
    let buffer = DmaBuffer::new(&hal, 64, 8).unwrap();
    assert_eq!((buffer.len(), buffer.is_empty()), (64, false));
    assert!(DmaBuffer::new(&hal, 0, 8).is_err());
}
