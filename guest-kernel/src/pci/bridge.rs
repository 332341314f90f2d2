//! PCI-to-PCI bridges: bus numbers and windows (PCI-to-PCI Bridge 1.2, 3.2.5).

use core::ops::Range;

use super::{Command, ConfigSpace, config::COMMAND};
use crate::{hal::Hal, register::Register};

const PRIMARY_BUS: Register<u8> = Register::at(0x18);
const SECONDARY_BUS: Register<u8> = Register::at(0x19);
const SUBORDINATE_BUS: Register<u8> = Register::at(0x1a);
/// Bits 7:4 are address bits 15:12; bits 3:0 tell whether there are upper 16 bits.
const IO_BASE: Register<u8> = Register::at(0x1c);
const IO_LIMIT: Register<u8> = Register::at(0x1d);
/// Bits 15:4 are address bits 31:20.
const MEMORY_BASE: Register<u16> = Register::at(0x20);
const MEMORY_LIMIT: Register<u16> = Register::at(0x22);
const PREFETCHABLE_BASE: Register<u16> = Register::at(0x24);
const PREFETCHABLE_LIMIT: Register<u16> = Register::at(0x26);
const PREFETCHABLE_BASE_UPPER: Register<u32> = Register::at(0x28);
const PREFETCHABLE_LIMIT_UPPER: Register<u32> = Register::at(0x2c);

/// What a window of ports begins and ends at a multiple of.
pub const IO_UNIT: u64 = 0x1000;
/// What a window of memory begins and ends at a multiple of.
pub const MEMORY_UNIT: u64 = 0x10_0000;

/// The numbers of the buses behind a bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Buses {
    /// The bus right behind it.
    pub secondary: u8,
    /// The last bus behind it.
    pub subordinate: u8,
}

impl Buses {
    pub(super) fn load<H: Hal>(space: &ConfigSpace<H>) -> Self {
        let secondary = space.load(SECONDARY_BUS);
        Self { secondary, subordinate: space.load(SUBORDINATE_BUS) }
    }

    /// Whether someone has numbered them. Bus 0 is behind no bridge.
    pub fn are_numbered(self) -> bool {
        self.secondary != 0 && self.secondary <= self.subordinate
    }
}

/// Gives a bridge its bus numbers; what is behind it answers to them from then on.
pub(super) fn number<H: Hal>(space: &ConfigSpace<H>, buses: Buses) {
    space.store(PRIMARY_BUS, space.address().bus);
    space.store(SUBORDINATE_BUS, buses.subordinate);
    space.store(SECONDARY_BUS, buses.secondary);
}

/// The addresses that a bridge passes on; empty where the window is shut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Ports.
    pub ports: Range<u64>,
    /// Memory below 4 GiB.
    pub memory: Range<u64>,
    /// Memory that may be prefetched.
    pub prefetchable: Range<u64>,
}

impl Windows {
    /// Loads the windows. One that begins at 0 was opened by no one.
    pub fn load<H: Hal>(space: &ConfigSpace<H>) -> Self {
        let io = |register| u64::from(space.load::<u8>(register) & 0xf0) << 8;
        let memory = |register| u64::from(space.load::<u16>(register) & 0xfff0) << 16;
        let upper = |register| u64::from(space.load::<u32>(register)) << 32;
        Self {
            ports: window(io(IO_BASE), io(IO_LIMIT), IO_UNIT),
            memory: window(memory(MEMORY_BASE), memory(MEMORY_LIMIT), MEMORY_UNIT),
            prefetchable: window(
                upper(PREFETCHABLE_BASE_UPPER) | memory(PREFETCHABLE_BASE),
                upper(PREFETCHABLE_LIMIT_UPPER) | memory(PREFETCHABLE_LIMIT),
                MEMORY_UNIT,
            ),
        }
    }

    /// Opens the window of ports: `range` is not empty, below 64 KiB, and whole units.
    pub fn open_ports<H: Hal>(&mut self, space: &ConfigSpace<H>, range: Range<u64>) {
        let bits = |address: u64| (address >> 8) as u8 & 0xf0;
        space.store(IO_BASE, bits(range.start));
        space.store(IO_LIMIT, bits(range.end - 1));
        self.ports = range;
    }

    /// Opens the window of memory: `range` is not empty, below 4 GiB, and whole units.
    pub fn open_memory<H: Hal>(&mut self, space: &ConfigSpace<H>, range: Range<u64>) {
        let bits = |address: u64| (address >> 16) as u16 & 0xfff0;
        space.store(MEMORY_BASE, bits(range.start));
        space.store(MEMORY_LIMIT, bits(range.end - 1));
        self.memory = range;
    }
}

/// From the start of the first unit to the end of the last; empty if that comes before.
fn window(first: u64, last: u64, unit: u64) -> Range<u64> {
    match last.checked_add(unit) {
        Some(end) if first != 0 && first <= last => first..end,
        _ => 0..0,
    }
}

/// Has a bridge pass on accesses to `spaces`, and the functions behind it be bus masters if
/// `spaces` says so; stores only what is missing.
pub(super) fn forward<H: Hal>(space: &ConfigSpace<H>, spaces: Command) {
    let held = Command::from_bits_retain(space.load(COMMAND));
    if !held.contains(spaces) {
        space.store(COMMAND, (held | spaces).bits());
    }
}
