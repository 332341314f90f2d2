//! Where base address registers are placed, and that they are decoded (PCI 3.0, 6.2.5.1).

use std::ops::Range;

use super::{Config, Driven, Each, IO, MEMORY, known_command};
use crate::register::Header;
use crate::rules::capability::comes_up::{ComesUp, large_bar};
use crate::rules::model::Bars;
use crate::rules::{At, Check, Level, Needs, Out, Rule, Sees};
use crate::{MemoryKind, Register, Space};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P09",
        clause: "PCI 3.0, 6.2.5.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "A 64-bit base address register of 4 GiB and more is sized in 64 bits, and placed \
               at a multiple of that before memory is decoded.",
        sees: Driven::SEES,
        start: || Box::new(Driven { see: large, comes_up: ComesUp::with(large_bar) }),
    },
    Rule {
        id: "P10",
        clause: "PCI 3.0, 6.2.5",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "What a function decodes is aligned to its size, and neither RAM nor of another \
               function.",
        sees: Sees::CONFIG_STORE,
        start: || Box::<Map>::default(),
    },
    Rule {
        id: "P11",
        clause: "PCI 3.0, 6.2.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "Memory or I/O decode is on before a base address register's range is accessed, \
               and not before that has an address.",
        sees: Sees::CONFIG_STORE
            .union(Sees::COMMON)
            .union(Sees::LEGACY)
            .union(Sees::MSIX)
            .union(Sees::UNCLAIMED),
        start: || Box::<Decode>::default(),
    },
];

/// What is decoded from this entry on that was not before, or was not known to be.
fn decodes<'a>(at: &At<'a>) -> Option<(u16, &'a Bars)> {
    let (before, command) = Config::of(at)?.command(at)?;
    let on = command & !before.unwrap_or(0) & (IO | MEMORY);
    (on != 0).then_some((on, &at.pci()?.config.bars))
}

fn large(at: &At<'_>, out: &mut Out<'_>) {
    let Some((on, bars)) = decodes(at) else { return };
    for (index, address, size) in bars.placed() {
        if on & MEMORY != 0 && bars.is_wide(index) && size >= 1 << 32 {
            let aligned = address != 0 && address.is_multiple_of(size);
            // Where it was found is nothing that this driver did.
            if aligned || bars.is_moved(index) {
                out.check(aligned, || {
                    (format!("a multiple of {size:#x}"), format!("BAR{index} at {address:#x}"))
                });
            }
        }
    }
}

/// The bit of COMMAND that a register is decoded by.
pub(super) fn space(bars: &Bars, index: usize) -> u16 {
    if bars.is_io(index) == Some(true) { IO } else { MEMORY }
}

/// Whether the ranges of BARs meet.
fn meet(a: (u64, u64), b: (u64, u64)) -> bool {
    a.0 < b.0.saturating_add(b.1) && b.0 < a.0.saturating_add(a.1)
}

/// What is known of addresses. When the buses are renumbered it is not known which function has
/// which, so none behind a bridge is compared from then on.
#[derive(Default)]
struct Map {
    renumbered: bool,
}

impl Map {
    /// Interrupt messages of the processors, which no BAR can take from them.
    const MESSAGES: Range<u64> = 0xfee0_0000..0xfef0_0000;

    /// What is wrong with a range.
    fn wrong(&self, at: &At<'_>, space: u16, address: u64, size: u64) -> Option<String> {
        if !address.is_multiple_of(size) {
            return Some(format!("no multiple of {size:#x}"));
        }
        if space == MEMORY {
            let ram = |(kind, range): &&(MemoryKind, Range<u64>)| {
                let range = (range.start, range.end - range.start);
                *kind == MemoryKind::Ram && meet(range, (address, size))
            };
            if at.model.memory.iter().any(|memory| ram(&memory)) {
                return Some("in RAM".into());
            }
            if address.saturating_add(size) > 1 << 52 {
                return Some("above what a processor can address".into());
            }
            let messages = (Self::MESSAGES.start, Self::MESSAGES.end - Self::MESSAGES.start);
            if meet((address, size), messages) {
                return Some("over the interrupt messages of the processors".into());
            }
        }
        self.clash(at, space, (address, size))
    }

    /// The other function that decodes some of it.
    fn clash(&self, at: &At<'_>, space: u16, range: (u64, u64)) -> Option<String> {
        let own = at.function()?;
        let hidden = self.renumbered && own.bus() != 0;
        let others = at.model.functions().filter(|other| {
            let bus = other.address.bus();
            !hidden && other.address != own && bus == own.bus() && other.config.layout() == Some(0)
        });
        for other in others {
            let bars = &other.config.bars;
            let on = other.config.get(super::COMMAND, 2).unwrap_or(0) as u16 & space != 0;
            let mut placed = bars.placed().filter(|(index, ..)| self::space(bars, *index) == space);
            if on && placed.any(|(_, address, size)| meet((address, size), range)) {
                return Some(format!("where {} is", other.address));
            }
        }
        None
    }
}

impl Check for Map {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(config) = Config::of(at) else { return };
        let numbers = 0x18..0x1b;
        self.renumbered |= config.header == Header::Bridge
            && config.stored().is_some()
            && numbers.contains(&config.offset);
        let Some((on, bars)) = decodes(at) else { return };
        for (index, address, size) in bars.placed() {
            let space = space(bars, index);
            // What has no address yet is not placed wrong.
            if on & space == 0 || address == 0 {
                continue;
            }
            let wrong = self.wrong(at, space, address, size);
            // Where it was found is nothing that this driver did.
            if wrong.is_some() && !bars.is_moved(index) {
                continue;
            }
            out.check(wrong.is_none(), || {
                let seen = format!("BAR{index} at {address:#x}, {}", wrong.unwrap_or_default());
                (format!("a free range of {size:#x}"), seen)
            });
        }
    }
}

/// Of each function, whether it was accessed since its COMMAND was last stored.
#[derive(Default)]
struct Decode {
    accessed: Each<bool>,
}

impl Check for Decode {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let Some(config) = Config::of(at) {
            if config.command(at).is_some() && at.pci().is_some() {
                *self.accessed.at(config.function) = false;
            }
            return unplaced(at, out);
        }
        if let Some((Register::Unclaimed { space, address }, ..)) = at.register() {
            return self.unclaimed(at, space, address, out);
        }
        let (Some(function), Some(command)) = (at.function(), known_command(at)) else { return };
        let accessed = self.accessed.at(function);
        if !std::mem::replace(accessed, true) && command & (IO | MEMORY) != 0 {
            out.kept();
        }
    }
}

impl Decode {
    /// Nobody answered: it may be the range of a function that does not decode it.
    fn unclaimed(&mut self, at: &At<'_>, space: Space, address: u64, out: &mut Out<'_>) {
        let space = if space == Space::Port { IO } else { MEMORY };
        for function in at.model.functions() {
            let bars = &function.config.bars;
            let Some(command) = function.config.get(super::COMMAND, 2) else { continue };
            if command as u16 & space != 0 {
                continue;
            }
            let mut placed = bars.placed().filter(|(_, start, _)| *start != 0);
            let here = placed.find(|(index, start, size)| {
                self::space(bars, *index) == space && meet((*start, *size), (address, 1))
            });
            let Some((index, ..)) = here else { continue };
            if !std::mem::replace(self.accessed.at(function.address), true) {
                let seen = format!(
                    "BAR{index} of {} accessed with COMMAND {command:#06x}",
                    function.address
                );
                out.broken("decode on before", seen);
            }
            return;
        }
    }
}

fn unplaced(at: &At<'_>, out: &mut Out<'_>) {
    let Some((on, bars)) = decodes(at) else { return };
    let mut placed = bars.placed();
    if let Some((index, ..)) =
        placed.find(|(index, address, _)| *address == 0 && on & space(bars, *index) != 0)
    {
        out.broken(format!("an address in BAR{index} before"), format!("BAR{index} is 0"));
    }
}

#[cfg(test)]
mod tests {
    use crate::register::ConfigHeader;
    use crate::rules::End;
    use crate::rules::testing::{BLOCK, Transcript};
    use crate::{Access, Bdf, Effect, Event, MemoryKind, Refusal, Register, Setting, Space};

    fn bar(driver: &mut Transcript, function: Bdf, index: u16, sized: u64, value: u64) {
        let register = Transcript::config(function, 0x10 + 4 * index, None);
        driver.load(register, 4, sized & 0xf);
        driver.store(register, 4, 0xffff_ffff);
        driver.load(register, 4, sized);
        driver.store(register, 4, value);
    }

    fn command(driver: &mut Transcript, function: Bdf, value: u64) {
        driver.load(Transcript::header(function, ConfigHeader::HeaderType), 1, 0);
        driver.store(Transcript::header(function, ConfigHeader::Command), 2, value);
    }

    #[test]
    fn ranges_are_aligned_and_free() {
        let placed = || {
            let mut driver = Transcript::new();
            driver.guest(Event::Memory { kind: MemoryKind::Ram, start: 0, len: 0x400_0000 });
            bar(&mut driver, BLOCK, 0, 0xffff_f000, 0xf000_0000);
            bar(&mut driver, BLOCK, 1, 0xffff_ff01, 0xc001);
            command(&mut driver, BLOCK, 2);
            driver
        };
        let mut driver = placed();
        driver.keeps("P10", 1);
        command(&mut driver, BLOCK, 3);
        driver.keeps("P10", 2);
        let other = Bdf::new(0, 5, 0);
        let clash = "where 00:04.0 is";
        for (address, wrong) in [
            (0xf000_0800, "no multiple of 0x1000"),
            (0x0020_0000, "in RAM"),
            (0xfee0_1000, "over the interrupt messages of the processors"),
            (0xf000_0000, clash),
        ] {
            let mut driver = placed();
            bar(&mut driver, other, 0, 0xffff_f000, address);
            command(&mut driver, other, 2);
            driver.breaks("P10", &[&format!("BAR0 at {address:#x}, {wrong}")]);
        }
    }

    #[test]
    fn a_large_range_is_placed_by_all_its_bits() {
        let mut driver = Transcript::new();
        bar(&mut driver, BLOCK, 4, 0xc, 0xc);
        bar(&mut driver, BLOCK, 5, 0xffff_fffe, 4);
        command(&mut driver, BLOCK, 2);
        driver.keeps("P09", 1);
        command(&mut driver, BLOCK, 0);
        driver.store(Transcript::config(BLOCK, 0x24, None), 4, 1);
        command(&mut driver, BLOCK, 2);
        driver.breaks("P09", &["BAR4 at 0x100000000"]);
    }

    #[test]
    fn what_is_not_decoded_is_not_accessed() {
        let mut driver = Transcript::new();
        bar(&mut driver, BLOCK, 0, 0xffff_f000, 0xf000_0000);
        command(&mut driver, BLOCK, 4);
        let register = Register::Unclaimed { space: Space::Memory, address: 0xf000_0014 };
        let access = Access::Load { width: 1, value: 0xff };
        driver.refused(register, access, Refusal::Unclaimed);
        driver.refused(register, access, Refusal::Unclaimed);
        driver.breaks("P11", &["BAR0 of 00:04.0 accessed with COMMAND 0x0004"]);
        command(&mut driver, BLOCK, 6);
        driver.status(&[0, 1]);
        assert_eq!(driver.judged("P11").0, 1);
        // Another address, and a function that is gone, say nothing.
        driver.refused(register, access, Refusal::Unclaimed);
        assert_eq!(driver.judged("P11").1.len(), 1);
    }

    #[test]
    fn what_has_no_address_is_not_decoded() {
        let mut driver = Transcript::new();
        bar(&mut driver, BLOCK, 0, 0xffff_f000, 0);
        bar(&mut driver, BLOCK, 1, 0xffff_ff01, 1);
        bar(&mut driver, BLOCK, 2, 0, 0);
        command(&mut driver, BLOCK, 2);
        driver.breaks("P11", &["BAR0 is 0"]);
        command(&mut driver, BLOCK, 3);
        driver.breaks("P11", &["BAR0 is 0", "BAR1 is 0"]);
    }

    #[test]
    fn a_large_range_is_no_reason_to_fail() {
        let mut driver = Transcript::new();
        let effect = Effect::Machine { setting: Setting::BarSize, value: 8 << 30 }.into();
        driver.device(Event::Fault { fault: "size".into(), effect });
        driver.load(Transcript::header(BLOCK, ConfigHeader::VendorId), 4, 0x1042_1af4);
        driver.end = End::Failure;
        driver.breaks("P09", &["00:04.0 is not driven"]);
        driver.status(&[0, 1, 3, 0xb, 0xf]);
        driver.keeps("P09", 1);
    }
}
