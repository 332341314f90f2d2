//! The packed virtqueue (VIRTIO 1.4, 2.8).

use core::sync::atomic::Ordering;

use super::{
    Areas, DESC, Error, INDIRECT, MAX_SIZE, NEXT, PAGE, Segment, Settings, Used, WRITE,
    chains::{Chains, FreeList},
    check,
    indirect::{Order, Tables},
};
use crate::{dma::DmaBuffer, hal::Hal, mutant::mutated};

/// Descriptor flag: available, where it is as the ring wrap counter and USED is not (2.8.1).
const AVAIL: u16 = 1 << 7;
/// Descriptor flag: used, where it and AVAIL are as the ring wrap counter.
const USED: u16 = 1 << 15;

/// Bytes of `struct pvirtq_event_suppress`: `desc`, then `flags` (2.8.14).
const EVENT: usize = 4;
/// Where its `flags` are.
const EVENT_FLAGS: usize = 2;
/// `RING_EVENT_FLAGS_ENABLE`: of everything.
const ENABLE: u16 = 0;
/// `RING_EVENT_FLAGS_DISABLE`: of nothing.
const DISABLE: u16 = 1;
/// `RING_EVENT_FLAGS_DESC`: of one descriptor.
const DESCRIPTOR: u16 = 2;

/// A slot of the ring, and the ring wrap counter there (2.8.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Position {
    slot: u16,
    wrap: bool,
}

impl Position {
    /// Both counters begin with 1.
    const FIRST: Self = Self { slot: 0, wrap: true };

    /// `count` slots on, of which a ring of `size` has at least as many.
    fn advance(self, count: u16, size: u16) -> Self {
        let left = size - self.slot;
        if count < left {
            Self { slot: self.slot + count, ..self }
        } else {
            Self { slot: count - left, wrap: !self.wrap }
        }
    }

    /// AVAIL and USED of a descriptor that is available here.
    fn available(self) -> u16 {
        if self.wrap { AVAIL } else { USED }
    }

    /// AVAIL and USED of a descriptor that is used here.
    fn used(self) -> u16 {
        if self.wrap { AVAIL | USED } else { 0 }
    }

    /// As `desc` of an event suppression structure (2.8.10).
    fn event(self) -> u16 {
        self.slot | u16::from(self.wrap) << 15
    }

    /// How far it is from the beginning of a lap whose counter is 1.
    fn on_circle(self, size: u16) -> u32 {
        u32::from(self.slot) + if self.wrap { 0 } else { u32::from(size) }
    }
}

/// A packed virtqueue. A chain's id is its buffer ID, and has nothing to do with its slots.
#[derive(Debug)]
pub struct PackedQueue<H: Hal> {
    memory: DmaBuffer<H>,
    size: u16,
    ids: FreeList,
    chains: Chains,
    /// Slots that no chain has.
    free: u16,
    /// With INDIRECT_DESC.
    tables: Option<Tables<H>>,
    event_idx: bool,
    next_avail: Position,
    next_used: Position,
    /// Slots of chains that the device may not have been notified of.
    unannounced: u32,
    interrupts: bool,
    /// `desc` of the driver event suppression structure, as it was stored.
    event: u16,
}

impl<H: Hal> PackedQueue<H> {
    pub(super) fn new(hal: &H, settings: Settings) -> Result<Self, Error> {
        if settings.size == 0 {
            return Err(Error::Size(0));
        }
        // It need not be a power of two (2.8.10.1).
        let size = settings.size.min(MAX_SIZE);
        let bytes = (DESC * usize::from(size) + 2 * EVENT).next_multiple_of(PAGE);
        let mut queue = Self {
            // Zeroed: no descriptor is available, and both sides want all events.
            memory: DmaBuffer::new(hal, bytes, PAGE)?,
            size,
            ids: FreeList::new(size),
            chains: Chains::new(size),
            free: size,
            tables: settings.indirect.then(|| Tables::new(hal, size, Order::Whole)),
            event_idx: settings.event_idx,
            next_avail: Position::FIRST,
            next_used: Position::FIRST,
            unannounced: 0,
            interrupts: true,
            event: 0,
        };
        if queue.event_idx {
            queue.ask_for_next();
        }
        Ok(queue)
    }

    pub(super) fn areas(&self) -> Areas {
        let at = |offset| self.memory.address() + offset as u64;
        let desc = if mutated!(self.memory.hal(), M74) { 8 } else { 0 };
        Areas { desc: at(desc), driver: at(self.driver_event()), device: at(self.device_event()) }
    }

    fn driver_event(&self) -> usize {
        DESC * usize::from(self.size)
    }

    fn device_event(&self) -> usize {
        self.driver_event() + EVENT
    }

    pub(super) fn size(&self) -> u16 {
        self.size
    }

    pub(super) fn fits(&self, segments: usize) -> bool {
        let takes = if self.takes_table(segments) { 1 } else { segments };
        (1..=usize::from(self.free)).contains(&takes)
    }

    pub(super) fn next_id(&self) -> Option<u16> {
        // Each chain has at least one slot, so there is an id wherever there is a slot.
        self.ids.first()
    }

    pub(super) fn outstanding(&self) -> u16 {
        self.chains.outstanding()
    }

    fn takes_table(&self, segments: usize) -> bool {
        self.tables.as_ref().is_some_and(|tables| tables.serves(segments))
    }

    /// VIRTIO 1.4, 2.8.21: all descriptors, but the flags of the first, then those.
    pub(super) fn submit(&mut self, segments: &[Segment]) -> Result<u16, Error> {
        if !mutated!(self.memory.hal(), M107) {
            check(segments, self.size)?;
        }
        if mutated!(self.memory.hal(), M192) && self.chains.outstanding() > 0 {
            let held = DESC * usize::from(self.next_used.slot);
            let len = self.memory.load::<u32>(held + 8);
            self.memory.store(held + 8, len);
        }
        let Some(id) = self.ids.first().filter(|_| self.fits(segments.len())) else {
            return Err(Error::Full);
        };
        match &mut self.tables {
            Some(tables) if tables.serves(segments.len()) => {
                let table = tables.store(id, segments)?;
                self.store_list(&[table], INDIRECT);
            }
            _ => self.store_list(segments, 0),
        }
        Ok(id)
    }

    /// Takes an id and slots for a list and writes it, all descriptors with `flags`.
    fn store_list(&mut self, segments: &[Segment], flags: u16) {
        let id = self.ids.take();
        let head = self.next_avail;
        let mut head_flags = 0;
        for (segment, more) in segments.iter().zip((0..segments.len()).rev()) {
            let at = self.next_avail;
            let write = if segment.device_writes { WRITE } else { 0 };
            let goes_on = if more > 0 { NEXT } else { 0 };
            let flags = flags | write | goes_on | at.available();
            self.store_descriptor(at.slot, segment, id);
            if at == head {
                head_flags = flags;
            }
            if at != head || mutated!(self.memory.hal(), M88) {
                self.store_flags(at.slot, flags);
            }
            self.next_avail = at.advance(1, self.size);
        }
        // 2.8.17, 2.8.21.1.1: the first descriptor becomes available when all are written.
        self.memory.fence(Ordering::Release);
        self.store_flags(head.slot, head_flags);
        if mutated!(self.memory.hal(), M116) {
            self.memory.store(DESC * usize::from(head.slot), segments[0].address);
        }
        // At most `size`, so it fits.
        let slots = segments.len() as u16;
        self.free -= if mutated!(self.memory.hal(), M119) { 0 } else { slots };
        self.chains.hand_over(id, slots);
        self.unannounced = self.unannounced.saturating_add(slots.into());
    }

    /// All but the flags. 2.8.6: the buffer ID of the last descriptor is the one that counts.
    fn store_descriptor(&mut self, slot: u16, segment: &Segment, id: u16) {
        let base = DESC * usize::from(slot);
        self.memory.store(base, segment.address);
        self.memory.store(base + 8, segment.len);
        self.memory.store(base + 12, id);
    }

    fn store_flags(&mut self, slot: u16, flags: u16) {
        self.memory.store(DESC * usize::from(slot) + 14, flags);
    }

    pub(super) fn should_notify(&mut self) -> bool {
        let submitted = core::mem::take(&mut self.unannounced);
        if submitted == 0 {
            return false;
        }
        // 2.8.21.3.1: a full barrier between the store of the flags and the load.
        if !mutated!(self.memory.hal(), M91) {
            self.memory.fence(Ordering::SeqCst);
        }
        // Both fields at once, so that they belong together.
        let event = self.memory.load::<u32>(self.device_event());
        let (desc, flags) = (event as u16, (event >> 16) as u16);
        match flags {
            DISABLE => false,
            DESCRIPTOR if self.event_idx => self.passes(desc, submitted),
            // The other values are reserved: a notification too many is better than none.
            _ => true,
        }
    }

    /// Whether one of the last `submitted` slots is the one that an event suppression
    /// structure names (2.8.10).
    fn passes(&self, desc: u16, submitted: u32) -> bool {
        let event = Position { slot: desc & 0x7fff, wrap: desc >> 15 == 1 };
        if event.slot >= self.size {
            // There is no such slot: the device is not to wait for it for ever.
            return true;
        }
        let circle = 2 * u32::from(self.size);
        let next = self.next_avail.on_circle(self.size);
        let behind = (next + circle - event.on_circle(self.size) - 1) % circle;
        behind < submitted
    }

    pub(super) fn pop_used(&mut self) -> Result<Option<Used>, Error> {
        let used = self.is_used()? || (self.ask_again() && self.is_used()?);
        if !used {
            return Ok(None);
        }
        // The flags were written last: nothing must be loaded before them.
        self.memory.fence(Ordering::Acquire);
        let base = DESC * usize::from(self.next_used.slot);
        let id = self.memory.load::<u16>(base + 12);
        // 2.8.4 has it reserved without WRITE; but devices set it, and not WRITE.
        let len = self.memory.load(base + 8);
        let (id, slots) = self.chains.take_back(id.into())?;
        // 2.8.6: one used descriptor stands for the list, and the next one is behind it.
        self.next_used = self.next_used.advance(slots, self.size);
        Ok(Some(Used { id, len }))
    }

    /// Whether the next descriptor is used.
    fn is_used(&self) -> Result<bool, Error> {
        let Position { slot, .. } = self.next_used;
        let flags = self.memory.load::<u16>(DESC * usize::from(slot) + 14);
        let state = flags & (AVAIL | USED);
        if state == self.next_used.used() {
            return Ok(true);
        }
        // Of a descriptor that nobody has, the flags are those of an earlier lap.
        if self.chains.outstanding() > 0 && state != self.next_used.available() {
            return Err(Error::UsedFlags { slot, flags });
        }
        Ok(false)
    }

    /// Asks for an interrupt when the next chain is used, if that was not asked for; the
    /// answer is then to look again.
    fn ask_again(&mut self) -> bool {
        let asks = self.event_idx && self.interrupts && self.event != self.next_used.event();
        if asks {
            self.ask_for_next();
            self.memory.fence(Ordering::SeqCst);
        }
        asks
    }

    fn ask_for_next(&mut self) {
        self.event = self.next_used.event();
        self.memory.store(self.driver_event(), self.event);
        // The device sees `desc` where it sees the flags that refer to it.
        self.memory.fence(Ordering::Release);
        self.memory.store(self.driver_event() + EVENT_FLAGS, DESCRIPTOR);
    }

    pub(super) fn release(&mut self, id: u16) {
        let slots = self.chains.release(id);
        self.ids.put_back(id, 1);
        self.free += slots;
    }

    pub(super) fn set_interrupts(&mut self, wanted: bool) -> bool {
        self.interrupts = wanted;
        if wanted && self.event_idx {
            self.ask_for_next();
        } else {
            let flags = if wanted { ENABLE } else { DISABLE };
            self.memory.store(self.driver_event() + EVENT_FLAGS, flags);
        }
        if !wanted {
            return false;
        }
        // 2.7.14 is true here too: what was used before raises no interrupt.
        self.memory.fence(Ordering::SeqCst);
        // What is wrong with the flags is for `pop_used` to say.
        !matches!(self.is_used(), Ok(false))
    }

    pub(super) fn abandon(&mut self) {
        self.memory.abandon();
        if let Some(tables) = &mut self.tables {
            tables.abandon();
        }
    }
}
