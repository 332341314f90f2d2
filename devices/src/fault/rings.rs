use std::mem;
use std::ops::Range;

use eclipse_trace::{Bdf, Effect};

use super::injector::{Injector, Stage};
use super::register::Part;
use super::{Action, Area, Fault, RingField, Trigger};
use crate::host::read_ram;
use crate::virtio::QueueAreas;
use crate::watch::Watch;

/// How an access meets a virtqueue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meeting {
    GuestLoads,
    GuestStores,
    DeviceWrites,
}

/// Accesses to virtqueues, by whichever side.
impl Injector {
    /// These queues are enabled, and that is where they are.
    pub(crate) fn learn(&mut self, queues: &[(Bdf, QueueAreas)]) {
        if self.queues == queues {
            return;
        }
        for (device, areas) in queues.iter().filter(|(_, areas)| areas.queue == 0) {
            let met = self.met(*device);
            met.desc = Some(areas.desc);
            met.avail = Some(areas.driver);
            met.used = Some(areas.device);
        }
        self.queues = queues.to_vec();
        self.loaded.clear();
    }

    /// What has to be seen of the guest's accesses to memory.
    pub(crate) fn watches(&self) -> Vec<Watch> {
        let mut watches = Vec::new();
        for fault in self.armed.iter().filter(|armed| !armed.spent()).map(|armed| &armed.fault) {
            let (field, loads) = match fault.trigger {
                Trigger::RingLoad(field) | Trigger::RingReload(field) => (field, true),
                Trigger::RingStore(field) => (field, false),
                _ => continue,
            };
            let queue = |(device, areas): &&(Bdf, QueueAreas)| {
                *device == fault.device && areas.queue == field.queue
            };
            let areas = self.queues.iter().find(queue);
            watches.extend(areas.map(|(_, areas)| Watch { range: areas.range(field.area), loads }));
        }
        watches
    }

    /// The guest loads `width` bytes at `address` of its memory: what it gets.
    ///
    /// A fault that writes to memory does so before, everything else is done after.
    pub(crate) fn ram_load(&mut self, stage: &mut Stage<'_>, address: u64, width: u8) -> u64 {
        let striking = self.strike_ring(None, Meeting::GuestLoads, address, width);
        self.loaded.extend(address..address.saturating_add(width.into()));
        let patches =
            |action: &Action| matches!(action, Action::Memory { .. } | Action::Descriptor { .. });
        for &(index, ..) in &striking {
            if patches(&self.armed[index].fault.action) {
                self.act(stage, index);
            }
        }
        let mut value = read_ram(stage.memory, address, width);
        for (index, field, part) in striking {
            match self.armed[index].fault.action {
                Action::Alter(alter) => {
                    let new = part.put(value, alter.apply(part.get(value), field.mask()));
                    let (addr, instead_of) = (address, value);
                    self.record(stage, index, Effect::RingLoad { addr, instead_of, value: new });
                    value = new;
                }
                ref action if patches(action) => {}
                _ => self.act(stage, index),
            }
        }
        value
    }

    /// The guest stores `width` bytes at `address` of its memory: what is stored; `None`: nothing.
    pub(crate) fn ram_store(
        &mut self,
        stage: &mut Stage<'_>,
        address: u64,
        width: u8,
        value: u64,
    ) -> Option<u64> {
        let mut stored = Some(value);
        for (index, field, part) in self.strike_ring(None, Meeting::GuestStores, address, width) {
            match (&self.armed[index].fault.action, stored) {
                (Action::Alter(alter), Some(value)) => {
                    let new = part.put(value, alter.apply(part.get(value), field.mask()));
                    let (addr, instead_of) = (address, value);
                    self.record(stage, index, Effect::RingStore { addr, instead_of, value: new });
                    stored = Some(new);
                }
                (Action::Ignore, Some(_)) => {
                    self.record(stage, index, Effect::StoreIgnored);
                    stored = None;
                }
                (Action::Alter(_) | Action::Ignore, None) => {}
                _ => self.act(stage, index),
            }
        }
        self.written(address, width);
        stored
    }

    /// `device` writes `width` bytes at `address`, a part of a virtqueue: what it writes.
    pub(crate) fn ring_write(
        &mut self,
        stage: &mut Stage<'_>,
        device: Bdf,
        address: u64,
        width: u8,
        value: u64,
    ) -> u64 {
        let mut value = value;
        let striking = self.strike_ring(Some(device), Meeting::DeviceWrites, address, width);
        for (index, field, part) in striking {
            let Action::Alter(alter) = self.armed[index].fault.action else {
                self.act(stage, index);
                continue;
            };
            let new = part.put(value, alter.apply(part.get(value), field.mask()));
            let (addr, instead_of) = (address, value);
            self.record(stage, index, Effect::RingWrite { addr, instead_of, value: new });
            value = new;
        }
        self.written(address, width);
        value
    }

    /// The faults that strike at an access to virtqueues, with the field and its part in it.
    fn strike_ring(
        &mut self,
        by: Option<Bdf>,
        meeting: Meeting,
        address: u64,
        width: u8,
    ) -> Vec<(usize, RingField, Part)> {
        let queues = mem::take(&mut self.queues);
        let loaded = mem::take(&mut self.loaded);
        let meets = |fault: &Fault| {
            if by.is_some_and(|by| by != fault.device) {
                return None;
            }
            let (field, again) = match (&fault.trigger, meeting) {
                (Trigger::RingLoad(field), Meeting::GuestLoads)
                | (Trigger::RingStore(field), Meeting::GuestStores)
                | (Trigger::RingWrite(field), Meeting::DeviceWrites) => (*field, false),
                (Trigger::RingReload(field), Meeting::GuestLoads) => (*field, true),
                _ => return None,
            };
            queues
                .iter()
                .filter(|(device, areas)| *device == fault.device && areas.queue == field.queue)
                .filter_map(|(_, areas)| field.part(areas, address, width))
                .find(|(bytes, _)| !again || bytes.clone().any(|byte| loaded.contains(&byte)))
                .map(|(_, part)| (field, part))
        };
        let striking = self.strike_where(|fault| meets(fault).is_some());
        let striking = striking.into_iter().filter_map(|index| {
            let (field, part) = meets(&self.armed[index].fault)?;
            Some((index, field, part))
        });
        let striking = striking.collect();
        self.queues = queues;
        self.loaded = loaded;
        striking
    }

    /// What lies there is new: a load of it is none of the same.
    fn written(&mut self, address: u64, width: u8) {
        for byte in address..address.saturating_add(width.into()) {
            self.loaded.remove(&byte);
        }
    }
}

impl QueueAreas {
    /// Where an area lies.
    pub(super) fn range(&self, area: Area) -> Range<u64> {
        let size = u64::from(self.size);
        let (start, len) = match (area, self.packed) {
            (Area::Desc, _) => (self.desc, 16 * size),
            (Area::Avail, false) => (self.driver, 6 + 2 * size),
            (Area::Used, false) => (self.device, 6 + 8 * size),
            (Area::Avail, true) => (self.driver, 4),
            (Area::Used, true) => (self.device, 4),
        };
        start..start.saturating_add(len)
    }
}
