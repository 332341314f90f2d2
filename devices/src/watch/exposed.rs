//! What a device has: the indirect tables and buffers of the chains that the driver made
//! available and did not get back yet.
//!
//! A chain is the device's from the store that makes it available on, before the device
//! knows. So the rings are read here as the device will read them, when that store comes:
//! silently, and with an end whatever is in them.

use eclipse_trace::{Bdf, Place, Table};

use super::{Spot, Watch};
use crate::Host;
use crate::virtio::queue::{Descriptor, Flags};
use crate::virtio::{Progress, QueueAreas};

/// Of one queue no more descriptors than this are looked at: what more a driver makes available
/// before it gets anything back is not watched.
const MOST: usize = 1 << 12;

/// The chains of a queue that are the device's.
#[derive(Debug)]
pub(super) struct Exposed {
    function: Bdf,
    areas: QueueAreas,
    /// Where the next chain will be made available.
    next: u32,
    chains: Vec<Chain>,
}

#[derive(Debug)]
struct Chain {
    /// Where it was made available.
    at: u32,
    head: u16,
    walk: Walk,
}

impl Exposed {
    /// Of a queue in which the device has come to `next`.
    pub(super) fn new(function: Bdf, areas: QueueAreas, next: u32) -> Self {
        Self { function, areas, next, chains: Vec::new() }
    }

    /// Whether this is still that queue.
    pub(super) fn is_of(&self, function: Bdf, areas: &QueueAreas) -> bool {
        self.function == function && self.areas == *areas
    }

    /// Where the device's tables and buffers are.
    pub(super) fn spots(&self) -> impl Iterator<Item = &Spot> {
        self.chains.iter().flat_map(|chain| &chain.walk.spots)
    }

    /// Finds what was made available since the last call, and drops what the device has given
    /// back: `progress` is how far it has come.
    pub(super) fn follow(&mut self, host: &Host<'_>, progress: &Progress) {
        match self.areas.packed {
            true => self.follow_packed(host),
            false => self.follow_split(host),
        }
        let cycle = self.areas.cycle();
        let behind = |at: u32| (at + cycle - progress.next % cycle) % cycle;
        let available = behind(self.next);
        self.chains.retain(|chain| {
            behind(chain.at) < available || progress.heads.binary_search(&chain.head).is_ok()
        });
    }

    fn follow_split(&mut self, host: &Host<'_>) {
        let QueueAreas { size, driver, .. } = self.areas;
        let Some(index) = word(host, driver.wrapping_add(2)) else { return };
        // A jump means nothing: the device will not follow it.
        if index.wrapping_sub(self.next as u16) > size {
            return;
        }
        while self.next as u16 != index {
            let slot = u64::from(self.next as u16 % size);
            let Some(head) = word(host, driver.wrapping_add(4 + 2 * slot)) else { return };
            let walk = self.walk_split(host, head);
            self.chains.push(Chain { at: self.next, head, walk });
            self.next = (self.next + 1) % self.areas.cycle();
        }
    }

    fn walk_split(&self, host: &Host<'_>, head: u16) -> Walk {
        let (size, mut walk) = (self.areas.size, self.walk());
        let mut index = head;
        for _ in 0..size {
            let inside = index < size && walk.step();
            let entry = self.entry(host, self.areas.desc, index, Table::Queue);
            let Some(entry) = entry.filter(|_| inside) else { break };
            if entry.flags.contains(Flags::INDIRECT) {
                walk.table(&entry);
                let (entries, mut index) = (entry.len / 16, 0);
                for _ in 0..entries.min(size.into()) {
                    let inside = u32::from(index) < entries && walk.step();
                    let entry = self.entry(host, entry.addr, index, Table::Indirect);
                    let Some(entry) = entry.filter(|_| inside) else { break };
                    walk.buffer(&entry);
                    if !entry.flags.contains(Flags::NEXT) {
                        break;
                    }
                    index = entry.next;
                }
                break;
            }
            walk.buffer(&entry);
            if !entry.flags.contains(Flags::NEXT) {
                break;
            }
            index = entry.next;
        }
        walk
    }

    fn follow_packed(&mut self, host: &Host<'_>) {
        let size = u32::from(self.areas.size);
        // As many as are in the ring, if each is available: a lap further none can be.
        for _ in 0..size {
            let (head, at) = ((self.next % size) as u16, self.next);
            let mut walk = self.walk();
            let mut slots = 0;
            while slots < size {
                let Some(entry) = self.available(host, (at + slots) % (2 * size)) else { break };
                slots += 1;
                // The rest of a list that is too long is passed over.
                walk.step();
                if entry.flags.contains(Flags::INDIRECT) {
                    walk.table(&entry);
                    for index in 0..(entry.len / 16).min(size) as u16 {
                        let entry = self.entry(host, entry.addr, index, Table::Indirect);
                        let Some(entry) = entry.filter(|_| walk.step()) else { break };
                        walk.buffer(&entry);
                    }
                    break;
                }
                walk.buffer(&entry);
                if !entry.flags.contains(Flags::NEXT) {
                    break;
                }
            }
            if slots == 0 {
                return;
            }
            self.chains.push(Chain { at, head, walk });
            self.next = (at + slots) % (2 * size);
        }
    }

    /// The descriptor of a packed ring at a place of the circle of two laps, if it is
    /// available (2.8.1).
    fn available(&self, host: &Host<'_>, at: u32) -> Option<Descriptor> {
        let size = u32::from(self.areas.size);
        let (slot, wrap) = ((at % size) as u16, at < size);
        let entry = self.entry(host, self.areas.desc, slot, Table::Queue)?;
        let (avail, used) = (entry.flags.contains(Flags::AVAIL), entry.flags.contains(Flags::USED));
        (avail == wrap && used != wrap).then_some(entry)
    }

    fn entry(&self, host: &Host<'_>, table: u64, index: u16, of: Table) -> Option<Descriptor> {
        let mut bytes = [0; 16];
        host.peek(table.checked_add(16 * u64::from(index))?, &mut bytes)?;
        Some(match self.areas.packed {
            true => Descriptor::from_packed_bytes(of, index, bytes),
            false => Descriptor::from_bytes(of, index, bytes),
        })
    }

    fn walk(&self) -> Walk {
        let steps = self.chains.iter().map(|chain| chain.walk.steps).sum();
        let (function, queue) = (self.function, self.areas.queue);
        Walk { function, queue, left: MOST.saturating_sub(steps), steps: 0, spots: Vec::new() }
    }
}

/// The way along a chain, and what was met on it.
#[derive(Debug)]
struct Walk {
    function: Bdf,
    queue: u16,
    /// How many steps more there may be.
    left: usize,
    steps: usize,
    spots: Vec<Spot>,
}

impl Walk {
    /// Goes on to another descriptor, if there is an end in sight.
    fn step(&mut self) -> bool {
        let goes = self.left > 0;
        if goes {
            (self.left, self.steps) = (self.left - 1, self.steps + 1);
        }
        goes
    }

    fn table(&mut self, descriptor: &Descriptor) {
        let Self { function, queue, .. } = *self;
        let place = Place::Indirect { function, queue, index: descriptor.index, offset: 0 };
        self.push(descriptor, false, place);
    }

    fn buffer(&mut self, descriptor: &Descriptor) {
        let Self { function, queue, .. } = *self;
        let Descriptor { table, index, flags, .. } = *descriptor;
        let writable = flags.contains(Flags::WRITE);
        // What the device reads may be read by all; what it writes is nothing yet.
        self.push(descriptor, writable, Place::Buffer { function, queue, table, index, writable });
    }

    fn push(&mut self, descriptor: &Descriptor, loads: bool, place: Place) {
        let (start, len) = (descriptor.addr, u64::from(descriptor.len));
        if len != 0 && self.spots.len() < self.steps * 2 {
            let range = start..start.saturating_add(len);
            self.spots.push(Spot { watch: Watch { range, loads }, place });
        }
    }
}

fn word(host: &Host<'_>, at: u64) -> Option<u16> {
    let mut bytes = [0; 2];
    host.peek(at, &mut bytes)?;
    Some(u16::from_le_bytes(bytes))
}
