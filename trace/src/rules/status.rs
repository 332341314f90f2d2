//! The device status (VIRTIO 1.4, 2.1 and 3.1.1).

use super::model::status::{ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK};
use super::{Level, Needs, Rule, Sees, plain};

pub(super) const RULES: &[Rule] = &[Rule {
    id: "D2.1.1-b",
    clause: "VIRTIO 1.4, 2.1.1",
    level: Level::Must,
    needs: Needs::Nothing,
    text: "A bit of the status is cleared by a reset only.",
    sees: Sees::COMMON.union(Sees::LEGACY),
    start: plain!(|at, out| {
        let (Some(value), Some(virtio)) = (at.status_store(), at.virtio()) else { return };
        if value == 0 || virtio.status == 0 {
            return;
        }
        // The device's own bit is no step of the driver's.
        let lost = virtio.status & !value & STEPS;
        out.check(lost == 0, || {
            let expected = format!("a value with all bits of {:#04x}, or 0", virtio.status);
            (expected, format!("{value:#04x}, which lacks {lost:#04x}"))
        });
    }),
}];

/// The bits that the driver sets as it goes.
const STEPS: u8 = ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK;

#[cfg(test)]
mod tests {
    use super::super::testing::Transcript;

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
}
