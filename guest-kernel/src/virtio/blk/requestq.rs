//! One request queue (VIRTIO 1.4, 5.2.2).

use alloc::{vec, vec::Vec};

use super::Error;
use crate::{
    hal::{Hal, Interrupt},
    mutant::mutated,
    virtio::{
        features::Features,
        queue::{Segment, Settings, Virtqueue},
        transport::{self, Doorbell, Transport},
    },
};

/// Header, one piece of data, status.
const CHAIN: u16 = 3;

/// A request queue, and whose requests it carries.
#[derive(Debug)]
pub(super) struct RequestQueue<H: Hal> {
    pub(super) queue: Virtqueue<H>,
    doorbell: Doorbell<H>,
    /// What the device raises when it gives a chain back; `None`: it is polled.
    pub(super) interrupt: Option<Interrupt>,
    /// The slot behind each chain, by its ID.
    owners: Vec<Option<u16>>,
    /// Whether chains were submitted that the device was not notified of.
    unannounced: bool,
}

impl<H: Hal> RequestQueue<H> {
    /// Allocates the rings and enables the queue.
    ///
    /// # Errors
    /// The queue is too small, memory is short, or the device does not take it.
    pub(super) fn enable(
        transport: &mut Transport<H>,
        features: Features,
        index: u16,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Queue { queue: index, source };
        let offered = transport.select_queue(index)?;
        let settings = Settings {
            size: if mutated!(transport.hal(), M63) { offered.min(4) } else { offered },
            packed: features.contains(Features::RING_PACKED),
            event_idx: features.contains(Features::EVENT_IDX),
            indirect: features.contains(Features::INDIRECT_DESC),
            legacy: transport.is_legacy(),
        };
        let mut queue = Virtqueue::new(transport.hal(), settings).map_err(failed)?;
        if queue.size() < CHAIN {
            return Err(Error::QueueSize { queue: index, size: queue.size() });
        }
        let enabled = transport.enable_queue(index, queue.size(), queue.areas());
        if let Err(transport::Error::QueueNotEnabled { .. }) = enabled
            && transport.fail_and_reset().is_err()
        {
            // The device knows of the rings.
            queue.abandon();
        }
        let doorbell = enabled?;
        let owners = vec![None; usize::from(queue.size())];
        Ok(Self { queue, doorbell, interrupt: None, owners, unannounced: false })
    }

    /// Says what tells of completions; without an interrupt the device is asked for none.
    pub(super) fn listen(&mut self, interrupt: Option<Interrupt>) {
        self.interrupt = interrupt;
        if mutated!(self.doorbell.hal(), M50) {
            self.doorbell.ring();
        }
        if interrupt.is_none() {
            self.queue.set_interrupts(false);
        }
    }

    /// The most descriptors that the data of a request may take.
    pub(super) fn data_descriptors(&self) -> u32 {
        u32::from(self.queue.size()) - u32::from(CHAIN - 1)
    }

    /// Whether a chain of so many segments fits beside those that the device has.
    pub(super) fn fits(&self, segments: usize) -> bool {
        self.queue.fits(segments)
    }

    /// Makes the chain of a slot's request available, without a notification.
    pub(super) fn submit(
        &mut self,
        slot: u16,
        chain: &[Segment],
    ) -> Result<(), crate::virtio::queue::Error> {
        if mutated!(self.doorbell.hal(), M89) {
            self.doorbell.ring();
        }
        let id = self.queue.submit(chain)?;
        self.owners[usize::from(id)] = Some(slot);
        self.unannounced = !mutated!(self.doorbell.hal(), M89 | M127);
        Ok(())
    }

    /// Notifies the device of all that was submitted since the last call, if it wants that.
    pub(super) fn notify(&mut self) {
        if mutated!(self.doorbell.hal(), L08) {
            self.doorbell.ring();
        }
        if self.unannounced && self.queue.should_notify() {
            self.doorbell.ring();
        }
        self.unannounced = false;
    }

    /// The next request that is back: its slot, and how many bytes were written.
    ///
    /// # Errors
    /// The device broke the queue.
    pub(super) fn pop(&mut self) -> Result<Option<(u16, u32)>, crate::virtio::queue::Error> {
        let Some(used) = self.queue.pop_used()? else { return Ok(None) };
        self.queue.release(used.id);
        let owner = self.owners.get_mut(usize::from(used.id)).and_then(Option::take);
        // The queue lets nothing through that it did not carry.
        Ok(owner.map(|slot| (slot, used.len)))
    }

    /// Gives the rings up for good: see [`DmaBuffer::abandon`](crate::dma::DmaBuffer::abandon).
    pub(super) fn abandon(&mut self) {
        self.queue.abandon();
    }
}
