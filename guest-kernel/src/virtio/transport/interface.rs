//! What the two interfaces of a VIRTIO device have in common.

use super::{Areas, Doorbell, Error};
use crate::{
    hal::Hal,
    pci::{self, Window},
};

/// An event that an MSI-X table entry can be mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// The configuration changed.
    Configuration,
    /// The selected queue has used buffers.
    Queue,
}

/// Where the device configuration is.
#[derive(Debug)]
pub struct ConfigPlace<'a, H> {
    /// The window that it is in.
    pub window: &'a Window<H>,
    /// Where it begins there.
    pub start: u16,
}

/// The registers of a VIRTIO device, whichever interface has them.
///
/// `queue` is always the queue that [`Interface::select_queue`] selected last.
pub trait Interface<H: Hal> {
    /// Loads the device status.
    fn load_status(&self) -> u8;

    /// Stores the device status; 0 resets the device.
    fn store_status(&self, status: u8);

    /// Loads the features that the device offers.
    fn load_features(&self) -> u64;

    /// Stores the features that the driver accepts.
    fn store_features(&self, features: u64);

    /// Loads and clears the interrupt status.
    fn load_isr(&self) -> u8;

    /// Loads the configuration generation; `None` where there is none.
    fn load_generation(&self) -> Option<u8>;

    /// The device configuration, which in the legacy interface moves with MSI-X.
    fn config(&self, msix: bool) -> ConfigPlace<'_, H>;

    /// Stores the table entry of an event, and answers with what is read back.
    fn map_vector(&self, event: Event, entry: u16) -> u16;

    /// The number of queues.
    fn queues(&self) -> u16;

    /// Selects a queue that is not in use, and answers with the size that the device offers.
    ///
    /// # Errors
    /// There is no such queue, or it is in use.
    fn select_queue(&self, queue: u16) -> Result<u16, Error>;

    /// Chooses the size.
    ///
    /// # Errors
    /// The device does not leave the choice.
    fn store_queue_size(&self, queue: u16, size: u16) -> Result<(), Error>;

    /// Where the queue's notifications go.
    ///
    /// # Errors
    /// Nowhere that this driver could store to.
    fn doorbell(&self, hal: &H, device: &pci::Device, queue: u16) -> Result<Doorbell<H>, Error>;

    /// Tells the device where the queue is, and turns it on.
    ///
    /// # Errors
    /// The areas are not where this interface has them, or the device does not take them.
    fn enable_queue(&self, queue: u16, size: u16, areas: Areas) -> Result<(), Error>;
}
