//! How configuration space is accessed.

use super::super::state::PerFunction;
use super::super::{At, Check, EndOf, Level, Needs, Out, Rule, Sees};
use super::config;
use crate::register::{ConfigHeader, Mechanism};
use crate::{Access, Bdf, Refusal, Register, Space};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "P01",
        clause: "PCI 3.0, 3.2.2.3.2",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "CONFIG_ADDRESS is 32 bits with the enable bit and zeros in 30:24 and 1:0; the data \
               is where its register's bytes are, and aligned.",
        sees: Sees::CONFIG_ADDRESS.union(Sees::CONFIG).union(Sees::UNCLAIMED),
        start: || Box::<Ports>::default(),
    },
    Rule {
        id: "P31",
        clause: "PCI Express 3.0, 7.2.2",
        level: Level::Should,
        needs: Needs::Occasion,
        text: "Through ECAM 1, 2 or 4 bytes are accessed, aligned, and extended capabilities begin \
               at 0x100, at multiples of 4.",
        sees: Sees::CONFIG,
        start: || Box::<Ecam>::default(),
    },
];

/// The functions that are there, and whether a register was ever looked for off a doubleword's
/// first bytes.
#[derive(Default)]
struct Ports {
    /// Those whose vendor ID was loaded by 16 bits, and how often.
    vendors: PerFunction<u32>,
    /// Whether a load of 8 or 16 bits was ever at another lane than the first.
    lanes: bool,
}

impl Check for Ports {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        match at.register() {
            Some((Register::ConfigAddress, Access::Store { value, .. }, _)) => {
                let zeros = value & 0x7f00_0003 == 0;
                // Without the enable bit it is no address (as when software looks for the port).
                if value & 0x8000_0000 != 0 {
                    out.check(zeros, || ("zeros in bits 30:24 and 1:0", format!("{value:#010x}")));
                }
            }
            Some((Register::Unclaimed { space: Space::Port, address }, access, _)) => {
                let disabled = at.model.config_address.is_some_and(|value| value >> 31 == 0);
                if (0xcfc..=0xcff).contains(&address) && disabled {
                    let seen = format!("{access} at {address:#x} without it");
                    out.broken("CONFIG_ADDRESS with its enable bit", seen);
                }
            }
            Some((
                Register::Config { function, mechanism: Mechanism::Cam, offset, .. },
                access,
                why,
            )) => {
                let aligned = offset.is_multiple_of(access.width().into());
                if !aligned || why == Some(Refusal::Unaligned) {
                    let seen = format!("{} bytes at {offset:#04x}", access.width());
                    out.broken("an aligned access", seen);
                }
                self.load(function, offset, access);
            }
            _ => {}
        }
    }

    /// A driver that takes every register from the first lanes sees no device ID, ever.
    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        let unseen = |function| {
            let function = end.model.function(function);
            function
                .is_some_and(|function| function.config.header(ConfigHeader::DeviceId).is_none())
        };
        let again =
            self.vendors.iter().filter(|(function, loads)| **loads > 1 && unseen(*function));
        let present = self.vendors.iter().count();
        if !self.lanes && present > 1 && again.count() == present {
            let seen = "all registers loaded at 0xcfc, device IDs never";
            out.broken("16-bit and 8-bit registers at their bytes of 0xcfc to 0xcff", seen);
        }
    }
}

impl Ports {
    fn load(&mut self, function: Bdf, offset: u16, access: Access) {
        if self.lanes || access.is_store() || access.width() == 4 {
            return;
        }
        self.lanes = !offset.is_multiple_of(4);
        if offset == 0 && !matches!(access.value(), 0 | 0xffff) {
            *self.vendors.of(function) += 1;
        }
    }
}

/// The functions of which extended configuration space was loaded.
#[derive(Default)]
struct Ecam(PerFunction<bool>);

impl Check for Ecam {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some((
            Register::Config { function, mechanism: Mechanism::Ecam, offset, .. },
            access,
            why,
        )) = at.register()
        else {
            return;
        };
        let whole = matches!(access.width(), 1 | 2 | 4);
        if why.is_some() || !whole || !offset.is_multiple_of(access.width().into()) {
            let seen = format!("{} bytes at {offset:#05x}", access.width());
            return out.broken("1, 2 or 4 bytes, aligned", seen);
        }
        if config(at).is_none() || offset < 0x100 || access.is_store() {
            return;
        }
        if !std::mem::replace(self.0.of(function), true) {
            out.check(offset < 0x104, || {
                ("the first extended capability at 0x100", format!("a load at {offset:#05x}"))
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{BLOCK, Transcript};
    use crate::register::{ConfigHeader, Header, Mechanism};
    use crate::{Access, Bdf, Refusal, Register, Space};

    #[test]
    fn an_address_is_enabled_and_has_zeros() {
        let mut driver = Transcript::new();
        driver.store(Register::ConfigAddress, 4, 0x8000_2004);
        driver.load(Transcript::header(BLOCK, ConfigHeader::Command), 2, 0);
        driver.store(Register::ConfigAddress, 4, 0);
        driver.keeps("P01", 1);
        driver.store(Register::ConfigAddress, 4, 0x8000_2006);
        driver.store(Register::ConfigAddress, 4, 0x2004);
        let data = Register::Unclaimed { space: Space::Port, address: 0xcfc };
        driver.refused(data, Access::Load { width: 2, value: 0xffff }, Refusal::Unclaimed);
        driver.load(Transcript::config(BLOCK, 5, None), 2, 0);
        driver.breaks("P01", &["0x80002006", "-> ffff at 0xcfc without it", "2 bytes at 0x05"]);
    }

    #[test]
    fn registers_are_at_their_lanes() {
        let scan = |lane: u16| {
            let mut driver = Transcript::new();
            for device in 0..3 {
                let function = Bdf::new(0, device, 0);
                driver.load(Transcript::config(function, 0, None), 2, 0x1af4);
                driver.load(Transcript::config(function, lane, None), 2, 0x1af4);
            }
            driver
        };
        scan(2).keeps("P01", 0);
        scan(0).breaks("P01", &["all registers loaded at 0xcfc, device IDs never"]);
    }

    #[test]
    fn ecam_has_whole_aligned_registers() {
        let ecam = |offset| Register::Config {
            function: BLOCK,
            mechanism: Mechanism::Ecam,
            header: Header::Device,
            offset,
            capability: None,
        };
        let mut driver = Transcript::new();
        driver.load(ecam(0x100), 4, 0x1401_0010);
        driver.load(ecam(0x140), 4, 0);
        driver.keeps("P31", 1);
        driver.load(ecam(0x142), 4, 0);
        driver.refused(ecam(0), Access::Load { width: 8, value: 0 }, Refusal::Width);
        driver.breaks("P31", &["4 bytes at 0x142", "8 bytes at 0x000"]);
        let mut driver = Transcript::new();
        driver.load(ecam(0x140), 4, 0);
        driver.breaks("P31", &["a load at 0x140"]);
    }
}
