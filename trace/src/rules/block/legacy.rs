//! Requests over the legacy interface (VIRTIO 1.4, 5.2.6.3 and 5.2.6.4).

use crate::rules::model::feature;
use crate::rules::{Level, Needs, Rule, Sees, plain};

pub(in crate::rules) const RULES: &[Rule] = &[Rule {
    id: "L5.2.6.4",
    clause: "VIRTIO 1.4, 5.2.6.4",
    level: Level::Must,
    needs: Needs::Occasion,
    text: "Without ANY_LAYOUT a legacy request has a descriptor for its header and one for its status.",
    sees: Sees::DESCRIPTOR,
    start: plain!(|at, out| {
        let Some(virtio) = at.virtio().filter(|virtio| virtio.legacy == Some(true)) else { return };
        let Some(chain) = at.chain().filter(|chain| chain.complete) else { return };
        if virtio.negotiated(feature::ANY_LAYOUT) {
            return;
        }
        let (Some(first), Some(last)) = (chain.buffers().next(), chain.buffers().next_back())
        else {
            return;
        };
        let framed = (first.writable(), first.len) == (false, 16)
            && (last.writable(), last.len) == (true, 1);
        out.check(framed, || {
            let (first, last) = (first.len, last.len);
            ("a first buffer of 16 bytes and a last of 1", format!("{first} and {last} bytes"))
        });
    }),
}];
