//! Virtqueues, driver side (VIRTIO 1.4, 2.6): split and packed.
//!
//! The device can write every byte of a ring at any time. So the driver keeps its own
//! record of chains and free descriptors, never reads back what it wrote, and loads each
//! thing that the device wrote once, then checks the copy.
//!
//! A chain goes round: [`Virtqueue::submit`] makes it available, the device uses it,
//! [`Virtqueue::pop_used`] takes it back, and [`Virtqueue::release`] frees its id and its
//! descriptors. Until then nothing of it is used for another chain.

mod chains;
mod indirect;
mod packed;
mod split;

pub use packed::PackedQueue;
pub use split::SplitQueue;

use crate::{dma::DmaError, hal::Hal};

/// The most descriptors that this driver uses, where it has a choice.
pub const MAX_SIZE: u16 = 256;

/// Memory for rings comes in pages, so that no other data shares it.
const PAGE: usize = 4096;
/// Bytes of a descriptor: `struct virtq_desc`, `struct pvirtq_desc`.
const DESC: usize = 16;

/// Descriptor flag: the chain goes on.
const NEXT: u16 = 1;
/// Descriptor flag: the device writes.
const WRITE: u16 = 2;
/// Descriptor flag: what it names is a table of descriptors.
const INDIRECT: u16 = 4;

/// What a queue is like: decided by the negotiated features, and the offered size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The size that the device offers.
    pub size: u16,
    /// RING_PACKED was negotiated.
    pub packed: bool,
    /// EVENT_IDX was negotiated.
    pub event_idx: bool,
    /// INDIRECT_DESC was negotiated.
    pub indirect: bool,
    /// The device has the legacy interface: the offered size is the size, and one address
    /// tells where all three parts are (VIRTIO 1.4, 2.7.2).
    pub legacy: bool,
}

/// The physical addresses of the three parts of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Areas {
    /// Descriptor area.
    pub desc: u64,
    /// Driver area.
    pub driver: u64,
    /// Device area.
    pub device: u64,
}

/// A piece of memory in a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its physical address.
    pub address: u64,
    /// Its bytes.
    pub len: u32,
    /// Whether the device writes it, and does not read it.
    pub device_writes: bool,
}

/// A chain that the device gave back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// What [`Virtqueue::submit`] answered for it.
    pub id: u16,
    /// How many bytes the device says it wrote; not checked.
    pub len: u32,
}

/// What is wrong with a queue or its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No queue can be as large as the device says.
    #[error("a queue cannot have {0} entries")]
    Size(u16),
    /// No memory for the rings, or for a table.
    #[error(transparent)]
    Memory(#[from] DmaError),
    /// There are not as many free descriptors.
    #[error("the queue is full")]
    Full,
    /// A chain has no segment, or more than the queue has descriptors, or an empty one,
    /// or a readable one behind a writable one, or more than 2^32 bytes.
    #[error("the chain is not one that VIRTIO allows")]
    Chain,
    /// The device completed more than there was.
    #[error("used.idx went from {from} to {to} with {outstanding} outstanding")]
    UsedIndex {
        /// What was seen before.
        from: u16,
        /// What is there now.
        to: u16,
        /// How many chains the device had.
        outstanding: u16,
    },
    /// The device completed what it did not have.
    #[error("used.id {0:#x} is not of an outstanding chain")]
    UsedId(u32),
    /// A descriptor that the device has is neither available nor used.
    #[error("packed descriptor {slot} has flags {flags:#06x}: neither available nor used")]
    UsedFlags {
        /// Which one.
        slot: u16,
        /// Its flags.
        flags: u16,
    },
}

/// A virtqueue of either kind.
#[derive(Debug)]
pub enum Virtqueue<H: Hal> {
    /// VIRTIO 1.4, 2.7.
    Split(SplitQueue<H>),
    /// VIRTIO 1.4, 2.8.
    Packed(PackedQueue<H>),
}

impl<H: Hal> Virtqueue<H> {
    /// Allocates the rings. An offer of more than [`MAX_SIZE`] is reduced to it, that of a
    /// split queue to a power of two; but a legacy device has the last word.
    ///
    /// # Errors
    /// No queue has the size, or memory is short.
    ///
    /// # Panics
    /// Packed and legacy: there is no such queue.
    pub fn new(hal: &H, settings: Settings) -> Result<Self, Error> {
        assert!(!(settings.packed && settings.legacy), "no packed queue is a legacy one");
        Ok(if settings.packed {
            Self::Packed(PackedQueue::new(hal, settings)?)
        } else {
            Self::Split(SplitQueue::new(hal, settings)?)
        })
    }

    /// Where the three parts are.
    pub fn areas(&self) -> Areas {
        match self {
            Self::Split(queue) => queue.areas(),
            Self::Packed(queue) => queue.areas(),
        }
    }

    /// How many descriptors there are.
    pub fn size(&self) -> u16 {
        match self {
            Self::Split(queue) => queue.size(),
            Self::Packed(queue) => queue.size(),
        }
    }

    /// Whether a chain of so many segments can be submitted now.
    pub fn fits(&self, segments: usize) -> bool {
        match self {
            Self::Split(queue) => queue.fits(segments),
            Self::Packed(queue) => queue.fits(segments),
        }
    }

    /// The id that the next chain will have, less than the size; if one is free.
    pub fn next_id(&self) -> Option<u16> {
        match self {
            Self::Split(queue) => queue.next_id(),
            Self::Packed(queue) => queue.next_id(),
        }
    }

    /// Makes a chain available to the device, and answers with its id.
    ///
    /// The device may then access the segments, until it gives the chain back or is reset.
    /// It is not notified: see [`Virtqueue::should_notify`].
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Chain`], [`Error::Memory`]; nothing was changed.
    pub fn submit(&mut self, segments: &[Segment]) -> Result<u16, Error> {
        match self {
            Self::Split(queue) => queue.submit(segments),
            Self::Packed(queue) => queue.submit(segments),
        }
    }

    /// Whether the device wants to be notified of what was submitted since the last call.
    pub fn should_notify(&mut self) -> bool {
        match self {
            Self::Split(queue) => queue.should_notify(),
            Self::Packed(queue) => queue.should_notify(),
        }
    }

    /// Takes the next chain that the device gave back. It stays reserved until
    /// [`Virtqueue::release`].
    ///
    /// With EVENT_IDX the device is asked for the next interrupt where the answer is
    /// `None`: who waits for one takes everything first.
    ///
    /// # Errors
    /// The device broke the queue: it must be reset, and nothing it says is to be believed.
    pub fn pop_used(&mut self) -> Result<Option<Used>, Error> {
        match self {
            Self::Split(queue) => queue.pop_used(),
            Self::Packed(queue) => queue.pop_used(),
        }
    }

    /// Frees the id and the descriptors of a chain that the device gave back.
    ///
    /// # Panics
    /// It did not: a mistake of the driver.
    pub fn release(&mut self, id: u16) {
        match self {
            Self::Split(queue) => queue.release(id),
            Self::Packed(queue) => queue.release(id),
        }
    }

    /// How many chains the device has.
    pub fn outstanding(&self) -> u16 {
        match self {
            Self::Split(queue) => queue.outstanding(),
            Self::Packed(queue) => queue.outstanding(),
        }
    }

    /// Asks for interrupts or for none, which the device need not heed.
    ///
    /// Where they are asked for, answers whether the device used something meanwhile: no
    /// interrupt may come for that (VIRTIO 1.4, 2.7.14).
    pub fn set_interrupts(&mut self, wanted: bool) -> bool {
        match self {
            Self::Split(queue) => queue.set_interrupts(wanted),
            Self::Packed(queue) => queue.set_interrupts(wanted),
        }
    }

    /// Goes on where a queue before it was, as only a mutant does.
    pub(crate) fn go_on_at(&mut self, index: u16) {
        if let Self::Split(queue) = self {
            queue.go_on_at(index);
        }
    }

    /// Gives the rings and tables up for good: see [`crate::dma::DmaBuffer::abandon`].
    pub fn abandon(&mut self) {
        match self {
            Self::Split(queue) => queue.abandon(),
            Self::Packed(queue) => queue.abandon(),
        }
    }
}

/// Checks that a queue of `size` may have such a chain.
fn check(segments: &[Segment], size: u16) -> Result<(), Error> {
    // 2.7.5.3.1, 2.8.17: a chain is not longer than the queue, in a table neither.
    let length = 1..=usize::from(size);
    // 2.7.4.2, 2.8.17: what the device writes comes behind what it reads.
    let sorted = segments.is_sorted_by_key(|segment| segment.device_writes);
    // 2.7.5.2: all of it has at most 2^32 bytes.
    let bytes: u64 = segments.iter().map(|segment| u64::from(segment.len)).sum();
    // No clause forbids an empty one; devices do.
    let empty = segments.iter().any(|segment| segment.len == 0);
    if length.contains(&segments.len()) && sorted && bytes <= 1 << 32 && !empty {
        Ok(())
    } else {
        Err(Error::Chain)
    }
}

#[cfg(test)]
mod tests;
