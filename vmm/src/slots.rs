//! The guest's memory as KVM has it: in slots, with holes where accesses are to be seen.
//!
//! What the guest does to its own memory never leaves the processor, unless there is no
//! slot at the address: then every access is an exit, and the machine carries it out. In a
//! read-only slot only stores are. That is by whole pages, so whatever else lies in such a
//! page is carried out here too; but a page that holds code or page tables cannot be a
//! hole, for KVM fetches neither through an exit.

use std::{ops::Range, sync::Arc};

use eclipse_devices::watch::{Watch, Watching};
use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::{Cap, VmFd};
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

use crate::Error;

/// Slots are cut at multiples of this.
const PAGE: u64 = 4096;

/// How the guest reaches a piece of its memory; of two wishes for a page the greater counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Reach {
    /// By itself.
    Free,
    /// It loads by itself, and leaves for a store.
    ReadOnly,
    /// It leaves for every access.
    Hole,
}

/// A range of RAM, and how the guest reaches it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    range: Range<u64>,
    reach: Reach,
}

/// A piece, and its number among KVM's slots, which a hole only keeps free.
type Slot = (u32, Piece);

/// What has to be done to KVM's slots.
#[derive(Debug, Default, PartialEq, Eq)]
struct Change {
    gone: Vec<Slot>,
    new: Vec<Slot>,
    /// All there are afterwards.
    all: Vec<Slot>,
}

/// The guest's RAM in slots.
pub(crate) struct Slots {
    vm: Arc<VmFd>,
    memory: GuestMemoryMmap<()>,
    /// Whether KVM has read-only slots; a hole serves as well, with more exits.
    read_only: bool,
    watches: Vec<Watch>,
    slots: Vec<Slot>,
}

impl Slots {
    /// Gives the RAM to the virtual machine, one slot for each region.
    pub fn new(vm: Arc<VmFd>, memory: GuestMemoryMmap<()>) -> Result<Self, Error> {
        let read_only = vm.check_extension(Cap::ReadonlyMem);
        let mut slots = Self { vm, memory, read_only, watches: Vec::new(), slots: Vec::new() };
        slots.apply(&[])?;
        Ok(slots)
    }

    /// Whether a guest can be watched so: with holes alone a page with code or page tables
    /// could not be, and who asks to see stores does not ask for that.
    pub fn check(&self, watching: Watching) -> Result<(), Error> {
        check(watching, self.read_only)
    }

    /// Has the guest leave for its accesses to `watches` from now on, and for no others.
    ///
    /// The processor must not be running.
    pub fn watch(&mut self, watches: &[Watch]) -> Result<(), Error> {
        if self.watches != watches {
            self.apply(watches)?;
            self.watches = watches.to_vec();
        }
        Ok(())
    }

    /// Whether an access that the guest left for is one to its own memory.
    pub fn hold(&self, address: u64) -> bool {
        let intercepted =
            |(_, piece): &Slot| piece.reach != Reach::Free && piece.range.contains(&address);
        // Without a watch there is nothing to search.
        !self.watches.is_empty() && self.slots.iter().any(intercepted)
    }

    fn apply(&mut self, watches: &[Watch]) -> Result<(), Error> {
        let region = |region: &<GuestMemoryMmap<()> as GuestMemoryBackend>::R| {
            let start = region.start_addr().0;
            start..start + region.len()
        };
        let regions: Vec<_> = self.memory.iter().map(region).collect();
        let Change { gone, new, all } = change(&self.slots, cut(&regions, watches, self.read_only));
        // Slots may not overlap, so the old ones go first.
        for slot in &gone {
            self.set(slot, false)?;
        }
        for slot in &new {
            self.set(slot, true)?;
        }
        self.slots = all;
        Ok(())
    }

    /// Creates a slot, or deletes it.
    fn set(&self, (number, piece): &Slot, exists: bool) -> Result<(), Error> {
        let Piece { range, reach } = piece;
        if *reach == Reach::Hole {
            return Ok(());
        }
        let start = self.memory.get_host_address(GuestAddress(range.start));
        let region = kvm_userspace_memory_region {
            slot: *number,
            flags: if *reach == Reach::ReadOnly { KVM_MEM_READONLY } else { 0 },
            guest_phys_addr: range.start,
            memory_size: if exists { range.end - range.start } else { 0 },
            userspace_addr: start.expect("a piece of RAM is in RAM") as u64,
        };
        // SAFETY: the piece lies in one region of `memory`, which stays mapped as long as
        // `self`, and the processor runs only as long as the board that has `self`: so KVM
        // never reaches memory that was given back.
        unsafe { self.vm.set_user_memory_region(region) }
            .map_err(Error::kvm("give RAM to the guest"))
    }
}

fn check(watching: Watching, read_only: bool) -> Result<(), Error> {
    match watching.is_on() && !read_only {
        true => Err(Error::Lacks { capability: "KVM_CAP_READONLY_MEM" }),
        false => Ok(()),
    }
}

/// The fewest pieces of `regions` in which every page is reached as `watches` want it.
fn cut(regions: &[Range<u64>], watches: &[Watch], read_only: bool) -> Vec<Piece> {
    let pages = |watch: &Watch| {
        let end = watch.range.end.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
        watch.range.start / PAGE * PAGE..end
    };
    let wanted: Vec<_> = watches
        .iter()
        .filter(|watch| !watch.range.is_empty())
        .map(|watch| {
            let hole = watch.loads || !read_only;
            (pages(watch), if hole { Reach::Hole } else { Reach::ReadOnly })
        })
        .collect();
    let mut pieces: Vec<Piece> = Vec::new();
    for region in regions {
        let mut edges = vec![region.start, region.end];
        edges.extend(wanted.iter().flat_map(|(range, _)| [range.start, range.end]));
        edges.retain(|edge| (region.start..=region.end).contains(edge));
        edges.sort_unstable();
        edges.dedup();
        for (&start, &end) in edges.iter().zip(&edges[1..]) {
            let covers = |(range, _): &&(Range<u64>, Reach)| range.contains(&start);
            let reach = wanted.iter().filter(covers).map(|(_, reach)| *reach).max();
            let reach = reach.unwrap_or(Reach::Free);
            match pieces.last_mut() {
                // Two regions are two mappings, even if one follows the other.
                Some(last) if last.reach == reach && start != region.start => last.range.end = end,
                _ => pieces.push(Piece { range: start..end, reach }),
            }
        }
    }
    pieces
}

/// How `slots` become `wanted`: what is the same in both stays as it is.
fn change(slots: &[Slot], wanted: Vec<Piece>) -> Change {
    let (kept, gone): (Vec<Slot>, Vec<Slot>) =
        slots.iter().cloned().partition(|(_, piece)| wanted.contains(piece));
    let mut free = (0..).filter(|number| kept.iter().all(|(taken, _)| taken != number));
    let mut change = Change { gone, ..Change::default() };
    for piece in wanted {
        if let Some(slot) = kept.iter().find(|(_, same)| *same == piece) {
            change.all.push(slot.clone());
        } else {
            let slot = (free.next().expect("there are as many numbers as pages"), piece);
            change.new.push(slot.clone());
            change.all.push(slot);
        }
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAM: Range<u64> = 0..0x10_0000;

    fn watch(range: Range<u64>, loads: bool) -> Watch {
        Watch { range, loads }
    }

    fn pieces(watches: &[Watch]) -> Vec<(u64, u64, Reach)> {
        let all = cut(&[RAM, 0x20_0000..0x30_0000], watches, true);
        all.into_iter().map(|piece| (piece.range.start, piece.range.end, piece.reach)).collect()
    }

    const HIGH: (u64, u64, Reach) = (0x20_0000, 0x30_0000, Reach::Free);

    #[test]
    fn without_a_watch_a_region_is_one_piece() {
        assert_eq!(pieces(&[]), [(0, 0x10_0000, Reach::Free), HIGH]);
        assert_eq!(pieces(&[watch(0x5000..0x5000, true)]), [(0, 0x10_0000, Reach::Free), HIGH]);
    }

    #[test]
    fn a_hole_has_whole_pages_and_cuts_a_region_in_up_to_three() {
        let three = [
            (0, 0x5000, Reach::Free),
            (0x5000, 0x7000, Reach::Hole),
            (0x7000, 0x10_0000, Reach::Free),
            HIGH,
        ];
        assert_eq!(pieces(&[watch(0x5ffe..0x6001, true)]), three);
        let first = [(0, 0x1000, Reach::Hole), (0x1000, 0x10_0000, Reach::Free), HIGH];
        assert_eq!(pieces(&[watch(0..1, true)]), first);
        let last = [(0, 0xf_f000, Reach::Free), (0xf_f000, 0x10_0000, Reach::Hole), HIGH];
        assert_eq!(pieces(&[watch(0xf_ffff..0x10_0000, true)]), last);
    }

    #[test]
    fn what_touches_is_one_piece_and_of_two_wishes_the_greater_counts() {
        let watches = [
            watch(0x4000..0x4010, true),
            watch(0x5000..0x5010, true),
            watch(0x5800..0x6800, false),
        ];
        let expected = [
            (0, 0x4000, Reach::Free),
            (0x4000, 0x6000, Reach::Hole),
            (0x6000, 0x7000, Reach::ReadOnly),
            (0x7000, 0x10_0000, Reach::Free),
            HIGH,
        ];
        assert_eq!(pieces(&watches), expected);
        let reversed: Vec<_> = watches.into_iter().rev().collect();
        assert_eq!(pieces(&reversed), expected);
    }

    #[test]
    fn a_watch_outside_of_ram_changes_nothing_and_one_across_its_end_what_is_inside() {
        assert_eq!(pieces(&[watch(0x18_0000..0x18_1000, true)]), pieces(&[]));
        assert_eq!(pieces(&[watch(u64::MAX - 1..u64::MAX, true)]), pieces(&[]));
        let across = [
            (0, 0xf_f000, Reach::Free),
            (0xf_f000, 0x10_0000, Reach::Hole),
            (0x20_0000, 0x20_1000, Reach::Hole),
            (0x20_1000, 0x30_0000, Reach::Free),
        ];
        assert_eq!(pieces(&[watch(0xf_f800..0x20_0800, true)]), across);
    }

    #[test]
    fn neighbouring_regions_stay_apart() {
        let regions = [0..0x2000, 0x2000..0x4000];
        assert_eq!(cut(&regions, &[], true).len(), 2);
        let holes = cut(&regions, &[watch(0x1000..0x3000, true)], true);
        assert_eq!(holes.len(), 4, "{holes:?}");
    }

    #[test]
    fn without_read_only_slots_a_hole_shows_the_stores() {
        let stores = [watch(0x1000..0x2000, false)];
        let reach = |read_only| cut(&[RAM], &stores, read_only)[1].reach;
        assert_eq!((reach(true), reach(false)), (Reach::ReadOnly, Reach::Hole));
    }

    #[test]
    fn to_watch_takes_read_only_slots_and_nothing_else_does() {
        let refused = check(Watching::RINGS, false).unwrap_err();
        assert_eq!(refused.sentence(), "KVM here lacks KVM_CAP_READONLY_MEM; a newer Linux has it");
        assert!(check(Watching::RINGS, true).is_ok());
        assert!(check(Watching::default(), false).is_ok());
    }

    #[test]
    fn only_what_changes_is_set_again_and_numbers_are_not_taken_twice() {
        let regions = [RAM, 0x20_0000..0x30_0000];
        let cut = |watches: &[Watch]| cut(&regions, watches, true);
        let first = change(&[], cut(&[]));
        assert_eq!((first.gone.len(), first.new.len()), (0, 2));
        let second = change(&first.all, cut(&[watch(0x5000..0x6000, true)]));
        assert_eq!(second.gone, first.all[..1]);
        assert_eq!(second.new.len(), 3);
        assert_eq!(second.all.last(), first.all.last(), "the other region stays");
        let mut numbers: Vec<_> = second.all.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3]);
        let third = change(&second.all, cut(&[]));
        assert_eq!((third.gone.len(), third.new.len(), third.all.len()), (3, 1, 2));
        let again = change(&third.all, cut(&[]));
        assert_eq!((again.gone.len(), again.new.len()), (0, 0));
    }
}
