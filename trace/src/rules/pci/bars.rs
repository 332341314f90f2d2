//! Base address registers (PCI 3.0, 6.2.5.1).

use super::super::capability::comes_up::{ComesUp, large_bar, narrow_ports};
use super::super::capability::instances;
use super::super::model::status::DRIVER_OK;
use super::super::{At, Check, Level, Needs, Out, Rule, Sees};
use super::{IO, MEMORY, command_stored};
use crate::register::ConfigHeader;
use crate::{Bdf, Register, Space};

pub(super) mod slots;
#[cfg(test)]
mod tests;

use slots::{Slots, Step};

const DRIVEN: Sees = Sees::CONFIG.union(Sees::COMMON).union(Sees::LEGACY);

const fn rule(
    id: &'static str,
    needs: Needs,
    text: &'static str,
    sees: Sees,
    start: fn() -> Box<dyn Check>,
) -> Rule {
    Rule { id, clause: "PCI 3.0, 6.2.5.1", level: Level::Should, needs, text, sees, start }
}

pub(in crate::rules) const RULES: &[Rule] = &[
    rule(
        "P05",
        Needs::Nothing,
        "Decode is off while a BAR is sized, and its value is back before it is on.",
        Sees::CONFIG,
        || Box::<Sizing>::default(),
    ),
    rule(
        "P06",
        Needs::Stimulus,
        "An I/O BAR may have 16 address bits; type bits are no part of a size.",
        Sees::COMMON.union(Sees::LEGACY).union(Sees::FAULT),
        || Box::new(ComesUp::with(narrow_ports)),
    ),
    rule(
        "P08",
        Needs::Stimulus,
        "Both halves of a 64-bit BAR are sized, or looked at.",
        DRIVEN,
        || Box::<Wide>::default(),
    ),
    rule(
        "P09",
        Needs::Stimulus,
        "The size of a 64-bit BAR is a number of 64 bits.",
        Sees::COMMON.union(Sees::LEGACY).union(Sees::FAULT),
        || Box::new(ComesUp::with(large_bar)),
    ),
    rule(
        "P10",
        Needs::Nothing,
        "A BAR that the driver placed is aligned to its size, and overlaps neither RAM nor another.",
        Sees::CONFIG,
        || Box::<Placed>::default(),
    ),
    rule(
        "P11",
        Needs::Nothing,
        "Decode is on before a BAR is accessed, and the BAR has an address.",
        DRIVEN.union(Sees::UNCLAIMED),
        || Box::<Decoded>::default(),
    ),
];

/// BARs while they are sized.
#[derive(Default)]
struct Sizing(Slots);

impl Check for Sizing {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let (Some(command), Some(function)) = (command_stored(at), at.function()) {
            return self.decoded(function, command, out);
        }
        let Some((function, index, Step::Probe)) = self.0.take(at) else { return };
        let Some(config) = at.pci().map(|function| &function.config).filter(|_| !is_host(at))
        else {
            return;
        };
        let bit = self.0.decode(function, index);
        match config.header(ConfigHeader::Command) {
            Some(command) => out.check(command as u16 & bit == 0, || {
                let seen = format!("BAR{index} sized while COMMAND is {command:#06x}");
                ("decode off in COMMAND", seen)
            }),
            // As after a reset of the bus nothing is decoded, and no BAR has an address.
            None => out.check(!self.0.had_address(function, index), || {
                ("decode off in COMMAND", format!("BAR{index} sized and COMMAND not looked at"))
            }),
        }
    }
}

impl Sizing {
    /// COMMAND is stored: no BAR of what is decoded has the value that sized it.
    fn decoded(&mut self, function: Bdf, command: u16, out: &mut Out<'_>) {
        let left = (0..6).find(|index| {
            self.0.is_left(function, *index) && command & self.0.decode(function, *index) != 0
        });
        if let Some(index) = left {
            self.0.forgive(function, index);
            let seen = format!("COMMAND {command:#06x} while BAR{index} has ones");
            out.broken("the BAR's value or an address stored", seen);
        }
    }
}

/// Whether the function is a host bridge, whose memory decode cannot be switched off without harm.
fn is_host(at: &At<'_>) -> bool {
    let Some(config) = at.pci().map(|function| &function.config) else { return false };
    let class = config.header(ConfigHeader::ClassCode);
    class == Some(6) && config.header(ConfigHeader::Subclass) == Some(0)
}

/// 64-bit BARs.
#[derive(Default)]
struct Wide(Slots);

impl Check for Wide {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        self.0.take(at);
        let (Some(address), Some(function)) = (at.function(), at.pci()) else { return };
        if !at.raises(DRIVER_OK) {
            return;
        }
        let mut used = [false; 6];
        for (kind, nth, window) in instances(&function.config) {
            if let (1..=4, 0, Some(used)) = (kind, nth, used.get_mut(window.bar as usize)) {
                *used = true;
            }
        }
        for index in (0..5).filter(|index| used[*index]) {
            if let Some(whole) = self.0.both_halves(address, index) {
                out.check(whole, || {
                    let seen = format!("BAR{index} without BAR{}", index + 1);
                    ("both halves of a 64-bit BAR", seen)
                });
            }
        }
    }
}

/// BARs at their places.
#[derive(Default)]
struct Placed(Slots);

impl Check for Placed {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        self.0.take(at);
        let (Some(command), Some(function)) = (command_stored(at), at.function()) else { return };
        for index in 0..6 {
            let Some((bit, start, len)) = self.0.range(function, index) else { continue };
            if command & bit == 0 || start == 0 {
                continue;
            }
            if !self.0.is_placed(function, index) {
                // Where it was found it is firmware's.
                out.kept();
                continue;
            }
            if !start.is_multiple_of(len) {
                let seen = format!("BAR{index} of {len:#x} bytes at {start:#x}");
                out.broken("an address that is a multiple of the size", seen);
            } else if bit == MEMORY && at.model.is_ram(start, 1) == Some(true) {
                out.broken("an address without RAM", format!("BAR{index} at {start:#x}"));
            } else {
                let other = self.0.overlapping(at.model, function, index, (bit, start, len));
                out.check(other.is_none(), || {
                    let (other, number) = other.unwrap_or((function, index));
                    let seen = format!("BAR{index} at {start:#x}, where BAR{number} of {other} is");
                    ("an address of its own", seen)
                });
            }
        }
    }
}

/// BARs when they are accessed.
#[derive(Default)]
struct Decoded(Slots);

impl Check for Decoded {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let Some((Register::Unclaimed { space, address }, ..)) = at.register() {
            return self.unclaimed(at, space, address, out);
        }
        self.0.take(at);
        let Some(function) = at.function() else { return };
        if let Some(command) = command_stored(at) {
            let before = at.pci().map_or(0, |function| function.config.command());
            let unplaced = (0..6).find(|index| {
                self.0.range(function, *index).is_some_and(|(bit, start, _)| {
                    bit == MEMORY && start == 0 && command & !before & MEMORY != 0
                })
            });
            if let Some(index) = unplaced {
                out.broken(
                    "an address in each BAR",
                    format!("memory decoded, and BAR{index} is 0"),
                );
            }
        } else if at.raises(DRIVER_OK) {
            let command = at.pci().and_then(|f| f.config.header(ConfigHeader::Command));
            if command.is_some_and(|command| command as u16 & (IO | MEMORY) != 0) {
                out.kept();
            }
        }
    }
}

impl Decoded {
    /// Nobody answered: maybe somebody would, were its decode on.
    fn unclaimed(&self, at: &At<'_>, space: Space, address: u64, out: &mut Out<'_>) {
        let bit = if space == Space::Port { IO } else { MEMORY };
        for function in at.model.functions() {
            let command = function.config.header(ConfigHeader::Command);
            if command.is_none_or(|command| command as u16 & bit != 0) {
                continue;
            }
            let hit = (0..6).find(|index| {
                self.0.range(function.address, *index).is_some_and(|(kind, start, len)| {
                    kind == bit && start != 0 && address.wrapping_sub(start) < len
                })
            });
            if let Some(index) = hit {
                let seen = format!("an access to BAR{index} of {}", function.address);
                return out.broken(format!("bit {} of COMMAND set", bit - 1), seen);
            }
        }
    }
}
