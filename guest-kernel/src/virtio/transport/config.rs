//! The device configuration (VIRTIO 1.4, 2.5), over whichever interface.

use super::super::structure::Kind;
use super::interface::ConfigPlace;
use super::{Error, Transport};
use crate::hal::{Hal, Word};
use crate::mutant::mutated;
use crate::pci::Window;
use crate::register::Register;

/// How often the device configuration may change under the driver's eyes.
const CONFIG_ROUNDS: u32 = 100;

impl<H: Hal> Transport<H> {
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
}
