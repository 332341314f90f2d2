//! Notifications of the device (VIRTIO 1.4, 4.1.4.4 and 4.1.5.2), over the modern interface.

use super::init::first_notification;
use super::state::PerFunction;
use super::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::register::{CapabilityKind, CommonCfg, Structure, VirtioCap};
use crate::{Access, Refusal, Register};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D4.1.5.2.1-a",
        clause: "VIRTIO 1.4, 4.1.5.2.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "Without NOTIFICATION_DATA a notification is a store of 16 bits.",
        sees: Sees::NOTIFY,
        start: plain!(|at, out| {
            if !negotiated(at, NOTIFICATION_DATA) {
                width(at, 2, out);
            }
        }),
    },
    Rule {
        id: "D4.1.5.2.1-b",
        clause: "VIRTIO 1.4, 4.1.5.2.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "With NOTIFICATION_DATA a notification is a store of 32 bits.",
        sees: Sees::NOTIFY,
        start: plain!(|at, out| {
            if negotiated(at, NOTIFICATION_DATA) {
                width(at, 4, out);
            }
        }),
    },
    Rule {
        id: "D4.1.5.2.1-c",
        clause: "VIRTIO 1.4, 4.1.5.2.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "Without NOTIF_CONFIG_DATA a notification says the queue's index.",
        sees: Sees::NOTIFY,
        start: plain!(|at, out| {
            let Some((queue, access)) = at.notification() else { return };
            if !negotiated(at, NOTIF_CONFIG_DATA) && access.width() >= 2 {
                says(at, queue, access, out);
            }
        }),
    },
    Rule {
        id: "D4.1.5.2.1-d",
        clause: "VIRTIO 1.4, 4.1.5.2.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "With NOTIF_CONFIG_DATA a notification says the queue's queue_notif_config_data.",
        sees: Sees::NOTIFY,
        start: plain!(|at, out| {
            let Some((_, access)) = at.notification() else { return };
            let Some(data) = at.queue().and_then(|queue| queue.notify_data) else { return };
            if negotiated(at, NOTIF_CONFIG_DATA) {
                says(at, data, access, out);
            }
        }),
    },
    Rule {
        id: "I4.1.4.4-a",
        clause: "VIRTIO 1.4, 4.1.4.4",
        level: Level::Recipe,
        needs: Needs::Stimulus,
        text: "A queue is notified at the structure's offset and queue_notify_off times \
               notify_off_multiplier, as the device says them.",
        sees: Sees::NOTIFY.union(Sees::QUEUES),
        start: || Box::<Address>::default(),
    },
];

const NOTIFICATION_DATA: u8 = 38;
const NOTIF_CONFIG_DATA: u8 = 39;

fn negotiated(at: &At<'_>, bit: u8) -> bool {
    at.virtio().is_some_and(|virtio| virtio.negotiated(bit))
}

/// A store to the notification structure, be it in vain.
fn doorbell(at: &At<'_>) -> Option<(Access, Option<Refusal>)> {
    let (register, access, why) = at.register()?;
    let notify = matches!(
        register,
        Register::Notify { .. } | Register::None { structure: Structure::Notify, .. }
    );
    (notify && access.is_store()).then_some((access, why))
}

fn width(at: &At<'_>, wanted: u8, out: &mut Out<'_>) {
    let Some((access, why)) = doorbell(at) else { return };
    // What is refused for another reason has no right width.
    if !matches!(why, None | Some(Refusal::Width)) {
        return;
    }
    if access.width() != wanted || first_notification(at) {
        out.check(access.width() == wanted, || {
            (format!("a store of {wanted} bytes"), format!("one of {}", access.width()))
        });
    }
}

fn says(at: &At<'_>, wanted: u16, access: Access, out: &mut Out<'_>) {
    let said = access.value() as u16;
    if said != wanted || first_notification(at) {
        out.check(said == wanted, || (format!("{wanted:#06x}"), format!("{said:#06x}")));
    }
}

/// The queues of each function whose `queue_notify_off` was ever loaded.
#[derive(Default)]
struct Address(PerFunction<Vec<u16>>);

impl Check for Address {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        if at.loads(CommonCfg::QueueNotifyOff).is_some() {
            // Without a selection it is no queue's.
            let (known, queue) = (self.0.of(function), at.queue_index());
            known.extend(queue.filter(|queue| !known.contains(queue)));
            return;
        }
        let Some((access, why)) = doorbell(at) else { return };
        if let Some(Refusal::NoRegister | Refusal::Unaligned) = why {
            let seen = format!("a store of {:#x} where none is", access.value());
            return out.broken("an address of a queue", seen);
        }
        let Some((queue, _)) = at.notification() else { return };
        let said = access.value() as u16;
        let other = said != queue && !negotiated(at, NOTIF_CONFIG_DATA) && access.width() >= 2;
        if !first_notification(at) && !other {
            return;
        }
        let known = self.0.get(function).is_some_and(|known| known.contains(&queue));
        if other {
            out.broken(format!("the address of queue {said}"), format!("that of queue {queue}"));
        } else if multiplier_known(at) == Some(false) {
            out.broken("notify_off_multiplier loaded before", format!("queue {queue} notified"));
        } else {
            out.check(known, || {
                let expected = format!("queue_notify_off of queue {queue} loaded before");
                (expected, format!("queue {queue} notified"))
            });
        }
    }
}

/// Whether the driver loaded `notify_off_multiplier`, if it looked at the capabilities at all.
fn multiplier_known(at: &At<'_>) -> Option<bool> {
    let config = &at.pci()?.config;
    let virtio = |kind| matches!(kind, CapabilityKind::Virtio(_));
    config.capabilities.iter().find(|capability| virtio(capability.kind))?;
    let notify = CapabilityKind::Virtio(2);
    let mut places = config.capabilities.iter().filter(|capability| capability.kind == notify);
    Some(places.any(|place| config.field(*place, VirtioCap::Extra.offset(), 4).is_some()))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BLOCK, Transcript};
    use crate::register::{CapabilityKind, CommonCfg, Structure};
    use crate::{Access, Refusal, Register};

    const DATA: u32 = 1 << 6;
    const CONFIG: u32 = 1 << 7;

    /// A device that is driven, with these features of window 1.
    fn driven(upper: u32) -> Transcript {
        let mut driver = Transcript::new();
        driver.load(notify_capability(0x10), 4, 4);
        driver.negotiate([0, 1 | upper], [0, 1 | upper]);
        driver.enable(0, 8);
        driver.common_load(CommonCfg::QueueNotifConfigData, 0x1234);
        driver.enable(1, 8);
        driver.status(&[0x0f]);
        driver
    }

    fn notify_capability(inside: u16) -> Register {
        Transcript::config(BLOCK, 0x70 + inside, Some((CapabilityKind::Virtio(2), 0x70)))
    }

    fn ring(driver: &mut Transcript, queue: u16, width: u8, value: u64) {
        driver.store(Register::Notify { function: BLOCK, queue }, width, value);
    }

    #[test]
    fn what_a_notification_says_outlives_a_reset_of_the_queue() {
        let mut driver = driven(CONFIG);
        driver.common(CommonCfg::QueueSelect, 0);
        driver.common(CommonCfg::QueueReset, 1);
        driver.enable(0, 8);
        ring(&mut driver, 0, 2, 0x1234);
        driver.keeps("D4.1.5.2.1-d", 1);
        ring(&mut driver, 0, 2, 0);
        driver.breaks("D4.1.5.2.1-d", &["0x0000"]);
    }

    #[test]
    fn a_notification_is_as_wide_as_what_it_says() {
        let mut driver = driven(0);
        driver.notify(0);
        driver.notify(0);
        driver.notify(1);
        driver.keeps("D4.1.5.2.1-a", 2);
        driver.keeps("D4.1.5.2.1-b", 0);
        ring(&mut driver, 0, 4, 0);
        let place = Register::None { function: BLOCK, structure: Structure::Notify, offset: 4 };
        driver.refused(place, Access::Store { width: 1, value: 1 }, Refusal::Width);
        driver.breaks("D4.1.5.2.1-a", &["one of 4", "one of 1"]);
        let mut driver = driven(DATA);
        ring(&mut driver, 0, 4, 0x8000_0000);
        driver.keeps("D4.1.5.2.1-a", 0);
        driver.keeps("D4.1.5.2.1-b", 1);
        driver.keeps("D4.1.5.2.1-c", 1);
        ring(&mut driver, 0, 2, 0);
        driver.breaks("D4.1.5.2.1-b", &["one of 2"]);
    }

    #[test]
    fn a_notification_says_the_queue_or_what_the_device_wants() {
        let mut driver = driven(0);
        driver.notify(1);
        driver.keeps("D4.1.5.2.1-c", 1);
        ring(&mut driver, 1, 2, 0);
        driver.breaks("D4.1.5.2.1-c", &["0x0000"]);
        let mut driver = driven(CONFIG);
        ring(&mut driver, 0, 2, 0x1234);
        driver.keeps("D4.1.5.2.1-c", 0);
        driver.keeps("D4.1.5.2.1-d", 1);
        ring(&mut driver, 0, 2, 0);
        driver.breaks("D4.1.5.2.1-d", &["0x0000"]);
    }

    #[test]
    fn the_address_is_computed_from_what_the_device_says() {
        let mut driver = driven(0);
        driver.notify(0);
        driver.notify(1);
        driver.keeps("I4.1.4.4-a", 2);
        ring(&mut driver, 0, 2, 1);
        let place = Register::None { function: BLOCK, structure: Structure::Notify, offset: 2 };
        driver.refused(place, Access::Store { width: 2, value: 1 }, Refusal::NoRegister);
        driver.breaks("I4.1.4.4-a", &["that of queue 0", "a store of 0x1 where none is"]);
        let mut driver = Transcript::new();
        driver.load(notify_capability(8), 4, 0x3000);
        driver.negotiate([0, 1], [0, 1]);
        driver.enable(0, 8);
        driver.status(&[0x0f]);
        driver.notify(0);
        driver.breaks("I4.1.4.4-a", &["queue 0 notified"]);
        let mut driver = driven(0);
        driver.notify(2);
        driver.breaks("I4.1.4.4-a", &["queue 2 notified"]);
    }
}
