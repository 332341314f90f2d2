//! The split virtqueue (VIRTIO 1.4, 2.7).

use core::sync::atomic::Ordering;

use super::{
    Areas, DESC, Error, INDIRECT, MAX_SIZE, NEXT, PAGE, Segment, Settings, Used, WRITE,
    chains::{Chains, FreeList},
    check,
    indirect::{Order, Tables},
};
use crate::{dma::DmaBuffer, hal::Hal, mutant::mutated};

/// The most descriptors that a split queue can have (2.7).
const LIMIT: u16 = 1 << 15;
/// Bytes of `struct virtq_used_elem`.
const USED_ELEMENT: usize = 8;
/// Where `idx` is in both rings, behind `flags`.
const INDEX: usize = 2;
/// Where the entries are, behind `idx`.
const RING: usize = 4;

/// `avail.flags`: the driver wants no interrupts.
const NO_INTERRUPT: u16 = 1;
/// `used.flags`: the device wants no notifications.
const NO_NOTIFY: u16 = 1;

/// Where the parts are, counted from the descriptor table (2.7, 2.7.2).
#[derive(Clone, Copy, Debug)]
struct Layout {
    avail: usize,
    used_event: usize,
    used: usize,
    avail_event: usize,
    /// Of whole pages.
    bytes: usize,
}

impl Layout {
    fn new(size: u16, legacy: bool) -> Self {
        let size = usize::from(size);
        let avail = DESC * size;
        let used_event = avail + RING + 2 * size;
        // 2.7.2: a legacy device has the used ring at the next multiple of `Queue Align`.
        let used = (used_event + 2).next_multiple_of(if legacy { PAGE } else { 4 });
        let avail_event = used + RING + USED_ELEMENT * size;
        Self {
            avail,
            used_event,
            used,
            avail_event,
            bytes: (avail_event + 2).next_multiple_of(PAGE),
        }
    }
}

/// A split virtqueue. A chain's id is the index of its first descriptor.
#[derive(Debug)]
pub struct SplitQueue<H: Hal> {
    memory: DmaBuffer<H>,
    layout: Layout,
    size: u16,
    free: FreeList,
    chains: Chains,
    /// With INDIRECT_DESC.
    tables: Option<Tables<H>>,
    event_idx: bool,
    /// `avail.idx`, which runs to 65535 and on to 0, whatever the size.
    avail_index: u16,
    /// `used.idx`, as far as it was followed.
    used_index: u16,
    /// Chains that the device may not have been notified of.
    unannounced: u32,
    interrupts: bool,
    /// `used_event`, as it was stored.
    used_event: u16,
}

impl<H: Hal> SplitQueue<H> {
    pub(super) fn new(hal: &H, settings: Settings) -> Result<Self, Error> {
        let size = if mutated!(hal, M65) { 24 } else { size(settings)? };
        let layout = Layout::new(size, settings.legacy);
        // Zeroed, as 2.7.10.1 wants used.flags to be.
        let mut memory = DmaBuffer::new(hal, layout.bytes, PAGE)?;
        if mutated!(hal, M83) {
            memory.fill(&alloc::vec![0xa5; layout.bytes]);
        }
        Ok(Self {
            memory,
            layout,
            size,
            free: FreeList::new(size),
            chains: Chains::new(size),
            tables: (settings.indirect || mutated!(hal, M115))
                .then(|| Tables::new(hal, size, Order::Linked)),
            event_idx: settings.event_idx,
            avail_index: 0,
            used_index: 0,
            unannounced: 0,
            interrupts: true,
            used_event: 0,
        })
    }

    pub(super) fn areas(&self) -> Areas {
        let at = |offset| self.memory.address() + offset as u64;
        // What a clause does not allow, the device may refuse: then it is not enabled.
        let desc = if mutated!(self.memory.hal(), M74) { 8 } else { 0 };
        let driver = if mutated!(self.memory.hal(), M75) { 1 } else { 0 };
        let device = if mutated!(self.memory.hal(), M76) { 2 } else { 0 };
        Areas {
            desc: at(desc),
            driver: at(self.layout.avail + driver),
            device: match mutated!(self.memory.hal(), M176) {
                false => at(self.layout.used + device),
                true => at(self.layout.avail + RING),
            },
        }
    }

    pub(super) fn size(&self) -> u16 {
        self.size
    }

    pub(super) fn fits(&self, segments: usize) -> bool {
        let takes = if self.takes_table(segments) { 1 } else { segments };
        (1..=usize::from(self.free.len())).contains(&takes) || mutated!(self.memory.hal(), M120)
    }

    pub(super) fn next_id(&self) -> Option<u16> {
        self.free.first()
    }

    pub(super) fn outstanding(&self) -> u16 {
        self.chains.outstanding()
    }

    fn takes_table(&self, segments: usize) -> bool {
        self.tables.as_ref().is_some_and(|tables| tables.serves(segments))
    }

    /// VIRTIO 1.4, 2.7.13: the descriptors, the entry of the ring, the index.
    pub(super) fn submit(&mut self, segments: &[Segment]) -> Result<u16, Error> {
        if !mutated!(self.memory.hal(), M106 | M107 | M112) {
            check(segments, self.size)?;
        }
        if mutated!(self.memory.hal(), M120) && usize::from(self.free.len()) < segments.len() {
            self.free = FreeList::new(self.size);
        }
        let Some(head) = self.free.first().filter(|_| self.fits(segments.len())) else {
            return Err(Error::Full);
        };
        if mutated!(self.memory.hal(), M88) {
            self.memory.store(self.layout.avail + INDEX, self.avail_index.wrapping_add(1));
        }
        match &mut self.tables {
            Some(tables) if tables.serves(segments.len()) => {
                let table = tables.store(head, segments)?;
                self.store_chain(&[table], INDIRECT);
            }
            _ => self.store_chain(segments, 0),
        }
        if mutated!(self.memory.hal(), M87) {
            self.memory.store(self.layout.avail + INDEX, self.avail_index.wrapping_add(1));
        }
        self.store_entry(head);
        self.store_index();
        if mutated!(self.memory.hal(), M116) {
            self.memory.store(DESC * usize::from(head), segments[0].address);
        }
        if mutated!(self.memory.hal(), M119) {
            self.free.put_back(head, segments.len() as u16);
        }
        Ok(head)
    }

    /// Takes the descriptors of a chain and writes them, all with `flags`.
    fn store_chain(&mut self, segments: &[Segment], flags: u16) {
        let head = self.free.first();
        for (segment, more) in segments.iter().zip((0..segments.len()).rev()) {
            let index = self.free.take();
            let next = self.free.first().filter(|_| more > 0);
            let next = self.mutated_next(next, head, index);
            self.store_descriptor(index, segment, flags, next);
        }
        if let Some(head) = head {
            // At most `size`, so it fits.
            self.chains.hand_over(head, segments.len() as u16);
        }
    }

    fn store_descriptor(&mut self, index: u16, segment: &Segment, flags: u16, next: Option<u16>) {
        let base = DESC * usize::from(index);
        let write = if segment.device_writes { WRITE } else { 0 };
        let goes_on = if next.is_some() { NEXT } else { 0 };
        let both = flags == INDIRECT && mutated!(self.memory.hal(), M168);
        let goes_on = if both { NEXT } else { goes_on };
        self.memory.store(base, segment.address);
        self.memory.store(base + 8, segment.len);
        self.memory.store(base + 12, flags | write | goes_on);
        let last = if mutated!(self.memory.hal(), L03) { 0xa5a5 } else { 0 };
        self.memory.store(base + 14, next.unwrap_or(last));
    }

    /// How a chain goes on behind `index`, where a mutant has it otherwise than `next`.
    fn mutated_next(&self, next: Option<u16>, head: Option<u16>, index: u16) -> Option<u16> {
        match self.memory.hal() {
            hal if mutated!(hal, M100) && head == Some(index) => None,
            hal if mutated!(hal, M101) => next.or(Some(index)),
            hal if mutated!(hal, M177) => next.map(|_| self.size),
            hal if mutated!(hal, M102) => next.map(|next| (next + self.size / 2) % self.size),
            _ => next,
        }
    }

    fn store_entry(&mut self, head: u16) {
        let slot = match self.memory.hal() {
            hal if mutated!(hal, M95) => (self.avail_index + 1) % self.size,
            hal if mutated!(hal, M96) => self.avail_index & self.size,
            hal if mutated!(hal, M97) => self.avail_index,
            _ => self.avail_index % self.size,
        };
        let slot = usize::from(slot);
        self.memory.store(self.layout.avail + RING + 2 * slot, head);
    }

    fn store_index(&mut self) {
        if mutated!(self.memory.hal(), M99) {
            self.memory.store(self.layout.avail, 0xa5a4_u16);
        }
        // 2.7.13.3.1: the descriptors and the entry come before the index.
        if !mutated!(self.memory.hal(), M90) {
            self.memory.fence(Ordering::Release);
        }
        self.avail_index = match self.memory.hal() {
            hal if mutated!(hal, M92) => (self.avail_index + 1) % self.size,
            hal if mutated!(hal, M93) => (self.avail_index + 1) % u16::MAX,
            hal if mutated!(hal, M94) => self.avail_index.wrapping_add(2),
            _ => self.avail_index.wrapping_add(1),
        };
        self.memory.store(self.layout.avail + INDEX, self.avail_index);
        self.unannounced = self.unannounced.saturating_add(1);
    }

    pub(super) fn should_notify(&mut self) -> bool {
        let submitted = core::mem::take(&mut self.unannounced);
        if submitted == 0 {
            return false;
        }
        // 2.7.13.4.1: a full barrier between the store of the index and the load.
        if !mutated!(self.memory.hal(), M91) {
            self.memory.fence(Ordering::SeqCst);
        }
        if self.event_idx {
            // 2.7.10.1: and used.flags is ignored.
            let event = self.memory.load(self.layout.avail_event);
            let late = u16::from(mutated!(self.memory.hal(), M130));
            let event = late.wrapping_add(event);
            return passes(event, self.avail_index, submitted);
        }
        let flags = self.memory.load::<u16>(self.layout.used);
        flags & NO_NOTIFY == 0 || mutated!(self.memory.hal(), M129)
    }

    pub(super) fn pop_used(&mut self) -> Result<Option<Used>, Error> {
        let slot = usize::from(self.used_index % self.size);
        let element = self.layout.used + RING + USED_ELEMENT * slot;
        let early = mutated!(self.memory.hal(), M137).then(|| self.memory.load(element));
        let used = self.is_used()?
            || (self.ask_again() && !mutated!(self.memory.hal(), M139) && self.is_used()?);
        if !used {
            return Ok(None);
        }
        // The element was written before the index: it must not be loaded before.
        self.memory.fence(Ordering::Acquire);
        let id = early.unwrap_or_else(|| self.memory.load(element));
        let len = self.memory.load(element + 4);
        if mutated!(self.memory.hal(), M178) {
            self.memory.store(element, 0_u32);
        }
        let id = match self.memory.hal() {
            hal if mutated!(hal, M134) => {
                self.memory.load::<u16>(self.layout.avail + RING + 2 * slot).into()
            }
            hal if mutated!(hal, M135) => id & 0xffff,
            _ => id,
        };
        let (id, _) = self.chains.take_back(id)?;
        self.used_index = match mutated!(self.memory.hal(), M132) {
            false => self.used_index.wrapping_add(1),
            true => self.used_index.saturating_add(1),
        };
        Ok(Some(Used { id, len }))
    }

    /// Whether the device gave back more than was taken.
    fn is_used(&self) -> Result<bool, Error> {
        let to = self.memory.load::<u16>(self.layout.used + INDEX);
        let (from, outstanding) = (self.used_index, self.chains.outstanding());
        if to.wrapping_sub(from) > outstanding {
            return Err(Error::UsedIndex { from, to, outstanding });
        }
        Ok(match self.memory.hal() {
            hal if mutated!(hal, M131) => to > from,
            hal if mutated!(hal, M133) => to % self.size != from % self.size,
            _ => to != from,
        })
    }

    /// Asks for an interrupt when the next chain is used, if that was not asked for; the
    /// answer is then to look again.
    fn ask_again(&mut self) -> bool {
        let asks = self.event_idx && self.interrupts && self.used_event != self.used_index;
        let asks = asks && !mutated!(self.memory.hal(), M140);
        if asks {
            self.store_used_event(self.used_index);
            self.memory.fence(Ordering::SeqCst);
        }
        asks
    }

    fn store_used_event(&mut self, index: u16) {
        self.used_event = index;
        self.memory.store(self.layout.used_event, index);
    }

    pub(super) fn release(&mut self, id: u16) {
        let descriptors = self.chains.release(id);
        let freed = if mutated!(self.memory.hal(), M118) { 1 } else { descriptors };
        self.free.put_back(id, freed);
    }

    pub(super) fn set_interrupts(&mut self, wanted: bool) -> bool {
        self.interrupts = wanted;
        if self.event_idx {
            // 2.7.7.1: avail.flags stays 0. The index that was passed last is the one that
            // comes again last.
            let passed = self.used_index.wrapping_sub(1);
            self.store_used_event(if wanted { self.used_index } else { passed });
        } else {
            let flags = if wanted { 0 } else { NO_INTERRUPT };
            self.memory.store(self.layout.avail, flags);
        }
        if !wanted {
            return false;
        }
        // 2.7.14: what was used before the device saw the wish raises no interrupt.
        self.memory.fence(Ordering::SeqCst);
        self.memory.load::<u16>(self.layout.used + INDEX) != self.used_index
    }

    pub(super) fn go_on_at(&mut self, index: u16) {
        (self.avail_index, self.used_index) = (index, index);
    }

    pub(super) fn abandon(&mut self) {
        self.memory.abandon();
        if let Some(tables) = &mut self.tables {
            tables.abandon();
        }
    }
}

/// The size for an offer: a power of two.
fn size(Settings { size, legacy, .. }: Settings) -> Result<u16, Error> {
    if size == 0 {
        return Err(Error::Size(size));
    }
    if legacy {
        // 2.7.2: a legacy driver cannot choose.
        let possible = size.is_power_of_two() && size <= LIMIT;
        return if possible { Ok(size) } else { Err(Error::Size(size)) };
    }
    Ok(1 << size.min(MAX_SIZE).ilog2())
}

/// Whether one of the last `submitted` steps to `index` was the one from `event` on: the
/// formula of VIRTIO 1.4, 2.7.10.1, for any number of steps.
fn passes(event: u16, index: u16, submitted: u32) -> bool {
    u32::from(index.wrapping_sub(event).wrapping_sub(1)) < submitted
}
