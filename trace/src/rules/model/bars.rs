use crate::Access;
use crate::register::ConfigHeader;

/// The base address registers of a function, as their driver knows them (PCI 3.0, 6.2.5.1).
#[derive(Clone, Copy, Debug, Default)]
pub struct Bars {
    registers: [Bar; 6],
}

/// One base address register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bar {
    /// What it was last loaded as, or was stored to it, but for the probe and its answer.
    pub value: Option<u32>,
    /// All ones were stored to it, and nothing else since.
    pub probed: bool,
    /// The answer to all ones, when that was last asked for.
    pub answer: Option<u32>,
    /// Whether it was given another value than it was found with.
    pub moved: bool,
}

impl Bars {
    /// Which register an access of 4 bytes at `offset` is to.
    pub fn index(offset: u16) -> Option<usize> {
        let inside = offset.checked_sub(ConfigHeader::Bar0.offset())?;
        (inside < 24 && inside.is_multiple_of(4)).then_some(usize::from(inside / 4))
    }

    /// Whether storing this asks for the size: no BAR can be placed there. The type bits do not
    /// matter.
    pub fn is_probe(value: u32) -> bool {
        value >= 0xffff_fff0
    }

    /// The register `index`; one that nobody accessed, above 5.
    pub fn get(&self, index: usize) -> Bar {
        self.registers.get(index).copied().unwrap_or_default()
    }

    /// Whether the register is of I/O space, if that is known.
    pub fn is_io(&self, index: usize) -> Option<bool> {
        self.kind(index).map(|kind| kind & 1 != 0)
    }

    /// Whether the register is the lower half of a 64-bit one, as far as is known.
    pub fn is_wide(&self, index: usize) -> bool {
        index < 5
            && !self.is_upper(index)
            && self.kind(index).is_some_and(|kind| kind & 0b111 == 0b100)
    }

    /// Whether the register is the upper half of the one before, as far as is known.
    pub fn is_upper(&self, index: usize) -> bool {
        index > 0 && self.is_wide(index - 1)
    }

    /// Where it is, if that is known.
    pub fn address(&self, index: usize) -> Option<u64> {
        let bar = self.get(index);
        if bar.probed || self.is_upper(index) {
            return None;
        }
        let value = bar.value?;
        let low = u64::from(value & !flags(value));
        if !self.is_wide(index) {
            return Some(low);
        }
        let upper = self.get(index + 1);
        (!upper.probed).then_some(u64::from(upper.value?) << 32 | low)
    }

    /// The bytes that it claims, if it was asked; 0: it is not implemented.
    pub fn size(&self, index: usize) -> Option<u64> {
        if self.is_upper(index) {
            return None;
        }
        let answer = self.get(index).answer?;
        let low = u64::from(answer & !flags(answer));
        let bits = match low {
            0 if self.is_wide(index) => u64::from(self.get(index + 1).answer?) << 32,
            low => low,
        };
        Some(bits & bits.wrapping_neg())
    }

    /// Each implemented register with its address and size, where both are known.
    pub fn placed(&self) -> impl Iterator<Item = (usize, u64, u64)> {
        (0..6).filter_map(|index| {
            let (address, size) = (self.address(index)?, self.size(index)?);
            (size != 0).then_some((index, address, size))
        })
    }

    /// Whether a driver has placed it: one that it only puts back is where it was found.
    pub fn is_moved(&self, index: usize) -> bool {
        self.get(index).moved || self.is_wide(index) && self.get(index + 1).moved
    }

    /// What the low bits say it is.
    fn kind(&self, index: usize) -> Option<u32> {
        let bar = self.get(index);
        bar.value.or(bar.answer)
    }

    pub(super) fn take(&mut self, offset: u16, access: Access) {
        let Some(index) = Self::index(offset).filter(|_| access.width() == 4) else { return };
        let fixed = if self.is_upper(index) { 0 } else { self.kind(index).map_or(0, flags) };
        let kind = self.kind(index).unwrap_or(0);
        let (bar, value) = (&mut self.registers[index], access.value() as u32);
        match access.is_store() {
            true if Self::is_probe(value) => (bar.probed, bar.answer) = (true, None),
            true => {
                let value = value & !fixed | kind & fixed;
                bar.moved |= bar.value.is_some_and(|found| found != value);
                (bar.probed, bar.value) = (false, Some(value));
            }
            false if bar.probed => bar.answer = Some(value),
            false => bar.value = Some(value),
        }
    }
}

/// The bits that are no address.
fn flags(value: u32) -> u32 {
    if value & 1 != 0 { 0b11 } else { 0b1111 }
}
