use std::ops::Range;

/// What kind of range a base address register places (PCI 3.0, 6.2.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BarKind {
    /// I/O ports.
    Io,
    /// I/O ports, with only the 16 address bits that a PC has implemented.
    Io16,
    /// Memory below 4 GiB.
    Memory32,
    /// Prefetchable memory anywhere; takes two registers.
    Memory64,
}

impl BarKind {
    /// Whether it places I/O ports.
    pub fn is_io(self) -> bool {
        matches!(self, BarKind::Io | BarKind::Io16)
    }

    /// How many registers of 32 bits it takes.
    pub(super) fn registers(self) -> u8 {
        if self == BarKind::Memory64 { 2 } else { 1 }
    }

    /// The low bits that say what kind it is, which are read-only.
    pub(super) fn flags(self) -> u64 {
        match self {
            BarKind::Io | BarKind::Io16 => 0x1,
            BarKind::Memory32 => 0x0,
            BarKind::Memory64 => 0xc,
        }
    }

    /// The bits that are no address.
    pub(super) fn flags_mask(self) -> u64 {
        if self.is_io() { 0x3 } else { 0xf }
    }

    /// The sizes that there are: 6.2.5.1 gives I/O at most 256 ports, and memory at
    /// least 16 bytes.
    pub(super) fn sizes(self) -> Range<u64> {
        match self {
            BarKind::Io | BarKind::Io16 => 4..257,
            BarKind::Memory32 => 16..(1 << 31) + 1,
            BarKind::Memory64 => 16..(1 << 63) + 1,
        }
    }

    /// The address bits that a register of this kind has.
    pub(super) fn implemented(self) -> u64 {
        match self {
            BarKind::Io16 => 0xffff,
            BarKind::Io | BarKind::Memory32 => 0xffff_ffff,
            BarKind::Memory64 => u64::MAX,
        }
    }
}

/// A base address register that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bar {
    pub(super) index: u8,
    pub(super) kind: BarKind,
    pub(super) size: u64,
}
