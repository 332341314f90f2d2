//! The block device (VIRTIO 1.4, 5.2).

mod config;
mod request;
mod segments;
mod settings;
#[cfg(test)]
mod tests;

use std::io;

use eclipse_trace::Violation;
use eclipse_trace::register::BlockCfg;

use super::Features;
use super::queue::Chain;
use crate::Host;
use crate::disk::Disk;

pub use settings::{BlkConfig, DeviceId, Geometry, SegmentLimits, Topology};

/// A block device over a disk.
pub(crate) struct Blk {
    disk: Box<dyn Disk>,
    config: BlkConfig,
    offered: Features,
    /// What the driver accepted, once that is settled.
    negotiated: Option<Features>,
    /// The register of that name: whether writes may stay in a cache.
    writeback: bool,
    /// Sector data on its way between the disk and guest memory.
    scratch: Box<[u8]>,
}

impl Blk {
    /// The virtio device ID (VIRTIO 1.4, 5.2.1).
    pub(crate) const DEVICE_ID: u16 = 2;
    /// PCI class: mass storage, SCSI. What QEMU's block device says as well.
    pub(crate) const CLASS: u32 = 0x01_00_00;
    /// The size offered for its queue.
    pub(crate) const QUEUE_SIZE: u16 = 256;
    /// Bytes moved between disk and guest at a time, so that a request of
    /// gigabytes does not need gigabytes of the host.
    const CHUNK: usize = 64 * 1024;

    pub(crate) fn new(disk: Box<dyn Disk>, config: BlkConfig) -> Self {
        let (offered, writeback) = (config.offered(&*disk), config.writeback);
        let scratch = vec![0; Self::CHUNK].into();
        Self { disk, config, offered, negotiated: None, writeback, scratch }
    }

    /// Withholds features, with what depends on them, and says whether requests are carried out
    /// whose feature was not negotiated.
    pub(crate) fn restrict(&mut self, withhold: Features, lenient: bool) {
        self.config.features -= withhold;
        self.config.lenient |= lenient;
        self.offered = self.config.offered(&*self.disk) - withhold;
    }

    /// The features that it offers.
    pub(crate) fn offered(&self) -> Features {
        self.offered
    }

    /// How many queues there are.
    pub(crate) fn queues(&self) -> u16 {
        self.config.queues
    }

    /// The driver has settled on these features: at FEATURES_OK, and over the legacy
    /// interface each time that it accepts some.
    pub(crate) fn negotiate(&mut self, accepted: Features) {
        self.negotiated = Some(accepted);
        // 5.2.5.2: with CONFIG_WCE and without FLUSH the cache writes through. 5.2.5.3: a
        // legacy driver's features do not change the mode.
        let modern = accepted.contains(Features::VERSION_1 | Features::CONFIG_WCE);
        if modern && !accepted.contains(Features::FLUSH) {
            self.writeback = false;
        }
    }

    /// The driver reset the device.
    pub(crate) fn reset(&mut self) {
        self.negotiated = None;
        self.writeback = self.config.writeback;
    }

    /// The value of a configuration register, `None` where the feature that it
    /// belongs to is not offered.
    pub(crate) fn config(&self, register: BlockCfg) -> Option<u32> {
        config::value(self, register)
    }

    /// Whether the driver may load the register now; it gets the value either way.
    ///
    /// # Errors
    /// `writeback` is read before FEATURES_OK (VIRTIO 1.4, 5.2.5.1).
    pub(crate) fn check_load(&self, register: BlockCfg) -> Result<(), Violation> {
        config::check_load(self, register)
    }

    /// The driver stores to a writable configuration register, which exists.
    ///
    /// # Errors
    /// It is not for the driver to write now, or the value has no meaning; nothing changes.
    pub(crate) fn store_config(&mut self, register: BlockCfg, value: u32) -> Result<(), Violation> {
        config::store(self, register, value)
    }

    /// Changes the capacity (VIRTIO 1.4, 5.2.6.2). The caller owes the driver a new
    /// configuration generation and a configuration change notification.
    ///
    /// # Errors
    /// The disk cannot have that size; nothing changes.
    pub(crate) fn set_capacity(&mut self, sectors: u64) -> io::Result<()> {
        self.disk.resize(sectors)
    }

    /// Carries out the request in `chain`; returns how many bytes were written to it.
    ///
    /// # Errors
    /// The chain holds no request that could be answered, or DMA is not possible.
    pub(crate) fn carry_out(
        &mut self,
        host: &mut Host<'_>,
        chain: &Chain,
    ) -> Result<u32, Violation> {
        request::carry_out(self, host, chain)
    }

    /// What the driver accepted; before anybody said so, all that is offered.
    fn accepted(&self) -> Features {
        self.negotiated.unwrap_or(self.offered)
    }

    /// Whether a write has to be durable when it completes (VIRTIO 1.4, 5.2.6.2).
    fn writes_through(&self) -> bool {
        let accepted = self.accepted();
        if accepted.contains(Features::CONFIG_WCE) {
            return !self.writeback;
        }
        // A driver that cannot flush is one that has to do without. That goes beyond the
        // clause where the device does not offer FLUSH.
        !accepted.contains(Features::FLUSH)
    }
}
