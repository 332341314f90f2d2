//! The block device (VIRTIO 1.4, 5.2).

mod config;
mod request;

use eclipse_trace::Violation;
use eclipse_trace::register::BlockCfg;

use super::Features;
use super::queue::Chain;
use crate::Host;
use crate::disk::Disk;

/// A block device over a disk.
pub(crate) struct Blk {
    disk: Box<dyn Disk>,
    offered: Features,
    /// Sector data on its way between the disk and guest memory.
    scratch: Vec<u8>,
}

impl Blk {
    /// The virtio device ID (VIRTIO 1.4, 5.2.1).
    pub(crate) const DEVICE_ID: u16 = 2;
    /// PCI class: mass storage, SCSI. What QEMU's block device says as well.
    pub(crate) const CLASS: u32 = 0x01_00_00;
    /// The size offered for its queue.
    pub(crate) const QUEUE_SIZE: u16 = 256;
    const BLK_SIZE: u32 = 512;
    /// A request also has a header and a status.
    const SEG_MAX: u32 = Self::QUEUE_SIZE as u32 - 2;

    pub(crate) fn new(disk: Box<dyn Disk>) -> Self {
        let mut offered =
            Features::VERSION_1 | Features::SEG_MAX | Features::BLK_SIZE | Features::FLUSH;
        offered.set(Features::RO, disk.read_only());
        Self { disk, offered, scratch: Vec::new() }
    }

    /// The features that it offers.
    pub(crate) fn offered(&self) -> Features {
        self.offered
    }

    /// The value of a configuration register, `None` where the feature that it
    /// belongs to is not offered.
    pub(crate) fn config(&self, register: BlockCfg) -> Option<u32> {
        config::value(self, register)
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
}
