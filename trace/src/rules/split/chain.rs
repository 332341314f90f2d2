//! Chains of descriptors (VIRTIO 1.4, 2.7.4 and 2.7.5).

use crate::rules::model::{Chain, Element, Queue, feature};
use crate::rules::{At, Level, Needs, Rule, Sees, plain};
use crate::{DescriptorFlags, Event, Table};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D2.7.4.2-a",
        clause: "VIRTIO 1.4, 2.7.4.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "Device-writable buffers of a chain come after all device-readable ones.",
        sees: Sees::SPLIT_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some(Last { chain, last, .. }) = last(at) else { return };
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
        id: "D2.7.5.2-a",
        clause: "VIRTIO 1.4, 2.7.5.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "A chain has no loop, and at most 2^32 bytes.",
        sees: Sees::SPLIT_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some(Last { queue, chain, last }) = last(at) else { return };
            if chain.complete {
                let bytes = chain.readable() + chain.writable();
                return out.check(bytes <= 1 << 32, || {
                    ("at most 4294967296 bytes", format!("{bytes} bytes"))
                });
            }
            if goes_round(chain, last) {
                return out.broken("an end of the chain", format!("{} once more", name(last)));
            }
            if !last.flags.contains(DescriptorFlags::NEXT) || last.indirect() {
                return;
            }
            // A table of so many entries has no other one to go on at.
            let (read, entries) = match (last.table, queue.size()) {
                (Table::Queue, Some(size)) => (chain.elements.len(), size.into()),
                (Table::Indirect, _) => table_of(chain),
                _ => return,
            };
            if read == entries {
                out.broken("an end of the chain", format!("{} goes on, as all before", name(last)));
            }
        }),
    },
    Rule {
        id: "D2.7.5.2-b",
        clause: "VIRTIO 1.4, 2.7.5.2",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "With IN_ORDER a chain goes on at the next descriptor of the table.",
        sees: Sees::SPLIT_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some(Last { queue, last, .. }) = last(at) else { return };
            let (Some(next), Some(size)) = (follower(last, Table::Queue), queue.size()) else {
                return;
            };
            if negotiated(at, feature::IN_ORDER) {
                let due = if last.index + 1 == size { 0 } else { last.index + 1 };
                out.check(next == due, || (format!("next {due}"), format!("next {next}")));
            }
        }),
    },
    Rule {
        id: "I2.7.5-a",
        clause: "VIRTIO 1.4, 2.7.5",
        level: Level::Recipe,
        needs: Needs::Nothing,
        text: "Heads and next descriptors are entries of the table.",
        sees: Sees::SPLIT_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some(Last { queue, chain, last }) = last(at) else { return };
            let entries = match (last.table, queue.size()) {
                (Table::Queue, Some(size)) => usize::from(size),
                (Table::Indirect, _) => table_of(chain).1,
                _ => return,
            };
            let next = follower(last, last.table).filter(|next| usize::from(*next) >= entries);
            match next {
                Some(next) => {
                    out.broken(format!("a descriptor below {entries}"), format!("next {next}"));
                }
                None if chain.complete => out.kept(),
                None => {}
            }
        }),
    },
    Rule {
        id: "I2.7.5-b",
        clause: "VIRTIO 1.4, 2.7.5",
        level: Level::Recipe,
        needs: Needs::Nothing,
        text: "A buffer has at least one byte.",
        sees: Sees::SPLIT_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some(Last { chain, last, .. }) = last(at) else { return };
            if last.len == 0 {
                out.broken("a buffer", format!("{} has length 0", name(last)));
            } else if chain.complete {
                out.kept();
            }
        }),
    },
    Rule {
        id: "D2.7.5.3.1-a",
        clause: "VIRTIO 1.4, 2.7.5.3.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "INDIRECT is set only if INDIRECT_DESC was negotiated.",
        sees: Sees::SPLIT_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some(Last { chain, last, .. }) = last(at) else { return };
            if last.table == Table::Queue && last.indirect() {
                out.check(negotiated(at, feature::INDIRECT_DESC), || {
                    ("no INDIRECT", format!("{} with flags {:#06x}", name(last), last.flags.0))
                });
            } else if chain.complete && last.table == Table::Queue {
                out.kept();
            }
        }),
    },
    Rule {
        id: "D2.7.5.3.1-b",
        clause: "VIRTIO 1.4, 2.7.5.3.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "No entry of an indirect table has INDIRECT.",
        sees: Sees::SPLIT_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some(Last { chain, last, .. }) = last(at) else { return };
            if last.table != Table::Indirect {
                return;
            }
            if last.indirect() {
                let seen = format!("{} with flags {:#06x}", name(last), last.flags.0);
                out.broken("NEXT and WRITE only", seen);
            } else if chain.complete {
                out.kept();
            }
        }),
    },
    Rule {
        id: "D2.7.5.3.1-c",
        clause: "VIRTIO 1.4, 2.7.5.3.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "A chain has at most as many descriptors as the queue.",
        sees: Sees::SPLIT_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some(Last { queue, chain, last }) = last(at) else { return };
            let Some(size) = queue.size().map(usize::from) else { return };
            let goes_on = !chain.complete && !last.indirect();
            // Where it is as long as it may be, the device looks no further.
            if goes_on && chain.elements.len() < size {
                return;
            }
            let count = chain.buffers().count();
            if count > size || goes_on && count == size {
                let more = if goes_on { " and more" } else { "" };
                out.broken(format!("at most {size} descriptors"), format!("{count}{more}"));
            } else if chain.complete {
                out.kept();
            }
        }),
    },
    Rule {
        id: "D2.7.5.3.1-d",
        clause: "VIRTIO 1.4, 2.7.5.3.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "INDIRECT and NEXT are never set together.",
        sees: Sees::SPLIT_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some(Last { last, .. }) = last(at) else { return };
            if last.table == Table::Queue && last.indirect() {
                out.check(!last.flags.contains(DescriptorFlags::NEXT), || {
                    ("INDIRECT without NEXT", format!("flags {:#06x}", last.flags.0))
                });
            }
        }),
    },
    Rule {
        id: "D2.7.5.3.1-e",
        clause: "VIRTIO 1.4, 2.7.5.3.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "With IN_ORDER an indirect table is sequential.",
        sees: Sees::SPLIT_DESCRIPTOR,
        start: plain!(|at, out| {
            let Some(Last { last, .. }) = last(at) else { return };
            let Some(next) = follower(last, Table::Indirect) else { return };
            if negotiated(at, feature::IN_ORDER) {
                let due = last.index.wrapping_add(1);
                out.check(next == due, || (format!("next {due}"), format!("next {next}")));
            }
        }),
    },
];

/// The descriptor that the device read, as the last one of its chain.
struct Last<'a> {
    queue: &'a Queue,
    chain: &'a Chain,
    last: &'a Element,
}

fn last<'a>(at: &At<'a>) -> Option<Last<'a>> {
    if !matches!(at.entry.event, Event::Descriptor { .. }) {
        return None;
    }
    let queue = at.queue()?;
    let chain = queue.walking.as_ref()?;
    Some(Last { queue, chain, last: chain.elements.last()? })
}

fn negotiated(at: &At<'_>, feature: u8) -> bool {
    at.virtio().is_some_and(|virtio| virtio.negotiated(feature))
}

/// The writable buffer before the last one, if that is readable.
pub(in crate::rules) fn readable_behind_writable(chain: &Chain) -> Option<&Element> {
    let mut back = chain.buffers().rev();
    let (last, before) = (back.next()?, back.next()?);
    let read_now = chain.elements.last() == Some(last);
    (read_now && !last.writable() && before.writable()).then_some(before)
}

/// Where the chain goes on, if this is a descriptor of such a table and it does.
fn follower(element: &Element, table: Table) -> Option<u16> {
    let goes_on = element.flags.contains(DescriptorFlags::NEXT) && !element.indirect();
    element.next.filter(|_| element.table == table && goes_on)
}

/// Whether a descriptor was in the chain before. In a long one that shows by its length.
fn goes_round(chain: &Chain, last: &Element) -> bool {
    let before = &chain.elements[..chain.elements.len() - 1];
    let same = |element: &Element| (element.table, element.index) == (last.table, last.index);
    before.len() < 64 && before.iter().any(same)
}

/// How many entries of its indirect table were read, and how many there are.
fn table_of(chain: &Chain) -> (usize, usize) {
    let names = |element: &Element| element.table == Table::Queue && element.indirect();
    let Some(place) = chain.elements.iter().position(names) else { return (0, 0) };
    (chain.elements.len() - place - 1, chain.elements[place].len as usize / 16)
}

/// A descriptor as `show` names it.
pub(in crate::rules) fn name(element: &Element) -> String {
    format!("{}[{}]", element.table, element.index)
}

#[cfg(test)]
mod tests;
