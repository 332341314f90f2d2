//! How configuration space is reached.

use super::{Address, ConfigSpace, Error};
use crate::{
    acpi::Ecam,
    hal::{DeviceMemory, Hal},
};

/// Bytes of configuration space of one bus, in the enhanced access mechanism.
const BUS: u64 = 1 << 20;

/// The access mechanism of a machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ConfigAccess {
    /// The ports 0xCF8 and 0xCFC (PCI 3.0, 3.2.2.3.2).
    #[default]
    Cam,
    /// Memory, 4096 bytes for each function (PCI Express 3.0, 7.2.2), as the MCFG table has it.
    Ecam {
        /// Where bus 0 is, or would be.
        base: u64,
        /// The first bus that is there.
        first_bus: u8,
        /// The last bus that is there.
        last_bus: u8,
    },
}

/// The configuration space of one bus, reachable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BusAccess {
    Ports,
    Memory(DeviceMemory),
}

impl From<Ecam> for ConfigAccess {
    fn from(window: Ecam) -> Self {
        Self::Ecam { base: window.base, first_bus: window.first, last_bus: window.last }
    }
}

impl ConfigAccess {
    /// Makes the configuration space of a bus reachable.
    ///
    /// # Errors
    /// The mechanism ends before this bus, or the machine cannot map it.
    pub(super) fn map<H: Hal>(self, hal: &H, bus: u8) -> Result<BusAccess, Error> {
        match self {
            Self::Cam => Ok(BusAccess::Ports),
            Self::Ecam { base, first_bus, last_bus } => {
                let place = base.checked_add(u64::from(bus) * BUS);
                let inside = (first_bus..=last_bus).contains(&bus);
                let address = place.filter(|_| inside).ok_or(Error::BusUnreachable(bus))?;
                let memory =
                    hal.map_device(address, BUS).map_err(|source| Error::MapBus { bus, source })?;
                Ok(BusAccess::Memory(memory))
            }
        }
    }

    /// The addresses that the mechanism takes.
    pub(super) fn range(self) -> Option<core::ops::Range<u64>> {
        match self {
            Self::Cam => None,
            Self::Ecam { base, first_bus, last_bus } => {
                let start = base.saturating_add(u64::from(first_bus) * BUS);
                Some(start..base.saturating_add((u64::from(last_bus) + 1) * BUS))
            }
        }
    }
}

impl BusAccess {
    /// The configuration space of a function of the bus.
    pub fn space<H: Hal>(self, hal: &H, address: Address) -> ConfigSpace<H> {
        ConfigSpace::by(hal.clone(), self, address)
    }
}
