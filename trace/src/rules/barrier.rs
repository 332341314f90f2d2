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
