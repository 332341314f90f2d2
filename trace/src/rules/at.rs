use super::model::{Chain, Function, Model, Queue, Virtio};
use super::ram::Ram;
use crate::register::{CommonCfg, LegacyCfg};
use crate::{Access, Actor, Bdf, Entry, Event, Refusal, Register};

/// An entry, and what the transcript told before it.
///
/// Registers are as they were before the entry; a chain has what the entry adds to it.
#[derive(Debug)]
pub struct At<'a> {
    /// The entry.
    pub entry: &'a Entry,
    /// What was told before.
    pub model: &'a Model,
    // What dozens of rules ask of every entry is looked up once.
    address: Option<Bdf>,
    function: Option<&'a Function>,
    queue_index: Option<u16>,
    queue: Option<&'a Queue>,
    pub(super) ram: Option<Ram<'a>>,
}

impl<'a> At<'a> {
    pub(super) fn new(entry: &'a Entry, model: &'a Model) -> Self {
        let address = address(entry);
        let function = address.and_then(|address| model.function(address));
        let virtio = function.map(|function| &function.virtio);
        let queue_index = queue_index(entry).or_else(|| match entry.event {
            Event::Register { .. } | Event::Refused { .. } => virtio?.queue_select,
            _ => None,
        });
        let queue = virtio.and_then(|virtio| virtio.queue(queue_index?));
        let ram = queue.and_then(|queue| Ram::of(&entry.event, queue));
        Self { entry, model, address, function, queue_index, queue, ram }
    }

    /// The function whose register was accessed, or that did something.
    pub fn function(&self) -> Option<Bdf> {
        self.address
    }

    /// The register that the guest accessed, how, and why that took no effect if it did not.
    pub fn register(&self) -> Option<(Register, Access, Option<Refusal>)> {
        match self.entry.event {
            Event::Register { register, access } => Some((register, access, None)),
            Event::Refused { register, access, why } => Some((register, access, Some(why))),
            _ => None,
        }
    }

    /// The PCI function that this entry is about, as far as it is known.
    pub fn pci(&self) -> Option<&'a Function> {
        self.function
    }

    /// The virtio device that this entry is about, as far as it is known.
    pub fn virtio(&self) -> Option<&'a Virtio> {
        self.function.map(|function| &function.virtio)
    }

    /// The queue that this entry is about: that of a device's event, or of a notification
    /// address, or the selected one.
    pub fn queue(&self) -> Option<&'a Queue> {
        self.queue
    }

    /// The index of that queue.
    pub fn queue_index(&self) -> Option<u16> {
        self.queue_index
    }

    /// The chain that the device is reading with this entry, this entry included.
    pub fn chain(&self) -> Option<&'a Chain> {
        self.queue()?.walking.as_ref()
    }

    /// The value, if this stores to `register` of the common configuration.
    pub fn stores(&self, register: CommonCfg) -> Option<u64> {
        match self.register()? {
            (Register::Common { register: stored, .. }, Access::Store { value, .. }, _) => {
                (stored == register).then_some(value)
            }
            _ => None,
        }
    }

    /// The value, if this loads `register` of the common configuration.
    pub fn loads(&self, register: CommonCfg) -> Option<u64> {
        match self.register()? {
            (Register::Common { register: loaded, .. }, Access::Load { value, .. }, _) => {
                (loaded == register).then_some(value)
            }
            _ => None,
        }
    }

    /// The register of the common configuration that this accesses, and how, if it took effect.
    pub fn common(&self) -> Option<(CommonCfg, Access)> {
        match self.entry.event {
            Event::Register { register: Register::Common { register, .. }, access } => {
                Some((register, access))
            }
            _ => None,
        }
    }

    /// Whether this stores a status with a bit of `bits` that the one before had not.
    pub fn raises(&self, bits: u8) -> bool {
        let before = self.virtio().map_or(0, |virtio| virtio.status);
        self.status_store().is_some_and(|value| value & bits & !before != 0)
    }

    /// The value, if this accesses the device status, over whichever transport.
    pub fn status(&self) -> Option<Access> {
        match self.register()? {
            (Register::Common { register: CommonCfg::DeviceStatus, .. }, access, None)
            | (Register::Legacy { register: LegacyCfg::DeviceStatus, .. }, access, None) => {
                Some(access)
            }
            _ => None,
        }
    }

    /// The value, if this stores to the device status.
    pub fn status_store(&self) -> Option<u8> {
        self.status().filter(|access| access.is_store()).map(|access| access.value() as u8)
    }

    /// The value, if this loads the device status.
    pub fn status_load(&self) -> Option<u8> {
        self.status().filter(|access| !access.is_store()).map(|access| access.value() as u8)
    }

    /// The value and the address's queue, if the driver rings a doorbell, over whichever
    /// transport. Legacy has one address, so the queue is the value there.
    pub fn notification(&self) -> Option<(u16, Access)> {
        match self.register()? {
            (Register::Notify { queue, .. }, access @ Access::Store { .. }, _) => {
                Some((queue, access))
            }
            (
                Register::Legacy { register: LegacyCfg::QueueNotify, .. },
                access @ Access::Store { value, .. },
                _,
            ) => Some((value as u16, access)),
            _ => None,
        }
    }
}

/// The function whose register was accessed, or that did something.
fn address(entry: &Entry) -> Option<Bdf> {
    match (&entry.event, entry.by) {
        (Event::Register { register, .. } | Event::Refused { register, .. }, _) => {
            register.function()
        }
        (Event::Ram { place, .. }, _) => Some(place.function()),
        (Event::Barrier { function, .. }, _) => Some(*function),
        (_, Actor::Device(function)) => Some(function),
        _ => None,
    }
}

/// The queue that the entry itself names.
fn queue_index(entry: &Entry) -> Option<u16> {
    match entry.event {
        Event::Register { register, access } | Event::Refused { register, access, .. } => {
            match (register, access) {
                (Register::Notify { queue, .. }, _) => Some(queue),
                (
                    Register::Legacy { register: LegacyCfg::QueueNotify, .. },
                    Access::Store { value, .. },
                ) => Some(value as u16),
                _ => None,
            }
        }
        ref event => event.queue(),
    }
}
