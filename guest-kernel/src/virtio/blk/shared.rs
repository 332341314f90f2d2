//! A block device that several tasks use at once, without keeping each other waiting.

use alloc::{rc::Rc, vec::Vec};
use core::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::{
    COMPLETION_LIMIT, Error, SECTOR, Token, VirtioBlk,
    waiting::{LOOK_AGAIN, NAP, POLL_AGAIN},
};
use crate::{
    block::{BLOCK_SIZE, Block, BlockDevice},
    hal::Hal,
    server::block::AsyncBlock,
    task::{self, Tasks, Wait},
};

/// Sectors of a block of this kernel.
const BLOCK_SECTORS: u64 = (BLOCK_SIZE / SECTOR) as u64;

/// A block device for tasks; clones are the same device.
///
/// A task that has submitted a request lets the others go on before it waits, so that what
/// they submit together is one notification.
pub struct SharedBlk<H: Hal> {
    tasks: Tasks<H>,
    shared: Rc<RefCell<Shared<H>>>,
}

struct Shared<H: Hal> {
    disk: VirtioBlk<H>,
    /// The tasks whose requests are under way, or that wait for room.
    waiting: Vec<Waker>,
}

impl<H: Hal> Shared<H> {
    /// Has the device looked at; whoever waits looks again if something came back.
    fn look<T>(&mut self, look: impl FnOnce(&mut VirtioBlk<H>) -> T) -> T {
        let before = self.disk.completed;
        let seen = look(&mut self.disk);
        // Nothing comes back any more of a device that was given up.
        if self.disk.completed != before || self.disk.running().is_err() {
            self.waiting.drain(..).for_each(Waker::wake);
        }
        seen
    }
}

/// A request in flight: if its task goes, it ends by itself.
struct InFlight<'a, H: Hal> {
    disk: &'a SharedBlk<H>,
    /// Absent once the request is finished.
    token: Option<Token>,
}

impl<H: Hal> Drop for InFlight<'_, H> {
    fn drop(&mut self) {
        if let Some(token) = self.token.take() {
            self.disk.shared.borrow_mut().disk.forget(token);
        }
    }
}

impl<H: Hal> Clone for SharedBlk<H> {
    fn clone(&self) -> Self {
        Self { tasks: self.tasks.clone(), shared: self.shared.clone() }
    }
}

impl<H: Hal> SharedBlk<H> {
    /// Shares `disk` between tasks of `tasks`.
    pub fn new(tasks: &Tasks<H>, disk: VirtioBlk<H>) -> Self {
        let shared = Shared { disk, waiting: Vec::new() };
        Self { tasks: tasks.clone(), shared: Rc::new(RefCell::new(shared)) }
    }

    /// The device, once no other clone is left.
    pub fn into_inner(self) -> Option<VirtioBlk<H>> {
        Rc::into_inner(self.shared).map(|shared| shared.into_inner().disk)
    }

    /// Reads whole blocks of the device, at most [`VirtioBlk::request_bytes`].
    ///
    /// # Errors
    /// As [`VirtioBlk::submit_read`] and [`VirtioBlk::finish`].
    pub async fn read_sectors(&self, sector: u64, into: &mut [u8]) -> Result<(), Error> {
        let token = self.submit(|disk| disk.submit_read(sector, into.len())).await?;
        self.complete(token, into).await
    }

    /// Writes whole blocks of the device, at most [`VirtioBlk::request_bytes`].
    ///
    /// # Errors
    /// As [`VirtioBlk::submit_write`] and [`VirtioBlk::finish`].
    pub async fn write_sectors(&self, sector: u64, data: &[u8]) -> Result<(), Error> {
        let token = self.submit(|disk| disk.submit_write(sector, data)).await?;
        self.complete(token, &mut []).await
    }

    /// Flushes.
    ///
    /// # Errors
    /// As [`VirtioBlk::submit_flush`] and [`VirtioBlk::finish`].
    pub async fn flush(&self) -> Result<(), Error> {
        // Where there is nothing to flush there is no token.
        let token = self.submit(VirtioBlk::submit_flush).await?;
        if let Some(token) = token {
            self.complete(token, &mut []).await?;
        }
        self.shared.borrow_mut().disk.mark_durable();
        Ok(())
    }

    /// Submits when there is room.
    async fn submit<T>(
        &self,
        submit: impl Fn(&mut VirtioBlk<H>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (mut wait, mut last) = (None, None);
        poll_fn(|context| {
            loop {
                match submit(&mut self.shared.borrow_mut().disk) {
                    Err(Error::Busy) => {}
                    ended => return Poll::Ready(ended),
                }
                let came = self.shared.borrow_mut().look(VirtioBlk::look)?;
                self.look_at_progress(&mut last)?;
                if !came && self.waits(context, &mut wait, None, POLL_AGAIN) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }

    /// Brings the device back when nothing has come back of it for too long, though it is full:
    /// maybe nobody waits for what it has. `last` is what had come back, and since when.
    fn look_at_progress(&self, last: &mut Option<(u64, Duration)>) -> Result<(), Error> {
        let (mut shared, now) = (self.shared.borrow_mut(), self.tasks.hal().now());
        let completed = shared.disk.completed;
        let (before, since) = *last.get_or_insert((completed, now));
        if before != completed {
            *last = Some((completed, now));
            return Ok(());
        }
        if now < since.max(shared.disk.restarted).saturating_add(COMPLETION_LIMIT) {
            return Ok(());
        }
        shared.look(VirtioBlk::stuck)
    }

    /// Waits for a request, and ends it.
    async fn complete(&self, token: Token, into: &mut [u8]) -> Result<(), Error> {
        let mut flight = InFlight { disk: self, token: Some(token) };
        // Whoever is ready submits before the device is notified of them all.
        task::yield_now().await;
        let (began, mut wait) = (self.tasks.hal().now(), None);
        poll_fn(|context| {
            let Some(token) = &flight.token else { return Poll::Ready(Ok(())) };
            loop {
                match self.shared.borrow_mut().look(|disk| disk.poll(token)) {
                    Ok(true) => return Poll::Ready(Ok(())),
                    Ok(false) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
                self.look_at_clock(token, began)?;
                let waited = self.tasks.hal().now().saturating_sub(began);
                // A short wait is polled for, a long one costs little.
                let again = (waited / 4).clamp(POLL_AGAIN, NAP);
                if self.waits(context, &mut wait, Some(token), again) {
                    return Poll::Pending;
                }
            }
        })
        .await?;
        match flight.token.take() {
            Some(token) => self.shared.borrow_mut().disk.finish(token, into),
            None => Ok(()),
        }
    }

    /// Brings the device back when it has had a request for too long, counted from `began` or
    /// from when the device was last started again.
    fn look_at_clock(&self, token: &Token, began: Duration) -> Result<(), Error> {
        let mut shared = self.shared.borrow_mut();
        let since = began.max(shared.disk.restarted);
        if self.tasks.hal().now() < since.saturating_add(COMPLETION_LIMIT) {
            return Ok(());
        }
        shared.look(|disk| disk.overdue(token))
    }

    /// Waits until the device interrupts, another task has seen it, or it is time to look
    /// again, which it is in `again` where there is no interrupt; `false`: that is now.
    fn waits(
        &self,
        context: &mut Context<'_>,
        wait: &mut Option<Wait<H>>,
        token: Option<&Token>,
        again: Duration,
    ) -> bool {
        let mut shared = self.shared.borrow_mut();
        let current = wait.get_or_insert_with(|| match shared.disk.interrupt_for(token) {
            Some(interrupt) => task::interrupt(&self.tasks, interrupt, LOOK_AGAIN),
            None => task::sleep(&self.tasks, again),
        });
        let Poll::Ready(came) = Pin::new(current).poll(context) else {
            if !shared.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                shared.waiting.push(context.waker().clone());
            }
            return true;
        };
        // Its time is over: the next wait is another, for an interrupt that may be another.
        *wait = None;
        if came.is_ok() {
            // Taken by the executor, for all that wait for it.
            shared.disk.acknowledge();
        }
        false
    }
}

impl<H: Hal> AsyncBlock for SharedBlk<H> {
    type Error = Error;

    fn blocks(&self) -> u64 {
        self.shared.borrow().disk.blocks()
    }

    fn read_only(&self) -> bool {
        self.shared.borrow().disk.read_only()
    }

    async fn read(&mut self, block: u64, into: &mut Block) -> Result<(), Error> {
        self.read_sectors(block.saturating_mul(BLOCK_SECTORS), into).await
    }

    async fn write(&mut self, block: u64, data: &Block) -> Result<(), Error> {
        self.write_sectors(block.saturating_mul(BLOCK_SECTORS), data).await
    }

    async fn flush(&mut self) -> Result<(), Error> {
        Self::flush(self).await
    }
}
