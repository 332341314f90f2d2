//! MCFG: where configuration space is memory (PCI Firmware 3.0, 4.1.2).

use alloc::vec::Vec;

use super::{Error, number};

pub(super) const SIGNATURE: [u8; 4] = *b"MCFG";

/// Reserved bytes behind the header, and the bytes of one allocation.
const RESERVED: usize = 8;
const ALLOCATION: usize = 16;
/// Most windows that are taken.
const WINDOWS: usize = 16;
/// Configuration space of one bus: 32 devices of 8 functions of 4 KiB.
const BUS_BYTES: u64 = 1 << 20;

/// A window of memory-mapped configuration space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ecam {
    /// Physical address of bus 0, whether or not the window begins there.
    pub base: u64,
    /// The PCI segment group.
    pub segment: u16,
    /// The first bus.
    pub first: u8,
    /// The last bus.
    pub last: u8,
}

/// The windows of a table.
pub(super) fn read(table: &[u8]) -> Result<Vec<Ecam>, Error> {
    let allocations = table.get(RESERVED..).unwrap_or_default();
    let entries = allocations.chunks_exact(ALLOCATION);
    if !entries.remainder().is_empty() || table.len() < RESERVED {
        let offset = table.len() - entries.remainder().len();
        return Err(Error::Entry { signature: SIGNATURE, offset });
    }
    if entries.len() > WINDOWS {
        return Err(Error::TooManyEntries { signature: SIGNATURE, limit: WINDOWS });
    }
    entries.map(window).collect()
}

fn window(entry: &[u8]) -> Result<Ecam, Error> {
    let base = number::<8>(entry, 0);
    let (first, last) = (number::<1>(entry, 10) as u8, number::<1>(entry, 11) as u8);
    let end = base.checked_add((u64::from(last) + 1) * BUS_BYTES);
    if base == 0 || !base.is_multiple_of(BUS_BYTES) || end.is_none() || first > last {
        return Err(Error::Ecam { base, first, last });
    }
    Ok(Ecam { base, segment: number::<2>(entry, 8) as u16, first, last })
}
