//! MSI-X (PCI 3.0, 6.8.2).

use super::{BUS_MASTER, Config, Each, INTX_DISABLE, IO, MEMORY, known_command};
use crate::register::{CapabilityKind, MsixCap, MsixEntry, Structure};
use crate::rules::model::{Capability, Function, Msix, status::DRIVER_OK};
use crate::rules::{At, Check, EndOf, Level, Needs, Out, Rule, Sees, plain};
use crate::{Access, Refusal, Register};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "P20",
        clause: "PCI 3.0, 6.8.2.4",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "The MSI-X table is stored to by who has loaded where it is, and not behind its end.",
        sees: Sees::MSIX,
        start: plain!(place),
    },
    Rule {
        id: "P21",
        clause: "PCI 3.0, 6.8.2",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "The MSI-X table and pending bits are accessed by aligned 4 or 8 bytes, a message \
               address is a multiple of 4, and a message changes while it is masked.",
        sees: Sees::MSIX,
        start: plain!(entry),
    },
    Rule {
        id: "P22",
        clause: "PCI 3.0, 6.8.2",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "An entry of the MSI-X table is not unmasked while MSI-X is enabled before it has \
               an address and data.",
        sees: Sees::MSIX.union(Sees::CONFIG_STORE),
        start: plain!(order),
    },
    Rule {
        id: "P23",
        clause: "PCI 3.0, 6.8.2.3",
        level: Level::Should,
        needs: Needs::Occasion,
        text: "Of the MSI-X capability only MSI-X Enable and Function Mask are changed.",
        sees: Sees::CONFIG,
        start: || Box::<Control>::default(),
    },
    Rule {
        id: "P24",
        clause: "PCI 3.0, 6.8.2",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "The pending bits of MSI-X are never stored to.",
        sees: Sees::MSIX,
        start: || Box::new(Pending),
    },
    Rule {
        id: "P25",
        clause: "PCI 3.0, 6.2.2 and 6.8.2.3",
        level: Level::Should,
        needs: Needs::Occasion,
        text: "The interrupt pin is not switched on while MSI-X is enabled.",
        sees: Sees::CONFIG_STORE.union(Sees::STATUS).union(Sees::LEGACY),
        start: plain!(pin),
    },
];

/// Message Control.
const ENABLE: u32 = 1 << 15;
const FUNCTION_MASK: u32 = 1 << 14;
const RESERVED: u32 = 0x3800;
const TABLE_SIZE: u32 = 0x07ff;

fn capability(function: &Function) -> Option<Capability> {
    function.config.capability(CapabilityKind::Msix)
}

/// Message Control, as it was last loaded or stored.
fn control(function: &Function) -> Option<u32> {
    let offset = MsixCap::MessageControl.offset();
    function.config.field(capability(function)?, offset, 2)
}

/// Whether messages are sent unless their entry is masked; `None`: not known.
fn sends(control: u32) -> bool {
    control & (ENABLE | FUNCTION_MASK) == ENABLE
}

/// The Message Control that a store to configuration space leaves, as far as it is one.
fn stored_control(config: &Config, before: Option<u32>) -> Option<u32> {
    let value = config.stored().filter(|_| config.refused.is_none())?;
    let capability = config.capability.filter(|c| c.kind == CapabilityKind::Msix)?;
    match (config.offset - u16::from(capability.at), config.width()) {
        (2, 2) => Some(value),
        (0, 4) => Some(value >> 16),
        (3, 1) => Some(before? & 0xff | value << 8),
        (2, 1) => Some(before? & 0xff00 | value),
        _ => None,
    }
}

fn table_store(at: &At<'_>) -> Option<(u16, MsixEntry, Access)> {
    match at.register()? {
        (Register::MsixTable { vector, register, .. }, access @ Access::Store { .. }, None) => {
            Some((vector, register, access))
        }
        _ => None,
    }
}

fn place(at: &At<'_>, out: &mut Out<'_>) {
    let refused = match at.register() {
        Some((
            Register::None { structure: Structure::MsixTable, offset, .. },
            Access::Store { .. },
            Some(Refusal::NoRegister),
        )) => Some(offset),
        _ => None,
    };
    if let Some(offset) = refused {
        return out.broken("an entry that there is", format!("a store at {offset:#x}"));
    }
    let Some((_, MsixEntry::MessageAddressLow, _)) = table_store(at) else { return };
    // Who found the function in this transcript found its table in it too.
    let Some(function) = at.pci().filter(|function| function.config.get(0, 2).is_some()) else {
        return;
    };
    let offset = MsixCap::TableOffset.offset();
    let table = capability(function).and_then(|found| function.config.field(found, offset, 4));
    out.check(table.is_some(), || {
        ("a load of the table's place before", "a store to what nobody asked the place of")
    });
}

fn entry(at: &At<'_>, out: &mut Out<'_>) {
    if let Some((register, access, Some(Refusal::Width | Refusal::Unaligned))) = at.register() {
        if let Register::None { offset, .. } = register {
            let seen = format!("{} bytes at {offset:#x}", access.width());
            out.broken("4 or 8 bytes at a multiple of that", seen);
        }
        return;
    }
    let (Some((vector, register, access)), Some(function)) = (table_store(at), at.pci()) else {
        return;
    };
    if register == MsixEntry::VectorControl {
        return;
    }
    if register == MsixEntry::MessageAddressLow && access.value() & 0b11 != 0 {
        return out.broken("bits 1:0 clear", format!("{:#010x}", access.value()));
    }
    let Some(control) = control(function) else { return };
    let entries = &function.virtio.msix.entries;
    let known = entries.get(usize::from(vector)).copied().unwrap_or_default();
    let first = usize::from(register.offset() / 4);
    let words = [access.value() as u32, (access.value() >> 32) as u32];
    let count = if access.width() == 8 { 2 } else { 1 };
    // The mask in the second half is no part of the message.
    let message = words.iter().take(count).zip(first..3);
    let changes = message.into_iter().any(|(word, place)| known[place] != Some(*word));
    let live = sends(control) && known[3].is_some_and(|control| control & 1 == 0);
    out.check(!(changes && live), || {
        (format!("entry {vector} masked"), format!("{} of an entry that is not", register.name()))
    });
}

/// Whether entry `vector` has been given an address and data.
fn is_programmed(msix: &Msix, vector: usize) -> bool {
    msix.entries.get(vector).is_some_and(|entry| entry[0].is_some() && entry[2].is_some())
}

fn order(at: &At<'_>, out: &mut Out<'_>) {
    let Some(function) = at.pci() else { return };
    let msix = &function.virtio.msix;
    if let Some((vector, register, access)) = table_store(at) {
        let mask = match (register, access.width()) {
            (MsixEntry::VectorControl, _) => access.value(),
            (MsixEntry::MessageData, 8) => access.value() >> 32,
            _ => return,
        };
        if mask & 1 != 0 || !control(function).is_some_and(sends) {
            return;
        }
        let address = msix.entries.get(usize::from(vector)).is_some_and(|entry| entry[0].is_some());
        let data = register == MsixEntry::MessageData || is_programmed(msix, vector.into());
        return out.check(address && data, || {
            (format!("a message in entry {vector} before"), "an entry unmasked without one")
        });
    }
    let Some(config) = Config::of(at) else { return };
    let before = control(function);
    let Some(control) = stored_control(&config, before) else { return };
    if !sends(control) || before.is_some_and(sends) {
        return;
    }
    let unmasked = |entry: &[Option<u32>; 4]| entry[3].is_some_and(|mask| mask & 1 == 0);
    let mut live = (0..msix.entries.len()).filter(|entry| unmasked(&msix.entries[*entry]));
    let empty = live.find(|entry| !is_programmed(msix, *entry));
    out.check(empty.is_none(), || {
        let entry = empty.unwrap_or_default();
        (format!("a message in entry {entry} before"), format!("MSI-X on, {entry} unmasked"))
    });
}

/// Message Control of each function, as it was last loaded.
#[derive(Default)]
struct Control {
    loaded: Each<Option<u32>>,
}

impl Check for Control {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(config) = Config::of(at) else { return };
        let Some(capability) = config.capability.filter(|c| c.kind == CapabilityKind::Msix) else {
            return;
        };
        let loaded = self.loaded.at(config.function);
        let inside = config.offset - u16::from(capability.at);
        if let Some(value) = config.loaded() {
            match (inside, config.width()) {
                (2, 2) => *loaded = Some(value),
                (0, 4) => *loaded = Some(value >> 16),
                _ => {}
            }
            return;
        }
        let before = at.pci().and_then(control);
        let Some(control) = stored_control(&config, before) else {
            return out.broken("a store to Message Control", format!("one at +{inside:#x}"));
        };
        let Some(loaded) = loaded.filter(|loaded| *loaded != 0xffff) else { return };
        // To store zeros to what is read-only says nothing about it.
        let size = control & TABLE_SIZE;
        let kept = (control ^ loaded) & RESERVED == 0 && (size == 0 || size == loaded & TABLE_SIZE);
        out.check(kept, || (format!("bits 13:0 as in {loaded:#06x}"), format!("{control:#06x}")));
    }
}

struct Pending;

impl Check for Pending {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some((register, Access::Store { value, .. }, _)) = at.register() else { return };
        if let Register::MsixPba { .. } | Register::None { structure: Structure::MsixPba, .. } =
            register
        {
            out.broken("no store", format!("{value:#x} stored"));
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        let used = |function: &&Function| !function.virtio.msix.entries.is_empty();
        end.model.functions().filter(used).for_each(|_| out.kept());
    }
}

/// Whether the line behind the pin is routed no access shows, so to leave the pin switched on is
/// not judged.
fn pin(at: &At<'_>, out: &mut Out<'_>) {
    let Some(function) = at.pci() else { return };
    if control(function).is_none_or(|control| control & ENABLE == 0) {
        return;
    }
    if at.status_store().is_some_and(|status| status & DRIVER_OK != 0) {
        if known_command(at).is_some_and(|command| command & INTX_DISABLE != 0) {
            out.kept();
        }
        return;
    }
    let Some(config) = Config::of(at) else { return };
    let Some((Some(before), command)) = config.command(at) else { return };
    // Who takes all of a function's rights away means no interrupt.
    let used = command & (IO | MEMORY | BUS_MASTER) != 0 && before != 0xffff;
    if used && before & !command & INTX_DISABLE != 0 {
        out.broken("bit 10 of COMMAND set", format!("COMMAND {command:#06x}"));
    }
}

#[cfg(test)]
#[path = "msix_tests.rs"]
mod tests;
