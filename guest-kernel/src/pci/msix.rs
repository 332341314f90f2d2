//! MSI-X (PCI 3.0, 6.8.2).

use super::{Capability, ConfigSpace, Device, Error, Window, window};
use crate::{
    hal::{Hal, Vector},
    register::Register,
};

/// The capability's ID.
pub const ID: u8 = 0x11;
/// The capability's bytes.
const LEN: u16 = 12;
/// Bytes of a table entry.
const ENTRY: u16 = 16;

/// Message control bits 10:0: the number of entries, less one.
const TABLE_SIZE: u16 = 0x7ff;
/// Message control bit 14: all vectors are masked.
const FUNCTION_MASK: u16 = 1 << 14;
/// Message control bit 15: MSI-X is on, INTx# is off.
const ENABLE: u16 = 1 << 15;

/// The MSI-X capability, as it was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Msix {
    capability: Capability,
    control: u16,
    table: u32,
    pba: u32,
}

impl Msix {
    /// Loads the capability; `None` where it runs out of configuration space.
    pub fn load<H: Hal>(space: &ConfigSpace<H>, capability: Capability) -> Option<Self> {
        capability.holds(LEN).then(|| Self {
            capability,
            control: space.load(capability.register(2)),
            table: space.load(capability.register(4)),
            pba: space.load(capability.register(8)),
        })
    }

    /// The number of table entries, 1 to 2048.
    pub fn vectors(self) -> u16 {
        (self.control & TABLE_SIZE) + 1
    }

    /// The BAR that holds the table.
    pub fn table_bar(self) -> u8 {
        split(self.table).0
    }

    /// Makes the first `entries` entries of the table reachable.
    ///
    /// # Errors
    /// The table or the pending bit array does not lie in its BAR.
    pub fn map<H: Hal>(
        self,
        hal: &H,
        space: &ConfigSpace<H>,
        device: &Device,
        entries: u16,
    ) -> Result<Table<H>, Error> {
        let (table_bar, table) = split(self.table);
        let (pba_bar, pba) = split(self.pba);
        let vectors = u64::from(self.vectors());
        window::check(table_bar, device.bar(table_bar), table, vectors * u64::from(ENTRY))?;
        // One bit an entry, in words of 64 bits. Never accessed, but what lies elsewhere is broken.
        window::check(pba_bar, device.bar(pba_bar), pba, vectors.div_ceil(64) * 8)?;
        let len = u64::from(entries.min(self.vectors())) * u64::from(ENTRY);
        Ok(Table {
            window: Window::map(hal, table_bar, device.bar(table_bar), table, len)?,
            space: space.clone(),
            msix: self,
        })
    }
}

/// BAR indicator in bits 2:0, offset in the others.
fn split(register: u32) -> (u8, u64) {
    ((register & 7) as u8, u64::from(register & !7))
}

/// The MSI-X table of a function.
#[derive(Clone, Debug)]
pub struct Table<H> {
    window: Window<H>,
    space: ConfigSpace<H>,
    msix: Msix,
}

impl<H: Hal> Table<H> {
    /// How many entries are reachable.
    pub fn entries(&self) -> u16 {
        (self.window.len() / u64::from(ENTRY)) as u16
    }

    /// Programs an entry, while MSI-X is off or the entry is masked.
    pub fn program(&self, entry: u16, vector: Vector) {
        let base = entry * ENTRY;
        let low = vector.address as u32;
        let high = (vector.address >> 32) as u32;
        self.window.store(Register::<u32>::at(base), low);
        self.window.store(Register::<u32>::at(base + 4), high);
        self.window.store(Register::<u32>::at(base + 8), vector.data);
    }

    /// Unmasks an entry.
    pub fn unmask(&self, entry: u16) {
        self.window.store(Register::<u32>::at(entry * ENTRY + 12), 0);
    }

    /// Turns MSI-X off, so that a later driver finds no entry live.
    pub fn disable(&self) {
        self.space.store(self.msix.capability.register(2), self.msix.control & !ENABLE);
    }

    /// Turns MSI-X on; entries that are masked stay so.
    pub fn enable(&self) {
        let control = (self.msix.control & !FUNCTION_MASK) | ENABLE;
        self.space.store(self.msix.capability.register(2), control);
    }
}
