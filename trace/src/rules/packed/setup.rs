//! How a packed virtqueue is set up and notified (VIRTIO 1.4, 2.8.11 and 2.8.16).

use crate::rules::model::feature;
use crate::rules::split::{aligned, enabled};
use crate::rules::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::{Bdf, Event, Ring, Table};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D2.8.11-a",
        clause: "VIRTIO 1.4, 2.8.11",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "The packed ring is aligned to 16 bytes, the event suppression structures to 4.",
        sees: Sees::QUEUES,
        start: plain!(|at, out| {
            let Some(queue) = enabled(at, true) else { return };
            let areas = [("desc", queue.desc(), 16), ("driver", queue.driver(), 4)];
            aligned(areas.into_iter().chain([("device", queue.device(), 4)]), out);
        }),
    },
    Rule {
        id: "D2.8.16-c",
        clause: "VIRTIO 1.4, 2.8.16",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "Notification data names the slot where the next list will be.",
        sees: Sees::NOTIFY.union(Sees::RING_READ).union(Sees::PACKED_DESCRIPTOR),
        start: || Box::<Named>::default(),
    },
];

/// What a notification named, and where the device has come to since.
#[derive(Default)]
struct Named {
    /// Whose, and the offset with the wrap counter as bit 15.
    notified: Option<(Bdf, u16, u16)>,
    /// How far each queue has come, in two laps.
    cursors: Vec<(Bdf, u16, u64, u32)>,
}

impl Check for Named {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(virtio) = at.virtio() else { return };
        if !virtio.packed() || !virtio.negotiated(feature::NOTIFICATION_DATA) {
            return;
        }
        let (Some(function), Some(queue)) = (at.function(), at.queue()) else { return };
        if let Some((index, access)) = at.notification() {
            self.notified = match access.width() {
                4 => Some((function, index, (access.value() >> 16) as u16)),
                _ => None,
            };
            return;
        }
        let Some(size) = queue.size().filter(|size| *size != 0) else { return };
        let cursor = self.cursor(function, queue.index, virtio.resets);
        match at.entry.event {
            Event::PackedDescriptor { table: Table::Queue, .. } => {
                *cursor = (*cursor + 1) % (2 * u32::from(size));
            }
            // The device has come to the end of what is available.
            Event::Ring { field: Ring::DescriptorFlags(_), .. } => {
                let lap = *cursor < u32::from(size);
                let next = (*cursor % u32::from(size)) as u16 | u16::from(lap) << 15;
                let named = self.notified.take();
                if let Some((.., named)) =
                    named.filter(|(at, index, _)| (*at, *index) == (function, queue.index))
                {
                    let say = |next: u16| format!("slot {}, wrap {}", next & 0x7fff, next >> 15);
                    out.check(named == next, || (say(next), say(named)));
                }
            }
            _ => {}
        }
    }
}

impl Named {
    /// How far a queue has come since its device was reset.
    fn cursor(&mut self, function: Bdf, queue: u16, resets: u64) -> &mut u32 {
        let known =
            self.cursors.iter().position(|(at, index, ..)| (*at, *index) == (function, queue));
        let place = known.unwrap_or_else(|| {
            self.cursors.push((function, queue, resets, 0));
            self.cursors.len() - 1
        });
        let (.., before, cursor) = &mut self.cursors[place];
        if *before != resets {
            (*before, *cursor) = (resets, 0);
        }
        cursor
    }
}

#[cfg(test)]
mod tests;
