use super::Queue;
use crate::{Access, Area, DescriptorFlags, Field, Ring};

/// What the driver stored to the rings of a queue, as far as they are watched.
#[derive(Clone, Debug, Default)]
pub struct Shadow {
    /// `avail.idx`, as it was stored last.
    pub idx: u16,
    /// How many entries of the available ring the device has taken, modulo 2^16.
    pub taken: u16,
    /// `idx` when the queue was notified last.
    pub rung: u16,
    /// `idx` when the driver looked at `avail_event` last, or notified: what it made available
    /// before is decided.
    asked: u16,
    /// Whether the driver looked whether it has to notify, has to, and did not yet.
    pub due: bool,
    /// `used.idx`, as it was loaded last.
    pub seen: u16,
    /// How many used elements were loaded, modulo 2^16.
    pub consumed: u16,
    slots: Vec<Slot>,
    descriptors: Vec<Stored>,
}

/// A slot of the available ring.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    head: Option<u16>,
    /// Whether it was stored to since it was last made available.
    fresh: bool,
}

/// A descriptor, as far as it was stored.
#[derive(Clone, Copy, Debug, Default)]
struct Stored {
    flags: Option<u16>,
    next: Option<u16>,
    /// By which place of the available ring it was made available last.
    exposed: Option<u16>,
}

impl Shadow {
    /// Of a queue whose device has seen `idx`.
    pub(super) fn from(idx: u16) -> Self {
        Self { idx, taken: idx, rung: idx, asked: idx, ..Self::default() }
    }

    /// Whether slot `slot` is available, and the device has not taken it.
    pub fn exposes_slot(&self, slot: u16, size: u16) -> bool {
        let Some(first) = self.taken.checked_rem(size).filter(|_| slot < size) else {
            return false;
        };
        let behind = if slot >= first { slot - first } else { size - first + slot };
        behind < self.idx.wrapping_sub(self.taken)
    }

    /// Whether descriptor `index` is of a chain that is available, and the device has not taken.
    pub fn exposes(&self, index: u16) -> bool {
        let exposed = self.descriptors.get(usize::from(index)).and_then(|stored| stored.exposed);
        let untaken = self.idx.wrapping_sub(self.taken);
        exposed.is_some_and(|at| at.wrapping_sub(self.taken) < untaken)
    }

    /// Whether slot `slot` was stored to since it was last made available.
    pub fn is_fresh(&self, slot: u16) -> bool {
        self.slots.get(usize::from(slot)).is_some_and(|slot| slot.fresh)
    }

    /// The slots that were.
    pub fn fresh(&self) -> impl Iterator<Item = u16> {
        (0..).zip(&self.slots).filter(|(_, slot)| slot.fresh).map(|(number, _)| number)
    }

    /// The driver stores `value` to a field; `None`: to a part of it.
    pub(super) fn stored(&mut self, field: Field, value: Option<u64>, size: u16) {
        match (field, value) {
            (Field::Ring(Ring::AvailIdx), Some(value)) => self.expose(value as u16, size),
            (Field::Ring(Ring::AvailRing(slot)), value) if slot < size => {
                let head = value.map(|value| value as u16);
                let available = self.exposes_slot(slot, size);
                *entry(&mut self.slots, slot) = Slot { head, fresh: true };
                if available {
                    self.expose(self.idx, size);
                }
            }
            (Field::Flags(index), value) if index < size => {
                entry(&mut self.descriptors, index).flags = value.map(|value| value as u16);
            }
            (Field::Next(index), value) if index < size => {
                entry(&mut self.descriptors, index).next = value.map(|value| value as u16);
            }
            _ => {}
        }
    }

    /// `avail.idx` becomes `idx`.
    fn expose(&mut self, idx: u16, size: u16) {
        self.due &= self.idx == idx;
        self.idx = idx;
        if size == 0 || idx.wrapping_sub(self.taken) > size {
            return;
        }
        let mut at = self.taken;
        while at != idx {
            if let Some(slot) = self.slots.get_mut(usize::from(at % size)) {
                slot.fresh = false;
                let head = slot.head;
                self.expose_chain(head, at, size);
            }
            at = at.wrapping_add(1);
        }
        // What was stored and is not available was stored to the wrong place, or in advance;
        // a driver that is always wrong is to be told of each time.
    }

    fn expose_chain(&mut self, head: Option<u16>, at: u16, size: u16) {
        let mut next = head;
        for _ in 0..size {
            let Some(index) = next.filter(|index| *index < size) else { return };
            let stored = entry(&mut self.descriptors, index);
            stored.exposed = Some(at);
            let flags = DescriptorFlags(stored.flags.unwrap_or(0));
            let goes_on =
                flags.contains(DescriptorFlags::NEXT) && !flags.contains(DescriptorFlags::INDIRECT);
            next = stored.next.filter(|_| goes_on);
        }
    }

    /// The driver loads a field.
    pub(super) fn loaded(&mut self, field: Field, value: Option<u64>, size: u16, event_idx: bool) {
        match (field, value) {
            (Field::Ring(Ring::UsedIdx), Some(value)) => self.seen = value as u16,
            (Field::UsedId(slot) | Field::UsedLen(slot), _)
                if size > 1 && slot == self.consumed % size && self.consumed != self.seen =>
            {
                self.consumed = self.consumed.wrapping_add(1);
            }
            (Field::Ring(Ring::UsedFlags), Some(flags)) if !event_idx => {
                self.due = flags & 1 == 0 && self.rung != self.idx;
            }
            (Field::Ring(Ring::AvailEvent), Some(event)) if event_idx && self.asked != self.idx => {
                self.due = passed(event as u16, self.idx, self.asked);
                self.asked = self.idx;
            }
            _ => {}
        }
    }

    /// The driver rings the doorbell.
    pub(super) fn ring(&mut self) {
        (self.rung, self.asked, self.due) = (self.idx, self.idx, false);
    }
}

/// `vring_need_event` (VIRTIO 1.4, 2.7.10.1): one of the steps from `old` to `new` was that
/// from `event` on.
pub fn passed(event: u16, new: u16, old: u16) -> bool {
    new.wrapping_sub(event).wrapping_sub(1) < new.wrapping_sub(old)
}

/// The entry at `index`; the caller has made sure that it is below the queue's size.
fn entry<T: Clone + Default>(entries: &mut Vec<T>, index: u16) -> &mut T {
    let place = usize::from(index);
    if entries.len() <= place {
        entries.resize(place + 1, T::default());
    }
    &mut entries[place]
}

impl Queue {
    /// Where an access to a watched area is: where areas overlap, because the queue is smaller
    /// than its device thinks, it is the available ring that is meant.
    pub fn locate(&self, area: Area, offset: u32, addr: u64) -> (Area, u32) {
        if area == Area::Desc
            && let (Some(driver), Some(size)) = (self.driver(), self.size())
            && let Some(inside) = addr.checked_sub(driver)
            && inside < 4 + 2 * u64::from(size)
        {
            return (Area::Avail, inside as u32);
        }
        (area, offset)
    }

    /// The driver accessed an area of it that is watched.
    pub(super) fn accessed(
        &mut self,
        area: Area,
        offset: u32,
        addr: u64,
        access: Access,
        event_idx: bool,
    ) {
        let ((area, offset), size) = (self.locate(area, offset, addr), self.size().unwrap_or(0));
        if matches!(area, Area::PackedDesc | Area::DriverEvent | Area::DeviceEvent) {
            let packed = self.packed.get_or_insert_default();
            if access.is_store() {
                let stores = fields(area, offset, access);
                stores.for_each(|(field, value)| packed.stored(field, value, size));
            }
            return;
        }
        let before = self.avail_idx.unwrap_or(0);
        let shadow = self.shadow.get_or_insert_with(|| Box::new(Shadow::from(before)));
        for (field, value) in fields(area, offset, access) {
            match access {
                Access::Load { .. } => shadow.loaded(field, value, size, event_idx),
                Access::Store { .. } => shadow.stored(field, value, size),
            }
        }
    }
}

/// The fields that an access meets, each with what is in it, if it is met as a whole.
pub fn fields(
    area: Area,
    offset: u32,
    access: Access,
) -> impl Iterator<Item = (Field, Option<u64>)> {
    let end = offset.saturating_add(access.width().into());
    let mut at = offset;
    std::iter::from_fn(move || {
        let (field, start, width) = (at < end).then(|| area.field(at))??;
        at = start + u32::from(width);
        let whole = start >= offset && at <= end;
        let mask = u64::MAX >> (64 - 8 * u32::from(width));
        let value = whole.then(|| access.value() >> (8 * (start - offset)) & mask);
        Some((field, value))
    })
}
