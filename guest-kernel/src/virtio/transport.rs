//! The PCI transport: a device's life, in the specification's steps
//! (VIRTIO 1.4, 3.1.1 and 4.1.5).

pub use super::error::Error;
use super::{
    features::Features,
    registers::{blk, common},
    status::Status,
    structure::{Kind, Structure, Structures},
};
use crate::{
    hal::{Hal, Interrupt, Word},
    pci::{self, Pci, Window, msix::Table},
    register::Register,
};

/// How often the status is loaded until a reset counts as refused.
const RESET_LOADS: u32 = 10_000;
/// How many MSI-X entries are used at most: configuration changes, and one queue.
const VECTORS: u16 = 2;
/// How much of the device configuration is mapped at most.
const CONFIG_LEN: u64 = blk::LEN;
/// How often the device configuration may change under the driver's eyes.
const CONFIG_ROUNDS: u32 = 100;

/// The physical addresses of the three parts of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Areas {
    /// Descriptor area.
    pub desc: u64,
    /// Driver area.
    pub driver: u64,
    /// Device area.
    pub device: u64,
}

/// Where a queue's notifications go.
#[derive(Clone, Debug)]
pub struct Doorbell<H> {
    window: Window<H>,
    queue: u16,
}

impl<H: Hal> Doorbell<H> {
    /// VIRTIO 1.4, 4.1.5.2.1: the queue's index, 16 bits wide.
    pub fn ring(&self) {
        self.window.store(Register::<u16>::at(0), self.queue);
    }
}

/// A VIRTIO device over PCI, seen from its driver.
#[derive(Debug)]
pub struct Transport<H: Hal> {
    pci: Pci<H>,
    device: pci::Device,
    structures: Structures,
    common: Window<H>,
    config: Window<H>,
    table: Table<H>,
    /// What was stored last; the driver never clears a bit of it but by a reset.
    status: Status,
}

impl<H: Hal> Transport<H> {
    /// Finds the structures, sizes the BARs, enables the function, maps what is needed.
    ///
    /// # Errors
    /// A structure or MSI-X is missing, or not where it can be.
    pub fn open(pci: &Pci<H>, mut device: pci::Device) -> Result<Self, Error> {
        let hal = pci.hal();
        let space = pci.config_space(&device);
        let structures = Structures::load(&space)?;
        let Structures { common, notify, isr, device: config, msix, .. } = structures;
        pci.size_bars(&mut device);
        for bar in [common.bar, notify.bar, config.bar] {
            device.claim(bar);
        }
        pci.enable_device(&mut device, true);
        common.check(&device, common::LEN)?;
        notify.check(&device, 2)?;
        isr.check(&device, 1)?;
        // The smallest configuration: one field, at most 8 bytes.
        config.check(&device, 1)?;
        let map = |place: Structure, len: u64| {
            let bar = device.bar(place.bar);
            Window::map(hal, place.bar, bar, place.offset.into(), len)
                .map_err(|source| Error::Misplaced { kind: place.kind, source })
        };
        Ok(Self {
            common: map(common, common::LEN)?,
            config: map(config, u64::from(config.length).min(CONFIG_LEN))?,
            table: msix.map(hal, &space, &device, VECTORS)?,
            pci: pci.clone(),
            status: Status::empty(),
            device,
            structures,
        })
    }

    /// The record of the function.
    pub fn device(&self) -> &pci::Device {
        &self.device
    }

    /// The machine.
    pub fn hal(&self) -> &H {
        self.pci.hal()
    }

    /// Resets the device and waits until it is (VIRTIO 1.4, 4.1.4.3.2).
    ///
    /// # Errors
    /// It does not confirm: it may still access memory.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.status = Status::empty();
        self.common.store(common::DEVICE_STATUS, 0);
        let mut status = 0;
        for _ in 0..RESET_LOADS {
            status = self.common.load(common::DEVICE_STATUS);
            if status == 0 {
                return Ok(());
            }
        }
        Err(Error::NoReset(status))
    }

    /// Resets the device, then negotiates the features (VIRTIO 1.4, 3.1.1, steps 1 to 6).
    ///
    /// # Errors
    /// The device does not reset, is a legacy one, or refuses the features.
    pub fn negotiate(&mut self) -> Result<Features, Error> {
        self.reset()?;
        self.raise(Status::ACKNOWLEDGE);
        self.raise(Status::DRIVER);
        let mut offered = 0;
        for half in [0, 1] {
            self.common.store(common::DEVICE_FEATURE_SELECT, half);
            let word = self.common.load(common::DEVICE_FEATURE);
            offered |= u64::from(word) << (32 * half);
        }
        let features = Features::accept(offered);
        if !features.contains(Features::VERSION_1) {
            return Err(Error::NoVersion1);
        }
        for half in [0, 1] {
            let word = (features.bits() >> (32 * half)) as u32;
            self.common.store(common::DRIVER_FEATURE_SELECT, half);
            self.common.store(common::DRIVER_FEATURE, word);
        }
        self.raise(Status::FEATURES_OK);
        let status = self.load_status();
        if !status.contains(Status::FEATURES_OK)
            || status.intersects(Status::NEEDS_RESET | Status::FAILED)
        {
            return Err(Error::FeaturesRefused {
                features: features.bits(),
                status: status.bits(),
            });
        }
        Ok(features)
    }

    /// Loads fields of the device configuration until they belong together
    /// (VIRTIO 1.4, 2.5.1).
    ///
    /// # Errors
    /// `fields` says so, or the configuration changes without an end.
    pub fn read_config<C>(&self, fields: impl Fn(&Self) -> Result<C, Error>) -> Result<C, Error> {
        for _ in 0..CONFIG_ROUNDS {
            let before = self.common.load(common::CONFIG_GENERATION);
            let value = fields(self)?;
            if self.common.load(common::CONFIG_GENERATION) == before {
                return Ok(value);
            }
        }
        Err(Error::ConfigUnstable)
    }

    /// Loads one field of the device configuration.
    ///
    /// # Errors
    /// The structure is too short to have it.
    pub fn load_config<T: Word>(&self, field: Register<T>) -> Result<T, Error> {
        if field.end() > self.config.len() {
            return Err(Error::TooShort {
                kind: Kind::Device,
                length: self.structures.device.length,
                needed: field.end(),
            });
        }
        Ok(self.config.load(field))
    }

    /// Programs the MSI-X table, turns MSI-X on, maps configuration changes to entry 0.
    ///
    /// Answers with the entry and the interrupt for a queue: entry 1, or entry 0 too
    /// where the table has no other. The entries stay masked.
    ///
    /// # Errors
    /// There is no vector, or the device does not take the entry.
    pub fn set_up_vectors(&self) -> Result<(u16, Interrupt), Error> {
        let last = self.table.entries() - 1;
        let mut interrupt = None;
        for entry in 0..=last {
            let allocated = self.hal().allocate_vector().ok_or(Error::NoVector)?;
            self.table.program(entry, allocated);
            interrupt = Some(allocated.interrupt);
        }
        self.table.enable();
        self.map_vector(common::CONFIG_MSIX_VECTOR, 0, "configuration changes")?;
        Ok((last, interrupt.ok_or(Error::NoVector)?))
    }

    /// Unmasks the entries.
    pub fn unmask_vectors(&self) {
        for entry in 0..self.table.entries() {
            self.table.unmask(entry);
        }
    }

    /// VIRTIO 1.4, 4.1.5.1.2.2: the driver must read the field back.
    fn map_vector(
        &self,
        register: Register<u16>,
        entry: u16,
        what: &'static str,
    ) -> Result<(), Error> {
        self.common.store(register, entry);
        let answer = self.common.load(register);
        if answer == entry { Ok(()) } else { Err(Error::VectorRefused { entry, what, answer }) }
    }

    /// Selects a queue and answers with the size that the device offers
    /// (VIRTIO 1.4, 4.1.5.1.3).
    ///
    /// # Errors
    /// There is no such queue, or it is enabled already.
    pub fn select_queue(&self, queue: u16) -> Result<u16, Error> {
        if queue >= self.common.load(common::NUM_QUEUES) {
            return Err(Error::NoQueue(queue));
        }
        self.common.store(common::QUEUE_SELECT, queue);
        if self.common.load(common::QUEUE_ENABLE) != 0 {
            return Err(Error::QueueInUse(queue));
        }
        match self.common.load(common::QUEUE_SIZE) {
            0 => Err(Error::NoQueue(queue)),
            size => Ok(size),
        }
    }

    /// Programs the selected queue and enables it.
    ///
    /// # Errors
    /// The device does not take the MSI-X entry, or the doorbell is not there. The
    /// device was then not told of the areas.
    pub fn enable_queue(
        &self,
        queue: u16,
        size: u16,
        entry: u16,
        areas: Areas,
    ) -> Result<Doorbell<H>, Error> {
        self.common.store(common::QUEUE_SIZE, size);
        self.map_vector(common::QUEUE_MSIX_VECTOR, entry, "used buffers")?;
        let doorbell = self.doorbell(queue)?;
        let Areas { desc, driver, device } = areas;
        for (low, high, address) in [
            (common::QUEUE_DESC_LOW, common::QUEUE_DESC_HIGH, desc),
            (common::QUEUE_DRIVER_LOW, common::QUEUE_DRIVER_HIGH, driver),
            (common::QUEUE_DEVICE_LOW, common::QUEUE_DEVICE_HIGH, device),
        ] {
            self.common.store(low, address as u32);
            self.common.store(high, (address >> 32) as u32);
        }
        self.common.store(common::QUEUE_ENABLE, 1);
        Ok(doorbell)
    }

    /// VIRTIO 1.4, 4.1.4.4: `cap.offset + queue_notify_off * notify_off_multiplier`.
    fn doorbell(&self, queue: u16) -> Result<Doorbell<H>, Error> {
        let off = self.common.load(common::QUEUE_NOTIFY_OFF);
        let offset = u64::from(off) * u64::from(self.structures.notify_off_multiplier);
        let notify = self.structures.notify;
        if offset + 2 > notify.length.into() || !offset.is_multiple_of(2) {
            return Err(Error::Doorbell { queue, offset });
        }
        let place = u64::from(notify.offset) + offset;
        let bar = self.device.bar(notify.bar);
        let window = Window::map(self.hal(), notify.bar, bar, place, 2)
            .map_err(|source| Error::Misplaced { kind: Kind::Notify, source })?;
        Ok(Doorbell { window, queue })
    }

    /// Tells the device that the driver is ready (VIRTIO 1.4, 3.1.1, step 8).
    pub fn driver_ok(&mut self) {
        self.raise(Status::DRIVER_OK);
    }

    /// Tells the device that the driver has given up, if it had begun
    /// (VIRTIO 1.4, 3.1.1).
    pub fn fail(&mut self) {
        if !self.status.is_empty() {
            self.raise(Status::FAILED);
        }
    }

    /// Whether the device says that it cannot go on.
    pub fn needs_reset(&self) -> bool {
        self.load_status().contains(Status::NEEDS_RESET)
    }

    /// Resets the device and takes its right to access memory.
    ///
    /// # Errors
    /// The reset is not confirmed: memory that the device knows must be kept.
    pub fn shut_down(&mut self) -> Result<(), Error> {
        let reset = self.reset();
        self.table.disable();
        self.pci.disable_bus_master(&mut self.device);
        reset
    }

    fn raise(&mut self, bit: Status) {
        self.status |= bit;
        self.common.store(common::DEVICE_STATUS, self.status.bits());
    }

    fn load_status(&self) -> Status {
        Status::from_bits_retain(self.common.load(common::DEVICE_STATUS))
    }
}
