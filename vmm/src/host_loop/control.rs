use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use crate::Error;

/// What the host loop and the processor's thread tell one another.
#[derive(Debug)]
pub(crate) struct Control {
    stop: AtomicBool,
    /// Devices have something to do when the guest halts.
    deferred: AtomicBool,
    input: Mutex<Vec<u8>>,
    /// The guest took the input.
    pub(super) taken: EventFd,
    /// The processor's thread is at its end.
    pub(super) finished: EventFd,
}

impl Control {
    pub fn new() -> Result<Self, Error> {
        let event = || EventFd::new(EFD_NONBLOCK).map_err(Error::host("create an eventfd"));
        Ok(Self {
            stop: AtomicBool::new(false),
            deferred: AtomicBool::new(false),
            input: Mutex::new(Vec::new()),
            taken: event()?,
            finished: event()?,
        })
    }

    /// Whether the processor is to stop.
    pub fn stopping(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Tells the processor to stop; it looks when it is kicked.
    pub fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Whether devices have something to do when the guest halts.
    pub fn deferred(&self) -> bool {
        self.deferred.load(Ordering::Relaxed)
    }

    /// Says whether devices have something to do when the guest halts.
    pub fn defer(&self, deferred: bool) {
        self.deferred.store(deferred, Ordering::Relaxed);
    }

    /// What the user typed since the last call.
    pub fn take_input(&self) -> Vec<u8> {
        std::mem::take(&mut *self.input.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn offer_input(&self, bytes: Vec<u8>) {
        *self.input.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
    }

    /// Says that the guest has all that was typed.
    pub fn input_taken(&self) {
        // An eventfd that is counted up by ones does not overflow.
        let _ = self.taken.write(1);
    }

    /// Says that the processor's thread is at its end.
    pub fn finish(&self) {
        let _ = self.finished.write(1);
    }
}
