//! Requests in flight: submitted, given back in any order, finished.

use core::time::Duration;

use super::{
    Error, State, VirtioBlk,
    request::{HEADER, Kind},
};
use crate::{
    dma::{DmaBuffer, DmaError},
    hal::Hal,
    virtio::split::{self, Segment},
};

/// The most bytes of one request; longer ones are split.
pub(super) const REQUEST_BYTES: usize = 64 * 1024;
/// Data memory comes in pages.
const PAGE: usize = 4096;
/// How long a completion may take.
const COMPLETION_LIMIT: Duration = Duration::from_secs(5);
/// How many interrupts without news a completion may take: a storm has an end.
const WAKEUPS: u32 = 200_000;

/// A request in flight: give it to [`VirtioBlk::finish`].
///
/// One that is dropped keeps its descriptors until the device is reset.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a request holds its descriptors until it is finished"]
pub struct Token {
    head: u16,
}

/// What the driver knows of a request.
#[derive(Clone, Copy, Debug)]
struct Request {
    kind: Kind,
    sector: u64,
    bytes: u32,
    /// `used.len`, once the device gave it back.
    used: Option<u32>,
}

/// What belongs to one head: data memory that is kept for the next, and the request.
#[derive(Debug)]
pub(super) struct Slot<H: Hal> {
    pub(super) data: Option<DmaBuffer<H>>,
    request: Option<Request>,
}

impl<H: Hal> Slot<H> {
    /// A slot without a request, and without memory.
    pub(super) fn new() -> Self {
        Self { data: None, request: None }
    }

    /// Data memory of at least `bytes`; called when no request has the slot.
    fn data(&mut self, hal: &H, bytes: usize) -> Result<&mut DmaBuffer<H>, DmaError> {
        let kept = self.data.take().filter(|data| data.len() >= bytes);
        let data = match kept {
            Some(data) => data,
            None => DmaBuffer::new(hal, bytes.next_multiple_of(PAGE), PAGE)?,
        };
        Ok(self.data.insert(data))
    }
}

impl<H: Hal> VirtioBlk<H> {
    /// Submits a read of `bytes`, a multiple of 512, of at most 64 KiB.
    ///
    /// # Errors
    /// The request is refused, or does not fit beside the others in flight.
    pub fn submit_read(&mut self, sector: u64, bytes: usize) -> Result<Token, Error> {
        self.config.check(sector, bytes)?;
        self.submit(Kind::Read, sector, bytes, &[])
    }

    /// Submits a write of a multiple of 512 bytes, of at most 64 KiB.
    ///
    /// # Errors
    /// As [`VirtioBlk::submit_read`]; the disk may be read-only.
    pub fn submit_write(&mut self, sector: u64, data: &[u8]) -> Result<Token, Error> {
        self.check_write(sector, data.len())?;
        self.submit(Kind::Write, sector, data.len(), data)
    }

    /// Submits a flush; `None` where the device has nothing to flush.
    ///
    /// # Errors
    /// It does not fit beside the others in flight.
    pub fn submit_flush(&mut self) -> Result<Option<Token>, Error> {
        // VIRTIO 1.4, 5.2.5.1: without FLUSH and CONFIG_WCE the device writes through.
        if !self.config.flush {
            return Ok(None);
        }
        // 5.2.6.1: sector 0, no data.
        self.submit(Kind::Flush, 0, 0, &[]).map(Some)
    }

    pub(super) fn check_write(&self, sector: u64, bytes: usize) -> Result<u64, Error> {
        if self.config.read_only {
            return Err(Error::ReadOnly(sector));
        }
        self.config.check(sector, bytes)
    }

    fn submit(
        &mut self,
        kind: Kind,
        sector: u64,
        bytes: usize,
        data: &[u8],
    ) -> Result<Token, Error> {
        self.running()?;
        if bytes > REQUEST_BYTES {
            return Err(Error::TooLong { bytes, limit: REQUEST_BYTES });
        }
        let full = Error::Queue(split::Error::Full);
        let head = self.queue.next_head().ok_or(full)?;
        let slot = self.slots.get_mut(usize::from(head)).ok_or(full)?;
        self.headers.prepare(head, kind, sector);
        let header =
            Segment { address: self.headers.header(head), len: HEADER, device_writes: false };
        let status = Segment { address: self.headers.status(head), len: 1, device_writes: true };
        // At most `REQUEST_BYTES`.
        let len = bytes as u32;
        if len == 0 {
            self.queue.submit(&[header, status])?;
        } else {
            let buffer = slot.data(&self.hal, bytes)?;
            buffer.fill(data);
            let middle =
                Segment { address: buffer.address(), len, device_writes: kind == Kind::Read };
            self.queue.submit(&[header, middle, status])?;
        }
        slot.request = Some(Request { kind, sector, bytes: len, used: None });
        if self.queue.wants_notification() {
            self.doorbell.ring();
        }
        Ok(Token { head })
    }

    /// Whether a request is back from the device. Does not wait.
    ///
    /// # Errors
    /// The device broke the queue, and was stopped.
    pub fn poll(&mut self, token: &Token) -> Result<bool, Error> {
        self.running()?;
        self.reap()?;
        Ok(self.returned(token)?.1.is_some())
    }

    /// Waits until a request is back; a read's data is copied to `into`.
    ///
    /// # Errors
    /// The request failed; or the device did, and was stopped.
    ///
    /// # Panics
    /// `into` has not the bytes that the request was submitted with.
    pub fn finish(&mut self, token: Token, into: &mut [u8]) -> Result<(), Error> {
        let (request, written) = self.wait(&token)?;
        let Request { kind, sector, bytes, .. } = request;
        let outcome = self.headers.outcome(token.head);
        self.queue.release(token.head);
        let Some(slot) = self.slots.get_mut(usize::from(token.head)) else {
            return Err(Error::NoRequest);
        };
        slot.request = None;
        outcome.map_err(|failure| Error::Failed { kind, sector, failure })?;
        if kind == Kind::Read {
            // VIRTIO 1.4, 2.7.8.3: what lies behind `used.len` bytes is not data.
            let expected = bytes + 1;
            if written != expected {
                return Err(Error::Length { sector, written, expected });
            }
            assert!(into.len() == bytes as usize, "not the request's bytes");
            if let Some(data) = &slot.data {
                data.copy_to(into);
            }
        }
        Ok(())
    }

    fn wait(&mut self, token: &Token) -> Result<(Request, u32), Error> {
        self.running()?;
        for _ in 0..WAKEUPS {
            let (request, used) = self.returned(token)?;
            if let Some(written) = used {
                return Ok((request, written));
            }
            let woken = self.hal.wait_for_interrupt(self.interrupt, COMPLETION_LIMIT);
            // After a time-out too: only the interrupt may be lost.
            self.reap()?;
            if woken.is_err() && self.returned(token)?.1.is_none() {
                break;
            }
        }
        let (Request { kind, sector, .. }, _) = self.returned(token)?;
        let error = if self.transport.needs_reset() {
            Error::NeedsReset { kind, sector }
        } else {
            Error::TimedOut { kind, sector }
        };
        self.stop();
        Err(error)
    }

    fn returned(&self, token: &Token) -> Result<(Request, Option<u32>), Error> {
        let slot = self.slots.get(usize::from(token.head));
        let request = slot.and_then(|slot| slot.request).ok_or(Error::NoRequest)?;
        Ok((request, request.used))
    }

    /// Takes everything that the device gave back.
    fn reap(&mut self) -> Result<(), Error> {
        loop {
            match self.queue.pop_used() {
                Ok(None) => return Ok(()),
                Ok(Some(used)) => {
                    let slot = self.slots.get_mut(usize::from(used.head));
                    if let Some(request) = slot.and_then(|slot| slot.request.as_mut()) {
                        request.used = Some(used.len);
                    }
                }
                Err(error) => {
                    self.stop();
                    return Err(error.into());
                }
            }
        }
    }

    pub(super) fn running(&self) -> Result<(), Error> {
        match self.state {
            State::Running => Ok(()),
            State::Stopped | State::Lost => Err(Error::Stopped),
        }
    }
}
