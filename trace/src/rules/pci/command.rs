//! COMMAND and STATUS (PCI 3.0, 6.2.2 and 6.2.3).

use super::{BUS_MASTER, COMMAND, Config, IO, MEMORY, known_command};
use crate::rules::model::status::DRIVER_OK;
use crate::rules::{At, Level, Needs, Out, Rule, Sees, plain};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P12",
        clause: "PCI 3.0, 6.2.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "The function may master the bus before its driver says DRIVER_OK or notifies it.",
        sees: Sees::STATUS.union(Sees::LEGACY).union(Sees::NOTIFY),
        start: plain!(|at, out| {
            let Some(what) = begins(at) else { return };
            let Some(command) = known_command(at) else { return };
            out.check(command & BUS_MASTER != 0, || {
                (
                    format!("bit 2 of COMMAND set before {what}"),
                    format!("COMMAND is {command:#06x}"),
                )
            });
        }),
    },
    Rule {
        id: "P14",
        clause: "PCI 3.0, 6.1 and 6.2.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "A store to COMMAND preserves its reserved bits, and leaves bits 9:3 on that were.",
        sees: Sees::CONFIG_STORE,
        start: plain!(modify),
    },
    Rule {
        id: "P15",
        clause: "PCI 3.0, 6.2.3",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "A store of 32 bits to COMMAND stores no ones to STATUS, whose bits they clear.",
        sees: Sees::CONFIG_STORE,
        start: plain!(|at, out| {
            /// The bits that a one clears. Only who stores nothing else there means to.
            const CLEARED_BY_ONE: u32 = 0xf900;
            let Some(config) = Config::of(at) else { return };
            if let (COMMAND, 4, Some(value)) = (config.offset, config.width(), config.stored()) {
                out.check(value >> 16 & !CLEARED_BY_ONE == 0, || {
                    ("0 in bits 31:16, or 16 bits", format!("{value:#010x}"))
                });
            }
        }),
    },
];

/// What makes the device access memory, if this is the first of it.
fn begins(at: &At<'_>) -> Option<&'static str> {
    let virtio = at.virtio()?;
    if let Some(status) = at.status_store() {
        return (status & !virtio.status & DRIVER_OK != 0).then_some("DRIVER_OK");
    }
    let (queue, _) = at.notification()?;
    let first = virtio.queue(queue).is_none_or(|queue| queue.notified == 0);
    // What comes after DRIVER_OK was judged with it, unless COMMAND is another since.
    (first && (!virtio.driver_ok() || known_command(at)? & BUS_MASTER == 0))
        .then_some("the first notification")
}

fn modify(at: &At<'_>, out: &mut Out<'_>) {
    const RESERVED: u16 = 0xf800;
    /// Special cycles to fast back-to-back transactions.
    const OTHERS: u16 = 0x0378;
    let Some(config) = Config::of(at) else { return };
    let Some((before, value)) = config.command(at) else { return };
    // All ones is what a function answers that is gone.
    let before = before.filter(|before| *before != 0xffff);
    let changed = (before.unwrap_or(0) ^ value) & RESERVED;
    // Who takes all of a function's rights away wants none of the others.
    let lost = match value & (IO | MEMORY | BUS_MASTER) {
        0 => 0,
        _ => before.unwrap_or(0) & !value & OTHERS,
    };
    out.check(changed == 0 && lost == 0, || {
        let before = before.unwrap_or(0);
        (format!("bits {:#06x} as in {before:#06x}", changed | lost), format!("{value:#06x}"))
    });
}

#[cfg(test)]
mod tests {
    use crate::register::{CommonCfg, ConfigHeader};
    use crate::rules::testing::{BLOCK, Transcript};

    fn command(driver: &mut Transcript, value: u64) {
        driver.store(Transcript::header(BLOCK, ConfigHeader::Command), 2, value);
    }

    #[test]
    fn the_bus_is_mastered_before_the_device_is_told_to_go() {
        let mut driver = Transcript::new();
        driver.status(&[0, 1, 3, 0xb, 0xf]);
        driver.notify(0);
        driver.keeps("P12", 0);
        command(&mut driver, 6);
        driver.status(&[0, 1, 3, 0xb, 0xf]);
        driver.notify(0);
        driver.notify(0);
        driver.keeps("P12", 1);
    }

    #[test]
    fn a_device_that_may_not_master_the_bus_cannot_go() {
        let mut driver = Transcript::new();
        command(&mut driver, 2);
        driver.status(&[0, 1, 3, 0xb, 0xf]);
        driver.notify(0);
        driver.notify(0);
        driver.breaks("P12", &["COMMAND is 0x0002"; 2]);
        driver.status(&[0]);
        driver.common_load(CommonCfg::DeviceStatus, 0);
        command(&mut driver, 6);
        driver.notify(0);
        assert_eq!(driver.judged("P12").0, 1);
    }

    #[test]
    fn command_is_read_before_it_is_changed() {
        let mut driver = Transcript::new();
        driver.load(Transcript::header(BLOCK, ConfigHeader::Command), 2, 0x0107);
        for value in [0x0104, 0x0107, 0x0507] {
            command(&mut driver, value);
        }
        // Byte by byte, and all of it off.
        driver.store(Transcript::config(BLOCK, 5, None), 1, 1);
        driver.store(Transcript::config(BLOCK, 4, None), 1, 6);
        command(&mut driver, 0x0400);
        driver.keeps("P14", 6);
    }

    #[test]
    fn what_was_on_and_what_is_reserved_is_kept() {
        let mut driver = Transcript::new();
        driver.load(Transcript::header(BLOCK, ConfigHeader::Command), 2, 0x0107);
        command(&mut driver, 0x0006);
        command(&mut driver, 0x8006);
        driver.breaks("P14", &["0x0006", "0x8006"]);
    }

    #[test]
    fn ones_are_not_stored_to_status_by_accident() {
        let register = Transcript::header(BLOCK, ConfigHeader::Command);
        let mut driver = Transcript::new();
        driver.store(register, 4, 0x0000_0006);
        driver.store(register, 4, 0xf900_0006);
        command(&mut driver, 6);
        driver.keeps("P15", 2);
        driver.store(register, 4, 0x0010_0006);
        driver.store(register, 4, 0xffff_0006);
        driver.breaks("P15", &["0x00100006", "0xffff0006"]);
    }
}
