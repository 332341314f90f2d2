//! DMA memory of a machine whose RAM lies in this process.

use std::collections::BTreeMap;

/// First address to size of what is allocated, out of one range.
#[derive(Default)]
pub struct DmaMap {
    allocated: BTreeMap<u64, usize>,
}

impl DmaMap {
    /// Guest-physical, and not where the test process has it: a driver that
    /// confuses the two fails at its first request.
    const START: u64 = 0x10_0000;

    /// The first free place of that size and alignment below `end`; `None` when the size is 0,
    /// the alignment no power of two, or memory short.
    pub fn allocate(&mut self, size: usize, align: usize, end: u64) -> Option<u64> {
        if size == 0 || !align.is_power_of_two() {
            return None;
        }
        let mut at = Self::START;
        for (&start, &length) in &self.allocated {
            if at.next_multiple_of(align as u64).checked_add(size as u64)? <= start {
                break;
            }
            at = start + length as u64;
        }
        let at = at.next_multiple_of(align as u64);
        (at.checked_add(size as u64)? <= end).then(|| {
            self.allocated.insert(at, size);
            at
        })
    }

    /// Takes back what was allocated.
    ///
    /// # Panics
    /// It was not, or with another size.
    pub fn release(&mut self, address: u64, size: usize) {
        let released = self.allocated.remove(&address);
        assert_eq!(released, Some(size), "released what was not allocated so");
    }

    /// Whether any of the page of this number is allocated.
    pub fn holds(&self, frame: u64) -> bool {
        let below = self.allocated.range(..(frame + 1) * 4096).next_back();
        below.is_some_and(|(&start, &size)| start + size as u64 > frame * 4096)
    }

    /// Bytes that are allocated now.
    pub fn allocated(&self) -> usize {
        self.allocated.values().sum()
    }
}
