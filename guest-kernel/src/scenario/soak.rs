//! Many mixed requests, several in flight, every read verified.

use alloc::{vec, vec::Vec};

use super::{Error, compare, disk_error};
use crate::{
    block::BlockDevice,
    hal::Hal,
    log,
    virtio::blk::{Kind, SECTOR, Token, VirtioBlk},
};

/// How many zones the disk is cut into: each has at most one request in flight, so that
/// no order of completion matters to what is read.
const ZONES: usize = 16;
/// The most sectors of a zone: what is written is kept in memory, too.
const ZONE_SECTORS: u64 = 32;

/// A zone of the disk, and what it must hold.
struct Zone {
    first: u64,
    model: Vec<u8>,
    flight: Option<Flight>,
}

struct Flight {
    token: Token,
    kind: Kind,
    /// Bytes of the zone that are read.
    range: core::ops::Range<usize>,
}

/// A generator of random numbers: xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// The next number below `limit`, which is not 0.
    fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 33) % limit
    }
}

/// Makes `count` requests, drawn at random from `seed`.
pub(super) fn run<H: Hal>(disk: &mut VirtioBlk<H>, count: u32, seed: u64) -> Result<(), Error> {
    let failed = disk_error(disk);
    let sectors = disk.config().sectors;
    let block = disk.config().sectors_per_block;
    let zone = (sectors / ZONES as u64).min(ZONE_SECTORS) / block * block;
    if zone == 0 {
        return Err(Error::TooSmall(sectors));
    }
    let mut zones = Vec::new();
    for number in 0..ZONES as u64 {
        let mut model = vec![0; zone as usize * SECTOR];
        disk.read_sectors(number * zone, &mut model).map_err(failed)?;
        zones.push(Zone { first: number * zone, model, flight: None });
    }
    let mut random = Random(seed | 1);
    let mut done = [0_u32; 4];
    for _ in 0..count {
        if !disk.has_room(disk.request_bytes()) {
            for zone in &mut zones {
                finish(disk, zone)?;
            }
        }
        let zone = &mut zones[random.below(ZONES as u64) as usize];
        finish(disk, zone)?;
        let kind = submit(disk, zone, &mut random).map_err(failed)?;
        done[match kind {
            Kind::Read => 0,
            Kind::Write => 1,
            Kind::Flush => 2,
            _ => 3,
        }] += 1;
        // Sometimes a request waits for the next ones, to be notified with them.
        if random.below(4) == 0 {
            disk.notify();
        }
    }
    for zone in &mut zones {
        finish(disk, zone)?;
        let mut back = vec![0; zone.model.len()];
        disk.read_sectors(zone.first, &mut back).map_err(failed)?;
        compare(zone.first * SECTOR as u64 / 4096, &zone.model, &back)?;
    }
    disk.flush().map_err(failed)?;
    let [reads, writes, flushes, others] = done;
    log!(
        *disk.hal(),
        "[VirtIO] Soak of {count}: {reads} read, {writes} written, {flushes} flushed, {others} other"
    );
    Ok(())
}

/// Submits one request for a zone that has none in flight.
fn submit<H: Hal>(
    disk: &mut VirtioBlk<H>,
    zone: &mut Zone,
    random: &mut Random,
) -> Result<Kind, crate::virtio::blk::Error> {
    let unit = disk.config().sectors_per_block;
    let units = zone.model.len() as u64 / SECTOR as u64 / unit;
    let most = (disk.request_bytes() / SECTOR) as u64 / unit;
    let start = random.below(units);
    let len = 1 + random.below((units - start).min(most));
    let (sector, from) = (zone.first + start * unit, (start * unit) as usize * SECTOR);
    let range = from..from + (len * unit) as usize * SECTOR;
    let (kind, token) = match random.below(16) {
        0 => match disk.submit_flush()? {
            Some(token) => (Kind::Flush, token),
            None => return Ok(Kind::Flush),
        },
        1 if disk.config().write_zeroes.is_some() && !disk.config().read_only => {
            zone.model[range.clone()].fill(0);
            (Kind::WriteZeroes, disk.submit_write_zeroes(sector, (len * unit) as u32, false)?)
        }
        2 => (Kind::GetId, disk.submit_get_id()?),
        3..8 if !disk.config().read_only => {
            // Whole sectors.
            for word in zone.model[range.clone()].chunks_exact_mut(8) {
                word.copy_from_slice(&random.next().to_le_bytes());
            }
            (Kind::Write, disk.submit_write(sector, &zone.model[range.clone()])?)
        }
        _ => (Kind::Read, disk.submit_read(sector, range.len())?),
    };
    zone.flight = Some(Flight { token, kind, range });
    Ok(kind)
}

/// Finishes a zone's request, and looks at what was read.
fn finish<H: Hal>(disk: &mut VirtioBlk<H>, zone: &mut Zone) -> Result<(), Error> {
    let Some(Flight { token, kind, range }) = zone.flight.take() else { return Ok(()) };
    let failed = disk_error(disk);
    match kind {
        Kind::Read => {
            let mut back = vec![0; range.len()];
            disk.finish(token, &mut back).map_err(failed)?;
            compare(zone.first * SECTOR as u64 / 4096, &zone.model[range], &back)
        }
        Kind::GetId => disk.finish(token, &mut [0; crate::virtio::blk::ID_BYTES]).map_err(failed),
        _ => disk.finish(token, &mut []).map_err(failed),
    }
}
