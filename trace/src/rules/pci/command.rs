//! The COMMAND and STATUS registers (PCI 3.0, 6.2.2 and 6.2.3), and what may not be stored to.

use super::super::model::status::DRIVER_OK;
use super::super::{At, Level, Needs, Rule, Sees, plain};
use super::{BUS_MASTER, command_stored, config, stored};
use crate::register::{CapabilityKind, ConfigHeader, Header};
use crate::{Access, Register};

const DRIVEN: Sees = Sees::CONFIG.union(Sees::COMMON).union(Sees::LEGACY);

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "P12",
        clause: "PCI 3.0, 6.2.2",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "A function may master the bus before its device is told DRIVER_OK.",
        sees: Sees::COMMON.union(Sees::LEGACY),
        start: plain!(|at, out| {
            let Some(function) = at.pci().filter(|_| at.raises(DRIVER_OK)) else { return };
            // What the driver never looked at, firmware may have set.
            let Some(command) = function.config.header(ConfigHeader::Command) else { return };
            out.check(command as u16 & BUS_MASTER != 0, || {
                ("bit 2 of COMMAND set", format!("COMMAND is {command:#06x}"))
            });
        }),
    },
    Rule {
        id: "P14",
        clause: "PCI 3.0, 6.2.2",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "COMMAND is loaded, and stored with what is not meant to change.",
        sees: Sees::CONFIG,
        start: plain!(|at, out| {
            /// Decode, bus mastering, and the interrupt are a driver's to switch off.
            const OWN: u16 = 0x0407;
            const RESERVED: u16 = 0xf800;
            let Some(command) = command_stored(at) else { return };
            let before = at.pci().and_then(|f| f.config.header(ConfigHeader::Command));
            let Some(before) = before.map(|before| before as u16) else {
                return out.broken("COMMAND loaded before", format!("{command:#06x} stored"));
            };
            let (lost, new) = (before & !command & !OWN, command & !before & RESERVED);
            out.check(lost == 0 && new == 0, || {
                (format!("the other bits of {before:#06x}"), format!("{command:#06x}"))
            });
        }),
    },
    Rule {
        id: "P15",
        clause: "PCI 3.0, 6.2.3",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "A store of 32 bits to COMMAND stores no ones to STATUS, which they clear.",
        sees: Sees::CONFIG,
        start: plain!(|at, out| {
            if let Some((_, _, 4, Access::Store { width, value })) = config(at) {
                out.check(width < 4 || value >> 16 == 0, || {
                    ("zeros in bits 31:16", format!("{value:#010x}"))
                });
            }
        }),
    },
    Rule {
        id: "P27",
        clause: "PCI 3.0, 6.1",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "Of a virtio function nothing is stored to reserved or read-only registers, or \
               outside of capabilities.",
        sees: DRIVEN,
        start: plain!(|at, out| {
            if at.raises(DRIVER_OK) {
                return out.kept();
            }
            let Some((_, Header::Device, offset, access)) = config(at) else { return };
            if !access.is_store() || !is_virtio(at) {
                return;
            }
            let end = offset + u16::from(access.width());
            if !(offset..end).any(|byte| may_store(at, byte)) {
                let seen = format!("{:#x} stored at {offset:#04x}", access.value());
                out.broken("no store there", seen);
            }
        }),
    },
    Rule {
        id: "P28",
        clause: "PCI 3.0, 6.2.5.2",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "An expansion ROM is not enabled when it is sized, nor left enabled.",
        sees: DRIVEN,
        start: plain!(|at, out| {
            let rom = ConfigHeader::ExpansionRom;
            if let Some((value, u32::MAX)) = stored(at, rom)
                && matches!(config(at), Some((_, Header::Device, ..)))
            {
                out.check(value & 1 == 0 || value >> 11 != 0x1f_ffff, || {
                    ("bit 0 clear while all others are set", format!("{value:#010x}"))
                });
            } else if at.raises(DRIVER_OK) {
                let held = at.pci().and_then(|function| function.config.header(rom)).unwrap_or(0);
                // One that is used has an address.
                let enabled = held & 1 != 0 && held >> 11 == 0;
                out.check(!enabled, || ("bit 0 clear", format!("{held:#010x}")));
            }
        }),
    },
    Rule {
        id: "P29",
        clause: "PCI 3.0, 6.2.4",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "Nothing is stored to Interrupt Pin.",
        sees: DRIVEN,
        start: plain!(|at, out| {
            if let Some((value, mask)) = stored(at, ConfigHeader::InterruptPin) {
                let held = at.pci().and_then(|f| f.config.header(ConfigHeader::InterruptPin));
                // A wider store brings what was there.
                out.check(held.is_some_and(|held| held & mask == value), || {
                    ("Interrupt Pin as it is", format!("{value:#04x} stored"))
                });
            } else if at.raises(DRIVER_OK) {
                out.kept();
            }
        }),
    },
];

fn is_virtio(at: &At<'_>) -> bool {
    let vendor = at.pci().and_then(|function| function.config.header(ConfigHeader::VendorId));
    vendor == Some(0x1af4)
}

/// Whether a driver may store to a byte of a type 0 header, or of the capability that is accessed.
fn may_store(at: &At<'_>, byte: u16) -> bool {
    match byte {
        0x04..=0x07 | 0x0c | 0x0d | 0x0f..=0x27 | 0x30..=0x33 | 0x3c => true,
        // Interrupt Pin is another rule's.
        0x3d => true,
        0x00..0x40 => false,
        _ => match at.register() {
            // The virtio capabilities have rules of their own, and the others are the system's.
            Some((Register::Config { capability: Some(capability), .. }, ..)) => {
                capability.kind != CapabilityKind::Msix || {
                    matches!(byte - u16::from(capability.at), 2 | 3)
                }
            }
            _ => byte >= 0x100,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{BLOCK, Transcript};
    use crate::register::{CapabilityKind, ConfigHeader, LegacyCfg};

    fn header(driver: &mut Transcript, register: ConfigHeader, value: u64) {
        driver.load(Transcript::header(BLOCK, register), register.width(), value);
    }

    fn store(driver: &mut Transcript, offset: u16, width: u8, value: u64) {
        driver.store(Transcript::config(BLOCK, offset, None), width, value);
    }

    #[test]
    fn the_bus_is_mastered_before_driver_ok() {
        let driven = |command| {
            let mut driver = Transcript::new();
            header(&mut driver, ConfigHeader::Command, 2);
            store(&mut driver, 4, 2, command);
            driver.status(&[0, 1, 3, 0x0b, 0x0f]);
            driver
        };
        driven(6).keeps("P12", 1);
        driven(2).breaks("P12", &["COMMAND is 0x0002"]);
        let mut unknown = Transcript::driven(0);
        unknown.legacy(LegacyCfg::DeviceStatus, 7);
        unknown.keeps("P12", 0);
    }

    #[test]
    fn command_is_altered_and_not_overwritten() {
        let mut driver = Transcript::new();
        header(&mut driver, ConfigHeader::Command, 0x0107);
        store(&mut driver, 4, 2, 0x0100);
        store(&mut driver, 4, 1, 0x06);
        driver.keeps("P14", 2);
        store(&mut driver, 4, 2, 0x0006);
        store(&mut driver, 4, 2, 0x8006);
        driver.breaks("P14", &["0x0006", "0x8006"]);
        let mut blind = Transcript::new();
        store(&mut blind, 4, 2, 6);
        blind.breaks("P14", &["0x0006 stored"]);
    }

    #[test]
    fn status_is_not_cleared_by_the_way() {
        let mut driver = Transcript::new();
        store(&mut driver, 4, 2, 6);
        store(&mut driver, 4, 4, 6);
        store(&mut driver, 6, 2, 0xf900);
        driver.keeps("P15", 2);
        store(&mut driver, 4, 4, 0x0010_0006);
        driver.breaks("P15", &["0x00100006"]);
    }

    #[test]
    fn only_registers_are_stored_to() {
        let mut driver = Transcript::new();
        header(&mut driver, ConfigHeader::VendorId, 0x1af4);
        let msix = |offset| Transcript::config(BLOCK, offset, Some((CapabilityKind::Msix, 0x40)));
        store(&mut driver, 0x10, 4, 0);
        store(&mut driver, 0x0c, 4, 0);
        driver.store(msix(0x42), 2, 0x8000);
        driver.store(msix(0x40), 4, 0x8000_0011);
        driver.status(&[0, 1, 3, 0x0b, 0x0f]);
        driver.keeps("P27", 1);
        store(&mut driver, 0x35, 1, 1);
        store(&mut driver, 0xb0, 4, 1);
        driver.store(msix(0x44), 4, 1);
        driver.breaks("P27", &["0x1 stored at 0x35", "0x1 stored at 0xb0", "0x1 stored at 0x44"]);
    }

    #[test]
    fn a_rom_stays_off() {
        let mut driver = Transcript::new();
        store(&mut driver, 0x30, 4, 0xffff_f800);
        store(&mut driver, 0x30, 4, 0xfeb0_0001);
        store(&mut driver, 0x30, 4, 0xfeb0_0000);
        driver.status(&[0, 1, 3, 0x0b, 0x0f]);
        driver.keeps("P28", 4);
        store(&mut driver, 0x30, 4, 0xffff_ffff);
        driver.breaks("P28", &["0xffffffff"]);
    }

    #[test]
    fn the_pin_is_not_to_be_stored() {
        let mut driver = Transcript::new();
        header(&mut driver, ConfigHeader::InterruptPin, 1);
        store(&mut driver, 0x3c, 1, 0x0b);
        store(&mut driver, 0x3c, 2, 0x010b);
        driver.keeps("P29", 1);
        store(&mut driver, 0x3d, 1, 2);
        driver.breaks("P29", &["0x02 stored"]);
    }
}
