//! The memory map that a PVH loader gives: which physical memory is RAM.

use core::ops::Range;

use crate::ranges::{Full, RangeSet};

/// Most entries that are looked at; more are refused.
pub const MAX_ENTRIES: usize = 64;

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = 24;

/// The type of usable RAM; all other types are reserved, each in its way.
const RAM: u32 = 1;

/// `struct hvm_memmap_table_entry` of the PVH ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Physical address.
    pub address: u64,
    /// Bytes; loaders pad the table with entries of size 0.
    pub size: u64,
    /// 1 is RAM, as in the E820 map.
    pub kind: u32,
}

impl Entry {
    /// Reads an entry as it lies in memory.
    pub fn from_bytes(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let (words, _) = bytes.as_chunks();
        let word = |at| words.get(at).map_or(0, |&word| u64::from_le_bytes(word));
        Self { address: word(0), size: word(1), kind: word(2) as u32 }
    }

    /// The addresses; an entry that wraps ends at the last address.
    fn range(&self) -> Range<u64> {
        self.address..self.address.saturating_add(self.size)
    }
}

/// The RAM of a machine, by physical address.
#[derive(Clone, Copy, Default)]
pub struct Ram {
    ranges: RangeSet<MAX_ENTRIES>,
}

impl Ram {
    /// None.
    pub const fn new() -> Self {
        Self { ranges: RangeSet::new() }
    }

    /// The addresses that some entry calls RAM and none calls anything else.
    ///
    /// # Errors
    /// [`Full`]: more entries than [`MAX_ENTRIES`].
    pub fn from_entries(entries: impl Iterator<Item = Entry> + Clone) -> Result<Self, Full> {
        let mut ranges = RangeSet::new();
        for ram in entries.clone().filter(|entry| entry.kind == RAM) {
            ranges.insert(ram.range())?;
        }
        for reserved in entries.filter(|entry| entry.kind != RAM) {
            ranges.remove(&reserved.range())?;
        }
        Ok(Self { ranges })
    }

    /// Bytes of RAM.
    pub fn total(&self) -> u64 {
        self.ranges.total()
    }

    /// Whether all of `addresses` is RAM.
    pub fn contains(&self, addresses: &Range<u64>) -> bool {
        self.ranges.contains(addresses)
    }

    /// Whether any of `addresses` is RAM.
    pub fn overlaps(&self, addresses: &Range<u64>) -> bool {
        self.ranges.overlaps(addresses)
    }

    /// The RAM in whole pages of `page` bytes from `floor` on, in ascending order.
    pub fn pages(&self, page: u64, floor: u64) -> impl Iterator<Item = Range<u64>> {
        self.ranges
            .iter()
            .map(move |range| {
                let start = range.start.max(floor).checked_next_multiple_of(page);
                start.unwrap_or(u64::MAX)..range.end / page * page
            })
            .filter(|range| !range.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::{ENTRY_BYTES, Entry, MAX_ENTRIES, Ram};

    const MIB: u64 = 1 << 20;

    fn ram(entries: &[(u64, u64, u32)]) -> Ram {
        let entries = entries.iter().map(|&(address, size, kind)| Entry { address, size, kind });
        Ram::from_entries(entries).unwrap_or_else(|full| panic!("{full}"))
    }

    fn pages(ram: &Ram) -> Vec<(u64, u64)> {
        ram.pages(2 * MIB, MIB).map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn an_entry_is_read_field_by_field() {
        let mut bytes = [0; ENTRY_BYTES];
        bytes[..8].copy_from_slice(&0x1_0000_0000_u64.to_le_bytes());
        bytes[8..16].copy_from_slice(&0x2000_u64.to_le_bytes());
        bytes[16..20].copy_from_slice(&1_u32.to_le_bytes());
        let entry = Entry { address: 0x1_0000_0000, size: 0x2000, kind: 1 };
        assert_eq!(Entry::from_bytes(&bytes), entry);
    }

    #[test]
    fn the_map_of_a_pc_gives_whole_pages_above_the_low_megabyte() {
        let ram = ram(&[
            (0, 0x9FC00, 1),
            (0x9FC00, 0x400, 2),
            (0xF0000, 0x10000, 2),
            (MIB, 63 * MIB - 0x20000, 1),
            (64 * MIB - 0x20000, 0x20000, 2),
            (0xFFFC_0000, 0x40000, 2),
        ]);
        assert_eq!(pages(&ram), [(2 * MIB, 62 * MIB)]);
        assert_eq!(ram.total(), 63 * MIB - 0x20000 + 0x9FC00);
    }

    #[test]
    fn what_any_entry_reserves_is_not_ram() {
        let ram = ram(&[(4 * MIB, 8 * MIB, 2), (0, 32 * MIB, 1), (20 * MIB, 1, 3)]);
        assert_eq!(pages(&ram), [(2 * MIB, 4 * MIB), (12 * MIB, 20 * MIB), (22 * MIB, 32 * MIB)]);
        assert!(ram.overlaps(&(3 * MIB..5 * MIB)));
        assert!(!ram.overlaps(&(4 * MIB..12 * MIB)));
        assert!(ram.contains(&(2 * MIB..4 * MIB)));
    }

    #[test]
    fn empty_and_wrapping_entries_do_no_harm() {
        let ram = ram(&[(0, 0, 0), (2 * MIB, 4 * MIB, 1), (u64::MAX - 1, u64::MAX, 1), (0, 0, 0)]);
        assert_eq!(pages(&ram), [(2 * MIB, 6 * MIB)]);
        assert!(pages(&Ram::from_entries([].into_iter()).unwrap_or_else(|_| panic!())).is_empty());
    }

    #[test]
    fn more_separate_ranges_than_fit_are_refused() {
        let entry = |i: usize| Entry { address: i as u64 * 2 * MIB, size: MIB, kind: 1 };
        assert!(Ram::from_entries((0..MAX_ENTRIES).map(entry)).is_ok());
        assert!(Ram::from_entries((0..=MAX_ENTRIES).map(entry)).is_err());
    }
}
