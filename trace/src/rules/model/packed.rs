use super::Holders;
use crate::{DescriptorFlags, Field};

/// What the driver stored to a packed ring, as far as it is watched.
#[derive(Clone, Debug)]
pub struct PackedShadow {
    slots: Vec<Slot>,
    /// Where the next list begins.
    pub next: u16,
    /// The driver's ring wrap counter there.
    pub wrap: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    flags: Option<u16>,
    /// Whether its list is available, and the device has not given it back.
    exposed: bool,
}

impl Default for PackedShadow {
    fn default() -> Self {
        Self { slots: Vec::new(), next: 0, wrap: true }
    }
}

impl PackedShadow {
    /// Whether the device has this slot, or may take it.
    pub fn exposes(&self, slot: u16) -> bool {
        self.slots.get(usize::from(slot)).is_some_and(|slot| slot.exposed)
    }

    /// Whether there are slots that the device may take, and has not.
    pub(super) fn waits(&self, holders: &Holders) -> bool {
        (0..).zip(&self.slots).any(|(index, slot)| slot.exposed && !holders.has(index))
    }

    /// Whether a store of `flags` to `slot` makes the next list available.
    pub fn opens(&self, slot: u16, flags: u16) -> bool {
        slot == self.next && is_available(flags, self.wrap)
    }

    /// The slots of the next list, if the first one gets `flags`, and whether each is available.
    pub fn list(&self, flags: u16, size: u16) -> impl Iterator<Item = (u16, bool)> {
        let (mut at, mut flags) = ((self.next, self.wrap), Some(flags));
        let mut more = size != 0;
        (0..size).map_while(move |_| {
            if !more {
                return None;
            }
            let (slot, wrap) = at;
            let available = flags.is_some_and(|flags| is_available(flags, wrap));
            let goes_on = DescriptorFlags(flags.unwrap_or(0)).contains(DescriptorFlags::NEXT);
            more = available && goes_on;
            at = if slot + 1 >= size { (0, !wrap) } else { (slot + 1, wrap) };
            flags = self.slots.get(usize::from(at.0)).and_then(|slot| slot.flags);
            Some((slot, available))
        })
    }

    pub(super) fn stored(&mut self, field: Field, value: Option<u64>, size: u16) {
        let Field::Flags(slot) = field else { return };
        if slot >= size {
            return;
        }
        let flags = value.map(|value| value as u16);
        self.slot(slot).flags = flags;
        if flags.is_some_and(|flags| self.opens(slot, flags)) {
            self.open(size);
        }
    }

    /// A slot, which is below the queue's size.
    fn slot(&mut self, slot: u16) -> &mut Slot {
        let place = usize::from(slot);
        if self.slots.len() <= place {
            self.slots.resize(place + 1, Slot::default());
        }
        &mut self.slots[place]
    }

    /// Makes available what is.
    fn open(&mut self, size: u16) {
        // More lists than slots there cannot be.
        for _ in 0..size {
            let first = self.slots.get(usize::from(self.next)).filter(|slot| !slot.exposed);
            let Some(flags) = first.and_then(|slot| slot.flags) else { return };
            if !is_available(flags, self.wrap) {
                return;
            }
            let list: Vec<_> = self.list(flags, size).collect();
            for (slot, _) in list {
                self.slot(slot).exposed = true;
                self.next = if slot + 1 >= size { 0 } else { slot + 1 };
                self.wrap ^= self.next == 0;
            }
        }
    }

    pub(super) fn give_back(&mut self, slot: u16) {
        if let Some(slot) = self.slots.get_mut(usize::from(slot)) {
            slot.exposed = false;
        }
    }
}

/// VIRTIO 1.4, 2.8.1: AVAIL is as the wrap counter, and USED is not.
fn is_available(flags: u16, wrap: bool) -> bool {
    let flags = DescriptorFlags(flags);
    flags.contains(DescriptorFlags::AVAIL) == wrap && flags.contains(DescriptorFlags::USED) != wrap
}
