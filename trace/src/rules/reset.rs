//! Resets of the device and of a queue (VIRTIO 1.4, 2.4, 2.6.1 and 4.1.4.3.2).

use super::model::Half;
use super::state::PerFunction;
use super::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::register::CommonCfg;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D2.4.2-a",
        clause: "VIRTIO 1.4, 2.4.2",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "A reset is over when the status reads 0, and not before.",
        sees: Sees::STATUS,
        start: plain!(confirmed),
    },
    Rule {
        id: "D4.1.4.3.2-e",
        clause: "VIRTIO 1.4, 4.1.4.3.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "After 0 was stored to the status it is read until it is 0, before the device is \
               initialised again.",
        sees: Sees::STATUS,
        start: plain!(confirmed),
    },
    Rule {
        id: "D2.6.1.1.2-a",
        clause: "VIRTIO 1.4, 2.6.1.1.2",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "That a queue was reset is confirmed by reading queue_reset.",
        sees: Sees::STATUS.union(Sees::QUEUES),
        start: || Box::new(QueueReset { until_done: false, functions: PerFunction::default() }),
    },
    Rule {
        id: "D4.1.4.3.2-g",
        clause: "VIRTIO 1.4, 4.1.4.3.2",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "A queue is not programmed again before queue_reset reads 0.",
        sees: Sees::STATUS.union(Sees::QUEUES),
        start: || Box::new(QueueReset { until_done: true, functions: PerFunction::default() }),
    },
    Rule {
        id: "D2.6.1.2.2-a",
        clause: "VIRTIO 1.4, 2.6.1.2.2",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "A queue that was reset is programmed anew, wholly, before it is enabled again.",
        sees: Sees::QUEUES,
        start: plain!(|at, out| {
            let Some(queue) = at.queue().filter(|queue| queue.resets != 0 && !queue.enabled) else {
                return;
            };
            if at.stores(CommonCfg::QueueEnable) != Some(1) {
                return;
            }
            let missing = Half::ALL.into_iter().find(|half| queue.half(*half).is_none());
            out.check(missing.is_none() && queue.size().is_some(), || {
                let missing = missing.map_or("queue_size", Half::name);
                (format!("{missing} stored since the queue was reset"), "queue_enable".to_string())
            });
        }),
    },
];

/// The driver goes on after a reset that it saw to be done.
fn confirmed(at: &At<'_>, out: &mut Out<'_>) {
    let (Some(value), Some(virtio)) = (at.stores(CommonCfg::DeviceStatus), at.virtio()) else {
        return;
    };
    if value == 0 || virtio.status != 0 || virtio.resets == 0 {
        return;
    }
    out.check(!virtio.resetting, || {
        let seen = match virtio.status_read {
            Some(read) => format!("{value:#04x} stored when {read:#04x} was read"),
            None => format!("{value:#04x} stored when nothing was read"),
        };
        ("a load of 0 from the status after the reset", seen)
    });
}

/// The queue resets of a function whose end the driver has not seen, with what it read last.
struct QueueReset {
    /// Whether it must have read 0, or anything.
    until_done: bool,
    functions: PerFunction<Vec<(u16, Option<u16>)>>,
}

impl Check for QueueReset {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let (Some(function), Some(queue)) = (at.function(), at.queue_index()) else { return };
        if at.stores(CommonCfg::QueueReset) == Some(1) {
            let resetting = self.functions.of(function);
            resetting.retain(|(other, _)| *other != queue);
            return resetting.push((queue, None));
        }
        let Some(resetting) = self.functions.get(function).filter(|queues| !queues.is_empty())
        else {
            return;
        };
        if at.stores(CommonCfg::DeviceStatus) == Some(0) {
            return resetting.clear();
        }
        let Some(place) = resetting.iter().position(|(other, _)| *other == queue) else { return };
        if let Some(read) = at.loads(CommonCfg::QueueReset) {
            resetting[place].1 = Some(read as u16);
            if read == 0 {
                resetting.remove(place);
                out.kept();
            }
        } else if programs(at) && (self.until_done || resetting[place].1.is_none()) {
            let (_, read) = resetting.remove(place);
            let seen = match read {
                Some(read) => format!("queue {queue} programmed when {read:#x} was read"),
                None => format!("queue {queue} programmed when nothing was read"),
            };
            out.broken("a load of 0 from queue_reset", seen);
        }
    }
}

/// Whether this stores to what a queue is programmed with.
pub(super) fn programs(at: &At<'_>) -> bool {
    use CommonCfg as C;
    at.common().is_some_and(|(register, access)| {
        let queues = matches!(register, C::QueueSize | C::QueueEnable)
            || (C::QueueDescLow..=C::QueueDeviceHigh).contains(&register);
        queues && access.is_store()
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::Transcript;
    use crate::register::CommonCfg;

    #[test]
    fn a_reset_is_waited_for() {
        for rule in ["D2.4.2-a", "D4.1.4.3.2-e"] {
            let mut driver = Transcript::new();
            driver.status(&[0]);
            driver.common_load(CommonCfg::DeviceStatus, 0x0f);
            driver.common_load(CommonCfg::DeviceStatus, 0);
            driver.status(&[0, 0]);
            driver.common_load(CommonCfg::DeviceStatus, 0);
            driver.status(&[1, 3, 0]);
            driver.keeps(rule, 1);
            let mut driver = Transcript::new();
            driver.status(&[0, 1, 0]);
            driver.common_load(CommonCfg::DeviceStatus, 0x0f);
            driver.status(&[1]);
            driver.breaks(
                rule,
                &["0x01 stored when nothing was read", "0x01 stored when 0x0f was read"],
            );
        }
    }

    /// A queue that is reset, with these answers, and enabled again.
    fn reset_queue(answers: &[u64]) -> Transcript {
        let mut driver = Transcript::driven(0);
        driver.common(CommonCfg::QueueReset, 1);
        for &answer in answers {
            driver.common_load(CommonCfg::QueueReset, answer);
        }
        driver.enable(0, 8);
        driver
    }

    #[test]
    fn a_queue_reset_is_waited_for() {
        reset_queue(&[1, 1, 0]).keeps("D2.6.1.1.2-a", 1);
        reset_queue(&[1, 1, 0]).keeps("D4.1.4.3.2-g", 1);
        reset_queue(&[]).breaks("D2.6.1.1.2-a", &["queue 0 programmed when nothing was read"]);
        reset_queue(&[1]).keeps("D2.6.1.1.2-a", 0);
        reset_queue(&[1]).breaks("D4.1.4.3.2-g", &["queue 0 programmed when 0x1 was read"]);
    }

    #[test]
    fn a_queue_is_programmed_anew() {
        reset_queue(&[0]).keeps("D2.6.1.2.2-a", 1);
        let mut driver = Transcript::driven(0);
        driver.common(CommonCfg::QueueReset, 1);
        driver.common_load(CommonCfg::QueueReset, 0);
        driver.common(CommonCfg::QueueEnable, 1);
        driver.breaks("D2.6.1.2.2-a", &["queue_enable"]);
    }
}
