//! What drivers make of unusual offers.

use super::{
    At, Check, CommonCfg, DRIVER_OK, End, EndOf, Event, FAILED, FEATURES_OK, Level, Needs, Out,
    PerFunction, Register, Rule, SR_IOV, Sees, VERSION_1, settled, undefined,
};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D2.2.1-e",
        clause: "VIRTIO 1.4, 2.2.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "A device without a feature that the driver needs, VERSION_1 over the modern \
               interface, is given up with FAILED, or driven otherwise.",
        sees: Sees::STATUS.union(Sees::FEATURES).union(Sees::LEGACY),
        start: || Box::<Without>::default(),
    },
    Rule {
        id: "D2.2.1-f",
        clause: "VIRTIO 1.4, 2.2.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "Bits that mean nothing are no reason to give a device up.",
        sees: Sees::STATUS.union(Sees::FEATURES).union(Sees::FAULT),
        start: || Box::<Unknown>::default(),
    },
    Rule {
        id: "D6.1-f",
        clause: "VIRTIO 1.4, 6.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "SR_IOV is not accepted of a function without the SR-IOV capability.",
        sees: Sees::STATUS.union(Sees::CONFIG_LOAD),
        start: || Box::<SrIov>::default(),
    },
];

/// The functions that do not offer VERSION_1, and whose drivers have not given up.
#[derive(Default)]
struct Without(PerFunction<bool>);

impl Check for Without {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let (Some(function), Some(virtio)) = (at.function(), at.virtio()) else { return };
        if let Some(window) = at.loads(CommonCfg::DeviceFeature)
            && virtio.device_feature_select == 1
        {
            *self.0.of(function) = window & 1 == 0;
            return;
        }
        let Some(value) = at.status_store() else { return };
        let Some(without) = self.0.get(function).filter(|without| **without) else { return };
        if value == 0 || value & FAILED != 0 {
            *without = false;
            out.kept();
        } else if settled(at).is_some() {
            *without = false;
            out.broken("FAILED, or a reset: there is no VERSION_1", format!("{value:#04x}"));
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        if !matches!(end.end, End::Success | End::Failure) {
            return;
        }
        for (function, _) in self.0.iter().filter(|(_, without)| **without) {
            out.broken("FAILED: there is no VERSION_1", format!("{function} left as it was"));
        }
    }
}

/// Whether anything else is unusual than bits that mean nothing.
#[derive(Default)]
struct Unknown {
    /// The entry of a fault whose effect was not seen yet.
    fault: Option<u64>,
    other: bool,
    done: PerFunction<bool>,
}

impl Check for Unknown {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let Event::Fault { .. } = at.entry.event {
            self.other |= self.fault.is_some();
            self.fault = Some(at.entry.seq);
            return;
        }
        if let Some(seq) = self.fault {
            // A fault stands right before what it altered.
            let altered = seq + 1 == at.entry.seq && at.loads(CommonCfg::DeviceFeature).is_some();
            self.other |= !altered;
            self.fault = None;
        }
        let (Some(function), Some(virtio)) = (at.function(), at.virtio()) else { return };
        let Some(value) = at.status_store() else { return };
        let failed = value & FAILED != 0 && virtio.status & (FAILED | FEATURES_OK) == 0;
        if !failed && !at.raises(DRIVER_OK) {
            return;
        }
        let Some(bit) = undefined(at, &virtio.ever_offered).next() else { return };
        let done = self.done.of(function);
        if failed && !self.other && !*done && virtio.offered.has(VERSION_1) {
            out.broken("FEATURES_OK without them", format!("FAILED when bit {bit} was offered"));
        } else if !failed {
            *done = true;
            out.kept();
        }
    }
}

/// The functions that were seen to have the SR-IOV extended capability.
#[derive(Default)]
struct SrIov(PerFunction<bool>);

impl Check for SrIov {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        /// The capability's ID (Single Root I/O Virtualization 1.1, 3.3.1).
        const ID: u64 = 0x10;
        let Some(function) = at.function() else { return };
        if let Some((Register::Config { offset, .. }, access, None)) = at.register() {
            let header = offset >= 0x100 && offset % 4 == 0 && access.width() >= 2;
            if header && !access.is_store() && access.value() & 0xffff == ID {
                *self.0.of(function) = true;
            }
            return;
        }
        let Some(virtio) = settled(at).filter(|virtio| virtio.offered.has(SR_IOV)) else { return };
        let capable = self.0.get(function).is_some_and(|capable| *capable);
        out.check(capable || !virtio.accepted.has(SR_IOV), || {
            ("no SR_IOV without its capability", "bit 37 accepted")
        });
    }
}
