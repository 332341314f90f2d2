//! What a driver makes of the length in a used element (VIRTIO 1.4, 2.7.8.3 and 5.2.6.3).

use crate::rules::{At, Check, End, EndOf, Level, Needs, Out, Rule, Sees};
use crate::{Effect, Event, Mark, Register, RequestKind};

const SEES: Sees = Sees::FAULT
    .union(Sees::USED)
    .union(Sees::MARK)
    .union(Sees::STATUS)
    .union(Sees::LEGACY)
    .union(Sees::REQUEST);

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D2.7.8.3-a",
        clause: "VIRTIO 1.4, 2.7.8.3",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "Nothing behind the bytes that the device says it wrote is taken to be data.",
        sees: SEES,
        start: || Box::<Short>::default(),
    },
    Rule {
        id: "L5.2.6.3-a",
        clause: "VIRTIO 1.4, 5.2.6.3",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "The length that a legacy device says is ignored.",
        sees: SEES,
        start: || Box::new(Short { legacy: true, ..Short::default() }),
    },
];

/// A read whose used element says that less was written than was, and what the guest did then.
///
/// What a driver made of the data no access shows. A guest that marks anything says by
/// [`Mark::Failed`] that it reported an error; one that marks nothing is not judged.
#[derive(Default)]
struct Short {
    legacy: bool,
    marks: bool,
    /// What the next used element should say.
    right: Option<u32>,
    /// The sector of the read that was carried out last.
    sector: Option<u64>,
    /// Reads that were said to be short.
    short: u64,
    /// Whether the guest noticed.
    noticed: bool,
    /// Faults of another sort, which a guest may have failed by.
    others: bool,
}

impl Check for Short {
    fn see(&mut self, at: &At<'_>, _: &mut Out<'_>) {
        match &at.entry.event {
            Event::Fault { effect, .. } => match **effect {
                Effect::Used { len, .. } => self.right = Some(len),
                Effect::Nothing | Effect::Machine { .. } | Effect::Config { .. } => {}
                _ => self.others = true,
            },
            Event::Used { len, .. } | Event::PackedUsed { len, .. } => self.used(at, *len),
            Event::Register { register: Register::DebugMark, access } => {
                self.marks = true;
                let failed = matches!(Mark::of(access.value() as u32), Mark::Failed(_));
                self.noticed |= failed && self.short != 0;
            }
            Event::Request { request: RequestKind::In, sector, .. } => {
                self.noticed |= self.short != 0 && self.sector == Some(*sector);
                self.sector = Some(*sector);
            }
            _ => self.noticed |= self.short != 0 && at.status_store() == Some(0),
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        if self.short == 0 || self.others || end.end == End::Unknown {
            return;
        }
        let noticed = self.noticed || end.end != End::Success;
        let told = || format!("{} short, and a guest that", self.short);
        match self.legacy {
            false if !noticed && !self.marks => {}
            false => out.check(noticed, || {
                ("an error, a reset, or another try", format!("{} took no notice", told()))
            }),
            true => out.check(!noticed, || ("a guest that goes on", format!("{} did not", told()))),
        }
    }
}

impl Short {
    fn used(&mut self, at: &At<'_>, len: u32) {
        let Some(right) = self.right.take() else { return };
        let legacy = at.virtio().is_some_and(|virtio| virtio.legacy == Some(true));
        // A byte alone is the status: there is no data that could be missing.
        if len < right && right > 1 && legacy == self.legacy && self.sector.is_some() {
            self.short += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::register::LegacyCfg;
    use crate::rules::End;
    use crate::rules::testing::Transcript;
    use crate::{Effect, Event, Register, RequestKind, RequestStatus};

    fn read(device: &mut Transcript) {
        let (head, request, status) = (0, RequestKind::In, RequestStatus::Ok);
        device.device(Event::Request { queue: 0, head, request, sector: 9, len: 512, status });
    }

    /// A read whose used element says 0, and a guest that marks its phases or does not.
    fn short(mut device: Transcript, marks: bool) -> Transcript {
        if marks {
            device.store(Register::DebugMark, 4, 1);
        }
        read(&mut device);
        device.fault(Effect::Used { id: 0, len: 513 });
        device.device(Event::Used { queue: 0, slot: 0, id: 0, len: 0 });
        device
    }

    #[test]
    fn a_short_read_is_no_success() {
        let taken = short(Transcript::driven(0), true);
        taken.breaks("D2.7.8.3-a", &["1 short, and a guest that took no notice"]);
        taken.keeps("L5.2.6.3-a", 0);
        short(Transcript::driven(0), false).keeps("D2.7.8.3-a", 0);
    }

    #[test]
    fn an_error_a_reset_and_another_try_are_right() {
        let mut marked = short(Transcript::driven(0), true);
        marked.store(Register::DebugMark, 4, 3 << 28);
        marked.keeps("D2.7.8.3-a", 1);
        let mut reset = short(Transcript::driven(0), true);
        reset.status(&[0]);
        reset.keeps("D2.7.8.3-a", 1);
        let mut again = short(Transcript::driven(0), true);
        read(&mut again);
        again.keeps("D2.7.8.3-a", 1);
        let mut failed = short(Transcript::driven(0), false);
        failed.end = End::Failure;
        failed.keeps("D2.7.8.3-a", 1);
    }

    #[test]
    fn an_element_that_says_all_is_none_of_this() {
        let mut device = Transcript::driven(0);
        device.store(Register::DebugMark, 4, 1);
        read(&mut device);
        device.device(Event::Used { queue: 0, slot: 0, id: 0, len: 513 });
        device.keeps("D2.7.8.3-a", 0);
    }

    #[test]
    fn a_legacy_device_may_say_what_it_likes() {
        let legacy = || {
            let mut device = Transcript::new();
            device.legacy(LegacyCfg::DeviceStatus, 7);
            device
        };
        short(legacy(), true).keeps("L5.2.6.3-a", 1);
        short(legacy(), true).keeps("D2.7.8.3-a", 0);
        let mut failed = short(legacy(), true);
        failed.end = End::Failure;
        failed.breaks("L5.2.6.3-a", &["1 short, and a guest that did not"]);
    }
}
