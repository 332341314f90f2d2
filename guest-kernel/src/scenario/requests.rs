//! Scenarios about requests to one disk.

use alloc::{string::String, vec, vec::Vec};

use super::{Error, Run, compare, disk_error, fill, sector_of};
use crate::{
    ata,
    block::{self, BLOCK_SIZE, BlockDevice},
    crc32::crc32,
    hal::Hal,
    log,
    mark::Phase,
    virtio::blk::{SECTOR, VirtioBlk},
};

/// Reads one sector.
pub(super) fn read<H: Hal>(disk: &mut VirtioBlk<H>, sector: u64) -> Result<(), Error> {
    let mut data = [0; SECTOR];
    disk.read_sectors(sector, &mut data).map_err(disk_error(disk))?;
    let crc = crc32(data);
    let first = u128::from_be_bytes(core::array::from_fn(|byte| data[byte]));
    log!(*disk.hal(), "[VirtIO] Sector {sector}: CRC-32 0x{crc:08X}, begins {first:032x}");
    Ok(())
}

/// Writes one sector; the disk's last one where none is asked for.
pub(super) fn write<H: Hal>(disk: &mut VirtioBlk<H>, sector: Option<u64>) -> Result<(), Error> {
    let failed = disk_error(disk);
    let sectors = disk.config().sectors;
    let sector = sector.or(sectors.checked_sub(1)).ok_or(Error::TooSmall(sectors))?;
    let mut data = [0; SECTOR];
    fill(&mut data, sector);
    disk.write_sectors(sector, &data).map_err(failed)?;
    disk.flush().map_err(failed)?;
    log!(*disk.hal(), "[VirtIO] Sector {sector}: written and flushed");
    Ok(())
}

/// Says what the device says of itself.
pub(super) fn info<H: Hal>(disk: &mut VirtioBlk<H>) -> Result<(), Error> {
    let hal = disk.hal().clone();
    let config = *disk.config();
    log!(hal, "[VirtIO] Features: {:#x}", disk.features().bits());
    log!(hal, "[VirtIO] Capacity: {} sectors, blocks of {}", config.sectors, config.block());
    log!(
        hal,
        "[VirtIO] Requests: {} queue(s), {} bytes, {} segment(s) each",
        disk.queue_count(),
        disk.request_bytes(),
        config.segments
    );
    if let Some(topology) = config.topology {
        log!(
            hal,
            "[VirtIO] Topology: physical blocks of {}, the first at {}, {} to {} blocks at a time",
            topology.physical_block,
            topology.alignment_offset,
            topology.min_io,
            topology.opt_io
        );
    }
    for (name, limits) in [("Discard", config.discard), ("Write zeroes", config.write_zeroes)] {
        if let Some(limits) = limits {
            log!(hal, "[VirtIO] {name}: {} sectors at a time", limits.sectors);
        }
    }
    if let Some((cylinders, heads, sectors)) = config.geometry {
        log!(hal, "[VirtIO] Geometry: {cylinders} cylinders, {heads} heads, {sectors} sectors");
    }
    if let Some(write_back) = config.write_back {
        log!(hal, "[VirtIO] Cache: {}", if write_back { "write-back" } else { "write-through" });
    }
    if config.read_only {
        log!(hal, "[VirtIO] Read-only");
    }
    let (id, len) = disk.get_id().map_err(disk_error(disk))?;
    log!(hal, "[VirtIO] ID: {}", String::from_utf8_lossy(&id[..len]));
    Ok(())
}

/// Reads `count` blocks by requests that are all in flight before the device is notified.
pub(super) fn batch<H: Hal>(disk: &mut VirtioBlk<H>, count: u32) -> Result<(), Error> {
    let failed = disk_error(disk);
    let blocks = disk.blocks();
    if blocks == 0 {
        return Err(Error::TooSmall(disk.config().sectors));
    }
    let tokens: Result<Vec<_>, _> = (0..u64::from(count))
        .map(|number| disk.submit_read(sector_of(number % blocks), BLOCK_SIZE))
        .collect();
    let tokens = tokens.map_err(failed)?;
    disk.notify();
    let mut data = vec![0; BLOCK_SIZE];
    let mut sum = 0_u64;
    for token in tokens {
        disk.finish(token, &mut data).map_err(failed)?;
        let (words, _) = data.as_chunks();
        // Any difference in any word, or in their order, changes it; a CRC would take seconds
        // where every instruction is emulated.
        sum = words.iter().fold(sum, |sum, word| sum.rotate_left(1) ^ u64::from_le_bytes(*word));
    }
    log!(*disk.hal(), "[VirtIO] Batch of {count}: checksum 0x{sum:016X}");
    Ok(())
}

/// Writes and reads at odd places and lengths of the last 64 KiB, and puts them back.
pub(super) fn bytes<H: Hal>(disk: &mut VirtioBlk<H>) -> Result<(), Error> {
    const AREA: usize = 64 * 1024;
    let failed = disk_error(disk);
    let end = disk.config().bytes();
    let start = end.checked_sub(AREA as u64).ok_or(Error::TooSmall(disk.config().sectors))?;
    let mut old = vec![0; AREA];
    disk.read_bytes(start, &mut old).map_err(failed)?;
    let mut model = old.clone();
    for (offset, len) in [(0, 1), (511, 2), (513, 1022), (4095, 4098), (1, AREA - 2), (7, 0)] {
        let mut data = vec![0; len];
        fill(&mut data, start + offset as u64);
        disk.write_bytes(start + offset as u64, &data).map_err(failed)?;
        model[offset..offset + len].copy_from_slice(&data);
        let mut back = vec![0; AREA];
        disk.read_bytes(start, &mut back).map_err(failed)?;
        compare(start / BLOCK_SIZE as u64, &model, &back)?;
        let mut part = vec![0; len];
        disk.read_bytes(start + offset as u64, &mut part).map_err(failed)?;
        compare(start / BLOCK_SIZE as u64, &data, &part)?;
    }
    disk.write_bytes(start, &old).map_err(failed)?;
    disk.flush().map_err(failed)?;
    log!(*disk.hal(), "[VirtIO] Odd places and lengths: written, read back, restored");
    Ok(())
}

/// Writes zeroes over the last block and discards it, as far as the device offers that.
pub(super) fn discard<H: Hal>(disk: &mut VirtioBlk<H>) -> Result<(), Error> {
    let failed = disk_error(disk);
    let sectors = disk.config().sectors;
    let block = disk.blocks().checked_sub(1).ok_or(Error::TooSmall(sectors))?;
    let (first, count) = (sector_of(block), sector_of(1));
    let mut pattern = block::zeroed();
    fill(&mut *pattern, first);
    if disk.config().write_zeroes.is_some() {
        for unmap in [false, true] {
            disk.write_block(block, &pattern).map_err(failed)?;
            disk.write_zeroes(first, count, unmap).map_err(failed)?;
            let mut back = block::zeroed();
            disk.read_block(block, &mut back).map_err(failed)?;
            compare(block, &*block::zeroed(), &*back)?;
        }
        log!(*disk.hal(), "[VirtIO] Block {block}: reads as zeroes");
    } else {
        log!(*disk.hal(), "[VirtIO] The device does not write zeroes");
    }
    if disk.config().discard.is_some() {
        disk.write_block(block, &pattern).map_err(failed)?;
        disk.discard(first, count).map_err(failed)?;
        // What it holds now is the device's business; it must still be there.
        disk.read_block(block, &mut block::zeroed()).map_err(failed)?;
        log!(*disk.hal(), "[VirtIO] Block {block}: discarded");
    } else {
        log!(*disk.hal(), "[VirtIO] The device does not discard");
    }
    disk.flush().map_err(failed)
}

/// Starts every block device, reads and writes on each in turn, and reads from all at once.
pub(super) fn all_devices<H: Hal>(run: &Run<'_, H>) -> Result<(), Error> {
    let mut disks = run.all_disks()?;
    run.mark(Phase::Work);
    for disk in &mut disks {
        let address = disk.address();
        log!(*run.hal, "[VirtIO] {address}: {} sectors", disk.config().sectors);
        read(disk, 0)?;
        if disk.config().read_only {
            log!(*run.hal, "[VirtIO] {address}: read-only");
        } else {
            write(disk, None)?;
        }
    }
    read_from_all(&mut disks)?;
    if disks.len() > 1 {
        log!(*run.hal, "[VirtIO] {} devices read at once", disks.len());
    }
    run.mark(Phase::Close);
    for disk in disks {
        let failed = disk_error(&disk);
        disk.close().map_err(failed)?;
    }
    Ok(())
}

/// Reads the first block of each disk by requests that are all in flight together: devices that
/// share an interrupt line then assert it together.
fn read_from_all<H: Hal>(disks: &mut [VirtioBlk<H>]) -> Result<(), Error> {
    let mut tokens = Vec::new();
    for disk in disks.iter_mut() {
        let failed = disk_error(disk);
        let bytes = disk.config().block();
        tokens.push((disk.submit_read(0, bytes).map_err(failed)?, bytes));
        disk.notify();
    }
    for (disk, (token, bytes)) in disks.iter_mut().zip(tokens) {
        let failed = disk_error(disk);
        disk.finish(token, &mut vec![0; bytes]).map_err(failed)?;
    }
    Ok(())
}

/// Reads a sector from the first ATA disk, and writes its last one.
pub(super) fn ata<H: Hal>(run: &Run<'_, H>, sector: Option<u64>) -> Result<(), Error> {
    run.pci()?;
    run.mark(Phase::Start);
    let mut disk = ata::init(run.hal).into_iter().next().ok_or(Error::NoAta)?;
    run.mark(Phase::Work);
    let mut data = [0; SECTOR];
    let sector = sector.unwrap_or(0);
    disk.read_sectors(sector, &mut data)?;
    log!(*run.hal, "[ATA] Sector {sector}: CRC-32 0x{:08X}", crc32(data));
    let last = disk.identity().sectors.checked_sub(1).ok_or(Error::TooSmall(0))?;
    fill(&mut data, last);
    disk.write_sectors(last, &data)?;
    disk.flush()?;
    let mut back = [0; SECTOR];
    disk.read_sectors(last, &mut back)?;
    compare(last / sector_of(1), &data, &back)?;
    log!(*run.hal, "[ATA] Sector {last}: written, flushed, read back");
    Ok(())
}
