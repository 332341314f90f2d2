//! What the device owns (VIRTIO 1.4, 3.3.1).

use std::ops::Range;

use super::model::{Function, Queue, Virtio};
use super::ram::{Ram, ram};
use super::{At, Check, Level, Needs, Out, Rule, Sees};
use crate::{Bdf, Event, Field, Mark, Place, Register, Ring, Snapshot};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D3.3.1-a",
        clause: "VIRTIO 1.4, 3.3.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "Entries of buffers that are available and not used yet are not altered.",
        sees: Sees::RAM.union(Sees::SNAPSHOT).union(Sees::USED),
        start: || Box::<Altered>::default(),
    },
    Rule {
        id: "D3.3.1-b",
        clause: "VIRTIO 1.4, 3.3.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "Memory is taken back from a device when it was used, or the device is reset.",
        sees: Sees::MARK.union(Sees::STATUS).union(Sees::LEGACY),
        start: || Box::<Released>::default(),
    },
];

/// Whether descriptors are as they were made available.
#[derive(Default)]
struct Altered {
    /// Whether devices look for that at all.
    looks: bool,
}

impl Check for Altered {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(queue) = at.queue().filter(|queue| !queue.forged) else { return };
        let watched = queue.shadow.is_some() || queue.packed.is_some();
        match at.entry.event {
            Event::Snapshot { found, .. } => {
                self.looks = true;
                if let Snapshot::Altered { .. } = found
                    && !watched
                {
                    out.broken("descriptors as they were made available", found.to_string());
                }
            }
            Event::Used { .. } | Event::PackedUsed { .. } if watched || self.looks => out.kept(),
            Event::Ram { place: Place::Indirect { index, .. }, addr, access } => {
                if access.is_store() && queue.may_have(addr) {
                    out.broken("no store", format!("one to the table of desc[{index}]"));
                }
            }
            _ => {
                let ram = ram(at).filter(Ram::is_store);
                if let Some(field) = ram.and_then(|ram| owned(&ram)) {
                    out.broken("no store", format!("one to {field}, which is available"));
                }
            }
        }
    }
}

/// The field that a store meets, if the device has it or may take it.
fn owned(ram: &Ram<'_>) -> Option<Field> {
    let queue = ram.queue;
    let mut fields = ram.fields().map(|(field, _)| field);
    let taken = |index: u16| queue.holders.has(index);
    if let Some(shadow) = &queue.shadow {
        let size = queue.size()?;
        return fields.find(|field| match *field {
            Field::Addr(index) | Field::Len(index) | Field::Flags(index) | Field::Next(index) => {
                taken(index) || shadow.exposes(index)
            }
            Field::Ring(Ring::AvailRing(slot)) => shadow.exposes_slot(slot, size),
            _ => false,
        });
    }
    let packed = queue.packed.as_ref()?;
    fields.find(|field| match *field {
        Field::Addr(slot) | Field::Len(slot) | Field::Flags(slot) | Field::Id(slot) => {
            packed.exposes(slot)
        }
        _ => false,
    })
}

/// What devices had when they were asked to reset, until they say that they are.
#[derive(Default)]
struct Released {
    resetting: Vec<(Bdf, Vec<Range<u64>>)>,
}

impl Check for Released {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let Event::Register { register: Register::DebugMark, access } = at.entry.event {
            if let Mark::Released(frame) = Mark::of(access.value() as u32) {
                self.release(at, frame, out);
            }
        } else if let (Some(function), Some(virtio)) = (at.function(), at.virtio()) {
            match (at.status_store(), at.status_load()) {
                (Some(0), _) if !self.resetting.iter().any(|(asked, _)| *asked == function) => {
                    self.resetting.push((function, owned_memory(virtio).collect()));
                }
                (_, Some(0)) => self.resetting.retain(|(asked, _)| *asked != function),
                _ => {}
            }
        }
    }
}

impl Released {
    /// The driver uses a page for something else.
    fn release(&self, at: &At<'_>, frame: u32, out: &mut Out<'_>) {
        let page = u64::from(frame) << 12;
        let meets = |range: &Range<u64>| range.start < page + 0x1000 && page < range.end;
        let live = |function: &Function| owned_memory(&function.virtio).any(|range| meets(&range));
        let owner = at.model.functions().find(|function| live(function));
        let resetting = self.resetting.iter().find(|(_, had)| had.iter().any(meets));
        if let Some(function) = owner {
            let seen = format!("page {page:#x} of {}, which is in use", function.address);
            out.broken("a page that no device has", seen);
        } else if let Some((function, _)) = resetting {
            let seen = format!("page {page:#x} before {function} says that it is reset");
            out.broken("a page that no device has", seen);
        } else {
            out.kept();
        }
    }
}

/// What a device may access: its queues, and the buffers that it has.
fn owned_memory(virtio: &Virtio) -> impl Iterator<Item = Range<u64>> + '_ {
    virtio.queues().flat_map(|queue| areas(queue, virtio.packed()).chain(buffers(queue)))
}

fn areas(queue: &Queue, packed: bool) -> impl Iterator<Item = Range<u64>> + use<> {
    let size = queue.size().filter(|_| queue.enabled).map_or(0, u64::from);
    let (driver, device) = if packed { (4, 4) } else { (6 + 2 * size, 6 + 8 * size) };
    let areas = [(queue.desc(), 16 * size), (queue.driver(), driver), (queue.device(), device)];
    let some = areas.into_iter().filter(move |_| size != 0);
    some.filter_map(|(start, len)| Some(start?..start?.saturating_add(len)))
}

fn buffers(queue: &Queue) -> impl Iterator<Item = Range<u64>> + '_ {
    let walking = queue.walking.as_ref().filter(|chain| !chain.used);
    let elements = queue.outstanding.iter().chain(walking).flat_map(|chain| &chain.elements);
    elements.map(|element| element.addr..element.addr.saturating_add(element.len.into()))
}

#[cfg(test)]
mod tests;
