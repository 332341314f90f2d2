//! Sets of numbers, kept as disjoint ranges: what memory there is, what of it is free.

use core::ops::Range;

/// The set would need more ranges than it has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more separate ranges than there is room for")]
pub struct Full;

/// A set of `u64`, as at most `N` ranges in ascending order that neither overlap nor touch.
///
/// It allocates nothing, because the heap stands on it.
#[derive(Clone, Copy)]
pub struct RangeSet<const N: usize> {
    ranges: [(u64, u64); N],
    len: usize,
}

impl<const N: usize> Default for RangeSet<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> RangeSet<N> {
    /// The empty set.
    pub const fn new() -> Self {
        Self { ranges: [(0, 0); N], len: 0 }
    }

    /// The ranges, in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range<u64>> {
        self.ranges[..self.len].iter().map(|&(start, end)| start..end)
    }

    /// How many ranges there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no number is in the set.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many numbers are in the set.
    pub fn total(&self) -> u64 {
        self.iter().map(|range| range.end - range.start).sum()
    }

    /// Whether every number of `range` is in the set.
    pub fn contains(&self, range: &Range<u64>) -> bool {
        range.is_empty() || self.iter().any(|own| own.start <= range.start && range.end <= own.end)
    }

    /// Whether any number of `range` is in the set.
    pub fn overlaps(&self, range: &Range<u64>) -> bool {
        !range.is_empty() && self.iter().any(|own| own.start < range.end && range.start < own.end)
    }

    /// Adds the numbers of `range`, whether or not some are there already.
    ///
    /// # Errors
    /// [`Full`]; the set is as it was.
    pub fn insert(&mut self, range: Range<u64>) -> Result<(), Full> {
        if range.is_empty() {
            return Ok(());
        }
        let ranges = &self.ranges[..self.len];
        let first = ranges.partition_point(|own| own.1 < range.start);
        let last = ranges.partition_point(|own| own.0 <= range.end);
        // `first..last` are the ranges that overlap or touch the new one: one takes their place.
        let touching = &ranges[first..last];
        let start = touching.first().map_or(range.start, |own| own.0.min(range.start));
        let end = touching.last().map_or(range.end, |own| own.1.max(range.end));
        self.replace(first..last, &[(start, end)])
    }

    /// Takes the numbers of `range` out, whether or not all are there.
    ///
    /// # Errors
    /// [`Full`]; the set is as it was.
    pub fn remove(&mut self, range: &Range<u64>) -> Result<(), Full> {
        if range.is_empty() {
            return Ok(());
        }
        let ranges = &self.ranges[..self.len];
        let first = ranges.partition_point(|own| own.1 <= range.start);
        let last = ranges.partition_point(|own| own.0 < range.end);
        let (Some(left), Some(right)) = (ranges[first..last].first(), ranges[first..last].last())
        else {
            return Ok(());
        };
        let (before, after) = ((left.0, range.start), (range.end, right.1));
        match (before.0 < before.1, after.0 < after.1) {
            (true, true) => self.replace(first..last, &[before, after]),
            (true, false) => self.replace(first..last, &[before]),
            (false, true) => self.replace(first..last, &[after]),
            (false, false) => self.replace(first..last, &[]),
        }
    }

    /// Puts `new` in the place of the ranges with the indices `old`.
    fn replace(&mut self, old: Range<usize>, new: &[(u64, u64)]) -> Result<(), Full> {
        let len = self.len - old.len() + new.len();
        if len > N {
            return Err(Full);
        }
        let place = old.start + new.len();
        self.ranges.copy_within(old.end..self.len, place);
        self.ranges[old.start..place].copy_from_slice(new);
        self.len = len;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Full, RangeSet};

    fn set<const N: usize>(ranges: &[(u64, u64)]) -> RangeSet<N> {
        let mut set = RangeSet::new();
        for &(start, end) in ranges {
            set.insert(start..end).unwrap();
        }
        set
    }

    fn ranges<const N: usize>(set: &RangeSet<N>) -> Vec<(u64, u64)> {
        set.iter().map(|range| (range.start, range.end)).collect()
    }

    #[test]
    fn ranges_that_overlap_or_touch_become_one() {
        assert_eq!(ranges(&set::<4>(&[(10, 20), (0, 5), (30, 40)])), [(0, 5), (10, 20), (30, 40)]);
        assert_eq!(ranges(&set::<4>(&[(10, 20), (20, 30)])), [(10, 30)]);
        assert_eq!(ranges(&set::<4>(&[(10, 20), (5, 10)])), [(5, 20)]);
        assert_eq!(ranges(&set::<4>(&[(0, 5), (10, 20), (30, 40), (4, 35)])), [(0, 40)]);
        assert_eq!(ranges(&set::<4>(&[(10, 20), (12, 15), (7, 7)])), [(10, 20)]);
    }

    #[test]
    fn a_removal_trims_splits_or_deletes() {
        let mut numbers = set::<4>(&[(0, 10), (20, 30), (40, 50)]);
        numbers.remove(&(22..25)).unwrap();
        assert_eq!(ranges(&numbers), [(0, 10), (20, 22), (25, 30), (40, 50)]);
        numbers.remove(&(5..26)).unwrap();
        assert_eq!(ranges(&numbers), [(0, 5), (26, 30), (40, 50)]);
        numbers.remove(&(26..30)).unwrap();
        numbers.remove(&(60..70)).unwrap();
        numbers.remove(&(3..3)).unwrap();
        assert_eq!(ranges(&numbers), [(0, 5), (40, 50)]);
        assert_eq!(numbers.total(), 15);
    }

    #[test]
    fn a_full_set_says_so_and_stays_as_it_was() {
        let mut numbers = set::<2>(&[(0, 10), (20, 30)]);
        assert_eq!(numbers.insert(40..50), Err(Full));
        assert_eq!(numbers.remove(&(2..3)), Err(Full));
        assert_eq!(ranges(&numbers), [(0, 10), (20, 30)]);
        numbers.insert(10..20).unwrap();
        assert_eq!(ranges(&numbers), [(0, 30)]);
    }

    #[test]
    fn a_set_knows_what_it_contains_and_what_it_overlaps() {
        let numbers = set::<2>(&[(10, 20), (30, 40)]);
        assert!(numbers.contains(&(10..20)));
        assert!(!numbers.contains(&(15..35)));
        assert!(numbers.overlaps(&(19..31)));
        assert!(!numbers.overlaps(&(20..30)));
        assert!(!numbers.overlaps(&(12..12)));
    }

    #[test]
    fn any_order_of_changes_agrees_with_one_flag_per_number() {
        let mut numbers = RangeSet::<64>::new();
        let mut flags = [false; 100];
        let mut seed = 1_u64;
        for _ in 0..2000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let start = (seed >> 33) % 90;
            let end = start + (seed >> 50) % 10;
            let add = seed >> 63 == 1;
            if add {
                numbers.insert(start..end).unwrap();
            } else {
                numbers.remove(&(start..end)).unwrap();
            }
            flags[start as usize..end as usize].fill(add);
            for (number, &flag) in flags.iter().enumerate() {
                assert_eq!(numbers.contains(&(number as u64..number as u64 + 1)), flag);
            }
            assert!(ranges(&numbers).windows(2).all(|pair| pair[0].1 < pair[1].0));
        }
    }
}
