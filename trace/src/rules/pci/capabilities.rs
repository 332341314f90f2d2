//! The capability list (PCI 3.0, 6.7), and what virtio's capabilities lead to.

use super::{Config, Each};
use crate::register::{CapabilityKind, ConfigHeader, VirtioCap};
use crate::rules::model::{Capability, Function};
use crate::rules::{At, Check, EndOf, Level, Needs, Out, Rule, Sees, plain};
use crate::{Register, Space};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P16",
        clause: "PCI 3.0, 6.7",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "The capability list is followed only if STATUS says that there is one, by \
               pointers whose bits 1:0 are masked, and not longer than it can be.",
        sees: Sees::CONFIG,
        start: || Box::<Walks>::default(),
    },
    Rule {
        id: "P17",
        clause: "VIRTIO 1.4, 4.1.4",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "Fields of a virtio capability are loaded as far as its cap_len reaches.",
        sees: Sees::CONFIG_LOAD,
        start: plain!(length),
    },
    Rule {
        id: "P18",
        clause: "VIRTIO 1.4, 4.1.4",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "A virtio capability whose bar is not implemented, or the upper half of another, is \
               not used.",
        sees: Sees::UNCLAIMED,
        start: || Box::new(Use { claim: nowhere, broken: false }),
    },
    Rule {
        id: "P19",
        clause: "VIRTIO 1.4, 4.1.4",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "A virtio capability whose structure reaches over the end of its BAR is not used \
               beyond that.",
        sees: Sees::UNCLAIMED,
        start: || Box::new(Use { claim: beyond, broken: false }),
    },
];

/// Where a driver is in the list of a function.
#[derive(Default)]
struct Walk {
    /// The pointer that was loaded last, as it was, until it is followed.
    pointer: Option<u8>,
    /// The capability that it was followed to.
    here: u8,
    /// How many were entered since the list's head was loaded, or anything stored.
    steps: u8,
    /// The pointer's byte was loaded, and not that of the capability: maybe not masked.
    suspect: bool,
}

#[derive(Default)]
struct Walks {
    walks: Each<Walk>,
}

impl Walk {
    /// There is room for no more capabilities.
    const LONGEST: u8 = 48;

    fn follow(&mut self, config: &Config, out: &mut Out<'_>) {
        let Some(pointer) = self.pointer else { return self.next(config) };
        let target = u16::from(pointer & !3);
        if config.covers(target) {
            (self.pointer, self.here, self.suspect) = (None, pointer & !3, false);
            self.steps = self.steps.saturating_add(1);
            if self.steps == Self::LONGEST + 1 {
                out.broken("an end after 48 capabilities", "a 49th");
            } else if pointer & 3 != 0 {
                out.kept();
            }
            return self.next(config);
        }
        // A byte at a pointer to 41h may be the field of what is at 40h.
        let raw = u16::from(pointer);
        let certain = config.width() > 1 || pointer & 3 > 1;
        let at_raw = pointer & 3 != 0 && config.offset == raw;
        if at_raw && certain || self.suspect && config.offset == raw + 1 {
            (self.pointer, self.suspect) = (None, false);
            let seen = format!("a load at {:#04x}", config.offset);
            return out.broken(format!("the capability at {target:#04x}"), seen);
        }
        self.suspect = at_raw;
    }

    /// Takes the pointer to the next capability from a load that has it.
    fn next(&mut self, config: &Config) {
        let next = self.here.checked_add(1).filter(|_| self.here >= 0x40);
        let Some(next) = next.and_then(|next| config.byte(next.into())) else { return };
        self.pointer = (next >= 0x40).then_some(next);
        self.suspect = false;
    }
}

impl Check for Walks {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        const LIST: u32 = 1 << 4;
        let Some(config) = Config::of(at) else { return };
        if at.pci().is_none() || config.is_all_ones() {
            return;
        }
        let walk = self.walks.at(config.function);
        if config.stored().is_some() {
            walk.steps = 0;
            return;
        }
        if let Some(head) = config.byte(ConfigHeader::CapabilitiesPointer.offset()) {
            *walk = Walk { pointer: (head >= 0x40).then_some(head), ..Walk::default() };
            return;
        }
        if config.offset < 0x40 {
            return;
        }
        let steps = walk.steps;
        walk.follow(&config, out);
        if steps == 0 && walk.steps == 1 {
            let status = at.pci().and_then(|f| f.config.header(ConfigHeader::Status));
            match status {
                Some(status) if status & LIST == 0 => {
                    out.broken("no list, as bit 4 of STATUS is 0", "a load of its first element");
                }
                Some(_) => out.kept(),
                None => {}
            }
        }
    }
}

fn length(at: &At<'_>, out: &mut Out<'_>) {
    let Some(config) = Config::of(at).filter(|config| config.loaded().is_some()) else { return };
    let Some(capability) = config.capability else { return };
    let (CapabilityKind::Virtio(_), Some(function)) = (capability.kind, at.pci()) else { return };
    let capability = Capability { kind: capability.kind, at: capability.at.into() };
    let Some(inside) = config.offset.checked_sub(capability.at) else { return };
    let offset = VirtioCap::CapLen.offset();
    let Some(length) = function.config.field(capability, offset, 1) else { return };
    // The first doubleword says how long it is.
    if inside < VirtioCap::Bar.offset() || config.is_all_ones() {
        return;
    }
    let end = inside + u16::from(config.width());
    out.check(u32::from(end) <= length, || {
        (format!("nothing behind its {length} bytes"), format!("a load of +{inside:#x}"))
    });
}

/// A virtio capability, as its driver knows it.
struct Claim {
    bar: usize,
    offset: u64,
    length: u64,
}

impl Claim {
    fn all(function: &Function) -> impl Iterator<Item = Self> {
        let config = &function.config;
        config.capabilities.iter().filter_map(move |capability| {
            // The window on configuration space, and what is reserved, are no structures.
            let CapabilityKind::Virtio(1..=4) = capability.kind else { return None };
            let field = |field: VirtioCap| config.field(*capability, field.offset(), field.width());
            Some(Self {
                bar: field(VirtioCap::Bar)? as usize,
                offset: field(VirtioCap::Offset)?.into(),
                length: field(VirtioCap::Length)?.into(),
            })
        })
    }
}

/// Where one that is used would be accessed, from where to where, if the driver may not.
type Wrong = fn(&Function, &Claim) -> Option<(u64, u64)>;

/// The BAR's register, taken for one of memory below 4 GiB.
fn nowhere(function: &Function, claim: &Claim) -> Option<(u64, u64)> {
    let bars = &function.config.bars;
    let register = bars.get(claim.bar);
    if claim.bar > 5 || !(bars.is_upper(claim.bar) || bars.size(claim.bar) == Some(0)) {
        return None;
    }
    let start = u64::from(register.value? & !0xf) + claim.offset;
    Some((start, start + claim.length))
}

/// What of the structure is behind the end of the BAR.
fn beyond(function: &Function, claim: &Claim) -> Option<(u64, u64)> {
    let bars = &function.config.bars;
    let (_, address, size) = bars.placed().find(|(index, ..)| *index == claim.bar)?;
    let end = claim.offset + claim.length;
    (end > size)
        .then(|| (address.saturating_add(claim.offset.max(size)), address.saturating_add(end)))
}

/// Capabilities that cannot be used, and whether one was.
struct Use {
    claim: Wrong,
    broken: bool,
}

impl Check for Use {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some((Register::Unclaimed { space: Space::Memory, address }, ..)) = at.register()
        else {
            return;
        };
        for function in at.model.functions() {
            let mut wrong = Claim::all(function).filter_map(|claim| (self.claim)(function, &claim));
            if wrong.any(|(start, end)| (start..end).contains(&address)) {
                self.broken = true;
                let seen = format!("an access at {address:#x} for {}", function.address);
                return out.broken("a device that is refused", seen);
            }
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        if self.broken {
            return;
        }
        for function in end.model.functions() {
            let wrong = Claim::all(function).filter_map(|claim| (self.claim)(function, &claim));
            wrong.for_each(|_| out.kept());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::testing::{BLOCK, Transcript};
    use crate::{Access, Refusal};

    fn load(driver: &mut Transcript, offset: u16, width: u8, value: u64) {
        driver.load(Transcript::config(BLOCK, offset, None), width, value);
    }

    fn begin(status: u64, pointer: u64) -> Transcript {
        let mut driver = Transcript::new();
        load(&mut driver, 6, 2, status);
        load(&mut driver, 0x34, 1, pointer);
        driver
    }

    #[test]
    fn a_list_is_followed_by_masked_pointers() {
        let mut driver = begin(0x10, 0x43);
        load(&mut driver, 0x40, 2, 0x4d09);
        load(&mut driver, 0x44, 1, 4);
        load(&mut driver, 0x4c, 1, 0x11);
        load(&mut driver, 0x4d, 1, 0);
        // Once for STATUS, and once for each pointer with low bits.
        driver.keeps("P16", 3);
    }

    #[test]
    fn a_pointer_is_not_followed_as_it_is() {
        let mut driver = begin(0x10, 0x41);
        load(&mut driver, 0x41, 2, 0x094c);
        driver.breaks("P16", &["a load at 0x41"]);
        let mut driver = begin(0x10, 0x41);
        load(&mut driver, 0x41, 1, 0x4c);
        load(&mut driver, 0x42, 1, 0x09);
        driver.breaks("P16", &["a load at 0x42"]);
        // The capability at 0x40 has its pointer there.
        let mut driver = begin(0x10, 0x41);
        load(&mut driver, 0x41, 1, 0x4c);
        load(&mut driver, 0x40, 1, 0x09);
        driver.keeps("P16", 2);
    }

    #[test]
    fn a_list_that_status_denies_is_none() {
        let mut driver = begin(0, 0x40);
        load(&mut driver, 0x40, 2, 0x0009);
        driver.breaks("P16", &["a load of its first element"]);
    }

    #[test]
    fn a_list_without_end_is_left() {
        let mut driver = begin(0x10, 0x40);
        for _ in 0..48 {
            load(&mut driver, 0x40, 2, 0x4009);
        }
        driver.keeps("P16", 1);
        load(&mut driver, 0x40, 2, 0x4009);
        load(&mut driver, 0x40, 2, 0x4009);
        driver.breaks("P16", &["a 49th"]);
    }

    #[test]
    fn a_register_of_a_capability_may_be_polled() {
        let mut driver = begin(0x10, 0x40);
        for _ in 0..100 {
            load(&mut driver, 0x40, 4, 0x0009_4c03);
        }
        driver.keeps("P16", 1);
    }

    /// A driver that has loaded a notification capability of `length` bytes, in this BAR.
    fn capability(length: u64, bar: u64, offset: u64, size: u64) -> Transcript {
        let kind = CapabilityKind::Virtio(2);
        let at = |inside: u16| Transcript::config(BLOCK, 0x40 + inside, Some((kind, 0x40)));
        let mut driver = Transcript::new();
        driver.load(at(0), 4, 0x0200_4c09 | length << 16);
        driver.load(at(4), 1, bar);
        driver.load(at(8), 4, offset);
        driver.load(at(12), 4, size);
        for (register, value, answer) in
            [(0, 0xf000_0000, 0xffff_f000), (4, 0xe000_000c, 0xffff_c00c), (5, 0x20, 0xffff_ffff)]
        {
            let register = Transcript::config(BLOCK, 0x10 + 4 * register, None);
            driver.load(register, 4, value);
            driver.store(register, 4, 0xffff_ffff);
            driver.load(register, 4, answer);
            driver.store(register, 4, value);
        }
        driver
    }

    fn access(driver: &mut Transcript, address: u64) {
        let register = Register::Unclaimed { space: Space::Memory, address };
        driver.refused(register, Access::Load { width: 4, value: 0 }, Refusal::Unclaimed);
    }

    #[test]
    fn a_capability_ends_where_it_says() {
        let multiplier = Transcript::config(BLOCK, 0x50, Some((CapabilityKind::Virtio(2), 0x40)));
        let mut driver = capability(20, 0, 0, 4);
        driver.load(multiplier, 4, 4);
        driver.keeps("P17", 4);
        let mut driver = capability(16, 0, 0, 4);
        driver.load(multiplier, 4, 4);
        driver.breaks("P17", &["a load of +0x10"]);
    }

    #[test]
    fn the_upper_half_of_a_register_is_no_place() {
        let mut driver = capability(20, 5, 0x100, 0x100);
        access(&mut driver, 0x10);
        driver.keeps("P18", 1);
        access(&mut driver, 0x120);
        driver.breaks("P18", &["an access at 0x120 for 00:04.0"]);
        capability(20, 4, 0, 4).keeps("P18", 0);
    }

    #[test]
    fn a_structure_ends_with_its_register_s_range() {
        let mut driver = capability(20, 0, 0xf00, 0x100);
        access(&mut driver, 0xf000_1000);
        driver.keeps("P19", 0);
        let mut driver = capability(20, 0, 0xf00, 0x200);
        access(&mut driver, 0xf000_0f00);
        driver.keeps("P19", 1);
        access(&mut driver, 0xf000_1000);
        driver.breaks("P19", &["an access at 0xf0001000 for 00:04.0"]);
    }
}
