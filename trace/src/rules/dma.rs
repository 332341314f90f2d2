//! Buffers that the device has, and where they lie.
//!
//! The specification calls a buffer the device's from the moment when it is available until
//! it is used (VIRTIO 1.4, 2.6 and 3.3.1). What a driver does to one meanwhile is no broken
//! clause of its own, and a race all the same: these rules are recipes, named `R-`.

use std::ops::Range;

use super::model::Element;
use super::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::{Access, Event, MemoryKind, Place, Ring};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "R-dma-read",
        clause: "VIRTIO 1.4, 2.6",
        level: Level::Recipe,
        needs: Needs::Occasion,
        text: "A buffer that the device may write is not read before it is used.",
        sees: Sees::RAM,
        start: plain!(|at, out| {
            if let Some((place, access)) = buffer(at)
                && !access.is_store()
                && matches!(place, Place::Buffer { writable: true, .. })
            {
                out.broken("no load before the buffer is used", format!("one of the {place}"));
            }
        }),
    },
    Rule {
        id: "R-dma-write",
        clause: "VIRTIO 1.4, 2.6",
        level: Level::Recipe,
        needs: Needs::Occasion,
        text: "A buffer that the device has is not written to before it is used.",
        sees: Sees::RAM,
        start: plain!(|at, out| {
            if let Some((place, _)) = buffer(at).filter(|(_, access)| access.is_store()) {
                out.broken("no store before the buffer is used", format!("one to the {place}"));
            }
        }),
    },
    Rule {
        id: "R-dma-twice",
        clause: "VIRTIO 1.4, 2.6",
        level: Level::Recipe,
        needs: Needs::Nothing,
        text: "No two chains that the device has share memory that it may write.",
        sees: Sees::DESCRIPTOR
            .union(Sees::USED)
            .union(Sees::RING_READ)
            .union(Sees::STATUS)
            .union(Sees::LEGACY)
            .union(Sees::NOTIFY),
        start: || Box::<Twice>::default(),
    },
    Rule {
        id: "R-dma-place",
        clause: "VIRTIO 1.4, 2.6",
        level: Level::Recipe,
        needs: Needs::Nothing,
        text: "The device is not given text, page tables or stacks to write to.",
        sees: Sees::DESCRIPTOR,
        start: plain!(|at, out| {
            let (Event::Descriptor { .. } | Event::PackedDescriptor { .. }, Some(chain)) =
                (&at.entry.event, at.chain().filter(|chain| chain.complete))
            else {
                return;
            };
            if at.model.memory.iter().all(|(kind, _)| *kind == MemoryKind::Ram) {
                return;
            }
            let region = |element: &Element| at.model.region(element.addr, element.len.into());
            let mut writable = chain.buffers().filter(|buffer| buffer.writable());
            match writable.find_map(|buffer| Some((buffer.addr, region(buffer)?))) {
                Some((addr, kind)) => {
                    out.broken("memory for data", format!("{addr:#x}, which is {kind}"));
                }
                None => out.kept(),
            }
        }),
    },
];

/// An access to a buffer that the device has.
fn buffer(at: &At<'_>) -> Option<(Place, Access)> {
    let Event::Ram { place: place @ Place::Buffer { .. }, addr, access } = at.entry.event else {
        return None;
    };
    at.queue().filter(|queue| !queue.forged && queue.may_have(addr))?;
    Some((place, access))
}

/// The buffers that devices have, by address.
#[derive(Default)]
struct Twice {
    buffers: Vec<Held>,
    /// No buffer is longer.
    longest: u64,
}

struct Held {
    range: Range<u64>,
    writable: bool,
    /// Given back since the device looked last: what it took then was available before.
    back: bool,
    chain: (crate::Bdf, u16, u64),
}

impl Check for Twice {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        match at.entry.event {
            Event::Descriptor { .. } | Event::PackedDescriptor { .. } => {
                if let (Some(queue), Some(chain)) =
                    (at.queue(), at.chain().filter(|chain| chain.complete))
                {
                    let owner = (function, queue.index, chain.seq);
                    self.take(chain.buffers(), owner, out);
                }
            }
            Event::Used { .. } | Event::PackedUsed { .. } => self.give_back(at, function),
            // What it takes after another look was made available after that.
            Event::Ring { field: Ring::AvailIdx | Ring::DescriptorFlags(_), .. } => {
                self.buffers.retain(|held| !held.back);
            }
            _ if at.notification().is_some() => self.buffers.retain(|held| !held.back),
            _ if at.status_store() == Some(0) => {
                self.buffers.retain(|held| held.chain.0 != function);
            }
            _ => {}
        }
    }
}

impl Twice {
    /// More are not compared with each other.
    const MOST: usize = 4096;

    fn take<'a>(
        &mut self,
        buffers: impl Iterator<Item = &'a Element>,
        chain: (crate::Bdf, u16, u64),
        out: &mut Out<'_>,
    ) {
        let mut right = true;
        for buffer in buffers.filter(|buffer| buffer.len != 0) {
            let range = buffer.addr..buffer.addr.saturating_add(buffer.len.into());
            if let Some(held) = self.meeting(&range, buffer.writable(), chain) {
                let seen =
                    format!("{:#x}, which it has by another", held.range.start.max(range.start));
                out.broken("memory that the device has not", seen);
                right = false;
            }
            if self.buffers.len() < Self::MOST {
                self.longest = self.longest.max(range.end - range.start);
                let at = self.buffers.partition_point(|held| held.range.start < range.start);
                let held = Held { range, writable: buffer.writable(), back: false, chain };
                self.buffers.insert(at, held);
            }
        }
        if right {
            out.kept();
        }
    }

    /// A buffer of another chain that shares memory with this one, which either may write.
    fn meeting(
        &self,
        range: &Range<u64>,
        writable: bool,
        chain: (crate::Bdf, u16, u64),
    ) -> Option<&Held> {
        let first = range.start.saturating_sub(self.longest);
        let from = self.buffers.partition_point(|held| held.range.start < first);
        let mut near = self.buffers[from..].iter().take_while(|held| held.range.start < range.end);
        near.find(|held| {
            held.range.end > range.start && held.chain != chain && (held.writable || writable)
        })
    }

    fn give_back(&mut self, at: &At<'_>, function: crate::Bdf) {
        let id = match at.entry.event {
            Event::Used { id, .. } => u16::try_from(id).ok(),
            Event::PackedUsed { id, .. } => Some(id),
            _ => None,
        };
        let (Some(id), Some(queue)) = (id, at.queue()) else { return };
        let walking = queue.walking.as_ref().filter(|chain| chain.head == id && !chain.used);
        let Some(seq) = queue.outstanding(id).or(walking).map(|chain| chain.seq) else { return };
        let chain = (function, queue.index, seq);
        self.buffers
            .iter_mut()
            .filter(|held| held.chain == chain)
            .for_each(|held| held.back = true);
        // With many that wait, those that came back are no longer looked at.
        if self.buffers.len() >= Self::MOST {
            self.buffers.retain(|held| !held.back);
        }
    }
}

#[cfg(test)]
mod tests;
