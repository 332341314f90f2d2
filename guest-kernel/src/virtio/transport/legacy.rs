//! The legacy interface: I/O ports in BAR 0 (VIRTIO 1.4, 4.1.4.10).

use super::{
    Areas, Doorbell, Error,
    interface::{ConfigPlace, Event, Interface},
};
use crate::{
    hal::Hal,
    mutant::mutated,
    pci::{self, Bar, Window},
    virtio::registers::{blk, legacy},
};

/// Where the ports are.
pub const BAR: u8 = 0;
/// What a queue's address counts: legacy devices know no other page.
const PAGE: u64 = 4096;
/// How many queues are looked for.
const QUEUES: u16 = 1024;

/// The ports of a legacy device.
#[derive(Debug)]
pub struct Legacy<H> {
    ports: Window<H>,
}

impl<H: Hal> Legacy<H> {
    /// Makes the ports of BAR 0 reachable.
    ///
    /// # Errors
    /// They are no I/O ports, or too few.
    pub fn map(hal: &H, device: &pci::Device) -> Result<Self, Error> {
        let bar = device.bar(BAR);
        let Bar::Port { size, .. } = bar else { return Err(Error::NoPorts) };
        let whole = u64::from(legacy::CONFIG_WITH_MSIX) + blk::LEN;
        let len = u64::from(size).min(whole).max(legacy::LEN);
        Ok(Self { ports: Window::map(hal, BAR, bar, 0, len)? })
    }
}

impl<H: Hal> Interface<H> for Legacy<H> {
    fn load_status(&self) -> u8 {
        self.ports.load(legacy::DEVICE_STATUS)
    }

    fn store_status(&self, status: u8) {
        self.ports.store(legacy::DEVICE_STATUS, status);
    }

    fn load_features(&self) -> u64 {
        self.ports.load(legacy::DEVICE_FEATURES).into()
    }

    fn store_features(&self, features: u64) {
        self.ports.store(legacy::DRIVER_FEATURES, features as u32);
    }

    fn load_isr(&self) -> u8 {
        self.ports.load(legacy::ISR_STATUS)
    }

    fn load_generation(&self) -> Option<u8> {
        None
    }

    fn config(&self, msix: bool) -> ConfigPlace<'_, H> {
        let start = if msix { legacy::CONFIG_WITH_MSIX } else { legacy::CONFIG };
        ConfigPlace { window: &self.ports, start }
    }

    fn map_vector(&self, event: Event, entry: u16) -> u16 {
        let register = match event {
            Event::Configuration => legacy::CONFIG_MSIX_VECTOR,
            Event::Queue => legacy::QUEUE_MSIX_VECTOR,
        };
        self.ports.store(register, entry);
        self.ports.load(register)
    }

    /// There is no register that tells: the queues end at the first of size 0.
    fn queues(&self) -> u16 {
        let exists = |queue: &u16| {
            self.ports.store(legacy::QUEUE_SELECT, *queue);
            self.ports.load(legacy::QUEUE_SIZE) != 0
        };
        (0..QUEUES).take_while(exists).count() as u16
    }

    fn select_queue(&self, queue: u16) -> Result<u16, Error> {
        self.ports.store(legacy::QUEUE_SELECT, queue);
        let size = match mutated!(self.ports.hal(), M62) {
            false => self.ports.load(legacy::QUEUE_SIZE),
            true => 256,
        };
        if size == 0 {
            return Err(Error::NoQueue(queue));
        }
        if self.ports.load(legacy::QUEUE_ADDRESS) != 0 {
            return Err(Error::QueueInUse(queue));
        }
        Ok(size)
    }

    /// The device computes from its own size where the rings are, so there is no choice
    /// (VIRTIO 1.4, 2.7.2).
    fn store_queue_size(&self, queue: u16, size: u16) -> Result<(), Error> {
        if mutated!(self.ports.hal(), M62) {
            return Ok(());
        }
        match self.ports.load(legacy::QUEUE_SIZE) {
            offered if offered == size => Ok(()),
            offered => Err(Error::QueueSizeFixed { queue, size, offered }),
        }
    }

    fn doorbell(&self, _hal: &H, _device: &pci::Device, queue: u16) -> Result<Doorbell<H>, Error> {
        Ok(Doorbell { window: self.ports.clone(), register: legacy::QUEUE_NOTIFY, queue })
    }

    fn enable_queue(&self, queue: u16, size: u16, areas: Areas) -> Result<(), Error> {
        if !areas.are_legacy(size) {
            return Err(Error::LegacyLayout { queue, address: areas.desc });
        }
        let page = areas.desc / PAGE;
        let number =
            u32::try_from(page).map_err(|_| Error::LegacyLayout { queue, address: areas.desc })?;
        self.ports.store(legacy::QUEUE_ADDRESS, number);
        match self.ports.load(legacy::QUEUE_ADDRESS) {
            answer if answer == number => Ok(()),
            answer => Err(Error::QueueNotEnabled { queue, answer }),
        }
    }
}

impl Areas {
    /// Whether they lie as a legacy device expects them: descriptor table, available ring,
    /// used ring at the next page, all from a page on (VIRTIO 1.4, 2.7.2).
    fn are_legacy(self, size: u16) -> bool {
        let size = u64::from(size);
        let Some(driver) = self.desc.checked_add(16 * size) else { return false };
        // flags, idx, ring, used_event
        let end = driver.checked_add(2 * (3 + size));
        let device = end.and_then(|end| end.checked_next_multiple_of(PAGE));
        self.desc != 0
            && self.desc.is_multiple_of(PAGE)
            && self.driver == driver
            && Some(self.device) == device
    }
}
