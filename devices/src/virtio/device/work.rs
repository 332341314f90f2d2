use eclipse_trace::{Event, Violation};

use super::held::Held;
use super::{Notification, VirtioDevice};
use crate::Host;
use crate::fault::Vector;
use crate::schedule::Occasion;
use crate::virtio::Features;
use crate::virtio::settings::Profile;
use crate::virtio::status::Status;

impl VirtioDevice {
    /// The driver rang `queue`'s doorbell: everything that was made available is
    /// taken, and unless it is to wait, carried out before the store is complete.
    pub(crate) fn notify(&mut self, host: &mut Host<'_>, queue: u16) -> Vec<Notification> {
        if !self.status.contains(Status::DRIVER_OK) {
            // 2.1.2: no buffer is consumed before DRIVER_OK.
            host.violation(Violation::NotifyBeforeDriverOk(queue));
            if self.config.profile == Profile::Strict {
                return Vec::new();
            }
        }
        if self.status.contains(Status::NEEDS_RESET) {
            return Vec::new();
        }
        let worked = self.work_off(host, queue);
        // 2.7.7.2: what was given back before a broken chain is notified all the same.
        let mut notifications = Vec::new();
        let signalled = self.signal(host, queue, &mut notifications);
        if let Err(violation) = worked.and(signalled) {
            host.violation(violation);
            notifications.extend(self.need_reset(host));
        }
        notifications
    }

    fn work_off(&mut self, host: &mut Host<'_>, index: u16) -> Result<(), Violation> {
        let Some(queue) = self.queues.get_mut(usize::from(index)).filter(|q| q.enabled) else {
            host.violation(Violation::NotifyDisabledQueue(index));
            return Ok(());
        };
        // One look at the index: what is made available later rings again. So the
        // work is bounded by the queue's size, whatever the requests write to RAM.
        queue.available(host)?;
        while let Some(chain) = self.existing(index)?.take(host)? {
            if host.is_witness() {
                self.existing(index)?.witness_taken(host, &chain);
            }
            if self.waiting.defers() {
                self.waiting.push(chain);
            } else {
                self.finish(host, chain)?;
            }
        }
        self.existing(index)?.suppress(host, false)
    }

    /// The notification said with NOTIFICATION_DATA that the next chain will be at
    /// `next` (VIRTIO 1.4, 2.9), and that is where the device has come to.
    pub(crate) fn check_notification_data(&self, host: &mut Host<'_>, index: u16, next: u16) {
        let works = self.accepted.contains(Features::NOTIFICATION_DATA)
            && self.status.contains(Status::DRIVER_OK)
            && !self.status.contains(Status::NEEDS_RESET);
        if let Some(queue) = self.queue(index).filter(|queue| works && queue.enabled)
            && queue.next_avail() != next
        {
            host.violation(Violation::NotifyNext { queue: index, next });
        }
    }

    /// Notifies the driver of what a queue has given back, if it wants to hear of it.
    pub(super) fn signal(
        &mut self,
        host: &mut Host<'_>,
        index: u16,
        notifications: &mut Vec<Notification>,
    ) -> Result<(), Violation> {
        if let Some(queue) = self.queues.get_mut(usize::from(index)).filter(|q| q.enabled)
            && queue.wants_interrupt(host)?
        {
            let source = Vector::Queue(index);
            notifications.push(Notification { source, vector: queue.vector });
        }
        Ok(())
    }

    /// Whether chains wait for their completion.
    pub(crate) fn defers(&self) -> bool {
        !self.waiting.is_empty() || self.held.waits()
    }

    /// Whether there are chains that it took and has not given back, or not for good.
    pub(crate) fn holds(&self) -> bool {
        !self.waiting.is_empty() || !self.held.is_empty()
    }

    /// Completes what is due on this occasion.
    pub(crate) fn resume(&mut self, host: &mut Host<'_>, occasion: Occasion) -> Vec<Notification> {
        let mut notifications = self.release(host, occasion);
        if occasion == Occasion::Exit {
            self.waiting.count_exit();
        }
        let in_order = self.accepted.contains(Features::IN_ORDER);
        while let Some(batch) = self.waiting.due(occasion, in_order) {
            let concerned: Vec<_> = (0..self.num_queues())
                .filter(|index| batch.iter().any(|chain| chain.queue() == *index))
                .collect();
            let mut completed = batch.into_iter().try_for_each(|chain| self.finish(host, chain));
            for index in concerned {
                completed = completed.and(self.signal(host, index, &mut notifications));
            }
            if let Err(violation) = completed {
                host.violation(violation);
                notifications.extend(self.need_reset(host));
            }
        }
        notifications
    }

    /// 2.1.2: a device that cannot go on says so, and if the driver has said
    /// DRIVER_OK, notifies it of the change.
    pub(super) fn need_reset(&mut self, host: &mut Host<'_>) -> Option<Notification> {
        self.status |= Status::NEEDS_RESET;
        self.waiting.reset();
        self.held = Held::default();
        host.record(Event::NeedsReset);
        let notification = self.config_notification();
        self.status.contains(Status::DRIVER_OK).then_some(notification)
    }
}
