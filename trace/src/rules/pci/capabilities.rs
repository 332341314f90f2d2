//! The capability list (PCI 3.0, 6.7), and where virtio capabilities lead (VIRTIO 1.4, 4.1.4).

use super::super::capability::Window;
use super::super::capability::comes_up::{needed, virtio};
use super::super::model::ConfigSpace;
use super::super::state::PerFunction;
use super::super::{At, Check, Level, Needs, Out, Rule, Sees};
use super::config;
use crate::Access;
use crate::register::{CapabilityKind, ConfigHeader, VirtioCap};

mod led;

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "P16",
        clause: "PCI 3.0, 6.7",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "The capability list is walked where STATUS says that there is one, with the low two \
               bits of its pointers masked, at 0x40 and above, for 48 steps at most.",
        sees: Sees::CONFIG,
        start: || Box::<Walks>::default(),
    },
    Rule {
        id: "P17",
        clause: "VIRTIO 1.4, 4.1.4",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "A virtio capability that is too short for its fields is not used.",
        sees: led::SEES,
        start: || Box::new(led::Led::by(led::short)),
    },
    Rule {
        id: "P18",
        clause: "VIRTIO 1.4, 4.1.4",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "A structure in a BAR that is not there, or in the upper half of one, is not used.",
        sees: led::SEES,
        start: || Box::new(led::Led::by(led::no_bar)),
    },
    Rule {
        id: "P19",
        clause: "VIRTIO 1.4, 4.1.4",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "A structure that does not end inside its BAR is not used.",
        sees: led::SEES,
        start: || Box::new(led::Led::by(led::beyond)),
    },
];

/// How the capability list of each function is walked.
#[derive(Default)]
struct Walks(PerFunction<Walk>);

/// A walk along a capability list.
#[derive(Default)]
struct Walk {
    /// The pointer that was loaded last and not followed.
    next: Option<u8>,
    /// The capability that it led to.
    at: Option<u16>,
    steps: u32,
    /// It was said once that something is wrong.
    done: bool,
}

impl Check for Walks {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some((function, _, offset, Access::Load { width, value })) = config(at) else { return };
        if offset >= 0x100 {
            return;
        }
        let status = at.pci().and_then(|f| f.config.header(ConfigHeader::Status));
        let listed = status.is_none_or(|status| status & 0x10 != 0);
        let walk = self.0.of(function);
        let byte = |place: u16| {
            let inside = place.checked_sub(offset).filter(|inside| *inside < u16::from(width))?;
            Some((value >> (8 * inside)) as u8)
        };
        if let Some(first) = byte(ConfigHeader::CapabilitiesPointer.offset()) {
            *walk = Walk { next: Some(first), done: walk.done, ..Walk::default() };
            return;
        }
        walk.follow(offset, listed, out);
        if let Some(next) = walk.at.and_then(|at| byte(at + 1)) {
            walk.next = Some(next);
            if next & 0xfc == 0 && walk.steps != 0 && !walk.done {
                out.kept();
            }
        }
    }
}

impl Walk {
    /// The next load begins at `offset`: maybe where the pointer leads.
    fn follow(&mut self, offset: u16, listed: bool, out: &mut Out<'_>) {
        const STEPS: u32 = 48;
        let Some(next) = self.next.map(u16::from).filter(|next| *next & 0xfc != 0) else { return };
        let masked = next & 0xfc;
        // Below 0x40 there is much else to load, at every other place nothing.
        let follows = offset == masked && masked >= 0x40;
        let raw = offset == next && next != masked && next > 0x40;
        if !follows && !raw {
            return;
        }
        self.next = None;
        self.at = Some(masked);
        self.steps += 1;
        let wrong = if raw {
            Some("the low two bits masked")
        } else if !listed {
            Some("no walk, as bit 4 of STATUS is clear")
        } else if self.steps > STEPS {
            Some("48 steps at most")
        } else {
            None
        };
        if let Some(expected) = wrong.filter(|_| !self.done) {
            self.done = true;
            out.broken(expected, format!("step {} to {offset:#04x}", self.steps));
        }
    }
}

/// The only capability of a type that was looked at, if there is one.
fn only(config: &ConfigSpace, wanted: u8) -> Option<super::super::model::Capability> {
    let mut found = virtio(config).filter(|(kind, _)| *kind == wanted).map(|(_, place)| place);
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{BLOCK, Transcript};
    use crate::register::{CapabilityKind, ConfigHeader, Structure};
    use crate::{Access, Refusal, Register, Space};

    fn load(driver: &mut Transcript, offset: u16, width: u8, value: u64) {
        driver.load(Transcript::config(BLOCK, offset, None), width, value);
    }

    fn walk(status: u64, first: u64) -> Transcript {
        let mut driver = Transcript::new();
        driver.load(Transcript::header(BLOCK, ConfigHeader::Status), 2, status);
        load(&mut driver, 0x34, 1, first);
        driver
    }

    #[test]
    fn a_list_is_walked_to_its_end() {
        let mut driver = walk(0x10, 0x41);
        for _ in 0..2 {
            load(&mut driver, 0x40, 2, 0x5011);
            load(&mut driver, 0x42, 2, 1);
            load(&mut driver, 0x50, 1, 0x09);
            load(&mut driver, 0x51, 1, 0);
            load(&mut driver, 0x34, 1, 0x40);
        }
        driver.keeps("P16", 2);
    }

    #[test]
    fn a_list_has_bounds() {
        let mut unmasked = walk(0x10, 0x41);
        load(&mut unmasked, 0x41, 2, 0x5011);
        unmasked.breaks("P16", &["step 1 to 0x41"]);
        let mut none = walk(0, 0x40);
        load(&mut none, 0x40, 2, 0x0011);
        none.breaks("P16", &["step 1 to 0x40"]);
        let mut endless = walk(0x10, 0x40);
        (0..60).for_each(|_| load(&mut endless, 0x40, 2, 0x4009));
        endless.breaks("P16", &["step 49 to 0x40"]);
    }

    /// A common configuration by a capability of `len` bytes.
    fn structured(len: u64, bar: u64, offset: u64, length: u64) -> Transcript {
        let mut driver = Transcript::new();
        let place = |inside: u16| {
            Transcript::config(BLOCK, 0x40 + inside, Some((CapabilityKind::Virtio(1), 0x40)))
        };
        driver.load(place(2), 1, len);
        driver.load(place(4), 1, bar);
        driver.load(place(8), 4, offset);
        driver.load(place(12), 4, length);
        for (index, value, answer) in [(4, 0xfe00_000c, 0xffff_c00c), (5, 0, 0xffff_ffff)] {
            let bar = Transcript::config(BLOCK, 0x10 + 4 * index, None);
            driver.load(bar, 4, value);
            driver.store(bar, 4, 0xffff_ffff);
            driver.load(bar, 4, answer);
            driver.store(bar, 4, value);
        }
        driver
    }

    #[test]
    fn what_leads_astray_is_not_followed() {
        let wrong = [
            ("P17", structured(15, 4, 0, 0x38), "type 1 used, of 15 bytes"),
            ("P18", structured(16, 5, 0, 0x38), "type 1 used, in BAR5"),
            ("P18", structured(16, 7, 0, 0x38), "type 1 used, in BAR7"),
            ("P19", structured(16, 4, 0x3fe0, 0x38), "type 1 used, 0x38 bytes at 0x3fe0 of BAR4"),
            (
                "P19",
                structured(16, 4, 0xffff_f000, 0x2000),
                "type 1 used, 0x2000 bytes at 0xfffff000 of BAR4",
            ),
        ];
        for (rule, mut driver, seen) in wrong {
            driver.keeps(rule, 1);
            driver.status(&[0]);
            driver.breaks(rule, &[seen]);
        }
        for rule in ["P17", "P18", "P19"] {
            let mut driver = structured(16, 4, 0, 0x38);
            driver.status(&[0]);
            driver.keeps(rule, 0);
        }
    }

    #[test]
    fn what_is_nowhere_is_followed_in_vain() {
        let mut driver = structured(16, 4, 0x1_0000, 0x38);
        let place = Register::Unclaimed { space: Space::Memory, address: 0xfe01_0014 };
        driver.refused(place, Access::Store { width: 1, value: 0 }, Refusal::Unclaimed);
        driver.breaks("P19", &["type 1 used, 0x38 bytes at 0x10000 of BAR4"]);
        let mut driver = structured(15, 4, 0x3000, 0x38);
        let place =
            Register::None { function: BLOCK, structure: Structure::Bar(4), offset: 0x3014 };
        driver.refused(place, Access::Store { width: 1, value: 0 }, Refusal::NoRegister);
        driver.breaks("P17", &["type 1 used, of 15 bytes"]);
    }
}
