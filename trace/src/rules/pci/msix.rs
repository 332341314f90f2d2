//! MSI-X (PCI 3.0, 6.8.2).

use super::super::model::status::DRIVER_OK;
use super::super::state::PerFunction;
use super::super::vectors::{message_control, msix_enabled};
use super::super::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use super::config;
use crate::register::{CapabilityKind, CommonCfg, MsixEntry, Structure};
use crate::{Access, Refusal, Register};

const DRIVEN: Sees = Sees::MSIX.union(Sees::CONFIG).union(Sees::COMMON).union(Sees::LEGACY);

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "P20",
        clause: "PCI 3.0, 6.8.2",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "Messages are stored to the MSI-X table, and nothing is stored where nothing is.",
        sees: DRIVEN.union(Sees::BAR).union(Sees::NOTIFY).union(Sees::UNCLAIMED),
        start: plain!(|at, out| {
            let Some((register, Access::Store { width, value }, _)) = at.register() else { return };
            // The local APICs' addresses, as a message names them (Intel SDM 3A, 11.11.1).
            let message = width >= 4 && value & 0xffff_ffff_fff0_0000 == 0xfee0_0000;
            match register {
                Register::MsixTable { register: MsixEntry::MessageAddressLow, .. } => out.kept(),
                Register::None { structure: Structure::Bar(bar), offset, .. } => {
                    let seen = format!("{value:#x} stored to BAR{bar} +{offset:#x}");
                    out.broken("stores to structures alone", seen);
                }
                Register::None { .. }
                | Register::Unclaimed { .. }
                | Register::Common {
                    register: CommonCfg::DeviceFeatureSelect | CommonCfg::DriverFeatureSelect,
                    ..
                } if message => {
                    out.broken(
                        "messages in the MSI-X table",
                        format!("{value:#x} stored elsewhere"),
                    );
                }
                _ => {}
            }
        }),
    },
    Rule {
        id: "P21",
        clause: "PCI 3.0, 6.8.2",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "An entry of the MSI-X table is stored to while it is masked, by 32 or 64 aligned \
               bits, with an address that is a multiple of 4.",
        sees: Sees::MSIX,
        start: plain!(entry),
    },
    Rule {
        id: "P22",
        clause: "PCI 3.0, 6.8.2",
        level: Level::Should,
        needs: Needs::Occasion,
        text: "An entry of the MSI-X table has its address and data before it is unmasked, and \
               before DRIVER_OK where a vector is mapped to it.",
        sees: DRIVEN,
        start: plain!(|at, out| {
            if let Some((
                Register::MsixTable { vector, register, .. },
                Access::Store { width, value },
                None,
            )) = at.register()
            {
                let control = match register {
                    MsixEntry::VectorControl => value,
                    MsixEntry::MessageData if width == 8 => value >> 32,
                    _ => return,
                };
                if control & 1 == 0 {
                    let whole = filled(at, vector) || register == MsixEntry::MessageData;
                    out.check(whole, || {
                        (format!("entry {vector} programmed before"), "it unmasked".to_string())
                    });
                }
            } else if at.raises(DRIVER_OK) && msix_enabled(at) {
                mapped(at, out);
            }
        }),
    },
    Rule {
        id: "P23",
        clause: "PCI 3.0, 6.8.2.3",
        level: Level::Should,
        needs: Needs::Occasion,
        text: "Of Message Control only Enable and Function Mask change.",
        sees: Sees::CONFIG,
        start: plain!(|at, out| {
            let Some((value, mask)) = control_stored(at) else { return };
            let Some(before) = message_control(at) else {
                return out.broken("Message Control loaded before", format!("{value:#06x} stored"));
            };
            out.check((before ^ value) & mask & 0x3fff == 0, || {
                (format!("bits 13:0 of {before:#06x}"), format!("{value:#06x}"))
            });
        }),
    },
    Rule {
        id: "P24",
        clause: "PCI 3.0, 6.8.2",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "Nothing is stored to the pending bits.",
        sees: DRIVEN,
        start: plain!(|at, out| {
            match at.register() {
                Some((
                    Register::MsixPba { .. } | Register::None { structure: Structure::MsixPba, .. },
                    Access::Store { value, .. },
                    _,
                )) => out.broken("loads alone", format!("{value:#x} stored")),
                _ if at.raises(DRIVER_OK) && msix_enabled(at) => out.kept(),
                _ => {}
            }
        }),
    },
    Rule {
        id: "P25",
        clause: "PCI 3.0, 6.2.2",
        level: Level::Should,
        needs: Needs::Occasion,
        text: "With MSI-X in use Interrupt Disable is set in COMMAND, or the function has no pin.",
        sees: Sees::COMMON.union(Sees::LEGACY).union(Sees::CONFIG),
        start: || Box::<Disabled>::default(),
    },
];

/// Whether the table's entry has address and data, as it was stored.
fn filled(at: &At<'_>, vector: u16) -> bool {
    let entries = at.virtio().map(|virtio| &virtio.msix.entries);
    entries
        .and_then(|entries| entries.get(usize::from(vector)))
        .is_some_and(|[low, _, data, _]| low.is_some() && data.is_some())
}

/// The vectors that events are mapped to, when the driver says DRIVER_OK.
fn mapped(at: &At<'_>, out: &mut Out<'_>) {
    // Of a record that does not have the table it is not known what is in it.
    let Some(virtio) = at.virtio().filter(|virtio| !virtio.msix.entries.is_empty()) else { return };
    let queues = virtio.queues().filter(|queue| queue.enabled).filter_map(|queue| queue.vector);
    for vector in virtio.config_vector.into_iter().chain(queues).filter(|vector| *vector < 0x800) {
        out.check(filled(at, vector), || {
            (format!("entry {vector} programmed"), "DRIVER_OK without it".to_string())
        });
    }
}

/// A store to the table.
fn entry(at: &At<'_>, out: &mut Out<'_>) {
    let Some((register, access, why)) = at.register() else { return };
    match register {
        Register::None { structure: Structure::MsixTable, offset, .. }
            if matches!(why, Some(Refusal::Width | Refusal::Unaligned)) =>
        {
            let seen = format!("{} bytes at {offset:#x}", access.width());
            out.broken("4 or 8 bytes, aligned", seen);
        }
        Register::MsixTable { vector, register, .. }
            if access.is_store() && register != MsixEntry::VectorControl =>
        {
            let low = register == MsixEntry::MessageAddressLow;
            if low && access.value() & 3 != 0 {
                let seen = format!("{:#x}", access.value());
                return out.broken("an address that is a multiple of 4", seen);
            }
            out.check(masked(at, vector), || {
                let seen = format!("{} stored while it is not", register.name());
                (format!("entry {vector} masked"), seen)
            });
        }
        _ => {}
    }
}

/// Whether an entry is masked, by itself or with the function, or not in use at all; each entry is
/// masked after a reset of the bus.
fn masked(at: &At<'_>, vector: u16) -> bool {
    let control = message_control(at).unwrap_or(0);
    let entries = at.virtio().map(|virtio| &virtio.msix.entries);
    let own = entries.and_then(|entries| entries.get(usize::from(vector))?[3]).unwrap_or(1);
    control & 0xc000 != 0x8000 || own & 1 != 0
}

/// What a store brings to Message Control, with the bits that it covers.
fn control_stored(at: &At<'_>) -> Option<(u16, u16)> {
    let (Register::Config { offset, capability: Some(capability), .. }, access, None) =
        at.register()?
    else {
        return None;
    };
    if capability.kind != CapabilityKind::Msix || !access.is_store() {
        return None;
    }
    let (mut value, mut mask) = (0, 0);
    for (place, byte) in (offset..).zip(access.value().to_le_bytes()).take(access.width().into()) {
        match place.checked_sub(u16::from(capability.at)) {
            Some(2) => (value, mask) = (value | u16::from(byte), mask | 0xff),
            Some(3) => (value, mask) = (value | u16::from(byte) << 8, mask | 0xff00),
            _ => {}
        }
    }
    (mask != 0).then_some((value, mask))
}

/// The functions that have a pin to interrupt by, as far as it was loaded.
#[derive(Default)]
struct Disabled(PerFunction<bool>);

impl Check for Disabled {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        const INTX_DISABLE: u16 = 0x400;
        let Some(address) = at.function() else { return };
        if let Some(pin) = pin(at) {
            *self.0.of(address) = pin;
            return;
        }
        if !at.raises(DRIVER_OK) || !msix_enabled(at) || self.0.peek(address) != Some(&true) {
            return;
        }
        let Some(command) = at.pci().map(|function| function.config.command()) else { return };
        out.check(command & INTX_DISABLE != 0, || {
            ("bit 10 of COMMAND set", format!("COMMAND is {command:#06x}"))
        });
    }
}

/// Whether the function has a pin, if this loads that.
fn pin(at: &At<'_>) -> Option<bool> {
    let (_, _, offset, Access::Load { width, value }) = config(at)? else { return None };
    let inside = 0x3d_u16.checked_sub(offset).filter(|inside| *inside < u16::from(width))?;
    Some(value >> (8 * inside) & 0xff != 0)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{BLOCK, Transcript};
    use crate::register::{CapabilityKind, CommonCfg, ConfigHeader, MsixEntry, Structure};
    use crate::{Access, Refusal, Register};

    fn control() -> Register {
        Transcript::config(BLOCK, 0x42, Some((CapabilityKind::Msix, 0x40)))
    }

    fn table(driver: &mut Transcript, vector: u16, register: MsixEntry, value: u64) {
        driver.store(Register::MsixTable { function: BLOCK, vector, register }, 4, value);
    }

    fn program(driver: &mut Transcript, vector: u16) {
        table(driver, vector, MsixEntry::MessageAddressLow, 0xfee0_0000);
        table(driver, vector, MsixEntry::MessageAddressHigh, 0);
        table(driver, vector, MsixEntry::MessageData, 0x30);
    }

    /// A driver that programs two entries, enables MSI-X, unmasks them and maps both.
    fn driven(entries: u16) -> Transcript {
        let mut driver = Transcript::new();
        driver.load(Transcript::header(BLOCK, ConfigHeader::InterruptPin), 1, 1);
        driver.load(control(), 2, 1);
        (0..entries).for_each(|entry| program(&mut driver, entry));
        driver.store(control(), 2, 0x8001);
        driver.store(Transcript::header(BLOCK, ConfigHeader::Command), 2, 0x406);
        driver.negotiate([0, 1], [0, 1]);
        driver.common(CommonCfg::ConfigMsixVector, 0);
        driver.enable(0, 8);
        driver.common(CommonCfg::QueueMsixVector, 1);
        table(&mut driver, 0, MsixEntry::VectorControl, 0);
        table(&mut driver, 1, MsixEntry::VectorControl, 0);
        driver.status(&[0x0f]);
        driver
    }

    #[test]
    fn messages_are_in_the_table() {
        let mut driver = driven(2);
        driver.keeps("P20", 2);
        let store = Access::Store { width: 4, value: 0xfee0_1000 };
        let notify = Register::None { function: BLOCK, structure: Structure::Notify, offset: 8 };
        driver.refused(notify, store, Refusal::NoRegister);
        driver.common(CommonCfg::DeviceFeatureSelect, 0xfee0_0000);
        let bar = Register::None { function: BLOCK, structure: Structure::Bar(0), offset: 0x900 };
        driver.refused(bar, Access::Store { width: 4, value: 0 }, Refusal::NoRegister);
        driver.breaks(
            "P20",
            &[
                "0xfee01000 stored elsewhere",
                "0xfee00000 stored elsewhere",
                "0x0 stored to BAR0 +0x900",
            ],
        );
    }

    #[test]
    fn an_entry_is_masked_when_it_is_stored_to() {
        let mut driver = driven(2);
        driver.keeps("P21", 6);
        table(&mut driver, 1, MsixEntry::MessageData, 0x31);
        table(&mut driver, 1, MsixEntry::VectorControl, 1);
        table(&mut driver, 1, MsixEntry::MessageAddressLow, 0xfee0_0002);
        let place = Register::None { function: BLOCK, structure: Structure::MsixTable, offset: 8 };
        driver.refused(place, Access::Store { width: 2, value: 1 }, Refusal::Width);
        driver.breaks(
            "P21",
            &["message_data stored while it is not", "0xfee00002", "2 bytes at 0x8"],
        );
        let mut all = driven(2);
        all.store(control(), 2, 0xc001);
        program(&mut all, 1);
        all.keeps("P21", 9);
    }

    #[test]
    fn an_entry_is_programmed_before_it_is_used() {
        driven(2).keeps("P22", 4);
        driven(1).breaks("P22", &["it unmasked", "DRIVER_OK without it"]);
    }

    #[test]
    fn the_size_of_the_table_is_not_stored() {
        let mut driver = driven(2);
        driver.keeps("P23", 1);
        driver.store(Transcript::config(BLOCK, 0x43, Some((CapabilityKind::Msix, 0x40))), 1, 0xc0);
        driver.keeps("P23", 2);
        driver.store(control(), 2, 0x8000);
        driver.breaks("P23", &["0x8000"]);
        let mut blind = Transcript::new();
        blind.store(control(), 2, 0x8000);
        blind.breaks("P23", &["0x8000 stored"]);
    }

    #[test]
    fn pending_bits_are_not_stored_to() {
        let mut driver = driven(2);
        driver.keeps("P24", 1);
        let place = Register::None { function: BLOCK, structure: Structure::MsixPba, offset: 0 };
        driver.refused(place, Access::Store { width: 4, value: 1 }, Refusal::ReadOnly);
        driver.breaks("P24", &["0x1 stored"]);
    }

    #[test]
    fn the_pin_is_off_with_messages() {
        let mut driver = driven(2);
        driver.keeps("P25", 1);
        driver.store(Transcript::header(BLOCK, ConfigHeader::Command), 2, 6);
        driver.status(&[0, 1, 3, 0x0b, 0x0f]);
        driver.breaks("P25", &["COMMAND is 0x0006"]);
        Transcript::driven(0).keeps("P25", 0);
    }
}
