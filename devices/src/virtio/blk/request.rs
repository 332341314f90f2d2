use eclipse_trace::{Event, RequestKind, RequestStatus, Violation};

use super::{Blk, Features};
use crate::Host;
use crate::disk::SECTOR_SIZE;
use crate::virtio::queue::Chain;

/// `type`, `reserved` and `sector` (VIRTIO 1.4, 5.2.6).
const HEADER: u64 = 16;
/// The longest answer to `VIRTIO_BLK_T_GET_ID` (5.2.6).
const ID_LENGTH: u64 = 20;
const ID: &[u8; ID_LENGTH as usize] = b"eclipse-vmm disk\0\0\0\0";
/// Bytes moved between disk and guest at a time, so that a request of
/// gigabytes does not need gigabytes of the host.
const CHUNK: u64 = 64 * 1024;

/// What became of a request: the status, and the bytes of data moved.
struct Answer {
    status: RequestStatus,
    moved: u64,
}

impl Answer {
    const UNSUPP: Self = Self { status: RequestStatus::Unsupp, moved: 0 };
    const IOERR: Self = Self { status: RequestStatus::IoErr, moved: 0 };

    fn ok(moved: u64) -> Self {
        Self { status: RequestStatus::Ok, moved }
    }
}

/// See [`Blk::carry_out`].
pub(super) fn carry_out(
    blk: &mut Blk,
    host: &mut Host<'_>,
    chain: &Chain,
) -> Result<u32, Violation> {
    if chain.readable() < HEADER {
        return Err(Violation::HeaderTooShort(chain.head()));
    }
    let writable_data = match chain.writable().checked_sub(1) {
        Some(before_status) => before_status,
        None => return Err(Violation::NoStatusByte(chain.head())),
    };
    let readable_data = chain.readable() - HEADER;

    let mut header = [0; HEADER as usize];
    chain.read(host, 0, &mut header)?;
    let number = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let sector = u128::from_le_bytes(header) >> 64;
    let request = Request { number, kind: kind(number), sector: sector as u64 };

    let answer = match request.kind {
        RequestKind::In => request.read(blk, host, chain, writable_data)?,
        RequestKind::Out => request.write(blk, host, chain, readable_data)?,
        RequestKind::Flush => request.flush(blk, host)?,
        RequestKind::GetId => request.get_id(host, chain, writable_data)?,
        RequestKind::Other(_) => Answer::UNSUPP,
    };

    host.record(Event::Request {
        queue: chain.queue(),
        head: chain.head(),
        request: request.kind,
        sector: request.sector,
        len: clamp(answer.moved),
        status: answer.status,
    });
    chain.write(host, writable_data, &[answer.status as u8])?;

    // 2.7.8.2: `len` bytes from the first writable one on are written. When the
    // data before the status is not, only what was may be claimed.
    let data = match request.kind {
        RequestKind::In | RequestKind::GetId => answer.moved,
        _ => 0,
    };
    Ok(if data == writable_data { clamp(data + 1) } else { clamp(data) })
}

fn kind(number: u32) -> RequestKind {
    match number {
        0 => RequestKind::In,
        1 => RequestKind::Out,
        4 => RequestKind::Flush,
        8 => RequestKind::GetId,
        number => RequestKind::Other(number),
    }
}

fn clamp(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

struct Request {
    number: u32,
    kind: RequestKind,
    sector: u64,
}

impl Request {
    fn read(
        &self,
        blk: &mut Blk,
        host: &mut Host<'_>,
        chain: &Chain,
        len: u64,
    ) -> Result<Answer, Violation> {
        if let Err(violation) = self.check_range(blk, len) {
            host.violation(violation);
            return Ok(Answer::IOERR);
        }
        let mut moved = 0;
        while moved < len {
            let chunk = (len - moved).min(CHUNK);
            blk.scratch.resize(chunk as usize, 0);
            let sector = self.sector + moved / SECTOR_SIZE as u64;
            if blk.disk.read(sector, &mut blk.scratch).is_err() {
                return Ok(Answer { status: RequestStatus::IoErr, moved });
            }
            chain.write(host, moved, &blk.scratch)?;
            moved += chunk;
        }
        Ok(Answer::ok(moved))
    }

    fn write(
        &self,
        blk: &mut Blk,
        host: &mut Host<'_>,
        chain: &Chain,
        len: u64,
    ) -> Result<Answer, Violation> {
        // 5.2.6.2: with RO a write fails and changes nothing.
        if blk.offered.contains(Features::RO) {
            host.violation(Violation::WriteToReadOnly);
            return Ok(Answer::IOERR);
        }
        if let Err(violation) = self.check_range(blk, len) {
            host.violation(violation);
            return Ok(Answer::IOERR);
        }
        let mut moved = 0;
        while moved < len {
            let chunk = (len - moved).min(CHUNK);
            blk.scratch.resize(chunk as usize, 0);
            chain.read(host, HEADER + moved, &mut blk.scratch)?;
            let sector = self.sector + moved / SECTOR_SIZE as u64;
            if blk.disk.write(sector, &blk.scratch).is_err() {
                return Ok(Answer { status: RequestStatus::IoErr, moved });
            }
            moved += chunk;
        }
        Ok(Answer::ok(moved))
    }

    fn flush(&self, blk: &mut Blk, host: &mut Host<'_>) -> Result<Answer, Violation> {
        // 5.2.6.1: the driver sets the sector to 0. The flush is carried out all the same.
        if self.sector != 0 {
            host.violation(Violation::FlushSector(self.sector));
        }
        Ok(match blk.disk.flush() {
            Ok(()) => Answer::ok(0),
            Err(_) => Answer::IOERR,
        })
    }

    fn get_id(&self, host: &mut Host<'_>, chain: &Chain, len: u64) -> Result<Answer, Violation> {
        if len != ID_LENGTH {
            host.violation(Violation::DataLength { kind: self.number, len: clamp(len) });
        }
        let moved = len.min(ID_LENGTH);
        chain.write(host, 0, &ID[..moved as usize])?;
        Ok(Answer::ok(moved))
    }

    /// Whether `len` bytes are whole sectors and on the disk (5.2.6.1).
    fn check_range(&self, blk: &Blk, len: u64) -> Result<(), Violation> {
        let sector_size = SECTOR_SIZE as u64;
        if !len.is_multiple_of(sector_size) {
            return Err(Violation::DataLength { kind: self.number, len: clamp(len) });
        }
        match self.sector.checked_add(len / sector_size) {
            Some(end) if end <= blk.disk.sectors() => Ok(()),
            _ => Err(Violation::BeyondCapacity { sector: self.sector, len: clamp(len) }),
        }
    }
}
