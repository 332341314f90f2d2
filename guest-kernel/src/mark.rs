//! What the guest says of itself at the debug mark: what no access to a device shows.
//!
//! With `marks=on` a run stores a word to a port that does nothing else: where a phase begins, and
//! what a judge of the drivers cannot see. The kind is in bits 31:28, its number in the others.

use core::ops::Range;

/// The debug mark's port.
pub const PORT: u16 = 0xE0;

/// Bytes of a page, by whose number it is marked.
const PAGE: u64 = 4096;

/// The phases of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Phase {
    /// The scenario begins.
    Begin = 1,
    /// The PCI bus is scanned.
    Scan = 2,
    /// Devices are started.
    Start = 3,
    /// They are used.
    Work = 4,
    /// They are reset, and their memory is released.
    Close = 5,
    /// The scenario is over, whatever came of it.
    End = 6,
}

/// A phase begins.
pub const fn phase(phase: Phase) -> u32 {
    phase as u32
}

/// What was written before is durable, a driver tells its caller.
pub const fn durable(number: u32) -> u32 {
    word(2, number)
}

/// A request ended with an error, which a driver tells its caller.
pub const fn failed(number: u32) -> u32 {
    word(3, number)
}

/// A page of DMA memory was released: no device may know of it any more.
pub const fn released(frame: u64) -> u32 {
    // DMA memory is in the low TiB.
    word(1, frame as u32)
}

/// The numbers of the pages that hold `size` bytes at a physical address.
pub fn frames(address: u64, size: usize) -> Range<u64> {
    address / PAGE..(address + size as u64).div_ceil(PAGE)
}

const fn word(kind: u32, number: u32) -> u32 {
    kind << 28 | number & 0x0fff_ffff
}

/// How often a driver told something; the numbers of its marks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told(u32);

impl Told {
    /// It is told once more: the number of that, from 0 on.
    pub fn tell(&mut self) -> u32 {
        let number = self.0;
        self.0 = number.wrapping_add(1);
        number
    }
}

#[cfg(test)]
mod tests {
    use super::{Told, durable, failed, frames, released};

    #[test]
    fn every_page_that_holds_a_byte_has_its_number() {
        assert_eq!(frames(0x5000, 1), 5..6);
        assert_eq!(frames(0x5fff, 2), 5..7);
        assert_eq!(frames(0x5000, 0x2000), 5..7);
        assert_eq!(released(5), 0x1000_0005);
    }

    #[test]
    fn a_mark_has_a_kind_and_a_running_number() {
        let mut told = Told::default();
        assert_eq!([told.tell(), told.tell()].map(durable), [0x2000_0000, 0x2000_0001]);
        assert_eq!(failed(0xf000_0001), 0x3000_0001);
    }
}
