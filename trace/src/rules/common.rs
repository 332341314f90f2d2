//! The registers of the transport (VIRTIO 1.4, 4.1.3.1 and 4.1.4.3.2).

use super::model::{Half, Queue};
use super::reset::programs;
use super::state::PerFunction;
use super::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::register::{BlockCfg, CommonCfg, Structure};
use crate::{Access, Event, Refusal, Register};

#[cfg(test)]
mod tests;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D4.1.3.1-a",
        clause: "VIRTIO 1.4, 4.1.3.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "An access is as wide as its field, aligned, and of 32 bits at most.",
        sees: Sees::COMMON.union(Sees::DEVICE_CONFIG).union(Sees::ISR),
        start: plain!(width),
    },
    Rule {
        id: "D4.1.4.3.2-a",
        clause: "VIRTIO 1.4, 4.1.4.3.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "Nothing is stored to the fields that are for the driver to read.",
        sees: Sees::COMMON,
        start: plain!(|at, out| {
            let Some((register, access, _)) = at.register() else { return };
            let stored = match register {
                Register::Common { register, .. } => Some(register),
                Register::None { offset, .. } => CommonCfg::containing(offset.into()),
                _ => None,
            };
            let Some(stored) = stored.filter(|_| access.is_store()) else { return };
            out.check(stored.writable(), || {
                let seen = format!("{:#x} stored to {}", access.value(), stored.name());
                (format!("loads of {}", stored.name()), seen)
            });
        }),
    },
    Rule {
        id: "D4.1.4.3.2-b",
        clause: "VIRTIO 1.4, 4.1.4.3.2",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "The size of a packed queue is never 0.",
        sees: Sees::QUEUES,
        start: plain!(|at, out| {
            let Some(size) = at.stores(CommonCfg::QueueSize).filter(|_| packed(at)) else { return };
            out.check(size != 0, || ("a size of 1 or more", "0"));
        }),
    },
    Rule {
        id: "D4.1.4.3.2-c",
        clause: "VIRTIO 1.4, 4.1.4.3.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "The size of a split queue is a power of two, and not above what is offered.",
        sees: Sees::QUEUES,
        start: plain!(|at, out| {
            let Some(size) = at.stores(CommonCfg::QueueSize).filter(|_| !packed(at)) else {
                return;
            };
            let offered = at.queue().and_then(|queue| queue.size_offered).unwrap_or(0x8000);
            out.check(size.is_power_of_two() && size <= offered.into(), || {
                (format!("a power of two, {offered} at most"), size.to_string())
            });
        }),
    },
    Rule {
        id: "D4.1.4.3.2-d",
        clause: "VIRTIO 1.4, 4.1.4.3.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "A queue is selected and its other fields are set before it is enabled.",
        sees: Sees::QUEUES,
        start: plain!(configured),
    },
    Rule {
        id: "D4.1.4.3.2-f",
        clause: "VIRTIO 1.4, 4.1.4.3.2",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "Nothing but 1 is stored to queue_enable: never 0.",
        sees: Sees::QUEUES,
        start: plain!(|at, out| {
            if let Some(value) = at.stores(CommonCfg::QueueEnable) {
                out.check(value != 0, || ("1", "0"));
            }
        }),
    },
    Rule {
        id: "D4.1.4.3.2-h",
        clause: "VIRTIO 1.4, 4.1.4.3.2",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "With ADMIN_VQ a queue behind num_queues is one of those that the device names.",
        sees: Sees::QUEUES.union(Sees::COMMON_OTHER),
        start: || Box::<Admin>::default(),
    },
    Rule {
        id: "I4.1.5.1.3-a",
        clause: "VIRTIO 1.4, 4.1.5.1.3",
        level: Level::Recipe,
        needs: Needs::Stimulus,
        text: "A queue whose size reads 0 is not there, and not set up.",
        sees: Sees::STATUS.union(Sees::QUEUES),
        start: || Box::<Absent>::default(),
    },
];

/// RING_PACKED.
const PACKED: u8 = 34;

fn packed(at: &At<'_>) -> bool {
    at.virtio().is_some_and(|virtio| virtio.accepted.has(PACKED))
}

fn width(at: &At<'_>, out: &mut Out<'_>) {
    let Some((register, access, why)) = at.register() else { return };
    let (field, wanted) = match register {
        Register::Common { register, .. } => (register.name(), register.width()),
        Register::Block { register, .. } => (register.name(), register.width()),
        Register::Isr { .. } => ("isr_status", 1),
        Register::None { structure, offset, .. }
            if matches!(why, Some(Refusal::Width | Refusal::Unaligned)) =>
        {
            let Some(field) = field(structure, offset) else { return };
            return out.broken(
                format!("an access to {} of {} bytes", field.0, field.1),
                format!("{} bytes at {offset:#x}", access.width()),
            );
        }
        _ => return,
    };
    out.check(access.width() == wanted, || {
        let seen = format!("{} bytes", access.width());
        (format!("an access to {field} of {wanted} bytes"), seen)
    });
}

/// The field that holds the byte at `offset`, and its bytes.
fn field(structure: Structure, offset: u32) -> Option<(&'static str, u8)> {
    let offset = u64::from(offset);
    match structure {
        Structure::Common => {
            CommonCfg::containing(offset).map(|field| (field.name(), field.width()))
        }
        Structure::Block => BlockCfg::containing(offset).map(|field| (field.name(), field.width())),
        Structure::Isr => Some(("isr_status", 1)),
        _ => None,
    }
}

/// A queue that is enabled is whole, and nothing of it is altered then.
fn configured(at: &At<'_>, out: &mut Out<'_>) {
    let Some(virtio) = at.virtio().filter(|_| programs(at)) else { return };
    if virtio.queue_select.is_none() {
        if at.stores(CommonCfg::QueueEnable) == Some(1) {
            out.broken("queue_select stored since the reset", "queue_enable without it");
        }
        return;
    }
    let Some(queue) = at.queue() else { return };
    if at.stores(CommonCfg::QueueEnable).is_some() {
        if at.stores(CommonCfg::QueueEnable) == Some(1) && !queue.enabled {
            enabled(queue, packed(at), out);
        }
        return;
    }
    if let Some((register, _)) = at.common().filter(|_| queue.enabled) {
        let (name, index) = (register.name(), queue.index);
        out.broken(
            format!("{name} before queue_enable"),
            format!("queue {index} altered after it"),
        );
    }
}

fn enabled(queue: &Queue, packed: bool, out: &mut Out<'_>) {
    let missing = Half::ALL.into_iter().find(|half| queue.half(*half).is_none());
    if let Some(half) = missing {
        return out.broken(format!("{} stored before", half.name()), "queue_enable without it");
    }
    let Some(size) = queue.size() else {
        return out.broken("queue_size loaded or stored before", "queue_enable without it");
    };
    out.check(!overlap(queue, size.into(), packed), || {
        let seen = format!("areas that overlap at a size of {size}");
        ("queue_size as it is in memory", seen)
    });
}

/// Whether two areas of the queue overlap: then it has another size in memory (2.7 and 2.8).
fn overlap(queue: &Queue, size: u64, packed: bool) -> bool {
    let (Some(desc), Some(driver), Some(device)) = (queue.desc(), queue.driver(), queue.device())
    else {
        return false;
    };
    let (driver_len, device_len) = if packed { (4, 4) } else { (4 + 2 * size, 4 + 8 * size) };
    let areas = [(desc, 16 * size), (driver, driver_len), (device, device_len)];
    let meet = |a: (u64, u64), b: (u64, u64)| {
        a.0 < b.0.saturating_add(b.1) && b.0 < a.0.saturating_add(a.1)
    };
    meet(areas[0], areas[1]) || meet(areas[0], areas[2]) || meet(areas[1], areas[2])
}

/// Of each function, `queue_admin_index` and `queue_admin_num`, as they were loaded.
#[derive(Default)]
struct Admin(PerFunction<[Option<u16>; 2]>);

impl Check for Admin {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let (Some(function), Some(virtio)) = (at.function(), at.virtio()) else { return };
        if !virtio.negotiated(41) {
            return;
        }
        if let Event::Register {
            register: Register::None { structure: Structure::Common, offset, .. },
            access: Access::Load { width: 2, value },
        } = at.entry.event
        {
            match offset {
                0x3c => self.0.of(function)[0] = Some(value as u16),
                0x3e => self.0.of(function)[1] = Some(value as u16),
                _ => {}
            }
        } else if let (Some(1), Some(queue), Some(count)) =
            (at.stores(CommonCfg::QueueEnable), virtio.queue_select, virtio.num_queues)
            && queue >= count
        {
            let [first, number] = self.0.of(function).map(|known| known.unwrap_or(0));
            let named = queue >= first && queue - first < number;
            out.check(named, || {
                (format!("one of {number} from {first}"), format!("queue {queue} enabled"))
            });
        }
    }
}

/// The queues of each function whose size was read to be 0, and that were not touched since.
#[derive(Default)]
struct Absent(PerFunction<Vec<u16>>);

impl Check for Absent {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let (Some(function), Some(queue)) = (at.function(), at.queue_index()) else { return };
        let absent = self.0.of(function);
        if at.loads(CommonCfg::QueueSize) == Some(0) {
            if !absent.contains(&queue) {
                absent.push(queue);
            }
        } else if at.status_store().is_some() {
            absent.drain(..).for_each(|_| out.kept());
        } else if programs(at) && absent.contains(&queue) {
            absent.retain(|other| *other != queue);
            out.broken("no queue", format!("queue {queue} set up, whose size is 0"));
        }
    }
}
