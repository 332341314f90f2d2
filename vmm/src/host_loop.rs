//! The host's side of a run: what the user types, the watchdog, signals, and the processor's end.

mod control;
mod kick;
mod signals;

use std::{
    fs::File,
    io::{self, Read},
    os::fd::AsRawFd,
    time::Duration,
};

use event_manager::{EventManager, EventOps, EventSet, Events, MutEventSubscriber, SubscriberOps};
use vmm_sys_util::timerfd::TimerFd;

pub(crate) use control::Control;
pub(crate) use kick::{ExitFlag, Kick};
pub use signals::Signals;

use crate::Error;

/// At most this much typed input waits for the guest; the rest stays where it comes from.
const INPUT_AT_ONCE: usize = 256;

/// How often the processor is made to look whether it sleeps, while devices wait for that.
const LOOK_FOR_HALT: Duration = Duration::from_millis(1);

/// Why the host loop asked the processor to stop, if it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It did not ask.
    ByGuest,
    /// The guest's time was over.
    Timeout,
    /// This signal came.
    Signal(i32),
}

/// What the host loop waits for, besides the processor.
pub(crate) struct Sources<'a> {
    pub timeout: Duration,
    /// Whether devices may wait until the guest halts.
    pub defers: bool,
    pub input: Option<File>,
    pub signals: Option<&'a Signals>,
}

/// Watches the processor until its thread is at its end.
pub(crate) fn watch<'a>(
    control: &'a Control,
    kick: &'a Kick<'a>,
    sources: Sources<'a>,
) -> Result<Ended, Error> {
    let mut timer = TimerFd::new().map_err(Error::host("create a timer"))?;
    timer.reset(sources.timeout, None).map_err(Error::host("set a timer"))?;
    let mut halts = TimerFd::new().map_err(Error::host("create a timer"))?;
    if sources.defers {
        let set = halts.reset(LOOK_FOR_HALT, Some(LOOK_FOR_HALT));
        set.map_err(Error::host("set a timer"))?;
    }
    let watch = Watch {
        control,
        kick,
        timer,
        halts,
        input: sources.input,
        input_polled: false,
        signals: sources.signals,
        ended: Ended::ByGuest,
        finished: false,
        failure: None,
    };
    let mut manager = EventManager::new_with_capacity(8).map_err(failed)?;
    let id = manager.add_subscriber(watch);
    loop {
        let watch = manager.subscriber_mut(id).map_err(failed)?;
        if watch.finished {
            return watch.failure.take().map_or(Ok(watch.ended), Err);
        }
        manager.run().map_err(failed)?;
    }
}

fn failed(error: event_manager::Error) -> Error {
    Error::Host { what: "wait for events", source: io::Error::other(error.to_string()) }
}

/// The one subscriber: it knows its sources by their file descriptors.
struct Watch<'a> {
    control: &'a Control,
    kick: &'a Kick<'a>,
    timer: TimerFd,
    /// Expires again and again, if devices may wait until the guest halts.
    halts: TimerFd,
    input: Option<File>,
    /// Whether `input` can be waited for; a file never makes one wait.
    input_polled: bool,
    signals: Option<&'a Signals>,
    ended: Ended,
    finished: bool,
    failure: Option<Error>,
}

impl MutEventSubscriber for Watch<'_> {
    fn init(&mut self, ops: &mut EventOps) {
        let mut add = |fd: &dyn AsRawFd| {
            let added = ops.add(Events::new_raw(fd.as_raw_fd(), EventSet::IN));
            added.map_err(failed)
        };
        let mut added = add(&self.timer).and(add(&self.halts));
        added = added.and(add(&self.control.finished)).and(add(&self.control.taken));
        if let Some(signals) = self.signals {
            added = added.and(add(signals));
        }
        if let Some(input) = &self.input {
            self.input_polled = add(input).is_ok();
        }
        if let Err(error) = added {
            self.fail(error);
        } else if !self.input_polled {
            self.read_input(ops);
        }
    }

    fn process(&mut self, events: Events, ops: &mut EventOps) {
        let fd = events.fd();
        if fd == self.control.finished.as_raw_fd() {
            self.finished = true;
        } else if fd == self.timer.as_raw_fd() {
            // Without taking its expiry the timer would stay ready.
            let _ = self.timer.wait();
            self.end(Ended::Timeout);
        } else if fd == self.halts.as_raw_fd() {
            let _ = self.halts.wait();
            self.look_for_halt();
        } else if fd == self.control.taken.as_raw_fd() {
            let _ = self.control.taken.read();
            self.next_input(ops);
        } else if self.input.as_ref().is_some_and(|input| input.as_raw_fd() == fd) {
            self.read_input(ops);
        } else if let Some(signal) = self.signals.and_then(Signals::take) {
            self.end(Ended::Signal(signal));
        }
    }
}

impl Watch<'_> {
    /// Asks the processor to stop. The first reason is the one that counts.
    fn end(&mut self, why: Ended) {
        if self.ended == Ended::ByGuest {
            self.ended = why;
        }
        self.control.stop();
        if let Err(error) = self.kick.kick() {
            self.failure.get_or_insert(error);
        }
    }

    /// With KVM's own interrupt controller `hlt` does not leave KVM_RUN: the processor has to
    /// be made to leave, to see whether it sleeps.
    fn look_for_halt(&mut self) {
        if self.control.deferred()
            && let Err(error) = self.kick.kick()
        {
            self.fail(error);
        }
    }

    fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.end(Ended::ByGuest);
    }

    /// Goes on listening to the user after the guest took what there was.
    fn next_input(&mut self, ops: &mut EventOps) {
        let Some(input) = &self.input else { return };
        if !self.input_polled {
            self.read_input(ops);
        } else if let Err(error) = ops.add(Events::new(input, EventSet::IN)) {
            self.fail(failed(error));
        }
    }

    /// Takes what the user typed, and listens no more until the guest has it.
    fn read_input(&mut self, ops: &mut EventOps) {
        let Some(input) = &mut self.input else { return };
        if self.input_polled && ops.remove(Events::empty(input)).is_err() {
            self.input = None;
            return;
        }
        let mut bytes = vec![0; INPUT_AT_ONCE];
        match input.read(&mut bytes) {
            // The end of the input, or an input that went away, is no reason to end the run.
            Ok(0) | Err(_) => self.input = None,
            Ok(len) => {
                bytes.truncate(len);
                self.control.offer_input(bytes);
                if let Err(error) = self.kick.kick() {
                    self.fail(error);
                }
            }
        }
    }
}
