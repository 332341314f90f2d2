//! What the driver keeps of each request, whichever queue carries it.
//!
//! A slot outlives the queue: after a reset its header and data are still the
//! driver's, and the request can be submitted again.

use alloc::vec::Vec;

use super::{
    Error,
    request::{Headers, Request},
};
use crate::{
    dma::{DmaBuffer, DmaError},
    hal::Hal,
};

/// The most requests in flight.
const MOST: u16 = 1024;
/// Data memory comes in pages.
pub(super) const PAGE: usize = 4096;

/// A request in flight: give it to [`VirtioBlk::finish`](super::VirtioBlk::finish), or to
/// [`VirtioBlk::forget`](super::VirtioBlk::forget).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a request holds its memory until it is finished"]
pub struct Token {
    pub(super) slot: u16,
    /// Slots are used again: a number tells their requests apart.
    serial: u32,
}

/// How far a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It is in no queue: to be submitted, or to be submitted again.
    Ready,
    /// The device has it, by this queue.
    Device {
        /// Which queue.
        queue: u16,
    },
    /// The device gave it back, and says that it wrote so many bytes.
    Returned {
        /// `used.len`, not checked.
        written: u32,
    },
    /// The device was given up before it gave the request back.
    Lost(Error),
}

/// One request, or room for one.
#[derive(Debug)]
struct Slot<H: Hal> {
    serial: u32,
    /// Kept for the next request when one ends.
    data: Option<DmaBuffer<H>>,
    request: Option<(Request, Stage)>,
    /// Nobody waits for it.
    forgotten: bool,
}

/// All slots.
#[derive(Debug)]
pub(super) struct Slots<H: Hal> {
    slots: Vec<Slot<H>>,
    /// The slots without a request; the one used last is used next.
    free: Vec<u16>,
    pub(super) headers: Headers<H>,
}

impl<H: Hal> Slots<H> {
    /// Without any request.
    pub(super) fn new(hal: &H) -> Result<Self, DmaError> {
        Ok(Self { slots: Vec::new(), free: Vec::new(), headers: Headers::new(hal)? })
    }

    /// Takes a slot for a request, with data memory for its bytes, and writes its header.
    ///
    /// # Errors
    /// There are too many, or memory is short; nothing was changed.
    pub(super) fn take(&mut self, hal: &H, request: Request) -> Result<Token, Error> {
        let index = match self.free.last() {
            Some(&index) => index,
            None => {
                let index = u16::try_from(self.slots.len()).unwrap_or(MOST);
                if index >= MOST {
                    return Err(Error::Busy);
                }
                self.headers.reserve(hal, index)?;
                self.slots.push(Slot { serial: 0, data: None, request: None, forgotten: false });
                self.free.push(index);
                index
            }
        };
        let slot = &mut self.slots[usize::from(index)];
        let bytes = request.bytes as usize;
        if bytes > 0 && slot.data.as_ref().is_none_or(|data| data.len() < bytes) {
            slot.data = Some(DmaBuffer::new(hal, bytes.next_multiple_of(PAGE), PAGE)?);
        }
        self.free.pop();
        slot.serial = slot.serial.wrapping_add(1);
        slot.forgotten = false;
        slot.request = Some((request, Stage::Ready));
        let serial = slot.serial;
        self.headers.prepare(index, &request);
        Ok(Token { slot: index, serial })
    }

    /// Whether there is a slot for one more request.
    pub(super) fn has_room(&self) -> bool {
        !self.free.is_empty() || self.slots.len() < usize::from(MOST)
    }

    /// The request of a token.
    ///
    /// # Errors
    /// [`Error::NoRequest`]: it is of no request in flight.
    pub(super) fn get(&self, token: &Token) -> Result<(Request, Stage), Error> {
        let slot = self.slots.get(usize::from(token.slot));
        let slot = slot.filter(|slot| slot.serial == token.serial && !slot.forgotten);
        slot.and_then(|slot| slot.request).ok_or(Error::NoRequest)
    }

    /// The request in a slot.
    pub(super) fn request(&self, index: u16) -> Option<(Request, Stage)> {
        self.slots.get(usize::from(index))?.request
    }

    /// The data memory of a slot.
    pub(super) fn data(&mut self, index: u16) -> Option<&mut DmaBuffer<H>> {
        self.slots.get_mut(usize::from(index))?.data.as_mut()
    }

    /// The headers, and the data memory of a slot.
    pub(super) fn memory(&self, index: u16) -> (&Headers<H>, Option<&DmaBuffer<H>>) {
        let slot = self.slots.get(usize::from(index));
        (&self.headers, slot.and_then(|slot| slot.data.as_ref()))
    }

    /// Notes how far a request is; one that nobody waits for ends when it is back.
    pub(super) fn set(&mut self, index: u16, stage: Stage) {
        let Some(slot) = self.slots.get_mut(usize::from(index)) else { return };
        if let Some((_, held)) = &mut slot.request {
            *held = stage;
        }
        match (&mut slot.data, stage) {
            (None, _) => {}
            (Some(data), Stage::Device { .. }) => data.lend(),
            (Some(data), Stage::Ready | Stage::Returned { .. }) => data.take_back(),
            // It has it still, unless it was reset: see `reset`.
            (Some(_), Stage::Lost(_)) => {}
        }
        let back = matches!(stage, Stage::Returned { .. } | Stage::Lost(_));
        if slot.forgotten && back {
            self.release(index);
        }
    }

    /// Ends a request.
    pub(super) fn release(&mut self, index: u16) {
        if let Some(slot) = self.slots.get_mut(usize::from(index))
            && slot.request.take().is_some()
        {
            self.free.push(index);
        }
    }

    /// Has a request end by itself once it is back.
    pub(super) fn forget(&mut self, token: &Token) {
        let Ok((_, stage)) = self.get(token) else { return };
        if matches!(stage, Stage::Device { .. }) {
            self.slots[usize::from(token.slot)].forgotten = true;
        } else {
            self.release(token.slot);
        }
    }

    /// The slots of requests that the device has, in the order of their numbers.
    pub(super) fn with_device(&self) -> Vec<u16> {
        let has = |slot: &Slot<H>| matches!(slot.request, Some((_, Stage::Device { .. })));
        (0..).zip(&self.slots).filter(|(_, slot)| has(slot)).map(|(index, _)| index).collect()
    }

    /// The device was reset, and said so: it has nothing any more.
    pub(super) fn reset(&mut self) {
        self.slots.iter_mut().filter_map(|slot| slot.data.as_mut()).for_each(DmaBuffer::take_back);
    }

    /// Gives all memory up for good: see [`DmaBuffer::abandon`].
    pub(super) fn abandon(&mut self) {
        self.headers.abandon();
        self.slots.iter_mut().filter_map(|slot| slot.data.as_mut()).for_each(DmaBuffer::abandon);
    }
}
