//! The split virtqueue, driver side (VIRTIO 1.4, 2.7 and 2.7.13).
//!
//! The device can write every byte of the rings at any time. So the driver keeps
//! its own record of chains and free descriptors, never reads back what it wrote,
//! and loads each thing that the device wrote once, then checks the copy.

use alloc::vec::Vec;
use core::sync::atomic::{Ordering, fence};

use super::transport::Areas;
use crate::{
    dma::{DmaBuffer, DmaError},
    hal::Hal,
};

/// The most descriptors that this driver uses.
pub const MAX_SIZE: u16 = 16;

/// Bytes of `struct virtq_desc`.
const DESC: usize = 16;
/// Bytes of `struct virtq_used_elem`.
const USED_ELEMENT: usize = 8;
/// Where the rings begin behind `flags` and `idx`.
const RING: usize = 4;
/// One page of their own, so that no other data shares it.
const PAGE: usize = 4096;

/// Descriptor flag: the chain goes on.
const NEXT: u16 = 1;
/// Descriptor flag: the device writes.
const WRITE: u16 = 2;
/// `used.flags`: the device wants no notifications.
const NO_NOTIFY: u16 = 1;

/// What is wrong with a queue or its use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No memory for the rings.
    #[error(transparent)]
    Memory(#[from] DmaError),
    /// There are not as many free descriptors.
    #[error("the queue is full")]
    Full,
    /// A chain has no segment, or a readable one behind a writable one.
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
    #[error("used.id {0:#x} is not the head of an outstanding chain")]
    UsedId(u32),
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
    /// The chain's head.
    pub head: u16,
    /// How many bytes the device says it wrote; not checked.
    pub len: u32,
}

/// Who has the chain that begins at a descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// No chain begins here.
    None,
    /// The device, since the chain was submitted.
    Device { last: u16, len: u16 },
    /// The driver, since the device gave it back.
    Driver { last: u16, len: u16 },
}

/// The driver's own record of one descriptor.
#[derive(Clone, Copy, Debug)]
struct Shadow {
    /// The next descriptor of the chain or of the free list.
    next: u16,
    owner: Owner,
}

/// A split virtqueue.
#[derive(Debug)]
pub struct SplitQueue<H: Hal> {
    memory: DmaBuffer<H>,
    shadow: Vec<Shadow>,
    size: u16,
    first_free: u16,
    free: u16,
    /// Chains that the device has.
    outstanding: u16,
    /// `avail.idx`, which runs to 65535 and on to 0, whatever the size.
    avail_index: u16,
    /// `used.idx`, as far as it was followed.
    used_index: u16,
}

impl<H: Hal> SplitQueue<H> {
    /// The size for an offer: a power of two, at most [`MAX_SIZE`].
    pub fn size_for(offered: u16) -> u16 {
        match offered.min(MAX_SIZE) {
            0 => 0,
            size => 1 << size.ilog2(),
        }
    }

    /// Allocates the rings for `size` descriptors, a power of two of at most [`MAX_SIZE`].
    ///
    /// # Errors
    /// Memory is short.
    ///
    /// # Panics
    /// The size is another one.
    pub fn new(hal: &H, size: u16) -> Result<Self, Error> {
        assert!(size.is_power_of_two() && size <= MAX_SIZE, "no size of a split queue");
        let shadow = (1..=size).map(|next| Shadow { next, owner: Owner::None });
        Ok(Self {
            // Zeroed, as 2.7.10.1 wants used.flags to be.
            memory: DmaBuffer::new(hal, PAGE, PAGE)?,
            shadow: shadow.collect(),
            size,
            first_free: 0,
            free: size,
            outstanding: 0,
            avail_index: 0,
            used_index: 0,
        })
    }

    /// Where the three parts are (VIRTIO 1.4, 2.7): aligned to 16, 2 and 4.
    pub fn areas(&self) -> Areas {
        let base = self.memory.address();
        Areas { desc: base, driver: base + self.avail() as u64, device: base + self.used() as u64 }
    }

    /// How many descriptors there are.
    pub fn size(&self) -> u16 {
        self.size
    }

    /// How many descriptors are free.
    pub fn free(&self) -> u16 {
        self.free
    }

    /// The head that the next chain will have, if one descriptor is free.
    pub fn next_head(&self) -> Option<u16> {
        (self.free > 0).then_some(self.first_free)
    }

    /// Makes a chain available to the device (VIRTIO 1.4, 2.7.13).
    ///
    /// The device may then access the segments, until it gives the chain back or is reset.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::Chain`]; nothing was changed.
    pub fn submit(&mut self, segments: &[Segment]) -> Result<u16, Error> {
        // 2.7.4.2: what the device writes comes behind what it reads.
        if segments.is_empty() || !segments.is_sorted_by_key(|segment| segment.device_writes) {
            return Err(Error::Chain);
        }
        if segments.len() > usize::from(self.free) {
            return Err(Error::Full);
        }
        let head = self.first_free;
        let mut last = head;
        for (position, segment) in segments.iter().enumerate() {
            last = self.first_free;
            self.first_free = self.shadow[usize::from(last)].next;
            let more = position + 1 < segments.len();
            self.store_descriptor(last, segment, more.then_some(self.first_free));
        }
        // At most `free`, so it fits.
        let len = segments.len() as u16;
        self.free -= len;
        self.outstanding += 1;
        self.shadow[usize::from(head)].owner = Owner::Device { last, len };
        let slot = usize::from(self.avail_index % self.size);
        self.memory.store(self.avail() + RING + 2 * slot, head);
        // 2.7.13.3.1: the descriptors and the ring slot come before the index.
        fence(Ordering::Release);
        self.avail_index = self.avail_index.wrapping_add(1);
        self.memory.store(self.avail() + 2, self.avail_index);
        Ok(head)
    }

    fn store_descriptor(&mut self, index: u16, segment: &Segment, next: Option<u16>) {
        let base = DESC * usize::from(index);
        let mut flags = 0;
        if segment.device_writes {
            flags |= WRITE;
        }
        if next.is_some() {
            flags |= NEXT;
        }
        self.memory.store(base, segment.address);
        self.memory.store(base + 8, segment.len);
        self.memory.store(base + 12, flags);
        self.memory.store(base + 14, next.unwrap_or(0));
    }

    /// Whether the device wants to be notified of what was submitted.
    pub fn wants_notification(&self) -> bool {
        // 2.7.13.4.1: a full barrier between the store of the index and this load.
        fence(Ordering::SeqCst);
        self.memory.load::<u16>(self.used()) & NO_NOTIFY == 0
    }

    /// Takes the next chain that the device gave back.
    ///
    /// The chain's descriptors stay reserved until [`SplitQueue::release`].
    ///
    /// # Errors
    /// The device broke the queue: it must be reset, and nothing it says is to be believed.
    pub fn pop_used(&mut self) -> Result<Option<Used>, Error> {
        let index = self.memory.load::<u16>(self.used() + 2);
        let completed = index.wrapping_sub(self.used_index);
        if completed == 0 {
            return Ok(None);
        }
        if completed > self.outstanding {
            return Err(Error::UsedIndex {
                from: self.used_index,
                to: index,
                outstanding: self.outstanding,
            });
        }
        // The element was written before the index: it must not be loaded before.
        fence(Ordering::Acquire);
        let slot = usize::from(self.used_index % self.size);
        let element = self.used() + RING + USED_ELEMENT * slot;
        let id = self.memory.load::<u32>(element);
        let len = self.memory.load::<u32>(element + 4);
        // All 32 bits count: 10003h is not 3.
        let head = u16::try_from(id).map_err(|_| Error::UsedId(id))?;
        let shadow = self.shadow.get_mut(usize::from(head));
        match shadow.map(|shadow| &mut shadow.owner) {
            Some(owner) if let Owner::Device { last, len } = *owner => {
                *owner = Owner::Driver { last, len };
            }
            _ => return Err(Error::UsedId(id)),
        }
        self.used_index = self.used_index.wrapping_add(1);
        self.outstanding -= 1;
        Ok(Some(Used { head, len }))
    }

    /// Returns the descriptors of a chain that the device gave back.
    ///
    /// # Panics
    /// It did not: a mistake of the driver.
    pub fn release(&mut self, head: u16) {
        let Owner::Driver { last, len } = self.shadow[usize::from(head)].owner else {
            panic!("the chain at {head} is not the driver's");
        };
        self.shadow[usize::from(head)].owner = Owner::None;
        self.shadow[usize::from(last)].next = self.first_free;
        self.first_free = head;
        self.free += len;
    }

    /// Gives the rings up for good: see [`DmaBuffer::abandon`].
    pub fn abandon(&mut self) {
        self.memory.abandon();
    }

    fn avail(&self) -> usize {
        DESC * usize::from(self.size)
    }

    fn used(&self) -> usize {
        // `flags`, `idx`, the ring and `used_event`, then aligned to 4.
        let end = self.avail() + RING + 2 * usize::from(self.size) + 2;
        end.next_multiple_of(4)
    }
}
