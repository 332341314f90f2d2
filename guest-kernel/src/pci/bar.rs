//! Base address registers: what they are and how large (PCI 3.0, 6.2.5.1).

use super::config::{BAR0, COMMAND, Command, ConfigSpace};
use crate::{hal::Hal, mutant::mutated, register::Register};

/// How many base address registers a type 0 header has.
pub const COUNT: usize = 6;

/// Bit 0: I/O space.
const SPACE_IO: u32 = 1 << 0;
/// Bits 2:1 of a memory BAR.
const TYPE: u32 = 0b110;
/// It is 64 bits wide.
const TYPE_64: u32 = 0b100;
/// Not defined.
const TYPE_RESERVED: u32 = 0b110;
/// What of an I/O BAR is not address.
const IO_BITS: u32 = 0b11;
/// What of a memory BAR is not address.
const MEMORY_BITS: u64 = 0b1111;

/// One base address register, understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Bar {
    /// Not implemented, or the upper half of the BAR before it.
    #[default]
    Absent,
    /// A range of memory.
    Memory {
        /// The physical address; 0: no one has placed it.
        base: u64,
        /// Bytes, a power of two.
        size: u64,
    },
    /// A range of I/O ports.
    Port {
        /// The first port; 0: no one has placed it.
        base: u32,
        /// Ports, a power of two.
        size: u32,
    },
}

impl Bar {
    /// Understands a 32-bit BAR by its value and by its answer to all ones.
    pub fn decode(value: u32, answer: u32) -> Self {
        if value & SPACE_IO != 0 {
            // The upper 16 bits may be hardwired to 0: the lowest writable bit tells the size.
            let writable = answer & !IO_BITS;
            return match lowest_bit(writable.into()) {
                0 => Self::Absent,
                size => Self::Port { base: value & !IO_BITS, size: size as u32 },
            };
        }
        // A 64-bit BAR without a register for its upper half is none.
        if value & TYPE == TYPE_RESERVED || is_wide(value) {
            return Self::Absent;
        }
        Self::memory(value.into(), answer.into())
    }

    /// Understands a 64-bit memory BAR, both halves joined.
    pub fn decode_64(value: u64, answer: u64) -> Self {
        Self::memory(value, answer)
    }

    /// Bytes, or ports; 0 of none.
    pub fn size(self) -> u64 {
        match self {
            Self::Absent => 0,
            Self::Memory { size, .. } => size,
            Self::Port { size, .. } => size.into(),
        }
    }

    /// The space that has to be decoded for it.
    pub(super) fn space(self) -> Command {
        match self {
            Self::Absent => Command::empty(),
            Self::Memory { .. } => Command::MEMORY,
            Self::Port { .. } => Command::IO,
        }
    }

    /// Whether it is implemented, and no one has placed it.
    pub fn is_unplaced(self) -> bool {
        matches!(self, Self::Memory { base: 0, .. } | Self::Port { base: 0, .. })
    }

    fn memory(value: u64, answer: u64) -> Self {
        match lowest_bit(answer & !MEMORY_BITS) {
            0 => Self::Absent,
            size => Self::Memory { base: value & !MEMORY_BITS, size },
        }
    }
}

/// The lowest bit that is set; 0 of 0.
fn lowest_bit(value: u64) -> u64 {
    value & value.wrapping_neg()
}

/// The six base address registers of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bars {
    raw: [u32; COUNT],
    bars: [Bar; COUNT],
}

impl Bars {
    /// Sizes the first `count` BARs with decoding off, and puts everything back.
    ///
    /// Answers with the command register as it was, and is again.
    pub(super) fn probe<H: Hal>(space: &ConfigSpace<H>, count: usize) -> (Command, Self) {
        let command = Command::from_bits_retain(space.load(COMMAND));
        // A BAR that decodes while all ones are in it answers to foreign addresses.
        let quiet = command - (Command::IO | Command::MEMORY);
        let quiet = if mutated!(space.hal(), M06) { command } else { quiet };
        space.store(COMMAND, quiet.bits());
        let mut found = Self::default();
        let mut index = 0;
        while index < count {
            let (value, answer) = probe_register(space, index);
            found.raw[index] = value;
            let upper = index + 1;
            if is_wide(value) && upper < count {
                let (value_high, answer_high) = match mutated!(space.hal(), M08 | M10) {
                    false => probe_register(space, upper),
                    true if mutated!(space.hal(), M08) => (0, u32::MAX),
                    true => (space.load(register(upper)), u32::MAX),
                };
                let answer_high = if mutated!(space.hal(), M11) { 0 } else { answer_high };
                found.raw[upper] = value_high;
                found.bars[index] =
                    Bar::decode_64(join(value_high, value), join(answer_high, answer));
                // The upper half is no BAR of its own.
                index = upper + 1;
            } else {
                found.bars[index] = match mutated!(space.hal(), M12) && value & SPACE_IO != 0 {
                    false => Bar::decode(value, answer),
                    true => Bar::Port {
                        base: value & !IO_BITS,
                        size: (answer & !IO_BITS).wrapping_neg(),
                    },
                };
                index = upper;
            }
        }
        space.store(COMMAND, command.bits());
        (command, found)
    }

    /// Gives a BAR an address, and keeps it; all of it, where it is 64 bits wide. Decoding is off.
    ///
    /// Answers with whether the function took it.
    pub(super) fn place<H: Hal>(&mut self, space: &ConfigSpace<H>, index: usize, to: u64) -> bool {
        let Some(bar) = self.bars.get_mut(index) else { return false };
        let old = self.raw[index];
        match bar {
            Bar::Absent => return false,
            Bar::Memory { base, .. } => *base = to,
            Bar::Port { base, .. } => *base = to as u32,
        }
        space.store(register(index), to as u32);
        let mut held = u64::from(space.load(register(index)));
        self.raw[index] = held as u32;
        if is_wide(old) && !mutated!(space.hal(), M08 | M10) {
            space.store(register(index + 1), (to >> 32) as u32);
            let high = space.load(register(index + 1));
            self.raw[index + 1] = high;
            held |= u64::from(high) << 32;
        }
        let flags = if old & SPACE_IO != 0 { u64::from(IO_BITS) } else { MEMORY_BITS };
        held & !flags == to
    }

    /// The BARs, in order.
    pub fn iter(&self) -> impl Iterator<Item = Bar> {
        self.bars.into_iter()
    }

    /// What the BAR register held, as it was loaded; `None` above 5.
    pub fn raw(&self, index: usize) -> Option<u32> {
        self.raw.get(index).copied()
    }

    /// The BAR; absent above 5.
    pub fn get(&self, index: usize) -> Bar {
        self.bars.get(index).copied().unwrap_or_default()
    }
}

/// Whether the register is the lower half of a 64-bit memory BAR.
fn is_wide(value: u32) -> bool {
    value & SPACE_IO == 0 && value & TYPE == TYPE_64
}

fn join(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn register(index: usize) -> Register<u32> {
    Register::at(BAR0.offset() + 4 * index as u16)
}

/// Loads one register, stores all ones, loads the answer, puts the value back.
fn probe_register<H: Hal>(space: &ConfigSpace<H>, index: usize) -> (u32, u32) {
    let register = register(index);
    let value = space.load(register);
    space.store(register, u32::MAX);
    let answer = space.load(register);
    if !mutated!(space.hal(), M07) {
        space.store(register, value);
    }
    (value, answer)
}
