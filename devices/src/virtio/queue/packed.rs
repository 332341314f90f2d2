use std::mem;

use eclipse_trace::{PackedViolation, Ring, Violation};

use super::event::passed;
use super::{Chain, Descriptor, Flags, Layout, indirect};
use crate::Host;

/// A slot of the ring, and the value of the ring wrap counter there
/// (VIRTIO 1.4, 2.8.1).
#[derive(Clone, Copy, Debug)]
struct Position {
    slot: u16,
    wrap: bool,
}

impl Position {
    const FIRST: Self = Self { slot: 0, wrap: true };

    /// `count` slots on, at most once round a ring of `size`.
    fn advance(self, count: u16, size: u16) -> Self {
        let slot = u32::from(self.slot) + u32::from(count);
        match slot.checked_sub(size.into()) {
            None => Self { slot: slot as u16, ..self },
            Some(slot) => Self { slot: slot as u16, wrap: !self.wrap },
        }
    }

    /// Whether a descriptor with `flags` is available here: AVAIL as the wrap
    /// counter, USED not.
    fn available(self, flags: Flags) -> bool {
        flags.contains(Flags::AVAIL) == self.wrap && flags.contains(Flags::USED) != self.wrap
    }

    /// Its place on the circle of two laps.
    fn on_circle(self, size: u16) -> u32 {
        let slot = u32::from(self.slot) + if self.wrap { 0 } else { size.into() };
        // Where a queue got smaller while it was enabled, the slot may be behind its end.
        slot % (2 * u32::from(size))
    }

    /// As event suppression structures and notification data have it.
    fn raw(self) -> u16 {
        self.slot | u16::from(self.wrap) << 15
    }

    fn from_raw(raw: u16) -> Self {
        Self { slot: raw & 0x7fff, wrap: raw >> 15 == 1 }
    }
}

/// How far the device has come in a packed virtqueue (VIRTIO 1.4, 2.8).
#[derive(Debug)]
pub(super) struct PackedRing {
    next_avail: Position,
    next_used: Position,
    /// Descriptors that were taken and not given back.
    in_flight: u16,
    /// Chains that may be taken until the device looks again.
    budget: u16,
    /// Where it was given back from on, and how many slots, since the driver's
    /// wish for an interrupt was last looked at.
    unsignalled: (Position, u32),
    /// `flags` of the device event suppression structure, which is zero at first.
    event_flags: u16,
    /// `desc` of the same, once it was written.
    event_desc: Option<u16>,
}

impl Default for PackedRing {
    fn default() -> Self {
        Self {
            next_avail: Position::FIRST,
            next_used: Position::FIRST,
            in_flight: 0,
            budget: 0,
            unsignalled: (Position::FIRST, 0),
            event_flags: Self::EVENTS_ENABLE,
            event_desc: None,
        }
    }
}

impl PackedRing {
    /// VIRTIO 1.4, 2.8.
    pub(super) const MAX_SIZE: u16 = 1 << 15;
    /// `RING_EVENT_FLAGS_ENABLE` (VIRTIO 1.4, 2.8.10).
    const EVENTS_ENABLE: u16 = 0;
    const EVENTS_DISABLE: u16 = 1;
    const EVENTS_DESC: u16 = 2;

    pub(super) fn next_avail(&self) -> u16 {
        self.next_avail.raw()
    }

    /// See [`super::Queue::available`].
    pub(super) fn available(&mut self, layout: &Layout) -> u16 {
        // A driver that waits for its descriptors to be used has no more.
        self.budget = layout.size.saturating_sub(self.in_flight);
        self.budget
    }

    /// See [`super::Queue::take`].
    pub(super) fn take(
        &mut self,
        layout: &Layout,
        host: &mut Host<'_>,
        spare: &mut Vec<Descriptor>,
    ) -> Result<Option<Chain>, Violation> {
        if self.budget == 0 {
            return Ok(None);
        }
        self.budget -= 1;
        let Some(chain) = walk(layout, host, self.next_avail, spare)? else {
            self.budget = 0;
            return Ok(None);
        };
        // Not more than `size` each.
        if u32::from(self.in_flight) + u32::from(chain.slots()) > layout.size.into() {
            return Err(PackedViolation::Overrun(chain.head()).into());
        }
        self.in_flight += chain.slots();
        self.next_avail = self.next_avail.advance(chain.slots(), layout.size);
        Ok(Some(chain))
    }

    /// See [`super::Queue::give_back`]: one used descriptor for the whole list,
    /// and the slots of the others are skipped (2.8.6).
    pub(super) fn give_back(
        &mut self,
        layout: &Layout,
        host: &mut Host<'_>,
        chain: &Chain,
        len: u32,
    ) -> Result<(), Violation> {
        let Position { slot, wrap } = self.next_used;
        let mut flags = Flags::empty();
        flags.set(Flags::AVAIL | Flags::USED, wrap);
        // 2.8.3: whether any part of the buffer was written to.
        flags.set(Flags::WRITE, chain.writable() != 0);
        let at = layout.desc.wrapping_add(16 * u64::from(slot));
        host.write_packed_used(layout.queue, slot, at, chain.id(), len, flags)?;
        self.next_used = self.next_used.advance(chain.slots(), layout.size);
        self.in_flight = self.in_flight.saturating_sub(chain.slots());
        // Two laps are all there is to look back on.
        let (_, count) = &mut self.unsignalled;
        *count = (*count + u32::from(chain.slots())).min(2 * u32::from(layout.size));
        Ok(())
    }

    /// See [`super::Queue::wants_interrupt`] (2.8.10).
    pub(super) fn wants_interrupt(
        &mut self,
        layout: &Layout,
        host: &mut Host<'_>,
    ) -> Result<bool, Violation> {
        let (from, count) = mem::replace(&mut self.unsignalled, (self.next_used, 0));
        if count == 0 {
            return Ok(false);
        }
        let at = layout.driver.wrapping_add(2);
        match host.read_ring(layout.queue, Ring::DriverEventFlags, at)? {
            Self::EVENTS_ENABLE => Ok(true),
            Self::EVENTS_DISABLE => Ok(false),
            Self::EVENTS_DESC if layout.rules.event_idx => {
                let event = host.read_ring(layout.queue, Ring::DriverEventDesc, layout.driver)?;
                let event = Position::from_raw(event);
                if event.slot >= layout.size {
                    // It is never used, so there is nothing to tell.
                    host.violation(PackedViolation::EventOffset(event.slot).into());
                    return Ok(false);
                }
                let (event, from) = (event.on_circle(layout.size), from.on_circle(layout.size));
                Ok(passed(event, from, count, 2 * u32::from(layout.size)))
            }
            flags => {
                // Nothing says that the driver wants to hear nothing.
                host.violation(PackedViolation::EventFlags(flags).into());
                Ok(true)
            }
        }
    }

    /// See [`super::Queue::suppress`]: where, before that it counts.
    pub(super) fn suppress(
        &mut self,
        layout: &Layout,
        host: &mut Host<'_>,
        on: bool,
    ) -> Result<(), Violation> {
        let flags = match (on, layout.rules.event_idx) {
            (true, _) => Self::EVENTS_DISABLE,
            (false, false) => Self::EVENTS_ENABLE,
            (false, true) => Self::EVENTS_DESC,
        };
        let desc = self.next_avail.raw();
        if flags == Self::EVENTS_DESC && self.event_desc.replace(desc) != Some(desc) {
            host.write_ring(layout.queue, Ring::DeviceEventDesc, layout.device, desc)?;
        }
        if mem::replace(&mut self.event_flags, flags) == flags {
            return Ok(());
        }
        let at = layout.device.wrapping_add(2);
        host.write_ring(layout.queue, Ring::DeviceEventFlags, at, flags)
    }
}

/// The list that begins at `head`, if its first descriptor is available.
fn walk(
    layout: &Layout,
    host: &mut Host<'_>,
    head: Position,
    spare: &mut Vec<Descriptor>,
) -> Result<Option<Chain>, Violation> {
    let read = |host: &mut Host<'_>, at: Position| {
        host.read_packed(layout.queue, at.slot, layout.desc, |flags| at.available(flags))
    };
    let Some(mut descriptor) = read(host, head)? else { return Ok(None) };
    let mut chain = Chain::new(layout.queue, head.slot, spare);
    let (mut at, mut slots) = (head, 1);
    loop {
        if descriptor.flags.contains(Flags::INDIRECT) {
            indirect::walk_packed(layout, host, &mut chain, &descriptor)?;
            break;
        }
        chain.push_packed(descriptor)?;
        if !descriptor.flags.contains(Flags::NEXT) {
            break;
        }
        if slots == layout.size {
            return Err(PackedViolation::ListTooLong(head.slot).into());
        }
        at = at.advance(1, layout.size);
        slots += 1;
        // 2.8.15: a descriptor that is not available is not used.
        descriptor = read(host, at)?.ok_or(PackedViolation::PartialList(at.slot))?;
    }
    // 2.8.6: the buffer ID is in the last descriptor of the list.
    chain.set_id(descriptor.next);
    chain.set_slots(slots);
    Ok(Some(chain))
}
