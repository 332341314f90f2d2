//! Waiting for a request, and what becomes of one that takes too long.

use core::time::Duration;

use super::{
    Error, VirtioBlk,
    request::Request,
    slots::{Stage, Token},
};
use crate::{hal::Hal, log, mutant::mutated};

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
    /// Waits until the device gave a request back; answers with the bytes that it says it wrote.
    pub(super) fn wait(&mut self, token: &Token) -> Result<u32, Error> {
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
}
