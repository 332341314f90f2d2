//! Lists of descriptors, as the device reads them (VIRTIO 1.4, 2.8.17 and 2.8.19).

use crate::rules::model::{Chain, Element, Queue, feature};
use crate::rules::split::{name, readable_behind_writable};
use crate::rules::{At, Level, Needs, Out, Rule, Sees, plain};
use crate::{DescriptorFlags, Event, Ring, Table};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D2.8.17-a",
        clause: "VIRTIO 1.4, 2.8.17",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "A list has at most as many descriptors as the queue, and no loop.",
        sees: Sees::PACKED_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some((queue, chain, last)) = last(at) else { return };
            let Some(size) = queue.size().map(u32::from) else { return };
            let goes_on = !chain.complete && !last.indirect();
            let count = match (last.table, last.indirect()) {
                (Table::Queue, true) => last.len / 16,
                (Table::Queue, false) => chain.elements.len() as u32,
                (Table::Indirect, _) => return,
            };
            if count > size || goes_on && count == size {
                let more = if goes_on { " and more" } else { "" };
                out.broken(format!("at most {size} descriptors"), format!("{count}{more}"));
            } else if chain.complete || last.indirect() {
                out.kept();
            }
        }),
    },
    Rule {
        id: "D2.8.17-b",
        clause: "VIRTIO 1.4, 2.8.17",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "Device-writable buffers of a list come after all device-readable ones.",
        sees: Sees::PACKED_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some((_, chain, last)) = last(at) else { return };
            match readable_behind_writable(chain) {
                Some(before) => out.broken(
                    format!("a writable buffer behind {}", name(before)),
                    format!("{}, which is readable", name(last)),
                ),
                None if chain.complete => out.kept(),
                None => {}
            }
        }),
    },
    Rule {
        id: "D2.8.17-c",
        clause: "VIRTIO 1.4, 2.8.17",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "A list is put into slots that are free, all of them, before its first is made available.",
        sees: Sees::PACKED_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some((_, chain, _)) = last(at).filter(|(_, chain, _)| chain.complete) else {
                return;
            };
            match chain.shares {
                Some(slot) => out.broken("free slots", format!("slot {slot}, which is not used")),
                None => out.kept(),
            }
        }),
    },
    Rule {
        id: "D2.8.17-d",
        clause: "VIRTIO 1.4, 2.8.17",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "The first descriptor of a list is made available last.",
        sees: Sees::PACKED_DESCRIPTOR.union(Sees::RING_READ).union(Sees::RAM),
        start: plain!(first_is_last),
    },
    Rule {
        id: "D2.8.19-a",
        clause: "VIRTIO 1.4, 2.8.19",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "INDIRECT is negotiated, stands alone in its list, and in its table there is no flag but WRITE.",
        sees: Sees::PACKED_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some((_, chain, last)) = last(at) else { return };
            match indirect(at, chain, last) {
                Some(expected) => {
                    let seen = format!("{} with flags {:#06x}", name(last), last.flags.0);
                    out.broken(expected, seen);
                }
                None if chain.complete => out.kept(),
                None => {}
            }
        }),
    },
];

/// The descriptor that the device read, as the last one of its list.
fn last<'a>(at: &At<'a>) -> Option<(&'a Queue, &'a Chain, &'a Element)> {
    if !matches!(at.entry.event, Event::PackedDescriptor { .. }) {
        return None;
    }
    let queue = at.queue()?;
    let chain = queue.walking.as_ref()?;
    Some((queue, chain, chain.elements.last()?))
}

/// What this descriptor should be instead.
fn indirect(at: &At<'_>, chain: &Chain, last: &Element) -> Option<&'static str> {
    let flags = last.flags;
    if last.table == Table::Indirect {
        let others = flags.0 & !DescriptorFlags::WRITE.bits();
        return (others != 0).then_some("WRITE and nothing else");
    }
    if !flags.contains(DescriptorFlags::INDIRECT) {
        return None;
    }
    if !at.virtio().is_some_and(|virtio| virtio.negotiated(feature::INDIRECT_DESC)) {
        return Some("no INDIRECT");
    }
    let alone = chain.elements.len() == 1 && !flags.contains(DescriptorFlags::NEXT);
    (!alone).then_some("INDIRECT in a list of one")
}

/// The device finds the first descriptor available and a later one not, or the driver stores so.
fn first_is_last(at: &At<'_>, out: &mut Out<'_>) {
    if let Some(gap) = super::order::gap(at) {
        return out.broken(format!("slot {gap} made available before"), "the first one is");
    }
    let Some(queue) = at.queue().filter(|queue| !queue.forged && queue.packed.is_none()) else {
        return;
    };
    match at.entry.event {
        Event::Ring { field: Ring::DescriptorFlags(slot), .. } => {
            let cut = queue.walking.as_ref().filter(|chain| !chain.complete);
            if cut.is_some_and(|chain| !chain.elements.iter().any(Element::indirect)) {
                out.broken("all of the list available", format!("slot {slot}, which is not"));
            }
        }
        Event::PackedDescriptor { .. } if at.chain().is_some_and(|chain| chain.complete) => {
            out.kept();
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
