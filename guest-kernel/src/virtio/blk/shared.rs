//! A block device that several tasks use at once, without keeping each other waiting.

use alloc::{rc::Rc, vec::Vec};
use core::{
    cell::RefCell,
    future::{Future, poll_fn},
    pin::Pin,
    task::{Context, Poll, Waker},
};

use super::{
    COMPLETION_LIMIT, Error, SECTOR, Token, VirtioBlk,
    inflight::{LOOK_AGAIN, POLL_AGAIN},
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
        if self.disk.completed != before {
            self.waiting.drain(..).for_each(Waker::wake);
        }
        seen
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
        match token {
            Some(token) => self.complete(token, &mut []).await,
            None => Ok(()),
        }
    }

    /// Submits when there is room.
    async fn submit<T>(
        &self,
        submit: impl Fn(&mut VirtioBlk<H>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut wait = None;
        poll_fn(|context| {
            loop {
                match submit(&mut self.shared.borrow_mut().disk) {
                    Err(Error::Busy) => {}
                    ended => return Poll::Ready(ended),
                }
                let looked = self.shared.borrow_mut().look(VirtioBlk::look);
                match looked {
                    Ok(true) => {}
                    Ok(false) if self.waits(context, &mut wait, None) => return Poll::Pending,
                    Ok(false) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
        })
        .await
    }

    /// Waits for a request, and ends it.
    async fn complete(&self, token: Token, into: &mut [u8]) -> Result<(), Error> {
        // Whoever is ready submits before the device is notified of them all.
        task::yield_now().await;
        let submitted = self.tasks.hal().now();
        let mut wait = None;
        let ended = poll_fn(|context| {
            loop {
                match self.shared.borrow_mut().look(|disk| disk.poll(&token)) {
                    Ok(true) => return Poll::Ready(Ok(())),
                    Ok(false) => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
                // Whichever task has the device started again, all requests are new to it.
                let since = submitted.max(self.shared.borrow().disk.restarted);
                if self.tasks.hal().now().saturating_sub(since) >= COMPLETION_LIMIT {
                    let overdue = self.shared.borrow_mut().look(|disk| disk.overdue(&token));
                    if let Err(error) = overdue {
                        return Poll::Ready(Err(error));
                    }
                }
                if self.waits(context, &mut wait, Some(&token)) {
                    return Poll::Pending;
                }
            }
        })
        .await;
        let disk = &mut self.shared.borrow_mut().disk;
        match ended {
            Ok(()) => disk.finish(token, into),
            Err(error) => {
                disk.forget(token);
                Err(error)
            }
        }
    }

    /// Waits until the device interrupts, another task has seen it, or it is time to look
    /// again; `false`: that is now.
    fn waits(
        &self,
        context: &mut Context<'_>,
        wait: &mut Option<Wait<H>>,
        token: Option<&Token>,
    ) -> bool {
        let mut shared = self.shared.borrow_mut();
        let current = wait.get_or_insert_with(|| match shared.disk.interrupt_for(token) {
            Some(interrupt) => task::interrupt(&self.tasks, interrupt, LOOK_AGAIN),
            None => task::sleep(&self.tasks, POLL_AGAIN),
        });
        let Poll::Ready(ended) = Pin::new(current).poll(context) else {
            shared.waiting.push(context.waker().clone());
            return true;
        };
        // The next wait has its own time: one that is over would never let the machine sleep.
        *wait = None;
        if ended.is_ok() {
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
