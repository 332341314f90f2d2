//! The initialisation of a device (VIRTIO 1.4, 3.1.1), over the modern interface.

use super::model::status::{DRIVER, DRIVER_OK, FEATURES_OK};
use super::reset::programs;
use super::state::PerFunction;
use super::status::{STEPS, legacy, steps};
use super::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::register::{CommonCfg, Structure};
use crate::{Access, Register};

pub(super) mod failure;
#[cfg(test)]
mod tests;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D3.1.1-a",
        clause: "VIRTIO 1.4, 3.1.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "A device is reset, then comes ACKNOWLEDGE, DRIVER, the features, FEATURES_OK, the \
               queues, DRIVER_OK, one after the other, and then the rings from their start.",
        sees: Sees::STATUS
            .union(Sees::FEATURES)
            .union(Sees::QUEUES)
            .union(Sees::NOTIFY)
            .union(Sees::RING_READ),
        start: || Box::<order::Order>::default(),
    },
    Rule {
        id: "D3.1.1-b",
        clause: "VIRTIO 1.4, 3.1.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "Nothing is stored to the device's configuration before FEATURES_OK.",
        sees: Sees::STATUS.union(Sees::DEVICE_CONFIG),
        start: plain!(|at, out| {
            let held = at.virtio().map_or(0, |virtio| virtio.held());
            if stores_config(at) {
                out.check(held & FEATURES_OK != 0, || {
                    ("FEATURES_OK before", format!("a store while the status is {held:#04x}"))
                });
            } else if at.raises(FEATURES_OK) {
                out.kept();
            }
        }),
    },
    Rule {
        id: "D3.1.1-c",
        clause: "VIRTIO 1.4, 3.1.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "No feature is accepted after FEATURES_OK.",
        sees: Sees::FEATURES,
        start: plain!(|at, out| {
            let Some(value) = at.stores(CommonCfg::DriverFeature) else { return };
            let held = at.virtio().map_or(0, |virtio| virtio.held());
            out.check(held & FEATURES_OK == 0, || {
                ("features before FEATURES_OK", format!("{value:#010x} stored after it"))
            });
        }),
    },
    Rule {
        id: "D3.1.1-d",
        clause: "VIRTIO 1.4, 3.1.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "The status is read to have FEATURES_OK before queues are set up.",
        sees: Sees::STATUS.union(Sees::QUEUES).union(Sees::DEVICE_CONFIG),
        start: || Box::<FeaturesRead>::default(),
    },
    Rule {
        id: "D3.1.1-g",
        clause: "VIRTIO 1.4, 3.1.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "No queue is notified before DRIVER_OK.",
        sees: Sees::NOTIFY,
        start: plain!(|at, out| {
            let (Some((queue, _)), Some(virtio)) = (at.notification(), at.virtio()) else { return };
            if virtio.driver_ok() && !first_notification(at) {
                return;
            }
            out.check(virtio.driver_ok(), || {
                let seen = format!("queue {queue} notified while it is {:#04x}", virtio.status);
                ("DRIVER_OK in the status", seen)
            });
        }),
    },
    Rule {
        id: "D3.1.1-h",
        clause: "VIRTIO 1.4, 3.1.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "The queues that are used are enabled before DRIVER_OK.",
        sees: Sees::QUEUES.union(Sees::NOTIFY),
        start: plain!(|at, out| {
            let Some(virtio) = at.virtio() else { return };
            let enabled = at.queue().is_some_and(|queue| queue.enabled);
            if at.stores(CommonCfg::QueueEnable) == Some(1) && !enabled {
                let again = at.queue().is_some_and(|queue| queue.resets != 0);
                out.check(!virtio.driver_ok() || again, || {
                    let index = at.queue_index().unwrap_or(0);
                    ("queue_enable before DRIVER_OK", format!("queue {index} enabled after it"))
                });
            } else if let Some((queue, _)) = at.notification()
                && virtio.driver_ok()
                && !enabled
                && first_notification(at)
            {
                let seen = format!("queue {queue} notified and not enabled");
                out.broken("queue_enable before DRIVER_OK", seen);
            }
        }),
    },
];

pub(super) mod order;

/// Whether the queue that is notified was not notified before, since the last reset.
pub(super) fn first_notification(at: &At<'_>) -> bool {
    at.queue().is_none_or(|queue| queue.notified == 0)
}

/// Whether this stores to the device's configuration, be it in vain.
fn stores_config(at: &At<'_>) -> bool {
    let Some((register, access, _)) = at.register() else { return false };
    let config = match register {
        Register::Block { .. } => true,
        Register::None { structure, .. } => structure == Structure::Block,
        _ => false,
    };
    config && access.is_store()
}

/// Of each function, whether FEATURES_OK was stored and what was read of it then.
#[derive(Default)]
struct FeaturesRead(PerFunction<Read>);

/// What the driver knows of the FEATURES_OK that it stored.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Read {
    /// It stored none, or has read it.
    #[default]
    Settled,
    /// It has not read it.
    Unread,
    /// It read that it is not there.
    Refused,
}

impl Check for FeaturesRead {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        let read = self.0.of(function);
        if let Some(value) = at.stores(CommonCfg::DeviceStatus) {
            let held = at.virtio().map_or(0, |virtio| virtio.held());
            let raised = value as u8 & !held;
            if *read != Read::Settled && raised & DRIVER_OK != 0 {
                return read.unread(out, "DRIVER_OK stored");
            }
            *read = match () {
                () if value == 0 => Read::Settled,
                () if raised & FEATURES_OK != 0 => Read::Unread,
                () => *read,
            };
        } else if let Some(value) = at.loads(CommonCfg::DeviceStatus) {
            let kept = value as u8 & FEATURES_OK != 0;
            if *read == Read::Unread {
                out.kept();
            }
            if *read != Read::Settled {
                *read = if kept { Read::Settled } else { Read::Refused };
            }
        } else if *read != Read::Settled && (programs(at) || stores_config(at)) {
            let what = at.common().map_or("the configuration", |(register, _)| register.name());
            read.unread(out, &format!("{what} stored"));
        }
    }
}

impl Read {
    /// The driver goes on as if FEATURES_OK had been read.
    fn unread(&mut self, out: &mut Out<'_>, seen: &str) {
        match self {
            Read::Refused => {
                out.broken("FAILED or a reset: FEATURES_OK is not there", seen);
            }
            _ => out.broken("a load of the status after FEATURES_OK", seen),
        }
        *self = Read::Settled;
    }
}
