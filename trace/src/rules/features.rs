//! Feature bits (VIRTIO 1.4, 2.2, 5.2.5.1 and 6.1).

use super::model::status::{DRIVER_OK, FAILED, FEATURES_OK};
use super::model::{Features, Virtio};
use super::state::PerFunction;
use super::status::legacy;
use super::{At, Check, End, EndOf, Level, Needs, Out, Rule, Sees, plain};
use crate::register::{CommonCfg, ConfigHeader, LegacyCfg};
use crate::{Access, Event, Register};

pub(super) mod offers;
#[cfg(test)]
mod tests;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D2.2.1-a",
        clause: "VIRTIO 1.4, 2.2.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "No feature is accepted that the device did not offer.",
        sees: Sees::FEATURES.union(Sees::LEGACY),
        start: plain!(|at, out| {
            let (Some((window, value)), Some(virtio)) = (accepts(at), at.virtio()) else { return };
            let Some(offered) = virtio.ever_offered.window(window) else { return };
            out.check(value & !offered == 0, || {
                let expected = format!("no bits but {offered:#010x} in window {window}");
                (expected, format!("{value:#010x}"))
            });
        }),
    },
    Rule {
        id: "D2.2.1-b",
        clause: "VIRTIO 1.4, 2.2.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "No feature is accepted without the one that it requires: none beyond bit 32 \
               without VERSION_1.",
        sees: Sees::STATUS,
        start: plain!(|at, out| {
            let Some(virtio) = settled(at) else { return };
            let upper = (33..64).find(|bit| virtio.accepted.has(*bit));
            out.check(upper.is_none() || virtio.accepted.has(VERSION_1), || {
                ("VERSION_1", format!("bit {} without it", upper.unwrap_or(0)))
            });
        }),
    },
    Rule {
        id: "D2.2.1-c",
        clause: "VIRTIO 1.4, 2.2.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "What is offered is checked: a feature that is offered without the one that it \
               requires is not accepted.",
        sees: Sees::STATUS,
        start: plain!(|at, out| {
            let Some(virtio) = settled(at) else { return };
            let Some(bit) = contradictions(at, virtio).next() else { return };
            let taken = contradictions(at, virtio).find(|bit| virtio.accepted.has(*bit));
            out.check(taken.is_none(), || {
                let taken = taken.unwrap_or(bit);
                (format!("bit {taken} not accepted"), format!("bit {taken}"))
            });
        }),
    },
    Rule {
        id: "D2.2.1-d",
        clause: "VIRTIO 1.4, 2.2.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "No bit is accepted that means nothing, is reserved, or is another device type's.",
        sees: Sees::STATUS,
        start: plain!(|at, out| {
            let Some(virtio) = settled(at) else { return };
            if undefined(at, &virtio.ever_offered).next().is_none() {
                return;
            }
            let taken = undefined(at, &virtio.accepted).next();
            out.check(taken.is_none(), || {
                ("defined bits alone", format!("bit {}", taken.unwrap_or(0)))
            });
        }),
    },
    Rule {
        id: "D2.12/2.13",
        clause: "VIRTIO 1.4, 2.12 and 2.13",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "Without ADMIN_VQ offered it is not accepted, and no queue behind num_queues is \
               enabled.",
        sees: Sees::STATUS.union(Sees::QUEUES),
        start: plain!(|at, out| {
            let Some(virtio) = at.virtio() else { return };
            if settled(at).is_some() && !virtio.ever_offered.has(ADMIN_VQ) {
                let taken = virtio.accepted.has(ADMIN_VQ);
                out.check(!taken, || ("no ADMIN_VQ", "bit 41 accepted"));
            } else if let (Some(1), Some(queue), Some(count)) =
                (at.stores(CommonCfg::QueueEnable), virtio.queue_select, virtio.num_queues)
                && !virtio.negotiated(ADMIN_VQ)
                && queue >= count
            {
                out.broken(format!("a queue below {count}"), format!("queue {queue} enabled"));
            }
        }),
    },
    Rule {
        id: "D5.2.5.1-d",
        clause: "VIRTIO 1.4, 5.2.5.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "DISCARD is not accepted with ZONED of a host-managed device.",
        sees: Sees::STATUS,
        start: plain!(|at, out| {
            let Some(virtio) = settled(at).filter(|virtio| virtio.ever_offered.has(ZONED)) else {
                return;
            };
            // `zoned.model` is 1 in a host-managed device (5.2.4).
            let managed = virtio.accepted.has(ZONED) && virtio.config(0x5c, 1) == Some(1);
            out.check(!(managed && virtio.accepted.has(DISCARD)), || {
                ("no DISCARD", "DISCARD with a host-managed device")
            });
        }),
    },
    wanted("D6.1-a", Level::Must, Needs::Nothing, "VERSION_1 is accepted.", || {
        Box::new(Wanted { bit: VERSION_1, unread: true })
    }),
    wanted(
        "D6.1-b",
        Level::Should,
        Needs::Stimulus,
        "ACCESS_PLATFORM is accepted where it is offered.",
        || Box::new(Wanted { bit: 33, unread: false }),
    ),
    wanted(
        "D6.1-d",
        Level::Should,
        Needs::Stimulus,
        "RING_PACKED is accepted where it is offered.",
        || Box::new(Wanted { bit: 34, unread: false }),
    ),
    wanted(
        "D6.1-g",
        Level::Should,
        Needs::Stimulus,
        "NOTIF_CONFIG_DATA is accepted where it is offered.",
        || Box::new(Wanted { bit: 39, unread: false }),
    ),
];

const FLUSH: u8 = 9;
const CONFIG_WCE: u8 = 11;
const DISCARD: u8 = 13;
const ZONED: u8 = 17;
pub(super) const VERSION_1: u8 = 32;
const SR_IOV: u8 = 37;
const ADMIN_VQ: u8 = 41;

const fn wanted(
    id: &'static str,
    level: Level,
    needs: Needs,
    text: &'static str,
    start: fn() -> Box<dyn Check>,
) -> Rule {
    Rule { id, clause: "VIRTIO 1.4, 6.1", level, needs, text, sees: Sees::STATUS, start }
}

/// A feature that is to be accepted where it is offered.
struct Wanted {
    bit: u8,
    /// Whether one that was not looked for counts as offered, because every device offers it.
    unread: bool,
}

impl Check for Wanted {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(virtio) = settled(at) else { return };
        let read = virtio.offered.window(u32::from(self.bit) / 32).is_some();
        if virtio.offered.has(self.bit) || !read && self.unread {
            out.check(virtio.accepted.has(self.bit), || {
                let seen = if read { "not accepted" } else { "neither looked for nor accepted" };
                (format!("bit {} accepted", self.bit), seen)
            });
        }
    }
}

/// The window that the driver accepts bits of, and the bits.
fn accepts(at: &At<'_>) -> Option<(u32, u32)> {
    if let Some(value) = at.stores(CommonCfg::DriverFeature) {
        return Some((at.virtio()?.driver_feature_select, value as u32));
    }
    match at.register()? {
        (
            Register::Legacy { register: LegacyCfg::DriverFeatures, .. },
            Access::Store { value, .. },
            None,
        ) => Some((0, value as u32)),
        _ => None,
    }
}

/// The device, if this entry ends the negotiation over the modern interface: FEATURES_OK, or
/// DRIVER_OK without it.
fn settled<'a>(at: &At<'a>) -> Option<&'a Virtio> {
    let virtio = at.virtio()?;
    let late = at.raises(DRIVER_OK) && virtio.status & FEATURES_OK == 0;
    (!legacy(at) && (at.raises(FEATURES_OK) || late)).then_some(virtio)
}

/// Whether the function is a block device, if its IDs were loaded.
pub(super) fn is_block(at: &At<'_>) -> Option<bool> {
    let config = &at.pci()?.config;
    let vendor = config.header(ConfigHeader::VendorId)?;
    let device = config.header(ConfigHeader::DeviceId)?;
    Some(vendor == 0x1af4 && matches!(device, 0x1001 | 0x1042))
}

/// The bits of `features` that mean nothing in a block device over PCI (2.2, 5.2.3, 6); those of
/// legacy devices do mean something.
fn undefined<'a>(at: &At<'_>, features: &'a Features) -> impl Iterator<Item = u8> + use<'a> {
    const BLOCK: u64 = 0xfff << 32 | 7 << 27 | 1 << 24 | 0x3_fef7;
    let block = is_block(at) == Some(true);
    let means = move |bit: u8| bit < 64 && BLOCK >> bit & 1 != 0;
    // Of another type's only those are known that are nobody's.
    let nobody = |bit: u8| (44..50).contains(&bit);
    (0..128)
        .filter(move |bit| features.has(*bit) && if block { !means(*bit) } else { nobody(*bit) })
}

/// The bits that were offered without the one that each requires.
fn contradictions<'a>(at: &At<'_>, virtio: &'a Virtio) -> impl Iterator<Item = u8> + use<'a> {
    let offered = &virtio.ever_offered;
    let block = is_block(at) == Some(true);
    // 5.2.5.2: a device with CONFIG_WCE offers FLUSH.
    let cache = block && offered.has(CONFIG_WCE) && !offered.has(FLUSH);
    let upper = offered.window(1).is_some() && !offered.has(VERSION_1);
    let upper = (33..64).filter(move |bit| upper && offered.has(*bit));
    cache.then_some(CONFIG_WCE).into_iter().chain(upper)
}
