//! The device configuration (VIRTIO 1.4, 2.5), as of a block device.

use super::model::status::{DRIVER_OK, FEATURES_OK};
use super::state::PerFunction;
use super::{At, Check, End, EndOf, Level, Needs, Out, Rule, Sees, plain};
use crate::register::{BlockCfg, CommonCfg, Structure};
use crate::{Access, Event, Register};

pub(super) mod change;
#[cfg(test)]
mod tests;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D2.5.1-b",
        clause: "VIRTIO 1.4, 2.5.1",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "The capacity is read between two loads of config_generation, again while they \
               differ.",
        sees: Sees::STATUS.union(Sees::COMMON_OTHER).union(Sees::DEVICE_CONFIG),
        start: || Box::<Generations>::default(),
    },
    Rule {
        id: "D2.5.1-c",
        clause: "VIRTIO 1.4, 2.5.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "An optional field is accessed only where its feature is offered.",
        sees: Sees::DEVICE_CONFIG.union(Sees::LEGACY),
        start: plain!(|at, out| {
            let (Some((field, _)), Some(virtio)) = (field(at), at.virtio()) else { return };
            let (Some(bit), Some(_)) = (feature(field), virtio.ever_offered.window(0)) else {
                return;
            };
            out.check(virtio.ever_offered.has(bit), || {
                let expected = format!("no access without bit {bit} offered");
                (expected, format!("an access to {}", field.name()))
            });
        }),
    },
    Rule {
        id: "D5.2.5.1-c",
        clause: "VIRTIO 1.4, 5.2.5.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "The field writeback is not read before FEATURES_OK.",
        sees: Sees::DEVICE_CONFIG.union(Sees::STATUS),
        start: plain!(|at, out| {
            let Some(virtio) = at.virtio() else { return };
            match field(at) {
                Some((BlockCfg::Writeback, access)) if !access.is_store() => {
                    let (held, legacy) = (virtio.held(), virtio.legacy == Some(true));
                    out.check(legacy || held & FEATURES_OK != 0, || {
                        ("FEATURES_OK before", format!("a load while the status is {held:#04x}"))
                    });
                }
                _ if at.raises(FEATURES_OK) => out.kept(),
                _ => {}
            }
        }),
    },
];

/// The field of the block configuration that an access begins in, be it refused, and the access.
pub(super) fn field(at: &At<'_>) -> Option<(BlockCfg, Access)> {
    let (register, access, _) = at.register()?;
    let field = match register {
        Register::Block { register, .. } => register,
        Register::None { structure: Structure::Block, offset, .. } => {
            BlockCfg::containing(offset.into())?
        }
        Register::LegacyConfig { offset, .. } => BlockCfg::containing(offset.into())?,
        _ => return None,
    };
    Some((field, access))
}

/// The feature that a field is there with (5.2.4).
fn feature(field: BlockCfg) -> Option<u8> {
    use BlockCfg as B;
    Some(match field {
        B::CapacityLow | B::CapacityHigh => return None,
        B::Unused0 | B::Unused1First | B::Unused1Second | B::Unused1Third => return None,
        B::SizeMax => 1,
        B::SegMax => 2,
        B::Cylinders | B::Heads | B::Sectors => 4,
        B::BlkSize => 6,
        B::PhysicalBlockExp | B::AlignmentOffset | B::MinIoSize | B::OptIoSize => 10,
        B::Writeback => 11,
        B::NumQueues => 12,
        B::MaxDiscardSectors | B::MaxDiscardSeg | B::DiscardSectorAlignment => 13,
        B::MaxWriteZeroesSectors | B::MaxWriteZeroesSeg | B::WriteZeroesMayUnmap => 14,
        B::MaxSecureEraseSectors | B::MaxSecureEraseSeg | B::SecureEraseSectorAlignment => 16,
    })
}

/// The halves of `capacity` that an access loads: 1 the low one, 2 the high one.
pub(super) fn halves(at: &At<'_>) -> u8 {
    match field(at) {
        Some((_, Access::Store { .. })) | None => 0,
        Some((BlockCfg::CapacityLow, access)) if access.width() == 8 => 3,
        Some((BlockCfg::CapacityLow, _)) => 1,
        Some((BlockCfg::CapacityHigh, _)) => 2,
        Some(_) => 0,
    }
}

/// How each function's capacity was read, over the modern interface.
#[derive(Default)]
struct Generations(PerFunction<Round>);

/// A reading of the capacity.
#[derive(Default)]
struct Round {
    /// The generation that was loaded before it.
    before: Option<u64>,
    /// The halves that were loaded since.
    halves: u8,
    /// Whether the last reading has to be done again, as the generation changed.
    again: bool,
}

impl Round {
    /// What is wrong with the reading, if it is over here.
    fn fault(&self) -> Option<&'static str> {
        match (self.halves, self.before) {
            (3, None) => Some("a reading without config_generation before"),
            (3, Some(_)) => Some("a reading without config_generation behind"),
            _ if self.again => Some("a reading that was not repeated"),
            _ => None,
        }
    }

    /// The reading is over; the next one has to begin with a load of the generation.
    fn close(&mut self, out: &mut Out<'_>) {
        if let Some(fault) = self.fault() {
            out.broken("config_generation, capacity, and the same config_generation", fault);
        }
        *self = Round::default();
    }
}

impl Check for Generations {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        if matches!(at.register(), Some((Register::LegacyConfig { .. }, ..))) {
            return;
        }
        let loaded = halves(at);
        if loaded != 0 {
            let round = self.0.of(function);
            if round.halves == 3 {
                round.close(out);
            }
            round.halves |= loaded;
        } else if let Some(generation) = at.loads(CommonCfg::ConfigGeneration) {
            let round = self.0.of(function);
            if round.halves == 3 && round.before == Some(generation) {
                out.kept();
                *round = Round::default();
            } else if round.halves == 3 && round.before.is_some() {
                round.again = true;
            } else if round.halves == 3 {
                round.close(out);
            }
            round.halves = 0;
            round.before = Some(generation);
        } else if at.raises(DRIVER_OK) {
            self.0.of(function).close(out);
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        if end.end == End::Success {
            self.0.iter_mut().for_each(|(_, round)| round.close(out));
        }
    }
}
