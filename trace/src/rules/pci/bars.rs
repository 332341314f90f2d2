//! How base address registers are sized (PCI 3.0, 6.2.5.1).

use super::{COMMAND_HIGH, Config, Driven, Each, IO, MEMORY, known_command};
use crate::register::{ConfigHeader, Header};
use crate::rules::capability::comes_up::{ComesUp, narrow_ports};
use crate::rules::model::{Bars, ConfigSpace};
use crate::rules::{At, Check, EndOf, Level, Needs, Out, Rule, Sees, plain};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P04",
        clause: "PCI 3.0, 6.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "Base address registers are sized where the header type has them: six of type 0, \
               two of type 1, one of others.",
        sees: Sees::CONFIG_STORE,
        start: || Box::<Layout>::default(),
    },
    Rule {
        id: "P05",
        clause: "PCI 3.0, 6.2.5.1",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "A base address register is sized while its space is not decoded, and has an \
               address again before it is.",
        sees: Sees::CONFIG_STORE,
        start: plain!(|at, out| {
            let Some(config) = Config::of(at) else { return };
            if let Some((index, _)) = probe(at, &config) {
                quiet(at, index, out);
            } else if config.offset <= COMMAND_HIGH {
                restored(at, &config, out);
            }
        }),
    },
    Rule {
        id: "P06",
        clause: "PCI 3.0, 6.2.5.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "The lowest bit of address in the answer to all ones is the size, of which a new \
               address is a multiple; an I/O address has no more bits than were answered.",
        sees: Driven::SEES,
        start: || Box::new(Driven { see: multiple, comes_up: ComesUp::with(narrow_ports) }),
    },
    Rule {
        id: "P08",
        clause: "PCI 3.0, 6.2.5.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "Both halves of a 64-bit base address register are sized and placed before memory \
               is decoded.",
        sees: Sees::CONFIG_STORE,
        start: || Box::<Halves>::default(),
    },
];

/// The register, and its header's layout as far as it is known, if this asks a BAR for its size.
fn probe(at: &At<'_>, config: &Config) -> Option<(usize, Option<u8>)> {
    let value = config.stored().filter(|_| config.width() == 4)?;
    let index = Bars::index(config.offset)?;
    Bars::is_probe(value).then(|| (index, layout(at, config)))
}

fn layout(at: &At<'_>, config: &Config) -> Option<u8> {
    let loaded = at.pci().and_then(|function| function.config.layout());
    loaded.or((config.header == Header::Bridge).then_some(1))
}

/// What the bits of `space` are called.
fn decode(space: u16) -> &'static str {
    match space {
        IO => "bit 0 of COMMAND clear",
        MEMORY => "bit 1 of COMMAND clear",
        _ => "bits 1:0 of COMMAND clear",
    }
}

/// Which bit of COMMAND a register is decoded by: `None` if that is not known.
fn space(bars: &Bars, index: usize) -> Option<u16> {
    if bars.is_upper(index) {
        return Some(MEMORY);
    }
    bars.is_io(index).map(|io| if io { IO } else { MEMORY })
}

/// A host bridge without which there is no memory may be left decoding; nor has it a driver.
fn is_host_bridge(config: &ConfigSpace) -> bool {
    config.get(ConfigHeader::Subclass.offset(), 2) == Some(0x0600)
}

fn quiet(at: &At<'_>, index: usize, out: &mut Out<'_>) {
    let (Some(function), Some(command)) = (at.pci(), known_command(at)) else { return };
    let config = &function.config;
    if is_host_bridge(config) || index >= config.bar_count() {
        return;
    }
    let decoded = command & (IO | MEMORY);
    match space(&config.bars, index) {
        Some(space) => out.check(decoded & space == 0, || {
            (decode(space), format!("all ones in BAR{index} with COMMAND {command:#06x}"))
        }),
        None if decoded == 0 => out.kept(),
        None if decoded == IO | MEMORY => {
            let seen = format!("all ones in BAR{index} with COMMAND {command:#06x}");
            out.broken(decode(decoded), seen);
        }
        None => {}
    }
}

/// No register of a space that is decoded from now on holds all ones.
fn restored(at: &At<'_>, config: &Config, out: &mut Out<'_>) {
    let Some((before, value)) = config.command(at) else { return };
    let Some(function) = at.pci() else { return };
    let on = value & !before.unwrap_or(0) & (IO | MEMORY);
    let bars = &function.config.bars;
    for index in 0..function.config.bar_count() {
        let bar = bars.get(index);
        let answer = bar.answer.filter(|_| bar.probed).unwrap_or(0);
        let implemented = if bars.is_upper(index) { answer } else { answer & !0xf };
        if implemented != 0 && space(bars, index).is_some_and(|space| on & space != 0) {
            let seen = format!("COMMAND {value:#06x} with all ones in BAR{index}");
            out.broken(format!("an address in BAR{index}"), seen);
        }
    }
}

fn multiple(at: &At<'_>, out: &mut Out<'_>) {
    let Some(config) = Config::of(at).filter(|config| config.width() == 4) else { return };
    let (Some(value), Some(index)) = (config.stored(), Bars::index(config.offset)) else { return };
    let Some(function) = at.pci() else { return };
    let (bars, bar) = (&function.config.bars, function.config.bars.get(index));
    let Some(answer) = bar.answer.filter(|answer| *answer != u32::MAX) else { return };
    let fixed = if answer & 1 != 0 { 0b11 } else { 0b1111 };
    let (address, bits) = (value & !fixed, answer & !fixed);
    // Only a new address says what size the driver takes it to have.
    let kept = bar.value.is_some_and(|old| old & !fixed == address);
    if Bars::is_probe(value) || kept || bits == 0 || bars.is_upper(index) {
        return;
    }
    let size = bits & bits.wrapping_neg();
    let missing = answer & 1 != 0 && bits >> 16 == 0 && address >> 16 != 0;
    out.check(address.is_multiple_of(size) && !missing, || {
        (format!("a multiple of {size:#x} in {bits:#010x}"), format!("{value:#010x}"))
    });
}

/// Functions whose header is none of a device.
#[derive(Default)]
struct Layout {
    broken: bool,
}

impl Check for Layout {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(config) = Config::of(at) else { return };
        let Some((index, Some(layout))) = probe(at, &config) else { return };
        // A bridge has its windows there: some can be at the end of memory.
        let window = config.stored() != Some(u32::MAX) && index >= 4;
        let count = match layout {
            0 => 6,
            1 => 2,
            _ => 1,
        };
        if index >= count && !window {
            self.broken = true;
            out.broken(
                format!("{count} base address registers, as the header type is {layout}"),
                format!("all ones at offset {:#x}", config.offset),
            );
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        let layouts = end.model.functions().filter_map(|function| function.config.layout());
        if !self.broken {
            layouts.filter(|layout| !matches!(layout, 0 | 0x7f)).for_each(|_| out.kept());
        }
    }
}

/// What was stored to the registers since memory was last decoded.
#[derive(Default)]
struct Stored {
    /// All ones, by the register's bit.
    probed: u8,
    /// Anything else.
    placed: u8,
}

#[derive(Default)]
struct Halves {
    functions: Each<Stored>,
}

impl Check for Halves {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(config) = Config::of(at) else { return };
        let (Some(value), Some(function)) = (config.stored(), at.pci()) else { return };
        let stored = self.functions.at(config.function);
        if let Some(index) = Bars::index(config.offset).filter(|_| config.width() == 4) {
            let probe = Bars::is_probe(value);
            *(if probe { &mut stored.probed } else { &mut stored.placed }) |= 1 << index;
        }
        let Some((_, command)) = config.command(at) else { return };
        if command & MEMORY == 0 {
            return;
        }
        let Stored { probed, placed } = std::mem::take(stored);
        let bars = &function.config.bars;
        for low in (0..5).filter(|low| bars.is_wide(*low)) {
            let (probed, placed) = (probed >> low, placed >> low);
            let upper = bars.get(low + 1);
            let unknown = upper.value.is_none() && !upper.probed;
            if probed & 0b11 == 0b01 {
                out.broken(format!("all ones in BAR{} too", low + 1), format!("BAR{low} alone"));
            } else if placed & 0b11 == 0b01 && unknown {
                let seen = format!("an address in BAR{low} alone");
                out.broken(format!("the upper half in BAR{}", low + 1), seen);
            } else if (probed | placed) & 0b11 != 0 {
                out.kept();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::register::ConfigHeader;
    use crate::rules::End;
    use crate::rules::testing::{BLOCK, Transcript};
    use crate::{Effect, Event, Setting};

    const ONES: u64 = 0xffff_ffff;

    fn bar(driver: &mut Transcript, index: u16, value: u64) {
        driver.store(Transcript::config(BLOCK, 0x10 + 4 * index, None), 4, value);
    }

    fn answer(driver: &mut Transcript, index: u16, value: u64) {
        driver.load(Transcript::config(BLOCK, 0x10 + 4 * index, None), 4, value);
    }

    fn command(driver: &mut Transcript, value: u64) {
        driver.store(Transcript::header(BLOCK, ConfigHeader::Command), 2, value);
    }

    /// Sizes a register of this value, as it should be done.
    fn size(driver: &mut Transcript, index: u16, value: u64, sized: u64) {
        answer(driver, index, value);
        bar(driver, index, ONES);
        answer(driver, index, sized);
        bar(driver, index, value);
    }

    #[test]
    fn decode_is_off_while_a_register_is_sized() {
        let mut driver = Transcript::new();
        // COMMAND is not known yet.
        size(&mut driver, 0, 0xfebc_0000, 0xffff_f000);
        command(&mut driver, 0);
        size(&mut driver, 0, 0xfebc_0000, 0xffff_f000);
        // That of the other space may stay on.
        command(&mut driver, 1);
        size(&mut driver, 0, 0xfebc_0000, 0xffff_f000);
        command(&mut driver, 2);
        size(&mut driver, 1, 0xc001, 0xffff_ffc1);
        driver.keeps("P05", 3);
        command(&mut driver, 0x107);
        size(&mut driver, 0, 0xfebc_0000, 0xffff_f000);
        size(&mut driver, 1, 0xc001, 0xffff_ffc1);
        driver.breaks(
            "P05",
            &["all ones in BAR0 with COMMAND 0x0107", "all ones in BAR1 with COMMAND 0x0107"],
        );
    }

    #[test]
    fn a_host_bridge_may_be_left_decoding() {
        let mut driver = Transcript::new();
        driver.load(Transcript::config(BLOCK, 8, None), 4, 0x0600_0002);
        command(&mut driver, 6);
        size(&mut driver, 0, 0xf800_0000, 0xfc00_0000);
        driver.keeps("P05", 0);
    }

    #[test]
    fn a_register_that_was_sized_gets_an_address_before_it_is_decoded() {
        let mut driver = Transcript::new();
        command(&mut driver, 0);
        for (index, sized) in [(0, 0xffff_f000), (1, 0), (4, 0xffff_c00c), (5, ONES)] {
            answer(&mut driver, index, if index == 4 { 0xfe00_000c } else { 0 });
            bar(&mut driver, index, ONES);
            answer(&mut driver, index, sized);
        }
        command(&mut driver, 4);
        driver.keeps("P05", 4);
        command(&mut driver, 6);
        command(&mut driver, 6);
        let all = [0, 4, 5].map(|index| format!("COMMAND 0x0006 with all ones in BAR{index}"));
        driver.breaks("P05", &all.each_ref().map(String::as_str));
    }

    #[test]
    fn both_halves_are_sized() {
        let mut driver = Transcript::new();
        size(&mut driver, 4, 0xfe00_000c, 0xffff_c00c);
        command(&mut driver, 4);
        size(&mut driver, 5, 0, ONES);
        command(&mut driver, 2);
        command(&mut driver, 6);
        driver.keeps("P08", 1);
        size(&mut driver, 4, 0xfe00_000c, 0xffff_c00c);
        answer(&mut driver, 5, 0);
        command(&mut driver, 6);
        driver.breaks("P08", &["BAR4 alone"]);
    }

    #[test]
    fn both_halves_are_placed() {
        let mut driver = Transcript::new();
        answer(&mut driver, 4, 0xc);
        bar(&mut driver, 4, 0xfe00_0000);
        command(&mut driver, 2);
        driver.breaks("P08", &["an address in BAR4 alone"]);
        // Who has loaded the upper half knows what it is.
        let mut driver = Transcript::new();
        answer(&mut driver, 4, 0xc);
        answer(&mut driver, 5, 0);
        bar(&mut driver, 4, 0xfe00_0000);
        command(&mut driver, 2);
        driver.keeps("P08", 1);
    }

    #[test]
    fn an_address_is_a_multiple_of_the_size() {
        let mut driver = Transcript::new();
        size(&mut driver, 0, 0xfebc_1000, 0xffff_f000);
        // Nothing is writable: what was there comes back.
        size(&mut driver, 1, 0xfebc_2000, 0);
        driver.keeps("P06", 0);
        bar(&mut driver, 0, 0xf000_0000);
        size(&mut driver, 2, 1, 0xffc1);
        bar(&mut driver, 2, 0xc041);
        driver.keeps("P06", 2);
        bar(&mut driver, 0, 0xf000_0800);
        bar(&mut driver, 2, 0x1_c001);
        driver.breaks("P06", &["0xf0000800", "0x0001c001"]);
    }

    #[test]
    fn a_bridge_has_two_registers() {
        let mut driver = Transcript::new();
        driver.load(Transcript::header(BLOCK, ConfigHeader::HeaderType), 1, 0x81);
        size(&mut driver, 0, 0, 0);
        size(&mut driver, 1, 0, 0);
        bar(&mut driver, 5, 0xffff_fff0);
        driver.keeps("P04", 1);
        bar(&mut driver, 2, ONES);
        driver.breaks("P04", &["all ones at offset 0x18"]);
    }

    #[test]
    fn a_device_has_six_registers() {
        let mut driver = Transcript::new();
        driver.load(Transcript::header(BLOCK, ConfigHeader::HeaderType), 1, 0);
        (0..6).for_each(|index| size(&mut driver, index, 0, 0));
        driver.keeps("P04", 0);
    }

    #[test]
    fn ports_of_16_bits_are_no_reason_to_fail() {
        let mut driver = Transcript::new();
        let effect = Effect::Machine { setting: Setting::NarrowPorts, value: 1 }.into();
        driver.device(Event::Fault { fault: "ports".into(), effect });
        driver.load(Transcript::header(BLOCK, ConfigHeader::VendorId), 4, 0x1042_1af4);
        driver.end = End::Failure;
        driver.breaks("P06", &["00:04.0 is not driven"]);
        driver.status(&[0, 1, 3, 0xb, 0xf]);
        driver.keeps("P06", 1);
    }
}
