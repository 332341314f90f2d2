//! What the driver does when the device does not do its part.
//!
//! VIRTIO 1.4, 2.1.2: a device that needs a reset is reset, started again, and
//! given once more what it had not completed. One that keeps failing is given up.

use super::{
    Error, State, VirtioBlk,
    config::Config,
    request::{Kind, RANGE_SECTORS, Request},
    slots::Stage,
};
use crate::{hal::Hal, log, mutant::mutated, virtio::status::Isr};

/// How often in a row the device is started again without completing a request.
pub const TRIES: u32 = 3;

impl<H: Hal> VirtioBlk<H> {
    /// Resets the device, starts it again, and submits again what it had not completed.
    ///
    /// # Errors
    /// It was given up: `cause`, or what went wrong since. Every request in flight ends so.
    pub(super) fn recover(&mut self, mut cause: Error) -> Result<(), Error> {
        loop {
            log!(self.hal, "[VirtIO] {}: {cause}", self.address());
            if self.tries >= TRIES {
                return Err(self.give_up(cause));
            }
            self.tries += 1;
            if let Err(error) = self.transport.reset() {
                // Giving up also takes its right to access memory.
                return Err(self.give_up(error.into()));
            }
            let unfinished = self.slots.with_device();
            log!(
                self.hal,
                "[VirtIO] {}: reset, try {} of {TRIES}, {} request(s) again",
                self.address(),
                self.tries,
                unfinished.len()
            );
            // The device has confirmed the reset: the rings and all data are the driver's.
            self.queues.clear();
            self.slots.reset();
            match self.restart(&unfinished) {
                Ok(()) => return Ok(()),
                Err(error) => cause = error,
            }
        }
    }

    fn restart(&mut self, unfinished: &[u16]) -> Result<(), Error> {
        self.bring_up()?;
        if mutated!(&self.hal, M160) {
            let index = self.completed as u16;
            self.queues.iter_mut().for_each(|queue| queue.queue.go_on_at(index));
        }
        for &slot in unfinished {
            let Some((request, _)) = self.slots.request(slot) else { continue };
            // It may be another device since: smaller, read-only, with fewer kinds of requests.
            if let Err(refused) = self.still_takes(slot, &request) {
                self.slots.set(slot, Stage::Lost(refused));
                continue;
            }
            self.slots.headers.prepare(slot, &request);
            self.enqueue(slot)?;
        }
        self.notify();
        self.restarted = self.hal.now();
        Ok(())
    }

    /// Checks a request that was submitted before against the device as it is now.
    fn still_takes(&self, slot: u16, request: &Request) -> Result<(), Error> {
        let Request { kind, sector, bytes } = *request;
        let (bytes, limit) = (bytes as usize, self.request_bytes());
        if bytes > limit {
            return Err(Error::TooLong { bytes, limit });
        }
        match kind {
            Kind::Read => self.config.check(sector, bytes).map(drop),
            Kind::Write => self.writable(sector).and(self.config.check(sector, bytes).map(drop)),
            Kind::Flush if !self.config.flush => Err(Error::NotOffered(kind)),
            Kind::Flush | Kind::GetId => Ok(()),
            Kind::Discard | Kind::WriteZeroes => {
                let (_, data) = self.slots.memory(slot);
                let sectors = data.map_or(0, |data| data.load(RANGE_SECTORS));
                self.limits(kind, sector, sectors).map(drop)
            }
        }
    }

    /// Marks the device as failed; whoever waits for a request learns why.
    fn give_up(&mut self, cause: Error) -> Error {
        if self.state == State::Running {
            self.stop();
        }
        log!(self.hal, "[VirtIO] {}: given up after {} tries", self.address(), self.tries);
        for slot in self.slots.with_device() {
            self.slots.set(slot, Stage::Lost(cause));
        }
        cause
    }

    /// After an interrupt: makes the device let go of a line, and notes what it says has
    /// happened.
    pub(super) fn acknowledge(&mut self) {
        self.config_changed |= self.transport.acknowledge().contains(Isr::CONFIG);
    }

    /// Looks at the configuration again if the device said that it changed.
    ///
    /// # Errors
    /// It needs a reset and did not come back, or says of itself what cannot be.
    pub(super) fn look_at_config(&mut self) -> Result<(), Error> {
        self.running()?;
        // One that is a queue's too is looked at when it wakes the driver.
        let shared = |interrupt| self.queues.iter().any(|queue| queue.interrupt == Some(interrupt));
        let own = self.transport.config_interrupt().filter(|&interrupt| !shared(interrupt));
        let raised = own.is_some_and(|interrupt| self.hal.take_interrupt(interrupt));
        if !raised && !self.config_changed {
            return Ok(());
        }
        self.config_changed = false;
        self.refresh()
    }

    /// Loads the configuration again, after a change or to see whether there is one.
    ///
    /// # Errors
    /// The device needs a reset and did not come back, or says of itself what cannot be.
    pub fn refresh(&mut self) -> Result<(), Error> {
        self.running()?;
        if self.transport.needs_reset() {
            return self.recover(Error::NeedsReset);
        }
        let config = Config::load(&self.transport, self.features)?;
        if config.sectors != self.config.sectors {
            let (address, sectors) = (self.address(), config.sectors);
            log!(self.hal, "[VirtIO] {address}: capacity is now {sectors} sectors");
        }
        self.config = config;
        Ok(())
    }
}
