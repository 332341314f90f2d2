//! The guest's memory as KVM has it: in slots, with holes where accesses are to be seen.
//!
//! What the guest does to its own memory never leaves the processor, unless there is no
//! slot at the address: then every access is an exit, and the machine carries it out. In a
//! read-only slot only stores are. That is by whole pages, so whatever else lies in such a
//! page is carried out here too; but a page that holds code or page tables cannot be a
//! hole, for KVM fetches neither through an exit.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
    sync::Arc,
};

use eclipse_devices::watch::{Watch, Watching};
use eclipse_trace::MemoryKind;
use kvm_bindings::{KVM_MEM_READONLY, kvm_userspace_memory_region};
use kvm_ioctls::{Cap, VmFd};
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap, GuestMemoryRegion};

use crate::Error;

/// Slots are cut at multiples of this.
const PAGE: u64 = 4096;

/// What a guest says of more pages than this is not listened to.
const MAX_LIMITS: usize = 1 << 12;

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

/// What a KVM can do for whom it hides memory from.
#[derive(Clone, Copy, Debug)]
struct Ability {
    /// It has read-only slots; a hole serves as well, with more exits.
    read_only: bool,
    /// So many pieces can be cut out of RAM, and what is more stays free.
    pieces: usize,
}

/// The guest's RAM in slots.
pub(crate) struct Slots {
    vm: Arc<VmFd>,
    memory: GuestMemoryMmap<()>,
    kvm: Ability,
    watches: Vec<Watch>,
    /// What pages can be at most, for what lies there.
    limits: Vec<(Range<u64>, Reach)>,
    slots: Vec<Slot>,
}

impl Slots {
    /// Gives the RAM to the virtual machine, one slot for each region.
    pub fn new(vm: Arc<VmFd>, memory: GuestMemoryMmap<()>) -> Result<Self, Error> {
        let slots = vm.check_extension_int(Cap::NrMemslots);
        // Each piece that is cut out takes another slot for what comes behind it.
        let pieces = usize::try_from(slots / 2).unwrap_or(0).saturating_sub(memory.num_regions());
        let kvm = Ability { read_only: vm.check_extension(Cap::ReadonlyMem), pieces };
        let (watches, limits, slots) = (Vec::new(), Vec::new(), Vec::new());
        let mut slots = Self { vm, memory, kvm, watches, limits, slots };
        slots.apply(&[])?;
        Ok(slots)
    }

    /// Whether a guest can be watched so: with holes alone a page with code or page tables
    /// could not be, and who asks to see stores does not ask for that.
    pub fn check(&self, watching: Watching) -> Result<(), Error> {
        check(watching, self.kvm)
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

    /// Notes what memory is for, as far as anybody says so.
    ///
    /// KVM fetches instructions from a read-only slot, but not through an exit. It cannot set
    /// bits of page tables in one, nor push there for an interrupt: accesses to such pages are
    /// not seen, for the guest is to run as it does without.
    pub fn note(&mut self, kind: MemoryKind, range: Range<u64>) -> Result<(), Error> {
        let limit = match kind {
            MemoryKind::Ram => return Ok(()),
            MemoryKind::Text => Reach::ReadOnly,
            MemoryKind::PageTable | MemoryKind::Stack => Reach::Free,
        };
        let limit = (range, limit);
        if self.limits.len() == MAX_LIMITS || self.limits.contains(&limit) {
            return Ok(());
        }
        self.limits.push(limit);
        match self.watches.is_empty() {
            true => Ok(()),
            false => self.apply(&self.watches.clone()),
        }
    }

    /// Whether an access that the guest left for is one to its own memory.
    pub fn hold(&self, address: u64) -> bool {
        // Without a watch there is nothing to search.
        if self.watches.is_empty() {
            return false;
        }
        let after = self.slots.partition_point(|(_, piece)| piece.range.start <= address);
        let slot = after.checked_sub(1).and_then(|at| self.slots.get(at));
        slot.is_some_and(|(_, piece)| piece.reach != Reach::Free && piece.range.contains(&address))
    }

    fn apply(&mut self, watches: &[Watch]) -> Result<(), Error> {
        let region = |region: &<GuestMemoryMmap<()> as GuestMemoryBackend>::R| {
            let start = region.start_addr().0;
            start..start + region.len()
        };
        let regions: Vec<_> = self.memory.iter().map(region).collect();
        let Change { gone, new, all } =
            change(&self.slots, cut(&regions, watches, &self.limits, self.kvm));
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

fn check(watching: Watching, kvm: Ability) -> Result<(), Error> {
    match watching.is_on() && !kvm.read_only {
        true => Err(Error::Lacks { capability: "KVM_CAP_READONLY_MEM" }),
        false => Ok(()),
    }
}

/// The fewest pieces of `regions` in which every page is reached as `watches` want it and
/// `limits` allow.
fn cut(
    regions: &[Range<u64>],
    watches: &[Watch],
    limits: &[(Range<u64>, Reach)],
    kvm: Ability,
) -> Vec<Piece> {
    let mut runs = runs(watches, limits, kvm.read_only);
    runs.truncate(kvm.pieces);
    let mut pieces: Vec<Piece> = Vec::new();
    for region in regions {
        let mut start = region.start;
        let mut push = |end: u64, reach: Reach| {
            let range = start.max(region.start)..end.min(region.end);
            if !range.is_empty() {
                start = range.end;
                pieces.push(Piece { range, reach });
            }
        };
        for Piece { range, reach } in &runs {
            push(range.start, Reach::Free);
            if range.end > region.start && range.start < region.end {
                push(range.end, *reach);
            }
        }
        push(region.end, Reach::Free);
    }
    pieces
}

/// How often a page is wanted so, or allowed so, from an address on.
#[derive(Clone, Copy, Debug, Default)]
struct Wishes {
    hole: i32,
    read_only: i32,
    /// It cannot be a hole.
    no_hole: i32,
    /// It has to be free.
    free: i32,
}

impl Wishes {
    fn reach(self) -> Reach {
        match self {
            Self { free: 1.., .. } => Reach::Free,
            Self { hole: 1.., no_hole: 0, .. } => Reach::Hole,
            Self { hole: 0, read_only: 0, .. } => Reach::Free,
            _ => Reach::ReadOnly,
        }
    }
}

/// The runs of pages that the guest does not reach by itself, ascending.
fn runs(watches: &[Watch], limits: &[(Range<u64>, Reach)], read_only: bool) -> Vec<Piece> {
    let mut edges = BTreeMap::<u64, Wishes>::new();
    let mut edge = |range: &Range<u64>, wish: fn(&mut Wishes) -> &mut i32| {
        if !range.is_empty() {
            let end = range.end.checked_next_multiple_of(PAGE).unwrap_or(u64::MAX);
            *wish(edges.entry(range.start / PAGE * PAGE).or_default()) += 1;
            *wish(edges.entry(end).or_default()) -= 1;
        }
    };
    for Watch { range, loads } in watches {
        match *loads || !read_only {
            true => edge(range, |wishes| &mut wishes.hole),
            false => edge(range, |wishes| &mut wishes.read_only),
        }
    }
    for (range, limit) in limits {
        match limit {
            Reach::Free => edge(range, |wishes| &mut wishes.free),
            Reach::ReadOnly => edge(range, |wishes| &mut wishes.no_hole),
            Reach::Hole => {}
        }
    }
    let (mut runs, mut wishes): (Vec<Piece>, _) = (Vec::new(), Wishes::default());
    let mut before = 0;
    for (&at, change) in &edges {
        let reach = wishes.reach();
        match runs.last_mut() {
            _ if reach == Reach::Free => {}
            Some(last) if last.reach == reach && last.range.end == before => last.range.end = at,
            _ => runs.push(Piece { range: before..at, reach }),
        }
        wishes.hole += change.hole;
        wishes.read_only += change.read_only;
        wishes.no_hole += change.no_hole;
        wishes.free += change.free;
        before = at;
    }
    runs
}

/// How `slots` become `wanted`: what is the same in both stays as it is. Both ascend.
fn change(slots: &[Slot], wanted: Vec<Piece>) -> Change {
    let stays = |piece: &Piece| {
        let at = wanted.binary_search_by_key(&piece.range.start, |piece| piece.range.start);
        at.is_ok_and(|at| wanted[at] == *piece)
    };
    let (kept, gone): (Vec<Slot>, Vec<Slot>) =
        slots.iter().cloned().partition(|(_, piece)| stays(piece));
    let taken: HashSet<u32> = kept.iter().map(|(number, _)| *number).collect();
    let mut free = (0..).filter(|number| !taken.contains(number));
    let mut kept = kept.into_iter().peekable();
    let mut change = Change { gone, ..Change::default() };
    for piece in wanted {
        if let Some(slot) = kept.next_if(|(_, same)| *same == piece) {
            change.all.push(slot);
        } else {
            let slot = (free.next().expect("there are as many numbers as pages"), piece);
            change.new.push(slot.clone());
            change.all.push(slot);
        }
    }
    change
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
