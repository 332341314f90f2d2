//! In which order a driver stores to a packed ring (VIRTIO 1.4, 2.8.16 and 2.8.21).

use crate::rules::model::PackedShadow;
use crate::rules::ram::{Ram, ram};
use crate::rules::{At, Level, Needs, Out, Rule, Sees, plain};
use crate::{Event, Field};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D2.8.16-a",
        clause: "VIRTIO 1.4, 2.8.16",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "A descriptor that the device has taken is not changed before it is used.",
        sees: Sees::RAM.union(Sees::USED),
        start: plain!(|at, out| {
            if used(at, out) {
                return;
            }
            let Some((ram, packed)) = store(at) else { return };
            if let Some(slot) = slot(&ram).filter(|slot| packed.exposes(*slot))
                && ram.queue.holders.has(slot)
            {
                let seen = format!("a store to slot {slot}, which the device has");
                out.broken("no store before it is used", seen);
            }
        }),
    },
    Rule {
        id: "D2.8.16-b",
        clause: "VIRTIO 1.4, 2.8.16",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "A descriptor is not stored to after it was made available.",
        sees: Sees::RAM.union(Sees::USED),
        start: plain!(|at, out| {
            if used(at, out) {
                return;
            }
            let Some((ram, packed)) = store(at) else { return };
            if let Some(slot) = slot(&ram).filter(|slot| packed.exposes(*slot)) {
                out.broken("no store", format!("one to slot {slot}, which is available"));
            }
        }),
    },
    Rule {
        id: "D2.8.21.1.1-a",
        clause: "VIRTIO 1.4, 2.8.21.1.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "Everything of a list is stored before the flags that make it available.",
        sees: Sees::RAM,
        start: plain!(|at, out| {
            let Some((ram, packed)) = store(at) else { return };
            if let Some(slot) = slot(&ram).filter(|slot| packed.exposes(*slot))
                && !ram.queue.holders.has(slot)
            {
                let seen = format!("a store to slot {slot} behind them");
                return out.broken("the flags of the first descriptor last", seen);
            }
            if opening(&ram, packed).is_some() && gap(at).is_none() {
                out.kept();
            }
        }),
    },
];

/// A store to a packed ring, and what was stored there before.
fn store<'a>(at: &At<'a>) -> Option<(Ram<'a>, &'a PackedShadow)> {
    let ram = ram(at).filter(Ram::is_store)?;
    let packed = ram.queue.packed.as_deref()?;
    Some((ram, packed))
}

/// The slot that it is to; the two fields of an event suppression structure are in none.
fn slot(ram: &Ram<'_>) -> Option<u16> {
    ram.fields().find_map(|(field, _)| match field {
        Field::Addr(slot) | Field::Len(slot) | Field::Id(slot) | Field::Flags(slot) => Some(slot),
        _ => None,
    })
}

/// The flags with which a store makes a list available, if it does.
fn opening(ram: &Ram<'_>, packed: &PackedShadow) -> Option<u16> {
    ram.fields().find_map(|(field, value)| match (field, value) {
        (Field::Flags(slot), Some(flags)) if packed.opens(slot, flags as u16) => Some(flags as u16),
        _ => None,
    })
}

/// The slot of a list that is not available although the store makes the first one so.
pub(super) fn gap(at: &At<'_>) -> Option<u16> {
    let (ram, packed) = store(at)?;
    let flags = opening(&ram, packed)?;
    let size = ram.queue.size()?;
    packed.list(flags, size).find(|(_, available)| !available).map(|(slot, _)| slot)
}

/// A list of a watched ring was given back, and nobody touched it until then.
fn used(at: &At<'_>, out: &mut Out<'_>) -> bool {
    let used = matches!(at.entry.event, Event::PackedUsed { .. });
    if used && at.queue().is_some_and(|queue| queue.packed.is_some()) {
        out.kept();
    }
    used
}

#[cfg(test)]
mod tests;
