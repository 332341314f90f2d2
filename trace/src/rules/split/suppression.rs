//! Notifications of a split virtqueue, and who wants them (VIRTIO 1.4, 2.7.7 and 2.7.10).

use super::indices::reads;
use crate::rules::model::{Queue, Virtio, feature, passed};
use crate::rules::ram::{Ram, ram};
use crate::rules::{At, Check, End, EndOf, Level, Needs, Out, Rule, Sees, plain};
use crate::{Effect, Event, Field, Ring};

const MISSING: Sees = Sees::RAM.union(Sees::RING_READ).union(Sees::STATUS).union(Sees::LEGACY);

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D2.7.7.1-b",
        clause: "VIRTIO 1.4, 2.7.7.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "With EVENT_IDX avail.flags is 0.",
        sees: Sees::RAM.union(Sees::RING_READ),
        start: plain!(|at, out| {
            if !at.virtio().is_some_and(|virtio| virtio.negotiated(feature::EVENT_IDX)) {
                return;
            }
            let stored = ram(at).filter(Ram::is_store);
            let stored = stored.and_then(|ram| ram.value(Field::Ring(Ring::AvailFlags)));
            let flags = match (stored, reads(&at.entry.event)) {
                (Some(flags), _) => flags,
                (None, Some((Ring::AvailFlags, flags))) => flags.into(),
                // With the index a driver says that the ring is as it is to be.
                (None, Some((Ring::AvailIdx, _)))
                    if at.queue().is_some_and(|queue| queue.shadow.is_some()) =>
                {
                    0
                }
                _ => return,
            };
            out.check(flags == 0, || ("0", format!("{flags:#06x}")));
        }),
    },
    Rule {
        id: "D2.7.7.1-c",
        clause: "VIRTIO 1.4, 2.7.7.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "An interrupt without a used buffer does no harm.",
        sees: Sees::FAULT,
        start: || Box::<Spurious>::default(),
    },
    Rule {
        id: "D2.7.10.1-b",
        clause: "VIRTIO 1.4, 2.7.10.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "Without EVENT_IDX avail_event is ignored.",
        sees: MISSING,
        start: || Box::new(Missing { of: |queue, event_idx| !event_idx && queue.littered }),
    },
    Rule {
        id: "D2.7.10.1-c",
        clause: "VIRTIO 1.4, 2.7.10.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "While used.flags is 1 the device is not notified.",
        sees: Sees::NOTIFY.union(Sees::LEGACY).union(Sees::RING_READ),
        start: plain!(|at, out| {
            let (Some(virtio), Some(queue)) = (at.virtio(), at.queue()) else { return };
            let silent = queue.used_flags.is_some_and(|flags| flags & 1 != 0);
            if !silent || virtio.negotiated(feature::EVENT_IDX) || virtio.packed() {
                return;
            }
            if at.notification().is_some() {
                out.broken("no notification", "one, although used.flags is 1");
            } else if let Some((Ring::AvailIdx, idx)) = reads(&at.entry.event)
                && queue.notified == queue.looked
                && idx != queue.avail_idx.unwrap_or(0)
            {
                out.kept();
            }
        }),
    },
    Rule {
        id: "D2.7.10.1-d",
        clause: "VIRTIO 1.4, 2.7.10.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "While used.flags is 0 the device is notified of what is made available.",
        sees: MISSING,
        start: || Box::new(Missing { of: |_, event_idx| !event_idx }),
    },
    Rule {
        id: "D2.7.10.1-e",
        clause: "VIRTIO 1.4, 2.7.10.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "With EVENT_IDX used.flags is ignored.",
        sees: MISSING,
        start: || {
            let of = |queue: &Queue, event_idx| {
                event_idx && queue.used_flags.is_some_and(|flags| flags & 1 != 0)
            };
            Box::new(Missing { of })
        },
    },
    Rule {
        id: "D2.7.10.1-f",
        clause: "VIRTIO 1.4, 2.7.10.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "With EVENT_IDX the device is notified when the index passes avail_event.",
        sees: MISSING,
        start: || Box::new(Missing { of: |_, event_idx| event_idx }),
    },
    Rule {
        id: "D2.7.10.1-g",
        clause: "VIRTIO 1.4, 2.7.10.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "With EVENT_IDX the device is not notified of what does not pass avail_event.",
        sees: Sees::RING_READ,
        start: plain!(|at, out| {
            let Some(look) = Look::at(at).filter(|look| look.event_idx) else { return };
            let (event, idx, old) = (look.event, look.idx, look.old);
            match (passed(event, idx, old), look.notified) {
                (false, true) => {
                    let seen = format!("one, from {old:#06x} to {idx:#06x}");
                    out.broken(format!("none until {event:#06x} is passed"), seen);
                }
                (false, false) => out.kept(),
                (true, _) => {}
            }
        }),
    },
];

/// The device looks, and finds something new.
struct Look<'a> {
    queue: &'a Queue,
    event_idx: bool,
    event: u16,
    old: u16,
    idx: u16,
    /// Whether it was notified since it looked last.
    notified: bool,
}

impl<'a> Look<'a> {
    fn at(at: &At<'a>) -> Option<Self> {
        let (Ring::AvailIdx, idx) = reads(&at.entry.event)? else { return None };
        let (virtio, queue) = (at.virtio()?, at.queue()?);
        let (old, event) = (queue.avail_idx.unwrap_or(0), queue.avail_event.unwrap_or(0));
        let event_idx = virtio.negotiated(feature::EVENT_IDX);
        let notified = queue.notified != queue.looked;
        let new = !queue.forged && idx != old && virtio.driver_ok();
        new.then_some(Self { queue, event_idx, event, old, idx, notified })
    }
}

/// Interrupts without a reason, and what became of the driver.
#[derive(Default)]
struct Spurious {
    raised: u64,
    /// Faults that may have harmed the driver.
    others: u64,
}

impl Check for Spurious {
    fn see(&mut self, at: &At<'_>, _: &mut Out<'_>) {
        let Event::Fault { effect, .. } = &at.entry.event else { return };
        match **effect {
            Effect::Interrupt => {
                let live = at.virtio().is_some_and(|virtio| virtio.driver_ok());
                self.raised += u64::from(live);
            }
            Effect::Nothing => {}
            _ => self.others += 1,
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        match end.end {
            End::Success if self.raised != 0 => out.kept(),
            // One that did not end may have been too slow.
            End::Failure if self.raised != 0 && self.others == 0 => {
                let seen = format!("{} and a guest that did not succeed", self.raised);
                out.broken("a guest that takes no notice of them", seen);
            }
            _ => {}
        }
    }
}

/// Chains that the device was to be notified of, and was not.
///
/// A driver may make several chains available and notify once. So that one is not notified of
/// shows when the driver makes another available although the device found the first by
/// itself, when it resets the device, or at the end.
struct Missing {
    /// Whether the rule is about such a queue, with EVENT_IDX or without.
    of: fn(&Queue, bool) -> bool,
}

impl Check for Missing {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let Some(look) = Look::at(at) {
            let wanted = !look.event_idx || passed(look.event, look.idx, look.old);
            if look.notified && wanted && (self.of)(look.queue, look.event_idx) {
                out.kept();
            }
        } else if at.status_store() == Some(0) {
            if let Some(virtio) = at.virtio() {
                self.leave(virtio, out);
            }
        } else if let (Some(ram), Some(virtio)) = (ram(at).filter(Ram::is_store), at.virtio()) {
            let Some(shadow) = ram.queue.shadow.as_ref().filter(|shadow| shadow.due) else {
                return;
            };
            let idx = ram.value(Field::Ring(Ring::AvailIdx)).map(|idx| idx as u16);
            let found = shadow.taken == shadow.idx && idx.is_some_and(|idx| idx != shadow.idx);
            if found && (self.of)(ram.queue, virtio.negotiated(feature::EVENT_IDX)) {
                out.broken(format!("a notification of {:#06x}", shadow.idx), "none");
            }
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        // One that was stopped was perhaps about to notify.
        if matches!(end.end, End::Success | End::Failure) {
            end.model.functions().for_each(|function| self.leave(&function.virtio, out));
        }
    }
}

impl Missing {
    /// The driver has nothing more to say to this device.
    fn leave(&self, virtio: &Virtio, out: &mut Out<'_>) {
        let event_idx = virtio.negotiated(feature::EVENT_IDX);
        let live = virtio.driver_ok() && !virtio.needs_reset;
        for queue in virtio.queues().filter(|queue| live && !queue.forged) {
            let Some(shadow) = &queue.shadow else { continue };
            let wanted = match event_idx {
                true => {
                    let (event, idx) = (queue.avail_event.unwrap_or(0), shadow.idx);
                    let since = idx.wrapping_sub(shadow.rung).min(idx.wrapping_sub(shadow.taken));
                    passed(event, idx, idx.wrapping_sub(since))
                }
                false => queue.used_flags.unwrap_or(0) & 1 == 0 && shadow.idx != shadow.rung,
            };
            if wanted && shadow.taken != shadow.idx && (self.of)(queue, event_idx) {
                out.broken(format!("a notification of avail.idx = {:#06x}", shadow.idx), "none");
            }
        }
    }
}

#[cfg(test)]
mod tests;
