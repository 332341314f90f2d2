use super::VirtioFunction;
use crate::Host;
use crate::virtio::queue::QueueAreas;

/// What a judge wants to know when a queue is handed over.
impl VirtioFunction {
    /// For a judge: the queues that are enabled.
    pub(super) fn enabled(&self, host: &Host<'_>) -> Vec<QueueAreas> {
        if host.is_witness() { self.device.areas() } else { Vec::new() }
    }

    /// For a judge: what is in the queues that were not enabled `before`.
    pub(super) fn witness_enabled(&self, host: &mut Host<'_>, before: &[QueueAreas]) {
        for areas in self.enabled(host).iter().filter(|areas| !before.contains(areas)) {
            if let Some(queue) = self.device.queue(areas.queue) {
                queue.witness_enabled(host);
            }
        }
    }
}
