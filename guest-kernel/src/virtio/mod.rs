//! VIRTIO devices over PCI.

pub mod blk;
mod error;
pub mod features;
pub mod queue;
pub mod registers;
pub mod status;
pub mod structure;
pub mod transport;

use alloc::vec::Vec;

use self::{
    blk::{Options, VirtioBlk},
    transport::Transport,
};
use crate::{
    block::{self, BLOCK_SIZE},
    hal::Hal,
    log,
    pci::{self, Address, Pci},
};

/// Why there is no block device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bus has none.
    #[error("no VirtIO block device is on the PCI bus")]
    NotFound,
    /// One does not work.
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
pub fn init<H: Hal>(pci: &Pci<H>, options: Options) -> Result<VirtioBlk<H>, Error> {
    let hal = pci.hal();
    log!(*hal, "[VirtIO] Initializing VirtIO devices...");
    let Some(device) = pci.find_virtio_block_device() else {
        log!(*hal, "[VirtIO] No VirtIO block device found on PCI bus");
        return Err(Error::NotFound);
    };
    start(pci, device, options)
}

/// Finds all block devices, starts each, and reads its first block.
///
/// # Errors
/// There is none, or one does not work; those that were started are then reset.
pub fn init_all<H: Hal>(pci: &Pci<H>, options: Options) -> Result<Vec<VirtioBlk<H>>, Error> {
    let hal = pci.hal();
    log!(*hal, "[VirtIO] Initializing VirtIO devices...");
    let devices: Vec<_> = pci.virtio_block_devices().cloned().collect();
    if devices.is_empty() {
        log!(*hal, "[VirtIO] No VirtIO block device found on PCI bus");
        return Err(Error::NotFound);
    }
    devices.into_iter().map(|device| start(pci, device, options)).collect()
}

fn start<H: Hal>(
    pci: &Pci<H>,
    device: pci::Device,
    options: Options,
) -> Result<VirtioBlk<H>, Error> {
    let hal = pci.hal();
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
    let open = if options.legacy { Transport::open_legacy } else { Transport::open };
    let transport = open(pci, device).map_err(|error| failed(error.into()))?;
    if let Some(bar0) = pci.get_bar(transport.device(), 0) {
        log!(*hal, "[VirtIO]   BAR0=0x{bar0:08X}");
    }
    let mut disk = VirtioBlk::start(transport, options).map_err(failed)?;
    if disk.config().sectors == 0 {
        log!(*hal, "[VirtIO] The device has no sectors: nothing can be read");
        return Ok(disk);
    }
    // Only a read that came back shows that rings, DMA and interrupts work.
    let first = disk.config().bytes().min(BLOCK_SIZE as u64);
    // At most a block.
    let first = &mut block::zeroed()[..first as usize];
    disk.read_sectors(0, first).map_err(failed)?;
    log!(*hal, "[VirtIO] Real PCI device initialized successfully");
    Ok(disk)
}

#[cfg(test)]
mod tests;
