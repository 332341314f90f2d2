//! What tasks wait for: interrupts and time.

use alloc::{boxed::Box, vec::Vec};
use core::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::Duration,
};

use super::Tasks;
use crate::hal::{Hal, HalError, Interrupt};

/// All that is waited for, in the order in which the waits began.
#[derive(Default)]
pub(super) struct Waits {
    entries: Vec<Entry>,
    next: u64,
}

struct Entry {
    id: u64,
    interrupt: Option<Interrupt>,
    end: Duration,
    outcome: Option<Result<(), HalError>>,
    waker: Waker,
}

impl Waits {
    /// Ends the waits whose interrupt came or whose time is over; whether there was one.
    ///
    /// An interrupt is taken once, for all that wait for it: lines are shared.
    pub(super) fn look<H: Hal>(&mut self, hal: &H, now: Duration) -> bool {
        let mut asked: Vec<(Interrupt, bool)> = Vec::new();
        let mut any = false;
        for entry in self.entries.iter_mut().filter(|entry| entry.outcome.is_none()) {
            let came = entry.interrupt.is_some_and(|interrupt| {
                let known = asked.iter().find(|(known, _)| *known == interrupt);
                known.map(|known| known.1).unwrap_or_else(|| {
                    let came = hal.take_interrupt(interrupt);
                    asked.push((interrupt, came));
                    came
                })
            });
            if came {
                entry.outcome = Some(Ok(()));
            } else if entry.end <= now {
                entry.outcome = Some(Err(HalError::TimedOut));
            } else {
                continue;
            }
            entry.waker.wake_by_ref();
            any = true;
        }
        any
    }

    /// When the first wait ends that nothing ends before.
    pub(super) fn first_end(&self) -> Option<Duration> {
        self.entries.iter().map(|entry| entry.end).min()
    }

    fn position(&self, id: u64) -> Option<usize> {
        self.entries.iter().position(|entry| entry.id == id)
    }
}

/// The end of a wait for an interrupt, or of a time.
pub struct Wait<H: Hal> {
    tasks: Tasks<H>,
    interrupt: Option<Interrupt>,
    end: Duration,
    id: Option<u64>,
}

/// Waits until `interrupt` was raised since it was last taken, and takes it.
///
/// The result is [`HalError::TimedOut`] after `limit`.
pub fn interrupt<H: Hal>(tasks: &Tasks<H>, interrupt: Interrupt, limit: Duration) -> Wait<H> {
    let mut wait = sleep(tasks, limit);
    wait.interrupt = Some(interrupt);
    wait
}

/// Waits for `time`; the result is always [`HalError::TimedOut`].
pub fn sleep<H: Hal>(tasks: &Tasks<H>, time: Duration) -> Wait<H> {
    let end = tasks.hal().now().saturating_add(time);
    Wait { tasks: tasks.clone(), interrupt: None, end, id: None }
}

impl<H: Hal> Unpin for Wait<H> {}

impl<H: Hal> Future for Wait<H> {
    type Output = Result<(), HalError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let shared = self.tasks.shared.clone();
        let mut waits = shared.waits.borrow_mut();
        if let Some(position) = self.id.and_then(|id| waits.position(id)) {
            if let Some(outcome) = waits.entries[position].outcome {
                waits.entries.remove(position);
                self.id = None;
                return Poll::Ready(outcome);
            }
            waits.entries[position].waker.clone_from(context.waker());
            return Poll::Pending;
        }
        let id = waits.next;
        waits.next += 1;
        let (interrupt, end) = (self.interrupt, self.end);
        let waker = context.waker().clone();
        waits.entries.push(Entry { id, interrupt, end, outcome: None, waker });
        self.id = Some(id);
        Poll::Pending
    }
}

impl<H: Hal> Drop for Wait<H> {
    fn drop(&mut self) {
        let mut waits = self.tasks.shared.waits.borrow_mut();
        if let Some(position) = self.id.and_then(|id| waits.position(id)) {
            waits.entries.remove(position);
        }
    }
}

/// The time for something is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not done in time")]
pub struct TimedOut;

/// A future with a time limit.
pub struct Timeout<H: Hal, F> {
    future: Pin<Box<F>>,
    limit: Wait<H>,
}

/// Waits for `future`, for `limit` at most. A future whose time is over is dropped with this.
pub fn timeout<H: Hal, F: Future>(tasks: &Tasks<H>, limit: Duration, future: F) -> Timeout<H, F> {
    Timeout { future: Box::pin(future), limit: sleep(tasks, limit) }
}

impl<H: Hal, F: Future> Future for Timeout<H, F> {
    type Output = Result<F::Output, TimedOut>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Poll::Ready(done) = self.future.as_mut().poll(context) {
            return Poll::Ready(Ok(done));
        }
        Pin::new(&mut self.limit).poll(context).map(|_| Err(TimedOut))
    }
}

/// One turn for the others.
pub struct Yield(bool);

/// Lets every other task run that can.
pub fn yield_now() -> Yield {
    Yield(false)
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.0 {
            return Poll::Ready(());
        }
        self.0 = true;
        context.waker().wake_by_ref();
        Poll::Pending
    }
}
