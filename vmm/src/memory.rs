//! The guest's physical address space: where RAM lies, and what the guest is told of it.

use std::ops::Range;

use vm_memory::{GuestAddress, GuestMemoryMmap};

use crate::Error;

/// The least RAM that a machine can have.
pub const MIN_SIZE: u64 = 16 << 20;

/// The most RAM that a machine can have.
pub const MAX_SIZE: u64 = 64 << 30;

/// RAM is a multiple of this, so that 2 MiB pages cover it.
pub const GRANULE: u64 = 2 << 20;

/// RAM of a machine that does not ask for another amount.
pub const DEFAULT_SIZE: u64 = 64 << 20;

/// RAM below 4 GiB ends here at the latest; above it lie the PCI window, the I/O APIC, the
/// local APIC and the pages that KVM takes for itself.
const LOW_END: u64 = 3 << 30;

/// RAM that has no room below [`LOW_END`] goes on here.
const HIGH_START: u64 = 4 << 30;

/// From here to [`FIRST_MIB`] a PC has its extended BIOS data, video memory and ROMs.
const LEGACY_START: u64 = 0x9_FC00;

/// Where RAM goes on after the legacy hole.
const FIRST_MIB: u64 = 1 << 20;

/// Why an amount of RAM is not possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SizeError {
    /// Less than [`MIN_SIZE`].
    #[error("a machine has at least 16 MiB of memory")]
    TooSmall,
    /// More than [`MAX_SIZE`].
    #[error("a machine has at most 64 GiB of memory")]
    TooLarge,
    /// Not a multiple of [`GRANULE`].
    #[error("memory is a multiple of 2 MiB")]
    NotWhole,
}

/// Whether a machine can have `size` bytes of RAM.
pub fn check_size(size: u64) -> Result<(), SizeError> {
    if size < MIN_SIZE {
        Err(SizeError::TooSmall)
    } else if size > MAX_SIZE {
        Err(SizeError::TooLarge)
    } else if !size.is_multiple_of(GRANULE) {
        Err(SizeError::NotWhole)
    } else {
        Ok(())
    }
}

/// The ranges that hold RAM, ascending.
pub(crate) fn ram(size: u64) -> Vec<Range<u64>> {
    let low = 0..size.min(LOW_END);
    let high = HIGH_START..HIGH_START + size.saturating_sub(LOW_END);
    [low, high].into_iter().filter(|range| !range.is_empty()).collect()
}

/// The ranges of RAM that the memory map gives the guest to use, ascending.
///
/// RAM in the legacy hole exists, but no guest expects it there.
pub fn usable(size: u64) -> Vec<Range<u64>> {
    let mut ranges = ram(size);
    if let Some(low) = ranges.first_mut() {
        low.start = FIRST_MIB;
    }
    ranges.insert(0, 0..LEGACY_START);
    ranges
}

/// Reserves `size` bytes of RAM; a page costs nothing until it is touched.
pub fn create(size: u64) -> Result<GuestMemoryMmap<()>, Error> {
    check_size(size).map_err(Error::MemorySize)?;
    let ranges: Vec<_> = ram(size)
        .into_iter()
        .map(|range| {
            let len = usize::try_from(range.end - range.start).expect("usize has 64 bits here");
            (GuestAddress(range.start), len)
        })
        .collect();
    GuestMemoryMmap::from_ranges(&ranges).map_err(|source| Error::Memory { size, source })
}

#[cfg(test)]
mod tests {
    use vm_memory::{GuestMemoryBackend, GuestMemoryRegion};

    use super::*;

    #[test]
    fn ram_goes_around_the_pci_window() {
        let ram = |size| ram(size).into_iter().map(|r| (r.start, r.end)).collect::<Vec<_>>();
        assert_eq!(ram(64 << 20), [(0, 64 << 20)]);
        assert_eq!(ram(3 << 30), [(0, 3 << 30)]);
        assert_eq!(ram(5 << 30), [(0, 3 << 30), (4 << 30, 6 << 30)]);
    }

    #[test]
    fn the_memory_map_leaves_out_the_legacy_hole() {
        assert_eq!(usable(16 << 20), [0..0x9FC00, 1 << 20..16 << 20]);
        assert_eq!(usable(4 << 30), [0..0x9FC00, 1 << 20..3 << 30, 4 << 30..5 << 30]);
    }

    #[test]
    fn sizes_out_of_range_are_refused_by_name() {
        assert_eq!(check_size(0), Err(SizeError::TooSmall));
        assert_eq!(check_size(MIN_SIZE - 1), Err(SizeError::TooSmall));
        assert_eq!(check_size(MIN_SIZE), Ok(()));
        assert_eq!(check_size(MIN_SIZE + 1), Err(SizeError::NotWhole));
        assert_eq!(check_size(MAX_SIZE), Ok(()));
        assert_eq!(check_size(u64::MAX), Err(SizeError::TooLarge));
    }

    #[test]
    fn the_most_ram_can_be_reserved_without_touching_it() {
        let memory = create(MAX_SIZE).unwrap();
        assert_eq!(memory.iter().map(GuestMemoryRegion::len).sum::<u64>(), MAX_SIZE);
    }
}
