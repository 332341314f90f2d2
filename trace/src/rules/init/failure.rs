//! An initialisation that fails (VIRTIO 1.4, 3.1.1).

use super::super::model::Model;
use super::super::model::status::{DRIVER_OK, FAILED, FEATURES_OK};
use super::super::{End, EndOf};
use super::{At, Check, CommonCfg, Level, Needs, Out, PerFunction, Rule, Sees, programs};
use crate::Bdf;

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D3.1.1-e",
        clause: "VIRTIO 1.4, 3.1.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "A driver that cannot go on with a device stores FAILED.",
        sees: Sees::STATUS.union(Sees::FEATURES).union(Sees::QUEUES).union(Sees::LEGACY),
        start: || Box::<GivesUp>::default(),
    },
    Rule {
        id: "D3.1.1-f",
        clause: "VIRTIO 1.4, 3.1.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "An initialisation that failed does not go on.",
        sees: Sees::STATUS
            .union(Sees::FEATURES)
            .union(Sees::QUEUES)
            .union(Sees::NOTIFY)
            .union(Sees::LEGACY),
        start: || Box::<GoesOn>::default(),
    },
];

/// Why a driver cannot go on with a device, as this entry tells it.
fn problem(at: &At<'_>) -> Option<&'static str> {
    let virtio = at.virtio()?;
    if let Some(read) = at.loads(CommonCfg::DeviceStatus) {
        let refused = virtio.status & FEATURES_OK != 0 && virtio.status & DRIVER_OK == 0;
        return (refused && read as u8 & FEATURES_OK == 0).then_some("FEATURES_OK was not kept");
    }
    if let Some(window) = at.loads(CommonCfg::DeviceFeature) {
        let upper = virtio.device_feature_select == 1 && window & 1 == 0;
        return upper.then_some("VERSION_1 is not offered");
    }
    None
}

/// The problems of functions whose drivers have not said that they gave up.
#[derive(Default)]
struct GivesUp(PerFunction<Option<&'static str>>);

impl Check for GivesUp {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        let none = at.loads(CommonCfg::QueueSize) == Some(0) && at.queue_index() == Some(0);
        if let Some(new) = problem(at).or(none.then_some("there is no queue 0")) {
            *self.0.of(function) = Some(new);
        } else if let Some(value) = at.status_store()
            && let Some(problem) = self.0.get(function)
            && problem.is_some()
        {
            if value & FAILED != 0 {
                out.kept();
            }
            // A reset gives up as well, or begins again.
            if value & FAILED != 0 || value == 0 {
                *problem = None;
            }
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        if !matches!(end.end, End::Success | End::Failure) {
            return;
        }
        for (function, problem) in self.0.iter() {
            let (Some(problem), status) = (problem, status(end.model, function)) else { continue };
            if status != 0 && status & DRIVER_OK == 0 {
                out.broken("FAILED in the status", format!("{function} {status:#04x}: {problem}"));
            }
        }
    }
}

fn status(model: &Model, function: Bdf) -> u8 {
    model.function(function).map_or(0, |function| function.virtio.status)
}

/// The problems of functions that are not reset yet.
#[derive(Default)]
struct GoesOn(PerFunction<Option<&'static str>>);

impl Check for GoesOn {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        if let Some(new) = problem(at) {
            *self.0.of(function) = Some(new);
            return;
        }
        let kept = self.0.of(function);
        if let Some(value) = at.status_store() {
            if value == 0 {
                if kept.take().is_some() {
                    out.kept();
                }
                return;
            }
            if value & FAILED != 0 && kept.is_none() {
                *kept = Some("FAILED was stored");
                return;
            }
        }
        let goes_on = programs(at) || at.raises(DRIVER_OK) || at.notification().is_some();
        if goes_on && let Some(problem) = kept.take() {
            let seen = match at.notification() {
                Some((queue, _)) => format!("queue {queue} notified"),
                None if programs(at) => "a queue programmed".to_string(),
                None => "DRIVER_OK stored".to_string(),
            };
            out.broken(format!("an end or a reset, as {problem}"), seen);
        }
    }

    fn end(&mut self, _end: &EndOf<'_>, out: &mut Out<'_>) {
        for _ in self.0.iter().filter(|(_, problem)| problem.is_some()) {
            out.kept();
        }
    }
}
