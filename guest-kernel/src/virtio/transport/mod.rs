//! The PCI transport: a device's life, in the specification's steps
//! (VIRTIO 1.4, 3.1.1 and 4.1.5), whichever interface the device has.

mod interface;
mod interrupts;
mod legacy;
mod modern;

use core::time::Duration;

pub use self::interrupts::Signalling;
use self::{
    interface::{ConfigPlace, Interface},
    interrupts::Interrupts,
    legacy::Legacy,
    modern::Modern,
};
pub use super::error::Error;
use super::{
    features::Features,
    queue::Areas,
    registers::blk,
    status::{Isr, Status},
    structure::{Kind, Listed},
};
use crate::{
    hal::{Hal, Interrupt, Word},
    log,
    mutant::mutated,
    pci::{self, Bar, Pci, Window},
    register::Register,
    wait,
};

/// How long a reset may take.
const RESET_LIMIT: Duration = Duration::from_secs(1);
/// How often the device configuration may change under the driver's eyes.
const CONFIG_ROUNDS: u32 = 100;

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

    /// Loads fields of the device configuration until they belong together: their generation
    /// is still the same (VIRTIO 1.4, 2.5.1), or, where there is none, they are (2.5.4).
    ///
    /// # Errors
    /// `fields` says so, or the configuration changes without an end.
    pub fn read_config<C: PartialEq>(
        &self,
        fields: impl Fn(&Self) -> Result<C, Error>,
    ) -> Result<C, Error> {
        for _ in 0..CONFIG_ROUNDS {
            if mutated!(self.hal(), M54) {
                return fields(self);
            }
            let before = self.registers.get().load_generation();
            let value = fields(self)?;
            let same = match before {
                Some(generation) => self.registers.get().load_generation() == Some(generation),
                None => fields(self)? == value,
            };
            if same {
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
        let (window, register) = self.config_field(field)?;
        Ok(window.load(register))
    }

    /// Loads 64 bits of the device configuration by one access: only a mutant does.
    pub(crate) fn load_config_64(&self, field: Register<u32>) -> Result<u64, Error> {
        let (window, register) = self.config_field(field)?;
        Ok(window.access_64(register, None))
    }

    /// Stores one field of the device configuration.
    ///
    /// # Errors
    /// As [`Transport::load_config`].
    pub fn store_config<T: Word>(&self, field: Register<T>, value: T) -> Result<(), Error> {
        let (window, register) = self.config_field(field)?;
        window.store(register, value);
        Ok(())
    }

    fn config_field<T: Word>(
        &self,
        field: Register<T>,
    ) -> Result<(&Window<H>, Register<T>), Error> {
        let ConfigPlace { window, start } = self.registers.get().config(self.interrupts.msix());
        let length = window.len().saturating_sub(start.into());
        if field.end() > length {
            let (kind, needed) = (Kind::Device, field.end());
            return Err(Error::TooShort { kind, length: length as u32, needed });
        }
        Ok((window, Register::at(start + field.offset())))
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

    /// Tells the device that the driver is ready (VIRTIO 1.4, 3.1.1, step 8).
    pub fn driver_ok(&mut self) {
        if mutated!(self.hal(), M47) {
            self.raise(Status::FEATURES_OK);
        }
        if mutated!(self.hal(), M36) {
            self.status -= Status::FEATURES_OK;
        }
        if !mutated!(self.hal(), M49) {
            self.raise(Status::DRIVER_OK);
        }
        if mutated!(self.hal(), M172) {
            self.raise(Status::from_bits_retain(0x10));
        }
        if mutated!(self.hal(), M15) {
            self.pci.enable_device(&mut self.device, true);
        }
        if mutated!(self.hal(), L07) {
            self.load_status();
        }
    }

    /// Tells the device that the driver has given up, if it had begun
    /// (VIRTIO 1.4, 3.1.1).
    pub fn fail(&mut self) {
        if !self.status.is_empty() && !mutated!(self.hal(), M51) {
            self.raise(Status::FAILED);
        }
    }

    /// The same where the device was told of memory: a reset takes that from it
    /// (VIRTIO 1.4, 2.4.2).
    ///
    /// # Errors
    /// The device does not confirm, which the log says: the memory must be kept.
    pub fn fail_and_reset(&mut self) -> Result<(), Error> {
        self.fail();
        self.reset().inspect_err(|_| self.log_lost())
    }

    /// Says that memory is kept for good.
    pub fn log_lost(&self) {
        let address = self.device.address();
        log!(
            *self.hal(),
            "[VirtIO] {address} did not confirm its reset: its DMA memory is not released"
        );
    }

    /// Whether the device says that it cannot go on, or is not there any more.
    pub fn needs_reset(&self) -> bool {
        self.load_status().contains(Status::NEEDS_RESET)
    }

    /// Resets the device, takes its right to access memory, and keeps it from interrupting.
    ///
    /// # Errors
    /// The reset is not confirmed: memory that the device knows must be kept.
    pub fn shut_down(&mut self) -> Result<(), Error> {
        if mutated!(self.hal(), M158) {
            self.registers.get().store_status(0);
            return Ok(());
        }
        let reset = self.reset();
        self.interrupts.turn_msix_off();
        self.pci.disable_bus_master(&mut self.device);
        reset
    }

    /// VIRTIO 1.4, 3.1.1, steps 2 and 3: the device was noticed, and there is a driver for it.
    fn acknowledge_device(&mut self) {
        if mutated!(self.hal(), M34) {
            self.raise(Status::DRIVER);
        }
        if mutated!(self.hal(), M33) {
            self.status |= Status::ACKNOWLEDGE;
        } else if !mutated!(self.hal(), M32) {
            self.raise(Status::ACKNOWLEDGE);
        }
        if !mutated!(self.hal(), M34) {
            self.raise(Status::DRIVER);
        }
    }

    fn raise(&mut self, bit: Status) {
        if mutated!(self.hal(), M35) {
            self.status = Status::empty();
        }
        self.status |= bit;
        self.registers.get().store_status(self.status.bits());
    }

    fn load_status(&self) -> Status {
        Status::from_bits_retain(self.registers.get().load_status())
    }
}
