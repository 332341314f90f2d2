//! Watching the guest's memory: which parts of it, and what an access to them means.
//!
//! The rings lie in RAM, where nobody sees the guest load and store. Who carries out the
//! guest's accesses asks [`Platform::watches`](crate::Platform::watches) for the parts that
//! are to be seen, and hands over each access to them. What is watched follows the queues:
//! it comes with one that is enabled and goes with its reset.

mod exposed;

use std::fmt;
use std::ops::{BitOr, Range};
use std::str::FromStr;

use eclipse_trace::{Access, Area, Bdf, Event, Field, Place, Ring};

use crate::Host;
use crate::platform::all_ones;
use crate::virtio::{Progress, QueueAreas};
use exposed::Exposed;

/// A part of guest memory whose accesses the devices want to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Guest-physical addresses.
    pub range: Range<u64>,
    /// Whether loads are to be seen too, and not only stores.
    pub loads: bool,
}

/// Which accesses of the guest to its own memory are recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watching {
    /// Those to the areas of the virtqueues that are enabled.
    pub rings: Rings,
    /// Those to indirect tables and buffers that the device has: stores to what it reads, and
    /// loads and stores of what it writes. The rings are then watched, too.
    pub dma: bool,
    /// Whether a full barrier stands between the store that makes a chain available and the
    /// next look at whether the device wants to hear of it. The rings are then watched, too,
    /// with loads.
    pub barriers: bool,
}

/// Which accesses to virtqueues are recorded; of two wishes the greater counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rings {
    /// None.
    #[default]
    Unseen,
    /// Stores.
    Stores,
    /// Stores and loads.
    Loads,
}

impl Watching {
    /// What can be written for it, for messages.
    pub const FORMS: &str = "rings, rings=load, dma or barriers";

    /// Stores to the virtqueues and nothing else.
    pub const RINGS: Self = Self { rings: Rings::Stores, dma: false, barriers: false };

    /// Whether there is anything to watch.
    pub fn is_on(self) -> bool {
        self != Self::default()
    }

    /// Whether loads of the rings are recorded. An instruction that stores to one and is a
    /// barrier itself shows by its load.
    fn loads(self) -> bool {
        self.rings == Rings::Loads || self.barriers
    }
}

impl BitOr for Watching {
    type Output = Self;

    /// What either watches.
    fn bitor(self, other: Self) -> Self {
        Self {
            rings: self.rings.max(other.rings),
            dma: self.dma || other.dma,
            barriers: self.barriers || other.barriers,
        }
    }
}

/// There is no such thing to watch.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} cannot be watched; write {forms}", forms = Watching::FORMS)]
pub struct NotWatched(String);

impl FromStr for Watching {
    type Err = NotWatched;

    fn from_str(text: &str) -> Result<Self, NotWatched> {
        let none = Self::default();
        match text {
            "rings" => Ok(Self::RINGS),
            "rings=load" => Ok(Self { rings: Rings::Loads, ..none }),
            "dma" => Ok(Self { dma: true, ..none }),
            "barriers" => Ok(Self { barriers: true, ..none }),
            _ => Err(NotWatched(text.into())),
        }
    }
}

/// As it is written, parts separated by commas.
impl fmt::Display for Watching {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rings = match self.rings {
            Rings::Unseen => None,
            Rings::Stores => Some("rings"),
            Rings::Loads => Some("rings=load"),
        };
        let parts = [rings, self.dma.then_some("dma"), self.barriers.then_some("barriers")];
        f.write_str(&parts.into_iter().flatten().collect::<Vec<_>>().join(","))
    }
}

/// A part of memory that is watched, and what lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Spot {
    watch: Watch,
    /// The place of its first byte.
    place: Place,
}

/// What is watched now.
#[derive(Debug, Default)]
pub(crate) struct Watcher {
    watching: Watching,
    queues: Vec<(Bdf, QueueAreas)>,
    /// The areas of the queues; where two overlap the first counts.
    spots: Vec<Spot>,
    /// The chains of the queues, with `dma`.
    exposed: Vec<Exposed>,
    /// What stands behind the last store that made chains available, with `barriers`.
    passage: Option<Passage>,
}

/// From a store that makes chains available to the next look at the device's side.
#[derive(Debug)]
struct Passage {
    function: Bdf,
    queue: u16,
    /// Whether a full barrier was met.
    full: bool,
}

impl Watcher {
    /// Watches this from now on, as soon as it knows of queues.
    pub(crate) fn set(&mut self, watching: Watching) {
        *self = Self { watching, ..Self::default() };
    }

    pub(crate) fn watching(&self) -> Watching {
        self.watching
    }

    /// Whether there is anything to watch.
    pub(crate) fn is_on(&self) -> bool {
        self.watching.is_on()
    }

    /// These queues are enabled, and that is where they are.
    pub(crate) fn learn(&mut self, queues: &[(Bdf, QueueAreas)]) {
        if self.queues == queues || !self.is_on() {
            return;
        }
        self.queues = queues.to_vec();
        // Without a gap behind a ring, its event field overlaps what comes next: who did not
        // negotiate EVENT_IDX may have put another ring there.
        let all = |main| {
            queues.iter().flat_map(move |(at, areas)| {
                areas.parts(main).map(move |part| (*at, areas.queue, part))
            })
        };
        self.spots = all(true)
            .chain(all(false))
            .map(|(function, queue, (area, range))| {
                let watch = Watch { range, loads: self.watching.loads() };
                Spot { watch, place: Place::Area { function, queue, area, offset: 0 } }
            })
            .collect();
    }

    /// Whether it wants to know how far devices have come.
    pub(crate) fn follows(&self) -> bool {
        self.watching.dma
    }

    /// Devices have come so far in the queues that it knows.
    pub(crate) fn follow(&mut self, host: &Host<'_>, progress: &[(Bdf, Progress)]) {
        let Self { exposed, queues, .. } = self;
        exposed.retain(|queue| queues.iter().any(|(at, areas)| queue.is_of(*at, areas)));
        for (at, areas) in queues.iter() {
            let of = |(function, progress): &&(Bdf, Progress)| {
                function == at && progress.queue == areas.queue
            };
            let Some((_, progress)) = progress.iter().find(of) else { continue };
            let known = exposed.iter().position(|queue| queue.is_of(*at, areas));
            let known = known.unwrap_or_else(|| {
                exposed.push(Exposed::new(*at, *areas, progress.next));
                exposed.len() - 1
            });
            exposed[known].follow(host, progress);
        }
    }

    /// The queue in which a store of `width` bytes at `address` may make chains available: one
    /// to `avail.idx`, or to the flags of a packed descriptor.
    pub(crate) fn exposes(&self, address: u64, width: u8) -> Option<(Bdf, u16)> {
        let end = address.saturating_add(width.into());
        let exposes = |areas: &QueueAreas| match areas.packed {
            false => {
                let index = areas.driver.saturating_add(2);
                address < index.saturating_add(2) && index < end
            }
            true => {
                let ring = areas.desc..areas.desc.saturating_add(16 * u64::from(areas.size));
                // `flags` are the last two bytes of a descriptor, which is longer than any access.
                let last = end.saturating_sub(areas.desc) % 16;
                address < ring.end && ring.start < end && (last == 15 || last < width.into())
            }
        };
        let queue = self.queues.iter().find(|(_, areas)| exposes(areas));
        queue.map(|(function, areas)| (*function, areas.queue))
    }

    /// The guest stored `width` bytes at `address`: what is behind it is looked at, if chains
    /// may be available now.
    pub(crate) fn stored(&mut self, address: u64, width: u8) {
        if self.watching.barriers
            && let Some((function, queue)) = self.exposes(address, width)
        {
            self.passage = Some(Passage { function, queue, full: false });
        }
    }

    /// The guest did what can be seen and is no access to memory: the passage led elsewhere.
    pub(crate) fn leave_passage(&mut self) {
        self.passage = None;
    }

    /// Whether a barrier would tell anything.
    pub(crate) fn awaits_barrier(&self) -> bool {
        self.passage.as_ref().is_some_and(|passage| !passage.full)
    }

    /// The guest met a full barrier.
    pub(crate) fn barrier(&mut self) {
        if let Some(passage) = &mut self.passage {
            passage.full = true;
        }
    }

    /// What the passage was that ends with `event`, a look at whether the device wants to hear
    /// of what was made available (VIRTIO 1.4, 2.7.10 and 2.8.10).
    pub(crate) fn passed(&mut self, event: &Event) -> Option<Event> {
        let Event::Ram { place, access: Access::Load { width, .. }, .. } = *event else {
            return None;
        };
        let Place::Area { function, queue, area, offset } = place else { return None };
        let looks = |field| {
            let Field::Ring(field) = field else { return false };
            let split = matches!(field, Ring::UsedFlags | Ring::AvailEvent);
            split || matches!(field, Ring::DeviceEventDesc | Ring::DeviceEventFlags)
        };
        let ends = |passage: &mut Passage| (passage.function, passage.queue) == (function, queue);
        if !area.fields(offset, width).any(looks) {
            return None;
        }
        let Passage { full, .. } = self.passage.take_if(ends)?;
        Some(Event::Barrier { function, queue, full })
    }

    /// What is watched, the areas of queues first.
    fn all(&self) -> impl Iterator<Item = &Spot> {
        self.spots.iter().chain(self.exposed.iter().flat_map(Exposed::spots))
    }

    /// The parts of memory whose accesses are to be seen.
    pub(crate) fn watches(&self) -> impl Iterator<Item = Watch> {
        self.all().map(|spot| spot.watch.clone())
    }

    /// What the guest's `access` at `address` of its memory is, if it is watched.
    ///
    /// It belongs to the part that it begins in. Of one that begins before all parts, what
    /// comes before is left out.
    pub(crate) fn sees(&self, address: u64, access: Access) -> Option<Event> {
        let load = matches!(access, Access::Load { .. });
        let width = access.width();
        let last = address.checked_add(u64::from(width).checked_sub(1)?)?;
        let spots = || self.all().filter(|spot| spot.watch.loads || !load);
        let begins = spots().find(|spot| spot.watch.range.contains(&address));
        let reaches = || {
            let after = address..=last;
            let inside = spots().filter(|spot| {
                !spot.watch.range.is_empty() && after.contains(&spot.watch.range.start)
            });
            inside.min_by_key(|spot| spot.watch.range.start)
        };
        let spot = begins.or_else(reaches)?;
        let start = spot.watch.range.start;
        let addr = address.max(start);
        let skipped = (addr - address) as u8;
        let width = width - skipped;
        let value = access.value() >> (8 * skipped) & all_ones(width);
        let access = match load {
            true => Access::Load { width, value },
            false => Access::Store { width, value },
        };
        // No part of a queue is longer than 2^20 bytes, and no buffer than 2^32.
        Some(Event::Ram { place: further(spot.place, (addr - start) as u32), addr, access })
    }
}

/// The place that is `bytes` behind another.
fn further(mut place: Place, bytes: u32) -> Place {
    match &mut place {
        Place::Area { offset, .. } | Place::Indirect { offset, .. } => *offset += bytes,
        Place::Buffer { .. } => {}
    }
    place
}

impl QueueAreas {
    /// Where its parts lie; those of the event fields that stand behind a ring, or the others.
    fn parts(&self, main: bool) -> impl Iterator<Item = (Area, Range<u64>)> + use<> {
        let size = u64::from(self.size);
        let (avail, used) = (4 + 2 * size, 4 + 8 * size);
        let parts = match (self.packed, main) {
            (true, true) => vec![
                (Area::PackedDesc, self.desc, 16 * size),
                (Area::DriverEvent, self.driver, 4),
                (Area::DeviceEvent, self.device, 4),
            ],
            (false, true) => vec![
                (Area::Desc, self.desc, 16 * size),
                (Area::Avail, self.driver, avail),
                (Area::Used, self.device, used),
            ],
            (false, false) if self.event_idx => vec![
                (Area::UsedEvent, self.driver.saturating_add(avail), 2),
                (Area::AvailEvent, self.device.saturating_add(used), 2),
            ],
            (_, false) => Vec::new(),
        };
        let range = |(area, start, len): (Area, u64, u64)| (area, start..start.saturating_add(len));
        parts.into_iter().map(range)
    }
}

#[cfg(test)]
mod tests;
