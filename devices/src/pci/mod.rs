//! The PCI bus: configuration space and the two ways to it, base address registers,
//! bridges, interrupt pins, MSI-X.
//!
//! A BAR is decoded when it is accessed. The bus asks each function whether an
//! address is its own; there is no table of regions to keep in step with what
//! the guest writes, and relocation needs no code.

mod bar;
mod bridge;
mod bus;
mod cam;
mod config;
mod ecam;
mod edit;
mod intx;
mod msix;
mod plain;
mod segment;
#[cfg(test)]
mod tests;

use std::io;

use eclipse_trace::Bdf;

pub use bar::BarKind;
pub(crate) use bridge::Bridge;
pub(crate) use bus::PciBus;
pub use config::{ConfigSpace, Identity};
pub use ecam::ECAM;
pub use intx::gsi;
pub(crate) use msix::{Msix, NO_VECTOR};
pub(crate) use plain::{host_bridge, ide, isa_bridge, other_virtio, power_management};

use crate::Host;
use crate::fault::Command;
use crate::schedule::{Completion, Occasion};
use crate::virtio::{Progress, QueueAreas};

/// How the guest finds the PCI hierarchy at power-on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// As firmware hands it over: BARs and bridges have their addresses and numbers,
    /// and decode is on.
    #[default]
    Assigned,
    /// As hardware comes up: all that firmware sets is zero, and the guest has to set it.
    Unassigned,
    /// As after a loader that booted from a device: assigned, with COMMAND 0x0107.
    Warm,
}

/// A PCI function: a configuration space, and what its BARs lead to.
///
/// An implementation records every access to its BARs, as an access to a
/// register or as a refusal. Accesses to configuration space are recorded by the bus.
pub(crate) trait Function: Send {
    /// Its configuration space.
    fn config(&self) -> &ConfigSpace;

    /// Its configuration space, to store to.
    fn config_mut(&mut self) -> &mut ConfigSpace;

    /// The guest is about to load `width` bytes at `offset` of configuration space.
    fn config_loading(&mut self, _host: &mut Host<'_>, _offset: u8, _width: u8) {}

    /// The guest stored `width` bytes at `offset` of configuration space; the store
    /// has taken effect.
    fn config_stored(&mut self, _host: &mut Host<'_>, _offset: u8, _width: u8) {}

    /// Whether it asks for an interrupt by its pin. The bus looks after each access,
    /// and knows what COMMAND and MSI-X make of it.
    fn intx(&self) -> bool {
        false
    }

    /// Sends the messages that can be sent now; a bridge has come to let them through.
    fn deliver(&mut self, _host: &mut Host<'_>) {}

    /// RST# was asserted; configuration space has been reset.
    fn reset(&mut self) {}

    /// Firmware has used it; COMMAND says so already.
    fn warm(&mut self) {}

    /// It is known by this address from now on.
    fn numbered(&mut self, _function: Bdf) {}

    /// The bridge that it is, if it is one.
    fn bridge(&mut self) -> Option<&mut Bridge> {
        None
    }

    /// The least range that holds all BARs behind it that `is` admits.
    fn hull(&self, _is: &dyn Fn(BarKind) -> bool) -> Option<(u64, u64)> {
        None
    }

    /// Gives its disk another size, of which the driver is notified.
    fn set_capacity(&mut self, _host: &mut Host<'_>, _sectors: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Completes requests by `completion` from now on.
    fn set_completion(&mut self, _completion: Completion) {}

    /// Whether it took something that it has not completed.
    fn defers(&self) -> bool {
        false
    }

    /// Whether it holds something back that an occasion may make due.
    fn holds(&self) -> bool {
        false
    }

    /// Completes what is due on this occasion; asked for only while it holds something back.
    fn resume(&mut self, _host: &mut Host<'_>, _occasion: Occasion) {}

    /// The virtqueues that are enabled, and where they lie.
    fn queues(&self) -> Vec<QueueAreas> {
        Vec::new()
    }

    /// How far it has come in them.
    fn progress(&self) -> Vec<Progress> {
        Vec::new()
    }

    /// Does what a fault wants of it.
    fn obey(&mut self, _host: &mut Host<'_>, _command: Command) {}

    /// Answers a load of `width` bytes inside BAR `bar`.
    fn load(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8) -> u64;

    /// Carries out a store of `width` bytes inside BAR `bar`.
    fn store(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8, value: u64);
}
