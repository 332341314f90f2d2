//! The frame allocator: physical memory in pieces of 4 KiB.

use core::ops::Range;

use crate::ranges::{Full, RangeSet};

/// Bytes of a frame.
pub const FRAME: u64 = 4096;

/// Into how many pieces free memory may be cut.
const PIECES: usize = 512;

/// Which end of memory an allocation is taken from.
///
/// DMA memory comes from the low end and all else from the high end, so that
/// the addresses that a device is told of do not depend on the size of the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The lowest frames that fit.
    Low,
    /// The highest frames that fit.
    High,
}

/// Frames were released that are not allocated: freed twice, or never memory of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{count} frame(s) at {address:#x} released that are not allocated")]
pub struct NotAllocated {
    /// Physical address of the first frame.
    pub address: u64,
    /// Frames.
    pub count: u64,
}

/// The frames of a machine, free and allocated.
#[derive(Default)]
pub struct Frames {
    /// All frames that were ever given, by frame number.
    all: RangeSet<PIECES>,
    /// Those that are free.
    free: RangeSet<PIECES>,
    /// Allocations that are not yet released.
    live: usize,
}

impl Frames {
    /// No frames at all.
    pub const fn new() -> Self {
        Self { all: RangeSet::new(), free: RangeSet::new(), live: 0 }
    }

    /// Takes the whole frames of a range of physical addresses under management.
    ///
    /// # Errors
    /// [`Full`]: memory is in more pieces than can be managed.
    pub fn add(&mut self, addresses: Range<u64>) -> Result<(), Full> {
        let frames = addresses.start.div_ceil(FRAME)..addresses.end / FRAME;
        self.all.insert(frames.clone())?;
        self.free.insert(frames)
    }

    /// Bytes that are free.
    pub fn free(&self) -> u64 {
        self.free.total() * FRAME
    }

    /// Allocates `count` contiguous frames at a multiple of `align` bytes; the physical address.
    ///
    /// `None` when `count` is 0, `align` is no power of two, or nothing fits.
    pub fn allocate(&mut self, count: u64, align: u64, end: End) -> Option<u64> {
        // Each live allocation may come back as a piece of its own: keep room for it,
        // and for the piece that this allocation may cut off.
        if count == 0 || !align.is_power_of_two() || self.free.len() + self.live + 2 > PIECES {
            return None;
        }
        let align = (align / FRAME).max(1);
        let lowest = |piece: Range<u64>| {
            let start = piece.start.checked_next_multiple_of(align)?;
            (start.checked_add(count)? <= piece.end).then_some(start)
        };
        let highest = |piece: Range<u64>| {
            let start = piece.end.checked_sub(count)? / align * align;
            (start >= piece.start).then_some(start)
        };
        let start = match end {
            End::Low => self.free.iter().find_map(lowest),
            End::High => self.free.iter().rev().find_map(highest),
        }?;
        self.free.remove(&(start..start + count)).ok()?;
        self.live += 1;
        Some(start * FRAME)
    }

    /// Gives the `count` frames of one allocation back.
    ///
    /// # Errors
    /// [`NotAllocated`]; nothing was released.
    pub fn release(&mut self, address: u64, count: u64) -> Result<(), NotAllocated> {
        let refused = NotAllocated { address, count };
        let start = address / FRAME;
        let frames = start..start.checked_add(count).ok_or(refused)?;
        let allocated = count > 0 && self.all.contains(&frames) && !self.free.overlaps(&frames);
        if !address.is_multiple_of(FRAME) || !allocated {
            return Err(refused);
        }
        self.free.insert(frames).map_err(|Full| refused)?;
        self.live = self.live.saturating_sub(1);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{End, FRAME, Frames, NotAllocated, PIECES};

    /// Sixteen frames from 1 MiB on.
    fn sixteen() -> Frames {
        let mut frames = Frames::new();
        frames.add(0x10_0000..0x11_0000).unwrap();
        frames
    }

    #[test]
    fn allocations_come_from_the_end_that_was_asked_for() {
        let mut frames = sixteen();
        assert_eq!(frames.allocate(1, 1, End::Low), Some(0x10_0000));
        assert_eq!(frames.allocate(2, 1, End::Low), Some(0x10_1000));
        assert_eq!(frames.allocate(3, 1, End::High), Some(0x10_D000));
        assert_eq!(frames.free(), 10 * FRAME);
    }

    #[test]
    fn an_alignment_is_kept_at_both_ends() {
        let mut frames = sixteen();
        assert_eq!(frames.allocate(1, 1, End::Low), Some(0x10_0000));
        assert_eq!(frames.allocate(1, 0x4000, End::Low), Some(0x10_4000));
        assert_eq!(frames.allocate(1, 0x8000, End::High), Some(0x10_8000));
        assert_eq!(frames.allocate(1, 16, End::Low), Some(0x10_1000));
    }

    #[test]
    fn absurd_requests_are_refused() {
        let mut frames = sixteen();
        assert_eq!(frames.allocate(0, 1, End::Low), None);
        assert_eq!(frames.allocate(1, 0, End::Low), None);
        assert_eq!(frames.allocate(1, 3, End::Low), None);
        assert_eq!(frames.allocate(17, 1, End::Low), None);
        assert_eq!(frames.allocate(u64::MAX, 1, End::Low), None);
        assert_eq!(frames.allocate(u64::MAX, 1, End::High), None);
        assert_eq!(frames.allocate(1, 1 << 63, End::High), None);
        assert_eq!(frames.free(), 16 * FRAME);
    }

    #[test]
    fn a_range_counts_only_its_whole_frames() {
        let mut frames = Frames::new();
        frames.add(0x800..0x2800).unwrap();
        frames.add(0x5001..0x5fff).unwrap();
        assert_eq!(frames.free(), FRAME);
        assert_eq!(frames.allocate(1, 1, End::Low), Some(0x1000));
    }

    #[test]
    fn released_frames_are_allocated_again() {
        let mut frames = sixteen();
        let first = frames.allocate(16, 1, End::Low).unwrap();
        assert_eq!(frames.allocate(1, 1, End::Low), None);
        frames.release(first, 16).unwrap();
        assert_eq!(frames.allocate(16, 1, End::High), Some(first));
    }

    #[test]
    fn what_is_not_allocated_cannot_be_released() {
        let mut frames = sixteen();
        let address = frames.allocate(2, 1, End::Low).unwrap();
        frames.release(address, 2).unwrap();
        for (address, count) in [
            (address, 2),
            (0x10_8000, 1),
            (0, 1),
            (0x10_0001, 1),
            (0x10_F000, 2),
            (0x10_0000, 0),
            (!0xfff, u64::MAX),
        ] {
            assert_eq!(frames.release(address, count), Err(NotAllocated { address, count }));
        }
        assert_eq!(frames.free(), 16 * FRAME);
    }

    #[test]
    fn defect_15_frames_of_one_allocation_lie_next_to_each_other() {
        let mut frames = sixteen();
        let taken: Vec<_> = (0..16).map(|_| frames.allocate(1, 1, End::Low).unwrap()).collect();
        // Nine are free, never more than two of them side by side.
        for at in [0, 2, 3, 5, 7, 8, 10, 12, 13] {
            frames.release(taken[at], 1).unwrap();
        }
        for end in [End::Low, End::High] {
            assert_eq!(frames.allocate(3, 1, end), None, "{end:?}");
        }
        assert_eq!(frames.allocate(2, 1, End::Low), Some(taken[2]));
        assert_eq!(frames.allocate(2, 1, End::High), Some(taken[12]));
    }

    #[test]
    fn defect_17_an_alignment_above_a_page_is_kept() {
        for end in [End::Low, End::High] {
            for align in [0x1000, 0x2000, 0x4000, 0x8000] {
                let mut frames = sixteen();
                // What is free begins and ends at odd frames.
                frames.allocate(1, 1, End::Low).unwrap();
                frames.allocate(1, 1, End::High).unwrap();
                let address = frames.allocate(1, align, end).unwrap();
                assert!(address.is_multiple_of(align), "{address:#x} for {align:#x}");
            }
        }
    }

    #[test]
    fn defect_21_sizes_that_cannot_be_are_refused() {
        let mut frames = sixteen();
        for count in [0, 17, u64::MAX / FRAME, u64::MAX - 0x100, u64::MAX] {
            for (align, end) in [(1, End::Low), (0x4000, End::Low), (1, End::High)] {
                assert_eq!(frames.allocate(count, align, end), None, "{count:#x}");
            }
        }
        assert_eq!(frames.free(), 16 * FRAME);
        assert_eq!(frames.allocate(16, 1, End::Low), Some(0x10_0000));
    }

    #[test]
    fn defect_22_frames_are_released_once() {
        let mut frames = sixteen();
        let first = frames.allocate(2, 1, End::Low).unwrap();
        let second = frames.allocate(2, 1, End::Low).unwrap();
        frames.release(first, 2).unwrap();
        for (address, count) in [(first, 2), (first + FRAME, 1), (first, 4), (first + FRAME, 2)] {
            assert_eq!(frames.release(address, count), Err(NotAllocated { address, count }));
        }
        // Nobody else was given what the second allocation has.
        assert_eq!(frames.allocate(4, 1, End::Low), Some(second + 2 * FRAME));
    }

    #[test]
    fn defect_24_what_is_in_use_is_given_to_nobody_else() {
        let mut frames = Frames::new();
        // In two pieces; a kernel's image and its page tables would lie between.
        frames.add(0x10_0000..0x11_0000).unwrap();
        frames.add(0x14_0000..0x14_8000).unwrap();
        let mut live: Vec<(u64, u64)> = Vec::new();
        for round in 0..400_u64 {
            let (count, end) = (1 + round % 3, [End::Low, End::High][round as usize % 2]);
            match frames.allocate(count, FRAME, end) {
                Some(start) => {
                    let piece = start..start + count * FRAME;
                    let inside = |range: core::ops::Range<u64>| {
                        range.start <= piece.start && piece.end <= range.end
                    };
                    assert!(inside(0x10_0000..0x11_0000) || inside(0x14_0000..0x14_8000));
                    let apart = |&(other, count): &(u64, u64)| {
                        piece.end <= other || other + count * FRAME <= piece.start
                    };
                    assert!(live.iter().all(apart), "{piece:x?} among {live:x?}");
                    live.push((start, count));
                }
                None => {
                    let (start, count) = live.swap_remove(round as usize % live.len());
                    frames.release(start, count).unwrap();
                }
            }
        }
    }

    #[test]
    fn everything_that_was_allocated_can_be_released_in_any_order() {
        let mut frames = Frames::new();
        frames.add(0..4096 * FRAME).unwrap();
        let mut allocated = Vec::new();
        while let Some(address) = frames.allocate(1, 1, End::Low) {
            allocated.push(address);
        }
        assert!(allocated.len() >= PIECES / 2);
        let (even, odd): (Vec<_>, Vec<_>) =
            allocated.into_iter().partition(|address| (address / FRAME).is_multiple_of(2));
        for address in even.into_iter().chain(odd) {
            frames.release(address, 1).unwrap();
        }
        assert_eq!(frames.free(), 4096 * FRAME);
    }
}
