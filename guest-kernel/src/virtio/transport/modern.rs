//! The modern interface: structures in memory (VIRTIO 1.4, 4.1.4).

use super::{
    Areas, Doorbell, Error,
    interface::{ConfigPlace, Event, Interface},
};
use crate::{
    hal::{Hal, Word},
    mutant::mutated,
    pci::{self, Window},
    register::Register,
    virtio::{
        registers::{blk, common},
        structure::{Kind, Structure, Structures},
    },
};

/// `ISR status`.
const ISR: Register<u8> = Register::at(0);

/// The structures of a device, mapped.
#[derive(Debug)]
pub struct Modern<H> {
    structures: Structures,
    common: Window<H>,
    isr: Window<H>,
    config: Window<H>,
}

impl<H: Hal> Modern<H> {
    /// Maps the structures.
    ///
    /// # Errors
    /// The machine cannot.
    pub fn map(hal: &H, device: &pci::Device, structures: Structures) -> Result<Self, Error> {
        let map = |place: Structure, len: u64| {
            let bar = device.bar(place.bar);
            Window::map(hal, place.bar, bar, place.offset.into(), len)
                .map_err(|source| Error::Misplaced { kind: place.kind, source })
        };
        Ok(Self {
            common: map(structures.common, common::LEN)?,
            isr: map(structures.isr, 1)?,
            config: map(structures.device, u64::from(structures.device.length).min(blk::LEN))?,
            structures,
        })
    }

    /// VIRTIO 1.4, 4.1.3.1: a 64-bit field by its halves.
    fn store_address(&self, low: Register<u32>, high: Register<u32>, address: u64) {
        let hal = self.common.hal();
        if mutated!(hal, M70) {
            self.common.access_64(low, Some(address));
        } else if mutated!(hal, M71) {
            for piece in 0..4 {
                let register = Register::<u16>::at(low.offset() + 2 * piece);
                self.common.store(register, (address >> (16 * piece)) as u16);
            }
        } else {
            if mutated!(hal, L01) {
                self.common.store(high, (address >> 32) as u32);
            }
            self.common.store(low, address as u32);
            if !mutated!(hal, L01) {
                self.common.store(high, (address >> 32) as u32);
            }
        }
    }
}

/// The feature words, in the order in which they are accessed.
fn halves<H: Hal>(hal: &H) -> &'static [u32] {
    match mutated!(hal, M44 | L11) {
        false => &[0, 1],
        true if mutated!(hal, M44) => &[0],
        true => &[1, 0],
    }
}

/// A register as one of another width, as only a mutant accesses it.
fn wide<T: Word>(register: Register<impl Word>) -> Register<T> {
    Register::at(register.offset())
}

impl<H: Hal> Interface<H> for Modern<H> {
    fn load_status(&self) -> u8 {
        if mutated!(self.common.hal(), M52) {
            return self.common.load(wide::<u32>(common::DEVICE_STATUS)) as u8;
        }
        self.common.load(common::DEVICE_STATUS)
    }

    fn store_status(&self, status: u8) {
        self.common.store(common::DEVICE_STATUS, status);
    }

    fn load_features(&self) -> u64 {
        let mut offered = 0;
        for &half in halves(self.common.hal()) {
            self.common.store(common::DEVICE_FEATURE_SELECT, half);
            let word = self.common.load(common::DEVICE_FEATURE);
            offered |= u64::from(word) << (32 * half);
        }
        offered
    }

    fn store_features(&self, features: u64) {
        for &half in halves(self.common.hal()) {
            let word = (features >> (32 * half)) as u32;
            self.common.store(common::DRIVER_FEATURE_SELECT, half);
            self.common.store(common::DRIVER_FEATURE, word);
        }
    }

    fn load_isr(&self) -> u8 {
        self.isr.load(ISR)
    }

    fn load_generation(&self) -> Option<u8> {
        Some(self.common.load(common::CONFIG_GENERATION))
    }

    fn config(&self, _msix: bool) -> ConfigPlace<'_, H> {
        ConfigPlace { window: &self.config, start: 0 }
    }

    fn map_vector(&self, event: Event, entry: u16) -> u16 {
        let register = match event {
            Event::Configuration => common::CONFIG_MSIX_VECTOR,
            Event::Queue => common::QUEUE_MSIX_VECTOR,
        };
        self.common.store(register, entry);
        if mutated!(self.common.hal(), M84) {
            return entry;
        }
        self.common.load(register)
    }

    fn queues(&self) -> u16 {
        self.common.load(common::NUM_QUEUES)
    }

    fn select_queue(&self, queue: u16) -> Result<u16, Error> {
        if queue >= self.queues() {
            return Err(Error::NoQueue(queue));
        }
        if !mutated!(self.common.hal(), M61) {
            self.common.store(common::QUEUE_SELECT, queue);
        }
        if self.common.load(common::QUEUE_ENABLE) != 0 {
            return Err(Error::QueueInUse(queue));
        }
        let size = match mutated!(self.common.hal(), M62 | M68) {
            false => self.common.load(common::QUEUE_SIZE),
            true if mutated!(self.common.hal(), M62) => 256,
            true => self.common.load(wide::<u32>(common::QUEUE_SIZE)) as u16,
        };
        match size {
            0 => Err(Error::NoQueue(queue)),
            size => Ok(size),
        }
    }

    fn store_queue_size(&self, _queue: u16, size: u16) -> Result<(), Error> {
        if mutated!(self.common.hal(), M66) {
            self.common.store(wide(common::QUEUE_SIZE), size as u8);
        } else if mutated!(self.common.hal(), M67) {
            self.common.store(wide(common::QUEUE_SIZE), u32::from(size));
        } else if !mutated!(self.common.hal(), M62 | M63 | L13) {
            let size = if mutated!(self.common.hal(), M174) { 0 } else { size };
            self.common.store(common::QUEUE_SIZE, size);
        }
        Ok(())
    }

    /// VIRTIO 1.4, 4.1.4.4: `cap.offset + queue_notify_off * notify_off_multiplier`.
    fn doorbell(&self, hal: &H, device: &pci::Device, queue: u16) -> Result<Doorbell<H>, Error> {
        if mutated!(hal, M82) {
            self.common.store(common::QUEUE_SELECT, 0);
        }
        let off = if mutated!(hal, M126) { 0 } else { self.common.load(common::QUEUE_NOTIFY_OFF) };
        if mutated!(hal, M82) {
            self.common.store(common::QUEUE_SELECT, queue);
        }
        if mutated!(hal, M173) {
            self.common.store(common::QUEUE_NOTIFY_OFF, off);
        }
        let multiplier = self.structures.notify_off_multiplier;
        let offset = u64::from(off) * u64::from(if mutated!(hal, M26) { 0 } else { multiplier });
        let notify = self.structures.notify;
        if offset + 2 > notify.length.into() || !offset.is_multiple_of(2) {
            return Err(Error::Doorbell { queue, offset });
        }
        let place = u64::from(notify.offset) + offset;
        let len = if mutated!(hal, M124) { 4 } else { 2 };
        let window = Window::map(hal, notify.bar, device.bar(notify.bar), place, len)
            .map_err(|source| Error::Misplaced { kind: Kind::Notify, source })?;
        Ok(Doorbell { window, register: Register::at(0), queue })
    }

    fn enable_queue(&self, queue: u16, _size: u16, areas: Areas) -> Result<(), Error> {
        let Areas { desc, driver, device } = areas;
        let hal = self.common.hal();
        let (driver, device) = if mutated!(hal, M73) { (device, driver) } else { (driver, device) };
        if mutated!(hal, M77) {
            self.common.store(common::QUEUE_ENABLE, 1);
        }
        for (low, high, address) in [
            (common::QUEUE_DESC_LOW, common::QUEUE_DESC_HIGH, desc),
            (common::QUEUE_DRIVER_LOW, common::QUEUE_DRIVER_HIGH, driver),
            (common::QUEUE_DEVICE_LOW, common::QUEUE_DEVICE_HIGH, device),
        ] {
            self.store_address(low, high, address);
        }
        if mutated!(hal, L02) {
            self.common.store(common::QUEUE_ENABLE, 1);
        }
        if mutated!(hal, M80) {
            return Ok(());
        } else if mutated!(hal, M81) {
            self.common.store(wide(common::QUEUE_ENABLE), 1_u32);
        } else {
            self.common.store(common::QUEUE_ENABLE, if mutated!(hal, M79) { 0 } else { 1 });
        }
        // A queue that is not on answers no notification, and nobody would know why.
        match self.common.load(common::QUEUE_ENABLE) {
            1 => Ok(()),
            answer => Err(Error::QueueNotEnabled { queue, answer: answer.into() }),
        }
    }
}
