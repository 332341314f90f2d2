//! Requests in flight: submitted, given back in any order, finished.

use super::{
    Error, State, VirtioBlk,
    config::{Limits, SECTOR},
    request::{self, ID_BYTES, Kind, RANGE, Request},
    slots::{PAGE, Stage, Token},
};
use crate::{
    hal::{Hal, Interrupt},
    mutant::mutated,
};

/// The most bytes of one request; longer ones are split.
pub(super) const REQUEST_BYTES: usize = 64 * 1024;

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

    /// Takes everything that the device gave back.
    pub(super) fn reap(&mut self) -> Result<(), Error> {
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
