//! MSI-X (PCI 3.0, 6.8.2).

use super::{Capability, ConfigSpace, Device, Error, Window, window};
use crate::{
    hal::{Hal, Vector},
    mutant::mutated,
    register::Register,
};

/// The capability's ID.
pub const ID: u8 = 0x11;
/// The capability's bytes.
const LEN: u16 = 12;
/// Bytes of a table entry.
const ENTRY: u16 = 16;
/// Where its vector control is.
const CONTROL: u16 = 12;
/// Vector control bit 0: the entry is masked.
const MASKED: u32 = 1;

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

    /// Whether someone has left MSI-X on.
    pub fn is_enabled(self) -> bool {
        self.control & ENABLE != 0
    }

    /// Turns MSI-X off where its table cannot be used.
    pub fn turn_off<H: Hal>(self, space: &ConfigSpace<H>) {
        space.store(self.capability.register(2), self.control & !ENABLE);
    }

    /// Makes the table reachable.
    ///
    /// # Errors
    /// The table or the pending bit array does not lie in its BAR.
    pub fn map<H: Hal>(
        self,
        hal: &H,
        space: &ConfigSpace<H>,
        device: &Device,
    ) -> Result<Table<H>, Error> {
        let (table_bar, table) = split(self.table);
        let (pba_bar, pba) = split(self.pba);
        let vectors = u64::from(self.vectors());
        let len = vectors * u64::from(ENTRY);
        window::check(table_bar, device.bar(table_bar), table, len)?;
        // One bit an entry, in words of 64 bits. Never accessed, but what lies elsewhere is broken.
        window::check(pba_bar, device.bar(pba_bar), pba, vectors.div_ceil(64) * 8)?;
        if mutated!(hal, M186) {
            let pending = Window::map(hal, pba_bar, device.bar(pba_bar), pba, 8)?;
            pending.store(Register::<u32>::at(0), 0);
        }
        Ok(Table {
            window: Window::map(hal, table_bar, device.bar(table_bar), table, len)?,
            space: space.clone(),
            control: self.control,
            message_control: self.capability.register(2),
        })
    }
}

/// BAR indicator in bits 2:0, offset in the others.
fn split(register: u32) -> (u8, u64) {
    ((register & 7) as u8, u64::from(register & !7))
}

/// The MSI-X table of a function, and its message control.
#[derive(Clone, Debug)]
pub struct Table<H> {
    window: Window<H>,
    space: ConfigSpace<H>,
    message_control: Register<u16>,
    /// What message control holds.
    control: u16,
}

impl<H: Hal> Table<H> {
    /// How many entries there are.
    pub fn entries(&self) -> u16 {
        (self.window.len() / u64::from(ENTRY)) as u16
    }

    /// Whether MSI-X is on.
    pub fn is_enabled(&self) -> bool {
        self.control & ENABLE != 0
    }

    /// Keeps all messages back, where MSI-X is on, so that the first `entries` entries can
    /// change: one that changes while it is live could send half of a new message
    /// (PCI 3.0, 6.8.2).
    pub fn hold(&mut self, entries: u16) {
        if self.is_enabled() {
            self.set(self.control | FUNCTION_MASK);
            for entry in 0..entries {
                self.window.store(vector_control(entry), MASKED);
            }
        }
    }

    /// Programs an entry, while MSI-X is off or held.
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
        self.window.store(vector_control(entry), 0);
    }

    /// Turns MSI-X off, so that a later driver finds no entry live.
    pub fn disable(&mut self) {
        if self.is_enabled() {
            self.set(self.control & !(ENABLE | FUNCTION_MASK));
        }
    }

    /// Turns MSI-X on; entries that are masked stay so.
    pub fn enable(&mut self) {
        self.set((self.control & !FUNCTION_MASK) | ENABLE);
    }

    fn set(&mut self, control: u16) {
        let size = if mutated!(self.space.hal(), M187) { TABLE_SIZE } else { 0 };
        self.space.store(self.message_control, control | size);
        self.control = control;
    }
}

fn vector_control(entry: u16) -> Register<u32> {
    Register::at(entry * ENTRY + CONTROL)
}
