//! The PCI transport: a device's life, in the specification's steps
//! (VIRTIO 1.4, 3.1.1 and 4.1.5), whichever interface the device has.

mod config;
mod interface;
mod interrupts;
mod legacy;
mod modern;
mod status;

use core::time::Duration;

pub use self::interrupts::Signalling;
use self::{interface::Interface, interrupts::Interrupts, legacy::Legacy, modern::Modern};
pub use super::error::Error;
use super::{
    features::Features,
    queue::Areas,
    registers::blk,
    status::{Isr, Status},
    structure::Listed,
};
use crate::{
    hal::{Hal, Interrupt},
    mutant::mutated,
    pci::{self, Bar, Pci, Window},
    register::Register,
    wait,
};

/// How long a reset may take.
const RESET_LIMIT: Duration = Duration::from_secs(1);
/// Where a queue's notifications go.
#[derive(Clone, Debug)]
pub struct Doorbell<H> {
    window: Window<H>,
    register: Register<u16>,
    queue: u16,
}

impl<H: Hal> Doorbell<H> {
    /// The machine.
    pub(crate) fn hal(&self) -> &H {
        self.window.hal()
    }

    /// VIRTIO 1.4, 4.1.5.2.1: the queue's index, 16 bits wide.
    pub fn ring(&self) {
        let hal = self.hal();
        let value = if mutated!(hal, M121) { 0 } else { self.queue };
        if mutated!(hal, M123) {
            self.window.store(Register::at(self.register.offset()), value as u8);
        } else if mutated!(hal, M124) {
            self.window.store(Register::at(self.register.offset()), u32::from(value));
        } else {
            self.window.store(self.register, value);
        }
        if mutated!(hal, M128) {
            self.window.store(self.register, value);
        }
    }
}

/// A VIRTIO device over PCI, seen from its driver.
///
/// A driver goes through it in order: [`negotiate`](Self::negotiate),
/// [`set_up_interrupts`](Self::set_up_interrupts), for each queue
/// [`select_queue`](Self::select_queue) and [`enable_queue`](Self::enable_queue),
/// [`unmask_interrupts`](Self::unmask_interrupts), [`driver_ok`](Self::driver_ok). After a
/// reset it may do so again.
#[derive(Debug)]
pub struct Transport<H: Hal> {
    pci: Pci<H>,
    device: pci::Device,
    registers: Registers<H>,
    interrupts: Interrupts<H>,
    /// What was stored last; the driver never clears a bit of it but by a reset.
    status: Status,
}

/// The registers, by the interface that is used.
#[derive(Debug)]
enum Registers<H> {
    Modern(Modern<H>),
    Legacy(Legacy<H>),
}

impl<H: Hal> Registers<H> {
    fn get(&self) -> &dyn Interface<H> {
        match self {
            Self::Modern(modern) => modern,
            Self::Legacy(legacy) => legacy,
        }
    }
}

impl<H: Hal> Transport<H> {
    /// Finds the interface, sizes and places the BARs, enables the function, maps what is needed.
    ///
    /// The modern interface is used where there is one, so a transitional device is driven as
    /// a modern one.
    ///
    /// # Errors
    /// There is no interface, or it is not where it can be.
    pub fn open(pci: &Pci<H>, device: pci::Device) -> Result<Self, Error> {
        let listed = Listed::load(&pci.config_space(&device))?;
        if !listed.is_modern() && device.is_legacy_virtio() {
            return Self::open_with(pci, device, &listed, true);
        }
        Self::open_with(pci, device, &listed, false)
    }

    /// The same by the legacy interface, even where there is a modern one.
    ///
    /// # Errors
    /// There is no legacy interface, or it is not where it can be.
    pub fn open_legacy(pci: &Pci<H>, device: pci::Device) -> Result<Self, Error> {
        if !device.is_legacy_virtio() {
            return Err(Error::NotLegacy {
                device_id: device.device_id,
                revision: device.revision,
            });
        }
        let listed = Listed::load(&pci.config_space(&device))?;
        Self::open_with(pci, device, &listed, true)
    }

    fn open_with(
        pci: &Pci<H>,
        mut device: pci::Device,
        listed: &Listed,
        legacy: bool,
    ) -> Result<Self, Error> {
        let hal = pci.hal();
        pci.size_bars(&mut device);
        let structures = if legacy { None } else { Some(listed.choose(&device)?) };
        match structures {
            None if !matches!(device.bar(legacy::BAR), Bar::Port { .. }) => {
                return Err(Error::NoPorts);
            }
            None => device.claim(legacy::BAR),
            Some(structures) => structures.bars().into_iter().for_each(|bar| device.claim(bar)),
        }
        if let Some(msix) = listed.msix {
            device.claim(msix.table_bar());
        }
        pci.place_bars(&mut device)?;
        pci.enable_device(&mut device, !mutated!(hal, M14 | M15));
        let registers = match structures {
            Some(structures) => Registers::Modern(Modern::map(hal, &device, structures)?),
            None => Registers::Legacy(Legacy::map(hal, &device)?),
        };
        let space = pci.config_space(&device);
        let interrupts = Interrupts::open(hal, &space, &device, listed.msix);
        Ok(Self { pci: pci.clone(), registers, interrupts, status: Status::empty(), device })
    }

    /// The record of the function.
    pub fn device(&self) -> &pci::Device {
        &self.device
    }

    /// The machine.
    pub fn hal(&self) -> &H {
        self.pci.hal()
    }

    /// Whether it is driven by the legacy interface.
    pub fn is_legacy(&self) -> bool {
        matches!(self.registers, Registers::Legacy(_))
    }

    /// Resets the device and waits until it is (VIRTIO 1.4, 4.1.4.3.2).
    ///
    /// # Errors
    /// It does not confirm: it may still access memory.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.status = Status::empty();
        self.registers.get().store_status(0);
        if mutated!(self.hal(), M31) {
            return Ok(());
        }
        let mut status = 0;
        let confirmed = wait::poll(self.hal(), RESET_LIMIT, || {
            status = self.registers.get().load_status();
            (status == 0).then_some(())
        });
        confirmed.ok_or(Error::NoReset(status))
    }

    /// Resets the device, then negotiates the features (VIRTIO 1.4, 3.1.1, steps 1 to 6).
    ///
    /// # Errors
    /// The device does not reset, has a modern interface but is a legacy one, or refuses the
    /// features.
    pub fn negotiate(&mut self, wanted: Features) -> Result<Features, Error> {
        if !mutated!(self.hal(), M30) {
            self.reset()?;
        }
        if mutated!(self.hal(), L10) {
            self.reset()?;
        }
        self.acknowledge_device();
        let offered = self.registers.get().load_features();
        if self.is_legacy() {
            // 4.1.4.10: there are 32 features, and no FEATURES_OK to confirm them.
            let features = Features::accept(offered & u64::from(u32::MAX), wanted);
            self.registers.get().store_features(features.bits());
            return Ok(features);
        }
        let mut features = Features::accept(offered, wanted | Features::VERSION_1);
        if mutated!(self.hal(), M41) {
            features = Features::from_bits_retain(offered);
        }
        if !features.contains(Features::VERSION_1) && !mutated!(self.hal(), M44) {
            return Err(Error::NoVersion1);
        }
        if mutated!(self.hal(), M170) {
            self.store_config(blk::WRITEBACK, 1)?;
        }
        if mutated!(self.hal(), M171) {
            self.load_config(blk::WRITEBACK)?;
        }
        if mutated!(self.hal(), M39) {
            self.raise(Status::FEATURES_OK);
        }
        let unasked = if mutated!(self.hal(), M42) { 3 << 40 } else { 0 };
        let mut stored = Features::from_bits_retain(features.bits() | unasked);
        stored.set(Features::VERSION_1, !mutated!(self.hal(), M43));
        self.registers.get().store_features(stored.bits());
        if mutated!(self.hal(), M37 | M47) {
            return Ok(features);
        }
        self.raise(Status::FEATURES_OK);
        if mutated!(self.hal(), M38) {
            return Ok(features);
        }
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

    /// The number of queues.
    pub fn queues(&self) -> u16 {
        self.registers.get().queues()
    }

    /// Sets up how the device interrupts: one MSI-X entry for configuration changes and one for
    /// each of `queues` queues, fewer where the table or the machine has fewer; else the line;
    /// else nothing. The log says so where it is not the first of these.
    ///
    /// All stays masked until [`Transport::unmask_interrupts`].
    pub fn set_up_interrupts(&mut self, queues: u16, wanted: Signalling) {
        self.interrupts.set_up(self.registers.get(), queues, wanted);
        if mutated!(self.hal(), M144) {
            self.interrupts.unmask();
        }
    }

    /// What interrupts when a queue has used buffers; `None`: nothing does.
    ///
    /// It is certain once the last queue is enabled.
    pub fn queue_interrupt(&self, queue: u16) -> Option<Interrupt> {
        self.interrupts.queue(queue)
    }

    /// What interrupts when the device configuration changes; `None`: nothing does.
    pub fn config_interrupt(&self) -> Option<Interrupt> {
        self.interrupts.configuration()
    }

    /// Lets interrupts through.
    pub fn unmask_interrupts(&mut self) {
        self.interrupts.unmask();
        self.pci.connect_intx(&mut self.device, self.interrupts.uses_line());
    }

    /// Makes the device let go of its line, and answers with why it had asserted it; empty: the
    /// interrupt was another function's (VIRTIO 1.4, 4.1.4.5).
    ///
    /// Without a line nothing is loaded: an MSI-X message says by itself that a queue may have
    /// used buffers; and where there is but one, that the configuration may have changed.
    pub fn acknowledge(&self) -> Isr {
        if mutated!(self.hal(), M142) {
            self.registers.get().load_isr();
        }
        if mutated!(self.hal(), M141) {
            Isr::QUEUE
        } else if self.interrupts.uses_line() {
            Isr::from_bits_retain(self.registers.get().load_isr())
        } else if self.interrupts.share_a_message() {
            Isr::QUEUE | Isr::CONFIG
        } else {
            Isr::QUEUE
        }
    }

    /// Selects a queue and answers with the size that the device offers
    /// (VIRTIO 1.4, 4.1.5.1.3).
    ///
    /// # Errors
    /// There is no such queue, or it is enabled already.
    pub fn select_queue(&self, queue: u16) -> Result<u16, Error> {
        self.registers.get().select_queue(queue)
    }

    /// Programs the selected queue and enables it.
    ///
    /// Where the device refuses the queue's MSI-X entry all its interrupts go by the line.
    ///
    /// # Errors
    /// The size or the layout cannot be, or the doorbell is not there: the device was then not
    /// told of the areas. Or the queue does not come on ([`Error::QueueNotEnabled`]): the device
    /// then knows the areas until it is reset.
    pub fn enable_queue(
        &mut self,
        queue: u16,
        size: u16,
        areas: Areas,
    ) -> Result<Doorbell<H>, Error> {
        self.registers.get().store_queue_size(queue, size)?;
        self.interrupts.map_queue(self.registers.get(), queue);
        let doorbell = self.registers.get().doorbell(self.pci.hal(), &self.device, queue)?;
        self.registers.get().enable_queue(queue, size, areas)?;
        Ok(doorbell)
    }
}
