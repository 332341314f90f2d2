//! VIRTIO devices over PCI.

pub mod blk;
mod error;
pub mod features;
mod registers;
pub mod split;
pub mod status;
pub mod structure;
pub mod transport;

use self::{blk::VirtioBlk, transport::Transport};
use crate::{
    block::{self, BlockDevice},
    hal::Hal,
    log,
    pci::{Address, Pci},
};

/// Why there is no block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bus has none.
    #[error("no VirtIO block device is on the PCI bus")]
    NotFound,
    /// The first one does not work.
    #[error("VirtIO block device {device}: {source}")]
    Device {
        /// Where it is.
        device: Address,
        /// What is wrong.
        source: blk::Error,
    },
}

/// Finds the first block device, starts it, and reads its first block.
///
/// # Errors
/// There is none, or it does not work.
pub fn init<H: Hal>(pci: &Pci<H>) -> Result<VirtioBlk<H>, Error> {
    let hal = pci.hal();
    log!(*hal, "[VirtIO] Initializing VirtIO devices...");
    let Some(device) = pci.find_virtio_block_device() else {
        log!(*hal, "[VirtIO] No VirtIO block device found on PCI bus");
        return Err(Error::NotFound);
    };
    log!(*hal, "[VirtIO] Found VirtIO block device on PCI");
    log!(
        *hal,
        "[VirtIO]   Bus={} Device={} Function={}",
        device.bus,
        device.device,
        device.function
    );
    let address = device.address();
    let failed = |source| Error::Device { device: address, source };
    let transport = Transport::open(pci, device).map_err(|error| failed(error.into()))?;
    if let Some(bar0) = pci.get_bar(transport.device(), 0) {
        log!(*hal, "[VirtIO]   BAR0=0x{bar0:08X}");
    }
    let mut disk = VirtioBlk::start(transport).map_err(failed)?;
    // Only a read that came back shows that rings, DMA and interrupts work.
    disk.read_block(0, &mut block::zeroed()).map_err(failed)?;
    log!(*hal, "[VirtIO] Real PCI device initialized successfully");
    Ok(disk)
}

#[cfg(test)]
mod tests;
