//! The available ring as the device reads it (VIRTIO 1.4, 2.7.6 and 2.7.13).

use super::order;
use crate::rules::{Level, Needs, Rule, Sees, plain};
use crate::{Event, Ring, Table};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D2.7.6.1-a",
        clause: "VIRTIO 1.4, 2.7.6.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "The available index grows, by one for each head that was added.",
        sees: Sees::RING_READ,
        start: plain!(|at, out| {
            let Some(queue) = at.queue().filter(|queue| !queue.forged) else { return };
            match reads(&at.entry.event) {
                Some((Ring::AvailIdx, idx)) => {
                    let (Some(size), old) = (queue.size(), queue.avail_idx.unwrap_or(0)) else {
                        return;
                    };
                    let (new, held) = (idx.wrapping_sub(old), queue.held());
                    if new == 0 {
                        return;
                    }
                    out.check(held + usize::from(new) <= size.into(), || {
                        let most = usize::from(size).saturating_sub(held);
                        let expected = format!("{old:#06x} and at most {most} more");
                        (expected, format!("{idx:#06x}"))
                    });
                }
                Some((Ring::AvailRing(slot), head))
                    if queue.walking.as_ref().is_some_and(|chain| chain.twice) =>
                {
                    let seen = format!("slot {slot} has head {head} once more");
                    out.broken("a head that the device has not", seen);
                }
                _ => {}
            }
        }),
    },
    Rule {
        id: "I2.7.13-a",
        clause: "VIRTIO 1.4, 2.7.13",
        level: Level::Recipe,
        needs: Needs::Nothing,
        text: "A chain is put into free descriptors, and its head into slot idx modulo the size.",
        sees: Sees::RING_READ.union(Sees::SPLIT_DESCRIPTOR).union(Sees::RAM),
        start: plain!(|at, out| {
            order::slot(at, out);
            let Some(queue) = at.queue() else { return };
            let Some(chain) = &queue.walking else { return };
            match (reads(&at.entry.event), &at.entry.event) {
                (Some((Ring::AvailRing(_), head)), _) => {
                    let Some(size) = queue.size() else { return };
                    if head >= size {
                        out.broken(format!("a head below {size}"), format!("head {head}"));
                    } else if chain.twice {
                        let seen = format!("descriptor {head}, which the device has");
                        out.broken("a free descriptor", seen);
                    } else {
                        out.kept();
                    }
                }
                (_, Event::Descriptor { table: Table::Queue, .. }) if !chain.twice => {
                    if let Some(index) = chain.shares.filter(|_| chain.complete) {
                        let seen = format!("descriptor {index}, which is another chain's");
                        out.broken("free descriptors", seen);
                    }
                }
                _ => {}
            }
        }),
    },
    Rule {
        id: "I2.7.13-b",
        clause: "VIRTIO 1.4, 2.7.13",
        level: Level::Recipe,
        needs: Needs::Nothing,
        text: "The available index runs to 65535 and on to 0, whatever the size.",
        sees: Sees::RING_READ.union(Sees::RAM),
        start: plain!(|at, out| {
            order::round(at, out);
            let Some(queue) = at.queue().filter(|queue| !queue.forged) else { return };
            let (Some((Ring::AvailIdx, idx)), Some(size), Some(old)) =
                (reads(&at.entry.event), queue.size().filter(|size| *size != 0), queue.avail_idx)
            else {
                return;
            };
            let new = idx.wrapping_sub(old);
            if new > size && idx < old {
                let expected = format!("what follows {old:#06x}");
                out.broken(expected, format!("{idx:#06x}, although 65535 is not passed"));
            } else if new <= size && old / size != idx / size {
                out.kept();
            }
        }),
    },
];

/// The field that the device read, and what it read.
pub(in crate::rules) fn reads(event: &Event) -> Option<(Ring, u16)> {
    match *event {
        Event::Ring { field, access, .. } if !access.is_store() => {
            Some((field, access.value() as u16))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{BLOCK, Transcript};
    use crate::{Actor, Effect};

    /// The device looks, and sees `idx`.
    fn look(device: &mut Transcript, idx: u16) {
        device.notify(0);
        device.ring(Ring::AvailIdx, idx);
    }

    /// The device takes a chain of one descriptor.
    fn take(device: &mut Transcript, slot: u16, head: u16) {
        device.ring(Ring::AvailRing(slot), head);
        device.desc(head, 0x2000, 16, 0, 0);
    }

    fn used(device: &mut Transcript, slot: u16, id: u32) {
        device.device(Event::Used { queue: 0, slot, id, len: 0 });
        device.ring_write(Ring::UsedIdx, slot + 1);
    }

    #[test]
    fn a_head_that_was_given_back_comes_again() {
        let mut device = Transcript::driven(0);
        for slot in 0..8 {
            look(&mut device, slot + 1);
            take(&mut device, slot, 0);
            used(&mut device, slot, 0);
        }
        look(&mut device, 9);
        device.keeps("D2.7.6.1-a", 9);
        device.keeps("I2.7.13-a", 8);
        device.keeps("I2.7.13-b", 1);
    }

    #[test]
    fn a_head_that_the_device_has_does_not_come_again() {
        let mut device = Transcript::driven(0);
        look(&mut device, 1);
        take(&mut device, 0, 3);
        look(&mut device, 2);
        take(&mut device, 1, 3);
        device.breaks("D2.7.6.1-a", &["slot 1 has head 3 once more"]);
        device.breaks("I2.7.13-a", &["descriptor 3, which the device has"]);
    }

    #[test]
    fn a_head_does_not_stand_twice_where_the_device_looks_once() {
        let mut device = Transcript::driven(0);
        look(&mut device, 2);
        take(&mut device, 0, 3);
        used(&mut device, 0, 3);
        take(&mut device, 1, 3);
        device.breaks("D2.7.6.1-a", &["slot 1 has head 3 once more"]);
    }

    #[test]
    fn an_id_that_no_descriptor_has_gives_nothing_back() {
        let mut device = Transcript::driven(0);
        look(&mut device, 1);
        take(&mut device, 0, 3);
        used(&mut device, 0, 0x10003);
        look(&mut device, 2);
        take(&mut device, 1, 3);
        device.breaks("I2.7.13-a", &["descriptor 3, which the device has"]);
    }

    #[test]
    fn no_two_chains_share_a_descriptor() {
        let mut device = Transcript::driven(0);
        look(&mut device, 2);
        device.ring(Ring::AvailRing(0), 0);
        device.desc(0, 0x2000, 16, 1, 1);
        device.desc(1, 0x3000, 512, 2, 0);
        device.ring(Ring::AvailRing(1), 2);
        device.desc(2, 0x2000, 16, 1, 1);
        device.desc(1, 0x3000, 512, 2, 0);
        device.breaks("I2.7.13-a", &["descriptor 1, which is another chain's"]);
        device.keeps("D2.7.6.1-a", 1);
    }

    #[test]
    fn a_head_is_an_entry_of_the_table() {
        let mut device = Transcript::driven(0);
        look(&mut device, 1);
        device.ring(Ring::AvailRing(0), 8);
        device.breaks("I2.7.13-a", &["head 8"]);
    }

    #[test]
    fn the_index_neither_goes_back_nor_jumps() {
        let mut device = Transcript::driven(0);
        look(&mut device, 9);
        device.breaks("D2.7.6.1-a", &["0x0009"]);
        let mut device = Transcript::driven(0);
        look(&mut device, 2);
        look(&mut device, 1);
        device.breaks("D2.7.6.1-a", &["0x0001"]);
    }

    #[test]
    fn there_are_no_more_chains_than_descriptors() {
        let mut device = Transcript::driven(0);
        look(&mut device, 1);
        take(&mut device, 0, 3);
        look(&mut device, 9);
        device.breaks("D2.7.6.1-a", &["0x0009"]);
    }

    #[test]
    fn the_index_does_not_begin_again_at_the_size() {
        let mut device = Transcript::driven(0);
        for idx in 1..=7 {
            look(&mut device, idx);
        }
        look(&mut device, 0);
        device.breaks("I2.7.13-b", &["0x0000, although 65535 is not passed"]);
    }

    #[test]
    fn the_index_goes_on_at_0_behind_65535() {
        let mut device = Transcript::driven(0);
        device.ring(Ring::AvailIdx, 0xffff);
        look(&mut device, 1);
        device.keeps("I2.7.13-b", 1);
    }

    #[test]
    fn what_a_fault_made_of_the_rings_is_not_the_drivers() {
        let mut device = Transcript::driven(0);
        look(&mut device, 1);
        take(&mut device, 0, 3);
        let effect = Box::new(Effect::UsedNotWritten { slot: 0 });
        let event = Event::Fault { fault: "F72".into(), effect };
        device.recorder.record(Actor::Device(BLOCK), event);
        look(&mut device, 2);
        take(&mut device, 1, 3);
        device.keeps("I2.7.13-a", 2);
        device.keeps("D2.7.6.1-a", 1);
    }
}
