//! How functions are found.

use super::super::model::Function;
use super::super::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use super::config;
use crate::register::{ConfigHeader, Header};
use crate::{Access, Bdf};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "P02",
        clause: "PCI 3.0, 6.1",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "Whether a function is there is decided by its vendor ID, before anything else of \
               it is accessed.",
        sees: Sees::CONFIG,
        start: || Box::<Absent>::default(),
    },
    Rule {
        id: "P03",
        clause: "PCI 3.0, 3.2.2.3.4",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "Functions 1 to 7 are looked for only where function 0 has the multi-function bit.",
        sees: Sees::CONFIG,
        start: plain!(|at, out| {
            let Some((function, _, 0, Access::Load { .. })) = config(at) else { return };
            if function.function() == 0 || at.pci().is_some_and(known) {
                return;
            }
            let first = at.model.function(Bdf::new(function.bus(), function.device(), 0));
            let header = first.and_then(|first| first.config.header(ConfigHeader::HeaderType));
            out.check(header.is_some_and(|header| header & 0x80 != 0), || {
                let seen = match header {
                    Some(header) => format!("{function} looked for when it is {header:#04x}"),
                    None => format!("{function} looked for when it was not loaded"),
                };
                ("bit 7 of function 0's header type set", seen)
            });
        }),
    },
    Rule {
        id: "P04",
        clause: "PCI 3.0, 6.2.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "Six BARs are looked for in a type 0 header alone, and two in a type 1 header.",
        sees: Sees::CONFIG,
        start: plain!(|at, out| {
            let Some((_, header, offset @ 0x10..=0x27, Access::Store { width: 4, value })) =
                config(at)
            else {
                return;
            };
            let kind = at.pci().and_then(|f| f.config.header(ConfigHeader::HeaderType));
            let kind = kind.map_or(u32::from(header == Header::Bridge), |kind| kind & 0x7f);
            let end = match kind {
                0 => return,
                1 => 0x18,
                _ => 0x10,
            };
            if value | 0xf == 0xffff_ffff || kind > 1 {
                out.check(offset < end, || {
                    let seen = format!("{value:#010x} stored at {offset:#04x}");
                    (format!("no BAR there in a header of type {kind}"), seen)
                });
            }
        }),
    },
];

/// Whether the vendor ID of the function was loaded, and is one.
fn known(function: &Function) -> bool {
    let vendor = function.config.header(ConfigHeader::VendorId);
    vendor.is_some_and(|vendor| vendor != 0xffff)
}

/// The functions that are not there, and those that were: a bit for each that there can be.
struct Absent {
    absent: Vec<u64>,
    present: Vec<u64>,
}

impl Default for Absent {
    fn default() -> Self {
        /// Of 256 buses with 32 devices of 8 functions.
        const WORDS: usize = (1 << 16) / 64;
        Self { absent: vec![0; WORDS], present: vec![0; WORDS] }
    }
}

impl Check for Absent {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some((function, _, offset, access)) = config(at) else { return };
        let number = usize::from(function.bus()) << 8
            | usize::from(function.device()) << 3
            | usize::from(function.function());
        let (word, bit) = (number / 64, 1 << (number % 64));
        // What was there and is gone is no matter of finding it.
        if self.present[word] & bit != 0 {
            return;
        }
        let absent = self.absent[word] & bit != 0;
        let ones = access.value() == u64::MAX >> (64 - 8 * u32::from(access.width()));
        if offset == 0 && !access.is_store() {
            let there = access.value() as u16 != 0xffff;
            let known = if there { &mut self.present } else { &mut self.absent };
            known[word] |= bit;
            if !absent {
                out.kept();
            }
        } else if absent {
            let seen = format!("{offset:#04x} accessed");
            out.broken("no access, as its vendor ID is ffff", seen);
        } else if ones && !access.is_store() {
            let seen = format!("{offset:#04x} loaded, and it is not there");
            out.broken("its vendor ID loaded first", seen);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::Transcript;
    use crate::Bdf;

    fn load(driver: &mut Transcript, function: Bdf, offset: u16, width: u8, value: u64) {
        driver.load(Transcript::config(function, offset, None), width, value);
    }

    #[test]
    fn the_vendor_id_comes_first() {
        let (there, not) = (Bdf::new(0, 1, 0), Bdf::new(0, 2, 0));
        let mut driver = Transcript::new();
        load(&mut driver, there, 0, 2, 0x8086);
        load(&mut driver, there, 0x0e, 1, 0xff);
        load(&mut driver, not, 0, 4, 0xffff_ffff);
        load(&mut driver, not, 0, 2, 0xffff);
        // Firmware knows its chipset.
        load(&mut driver, Bdf::new(0, 0, 0), 0x59, 1, 0x10);
        driver.keeps("P02", 2);
        load(&mut driver, not, 2, 2, 0xffff);
        load(&mut driver, Bdf::new(0, 3, 0), 2, 2, 0xffff);
        driver.breaks("P02", &["0x02 accessed", "0x02 loaded, and it is not there"]);
    }

    #[test]
    fn further_functions_are_looked_for_behind_the_bit() {
        let mut driver = Transcript::new();
        let device = |function| Bdf::new(0, 1, function);
        load(&mut driver, device(0), 0, 2, 0x8086);
        load(&mut driver, device(0), 0x0c, 4, 0x0080_0000);
        for function in 1..8 {
            load(&mut driver, device(function), 0, 2, 0xffff);
        }
        driver.keeps("P03", 7);
        load(&mut driver, Bdf::new(0, 2, 1), 0, 2, 0xffff);
        load(&mut driver, Bdf::new(0, 3, 0), 0x0e, 1, 0);
        load(&mut driver, Bdf::new(0, 3, 1), 0, 2, 0xffff);
        driver.breaks(
            "P03",
            &["00:02.1 looked for when it was not loaded", "00:03.1 looked for when it is 0x00"],
        );
    }

    #[test]
    fn a_bridge_has_two_bars() {
        let bridge = Bdf::new(0, 5, 0);
        let mut driver = Transcript::new();
        load(&mut driver, bridge, 0x0e, 1, 0x81);
        driver.store(Transcript::config(bridge, 0x14, None), 4, 0xffff_ffff);
        driver.store(Transcript::config(bridge, 0x18, None), 4, 0x0001_0100);
        driver.keeps("P04", 1);
        driver.store(Transcript::config(bridge, 0x18, None), 4, 0xffff_ffff);
        load(&mut driver, bridge, 0x0e, 1, 2);
        driver.store(Transcript::config(bridge, 0x10, None), 4, 0xffff_fff0);
        driver.breaks("P04", &["0xffffffff stored at 0x18", "0xfffffff0 stored at 0x10"]);
    }
}
