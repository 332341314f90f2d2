//! The end of a function's use, and its reset.

use super::super::state::PerFunction;
use super::super::{At, Check, End, EndOf, Level, Needs, Out, Rule, Sees};
use super::{BUS_MASTER, command_stored};
use crate::register::{CapabilityKind, CommonCfg};
use crate::{Access, Effect, Event, Mark, Register};

const USED: Sees = Sees::VIRTIO.union(Sees::CONFIG);

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "P13",
        clause: "PCI 3.0, 6.2.2",
        level: Level::Should,
        needs: Needs::Occasion,
        text: "Memory of a queue is used for something else only when the device is reset, or may \
               not master the bus.",
        sees: USED.union(Sees::MARK),
        start: || Box::<Released>::default(),
    },
    Rule {
        id: "P30",
        clause: "PCI Express 3.0, 6.6.2",
        level: Level::Should,
        needs: Needs::Occasion,
        text: "After a function-level reset, or a return to D0 that resets, COMMAND is stored \
               again before the function is used; the time that it takes is not judged.",
        sees: USED,
        start: || Box::<Lost>::default(),
    },
    Rule {
        id: "P32",
        clause: "PCI 3.0, 3.3.3.2.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "A driver whose function is gone, and reads as all ones, comes to an end.",
        sees: Sees::FAULT,
        start: || Box::<Gone>::default(),
    },
];

/// The pages of each function's queues, and whether the driver saw the device reset since.
#[derive(Default)]
struct Released(PerFunction<Vec<(u64, bool)>>);

impl Released {
    fn enabled(&mut self, at: &At<'_>) {
        /// As many as queues of a device that a driver has use for.
        const MOST: usize = 0x1000;
        let (Some(function), Some(queue)) = (at.function(), at.queue()) else { return };
        let pages = self.0.of(function);
        let areas = [queue.desc(), queue.driver(), queue.device()];
        for page in areas.into_iter().flatten().map(|address| address >> 12) {
            pages.retain(|(other, _)| *other != page);
            if pages.len() < MOST {
                pages.push((page, false));
            }
        }
    }

    fn released(&mut self, at: &At<'_>, frame: u64, out: &mut Out<'_>) {
        for (function, pages) in self.0.iter_mut() {
            let Some(place) = pages.iter().position(|(page, _)| *page == frame) else { continue };
            let (_, reset) = pages.swap_remove(place);
            let command = at.model.function(function).map_or(0, |known| known.config.command());
            out.check(reset || command & BUS_MASTER == 0, || {
                let seen = format!("page {frame:#x} of a queue, while {function} is not reset");
                ("a reset that was read to be done, or bit 2 of COMMAND clear", seen)
            });
        }
    }
}

impl Check for Released {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let Some((Register::DebugMark, Access::Store { value, .. }, _)) = at.register() {
            if let Mark::Released(frame) = Mark::of(value as u32) {
                self.released(at, frame.into(), out);
            }
        } else if at.stores(CommonCfg::QueueEnable) == Some(1) {
            self.enabled(at);
        } else if at.status_load() == Some(0)
            && at.virtio().is_some_and(|virtio| virtio.resetting)
            && let Some(pages) = at.function().and_then(|function| self.0.get(function))
        {
            pages.iter_mut().for_each(|(_, reset)| *reset = true);
        }
    }
}

/// The functions whose configuration is lost.
#[derive(Default)]
struct Lost(PerFunction<bool>);

impl Check for Lost {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        if resets(at) {
            *self.0.of(function) = true;
            return;
        }
        let Some(lost) = self.0.get(function).filter(|lost| **lost) else { return };
        if command_stored(at).is_some() {
            *lost = false;
            out.kept();
        } else if let Some((register, _, None)) = at.register()
            && !matches!(register, Register::Config { .. })
        {
            *lost = false;
            out.broken("COMMAND stored again after the reset", "an access to a BAR");
        }
    }
}

/// Whether this resets the function: Initiate Function Level Reset in a PCI Express capability, or
/// D0 after D3hot in a power management capability that says so.
fn resets(at: &At<'_>) -> bool {
    let Some((
        Register::Config { offset, capability: Some(capability), .. },
        Access::Store { value, .. },
        None,
    )) = at.register()
    else {
        return false;
    };
    let inside = offset.wrapping_sub(capability.at.into());
    match (capability.kind, inside) {
        (CapabilityKind::Other(0x10), 8) => value & 0x8000 != 0,
        (CapabilityKind::Other(0x01), 4) => {
            let held = at.pci().and_then(|function| function.config.get(offset, 2));
            // Bits 1:0 are the state, bit 3 is No_Soft_Reset.
            held.is_some_and(|held| held & 3 == 3 && held & 8 == 0) && value & 3 == 0
        }
        _ => false,
    }
}

/// How many functions went away.
#[derive(Default)]
struct Gone(u32);

impl Check for Gone {
    fn see(&mut self, at: &At<'_>, _out: &mut Out<'_>) {
        if let Event::Fault { effect, .. } = &at.entry.event
            && **effect == Effect::Removed
        {
            self.0 += 1;
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        if self.0 != 0 && end.end != End::Unknown {
            out.check(end.end != End::Died, || ("success or failure", "no end of the guest's own"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::End;
    use super::super::super::testing::{BLOCK, Transcript};
    use crate::register::{CapabilityKind, CommonCfg, ConfigHeader};
    use crate::{Effect, Event, Register};

    fn command(driver: &mut Transcript, value: u64) {
        driver.store(Transcript::header(BLOCK, ConfigHeader::Command), 2, value);
    }

    /// A driver that gives the page of its descriptors to somebody else, in the end.
    fn released(reset: bool, confirmed: bool, master: bool) -> Transcript {
        let mut driver = Transcript::driven(0);
        command(&mut driver, 6);
        if reset {
            driver.status(&[0]);
        }
        if confirmed {
            driver.common_load(CommonCfg::DeviceStatus, 0);
        }
        if !master {
            command(&mut driver, 2);
        }
        driver.store(Register::DebugMark, 4, 0x1000_0010);
        driver.store(Register::DebugMark, 4, 0x1000_0020);
        driver
    }

    #[test]
    fn memory_is_released_by_a_device_that_is_still() {
        released(true, true, true).keeps("P13", 1);
        released(true, false, false).keeps("P13", 1);
        let seen = ["page 0x10 of a queue, while 00:04.0 is not reset"];
        released(true, false, true).breaks("P13", &seen);
        released(false, false, true).breaks("P13", &seen);
    }

    #[test]
    fn a_function_that_was_reset_is_set_up_again() {
        let reset = || {
            let mut driver = Transcript::driven(0);
            let express = Some((CapabilityKind::Other(0x10), 0x80));
            driver.store(Transcript::config(BLOCK, 0x88, express), 2, 0x8000);
            driver
        };
        let mut driver = reset();
        command(&mut driver, 6);
        driver.status(&[0]);
        driver.keeps("P30", 1);
        let mut driver = reset();
        driver.status(&[0]);
        driver.breaks("P30", &["an access to a BAR"]);
        let power = Transcript::config(BLOCK, 0x84, Some((CapabilityKind::Other(0x01), 0x80)));
        for (state, broken) in [(3, 1), (0xb, 0)] {
            let mut driver = Transcript::driven(0);
            driver.store(power, 2, state);
            driver.store(power, 2, state & !3);
            driver.status(&[0]);
            assert_eq!(driver.judged("P30").1.len(), broken);
        }
    }

    #[test]
    fn a_driver_without_a_function_ends() {
        let mut driver = Transcript::driven(0);
        let effect = Box::new(Effect::Removed);
        driver.device(Event::Fault { fault: "F111".into(), effect });
        driver.end = End::Failure;
        driver.keeps("P32", 1);
        driver.end = End::Died;
        driver.breaks("P32", &["no end of the guest's own"]);
    }
}
