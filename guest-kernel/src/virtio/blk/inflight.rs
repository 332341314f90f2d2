//! Requests in flight: submitted, given back in any order, finished.

use core::time::Duration;

use super::{
    Error, State, VirtioBlk,
    config::{Limits, SECTOR},
    request::{self, ID_BYTES, Kind, RANGE, Request},
    slots::{PAGE, Stage, Token},
};
use crate::{
    hal::{Hal, Interrupt},
    log,
    mutant::mutated,
};

/// The most bytes of one request; longer ones are split.
pub(super) const REQUEST_BYTES: usize = 64 * 1024;
/// How long a completion may take; many a mutant waits for one in vain.
pub const COMPLETION_LIMIT: Duration =
    Duration::from_millis(if cfg!(feature = "mutants") { 250 } else { 5000 });
/// How long the driver sleeps until it looks at the ring without an interrupt.
pub(super) const LOOK_AGAIN: Duration = Duration::from_millis(100);
/// The shortest sleep of a task until it looks at the ring, where there is no interrupt.
pub(super) const POLL_AGAIN: Duration = Duration::from_micros(50);
/// For how long the driver looks at the ring again at once, where there is no interrupt; behind
/// that it sleeps in between.
const AT_ONCE: Duration = Duration::from_micros(50);
/// The longest such sleep.
pub(super) const NAP: Duration = Duration::from_millis(10);
/// How many interrupts without news a completion may take: a storm has an end.
const WAKEUPS: u32 = 200_000;

/// Why a wait for a completion looks at the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Woken {
    /// The queue has no interrupt.
    Polling,
    /// The interrupt came.
    Interrupted,
    /// It did not.
    TimedOut,
}

impl<H: Hal> VirtioBlk<H> {
    /// Submits a read of `bytes`, whole blocks, of at most [`VirtioBlk::request_bytes`].
    ///
    /// What is submitted is not yet notified: [`notify`](Self::notify) or a wait does that,
    /// once for all.
    ///
    /// # Errors
    /// The request is refused; [`Error::Busy`]: it does not fit beside the others in flight.
    pub fn submit_read(&mut self, sector: u64, bytes: usize) -> Result<Token, Error> {
        self.look_at_config()?;
        self.config.check(sector, bytes)?;
        self.submit(Kind::Read, sector, bytes, &[])
    }

    /// Submits a write of whole blocks, of at most [`VirtioBlk::request_bytes`].
    ///
    /// # Errors
    /// As [`VirtioBlk::submit_read`]; the disk may be read-only.
    pub fn submit_write(&mut self, sector: u64, data: &[u8]) -> Result<Token, Error> {
        self.look_at_config()?;
        self.writable(sector)?;
        self.config.check(sector, data.len())?;
        self.submit(Kind::Write, sector, data.len(), data)
    }

    /// Submits a flush; `None` where the device has nothing to flush.
    ///
    /// # Errors
    /// As [`VirtioBlk::submit_read`].
    pub fn submit_flush(&mut self) -> Result<Option<Token>, Error> {
        // VIRTIO 1.4, 5.2.5.1: without FLUSH and CONFIG_WCE the device writes through.
        if !self.config.flush || mutated!(&self.hal, M155) {
            return Ok(None);
        }
        // 5.2.6.1: sector 0, no data.
        let bytes = if mutated!(&self.hal, M154) { SECTOR } else { 0 };
        self.submit(Kind::Flush, 0, bytes, &[]).map(Some)
    }

    /// Submits a request for the device's ID.
    ///
    /// # Errors
    /// As [`VirtioBlk::submit_read`].
    pub fn submit_get_id(&mut self) -> Result<Token, Error> {
        self.submit(Kind::GetId, 0, ID_BYTES, &[])
    }

    /// Submits a discard: what the sectors hold is no longer needed.
    ///
    /// # Errors
    /// As [`VirtioBlk::submit_write`]; the device may not have the request, or not for so many.
    pub fn submit_discard(&mut self, sector: u64, sectors: u32) -> Result<Token, Error> {
        self.submit_range(Kind::Discard, sector, sectors, false)
    }

    /// Submits a write of zeroes, after which the device may leave the sectors unmapped.
    ///
    /// # Errors
    /// As [`VirtioBlk::submit_discard`].
    pub fn submit_write_zeroes(
        &mut self,
        sector: u64,
        sectors: u32,
        unmap: bool,
    ) -> Result<Token, Error> {
        self.submit_range(Kind::WriteZeroes, sector, sectors, unmap)
    }

    fn submit_range(
        &mut self,
        kind: Kind,
        sector: u64,
        sectors: u32,
        unmap: bool,
    ) -> Result<Token, Error> {
        self.look_at_config()?;
        let limits = self.limits(kind, sector, sectors)?;
        // 5.2.6.1: unmap is for write-zeroes alone, and only a permission.
        let unmap = unmap && limits.may_unmap || mutated!(&self.hal, M163);
        self.submit(kind, sector, RANGE, &request::range(sector, sectors, unmap))
    }

    /// Checks a discard or write-zeroes against the device; answers with its limits.
    pub(super) fn limits(&self, kind: Kind, sector: u64, sectors: u32) -> Result<Limits, Error> {
        self.writable(sector)?;
        let limits = match kind {
            Kind::Discard => self.config.discard,
            _ => self.config.write_zeroes,
        };
        let limits = limits.ok_or(Error::NotOffered(kind))?;
        let (asked, most) = (u64::from(sectors), limits.sectors);
        if sectors == 0 || sectors > most {
            return Err(Error::Range { kind, sector, sectors: asked, most });
        }
        self.config.check_range(sector, asked)?;
        Ok(limits)
    }

    pub(super) fn writable(&self, sector: u64) -> Result<(), Error> {
        if self.config.read_only { Err(Error::ReadOnly(sector)) } else { Ok(()) }
    }

    fn submit(
        &mut self,
        kind: Kind,
        sector: u64,
        bytes: usize,
        data: &[u8],
    ) -> Result<Token, Error> {
        self.running()?;
        let limit = self.request_bytes();
        let len = u32::try_from(bytes).ok().filter(|_| bytes <= limit);
        let len = len.ok_or(Error::TooLong { bytes, limit })?;
        let token = self.slots.take(&self.hal, Request { kind, sector, bytes: len })?;
        if let Some(buffer) = self.slots.data(token.slot) {
            buffer.fill(data);
        }
        match self.enqueue(token.slot) {
            Ok(()) => Ok(token),
            Err(error) => {
                self.slots.release(token.slot);
                Err(error)
            }
        }
    }

    /// Puts the request of a slot into a queue that has room: each in turn.
    pub(super) fn enqueue(&mut self, slot: u16) -> Result<(), Error> {
        let Some((request, _)) = self.slots.request(slot) else { return Err(Error::NoRequest) };
        let (headers, data) = self.slots.memory(slot);
        let chain = headers.chain(slot, &request, data, self.config.segment_bytes);
        let count = self.queues.len();
        for step in 0..count {
            let index = (self.turn + step) % count;
            let queue = &mut self.queues[index];
            if queue.fits(chain.len()) {
                // There are at most 65,535.
                let number = index as u16;
                let submitted = queue.submit(slot, &chain);
                submitted.map_err(|source| Error::Queue { queue: number, source })?;
                self.slots.set(slot, Stage::Device { queue: number });
                if let Some(data) =
                    self.slots.data(slot).filter(|data| mutated!(data.hal(), M182 | M183))
                {
                    let first = data.load::<u8>(0);
                    if mutated!(data.hal(), M183) {
                        data.store(0, first);
                    }
                }
                self.turn = (index + 1) % count;
                return Ok(());
            }
        }
        Err(Error::Busy)
    }

    /// Notifies the device of everything that was submitted, once a queue.
    pub fn notify(&mut self) {
        for queue in &mut self.queues {
            queue.notify();
        }
    }

    /// Whether a request is back from the device. Notifies, and does not wait.
    ///
    /// # Errors
    /// The device failed, and could not be brought back.
    pub fn poll(&mut self, token: &Token) -> Result<bool, Error> {
        // Of one that is back it is known how it ended, whatever became of the device since.
        if !self.is_back(token)? {
            self.look()?;
        }
        self.is_back(token)
    }

    fn is_back(&self, token: &Token) -> Result<bool, Error> {
        let (_, stage) = self.slots.get(token)?;
        Ok(matches!(stage, Stage::Returned { .. } | Stage::Lost(_)))
    }

    /// Notifies, and takes what is back; whether anything was. Does not wait.
    pub(super) fn look(&mut self) -> Result<bool, Error> {
        let before = self.completed;
        self.notify();
        for index in 0..self.queues.len() {
            let interrupt = self.queues[index].interrupt;
            if interrupt.is_some_and(|interrupt| self.hal.take_interrupt(interrupt)) {
                self.acknowledge();
            }
        }
        self.reap()?;
        self.look_at_config()?;
        Ok(self.completed != before)
    }

    /// The interrupt that tells of a request's completion, or of the first queue's.
    pub(super) fn interrupt_for(&self, token: Option<&Token>) -> Option<Interrupt> {
        let stage = token.and_then(|token| self.slots.get(token).ok()).map(|(_, stage)| stage);
        let queue = match stage {
            Some(Stage::Device { queue }) => queue,
            _ => 0,
        };
        self.queues.get(usize::from(queue)).and_then(|queue| queue.interrupt)
    }

    /// Waits until a request is back; what the device wrote is copied to `into`.
    ///
    /// # Errors
    /// The request failed; or the device did, and could not be brought back.
    ///
    /// # Panics
    /// `into` has not the bytes that the request was submitted with.
    pub fn finish(&mut self, token: Token, into: &mut [u8]) -> Result<(), Error> {
        let waited = self.wait(&token);
        let Ok((request, _)) = self.slots.get(&token) else { return Err(Error::NoRequest) };
        let ended = waited.and_then(|written| self.outcome(&token, &request, written, into));
        // A wait may end before its request: that has its memory until it is back, too.
        self.slots.forget(&token);
        if ended.is_err() {
            self.mark_failed();
        }
        ended
    }

    fn outcome(
        &mut self,
        token: &Token,
        request: &Request,
        written: u32,
        into: &mut [u8],
    ) -> Result<(), Error> {
        let Request { kind, sector, bytes } = *request;
        let status = match mutated!(&self.hal, M145) {
            false => self.slots.headers.outcome(token.slot),
            true => Ok(()),
        };
        status.map_err(|failure| request::failed(request, failure))?;
        if !kind.device_writes() {
            return Ok(());
        }
        // VIRTIO 1.4, 2.7.8.3: what lies behind `used.len` bytes is not data. An ID may be short.
        let expected = request.written();
        let wrong = written != expected && (kind == Kind::Read || written > expected);
        if wrong && !mutated!(&self.hal, M136 | L14) {
            return Err(Error::Length { kind, sector, written, expected });
        }
        assert!(into.len() == bytes as usize, "not the request's bytes");
        // The pages behind the first one are elsewhere, and the device wrote beside them.
        let got = if mutated!(&self.hal, M114) { into.len().min(PAGE) } else { into.len() };
        if let Some(data) = self.slots.data(token.slot) {
            data.copy_to(&mut into[..got]);
        }
        Ok(())
    }

    #[cfg(test)]
    pub(crate) fn data_is_lent(&mut self, token: &Token) -> bool {
        self.slots.data(token.slot).is_some_and(|data| data.is_lent())
    }

    /// Has a request end by itself: nobody waits for it any more.
    pub fn forget(&mut self, token: Token) {
        self.slots.forget(&token);
    }

    /// Waits until the device gave a request back; answers with the bytes that it says it wrote.
    fn wait(&mut self, token: &Token) -> Result<u32, Error> {
        loop {
            self.notify();
            let (began, mut wakeups) = (self.hal.now(), 0);
            while wakeups < WAKEUPS {
                let queue = match self.slots.get(token)?.1 {
                    Stage::Returned { written } => return Ok(written),
                    Stage::Lost(error) => return Err(error),
                    Stage::Ready => return Err(Error::Stopped),
                    Stage::Device { queue } => queue,
                };
                let waited = self.hal.now().saturating_sub(began);
                if waited >= COMPLETION_LIMIT {
                    break;
                }
                let (woken, before) = (self.idle(queue, waited), self.completed);
                wakeups += u32::from(woken == Woken::Interrupted);
                // After a time-out too: only the interrupt may be lost.
                if !mutated!(&self.hal, M138) || waited < AT_ONCE {
                    self.reap()?;
                }
                if woken == Woken::TimedOut && self.completed != before {
                    self.look_for_interrupt(queue);
                }
                self.look_at_config()?;
            }
            self.overdue(token)?;
        }
    }

    /// Brings a device back that has had a request for too long.
    pub(super) fn overdue(&mut self, token: &Token) -> Result<(), Error> {
        let (request, stage) = self.slots.get(token)?;
        match stage {
            Stage::Device { .. } => self.recover_from(request),
            _ => Ok(()),
        }
    }

    /// Brings a device back that has requests, whoever waits for them, and gives none back.
    pub(super) fn stuck(&mut self) -> Result<(), Error> {
        let first = self.slots.with_device().into_iter().next();
        match first.and_then(|slot| self.slots.request(slot)) {
            Some((request, _)) => self.recover_from(request),
            None => Ok(()),
        }
    }

    /// Starts the device again, because of a request that it has for too long.
    fn recover_from(&mut self, Request { kind, sector, .. }: Request) -> Result<(), Error> {
        if mutated!(&self.hal, M159) {
            let mut overdue = self.slots.with_device().into_iter();
            return overdue.try_for_each(|slot| self.enqueue(slot));
        }
        let needs_reset = self.transport.needs_reset();
        self.recover(match needs_reset {
            true => Error::NeedsReset,
            false => Error::TimedOut { kind, sector },
        })
    }

    /// Lets time pass until the queue's interrupt, or until it is time to look again.
    fn idle(&mut self, queue: u16, waited: Duration) -> Woken {
        let left = COMPLETION_LIMIT.saturating_sub(waited);
        let interrupt = self.queues.get(usize::from(queue)).and_then(|queue| queue.interrupt);
        let Some(interrupt) = interrupt else {
            // A short wait is polled for, a long one costs little.
            if waited < AT_ONCE {
                self.hal.pause();
            } else {
                self.hal.sleep(NAP.min(waited / 4).min(left));
            }
            return Woken::Polling;
        };
        if self.hal.wait_for_interrupt(interrupt, left.min(LOOK_AGAIN)).is_err() {
            return Woken::TimedOut;
        }
        self.acknowledge();
        Woken::Interrupted
    }

    /// A completion was found where no interrupt had told of it: it came just now, or it is lost.
    fn look_for_interrupt(&mut self, queue: u16) {
        let interrupt = self.queues.get(usize::from(queue)).and_then(|queue| queue.interrupt);
        if interrupt.is_some_and(|interrupt| self.hal.take_interrupt(interrupt)) {
            self.acknowledge();
            return;
        }
        // Once: each one costs the driver its patience, and the reader too.
        if self.interrupts_lost == 0 {
            log!(self.hal, "[VirtIO] {}: a completion came without its interrupt", self.address());
        }
        self.interrupts_lost = self.interrupts_lost.saturating_add(1);
    }

    /// Takes everything that the device gave back.
    fn reap(&mut self) -> Result<(), Error> {
        self.running()?;
        for index in 0..self.queues.len() {
            loop {
                match self.queues[index].pop() {
                    Ok(None) => break,
                    Ok(Some((slot, written))) => {
                        self.slots.set(slot, Stage::Returned { written });
                        self.tries = 0;
                        self.completed += 1;
                    }
                    Err(source) => {
                        // There are at most 65,535.
                        return self.recover(Error::Queue { queue: index as u16, source });
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn running(&self) -> Result<(), Error> {
        match self.state {
            State::Running => Ok(()),
            State::Failed | State::Lost => Err(Error::Stopped),
        }
    }
}
