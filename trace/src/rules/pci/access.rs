//! How configuration space is accessed, and how functions are found.

use super::{Config, Functions};
use crate::register::{CapabilityKind, ConfigHeader, Mechanism};
use crate::rules::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::{Bdf, Refusal, Register, Space};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P01",
        clause: "PCI 3.0, 3.2.2.3.2",
        // Bits 1:0 are read-only, so ones there are wrong and do no harm.
        level: Level::Should,
        needs: Needs::Nothing,
        text: "CONFIG_DATA is accessed inside its doubleword and aligned, after CONFIG_ADDRESS \
               was stored with its enable bit set and bits 30:28 and 1:0 clear.",
        sees: Sees::CONFIG.union(Sees::UNCLAIMED),
        start: plain!(data_access),
    },
    Rule {
        id: "P02",
        clause: "PCI 3.0, 6.1",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "Whether there is a function is decided by its vendor ID, before anything else of \
               it is accessed.",
        sees: Sees::CONFIG,
        start: || Box::<Presence>::default(),
    },
    Rule {
        id: "P03",
        clause: "PCI 3.0, 3.2.2.3.4",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "Functions 1 to 7 of a device are looked for only if bit 7 of the header type of \
               function 0 is set.",
        sees: Sees::CONFIG,
        start: || Box::<Siblings>::default(),
    },
    Rule {
        id: "P31",
        clause: "PCI Express Base 3.0, 7.2.2",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "The memory-mapped window of configuration space is accessed by 1, 2 or 4 bytes, \
               aligned to their number.",
        sees: Sees::CONFIG,
        start: plain!(|at, out| {
            let Some(config) = Config::of(at).filter(|c| c.mechanism == Mechanism::Ecam) else {
                return;
            };
            let width = config.width();
            let aligned = matches!(width, 1 | 2 | 4) && config.offset % u16::from(width) == 0;
            out.check(aligned, || {
                let expected = "1, 2 or 4 bytes at a multiple of that";
                (expected, format!("{width} bytes at offset {:#x}", config.offset))
            });
        }),
    },
];

/// The address is judged when it is used: what is only stored there may be a probe of the
/// mechanism, and bits 27:24 hold an extended register number on some processors.
fn data_access(at: &At<'_>, out: &mut Out<'_>) {
    const ENABLE: u32 = 1 << 31;
    const RESERVED: u32 = 0x7000_0003;
    let Some(address) = at.model.config_address else { return };
    match at.register() {
        Some((Register::Unclaimed { space: Space::Port, address: port }, ..))
            if (0xcfc..0xd00).contains(&port) && address & ENABLE == 0 =>
        {
            let expected = "bit 31 of CONFIG_ADDRESS set";
            out.broken(expected, format!("port {port:#x} with {address:#010x} there"));
        }
        Some((Register::Config { mechanism: Mechanism::Cam, offset, .. }, access, refused)) => {
            let width = u16::from(access.width());
            let aligned = refused != Some(Refusal::Unaligned) && offset.is_multiple_of(width);
            if address & RESERVED != 0 {
                let expected = format!("{:#010x}", address & !RESERVED);
                out.broken(expected, format!("{address:#010x} in CONFIG_ADDRESS"));
            } else {
                out.check(aligned, || {
                    let expected = "an access aligned to its width";
                    (expected, format!("{width} bytes at offset {offset:#x}"))
                });
            }
        }
        _ => {}
    }
}

/// What vendor IDs were answered with.
///
/// Platform firmware knows some functions without having looked for them, and some drivers look
/// at the class first, where all ones say as much. So what comes first is judged where nothing is,
/// and in the header: Linux asks AMD's bridges at 00:18.0 for what only these have.
#[derive(Default)]
struct Presence {
    found: Functions,
    absent: Functions,
}

impl Check for Presence {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(config) = Config::of(at).filter(|config| config.refused.is_none()) else { return };
        let function = config.function;
        if config.offset < ConfigHeader::DeviceId.offset() && config.loaded().is_some() {
            // The vendor ID, whole or a part of it.
            if config.width() > 1 && config.access.value() & 0xffff == 0xffff {
                if !self.found.has(function) && self.absent.insert(function) {
                    out.kept();
                }
            } else {
                self.absent.remove(function);
                self.found.insert(function);
            }
            return;
        }
        // The class says as well as the vendor ID whether a function has come since.
        let looks = config.loaded().is_some() && is_class(&config);
        if self.found.has(function) || looks {
            return;
        }
        if self.absent.has(function) {
            let seen = "another access to a function whose vendor ID is ffff";
            out.broken("nothing but the vendor ID of it", seen);
        } else if config.is_all_ones() && config.offset < 0x40 {
            let expected = "a load of the vendor ID";
            out.broken(expected, format!("a load at offset {:#x}", config.offset));
        }
    }
}

fn is_class(config: &Config) -> bool {
    (ConfigHeader::RevisionId.offset()..=ConfigHeader::ClassCode.offset()).contains(&config.offset)
}

/// Functions beside function 0 that were accessed.
///
/// Where the header type was not loaded nothing is judged: processors have functions that their
/// firmware and kernels know by number. Where there is PCI Express, function numbers can be of
/// virtual functions, which the header type says nothing of.
#[derive(Default)]
struct Siblings {
    met: Functions,
}

impl Check for Siblings {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        const EXPRESS: CapabilityKind = CapabilityKind::Other(0x10);
        let Some(function) = at.function().filter(|function| function.function() != 0) else {
            return;
        };
        if self.met.has(function) {
            return;
        }
        let first = Bdf::new(function.bus(), function.device(), 0);
        let first = at.model.function(first).map(|function| &function.config);
        let Some(first) = first.filter(|first| first.capability(EXPRESS).is_none()) else { return };
        let Some(layout) = first.header(ConfigHeader::HeaderType) else { return };
        self.met.insert(function);
        out.check(layout & 0x80 != 0, || {
            let expected = "no access, as function 0 is the only one";
            (expected, format!("header type {layout:#04x} of function 0"))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{BLOCK, Transcript};
    use crate::{Access, Event};

    fn load(driver: &mut Transcript, function: Bdf, offset: u16, width: u8, value: u64) {
        driver.load(Transcript::config(function, offset, None), width, value);
    }

    #[test]
    fn data_is_accessed_with_an_address_that_is_enabled() {
        let mut driver = Transcript::new();
        driver.store(Register::ConfigAddress, 4, 0x8000_2000);
        load(&mut driver, BLOCK, 0, 4, 0x1042_1af4);
        load(&mut driver, BLOCK, 3, 1, 0x10);
        driver.keeps("P01", 2);
        // What the address was before the transcript is unknown; what it is used for counts.
        let mut driver = Transcript::new();
        load(&mut driver, BLOCK, 0, 4, 0x1042_1af4);
        driver.store(Register::ConfigAddress, 4, 0);
        driver.keeps("P01", 0);
        driver.store(Register::ConfigAddress, 4, 0x0000_2000);
        let register = Register::Unclaimed { space: Space::Port, address: 0xcfc };
        let access = Access::Load { width: 4, value: 0xffff_ffff };
        driver.refused(register, access, Refusal::Unclaimed);
        driver.breaks("P01", &["port 0xcfc with 0x00002000 there"]);
    }

    #[test]
    fn reserved_bits_of_the_address_are_clear_and_data_is_aligned() {
        let mut driver = Transcript::new();
        driver.store(Register::ConfigAddress, 4, 0x8000_2002);
        load(&mut driver, BLOCK, 2, 2, 0x1042);
        driver.store(Register::ConfigAddress, 4, 0x8000_2000);
        load(&mut driver, BLOCK, 1, 2, 0x421a);
        let access = Access::Load { width: 4, value: 0xffff_ffff };
        driver.refused(Transcript::config(BLOCK, 2, None), access, Refusal::Unaligned);
        driver.breaks(
            "P01",
            &["0x80002002 in CONFIG_ADDRESS", "2 bytes at offset 0x1", "4 bytes at offset 0x2"],
        );
    }

    #[test]
    fn a_function_without_a_vendor_is_left_alone() {
        let absent = Bdf::new(0, 5, 0);
        let mut driver = Transcript::new();
        load(&mut driver, absent, 0, 2, 0xffff);
        load(&mut driver, absent, 0, 4, 0xffff_ffff);
        load(&mut driver, BLOCK, 0, 2, 0x1af4);
        load(&mut driver, BLOCK, 2, 2, 0x1042);
        // The upper half of a BAR, sized.
        load(&mut driver, BLOCK, 0x14, 4, 0xffff_ffff);
        // Processors of a kind have a bridge there, and the class may say it as well.
        load(&mut driver, Bdf::new(0, 0x18, 0), 0x68, 4, 0xffff_ffff);
        load(&mut driver, Bdf::new(0, 6, 0), 0xa, 2, 0xffff);
        load(&mut driver, absent, 0xa, 2, 0xffff);
        driver.keeps("P02", 1);
        load(&mut driver, absent, 2, 2, 0xffff);
        load(&mut driver, Bdf::new(0, 7, 0), 2, 2, 0xffff);
        let seen = "another access to a function whose vendor ID is ffff";
        driver.breaks("P02", &[seen, "a load at offset 0x2"]);
    }

    #[test]
    fn an_absent_function_is_looked_for_again_by_its_class() {
        let mut driver = Transcript::new();
        load(&mut driver, BLOCK, 0, 4, 0xffff_ffff);
        load(&mut driver, BLOCK, 0xa, 2, 0xffff);
        driver.keeps("P02", 1);
    }

    #[test]
    fn a_function_that_comes_or_goes_is_no_absent_one() {
        let mut driver = Transcript::new();
        load(&mut driver, BLOCK, 0, 2, 0xffff);
        load(&mut driver, BLOCK, 0, 2, 0x1af4);
        load(&mut driver, BLOCK, 2, 2, 0x1042);
        load(&mut driver, BLOCK, 0, 2, 0xffff);
        driver.store(Transcript::config(BLOCK, 4, None), 2, 0);
        driver.keeps("P02", 1);
    }

    #[test]
    fn only_a_device_with_several_functions_is_asked_for_them() {
        let [ide, second] = [Bdf::new(0, 1, 0), Bdf::new(0, 1, 1)];
        let mut driver = Transcript::new();
        load(&mut driver, Bdf::new(0, 0x18, 3), 0, 4, 0xffff_ffff);
        load(&mut driver, ide, 0xe, 1, 0x80);
        load(&mut driver, second, 0, 2, 0x8086);
        load(&mut driver, second, 2, 2, 0x7010);
        driver.keeps("P03", 1);
        load(&mut driver, BLOCK, 0xc, 4, 0);
        load(&mut driver, Bdf::new(0, 4, 1), 0, 2, 0xffff);
        driver.breaks("P03", &["header type 0x00 of function 0"]);
    }

    #[test]
    fn the_window_takes_aligned_accesses() {
        let at = |offset| Register::Config {
            function: BLOCK,
            mechanism: Mechanism::Ecam,
            header: Default::default(),
            offset,
            capability: None,
        };
        let mut driver = Transcript::new();
        driver.load(at(0), 4, 0x1042_1af4);
        driver.load(at(6), 2, 0x10);
        driver.keeps("P31", 2);
        driver.load(at(5), 2, 0x1000);
        let access = Access::Load { width: 8, value: u64::MAX };
        driver.guest(Event::Refused { register: at(0), access, why: Refusal::Width });
        driver.breaks("P31", &["2 bytes at offset 0x5", "8 bytes at offset 0x0"]);
    }
}
