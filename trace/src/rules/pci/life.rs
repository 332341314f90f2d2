//! How a driver ends, goes on after a reset of the function, and meets one that is gone.

use super::{BUS_MASTER, Config, Each, MEMORY};
use crate::register::CapabilityKind;
use crate::rules::model::{Queue, status::DRIVER_OK};
use crate::rules::{At, Check, End, EndOf, Level, Needs, Out, Rule, Sees};
use crate::{Access, Effect, Event, Mark, Register, Space};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P13",
        clause: "PCI 3.0, 6.2.2",
        level: Level::Should,
        needs: Needs::Occasion,
        text: "A driver that ends has waited for the reset of its device, or taken its bus \
               mastering away, before the memory of the queues is used for something else.",
        sees: Sees::STATUS.union(Sees::LEGACY).union(Sees::MARK),
        start: || Box::<Teardown>::default(),
    },
    Rule {
        id: "P30",
        clause: "PCI Power Management 1.2, 5.4.1, and PCI Express Base 3.0, 6.6.2",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "After a function-level reset, or a return to D0 that resets, COMMAND is stored \
               before the device is used; how long that takes no transcript shows.",
        sees: Sees::CONFIG.union(Sees::COMMON).union(Sees::LEGACY).union(Sees::NOTIFY),
        start: || Box::<Resets>::default(),
    },
    Rule {
        id: "P32",
        clause: "PCI 3.0, 3.3.3.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "A driver that is answered with all ones gives up instead of asking on.",
        sees: Sees::CONFIG
            .union(Sees::COMMON)
            .union(Sees::LEGACY)
            .union(Sees::ISR)
            .union(Sees::DEVICE_CONFIG)
            .union(Sees::UNCLAIMED)
            .union(Sees::FAULT),
        start: || Box::<Gone>::default(),
    },
];

/// What a device may still access that its driver has told to reset.
#[derive(Default)]
struct Told {
    /// It was driven, and then reset.
    reset: bool,
    /// The areas of its queues before that: start and length.
    areas: Vec<(u64, u64)>,
}

#[derive(Default)]
struct Teardown {
    functions: Each<Told>,
}

/// The areas of a queue (VIRTIO 1.4, 2.7 and 2.8), as far as they are known.
fn areas(queue: &Queue) -> impl Iterator<Item = (u64, u64)> {
    let size = u64::from(queue.size().unwrap_or(1));
    let areas =
        [(queue.desc(), 16 * size), (queue.driver(), 6 + 2 * size), (queue.device(), 6 + 8 * size)];
    areas.into_iter().filter_map(|(start, len)| Some((start?, len)))
}

impl Teardown {
    fn released(&self, at: &At<'_>, frame: u32, out: &mut Out<'_>) {
        let start = u64::from(frame) << 12;
        for (address, told) in &self.functions.0 {
            let meets = |(area, len): &(u64, u64)| *area < start + 0x1000 && start < area + len;
            let Some(function) = at.model.function(*address) else { continue };
            if !told.reset || !told.areas.iter().any(meets) {
                continue;
            }
            let master = function.config.get(super::COMMAND, 2);
            let master = master.is_some_and(|command| command as u16 & BUS_MASTER != 0);
            out.check(!(function.virtio.resetting && master), || {
                let seen = format!("frame {frame:#x} of {address} used for something else");
                ("a status of 0 loaded, or bit 2 of COMMAND cleared", seen)
            });
        }
    }
}

impl Check for Teardown {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let Some((Register::DebugMark, Access::Store { value, .. }, _)) = at.register() {
            if let Mark::Released(frame) = Mark::of(value as u32) {
                self.released(at, frame, out);
            }
            return;
        }
        let (Some(status), Some(virtio)) = (at.status_store(), at.virtio()) else { return };
        let Some(function) = at.function() else { return };
        if status & DRIVER_OK != 0 {
            let told = self.functions.at(function);
            (told.reset, told.areas) = (false, Vec::new());
        } else if status == 0 && virtio.driver_ok() {
            let enabled = virtio.queues().filter(|queue| queue.enabled);
            let areas = enabled.flat_map(areas).collect();
            *self.functions.at(function) = Told { reset: true, areas };
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        // Who was interrupted had not come to it yet.
        if !matches!(end.end, End::Success | End::Failure) {
            return;
        }
        for (address, _) in self.functions.0.iter().filter(|(_, told)| told.reset) {
            let Some(function) = end.model.function(*address) else { continue };
            let command = function.config.get(super::COMMAND, 2).unwrap_or(0) as u16;
            out.check(!function.virtio.resetting || command & BUS_MASTER == 0, || {
                let seen = format!("{address} resetting, with COMMAND {command:#06x}");
                ("a status of 0 loaded, or bit 2 of COMMAND cleared", seen)
            });
        }
    }
}

/// What is known of a function's power and resets.
#[derive(Default)]
struct Power {
    /// D0 to D3, as it was stored.
    state: u8,
    /// No_Soft_Reset, as it was loaded.
    keeps: Option<bool>,
    /// COMMAND was lost.
    lost: bool,
}

#[derive(Default)]
struct Resets {
    functions: Each<Power>,
}

impl Resets {
    fn config(&mut self, at: &At<'_>, config: &Config, out: &mut Out<'_>) {
        if config.command(at).is_some() && at.pci().is_some() {
            let power = self.functions.at(config.function);
            if std::mem::take(&mut power.lost) {
                out.kept();
            }
        }
        let Some(capability) = config.capability else { return };
        let CapabilityKind::Other(id) = capability.kind else { return };
        let byte = |inside: u16| config.byte(u16::from(capability.at) + inside);
        let power = self.functions.at(config.function);
        let loads = config.loaded().is_some();
        match id {
            // Power management: its control and status register.
            0x01 => match byte(4) {
                Some(value) if loads => power.keeps = Some(value & 8 != 0),
                Some(value) => {
                    let before = std::mem::replace(&mut power.state, value & 3);
                    power.lost |= before == 3 && value & 3 == 0 && power.keeps == Some(false);
                }
                None => {}
            },
            // PCI Express: bit 15 of Device Control.
            0x10 if !loads => power.lost |= byte(9).is_some_and(|value| value & 0x80 != 0),
            // Advanced features: its control register.
            0x13 if !loads => power.lost |= byte(4).is_some_and(|value| value & 1 != 0),
            _ => {}
        }
    }
}

impl Check for Resets {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let Some(config) = Config::of(at) {
            return self.config(at, &config, out);
        }
        let Some(function) = at.function() else { return };
        let power = self.functions.0.iter_mut().find(|(other, _)| *other == function);
        let Some((_, power)) = power.filter(|(_, power)| power.lost) else { return };
        power.lost = false;
        out.broken("a store to COMMAND before", "an access to a device that was reset");
    }
}

/// The register that was answered with all ones, and how often without anything between.
#[derive(Default)]
struct Gone {
    register: Option<Register>,
    times: u32,
    removed: bool,
    broken: bool,
}

impl Gone {
    /// More than anyone waits for who counts how often.
    const LIMIT: u32 = 100_000;

    /// Whether the register is one of a function's; of what nobody claims, where a BAR is.
    fn is_of_function(at: &At<'_>, register: Register) -> bool {
        let Register::Unclaimed { space, address } = register else { return true };
        space == Space::Memory
            && at.model.functions().any(|function| {
                let bars = &function.config.bars;
                bars.placed().any(|(index, start, size)| {
                    super::place::space(bars, index) == MEMORY
                        && (start..start.saturating_add(size)).contains(&address)
                })
            })
    }
}

impl Check for Gone {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let Event::Fault { effect, .. } = &at.entry.event {
            self.removed |= **effect == Effect::Removed;
            return;
        }
        let Some((register, Access::Load { width, value }, _)) = at.register() else {
            self.register = None;
            return;
        };
        if value != u64::MAX >> (64 - 8 * u32::from(width.clamp(1, 8))) {
            self.register = None;
            return;
        }
        if self.register != Some(register) {
            (self.register, self.times) = (Some(register), 0);
        }
        self.times = self.times.saturating_add(1);
        if self.times == Self::LIMIT && Self::is_of_function(at, register) {
            self.broken = true;
            out.broken("an end", format!("load {} in a row with all ones", Self::LIMIT));
        }
    }

    fn end(&mut self, _end: &EndOf<'_>, out: &mut Out<'_>) {
        if self.removed && !self.broken {
            out.kept();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::register::{CommonCfg, ConfigHeader};
    use crate::rules::testing::{BLOCK, Transcript};

    fn command(driver: &mut Transcript, value: u64) {
        driver.store(Transcript::header(BLOCK, ConfigHeader::Command), 2, value);
    }

    /// A device that is driven, and told to reset.
    fn ended() -> Transcript {
        let mut driver = Transcript::driven(0);
        command(&mut driver, 6);
        driver.status(&[0]);
        driver
    }

    #[test]
    fn who_ends_waits_for_the_reset_or_takes_the_bus_away() {
        let mut driver = ended();
        driver.common_load(CommonCfg::DeviceStatus, 0);
        driver.keeps("P13", 1);
        let mut driver = ended();
        command(&mut driver, 2);
        driver.keeps("P13", 1);
        let mut driver = ended();
        driver.breaks("P13", &["00:04.0 resetting, with COMMAND 0x0006"]);
        driver.end = End::Died;
        driver.keeps("P13", 0);
        // Who does not end has nothing to wait for.
        Transcript::driven(0).keeps("P13", 0);
    }

    #[test]
    fn memory_is_released_after_the_reset() {
        let release = |driver: &mut Transcript, frame| {
            driver.store(Register::DebugMark, 4, Mark::Released(frame).value().into());
        };
        let mut driver = ended();
        release(&mut driver, 0x13);
        release(&mut driver, 0x11);
        driver.common_load(CommonCfg::DeviceStatus, 0);
        release(&mut driver, 0x12);
        driver.breaks("P13", &["frame 0x11 of 00:04.0 used for something else"]);
        assert_eq!(driver.judged("P13").0, 2);
    }

    #[test]
    fn a_function_that_was_reset_gets_its_rights_again() {
        let store = |driver: &mut Transcript, id, inside: u16, value| {
            let at =
                Transcript::config(BLOCK, 0x80 + inside, Some((CapabilityKind::Other(id), 0x80)));
            driver.store(at, 2, value);
        };
        let mut driver = Transcript::new();
        store(&mut driver, 0x10, 8, 0x8000);
        command(&mut driver, 6);
        driver.status(&[0]);
        driver.keeps("P30", 1);
        store(&mut driver, 0x10, 8, 0x0010);
        driver.status(&[0]);
        driver.keeps("P30", 1);
        store(&mut driver, 0x13, 4, 1);
        driver.status(&[0]);
        let seen = "an access to a device that was reset";
        driver.breaks("P30", &[seen]);
        // D3 keeps it, where the device says so.
        let control = Transcript::config(BLOCK, 0x84, Some((CapabilityKind::Other(1), 0x80)));
        for (soft, times) in [(8, 1), (0, 2)] {
            driver.load(control, 2, soft);
            store(&mut driver, 1, 4, 3);
            store(&mut driver, 1, 4, 0);
            driver.status(&[0]);
            driver.breaks("P30", &vec![seen; times]);
        }
    }

    #[test]
    fn a_driver_that_nobody_answers_gives_up() {
        let mut driver = Transcript::new();
        driver.device(Event::Fault { fault: "removed".into(), effect: Effect::Removed.into() });
        for _ in 0..Gone::LIMIT - 1 {
            driver.common_load(CommonCfg::DeviceStatus, 0xff);
        }
        driver.keeps("P32", 1);
        driver.common_load(CommonCfg::DeviceStatus, 0xff);
        driver.breaks("P32", &["load 100000 in a row with all ones"]);
    }
}
