use std::io;

use eclipse_trace::{Event, RequestKind, RequestStatus, Violation};

use super::{Blk, DeviceId, Features, segments};
use crate::Host;
use crate::disk::SECTOR_SIZE;
use crate::virtio::queue::Chain;

/// `type`, `reserved` and `sector` (VIRTIO 1.4, 5.2.6).
pub(super) const HEADER: u64 = 16;

/// What became of a request: the status, and the bytes of data moved.
pub(super) struct Answer {
    status: RequestStatus,
    moved: u64,
}

impl Answer {
    pub(super) const UNSUPP: Self = Self { status: RequestStatus::Unsupp, moved: 0 };
    pub(super) const IOERR: Self = Self { status: RequestStatus::IoErr, moved: 0 };

    pub(super) fn ok(moved: u64) -> Self {
        Self { status: RequestStatus::Ok, moved }
    }

    /// IOERR after some data, or OK after all of it.
    fn of(done: io::Result<()>, moved: u64) -> Self {
        let status = if done.is_ok() { RequestStatus::Ok } else { RequestStatus::IoErr };
        Self { status, moved }
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
    let Some(writable) = chain.writable().checked_sub(1) else {
        return Err(Violation::NoStatusByte(chain.head()));
    };
    let readable = chain.readable() - HEADER;

    let mut header = [0; HEADER as usize];
    chain.read(host, 0, &mut header)?;
    let number = u32::from_le_bytes([header[0], header[1], header[2], header[3]]);
    let sector = u128::from_le_bytes(header) >> 64;
    // 5.2.6.3: over the legacy interface 5, FLUSH_OUT, is a flush too.
    let legacy = !blk.accepted().contains(Features::VERSION_1);
    let request = Request { number, kind: kind(number, legacy), sector: sector as u64 };

    host.request(request.kind);
    let answer = match request.check_negotiated(blk, host) {
        true => {
            request.check_framing(blk, host, chain, readable, writable);
            request.answer(blk, host, chain, readable, writable)?
        }
        false => Answer::UNSUPP,
    };

    host.record(Event::Request {
        queue: chain.queue(),
        head: chain.head(),
        request: request.kind,
        sector: request.sector,
        len: clamp(answer.moved),
        status: answer.status,
    });
    if let Some(status) = host.status(answer.status as u8) {
        chain.write(host, writable, &[status])?;
    }

    // 2.7.8.2: `len` bytes from the first writable one on are written. When the
    // data before the status is not, only what was may be claimed.
    let data = if request.fills_data() { answer.moved } else { 0 };
    Ok(if data == writable { clamp(data + 1) } else { clamp(data) })
}

fn kind(number: u32, legacy: bool) -> RequestKind {
    match number {
        0 => RequestKind::In,
        1 => RequestKind::Out,
        4 => RequestKind::Flush,
        5 if legacy => RequestKind::Flush,
        8 => RequestKind::GetId,
        10 => RequestKind::GetLifetime,
        11 => RequestKind::Discard,
        13 => RequestKind::WriteZeroes,
        14 => RequestKind::SecureErase,
        number => RequestKind::Other(number),
    }
}

pub(super) fn clamp(bytes: u64) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

pub(super) struct Request {
    pub(super) number: u32,
    pub(super) kind: RequestKind,
    sector: u64,
}

impl Request {
    /// The feature that makes a request of this type possible (5.2.3).
    fn feature(&self) -> Features {
        match self.kind {
            RequestKind::Flush => Features::FLUSH,
            RequestKind::GetLifetime => Features::LIFETIME,
            RequestKind::Discard => Features::DISCARD,
            RequestKind::WriteZeroes => Features::WRITE_ZEROES,
            RequestKind::SecureErase => Features::SECURE_ERASE,
            RequestKind::In | RequestKind::Out | RequestKind::GetId | RequestKind::Other(_) => {
                Features::empty()
            }
        }
    }

    /// Whether the data is the device's to write.
    fn fills_data(&self) -> bool {
        matches!(self.kind, RequestKind::In | RequestKind::GetId | RequestKind::GetLifetime)
    }

    /// Whether the device is to carry out a request of this type at all.
    fn check_negotiated(&self, blk: &Blk, host: &mut Host<'_>) -> bool {
        if blk.accepted().contains(self.feature()) {
            return true;
        }
        host.violation(Violation::RequestNotNegotiated(self.number));
        blk.config.lenient && blk.offered.contains(self.feature())
    }

    /// Records what is wrong with the data's buffers and hinders nothing.
    fn check_framing(
        &self,
        blk: &Blk,
        host: &mut Host<'_>,
        chain: &Chain,
        readable: u64,
        writable: u64,
    ) {
        let useless = match self.kind {
            RequestKind::Other(_) => return,
            // 5.2.6.1: a flush should have no data.
            RequestKind::Flush if readable + writable != 0 => {
                host.violation(Violation::FlushWithData(clamp(readable + writable)));
                return;
            }
            _ if self.fills_data() => readable,
            _ => writable,
        };
        if useless != 0 {
            let violation = Violation::DataDirection { kind: self.number, len: clamp(useless) };
            host.violation(violation);
        }

        let limit = |feature, value| blk.accepted().contains(feature).then_some(value);
        let size_max = limit(Features::SIZE_MAX, blk.config.size_max);
        let seg_max = limit(Features::SEG_MAX, blk.config.seg_max);
        let (count, longest) = match self.fills_data() {
            true => extent(chain.writable_lens(), 0, writable),
            false => extent(chain.readable_lens(), HEADER, HEADER + readable),
        };
        if let Some(limit) = size_max.filter(|&limit| longest > limit) {
            host.violation(Violation::SizeMaxExceeded { len: longest, limit });
        }
        if let Some(limit) = seg_max.filter(|&limit| count > limit) {
            host.violation(Violation::SegMaxExceeded { count, limit });
        }
    }

    fn answer(
        &self,
        blk: &mut Blk,
        host: &mut Host<'_>,
        chain: &Chain,
        readable: u64,
        writable: u64,
    ) -> Result<Answer, Violation> {
        match self.kind {
            RequestKind::In => self.read(blk, host, chain, writable),
            RequestKind::Out => self.write(blk, host, chain, readable),
            RequestKind::Flush => Ok(self.flush(blk, host)),
            RequestKind::GetId => self.get_id(blk, host, chain, writable),
            RequestKind::GetLifetime => self.get_lifetime(blk, host, chain, writable),
            RequestKind::Discard | RequestKind::WriteZeroes | RequestKind::SecureErase => {
                segments::carry_out(self, blk, host, chain, readable)
            }
            RequestKind::Other(_) => Ok(Answer::UNSUPP),
        }
    }

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
            if host.stopping() {
                return Ok(Answer { status: RequestStatus::IoErr, moved });
            }
            let chunk = (len - moved).min(Blk::CHUNK as u64);
            let bytes = &mut blk.scratch[..chunk as usize];
            let done = blk.disk.read(self.sector + moved / SECTOR_SIZE as u64, bytes);
            if done.is_err() {
                return Ok(Answer::of(done, moved));
            }
            chain.write(host, moved, bytes)?;
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
            if host.stopping() {
                return Ok(Answer { status: RequestStatus::IoErr, moved });
            }
            let chunk = (len - moved).min(Blk::CHUNK as u64);
            let bytes = &mut blk.scratch[..chunk as usize];
            chain.read(host, HEADER + moved, bytes)?;
            let sector = self.sector + moved / SECTOR_SIZE as u64;
            let kept = host.reach_disk(sector, chunk / SECTOR_SIZE as u64) * SECTOR_SIZE as u64;
            let done = blk.disk.write(sector, &bytes[..kept as usize]);
            if done.is_err() {
                return Ok(Answer::of(done, moved));
            }
            moved += chunk;
        }
        Ok(Answer::of(blk.settle(), moved))
    }

    fn flush(&self, blk: &mut Blk, host: &mut Host<'_>) -> Answer {
        // 5.2.6.1: the driver sets the sector to 0. The flush is carried out all the same.
        if self.sector != 0 {
            host.violation(Violation::FlushSector(self.sector));
        }
        match host.reach_disk(0, 1) {
            0 => Answer::ok(0),
            _ => Answer::of(blk.disk.flush(), 0),
        }
    }

    fn get_id(
        &self,
        blk: &Blk,
        host: &mut Host<'_>,
        chain: &Chain,
        len: u64,
    ) -> Result<Answer, Violation> {
        // 5.2.6.1: 20 bytes. To a shorter buffer goes as much as it holds.
        self.check_len(host, len, DeviceId::LENGTH as u64);
        let bytes = &blk.config.id.bytes()[..len.min(DeviceId::LENGTH as u64) as usize];
        chain.write(host, 0, bytes)?;
        Ok(Answer::ok(bytes.len() as u64))
    }

    fn get_lifetime(
        &self,
        blk: &Blk,
        host: &mut Host<'_>,
        chain: &Chain,
        len: u64,
    ) -> Result<Answer, Violation> {
        let Some(lifetime) = blk.config.lifetime.or(blk.disk.lifetime()) else {
            return Ok(Answer::UNSUPP);
        };
        let bytes = lifetime.to_bytes();
        self.check_len(host, len, bytes.len() as u64);
        // A part of a number is no number.
        if len < bytes.len() as u64 {
            return Ok(Answer::IOERR);
        }
        chain.write(host, 0, &bytes)?;
        Ok(Answer::ok(bytes.len() as u64))
    }

    fn check_len(&self, host: &mut Host<'_>, len: u64, right: u64) {
        if len != right {
            host.violation(Violation::DataLength { kind: self.number, len: clamp(len) });
        }
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

/// How many buffers of these lengths hold bytes `from..to`, and the most that one holds.
fn extent(lens: impl Iterator<Item = u32>, from: u64, to: u64) -> (u32, u32) {
    let (mut start, mut count, mut longest) = (0, 0, 0);
    for len in lens {
        let end = start + u64::from(len);
        let inside = end.min(to).saturating_sub(start.max(from));
        count += u32::from(inside > 0);
        longest = longest.max(clamp(inside));
        start = end;
    }
    (count, longest)
}

impl Blk {
    /// Makes a write that was carried out durable, where it has to be.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        match self.writes_through() {
            true => self.disk.flush(),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // VIRTIO 1.4, 5.2.6.3.
    #[test]
    fn flush_out_is_a_flush_over_the_legacy_interface_only() {
        assert_eq!(kind(5, true), RequestKind::Flush);
        assert_eq!(kind(5, false), RequestKind::Other(5));
        assert_eq!(kind(4, true), RequestKind::Flush);
    }

    #[test]
    fn only_buffers_that_hold_some_of_the_bytes_count_and_only_by_those_bytes() {
        assert_eq!(extent([16, 512].into_iter(), 16, 528), (1, 512));
        assert_eq!(extent([10, 100, 418].into_iter(), 16, 528), (2, 418));
        assert_eq!(extent([0, 600, 0].into_iter(), 16, 528), (1, 512));
        assert_eq!(extent([16].into_iter(), 16, 16), (0, 0));
        assert_eq!(extent([u32::MAX, u32::MAX].into_iter(), 0, 1 << 33), (2, u32::MAX));
    }
}
