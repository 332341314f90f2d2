//! The device status (VIRTIO 1.4, 2.1).

use super::model::status::{ACKNOWLEDGE, DRIVER, DRIVER_OK, FAILED, FEATURES_OK};
use super::model::{Virtio, status};
use super::state::PerFunction;
use super::{At, Check, Level, Needs, Out, Rule, Sees, plain};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D2.1.1-a",
        clause: "VIRTIO 1.4, 2.1.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "The status shows each step of the initialisation with those before it.",
        sees: Sees::STATUS.union(Sees::LEGACY),
        start: plain!(|at, out| {
            let (Some(value), Some(virtio)) = (at.status_store(), at.virtio()) else { return };
            // What a store lost is another rule's; here the steps are those that were ever made.
            let shown = value | virtio.held();
            if value & STEPS != 0 {
                let missing = missing(shown, legacy(at));
                out.check(missing == 0, || {
                    let expected = format!("{missing:#04x} to be set before");
                    (expected, format!("{value:#04x} after {:#04x}", virtio.status))
                });
            }
        }),
    },
    Rule {
        id: "D2.1.1-b",
        clause: "VIRTIO 1.4, 2.1.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "A bit of the status is cleared by a reset only.",
        sees: Sees::STATUS.union(Sees::LEGACY),
        start: plain!(|at, out| {
            let (Some(value), Some(virtio)) = (at.status_store(), at.virtio()) else { return };
            let held = virtio.held() & clearable(virtio);
            if value == 0 || held == 0 {
                return;
            }
            let lost = held & !value;
            out.check(lost == 0, || {
                let expected = format!("a value with all bits of {held:#04x}, or 0");
                (expected, format!("{value:#04x}, which lacks {lost:#04x}"))
            });
        }),
    },
    Rule {
        id: "D2.1.1-c",
        clause: "VIRTIO 1.4, 2.1.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "After FAILED the device is reset before it is initialised again.",
        sees: Sees::STATUS.union(Sees::LEGACY),
        start: plain!(|at, out| {
            let (Some(value), Some(virtio)) = (at.status_store(), at.virtio()) else { return };
            if virtio.status & FAILED == 0 {
                return;
            }
            // To store the same once more is no attempt.
            let anew = value & STEPS & !virtio.status != 0 || value & FAILED == 0;
            if value == 0 || anew {
                out.check(value == 0, || ("0, a reset, after FAILED", format!("{value:#04x}")));
            }
        }),
    },
    Rule {
        id: "D2.1.1-d",
        clause: "VIRTIO 1.4, 2.1.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "Once DEVICE_NEEDS_RESET was read nothing more is asked of the device before a reset.",
        sees: Sees::STATUS.union(Sees::NOTIFY).union(Sees::LEGACY),
        start: || Box::<NeedsReset>::default(),
    },
];

/// The bits that the driver sets as it goes.
pub(super) const STEPS: u8 = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;

/// Those steps in their order; a legacy device has no FEATURES_OK (3.1.2).
pub(super) fn steps(legacy: bool) -> &'static [u8] {
    if legacy {
        &[ACKNOWLEDGE, DRIVER, DRIVER_OK]
    } else {
        &[ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK]
    }
}

/// The steps that are missing before the last one of `shown`.
fn missing(shown: u8, legacy: bool) -> u8 {
    let steps = steps(legacy);
    let last = steps.iter().rposition(|step| shown & step != 0).unwrap_or(0);
    steps[..last].iter().filter(|step| shown & **step == 0).fold(0, |all, step| all | step)
}

/// Whether the access is over the legacy interface.
pub(super) fn legacy(at: &At<'_>) -> bool {
    matches!(at.register(), Some((crate::Register::Legacy { .. }, ..)))
}

/// What the driver must not clear: the steps, but DRIVER_OK of a device that it suspended, which
/// the device clears itself (3.4).
fn clearable(virtio: &Virtio) -> u8 {
    if virtio.status & status::SUSPEND != 0 { STEPS & !DRIVER_OK } else { STEPS }
}

/// Whether the driver read DEVICE_NEEDS_RESET of a device, and has not reset it since.
#[derive(Default)]
struct NeedsReset(PerFunction<bool>);

impl Check for NeedsReset {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        if let Some(read) = at.status_load() {
            if read != 0xff && read & status::DEVICE_NEEDS_RESET != 0 {
                *self.0.of(function) = true;
            }
            return;
        }
        let Some(seen) = self.0.get(function).filter(|seen| **seen) else { return };
        if at.status_store().is_some_and(|value| value == 0 || value & FAILED != 0) {
            *seen = false;
            out.kept();
        } else if let Some((queue, _)) = at.notification() {
            out.broken("a reset, or FAILED", format!("queue {queue} notified"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BLOCK, Transcript};
    use crate::register::{CommonCfg, LegacyCfg};

    #[test]
    fn a_step_is_shown_with_those_before_it() {
        let mut driver = Transcript::new();
        driver.status(&[0, 1, 3, 0x0b, 0x0f, 0, 3, 0x0b, 0x0f]);
        driver.keeps("D2.1.1-a", 7);
        let mut driver = Transcript::new();
        driver.status(&[0, 2, 3, 7]);
        driver.breaks("D2.1.1-a", &["0x02 after 0x00", "0x07 after 0x03"]);
        let mut driver = Transcript::new();
        for status in [0, 1, 3, 7] {
            driver.legacy(LegacyCfg::DeviceStatus, status);
        }
        driver.keeps("D2.1.1-a", 3);
    }

    #[test]
    fn bits_are_added_and_all_cleared_by_a_reset() {
        let mut driver = Transcript::new();
        driver.status(&[0, 1, 3, 0x0b, 0x0f, 0, 1]);
        driver.keeps("D2.1.1-b", 3);
    }

    #[test]
    fn a_step_without_those_before_it_clears_them() {
        let mut driver = Transcript::new();
        driver.status(&[0, 1, 2, 8]);
        driver.breaks("D2.1.1-b", &["0x02, which lacks 0x01", "0x08, which lacks 0x02"]);
    }

    #[test]
    fn what_was_read_to_be_clear_is_not_cleared() {
        let mut driver = Transcript::new();
        driver.status(&[0, 1, 3, 0x0b]);
        driver.common_load(CommonCfg::DeviceStatus, 3);
        driver.status(&[0x83]);
        driver.keeps("D2.1.1-b", 3);
    }

    #[test]
    fn a_reset_follows_failed() {
        let mut driver = Transcript::new();
        driver.status(&[0, 1, 3, 0x83, 0x83, 0, 1]);
        driver.keeps("D2.1.1-c", 1);
        let mut driver = Transcript::new();
        driver.status(&[0, 1, 3, 0x83, 0x8b, 1]);
        driver.breaks("D2.1.1-c", &["0x8b", "0x01"]);
    }

    #[test]
    fn a_device_that_needs_a_reset_is_asked_for_nothing() {
        let mut driver = Transcript::driven(0);
        driver.common_load(CommonCfg::DeviceStatus, 0x4f);
        driver.status(&[0]);
        driver.notify(0);
        driver.keeps("D2.1.1-d", 1);
        let mut driver = Transcript::driven(0);
        driver.common_load(CommonCfg::DeviceStatus, 0x4f);
        driver.notify(0);
        driver.breaks("D2.1.1-d", &["queue 0 notified"]);
        let mut gone = Transcript::driven(0);
        gone.common_load(CommonCfg::DeviceStatus, 0xff);
        gone.notify(0);
        gone.keeps("D2.1.1-d", 0);
        let _ = BLOCK;
    }
}
