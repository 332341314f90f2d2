use eclipse_trace::Violation;

use super::VirtioDevice;
use crate::pci::NO_VECTOR;
use crate::virtio::Features;
use crate::virtio::queue::{Chain, Progress, Queue, QueueAreas};
use crate::virtio::status::Status;

/// The unit in which a queue's address is given over the legacy interface.
const LEGACY_PAGE: u64 = 4096;

impl VirtioDevice {
    /// How many queues there are.
    pub(crate) fn num_queues(&self) -> u16 {
        self.queues.len() as u16
    }

    /// The queue with this index, to look at.
    pub(crate) fn queue(&self, index: u16) -> Option<&Queue> {
        self.queues.get(usize::from(index))
    }

    /// The queues that are enabled, and where they lie.
    pub(crate) fn areas(&self) -> Vec<QueueAreas> {
        self.queues.iter().filter_map(Queue::areas).collect()
    }

    /// How far the device has come in the queues that are enabled.
    pub(crate) fn progress(&self) -> Vec<Progress> {
        let progress = |areas: QueueAreas| {
            let queue = self.queue(areas.queue)?;
            let taken = self.waiting.iter().chain(self.held.chains());
            let heads = taken.filter(|chain| chain.queue() == areas.queue).map(Chain::head);
            let mut heads: Vec<_> = heads.collect();
            heads.sort_unstable();
            Some(Progress { queue: areas.queue, next: areas.on_circle(queue.next_avail()), heads })
        };
        self.areas().into_iter().filter_map(progress).collect()
    }

    /// The queue with this index, if its fields may be stored to now.
    ///
    /// # Errors
    /// There is no such queue, it is too early, or it is enabled.
    pub(crate) fn programmable(&mut self, index: u16) -> Result<&mut Queue, Violation> {
        let negotiated = self.status.contains(Status::FEATURES_OK);
        let features = self.accepted;
        let queue = self.existing(index)?;
        let enabled = queue.enabled;
        if !negotiated {
            self.forgive(Violation::QueueBeforeFeaturesOk(index))?;
        }
        if enabled {
            self.forgive(Violation::QueueChangedWhileEnabled(index))?;
        }
        let queue = self.existing(index)?;
        if !enabled {
            queue.negotiate(features);
        }
        Ok(queue)
    }

    /// The driver stores to `queue_enable`.
    ///
    /// # Errors
    /// The rule that the store breaks.
    pub(crate) fn enable_queue(&mut self, index: u16, value: u16) -> Result<(), Violation> {
        if value != 1 {
            return Err(Violation::QueueEnableValue(value));
        }
        // Enabling twice is harmless.
        if self.existing(index)?.enabled {
            return Ok(());
        }
        let queue = self.programmable(index)?;
        queue.check_wrap()?;
        if let Err(violation) = queue.check_alignment() {
            self.forgive(violation)?;
        }
        self.existing(index)?.enabled = true;
        Ok(())
    }

    /// The driver chooses the size of a queue.
    ///
    /// # Errors
    /// The queue does not take this size, or not now.
    pub(crate) fn size_queue(&mut self, index: u16, size: u16) -> Result<(), Violation> {
        let queue = self.programmable(index)?;
        if !queue.takes_size(size) {
            return Err(Violation::QueueSize(size));
        }
        queue.size = size;
        Ok(())
    }

    /// The driver stores to `queue_reset` (VIRTIO 1.4, 2.6.1): the queue is as after
    /// the reset of its device before the store is complete.
    ///
    /// # Errors
    /// RING_RESET was not negotiated, or there is no such queue, or it is not enabled.
    pub(crate) fn reset_queue(&mut self, index: u16, value: u16) -> Result<(), Violation> {
        let negotiated = self.accepted.contains(Features::RING_RESET);
        let queue = self.existing(index)?;
        if !negotiated || value != 1 || !queue.enabled {
            return Err(Violation::QueueReset(index));
        }
        queue.reset();
        self.waiting.forget(|chain| chain.queue() == index);
        self.held.forget(|chain| chain.queue() == index);
        Ok(())
    }

    /// The driver of the legacy interface says in which page a queue begins, or takes
    /// it back with 0 (VIRTIO 1.4, 4.1.5.1.3.1).
    ///
    /// # Errors
    /// There is no such queue.
    pub(crate) fn place_legacy_queue(&mut self, index: u16, page: u32) -> Result<(), Violation> {
        let features = self.accepted;
        let queue = self.existing(index)?;
        let vector = queue.vector;
        queue.reset();
        self.waiting.forget(|chain| chain.queue() == index);
        self.held.forget(|chain| chain.queue() == index);
        if page == 0 {
            return Ok(());
        }
        let queue = self.existing(index)?;
        queue.negotiate(features);
        // 4.1.5.1.3: a driver may map it before it says where the queue is.
        queue.vector = vector;
        // 2.7.2: one block, with the used ring on the next page boundary.
        let size = u64::from(queue.size);
        queue.desc = u64::from(page) * LEGACY_PAGE;
        queue.driver = queue.desc + 16 * size;
        queue.device = (queue.driver + 6 + 2 * size).next_multiple_of(LEGACY_PAGE);
        queue.enabled = true;
        Ok(())
    }

    /// The vector of configuration changes.
    pub(crate) fn config_vector(&self) -> u16 {
        self.config_vector
    }

    /// Maps configuration changes to a vector.
    ///
    /// # Errors
    /// There is no such vector: it becomes `NO_VECTOR` (VIRTIO 1.4, 4.1.5.1.2.1).
    pub(crate) fn map_config_vector(&mut self, vector: u16) -> Result<(), Violation> {
        let checked = self.check_vector(vector);
        self.config_vector = checked.unwrap_or(NO_VECTOR);
        checked.map(|_| ())
    }

    /// Maps a queue's used buffer notifications to a vector.
    ///
    /// # Errors
    /// As [`Self::map_config_vector`]; or there is no such queue.
    pub(crate) fn map_queue_vector(&mut self, index: u16, vector: u16) -> Result<(), Violation> {
        let checked = self.check_vector(vector);
        self.existing(index)?.vector = checked.unwrap_or(NO_VECTOR);
        checked.map(|_| ())
    }

    pub(super) fn existing(&mut self, index: u16) -> Result<&mut Queue, Violation> {
        self.queues.get_mut(usize::from(index)).ok_or(Violation::NoSuchQueue(index))
    }

    fn check_vector(&self, vector: u16) -> Result<u16, Violation> {
        match vector {
            NO_VECTOR => Ok(NO_VECTOR),
            vector if vector < self.config.vectors => Ok(vector),
            vector => Err(Violation::NoSuchVector(vector)),
        }
    }
}
