use std::mem;

use eclipse_trace::{Ring, Table, Violation};

use super::event::passed;
use super::{Chain, Descriptor, Flags, Layout, indirect};
use crate::Host;

/// How far the device has come in a split virtqueue (VIRTIO 1.4, 2.7).
///
/// The indices run free over 16 bits; a slot is an index modulo the queue's size.
#[derive(Debug, Default)]
pub(super) struct SplitRing {
    next_avail: u16,
    /// `avail.idx` when the device last looked.
    seen: u16,
    next_used: u16,
    /// `next_used` when the driver's wish for an interrupt was last looked at.
    signalled: u16,
    /// Descriptors of the chains that were taken and not given back.
    in_flight: u16,
    /// Descriptors of the chains that were outstanding when the device last looked, as
    /// far as it has come: those that it had taken before, and those taken since.
    outstanding: u16,
    /// `used.flags`, which the driver sets to 0 (2.7.10.1).
    used_flags: u16,
    /// `avail_event`, once it was written.
    avail_event: Option<u16>,
}

impl SplitRing {
    const AVAIL_NO_INTERRUPT: u16 = 1;
    const USED_NO_NOTIFY: u16 = 1;

    pub(super) fn next_avail(&self) -> u16 {
        self.next_avail
    }

    /// See [`super::Queue::available`].
    pub(super) fn available(
        &mut self,
        layout: &Layout,
        host: &mut Host<'_>,
    ) -> Result<u16, Violation> {
        let at = layout.driver.wrapping_add(2);
        let idx = host.read_ring(layout.queue, Ring::AvailIdx, at)?;
        let count = idx.wrapping_sub(self.next_avail);
        if count > layout.size {
            return Err(Violation::AvailIdxJump { from: self.next_avail, to: idx });
        }
        self.seen = idx;
        self.outstanding = self.in_flight;
        Ok(count)
    }

    /// See [`super::Queue::take`].
    pub(super) fn take(
        &mut self,
        layout: &Layout,
        host: &mut Host<'_>,
        spare: &mut Vec<Descriptor>,
    ) -> Result<Option<Chain>, Violation> {
        if self.next_avail == self.seen {
            return Ok(None);
        }
        let slot = self.next_avail % layout.size;
        let at = layout.driver.wrapping_add(4 + 2 * u64::from(slot));
        let head = host.read_ring(layout.queue, Ring::AvailRing(slot), at)?;
        self.next_avail = self.next_avail.wrapping_add(1);
        let chain = walk(layout, host, head, spare)?;
        // That a chain is given back before the next one is taken frees nothing for a
        // driver that had made both available. So the same long chain in every slot is
        // not walked for every slot.
        if chain.slots() > layout.size.saturating_sub(self.outstanding) {
            return Err(Violation::TooManyDescriptors(layout.queue));
        }
        self.outstanding += chain.slots();
        self.in_flight += chain.slots();
        Ok(Some(chain))
    }

    /// See [`super::Queue::give_back`] (2.7.8.2: the element before the index).
    pub(super) fn give_back(
        &mut self,
        layout: &Layout,
        host: &mut Host<'_>,
        chain: &Chain,
        len: u32,
    ) -> Result<(), Violation> {
        let slot = self.next_used % layout.size;
        let at = layout.device.wrapping_add(4 + 8 * u64::from(slot));
        host.write_used(layout.queue, slot, at, chain.id(), len)?;
        self.next_used = self.next_used.wrapping_add(1);
        self.in_flight = self.in_flight.saturating_sub(chain.slots());
        let at = layout.device.wrapping_add(2);
        host.write_ring(layout.queue, Ring::UsedIdx, at, self.next_used)
    }

    /// See [`super::Queue::wants_interrupt`] (2.7.7.2).
    pub(super) fn wants_interrupt(
        &mut self,
        layout: &Layout,
        host: &mut Host<'_>,
    ) -> Result<bool, Violation> {
        let from = mem::replace(&mut self.signalled, self.next_used);
        let count = self.next_used.wrapping_sub(from);
        if count == 0 {
            return Ok(false);
        }
        if layout.rules.event_idx {
            let at = layout.driver.wrapping_add(4 + 2 * u64::from(layout.size));
            let event = host.read_ring(layout.queue, Ring::UsedEvent, at)?;
            return Ok(passed(event.into(), from.into(), count.into(), 1 << 16));
        }
        let flags = host.read_ring(layout.queue, Ring::AvailFlags, layout.driver)?;
        if flags & !Self::AVAIL_NO_INTERRUPT != 0 {
            host.violation(Violation::AvailFlags(flags));
        }
        Ok(flags & Self::AVAIL_NO_INTERRUPT == 0)
    }

    /// See [`super::Queue::suppress`] (2.7.10.2).
    pub(super) fn suppress(
        &mut self,
        layout: &Layout,
        host: &mut Host<'_>,
        on: bool,
    ) -> Result<(), Violation> {
        if layout.rules.event_idx {
            // The index that was passed last is the one that comes last again.
            let event = if on { self.next_avail.wrapping_sub(1) } else { self.next_avail };
            if self.avail_event.replace(event) == Some(event) {
                return Ok(());
            }
            let at = layout.device.wrapping_add(4 + 8 * u64::from(layout.size));
            return host.write_ring(layout.queue, Ring::AvailEvent, at, event);
        }
        let flags = if on { Self::USED_NO_NOTIFY } else { 0 };
        if mem::replace(&mut self.used_flags, flags) == flags {
            return Ok(());
        }
        host.write_ring(layout.queue, Ring::UsedFlags, layout.device, flags)
    }
}

/// The chain that begins at `head`.
fn walk(
    layout: &Layout,
    host: &mut Host<'_>,
    head: u16,
    spare: &mut Vec<Descriptor>,
) -> Result<Chain, Violation> {
    let mut chain = Chain::new(layout.queue, head, spare);
    let mut index = head;
    // 2.7.5.3.1: a chain is never longer than the queue, so a loop shows as length.
    for slots in 1..=layout.size {
        if index >= layout.size {
            return Err(Violation::DescriptorIndex(index));
        }
        let descriptor = host.read_descriptor(layout.queue, Table::Queue, index, layout.desc)?;
        let last = if descriptor.flags.contains(Flags::INDIRECT) {
            indirect::walk_split(layout, host, &mut chain, &descriptor)?;
            true
        } else {
            chain.push(descriptor)?;
            !descriptor.flags.contains(Flags::NEXT)
        };
        if last {
            chain.set_slots(slots);
            // 2.7.5.2: at most 2^32 bytes in all.
            return match chain.readable() + chain.writable() {
                ..=0x1_0000_0000 => Ok(chain),
                _ => Err(Violation::ChainTooLong(head)),
            };
        }
        let next = descriptor.next;
        // 2.7.5.2: a driver that promised an order keeps it within a chain.
        if layout.rules.in_order && next != (index + 1) % layout.size {
            return Err(Violation::InOrderNext { index, next });
        }
        index = next;
    }
    Err(Violation::ChainTooLong(head))
}
