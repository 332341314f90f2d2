//! The registers of the legacy interface (VIRTIO 1.4, 4.1.4.10, and what is said of legacy
//! interfaces elsewhere).

use super::config::halves;
use super::features::VERSION_1;
use super::init::order::one_step;
use super::model::status::{DRIVER_OK, FEATURES_OK};
use super::state::PerFunction;
use super::status::{legacy, steps};
use super::vectors::msix_enabled;
use super::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::register::{ConfigHeader, LegacyCfg, Structure};
use crate::{Access, Refusal, Register};

#[cfg(test)]
mod tests;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "L2.2.3",
        clause: "VIRTIO 1.4, 2.2.3",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "A transitional device that does not offer VERSION_1 is driven as a legacy one.",
        sees: Sees::STATUS.union(Sees::LEGACY),
        start: plain!(|at, out| {
            let (Some(function), Some(value)) = (at.pci(), at.status_store()) else { return };
            let offered = &function.virtio.offered;
            let id = function.config.header(ConfigHeader::DeviceId);
            let transitional = id.is_some_and(|id| (0x1000..0x1040).contains(&id));
            // Only a driver that looked for it over the modern interface has window 1.
            if !transitional || offered.window(1).is_none() || offered.has(VERSION_1) {
                return;
            }
            if at.raises(FEATURES_OK) && !legacy(at) {
                out.broken(
                    "the legacy interface: VERSION_1 is not offered",
                    format!("{value:#04x}"),
                );
            } else if at.raises(DRIVER_OK) && legacy(at) {
                out.kept();
            }
        }),
    },
    Rule {
        id: "L2.5.4",
        clause: "VIRTIO 1.4, 2.5.4",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "The capacity of a legacy device is read until two readings agree.",
        sees: Sees::LEGACY,
        start: || Box::<Twice>::default(),
    },
    Rule {
        id: "L3.1.2",
        clause: "VIRTIO 1.4, 3.1.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "A legacy device is reset, then comes ACKNOWLEDGE, DRIVER, DRIVER_OK, one after the \
               other, and no FEATURES_OK.",
        sees: Sees::LEGACY,
        start: plain!(order),
    },
    Rule {
        id: "L4.1.4.10-a",
        clause: "VIRTIO 1.4, 4.1.4.10",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "A legacy register is accessed as it is wide.",
        sees: Sees::LEGACY,
        start: plain!(|at, out| {
            match at.register() {
                Some((Register::Legacy { register, .. }, access, _)) => {
                    let (name, width) = (register.name(), register.width());
                    out.check(access.width() == width, || {
                        let seen = format!("{} bytes", access.width());
                        (format!("an access to {name} of {width} bytes"), seen)
                    });
                }
                Some((
                    Register::None { structure: Structure::Legacy, offset, .. },
                    access,
                    Some(Refusal::Width | Refusal::Unaligned),
                )) if offset < 20 => {
                    let field = LegacyCfg::containing(offset.into());
                    let (name, width) =
                        field.map_or(("", 0), |field| (field.name(), field.width()));
                    let seen = format!("{} bytes at {offset:#x}", access.width());
                    out.broken(format!("an access to {name} of {width} bytes"), seen);
                }
                _ => {}
            }
        }),
    },
    Rule {
        id: "L4.1.4.10-b",
        clause: "VIRTIO 1.4, 4.1.4.10",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "With MSI-X the vectors are at 20 and 22 and the configuration at 24, without it at \
               20.",
        sees: Sees::LEGACY,
        start: plain!(places),
    },
    Rule {
        id: "L4.1.5.1.1.1",
        clause: "VIRTIO 1.4, 4.1.5.1.1.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "A transitional driver looks for capabilities before it takes the legacy interface; \
               one that looks for them nowhere is a legacy driver and not judged.",
        sees: Sees::LEGACY,
        start: || Box::<Searched>::default(),
    },
    Rule {
        id: "L4.1.5.1.3.1",
        clause: "VIRTIO 1.4, 4.1.5.1.3.1",
        level: Level::Recipe,
        needs: Needs::Nothing,
        text: "The address of a legacy queue is stored divided by 4096, when its size is known.",
        sees: Sees::LEGACY,
        start: plain!(|at, out| {
            let Some((
                Register::Legacy { register: LegacyCfg::QueueAddress, .. },
                Access::Store { value: frame, .. },
                None,
            )) = at.register()
            else {
                return;
            };
            if frame == 0 {
                return;
            }
            let known =
                at.queue().and_then(|queue| queue.size_loaded).is_some_and(|size| size != 0);
            let ram = at.model.is_ram(frame << 12, 4096) != Some(false);
            let expected = if known { "a page of RAM" } else { "queue_size loaded before" };
            out.check(known && ram, || (expected, format!("{frame:#010x}")));
        }),
    },
    Rule {
        id: "L6.3",
        clause: "VIRTIO 1.4, 6.3",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "Of a legacy device bit 30 is not accepted, and ANY_LAYOUT is where it is offered.",
        sees: Sees::LEGACY,
        start: plain!(|at, out| {
            const ANY_LAYOUT: u8 = 27;
            let (
                Some((
                    Register::Legacy { register: LegacyCfg::DriverFeatures, .. },
                    Access::Store { value, .. },
                    None,
                )),
                Some(virtio),
            ) = (at.register(), at.virtio())
            else {
                return;
            };
            if value & 1 << 30 != 0 {
                return out.broken("bit 30 clear", format!("{value:#010x}"));
            }
            let wanted = virtio.offered.has(ANY_LAYOUT);
            out.check(!wanted || value >> ANY_LAYOUT & 1 != 0, || {
                ("ANY_LAYOUT, bit 27", format!("{value:#010x}"))
            });
        }),
    },
];

/// One step at a time, and a reset before the first.
fn order(at: &At<'_>, out: &mut Out<'_>) {
    match at.status_store() {
        Some(value) if value & FEATURES_OK != 0 => {
            out.broken("no FEATURES_OK", format!("{value:#04x}"));
        }
        _ => one_step(at, steps(true), out),
    }
}

/// What is where by whether MSI-X is enabled.
fn places(at: &At<'_>, out: &mut Out<'_>) {
    let enabled = msix_enabled(at);
    match at.register() {
        Some((
            Register::Legacy {
                register: LegacyCfg::ConfigMsixVector | LegacyCfg::QueueMsixVector,
                ..
            },
            Access::Store { .. },
            None,
        )) => out.kept(),
        Some((Register::LegacyConfig { .. }, Access::Load { .. }, None)) => out.kept(),
        Some((Register::None { structure: Structure::Legacy, offset, .. }, access, Some(_))) => {
            let vectors = (20..24).contains(&offset);
            let seen = format!("{} bytes {access} at {offset}", access.width());
            match access {
                Access::Load { .. } if vectors && enabled => {
                    out.broken("the configuration at 24, as MSI-X is enabled", seen);
                }
                Access::Store { width: 2, .. } if vectors && !enabled && offset % 2 == 0 => {
                    out.broken("MSI-X enabled before vectors are mapped", seen);
                }
                _ => {}
            }
        }
        _ => {}
    }
}

/// How the capacity of each function was read.
#[derive(Default)]
struct Twice(PerFunction<Readings>);

#[derive(Default)]
struct Readings {
    low: Option<u64>,
    high: Option<u64>,
    /// The last whole reading, and whether the one before it was the same.
    whole: Option<(u64, bool)>,
}

impl Check for Twice {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        if at.raises(DRIVER_OK) && legacy(at) {
            let Some(readings) = self.0.get(function) else { return };
            if let Some((_, agree)) = std::mem::take(readings).whole {
                out.check(agree, || ("two readings of capacity that agree", "the last alone"));
            }
            return;
        }
        let Some((Register::LegacyConfig { .. }, access, None)) = at.register() else { return };
        let (loaded, value) = (halves(at), access.value());
        let readings = self.0.of(function);
        match (loaded, access.width()) {
            (3, 8) => {
                (readings.low, readings.high) = (Some(value & 0xffff_ffff), Some(value >> 32))
            }
            (1, 4) => readings.low = Some(value),
            (2, 4) => readings.high = Some(value),
            _ => return,
        }
        if let (Some(low), Some(high)) = (readings.low, readings.high) {
            let now = high << 32 | low;
            let agree = readings.whole.is_some_and(|(before, _)| before == now);
            *readings = Readings { whole: Some((now, agree)), ..Readings::default() };
        }
    }
}

/// The functions whose legacy interface is taken, with whether their capabilities were looked for.
#[derive(Default)]
struct Searched(PerFunction<bool>);

impl Check for Searched {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        if !legacy(at) || std::mem::replace(self.0.of(function), true) {
            return;
        }
        let looked = |pointer: &super::model::Function| {
            pointer.config.header(ConfigHeader::CapabilitiesPointer).is_some()
        };
        if at.pci().is_some_and(looked) {
            out.kept();
        } else if at.model.functions().any(|other| other.virtio.legacy == Some(false)) {
            // Elsewhere it drives a modern device, and so is a transitional driver.
            out.broken("a load of capabilities_pointer before", "a legacy register");
        }
    }
}
