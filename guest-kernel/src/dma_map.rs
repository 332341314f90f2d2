//! Which DMA memory is in use: each allocation with its size and alignment.
//!
//! The frames below know only what is free. What comes back must be what was given.

use crate::sorted::SortedMap;

/// Memory was given back that is not in use like that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Given back twice, or never given.
    #[error("nothing is allocated at {0:#x}")]
    NotAllocated(u64),
    /// Given with another size or alignment.
    #[error(
        "{size} bytes aligned to {align} at {address:#x} were allocated as {allocated_size} \
         aligned to {allocated_align}"
    )]
    Otherwise {
        /// Physical address.
        address: u64,
        /// Bytes that come back.
        size: usize,
        /// Their alignment.
        align: usize,
        /// Bytes that were given.
        allocated_size: usize,
        /// Their alignment.
        allocated_align: usize,
    },
}

/// The allocations that are in use, by physical address.
#[derive(Debug, Default)]
pub struct DmaMap {
    live: SortedMap<u64, (usize, usize)>,
}

impl DmaMap {
    /// Nothing is in use.
    pub const fn new() -> Self {
        Self { live: SortedMap::new() }
    }

    /// Keeps in mind what was given.
    pub fn allocated(&mut self, address: u64, size: usize, align: usize) {
        self.live.insert(address, (size, align));
    }

    /// Forgets what comes back.
    ///
    /// # Errors
    /// [`Refused`]; it is still in use.
    pub fn release(&mut self, address: u64, size: usize, align: usize) -> Result<(), Refused> {
        let &allocated = self.live.get(&address).ok_or(Refused::NotAllocated(address))?;
        if allocated != (size, align) {
            let (allocated_size, allocated_align) = allocated;
            return Err(Refused::Otherwise {
                address,
                size,
                align,
                allocated_size,
                allocated_align,
            });
        }
        self.live.remove(&address);
        Ok(())
    }

    /// Bytes that are in use.
    pub fn in_use(&self) -> usize {
        self.live.values().map(|(size, _)| size).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::{DmaMap, Refused};

    #[test]
    fn what_is_in_use_is_counted_until_it_comes_back() {
        let mut map = DmaMap::new();
        map.allocated(0x1000, 100, 16);
        map.allocated(0x2000, 4096, 4096);
        assert_eq!(map.in_use(), 4196);
        assert_eq!(map.release(0x1000, 100, 16), Ok(()));
        assert_eq!(map.in_use(), 4096);
    }

    #[test]
    fn defect_22_memory_comes_back_once_and_as_it_was_given() {
        let mut map = DmaMap::new();
        map.allocated(0x1000, 100, 16);
        for (size, align) in [(99, 16), (101, 16), (100, 8), (4096, 4096), (0, 1)] {
            let refused = map.release(0x1000, size, align);
            let (address, allocated_size, allocated_align) = (0x1000, 100, 16);
            let otherwise =
                Refused::Otherwise { address, size, align, allocated_size, allocated_align };
            assert_eq!(refused, Err(otherwise));
        }
        assert_eq!(map.release(0x1008, 100, 16), Err(Refused::NotAllocated(0x1008)));
        assert_eq!(map.release(0x1000, 100, 16), Ok(()));
        assert_eq!(map.release(0x1000, 100, 16), Err(Refused::NotAllocated(0x1000)));
        assert_eq!(map.in_use(), 0);
    }
}
