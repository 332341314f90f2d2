//! Barriers between an index and the look at what the device wants (VIRTIO 1.4, 2.7.13.4.1,
//! 2.8.21.3.1 and 6.1).

use super::model::{Virtio, feature};
use super::{At, Level, Needs, Out, Rule, Sees, plain};
use crate::Event;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D2.7.13.4.1-a",
        clause: "VIRTIO 1.4, 2.7.13.4.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "A full barrier stands between the store of avail.idx and the load of used.flags or avail_event.",
        sees: Sees::BARRIER,
        start: plain!(|at, out| full(at, out, |virtio| !virtio.packed())),
    },
    Rule {
        id: "D2.8.21.3.1-a",
        clause: "VIRTIO 1.4, 2.8.21.3.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "A full barrier stands between the store of the flags and the load of the device event suppression structure.",
        sees: Sees::BARRIER,
        start: plain!(|at, out| full(at, out, Virtio::packed)),
    },
    Rule {
        id: "D6.1-e",
        clause: "VIRTIO 1.4, 6.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "With ORDER_PLATFORM barriers are such that devices of the platform heed them.",
        sees: Sees::BARRIER,
        start: plain!(|at, out| {
            full(at, out, |virtio| virtio.negotiated(feature::ORDER_PLATFORM));
        }),
    },
];

fn full(at: &At<'_>, out: &mut Out<'_>, concerns: fn(&Virtio) -> bool) {
    if let (Event::Barrier { full, .. }, Some(virtio)) = (&at.entry.event, at.virtio())
        && concerns(virtio)
    {
        out.check(*full, || ("mfence, or an instruction with lock", "none before the load"));
    }
}

#[cfg(test)]
mod tests {
    use crate::Event;
    use crate::rules::testing::{BLOCK, Transcript};

    /// A driver that negotiated these features of the second window, with barriers or without.
    fn driver(window: u32, barriers: &[bool]) -> Transcript {
        let mut driver = Transcript::new();
        driver.negotiate([0, window], [0, window]);
        for &full in barriers {
            driver.guest(Event::Barrier { function: BLOCK, queue: 0, full });
        }
        driver
    }

    #[test]
    fn a_barrier_stands_behind_the_index() {
        let split = driver(1, &[true, false]);
        split.breaks("D2.7.13.4.1-a", &["none before the load"]);
        assert_eq!(split.judged("D2.7.13.4.1-a").0, 1);
        split.keeps("D2.8.21.3.1-a", 0);
        split.keeps("D6.1-e", 0);
    }

    #[test]
    fn a_barrier_stands_behind_the_flags_of_a_packed_ring() {
        let packed = driver(5, &[true, false]);
        packed.breaks("D2.8.21.3.1-a", &["none before the load"]);
        packed.keeps("D2.7.13.4.1-a", 0);
    }

    #[test]
    fn with_order_platform_it_is_one_for_devices() {
        driver(1 | 1 << 4, &[true]).keeps("D6.1-e", 1);
        driver(1 | 1 << 4, &[false]).breaks("D6.1-e", &["none before the load"]);
    }
}
