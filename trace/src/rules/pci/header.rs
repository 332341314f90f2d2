//! Registers that are not for every driver to store to.

use super::{Config, Each, MEMORY, known_command};
use crate::register::{CapabilityKind, ConfigHeader, Header};
use crate::rules::{At, Check, Level, Needs, Out, Rule, Sees, plain};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P27",
        clause: "PCI 3.0, 6.1",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "Nothing is stored to reserved registers of a header, nor to a virtio device's \
               configuration space where no capability is that the driver can know.",
        sees: Sees::CONFIG_STORE,
        start: plain!(reserved),
    },
    Rule {
        id: "P28",
        clause: "PCI 3.0, 6.2.5.2",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "The expansion ROM's register is sized with its enable bit clear, and has its \
               address again before memory is decoded.",
        sees: Sees::CONFIG,
        start: || Box::<Roms>::default(),
    },
    Rule {
        id: "P29",
        clause: "PCI 3.0, 6.2.4",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "Interrupt Line may be stored to, Interrupt Pin may not.",
        sees: Sees::CONFIG_STORE,
        start: plain!(|at, out| {
            let Some(config) = Config::of(at).filter(|config| config.stored().is_some()) else {
                return;
            };
            let pin = config.byte(ConfigHeader::InterruptPin.offset());
            let line = config.covers(ConfigHeader::InterruptLine.offset());
            let function = at.pci();
            let known = function.and_then(|f| f.config.header(ConfigHeader::InterruptPin));
            match (pin, known) {
                // A doubleword that is restored whole has the pin as it was.
                (Some(pin), Some(known)) => out.check(u32::from(pin) == known, || {
                    (format!("no store, or {known:#04x}"), format!("{pin:#04x}"))
                }),
                (None, _) if line => out.kept(),
                _ => {}
            }
        }),
    },
];

fn reserved(at: &At<'_>, out: &mut Out<'_>) {
    /// The last ID that PCI-SIG has given.
    const LAST: u8 = 0x15;
    let Some(config) = Config::of(at).filter(|config| config.stored().is_some()) else { return };
    let Some(function) = at.pci() else { return };
    let space = &function.config;
    let device = config.header == Header::Device && space.layout() == Some(0);
    if device && (0x35..0x3c).any(|offset| config.covers(offset)) {
        return out.broken("no store", format!("one at the reserved {:#04x}", config.offset));
    }
    let virtio = space.header(ConfigHeader::VendorId) == Some(0x1af4);
    if !virtio || !(0x40..0x100).contains(&config.offset) {
        return;
    }
    let known = match config.capability.map(|capability| capability.kind) {
        Some(CapabilityKind::Msix | CapabilityKind::Virtio(_)) => true,
        Some(CapabilityKind::Other(id)) => (1..=LAST).contains(&id),
        // How long others are is not in them: what is behind one may be of it.
        None => {
            let before = space.capabilities.iter().filter(|found| found.at <= config.offset);
            let nearest = before.max_by_key(|found| found.at);
            nearest.is_some_and(|found| matches!(found.kind, CapabilityKind::Other(_)))
        }
    };
    out.check(known, || {
        let seen = format!("one at {:#04x}, in no capability of a known kind", config.offset);
        ("no store", seen)
    });
}

/// The expansion ROM's register of a function.
#[derive(Default)]
struct Rom {
    /// All ones were stored to it, and nothing since.
    probed: bool,
    answer: Option<u32>,
}

#[derive(Default)]
struct Roms {
    functions: Each<Rom>,
}

impl Check for Roms {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        /// All bits of address.
        const ONES: u32 = 0xffff_f800;
        const ENABLE: u32 = 1;
        let Some(config) = Config::of(at).filter(|c| c.header == Header::Device) else { return };
        let Some(function) = at.pci().filter(|f| f.config.bar_count() == 6) else { return };
        if (config.offset, config.width()) == (ConfigHeader::ExpansionRom.offset(), 4) {
            let rom = self.functions.at(config.function);
            match config.stored() {
                None if rom.probed => rom.answer = config.loaded(),
                None => {}
                Some(value) if value >= ONES => {
                    (rom.probed, rom.answer) = (true, None);
                    let decoded = known_command(at).is_none_or(|command| command & MEMORY != 0);
                    let both = value & ENABLE != 0 && decoded;
                    // It is harmless while memory is not decoded; where that is unknown, unknown.
                    if !both {
                        out.kept();
                    } else if known_command(at).is_some() {
                        out.broken("bit 0 clear", format!("{value:#010x} with memory decoded"));
                    }
                }
                Some(_) => rom.probed = false,
            }
            return;
        }
        let Some((before, command)) = config.command(at) else { return };
        let rom = self.functions.at(function.address);
        let there = rom.answer.is_some_and(|answer| answer & ONES != 0 && answer != u32::MAX);
        if command & !before.unwrap_or(0) & MEMORY != 0 && rom.probed && there {
            out.broken("its address in it", format!("COMMAND {command:#06x} with all ones in it"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{BLOCK, Transcript};

    /// A driver that knows it has a virtio device with a type 0 header.
    fn virtio() -> Transcript {
        let mut driver = Transcript::new();
        driver.load(Transcript::header(BLOCK, ConfigHeader::VendorId), 2, 0x1af4);
        driver.load(Transcript::header(BLOCK, ConfigHeader::HeaderType), 1, 0);
        driver
    }

    fn store(driver: &mut Transcript, offset: u16, capability: Option<(CapabilityKind, u8)>) {
        driver.store(Transcript::config(BLOCK, offset, capability), 2, 1);
    }

    #[test]
    fn capabilities_that_are_known_are_stored_to() {
        let mut driver = virtio();
        store(&mut driver, 0x42, Some((CapabilityKind::Msix, 0x40)));
        store(&mut driver, 0x54, Some((CapabilityKind::Other(1), 0x50)));
        // It may be longer than the transcript says.
        store(&mut driver, 0x58, None);
        driver.keeps("P27", 3);
        store(&mut driver, 0x60, Some((CapabilityKind::Other(0x77), 0x60)));
        store(&mut driver, 0x36, None);
        driver.breaks(
            "P27",
            &["one at 0x60, in no capability of a known kind", "one at the reserved 0x36"],
        );
    }

    #[test]
    fn what_is_in_no_capability_is_the_devices_own() {
        let mut driver = virtio();
        driver.load(Transcript::config(BLOCK, 0x40, Some((CapabilityKind::Msix, 0x40))), 2, 0x11);
        store(&mut driver, 0x50, None);
        driver.breaks("P27", &["one at 0x50, in no capability of a known kind"]);
        // A chipset has registers there.
        let mut driver = Transcript::new();
        driver.load(Transcript::header(BLOCK, ConfigHeader::VendorId), 2, 0x8086);
        store(&mut driver, 0x50, None);
        driver.keeps("P27", 0);
    }

    #[test]
    fn a_rom_is_sized_while_it_is_off() {
        let rom = Transcript::header(BLOCK, ConfigHeader::ExpansionRom);
        let command = Transcript::header(BLOCK, ConfigHeader::Command);
        let mut driver = virtio();
        driver.store(command, 2, 2);
        for probe in [0xffff_f800, 0xffff_fffe] {
            driver.store(rom, 4, probe);
            driver.load(rom, 4, 0xffff_0000);
            driver.store(rom, 4, 0xfeb0_0000);
        }
        driver.store(command, 2, 6);
        driver.keeps("P28", 2);
        driver.store(rom, 4, 0xffff_ffff);
        driver.load(rom, 4, 0xffff_0001);
        driver.store(command, 2, 4);
        driver.store(command, 2, 6);
        let seen = ["0xffffffff with memory decoded", "COMMAND 0x0006 with all ones in it"];
        driver.breaks("P28", &seen);
    }

    #[test]
    fn the_pin_is_not_for_software() {
        let line = |width, value| {
            let mut driver = virtio();
            driver.load(Transcript::header(BLOCK, ConfigHeader::InterruptPin), 1, 1);
            driver.store(Transcript::header(BLOCK, ConfigHeader::InterruptLine), width, value);
            driver
        };
        line(1, 0xb).keeps("P29", 1);
        line(4, 0x010b).keeps("P29", 1);
        line(2, 0x020b).breaks("P29", &["0x02"]);
    }
}
