//! The capability list (PCI 3.0, 6.7).

use super::{
    Error,
    config::{CAPABILITIES_POINTER, ConfigSpace, STATUS, STATUS_CAPABILITIES},
};
use crate::{hal::Hal, mutant::mutated, register::Register};

/// Behind the last byte that the access mechanism at 0xCF8 can reach.
const END: u16 = 0x100;
/// The header ends here, and the first capability can begin.
const HEADER: u8 = 0x40;

/// One element of the capability list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability {
    /// Where it begins: a multiple of 4, at least 40h.
    pub offset: u16,
    /// What it is.
    pub id: u8,
}

impl Capability {
    /// Whether its first `len` bytes lie in configuration space.
    pub fn holds(self, len: u16) -> bool {
        self.offset + len <= END
    }

    /// The register at `offset` bytes in the capability.
    pub fn register<T: crate::hal::Word>(self, offset: u16) -> Register<T> {
        Register::at(self.offset + offset)
    }
}

/// The capabilities of a function, each loaded when it is asked for.
pub struct Capabilities<'a, H> {
    space: &'a ConfigSpace<H>,
    next: u8,
    visited: u64,
}

impl<'a, H: Hal> Capabilities<'a, H> {
    /// The list of the function; empty where the status register denies it.
    pub fn of(space: &'a ConfigSpace<H>) -> Self {
        let listed = space.load(STATUS) & STATUS_CAPABILITIES != 0;
        Self { next: if listed { space.load(CAPABILITIES_POINTER) } else { 0 }, visited: 0, space }
    }

    fn enter(&mut self, offset: u8) -> Result<Capability, Error> {
        let device = self.space.address();
        let trusting = mutated!(self.space.hal(), M18);
        if offset < HEADER && !trusting {
            return Err(Error::CapabilityPointer { device, offset });
        }
        // There are 48 places for a capability. As none is entered twice, the
        // walk ends whatever the device says.
        let place = 1 << (offset / 4);
        if self.visited & place != 0 && !trusting {
            return Err(Error::CapabilityLoop { device, offset });
        }
        self.visited |= place;
        let header = self.space.load(Register::<u16>::at(offset.into()));
        let [id, next] = header.to_le_bytes();
        self.next = next;
        Ok(Capability { offset: offset.into(), id })
    }
}

impl<H: Hal> Iterator for Capabilities<'_, H> {
    type Item = Result<Capability, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        // PCI 3.0, 6.7: the bottom two bits are reserved and to be masked.
        let mask = if mutated!(self.space.hal(), M18) { 0xff } else { 0xfc };
        let offset = core::mem::take(&mut self.next) & mask;
        (offset != 0).then(|| self.enter(offset))
    }
}
