//! A scenario that asks where memory is, how it is mapped, and who has it.

use alloc::vec::Vec;

use eclipse_kernel::{
    hal::{DmaMemory, Hal},
    log,
};

use super::{Error, expect};
use crate::{
    arch::paging::{DEVICE_WINDOW, KERNEL_BASE, LARGE_PAGE, ORDINARY, PAGE},
    memory,
    metal::Metal,
};

/// Device memory that no driver has mapped: its last four bytes of a page, and four of the next.
const DEVICE: (u64, u64) = (0xFDFF_0FFC, 8);
/// Addresses without a page: null, an identity, the gap behind the lower half, the very last.
const NOWHERE: [u64; 5] = [0, 0x1000, 1 << 47, 0xFFFF_D000_DEAD_0000, u64::MAX];
/// Where a task's memory is.
const TASK: u64 = 0x40_0000;
/// Bytes of the DMA memory that is tried.
const BYTES: usize = 3 * PAGE as usize;

/// Goes through all of it.
///
/// # Errors
/// The first that is not as it should be.
pub fn run() -> Result<(), Error> {
    addresses()?;
    device_memory()?;
    caching()?;
    tables()
}

fn allocate() -> Result<DmaMemory, Error> {
    Metal.allocate_dma(BYTES, PAGE as usize).ok_or(Error("there is no DMA memory"))
}

fn release(memory: DmaMemory) {
    // SAFETY: it was allocated like that by `allocate`, and no device was told of it.
    unsafe { Metal.release_dma(memory, BYTES, PAGE as usize) }
}

/// The physical address behind a virtual one, or none; never a guess.
fn addresses() -> Result<(), Error> {
    let buffer = allocate()?;
    let start = buffer.pointer.addr().get() as u64;
    for offset in [0, 1, PAGE - 1, PAGE, 3 * PAGE - 1] {
        let found = Metal.virt_to_phys(start + offset);
        expect(found == Ok(buffer.address + offset), "DMA memory is not where it says")?;
    }
    let code = run as *const () as u64;
    expect(Metal.virt_to_phys(code) == Ok(code - KERNEL_BASE), "the image is somewhere else")?;
    for virt in NOWHERE.into_iter().chain([buffer.address]) {
        expect(Metal.virt_to_phys(virt).is_err(), "what is not mapped has a physical address")?;
    }
    release(buffer);
    log!(Metal, "[MEM] Each address has its own physical one, or none");
    Ok(())
}

/// Device memory is reached once it is mapped, to its end, and RAM never as such.
fn device_memory() -> Result<(), Error> {
    let (address, len) = DEVICE;
    let ends = [0, len - 1];
    for end in ends {
        let early = Metal.virt_to_phys(DEVICE_WINDOW + address + end);
        expect(early.is_err(), "device memory is mapped before anyone asked")?;
    }
    let device = Metal.map_device(address, len).map_err(|_| Error("it cannot be mapped"))?;
    for end in ends {
        let found = Metal.virt_to_phys(device.base + end);
        expect(found == Ok(address + end), "device memory is mapped in part")?;
    }
    let buffer = allocate()?;
    for (address, len) in [(buffer.address, 4), (address, 0), (u64::MAX - 3, 8), (u64::MAX, 1)] {
        expect(Metal.map_device(address, len).is_err(), "what is no device memory is mapped")?;
    }
    release(buffer);
    log!(Metal, "[MEM] Device memory is mapped to its end");
    Ok(())
}

/// Device memory is not cached; DMA memory is, before, meanwhile and after.
fn caching() -> Result<(), Error> {
    let (address, len) = DEVICE;
    let device = Metal.map_device(address, len).map_err(|_| Error("it cannot be mapped"))?;
    for end in [0, len - 1] {
        let uncached = memory::is_uncached(device.base + end);
        expect(uncached == Some(true), "device memory is cached")?;
    }
    let mut freed = Vec::new();
    for _ in 0..2 {
        let buffer = allocate()?;
        freed.push(buffer.pointer.addr().get() as u64);
        let cached = memory::is_uncached(buffer.pointer.addr().get() as u64) == Some(false);
        expect(cached, "DMA memory is not cached")?;
        release(buffer);
    }
    let cached = freed.into_iter().all(|page| memory::is_uncached(page) == Some(false));
    expect(cached, "memory that was released is not cached")?;
    log!(Metal, "[MEM] Device memory is not cached, all other is");
    Ok(())
}

/// No table that translates an address is free memory.
fn tables() -> Result<(), Error> {
    let short = || Error("memory is short");
    let mut space = memory::create_task_space().ok_or_else(short)?;
    for virt in [TASK, 1 << 40, (1 << 47) - LARGE_PAGE] {
        memory::map_for_task(&mut space, virt, &[], PAGE, ORDINARY).ok_or_else(short)?;
    }
    let (tables, free) = memory::count_tables(&space);
    // Four of the kernel's at the least, and three of each of the task's pages.
    expect(tables > 4 + 9, "tables are missing")?;
    expect(free == 0, "the frame of a live table is free memory")?;
    memory::release_task_space(space);
    log!(Metal, "[MEM] No live table is free memory");
    Ok(())
}
