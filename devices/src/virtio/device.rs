use std::mem;

use eclipse_trace::{Event, Violation};

use super::Features;
use super::blk::Blk;
use super::queue::SplitQueue;
use super::status::{Isr, Status};
use crate::Host;
use crate::pci::NO_VECTOR;

/// A virtio device apart from how its registers are laid out (VIRTIO 1.4, 2).
///
/// The modern and the legacy transport are two register files over this. A store
/// that the specification forbids is answered with a [`Violation`] and changes
/// nothing, unless it gives another reaction.
pub(crate) struct VirtioDevice {
    offered: Features,
    accepted: Features,
    status: Status,
    isr: Isr,
    config_vector: u16,
    queues: Vec<SplitQueue>,
    /// How many MSI-X vectors there are to choose from.
    vectors: u16,
    blk: Blk,
}

/// What the device wants its driver to hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Notification {
    pub(crate) cause: Isr,
    /// The MSI-X vector that the driver chose for it.
    pub(crate) vector: u16,
}

impl VirtioDevice {
    pub(crate) fn new(blk: Blk, queues: u16, queue_size: u16, vectors: u16) -> Self {
        Self {
            offered: blk.offered(),
            accepted: Features::empty(),
            status: Status::empty(),
            isr: Isr::empty(),
            config_vector: NO_VECTOR,
            queues: (0..queues).map(|index| SplitQueue::new(index, queue_size)).collect(),
            vectors,
            blk,
        }
    }

    /// The features that it offers.
    pub(crate) fn offered(&self) -> Features {
        self.offered
    }

    /// The features that the driver has accepted so far.
    pub(crate) fn accepted(&self) -> Features {
        self.accepted
    }

    /// Accepts `value` for the 32 feature bits of `window`.
    ///
    /// # Errors
    /// Bits were not offered, and are left out; or the negotiation is over.
    pub(crate) fn accept(&mut self, window: u32, value: u32) -> Result<(), Violation> {
        if self.status.contains(Status::FEATURES_OK) {
            return Err(Violation::FeaturesAfterOk);
        }
        let bits = value & !self.offered.window(window);
        // 4.1.4.3.1: what is read back are the valid bits that were written.
        self.accepted.set_window(window, value - bits);
        match bits {
            0 => Ok(()),
            bits => Err(Violation::FeaturesNotOffered { window, bits }),
        }
    }

    pub(crate) fn status(&self) -> Status {
        self.status
    }

    /// The driver stores to the status register.
    ///
    /// # Errors
    /// The rule that the store breaks.
    pub(crate) fn store_status(&mut self, new: u8) -> Result<(), Violation> {
        // 4.1.4.3.1: a store of 0 resets the device.
        if new == 0 {
            self.reset();
            return Ok(());
        }
        let new = self.status.step(Status::from_bits_retain(new), false)?;
        let negotiates = (new - self.status).contains(Status::FEATURES_OK);
        self.status = new;
        if negotiates && !self.accepted.contains(Features::VERSION_1) {
            // 2.2.2: a subset that the device cannot work with leaves the bit clear,
            // and so what may only follow it.
            self.status -= Status::FEATURES_OK | Status::DRIVER_OK;
            return Err(Violation::Version1NotAccepted);
        }
        Ok(())
    }

    /// As after power-on.
    fn reset(&mut self) {
        self.accepted = Features::empty();
        self.status = Status::empty();
        self.isr = Isr::empty();
        self.config_vector = NO_VECTOR;
        self.queues.iter_mut().for_each(SplitQueue::reset);
    }

    /// How many queues there are.
    pub(crate) fn num_queues(&self) -> u16 {
        self.queues.len() as u16
    }

    /// The queue with this index, to look at.
    pub(crate) fn queue(&self, index: u16) -> Option<&SplitQueue> {
        self.queues.get(usize::from(index))
    }

    /// The queue with this index, if its fields may be stored to now.
    ///
    /// # Errors
    /// There is no such queue, it is too early, or it is enabled.
    pub(crate) fn programmable(&mut self, index: u16) -> Result<&mut SplitQueue, Violation> {
        let negotiated = self.status.contains(Status::FEATURES_OK);
        let queue = self.existing(index)?;
        if !negotiated {
            return Err(Violation::QueueBeforeFeaturesOk(index));
        }
        if queue.enabled {
            return Err(Violation::QueueChangedWhileEnabled(index));
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
        if !queue.aligned() {
            return Err(Violation::QueueAlignment(index));
        }
        queue.check_wrap()?;
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

    /// Sets bits of the ISR status.
    pub(crate) fn raise_isr(&mut self, cause: Isr) {
        self.isr |= cause;
    }

    /// The ISR status, which the load clears (VIRTIO 1.4, 4.1.4.5).
    pub(crate) fn take_isr(&mut self) -> u8 {
        mem::replace(&mut self.isr, Isr::empty()).bits()
    }

    /// The block device, for its configuration.
    pub(crate) fn blk(&self) -> &Blk {
        &self.blk
    }

    /// The driver rang `queue`'s doorbell: everything that was made available is
    /// carried out before the store is complete.
    pub(crate) fn notify(&mut self, host: &mut Host<'_>, queue: u16) -> Vec<Notification> {
        if !self.status.contains(Status::DRIVER_OK) {
            // 2.1.2: no buffer is consumed before DRIVER_OK.
            host.violation(Violation::NotifyBeforeDriverOk(queue));
            return Vec::new();
        }
        if self.status.contains(Status::NEEDS_RESET) {
            return Vec::new();
        }
        match self.work_off(host, queue) {
            Ok(given_back) => self.notification(host, queue, given_back),
            Err((violation, given_back)) => {
                // 2.7.7.2: what was given back before is notified all the same.
                let earlier = self.notification(host, queue, given_back);
                host.violation(violation);
                earlier.into_iter().chain(self.need_reset(host)).collect()
            }
        }
    }

    /// Carries out what is available and says how many chains were given back;
    /// where the queue cannot go on, also why.
    fn work_off(&mut self, host: &mut Host<'_>, index: u16) -> Result<u16, (Violation, u16)> {
        let Some(queue) = self.queues.get_mut(usize::from(index)).filter(|q| q.enabled) else {
            host.violation(Violation::NotifyDisabledQueue(index));
            return Ok(0);
        };
        // One look at the index: what is made available later rings again. So the
        // work is bounded by the queue's size, whatever the requests write to RAM.
        let count = queue.available(host).map_err(|violation| (violation, 0))?;
        for done in 0..count {
            queue
                .take(host)
                .and_then(|chain| {
                    let written = self.blk.carry_out(host, &chain)?;
                    queue.give_back(host, chain.head(), written)
                })
                .map_err(|violation| (violation, done))?;
        }
        Ok(count)
    }

    /// The notification of `given_back` chains of a queue, if its driver wants one.
    fn notification(
        &mut self,
        host: &mut Host<'_>,
        index: u16,
        given_back: u16,
    ) -> Vec<Notification> {
        let Some(queue) = self.queue(index).filter(|_| given_back > 0) else { return Vec::new() };
        match queue.wants_interrupt(host) {
            Ok(true) => vec![Notification { cause: Isr::QUEUE, vector: queue.vector }],
            Ok(false) => Vec::new(),
            Err(violation) => {
                host.violation(violation);
                self.need_reset(host).into_iter().collect()
            }
        }
    }

    /// 2.1.2: a device that cannot go on says so, and if the driver has said
    /// DRIVER_OK, notifies it of the change.
    fn need_reset(&mut self, host: &mut Host<'_>) -> Option<Notification> {
        self.status |= Status::NEEDS_RESET;
        host.record(Event::NeedsReset);
        let notification = Notification { cause: Isr::CONFIG, vector: self.config_vector };
        self.status.contains(Status::DRIVER_OK).then_some(notification)
    }

    fn existing(&mut self, index: u16) -> Result<&mut SplitQueue, Violation> {
        self.queues.get_mut(usize::from(index)).ok_or(Violation::NoSuchQueue(index))
    }

    fn check_vector(&self, vector: u16) -> Result<u16, Violation> {
        match vector {
            NO_VECTOR => Ok(NO_VECTOR),
            vector if vector < self.vectors => Ok(vector),
            vector => Err(Violation::NoSuchVector(vector)),
        }
    }
}
