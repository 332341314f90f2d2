//! The PCI bus: configuration space, base address registers, MSI-X.
//!
//! A BAR is decoded when it is accessed. The bus asks each function whether an
//! address is its own; there is no table of regions to keep in step with what
//! the guest writes, and relocation needs no code.

mod bus;
mod config;
mod msix;
mod plain;

pub(crate) use bus::PciBus;
pub use config::{BarKind, ConfigSpace, Identity};
pub(crate) use msix::{Msix, NO_VECTOR};
pub(crate) use plain::{host_bridge, ide, isa_bridge, power_management};

use crate::Host;

/// A PCI function: a configuration space, and what its BARs lead to.
///
/// An implementation records every access to its BARs, as an access to a
/// register or as a refusal. Accesses to configuration space are recorded by the bus.
pub(crate) trait Function: Send {
    /// Its configuration space.
    fn config(&self) -> &ConfigSpace;

    /// Its configuration space, to store to.
    fn config_mut(&mut self) -> &mut ConfigSpace;

    /// The guest stored to configuration space; the store has taken effect.
    fn config_stored(&mut self, _host: &mut Host<'_>) {}

    /// Answers a load of `width` bytes inside BAR `bar`.
    fn load(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8) -> u64;

    /// Carries out a store of `width` bytes inside BAR `bar`.
    fn store(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8, value: u64);
}
