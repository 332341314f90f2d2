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

#[cfg(test)]
mod tests {
    use super::Bars;
    use crate::Access;

    const ONES: u64 = 0xffff_ffff;

    fn load(bars: &mut Bars, index: u16, value: u64) {
        bars.take(0x10 + 4 * index, Access::Load { width: 4, value });
    }

    fn store(bars: &mut Bars, index: u16, value: u64) {
        bars.take(0x10 + 4 * index, Access::Store { width: 4, value });
    }

    /// Ports in BAR1, and 16 KiB above 4 GiB in BAR4 and BAR5.
    fn placed() -> Bars {
        let mut bars = Bars::default();
        for (index, found, answer) in [(1, 0xc041, 0xffc1), (4, 0xfe00_000c, 0xffff_c00c)] {
            load(&mut bars, index, found);
            store(&mut bars, index, ONES);
            load(&mut bars, index, answer);
            store(&mut bars, index, found);
        }
        load(&mut bars, 5, 2);
        bars
    }

    #[test]
    fn a_64_bit_register_is_where_both_halves_say() {
        let bars = placed();
        let places: Vec<_> = bars.placed().collect();
        assert_eq!(places, [(1, 0xc040, 0x40), (4, 0x2_fe00_0000, 0x4000)]);
        assert_eq!((bars.address(5), bars.size(5)), (None, None));
        assert_eq!([1, 4, 5].map(|index| bars.is_wide(index)), [false, true, false]);
        assert_eq!([0, 4, 5].map(|index| bars.is_upper(index)), [false, false, true]);
        assert_eq!([1, 4, 0].map(|index| bars.is_io(index)), [Some(true), Some(false), None]);
        assert!((0..6).all(|index| !bars.is_moved(index)));
    }

    #[test]
    fn all_ones_are_no_place() {
        for probed in [4, 5] {
            let mut bars = placed();
            store(&mut bars, probed, ONES);
            assert_eq!(bars.address(4), None, "BAR{probed}");
            assert_eq!(bars.address(1), Some(0xc040));
        }
    }

    #[test]
    fn more_than_4_gib_are_in_the_upper_half() {
        let mut bars = Bars::default();
        for (index, answer) in [(0, 0x4), (1, 0xffff_fffe)] {
            store(&mut bars, index, ONES);
            load(&mut bars, index, answer);
        }
        assert_eq!((bars.size(0), bars.size(1)), (Some(2 << 32), None));
    }

    #[test]
    fn either_half_moves_it() {
        for (index, value) in [(4, 0xfd00_000c), (5, 3)] {
            let mut bars = placed();
            store(&mut bars, index, value);
            assert!(bars.is_moved(4) && !bars.is_moved(1), "BAR{index}");
        }
    }

    #[test]
    fn what_is_no_whole_register_is_none() {
        let mut bars = placed();
        bars.take(0x14, Access::Store { width: 2, value: 0 });
        assert_eq!(bars.address(1), Some(0xc040));
        assert_eq!(
            [0x0c, 0x10, 0x12, 0x24, 0x28].map(Bars::index),
            [None, Some(0), None, Some(5), None]
        );
    }
}
