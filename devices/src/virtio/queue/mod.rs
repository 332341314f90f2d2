//! Virtqueues, from the device's side (VIRTIO 1.4, 2.7 and 2.8).
//!
//! The rings lie in guest memory and are read anew each time; what is kept here
//! is where they are, what was negotiated, and how far the device has come.

mod chain;
mod event;
mod indirect;
mod packed;
mod split;
mod witness;

use eclipse_trace::{PackedViolation, Violation};

pub(crate) use chain::{Chain, Descriptor, Flags};

use super::Features;
use crate::Host;
use crate::pci::NO_VECTOR;
use packed::PackedRing;
use split::SplitRing;

#[cfg(test)]
mod tests;

/// A virtqueue: its registers, and the ring that they describe.
///
/// Work is bounded: [`Queue::available`] looks once at what the driver has made
/// available, and [`Queue::take`] gives no more than that until the next look.
#[derive(Debug)]
pub(crate) struct Queue {
    index: u16,
    /// The size that the device offers.
    offered: u16,
    /// The size in force, at most `offered`; a power of two if the queue is split.
    pub(crate) size: u16,
    pub(crate) enabled: bool,
    /// Descriptor area: the descriptor table, or the ring of a packed queue.
    pub(crate) desc: u64,
    /// Driver area: the available ring, or the driver event suppression structure.
    pub(crate) driver: u64,
    /// Device area: the used ring, or the device event suppression structure.
    pub(crate) device: u64,
    /// The MSI-X vector of its used buffer notifications.
    pub(crate) vector: u16,
    rules: Rules,
    ring: Ring,
    /// Memory for the descriptors of the next chain.
    spare: Vec<Descriptor>,
}

#[derive(Debug)]
enum Ring {
    Split(SplitRing),
    Packed(PackedRing),
}

/// What was negotiated for virtqueues (VIRTIO 1.4, 6).
#[derive(Clone, Copy, Debug, Default)]
struct Rules {
    indirect: bool,
    event_idx: bool,
    in_order: bool,
}

/// The areas of an enabled virtqueue (VIRTIO 1.4, 2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct QueueAreas {
    pub(crate) queue: u16,
    pub(crate) size: u16,
    pub(crate) packed: bool,
    /// Whether EVENT_IDX was negotiated.
    pub(crate) event_idx: bool,
    pub(crate) desc: u64,
    pub(crate) driver: u64,
    pub(crate) device: u64,
}

/// How far a device has come in an enabled virtqueue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) queue: u16,
    /// Where it takes the next chain from, on the circle of [`QueueAreas::cycle`].
    pub(crate) next: u32,
    /// The heads of the chains that it took and has not given back, ascending.
    pub(crate) heads: Vec<u16>,
}

impl QueueAreas {
    /// After so many steps a place of the available ring is the same again: the index of a split
    /// queue, or the slot of a packed ring with its wrap counter.
    pub(crate) fn cycle(&self) -> u32 {
        if self.packed { 2 * u32::from(self.size.max(1)) } else { 1 << 16 }
    }

    /// The place of `next_avail`, as notification data have it (VIRTIO 1.4, 4.1.5.2).
    pub(crate) fn on_circle(&self, next_avail: u16) -> u32 {
        match (self.packed, next_avail >> 15) {
            (false, _) => next_avail.into(),
            // The wrap counter is 1 in the first lap.
            (true, 1) => u32::from(next_avail & 0x7fff) % self.cycle(),
            (true, _) => (u32::from(next_avail) + u32::from(self.size)) % self.cycle(),
        }
    }
}

/// Where a ring is and what holds for it.
#[derive(Clone, Copy, Debug)]
struct Layout {
    queue: u16,
    size: u16,
    desc: u64,
    driver: u64,
    device: u64,
    rules: Rules,
}

impl Queue {
    pub(crate) fn new(index: u16, offered: u16) -> Self {
        Self {
            index,
            offered,
            size: offered,
            enabled: false,
            desc: 0,
            driver: 0,
            device: 0,
            vector: NO_VECTOR,
            rules: Rules::default(),
            ring: Ring::Split(SplitRing::default()),
            spare: Vec::new(),
        }
    }

    /// Where it lies, if it is enabled.
    pub(crate) fn areas(&self) -> Option<QueueAreas> {
        let Self { index: queue, size, desc, driver, device, .. } = *self;
        let packed = matches!(self.ring, Ring::Packed(_));
        let event_idx = self.rules.event_idx;
        self.enabled.then_some(QueueAreas { queue, size, packed, event_idx, desc, driver, device })
    }

    /// As after power-on.
    pub(crate) fn reset(&mut self) {
        *self = Self::new(self.index, self.offered);
    }

    /// Takes over what was negotiated, and begins at the first entry of the ring.
    ///
    /// To be called when the features are settled, and not while it is enabled.
    pub(crate) fn negotiate(&mut self, features: Features) {
        self.rules = Rules {
            indirect: features.contains(Features::INDIRECT_DESC),
            event_idx: features.contains(Features::EVENT_IDX),
            in_order: features.contains(Features::IN_ORDER),
        };
        self.ring = match features.contains(Features::RING_PACKED) {
            true => Ring::Packed(PackedRing::default()),
            false => Ring::Split(SplitRing::default()),
        };
    }

    /// Whether a driver may choose `size`: a power of two if the queue is split
    /// (VIRTIO 1.4, 2.7 and 4.1.4.3.2), and not 0 in any case.
    pub(crate) fn takes_size(&self, size: u16) -> bool {
        let shape = match self.ring {
            Ring::Split(_) => size.is_power_of_two(),
            Ring::Packed(_) => size != 0 && size <= PackedRing::MAX_SIZE,
        };
        shape && size <= self.offered
    }

    /// Whether the three areas are aligned as VIRTIO 1.4, 2.7.1 and 2.8.11 want them.
    ///
    /// # Errors
    /// They are not.
    pub(crate) fn check_alignment(&self) -> Result<(), Violation> {
        let (driver, violation) = match self.ring {
            Ring::Split(_) => (2, Violation::QueueAlignment(self.index)),
            Ring::Packed(_) => (4, PackedViolation::Alignment(self.index).into()),
        };
        let aligned = self.desc.is_multiple_of(16)
            && self.driver.is_multiple_of(driver)
            && self.device.is_multiple_of(4);
        if aligned { Ok(()) } else { Err(violation) }
    }

    /// Checks that no area wraps around the end of the address space, so that
    /// addresses inside of them need no check of their own.
    ///
    /// # Errors
    /// One does, and so is not in RAM.
    pub(crate) fn check_wrap(&self) -> Result<(), Violation> {
        let size = u32::from(self.size);
        // The longest that each can be (2.7, with both event fields; 2.8).
        let areas =
            [(self.desc, 16 * size), (self.driver, 6 + 2 * size), (self.device, 6 + 8 * size)];
        match areas.into_iter().find(|(addr, len)| addr.checked_add(u64::from(*len)).is_none()) {
            Some((addr, len)) => Err(Violation::OutsideRam { addr, len }),
            None => Ok(()),
        }
    }

    /// Looks how many chains the driver has made available and the device has not
    /// taken. In a packed ring that shows only one by one: there it is an upper bound.
    ///
    /// # Errors
    /// More than the queue holds: the index went backwards or jumped (2.7.6.1).
    pub(crate) fn available(&mut self, host: &mut Host<'_>) -> Result<u16, Violation> {
        let layout = self.layout();
        match &mut self.ring {
            Ring::Split(ring) => ring.available(&layout, host),
            Ring::Packed(ring) => Ok(ring.available(&layout)),
        }
    }

    /// Takes the next of the chains that were available at the last look, and walks it.
    ///
    /// # Errors
    /// The chain is malformed; how, says the violation. The queue cannot go on.
    pub(crate) fn take(&mut self, host: &mut Host<'_>) -> Result<Option<Chain>, Violation> {
        let layout = self.layout();
        match &mut self.ring {
            Ring::Split(ring) => ring.take(&layout, host, &mut self.spare),
            Ring::Packed(ring) => ring.take(&layout, host, &mut self.spare),
        }
    }

    /// Keeps the memory of a chain that is done with, for the next one.
    pub(crate) fn reuse(&mut self, chain: Chain) {
        self.spare = chain.into_spare();
    }

    /// Gives a chain back, `len` bytes of it written.
    ///
    /// # Errors
    /// The ring cannot be written to.
    pub(crate) fn give_back(
        &mut self,
        host: &mut Host<'_>,
        chain: &Chain,
        len: u32,
    ) -> Result<(), Violation> {
        let layout = self.layout();
        match &mut self.ring {
            Ring::Split(ring) => ring.give_back(&layout, host, chain, len),
            Ring::Packed(ring) => ring.give_back(&layout, host, chain, len),
        }
    }

    /// Whether the driver wants to hear of what was given back since the last call.
    ///
    /// # Errors
    /// The driver area cannot be read.
    pub(crate) fn wants_interrupt(&mut self, host: &mut Host<'_>) -> Result<bool, Violation> {
        let layout = self.layout();
        match &mut self.ring {
            Ring::Split(ring) => ring.wants_interrupt(&layout, host),
            Ring::Packed(ring) => ring.wants_interrupt(&layout, host),
        }
    }

    /// Tells the driver whether it need not ring (`on`) or must, when it makes the
    /// next chain available (VIRTIO 1.4, 2.7.10 and 2.8.10). Writes only what changes.
    ///
    /// # Errors
    /// The device area cannot be written to.
    pub(crate) fn suppress(&mut self, host: &mut Host<'_>, on: bool) -> Result<(), Violation> {
        let layout = self.layout();
        match &mut self.ring {
            Ring::Split(ring) => ring.suppress(&layout, host, on),
            Ring::Packed(ring) => ring.suppress(&layout, host, on),
        }
    }

    /// Where the next chain is expected: the available index, or the offset and
    /// wrap counter of a packed ring, as notification data has them (4.1.5.2).
    pub(crate) fn next_avail(&self) -> u16 {
        match &self.ring {
            Ring::Split(ring) => ring.next_avail(),
            Ring::Packed(ring) => ring.next_avail(),
        }
    }

    fn layout(&self) -> Layout {
        let Self { index, size, desc, driver, device, rules, .. } = *self;
        Layout { queue: index, size, desc, driver, device, rules }
    }
}
