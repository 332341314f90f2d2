//! Interrupts of a virtio device (VIRTIO 1.4, 4.1.4.5.2 and 4.1.5.1.2.2).

use super::state::PerFunction;
use super::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::register::{CapabilityKind, CommonCfg, LegacyCfg, MsixCap};
use crate::{Access, Event, Register};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D4.1.5.1.2.2-b",
        clause: "VIRTIO 1.4, 4.1.5.1.2.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "No event is mapped to a vector beyond the MSI-X table.",
        sees: Sees::QUEUES.union(Sees::COMMON_OTHER).union(Sees::LEGACY),
        start: plain!(|at, out| {
            let (Some((event, value, true)), Some(entries)) = (mapping(at), entries(at)) else {
                return;
            };
            let name = event.name();
            out.check(value == NO_VECTOR || value < entries, || {
                (format!("{name} below {entries}, or NO_VECTOR"), format!("{value:#06x}"))
            });
        }),
    },
    Rule {
        id: "D4.1.5.1.2.2-c",
        clause: "VIRTIO 1.4, 4.1.5.1.2.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "A vector is mapped for a selected queue, and the mapping is verified by reading \
               it back.",
        sees: Sees::STATUS.union(Sees::QUEUES).union(Sees::COMMON_OTHER).union(Sees::LEGACY),
        start: || Box::<ReadBack>::default(),
    },
    Rule {
        id: "D4.1.4.5.2-a",
        clause: "VIRTIO 1.4, 4.1.4.5.2",
        level: Level::Should,
        needs: Needs::Occasion,
        text: "With MSI-X the ISR status is not read for a queue's interrupt.",
        sees: Sees::ISR.union(Sees::INTERRUPT).union(Sees::STATUS),
        start: || Box::<IsrReads>::default(),
    },
];

/// VIRTIO_MSI_NO_VECTOR.
const NO_VECTOR: u16 = 0xffff;

/// What a vector is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mapped {
    Configuration,
    Queue,
}

impl Mapped {
    fn name(self) -> &'static str {
        match self {
            Mapped::Configuration => CommonCfg::ConfigMsixVector.name(),
            Mapped::Queue => CommonCfg::QueueMsixVector.name(),
        }
    }
}

/// The register of a mapping that is accessed, over whichever transport, the value, and whether
/// that is stored.
fn mapping(at: &At<'_>) -> Option<(Mapped, u16, bool)> {
    let (register, access, None) = at.register()? else { return None };
    let mapped = match register {
        Register::Common { register: CommonCfg::ConfigMsixVector, .. }
        | Register::Legacy { register: LegacyCfg::ConfigMsixVector, .. } => Mapped::Configuration,
        Register::Common { register: CommonCfg::QueueMsixVector, .. }
        | Register::Legacy { register: LegacyCfg::QueueMsixVector, .. } => Mapped::Queue,
        _ => return None,
    };
    Some((mapped, access.value() as u16, access.is_store()))
}

/// Message Control of the function, as it was last loaded or stored.
pub(super) fn message_control(at: &At<'_>) -> Option<u16> {
    let config = &at.pci()?.config;
    let msix = config.capability(CapabilityKind::Msix)?;
    config.field(msix, MsixCap::MessageControl.offset(), 2).map(|control| control as u16)
}

/// Whether MSI-X was switched on.
pub(super) fn msix_enabled(at: &At<'_>) -> bool {
    message_control(at).is_some_and(|control| control & 0x8000 != 0)
}

/// How many entries the MSI-X table has, if Message Control was loaded.
fn entries(at: &At<'_>) -> Option<u16> {
    Some((message_control(at)? & 0x7ff) + 1)
}

/// The mappings of each function that were stored and not read back.
#[derive(Default)]
struct ReadBack(PerFunction<Vec<(Mapped, u16)>>);

impl Check for ReadBack {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let (Some(function), Some(virtio)) = (at.function(), at.virtio()) else { return };
        let stored = self.0.of(function);
        if let Some((mapped, value, store)) = mapping(at) {
            let before = stored.len();
            stored.retain(|(other, _)| *other != mapped);
            match store {
                false if stored.len() < before => out.kept(),
                // That an event has no vector needs no resources that could be missing.
                true if value != NO_VECTOR => {
                    if mapped == Mapped::Queue && virtio.queue_select.is_none() {
                        return out.broken("queue_select before", "a mapping of no queue");
                    }
                    stored.push((mapped, value));
                }
                _ => {}
            }
            return;
        }
        if at.status_store() == Some(0) {
            return stored.clear();
        }
        // Behind a selection or queue_enable the next one would be read.
        let queue = selects(at) || at.stores(CommonCfg::QueueEnable).is_some();
        let all = at.raises(super::model::status::DRIVER_OK);
        stored.retain(|(mapped, value)| {
            let late = all || queue && *mapped == Mapped::Queue;
            if late {
                let seen = format!("{value:#06x} stored and not read");
                out.broken(format!("a load of {} behind the store", mapped.name()), seen);
            }
            !late
        });
    }
}

fn selects(at: &At<'_>) -> bool {
    let legacy = matches!(
        at.register(),
        Some((
            Register::Legacy { register: LegacyCfg::QueueSelect, .. },
            Access::Store { .. },
            None
        ))
    );
    legacy || at.stores(CommonCfg::QueueSelect).is_some()
}

/// Of each function, the vector of its last message since DRIVER_OK and the last reading.
#[derive(Default)]
struct IsrReads(PerFunction<Messages>);

#[derive(Default)]
struct Messages {
    last: Option<u16>,
    /// Whether one came, and the ISR status was not read for it.
    counted: bool,
}

impl Check for IsrReads {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let (Some(function), Some(virtio)) = (at.function(), at.virtio()) else { return };
        match at.entry.event {
            Event::Msix { vector, .. } if virtio.driver_ok() => {
                self.0.of(function).last = Some(vector);
            }
            Event::Register { register: Register::Isr { .. }, access: Access::Load { .. } } => {
                let Some(messages) = self.0.get(function) else { return };
                let Some(vector) = messages.last.take() else { return };
                let change = virtio.config_vector == Some(vector);
                if !change && msix_enabled(at) && virtio.driver_ok() {
                    out.broken("no load for a queue", format!("a load after vector {vector}"));
                    messages.counted = true;
                }
            }
            _ if at.status_store().is_some() => {
                let Some(messages) = self.0.get(function) else { return };
                if messages.last.take().is_some() && !messages.counted {
                    out.kept();
                }
                messages.counted = false;
            }
            _ => {}
        }
    }

    fn end(&mut self, _end: &super::EndOf<'_>, out: &mut Out<'_>) {
        let quiet = |messages: &&Messages| messages.last.is_some() && !messages.counted;
        for _ in self.0.iter().map(|(_, messages)| messages).filter(quiet) {
            out.kept();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BLOCK, Transcript};
    use crate::register::{CapabilityKind, CommonCfg, LegacyCfg};
    use crate::{Event, Register};

    /// A driver that has read Message Control of a table of 3.
    fn with_table() -> Transcript {
        let mut driver = Transcript::new();
        let control = Transcript::config(BLOCK, 0x42, Some((CapabilityKind::Msix, 0x40)));
        driver.load(control, 2, 2);
        driver.store(control, 2, 0x8002);
        driver.negotiate([0, 1], [0, 1]);
        driver
    }

    #[test]
    fn a_vector_is_in_the_table() {
        let mut driver = with_table();
        driver.common(CommonCfg::ConfigMsixVector, 2);
        driver.legacy(LegacyCfg::QueueMsixVector, 0xffff);
        driver.keeps("D4.1.5.1.2.2-b", 2);
        driver.common(CommonCfg::QueueMsixVector, 3);
        driver.breaks("D4.1.5.1.2.2-b", &["0x0003"]);
    }

    #[test]
    fn a_mapping_is_read_back() {
        let mut driver = with_table();
        driver.common(CommonCfg::ConfigMsixVector, 0);
        driver.common_load(CommonCfg::ConfigMsixVector, 0);
        driver.common(CommonCfg::QueueSelect, 0);
        driver.common(CommonCfg::QueueMsixVector, 1);
        driver.common_load(CommonCfg::QueueMsixVector, 0xffff);
        driver.common(CommonCfg::QueueMsixVector, 0xffff);
        driver.common(CommonCfg::QueueSelect, 1);
        driver.keeps("D4.1.5.1.2.2-c", 2);
        let mut driver = with_table();
        driver.common(CommonCfg::QueueMsixVector, 1);
        driver.common(CommonCfg::ConfigMsixVector, 0);
        driver.common(CommonCfg::QueueSelect, 0);
        driver.common(CommonCfg::QueueMsixVector, 1);
        driver.common(CommonCfg::QueueEnable, 1);
        driver.status(&[0x0f]);
        driver.breaks(
            "D4.1.5.1.2.2-c",
            &["a mapping of no queue", "0x0001 stored and not read", "0x0000 stored and not read"],
        );
    }

    #[test]
    fn the_isr_status_is_for_other_interrupts() {
        let driven = |vector| {
            let mut driver = with_table();
            driver.common(CommonCfg::ConfigMsixVector, 0);
            driver.status(&[0x0f]);
            driver.load(Register::Isr { function: BLOCK }, 1, 0);
            driver.device(Event::Msix { vector, address: 0xfee0_0000, data: 0x30 });
            driver
        };
        driven(1).keeps("D4.1.4.5.2-a", 1);
        let mut change = driven(0);
        change.load(Register::Isr { function: BLOCK }, 1, 2);
        change.keeps("D4.1.4.5.2-a", 0);
        let mut queue = driven(1);
        queue.load(Register::Isr { function: BLOCK }, 1, 0);
        queue.breaks("D4.1.4.5.2-a", &["a load after vector 1"]);
    }
}
