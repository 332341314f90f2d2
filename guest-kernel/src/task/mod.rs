//! Tasks: cooperative, on one processor, woken by interrupts, by time, and by each other.
//!
//! A task is a future with a name. It runs until it waits; when all wait, the
//! machine sleeps until an interrupt comes or the first time limit is over. There
//! are no threads, so what tasks share needs no locks.

mod wait;

use alloc::{boxed::Box, rc::Rc, string::String, sync::Arc, task::Wake, vec::Vec};
use core::{
    cell::RefCell,
    future::Future,
    mem,
    pin::Pin,
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, Waker},
    time::Duration,
};

pub use wait::{TimedOut, Timeout, Wait, Yield, interrupt, sleep, timeout, yield_now};

use self::wait::Waits;
use crate::hal::Hal;

/// Why tasks were run no further.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Stuck {
    /// Every task waits for another: nothing that can come would wake one.
    #[error("every task waits for another: {0}")]
    Deadlock(String),
    /// The time that they were given is over.
    #[error("not done in time: {0}")]
    TooLong(String),
}

/// The tasks of a machine. Clones are the same tasks.
pub struct Tasks<H: Hal> {
    shared: Rc<Shared<H>>,
}

impl<H: Hal> Clone for Tasks<H> {
    fn clone(&self) -> Self {
        Self { shared: Rc::clone(&self.shared) }
    }
}

struct Shared<H: Hal> {
    hal: H,
    tasks: RefCell<Vec<Task>>,
    waits: RefCell<Waits>,
}

struct Task {
    name: &'static str,
    /// Absent while it runs.
    future: Option<Pin<Box<dyn Future<Output = ()>>>>,
    woken: Arc<Woken>,
}

/// Whether a task is to run.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Release);
    }
}

/// The result of a task, once there is one. Dropped, it leaves the task running.
pub struct Join<T> {
    joined: Rc<RefCell<Joined<T>>>,
}

struct Joined<T> {
    result: Option<T>,
    waker: Option<Waker>,
}

impl<T> Future for Join<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut joined = self.joined.borrow_mut();
        if let Some(result) = joined.result.take() {
            return Poll::Ready(result);
        }
        joined.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl<H: Hal> Tasks<H> {
    /// No tasks yet.
    pub fn new(hal: &H) -> Self {
        let (tasks, waits) = (RefCell::default(), RefCell::default());
        Self { shared: Rc::new(Shared { hal: hal.clone(), tasks, waits }) }
    }

    /// The machine that they run on.
    pub fn hal(&self) -> &H {
        &self.shared.hal
    }

    /// Adds a task; it first runs when the tasks are run.
    pub fn spawn<T: 'static>(
        &self,
        name: &'static str,
        future: impl Future<Output = T> + 'static,
    ) -> Join<T> {
        let joined = Rc::new(RefCell::new(Joined { result: None, waker: None }));
        let ended = Rc::clone(&joined);
        let future = Box::pin(async move {
            let result = future.await;
            let mut ended = ended.borrow_mut();
            ended.result = Some(result);
            if let Some(waker) = ended.waker.take() {
                waker.wake();
            }
        });
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.shared.tasks.borrow_mut().push(Task { name, future: Some(future), woken });
        Join { joined }
    }

    /// Runs all tasks until one is done, for `limit` at most; its result. The others stay as they
    /// are, to be run on.
    ///
    /// # Errors
    /// [`Stuck`]
    pub fn run_until<T>(&self, done: &Join<T>, limit: Duration) -> Result<T, Stuck> {
        let hal = &self.shared.hal;
        let end = hal.now().saturating_add(limit);
        loop {
            let ran = self.run_woken();
            if let Some(result) = done.joined.borrow_mut().result.take() {
                return Ok(result);
            }
            let now = hal.now();
            if now >= end {
                return Err(Stuck::TooLong(self.names()));
            }
            let came = self.shared.waits.borrow_mut().look(hal, now);
            if ran || came {
                continue;
            }
            let Some(next) = self.shared.waits.borrow().first_end() else {
                return Err(Stuck::Deadlock(self.names()));
            };
            hal.sleep(next.min(end).saturating_sub(now));
        }
    }

    /// Ends all tasks where they wait.
    ///
    /// Without it a task that never ends keeps what it owns, because it may hold these tasks.
    pub fn end(&self) {
        // What a task owns may reach for the tasks when it goes.
        let tasks = mem::take(&mut *self.shared.tasks.borrow_mut());
        drop(tasks);
    }

    /// Runs each task that was woken, once; whether there was one.
    fn run_woken(&self) -> bool {
        let mut any = false;
        let mut at = 0;
        // Tasks that are added meanwhile have their turn, too.
        while let Some((mut future, woken)) = self.take_woken(&mut at) {
            any = true;
            let waker = Waker::from(woken);
            if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
                && let Some(task) = self.shared.tasks.borrow_mut().get_mut(at)
            {
                task.future = Some(future);
            }
            at += 1;
        }
        self.shared.tasks.borrow_mut().retain(|task| task.future.is_some());
        any
    }

    /// The next task from `at` on that was woken.
    #[expect(clippy::type_complexity, reason = "a task's future and its flag, once")]
    fn take_woken(
        &self,
        at: &mut usize,
    ) -> Option<(Pin<Box<dyn Future<Output = ()>>>, Arc<Woken>)> {
        let mut tasks = self.shared.tasks.borrow_mut();
        let rest = tasks.get_mut(*at..)?;
        let ready = |task: &mut Task| {
            let woken = task.woken.0.load(Ordering::Acquire);
            task.woken.0.store(false, Ordering::Release);
            woken && task.future.is_some()
        };
        let found = rest.iter_mut().position(ready)?;
        *at += found;
        let task = tasks.get_mut(*at)?;
        Some((task.future.take()?, Arc::clone(&task.woken)))
    }

    /// The names of all tasks, for a message.
    fn names(&self) -> String {
        let tasks = self.shared.tasks.borrow();
        let names: Vec<_> = tasks.iter().map(|task| task.name).collect();
        names.join(", ")
    }
}

#[cfg(test)]
mod tests;
