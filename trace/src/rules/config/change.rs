//! A device configuration that changes (VIRTIO 1.4, 2.5.1, 4.1.5.4.2 and 5.2.6.1), and what is
//! promised of a cache (5.2.5.1).

use super::super::capability::comes_up::{ComesUp, long_config};
use super::{
    Access, At, Check, DRIVER_OK, End, EndOf, Event, Level, Needs, Out, PerFunction, Register,
    Rule, Sees, halves,
};
use crate::register::CommonCfg;
use crate::{Effect, Mark, RequestKind, RequestStatus};

const CHANGES: Sees = Sees::STATUS
    .union(Sees::NOTIFY)
    .union(Sees::DEVICE_CONFIG)
    .union(Sees::LEGACY)
    .union(Sees::FAULT)
    .union(Sees::INTERRUPT);

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D2.5.1-a",
        clause: "VIRTIO 1.4, 2.5.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "A capacity that changed between the loads of its halves is read again.",
        sees: Sees::STATUS
            .union(Sees::COMMON_OTHER)
            .union(Sees::NOTIFY)
            .union(Sees::DEVICE_CONFIG)
            .union(Sees::LEGACY)
            .union(Sees::FAULT),
        start: || Box::<Torn>::default(),
    },
    Rule {
        id: "D2.5.1-d",
        clause: "VIRTIO 1.4, 2.5.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "A device configuration of any length is taken that has the fields.",
        sees: Sees::STATUS.union(Sees::FAULT),
        start: || Box::new(ComesUp::with(long_config)),
    },
    Rule {
        id: "D5.2.6.1-a",
        clause: "VIRTIO 1.4, 5.2.6.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "The capacity is read again when the device says that its configuration changed.",
        sees: CHANGES,
        start: || Box::new(Changes::new(false)),
    },
    Rule {
        id: "D4.1.5.4.2-a",
        clause: "VIRTIO 1.4, 4.1.5.4.2",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "An interrupt whose vector a queue and the configuration share is taken to mean \
               both.",
        sees: CHANGES,
        start: || Box::new(Changes::new(true)),
    },
    Rule {
        id: "D5.2.5.1-b",
        clause: "VIRTIO 1.4, 5.2.5.1",
        level: Level::Should,
        needs: Needs::Occasion,
        text: "What is promised to be durable was flushed, where FLUSH is negotiated and the cache \
               is not known to be a write-through one.",
        sees: Sees::REQUEST.union(Sees::MARK),
        start: || Box::<Durable>::default(),
    },
];

/// Of each function, how the halves of its capacity were loaded around changes.
#[derive(Default)]
struct Torn(PerFunction<Reading>);

#[derive(Default)]
struct Reading {
    /// How often the capacity changed.
    changes: u32,
    /// The half that was loaded alone, and how often it had changed then.
    half: Option<(u8, u32)>,
    /// Whether the last two halves are of different capacities.
    mixed: bool,
    /// The generation that was loaded last, and whether both halves were since.
    generation: Option<u64>,
    whole: bool,
}

impl Check for Torn {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        if let Event::Fault { effect, .. } = &at.entry.event {
            if let Effect::Capacity { .. } = **effect {
                self.0.of(function).changes += 1;
            }
            return;
        }
        let loaded = halves(at);
        if loaded != 0 {
            self.0.of(function).load(loaded, out);
        } else if let Some(generation) = at.loads(CommonCfg::ConfigGeneration) {
            let reading = self.0.of(function);
            // The device says that there was a change, whoever made it.
            reading.mixed |= reading.whole && reading.generation != Some(generation);
            reading.generation = Some(generation);
            reading.whole = false;
        } else if let Some(reading) = self.0.get(function).filter(|reading| reading.mixed)
            && (at.notification().is_some() || at.raises(DRIVER_OK))
        {
            reading.mixed = false;
            out.broken("both halves loaded again", "halves of different capacities used");
        }
    }
}

impl Reading {
    fn load(&mut self, loaded: u8, out: &mut Out<'_>) {
        match self.half.take() {
            Some((half, changes)) if half | loaded == 3 && loaded != 3 => {
                let mixed = changes != self.changes;
                if self.mixed && !mixed {
                    out.kept();
                }
                self.mixed = mixed;
                self.whole = self.generation.is_some();
            }
            _ if loaded == 3 => self.mixed = false,
            _ => self.half = Some((loaded, self.changes)),
        }
    }
}

/// Changes of the capacity that the device has told, and the driver has not looked at.
struct Changes {
    /// Whether those are looked for whose vector is a queue's as well.
    shared: bool,
    functions: PerFunction<Change>,
}

#[derive(Default)]
struct Change {
    changed: bool,
    told: bool,
    /// Notifications since it was told.
    notified: u32,
}

impl Changes {
    fn new(shared: bool) -> Self {
        Self { shared, functions: PerFunction::default() }
    }

    /// Whether the interrupt tells of a change of the configuration, in the way that is looked for.
    fn tells(&self, at: &At<'_>) -> bool {
        let Some(virtio) = at.virtio().filter(|virtio| virtio.driver_ok()) else { return false };
        match at.entry.event {
            Event::Msix { vector, .. } => {
                let queues = virtio.queues().any(|queue| queue.vector == Some(vector));
                virtio.config_vector == Some(vector) && queues == self.shared
            }
            Event::Intx { asserted, .. } => asserted && !self.shared,
            _ => false,
        }
    }
}

impl Check for Changes {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        if let Event::Fault { effect, .. } = &at.entry.event {
            if let Effect::Capacity { .. } = **effect {
                *self.functions.of(function) = Change { changed: true, ..Change::default() };
            }
            return;
        }
        let tells = self.tells(at);
        let Some(change) = self.functions.get(function).filter(|change| change.changed) else {
            return;
        };
        if tells {
            change.told = true;
        } else if halves(at) != 0 {
            if change.told {
                out.kept();
            }
            *change = Change::default();
        } else if at.status_store() == Some(0) {
            *change = Change::default();
        } else if change.told && at.notification().is_some() {
            change.notified += 1;
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        /// So many requests later a driver has had its time to look.
        const PATIENCE: u32 = 8;
        for (function, change) in self.functions.iter() {
            if end.end == End::Success && change.told && change.notified >= PATIENCE {
                let seen = format!("{function}: {} notifications and no load", change.notified);
                out.broken("a load of capacity after the interrupt", seen);
            }
        }
    }
}

/// The functions with data in their caches.
#[derive(Default)]
struct Durable {
    written: PerFunction<bool>,
    /// Whether several were written to, so that it is not known which one a promise is about.
    several: bool,
}

impl Check for Durable {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let Event::Request { request, status: RequestStatus::Ok, .. } = at.entry.event {
            let Some(function) = at.function() else { return };
            match request {
                RequestKind::Out => {
                    *self.written.of(function) = true;
                    self.several = self.written.iter().count() > 1;
                }
                RequestKind::Flush => *self.written.of(function) = false,
                _ => {}
            }
            return;
        }
        let Some((Register::DebugMark, Access::Store { value, .. }, _)) = at.register() else {
            return;
        };
        let Mark::Durable(number) = Mark::of(value as u32) else { return };
        if self.several {
            return;
        }
        for (function, written) in self.written.iter() {
            let Some(virtio) = at.model.function(function).map(|function| &function.virtio) else {
                continue;
            };
            // 5.2.4: with CONFIG_WCE, 0 is write-through.
            let through = virtio.negotiated(11) && virtio.config(0x20, 1) == Some(0);
            if virtio.negotiated(9) && !through {
                out.check(!written, || {
                    ("a flush before the promise", format!("promise {number} of {function}"))
                });
            }
        }
    }
}
