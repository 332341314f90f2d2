//! Tables of indirect descriptors (VIRTIO 1.4, 2.7.5.3 and 2.8.7).

use alloc::vec::Vec;

use super::{DESC, INDIRECT, NEXT, PAGE, Segment, WRITE};
use crate::{
    dma::{DmaBuffer, DmaError},
    hal::Hal,
    mutant::mutated,
};

/// The most segments that a table holds.
const MAX_SEGMENTS: u16 = 128;

/// How the descriptors of a table stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// A chain by NEXT flags (2.7.5.3).
    Linked,
    /// All of the table, in order; WRITE is the only flag (2.8.7).
    Whole,
}

/// One table for each id, in pages that are allocated when the first is needed, and kept.
#[derive(Debug)]
pub(super) struct Tables<H: Hal> {
    hal: H,
    pages: Vec<Option<DmaBuffer<H>>>,
    order: Order,
    /// Segments of a table.
    capacity: usize,
}

impl<H: Hal> Tables<H> {
    /// For the ids of a queue of `size`.
    pub(super) fn new(hal: &H, size: u16, order: Order) -> Self {
        let capacity = usize::from(size.min(MAX_SEGMENTS));
        let count = usize::from(size).div_ceil(per_page(capacity));
        Self { hal: hal.clone(), pages: (0..count).map(|_| None).collect(), order, capacity }
    }

    /// Whether a chain takes a table: one of a single segment has no use for it.
    pub(super) fn serves(&self, segments: usize) -> bool {
        (2..=self.capacity).contains(&segments)
    }

    /// Writes the table of an id that no chain has: what the one descriptor names.
    pub(super) fn store(&mut self, id: u16, segments: &[Segment]) -> Result<Segment, DmaError> {
        let tables = per_page(self.capacity);
        let page = &mut self.pages[usize::from(id) / tables];
        let page = match page {
            Some(page) => page,
            None => page.insert(DmaBuffer::new(&self.hal, PAGE, PAGE)?),
        };
        let base = usize::from(id) % tables * self.capacity * DESC;
        for (position, segment) in segments.iter().enumerate() {
            let at = base + DESC * position;
            let last = position + 1 == segments.len();
            let flags = if segment.device_writes { WRITE } else { 0 };
            let flags = flags | if mutated!(page.hal(), M166) { INDIRECT } else { 0 };
            page.store(at, segment.address);
            page.store(at + 8, segment.len);
            // Behind address and length: flags and `next`, or buffer ID and flags.
            let [third, fourth] = match self.order {
                Order::Linked if last => [flags, 0],
                Order::Linked => [flags | NEXT, position as u16 + 1],
                // The buffer ID is in the ring, and reserved here.
                Order::Whole => [0, flags],
            };
            page.store(at + 12, third);
            page.store(at + 14, fourth);
        }
        // At most `MAX_SEGMENTS`, so it fits.
        let len = (DESC * segments.len()) as u32;
        Ok(Segment { address: page.address() + base as u64, len, device_writes: false })
    }

    /// Gives the pages up for good: see [`DmaBuffer::abandon`].
    pub(super) fn abandon(&mut self) {
        self.pages.iter_mut().flatten().for_each(DmaBuffer::abandon);
    }
}

/// Tables of one page, which holds at least two of [`MAX_SEGMENTS`].
fn per_page(capacity: usize) -> usize {
    PAGE / (capacity * DESC)
}
