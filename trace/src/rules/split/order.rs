//! In which order a driver stores to a split virtqueue (VIRTIO 1.4, 2.7.13).

use crate::rules::model::{Queue, Shadow, feature};
use crate::rules::ram::{Ram, ram};
use crate::rules::{At, Level, Needs, Out, Rule, Sees, plain};
use crate::{Area, Field, Ring};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D2.7.13.3.1-a",
        clause: "VIRTIO 1.4, 2.7.13.3.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "Descriptors and entries of the available ring are stored before the index that makes them available.",
        sees: Sees::RAM,
        start: plain!(|at, out| {
            let Some(ram) = ram(at).filter(Ram::is_store) else { return };
            let (Some(shadow), Some(size)) = (&ram.queue.shadow, ram.queue.size()) else { return };
            for (field, value) in ram.fields() {
                let late = match field {
                    Field::Ring(Ring::AvailIdx) => {
                        let new = value.map_or(0, |value| (value as u16).wrapping_sub(shadow.idx));
                        if (1..=size).contains(&new) {
                            out.kept();
                        }
                        false
                    }
                    Field::Ring(Ring::AvailRing(slot)) => shadow.exposes_slot(slot, size),
                    Field::Addr(index)
                    | Field::Len(index)
                    | Field::Flags(index)
                    | Field::Next(index) => shadow.exposes(index),
                    _ => false,
                };
                if late {
                    let seen = format!("behind avail.idx = {:#06x}", shadow.idx);
                    return out.broken(format!("{field} before avail.idx"), seen);
                }
            }
        }),
    },
    Rule {
        id: "I2.7.8-a",
        clause: "VIRTIO 1.4, 2.7.8",
        level: Level::Recipe,
        needs: Needs::Nothing,
        text: "The used ring is stored to by the device only.",
        sees: Sees::RAM.union(Sees::USED),
        start: plain!(|at, out| {
            let Some(ram) = ram(at) else {
                if at.queue().is_some_and(|queue| queue.shadow.is_some()) {
                    out.kept();
                }
                return;
            };
            if ram.is_store() && matches!(ram.area, Area::Used | Area::AvailEvent) {
                let what = ram.fields().next().map_or("it".into(), |(field, _)| field.to_string());
                out.broken("loads only", format!("a store to {what}"));
            }
        }),
    },
    Rule {
        id: "I2.7.14-a",
        clause: "VIRTIO 1.4, 2.7.14",
        level: Level::Recipe,
        needs: Needs::Stimulus,
        text: "A used element is read after the index that says it is there.",
        sees: Sees::RAM,
        start: plain!(|at, out| {
            let Some(ram) = ram(at).filter(|ram| !ram.is_store()) else { return };
            let (Some(shadow), Some(size)) = (&ram.queue.shadow, ram.queue.size()) else { return };
            let of = |(field, _)| match field {
                Field::UsedId(slot) | Field::UsedLen(slot) => Some(slot),
                _ => None,
            };
            let Some(slot) = ram.fields().find_map(of) else { return };
            if size > 1 && slot == shadow.consumed % size {
                out.check(shadow.consumed != shadow.seen, || {
                    let expected = format!("a load of used.idx that is past {:#06x}", shadow.seen);
                    (expected, format!("a load of used.ring[{slot}]"))
                });
            }
        }),
    },
];

/// What a store says of the slots: that of a head to a place behind the ring, or that of an
/// index that makes other slots available than were stored to.
pub(super) fn slot(at: &At<'_>, out: &mut Out<'_>) {
    let Some(ram) = ram(at).filter(Ram::is_store) else { return };
    let Some(shadow) = &ram.queue.shadow else { return };
    if let Some(seen) = behind_the_ring(at, &ram, shadow) {
        out.broken(format!("avail.idx = {:#06x} modulo the size", shadow.idx), seen);
    }
    if let Some(idx) = ram.value(Field::Ring(Ring::AvailIdx)) {
        slots(ram.queue, shadow, idx as u16, out);
    }
}

/// What a store of the index says of its way round 65535.
pub(super) fn round(at: &At<'_>, out: &mut Out<'_>) {
    let Some(ram) = ram(at).filter(Ram::is_store) else { return };
    let (Some(shadow), Some(size)) = (&ram.queue.shadow, ram.queue.size()) else { return };
    let Some(idx) = ram.value(Field::Ring(Ring::AvailIdx)).map(|idx| idx as u16) else { return };
    let new = idx.wrapping_sub(shadow.idx);
    if size == 0 || new < 2 || new > size || idx >= shadow.idx {
        return;
    }
    let last = u16::MAX % size;
    if !shadow.is_fresh(last) && shadow.fresh().count() == usize::from(new) - 1 {
        let seen = format!("{idx:#06x}, and nothing in slot {last} for 0xffff");
        out.broken(format!("0xffff behind {:#06x}", shadow.idx), seen);
    }
}

/// A store where slot `idx` would be if the ring had so many.
fn behind_the_ring(at: &At<'_>, ram: &Ram<'_>, shadow: &Shadow) -> Option<String> {
    let (driver, size) = (ram.queue.driver()?, ram.queue.size()?);
    let inside = match ram.area {
        Area::Avail | Area::Desc => true,
        // 2.7.10.1: with EVENT_IDX that is what stands behind the ring.
        Area::UsedEvent => at.virtio()?.negotiated(feature::EVENT_IDX),
        _ => false,
    };
    let place = driver.checked_add(4 + 2 * u64::from(shadow.idx))?;
    let behind = shadow.idx >= size && !inside && ram.addr == place && ram.access.width() == 2;
    behind.then(|| format!("a store to slot {}, behind the ring's end", shadow.idx))
}

/// The slots that `idx` makes available were stored to, rather than others.
fn slots(queue: &Queue, shadow: &Shadow, idx: u16, out: &mut Out<'_>) {
    let Some(size) = queue.size().filter(|size| *size != 0) else { return };
    let new = idx.wrapping_sub(shadow.idx);
    if new == 0 || new > size {
        return;
    }
    let slot = |step: u16| shadow.idx.wrapping_add(step) % size;
    let missed = (0..new).map(slot).find(|slot| !shadow.is_fresh(*slot));
    let Some(missed) = missed else { return out.kept() };
    // One that was not stored to may hold the right head from before.
    let exposed = |other: &u16| (0..new).any(|step| slot(step) == *other);
    if let Some(other) = shadow.fresh().find(|other| !exposed(other)) {
        let expected = format!("a head in slot {missed}");
        out.broken(expected, format!("one in slot {other}, and avail.idx = {idx:#06x}"));
    }
}

#[cfg(test)]
mod tests;
