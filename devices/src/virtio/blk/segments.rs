use std::io;

use eclipse_trace::{Event, RequestKind, Violation};

use super::request::{Answer, HEADER, Request, clamp};
use super::{Blk, SegmentLimits};
use crate::Host;
use crate::disk::SECTOR_SIZE;
use crate::virtio::queue::Chain;

/// Bytes of `struct virtio_blk_discard_write_zeroes` (VIRTIO 1.4, 5.2.6).
const SEGMENT: u64 = 16;
/// The flag that allows a write-zeroes request to discard.
const UNMAP: u32 = 1;

/// A range of sectors to discard, zero or erase.
#[derive(Clone, Copy)]
struct Segment {
    sector: u64,
    sectors: u32,
    flags: u32,
}

impl Segment {
    fn from_bytes(bytes: [u8; SEGMENT as usize]) -> Self {
        let word = u128::from_le_bytes(bytes);
        Self { sector: word as u64, sectors: (word >> 64) as u32, flags: (word >> 96) as u32 }
    }

    fn bytes(self) -> u64 {
        u64::from(self.sectors) * SECTOR_SIZE as u64
    }
}

/// Carries out a discard, write-zeroes or secure-erase request with `len` bytes of segments.
///
/// Nothing is changed unless all segments are right.
pub(super) fn carry_out(
    request: &Request,
    blk: &mut Blk,
    host: &mut Host<'_>,
    chain: &Chain,
    len: u64,
) -> Result<Answer, Violation> {
    let limits = limits(blk, request.kind);
    let count = len / SEGMENT;
    if count == 0 || !len.is_multiple_of(SEGMENT) {
        host.violation(Violation::DataLength { kind: request.number, len: clamp(len) });
        return Ok(Answer::IOERR);
    }
    // Before anything of the request is read: its length is the guest's, the limit ours.
    if count > limits.segments.into() {
        let (kind, count, limit) = (request.number, clamp(count), limits.segments);
        host.violation(Violation::TooManySegments { kind, count, limit });
        return Ok(Answer::IOERR);
    }
    let segments = read(host, chain, count)?;

    let flags = if request.kind == RequestKind::WriteZeroes { UNMAP } else { 0 };
    if let Some(wrong) = segments.iter().find(|segment| segment.flags & !flags != 0) {
        // 5.2.6.2: for an unknown flag, and for `unmap` in a discard. `unmap` is "only used in
        // write zeroes commands", so a secure erase does not know it either.
        host.violation(Violation::SegmentFlags { kind: request.number, flags: wrong.flags });
        return Ok(Answer::UNSUPP);
    }
    for segment in &segments {
        if let Err(violation) = check(segment, request, blk, limits) {
            host.violation(violation);
            return Ok(Answer::IOERR);
        }
    }
    let done = segments.iter().try_for_each(|segment| change(blk, request.kind, segment));
    Ok(match done.and_then(|()| blk.settle()) {
        Ok(()) => Answer::ok(segments.iter().map(|segment| segment.bytes()).sum()),
        Err(_) => Answer::IOERR,
    })
}

fn limits(blk: &Blk, kind: RequestKind) -> SegmentLimits {
    match kind {
        RequestKind::Discard => blk.config.discard,
        RequestKind::WriteZeroes => blk.config.write_zeroes,
        _ => blk.config.secure_erase,
    }
}

/// Reads the segments, once: what the guest makes of them afterwards is of no matter.
fn read(host: &mut Host<'_>, chain: &Chain, count: u64) -> Result<Vec<Segment>, Violation> {
    (0..count)
        .map(|index| {
            let mut bytes = [0; SEGMENT as usize];
            chain.read(host, HEADER + index * SEGMENT, &mut bytes)?;
            let segment = Segment::from_bytes(bytes);
            let Segment { sector, sectors, flags } = segment;
            let (queue, index) = (chain.queue(), clamp(index));
            host.record(Event::Segment { queue, index, sector, sectors, flags });
            Ok(segment)
        })
        .collect()
}

fn check(
    segment: &Segment,
    request: &Request,
    blk: &Blk,
    limits: SegmentLimits,
) -> Result<(), Violation> {
    if segment.sectors > limits.sectors {
        let (kind, sectors, limit) = (request.number, segment.sectors, limits.sectors);
        return Err(Violation::SegmentTooLong { kind, sectors, limit });
    }
    match segment.sector.checked_add(segment.sectors.into()) {
        Some(end) if end <= blk.disk.sectors() => Ok(()),
        _ => {
            let len = clamp(segment.bytes());
            Err(Violation::BeyondCapacity { sector: segment.sector, len })
        }
    }
}

fn change(blk: &mut Blk, kind: RequestKind, segment: &Segment) -> io::Result<()> {
    let (sector, count) = (segment.sector, segment.sectors.into());
    match kind {
        RequestKind::Discard => blk.disk.discard(sector, count),
        RequestKind::WriteZeroes => {
            blk.disk.write_zeroes(sector, count, segment.flags & UNMAP != 0)
        }
        _ => blk.disk.secure_erase(sector, count),
    }
}
