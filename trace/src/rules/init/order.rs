//! The order of the steps.

use super::super::model::status::FAILED;
use super::{
    Access, At, Check, CommonCfg, DRIVER, DRIVER_OK, FEATURES_OK, Out, PerFunction, STEPS,
    first_notification, legacy, programs, steps,
};
use crate::{Event, Ring};

/// The steps of the initialisation, by what the model knows, and the first heads of each queue.
#[derive(Default)]
pub(super) struct Order {
    begun: PerFunction<Begun>,
    /// Whether a queue of any function is at its beginning.
    watching: bool,
}

/// The queue of a function that was notified for the first time since a reset.
#[derive(Default)]
struct Begun {
    queue: Option<u16>,
    /// How many heads there were.
    available: u16,
    /// The heads, in their slots.
    heads: Vec<u16>,
}

impl Check for Order {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        match at.entry.event {
            Event::Ring { queue, field, access } => {
                if self.watching && !access.is_store() {
                    self.take(at, queue, field, access, out);
                }
            }
            _ if legacy(at) => {}
            _ if at.status_store().is_some() => status(at, out),
            _ if at.stores(CommonCfg::DriverFeature).is_some() => features(at, out),
            _ if programs(at) => queues(at, out),
            _ => self.notified(at, out),
        }
    }
}

impl Order {
    fn notified(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let (Some((queue, _)), Some(virtio), Some(function)) =
            (at.notification(), at.virtio(), at.function())
        else {
            return;
        };
        if !first_notification(at) {
            return;
        }
        if !virtio.driver_ok() {
            let seen = format!("queue {queue} notified while it is {:#04x}", virtio.status);
            return out.broken("DRIVER_OK in the status", seen);
        }
        // A second life is where the indices of the first can come back.
        if virtio.resets > 1 {
            *self.begun.of(function) = Begun { queue: Some(queue), ..Begun::default() };
            self.watching = true;
        }
    }

    /// The heads of a first notification differ: the driver cannot have seen any given back. One
    /// that did not begin anew shows the device slots that it did not fill.
    fn take(&mut self, at: &At<'_>, queue: u16, field: Ring, access: Access, out: &mut Out<'_>) {
        let Some(begun) = at.function().and_then(|function| self.begun.get(function)) else {
            return;
        };
        if begun.queue != Some(queue) {
            return;
        }
        match field {
            Ring::AvailIdx if begun.available == 0 => begun.available = access.value() as u16,
            Ring::AvailRing(_) if begun.heads.len() < usize::from(begun.available) => {
                let head = access.value() as u16;
                let again = begun.heads.contains(&head);
                begun.heads.push(head);
                if again || begun.heads.len() == usize::from(begun.available) {
                    begun.queue = None;
                    self.watching = self.begun.iter().any(|(_, begun)| begun.queue.is_some());
                    out.check(!again, || {
                        let seen =
                            format!("head {head} twice in the first chains of queue {queue}");
                        ("indices that begin at 0 after a reset", seen)
                    });
                }
            }
            _ => {}
        }
    }
}

/// One step at a time, and a reset before the first.
fn status(at: &At<'_>, out: &mut Out<'_>) {
    one_step(at, steps(false), out);
}

/// Judges a status that is stored: the first is a reset, then comes one of `steps` after the
/// other. To give up is no step.
pub(in crate::rules) fn one_step(at: &At<'_>, steps: &[u8], out: &mut Out<'_>) {
    let Some(value) = at.status_store() else { return };
    let (resets, status, held) =
        at.virtio().map_or((0, 0, 0), |virtio| (virtio.resets, virtio.status, virtio.held()));
    if value & STEPS == 0 || value & FAILED != 0 {
        return;
    }
    if resets == 0 && status == 0 {
        return out.broken("0, a reset, first", format!("{value:#04x} first"));
    }
    let new = value & STEPS & !held;
    if new == 0 {
        return;
    }
    let next = steps.iter().copied().find(|step| held & step == 0).unwrap_or(0);
    out.check(new == next, || {
        let expected = format!("{:#04x} next", held & STEPS | next);
        (expected, format!("{value:#04x} after {held:#04x}"))
    });
}

fn features(at: &At<'_>, out: &mut Out<'_>) {
    let held = at.virtio().map_or(0, |virtio| virtio.held());
    if held & DRIVER == 0 || held & FEATURES_OK != 0 {
        let seen = format!("driver_feature stored while the status is {held:#04x}");
        out.broken("features between DRIVER and FEATURES_OK", seen);
    }
}

fn queues(at: &At<'_>, out: &mut Out<'_>) {
    let Some(virtio) = at.virtio() else { return };
    let held = virtio.held();
    let begun = at.queue().is_some_and(|queue| {
        queue.enabled || queue.size_stored.is_some() || queue.halves.iter().any(Option::is_some)
    });
    if held & (FEATURES_OK | DRIVER_OK) == 0 && !begun {
        let index = at.queue_index().unwrap_or(0);
        let seen = format!("queue {index} programmed while the status is {held:#04x}");
        out.broken("FEATURES_OK before queues are set up", seen);
    }
}
