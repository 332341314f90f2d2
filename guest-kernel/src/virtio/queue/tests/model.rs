//! Any order of calls and completions, against a device that knows the rings only.

use std::collections::VecDeque;

use proptest::{collection::vec, prelude::*};

use super::{Device, Error, Segment, Settings, Used};

/// What happens next; a number chooses among what there is.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The driver submits a chain that the device reads, then writes.
    Submit { reads: usize, writes: usize },
    /// The driver asks whether to notify.
    Notify,
    /// The driver takes what was used.
    Pop,
    /// The driver frees what it took.
    Release(usize),
    /// The driver wants interrupts, or none.
    Interrupts(bool),
    /// The device uses one of the chains that it has.
    Use(usize),
    /// The device wants to be notified, from so many steps on.
    Ask(u16),
    /// The device wants no notifications.
    Suppress,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..5_usize, 0..5_usize).prop_map(|(reads, writes)| Step::Submit { reads, writes }),
        2 => Just(Step::Notify),
        5 => Just(Step::Pop),
        5 => any::<usize>().prop_map(Step::Release),
        1 => any::<bool>().prop_map(Step::Interrupts),
        5 => any::<usize>().prop_map(Step::Use),
        1 => (0..6_u16).prop_map(Step::Ask),
        1 => Just(Step::Suppress),
    ]
}

fn settings() -> impl Strategy<Value = Settings> {
    (0..6_u32, 1..20_u16, any::<[bool; 4]>()).prop_map(
        |(power, any_size, [packed, event_idx, indirect, legacy])| Settings {
            size: if packed { any_size } else { 1 << power },
            packed,
            event_idx,
            indirect,
            legacy: legacy && !packed,
        },
    )
}

/// A place in a ring: how many steps the device made, without end.
type Count = u32;

/// A chain that the device found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    id: u16,
    /// How many slots of a packed ring it takes; 1 in a split one.
    slots: u32,
    segments: Vec<Segment>,
}

/// Both sides of a queue.
struct Model {
    device: Device,
    settings: Settings,
    size: u32,
    /// Slots (packed) or entries (split) that were available, and used.
    available: Count,
    used: Count,
    /// Those that were announced.
    announced: Count,
    /// What the device asks for: nothing, all, or the step from a place on.
    ask: Option<Option<Count>>,
    /// What the device has, what it gave back, what the driver took.
    has: Vec<Found>,
    back: VecDeque<Used>,
    taken: Vec<u16>,
    wanted: bool,
    /// The driver was told that nothing is used, and wants an interrupt for the next.
    armed: bool,
    len: u32,
}

impl Model {
    fn new(settings: Settings) -> Self {
        let device = Device::new(settings);
        let size = device.queue.size().into();
        assert_eq!(size, u32::from(settings.size));
        Self {
            device,
            settings,
            size,
            available: 0,
            used: 0,
            announced: 0,
            ask: Some((settings.event_idx && !settings.packed).then_some(0)),
            has: vec![],
            back: VecDeque::new(),
            taken: vec![],
            wanted: true,
            armed: true,
            len: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Submit { reads, writes } => self.submit(reads, writes),
            Step::Notify => self.notify(),
            Step::Pop => self.pop(),
            Step::Release(which) => self.release(which),
            Step::Interrupts(wanted) => self.interrupts(wanted),
            Step::Use(which) => self.use_one(which),
            Step::Ask(offset) => self.ask(offset),
            Step::Suppress => self.suppress(),
        }
        assert_eq!(usize::from(self.device.queue.outstanding()), self.has.len() + self.back.len());
    }

    fn submit(&mut self, reads: usize, writes: usize) {
        let segment = |at, device_writes| {
            let number = u64::from(self.len) << 8 | at as u64;
            Segment { address: number << 12, len: 1 + at as u32, device_writes }
        };
        let segments: Vec<_> = (0..reads + writes).map(|at| segment(at, at >= reads)).collect();
        self.len += 1;
        let count = segments.len();
        let indirect = self.settings.indirect && count > 1;
        let (fits, next) = (self.device.queue.fits(count), self.device.queue.next_id());
        match self.device.queue.submit(&segments) {
            Ok(id) => {
                assert!(fits && next == Some(id) && u32::from(id) < self.size);
                let found = self.find().expect("a chain is available");
                let slots = if self.settings.packed && !indirect { count as u32 } else { 1 };
                assert_eq!(found, Found { id, slots, segments });
                let other = |known: &Found| known.id == id;
                assert!(!self.has.iter().any(other) && !self.taken.contains(&id));
                self.has.push(found);
            }
            Err(Error::Chain) => assert!(count == 0 || count as u32 > self.size),
            Err(error) => assert_eq!((error, fits), (Error::Full, false)),
        }
        assert_eq!(self.find(), None);
    }

    /// The next chain that is available, as a device finds it.
    fn find(&mut self) -> Option<Found> {
        let found = if self.settings.packed { self.find_packed() } else { self.find_split() };
        self.available += found.as_ref().map_or(0, |found| found.slots);
        found
    }

    fn find_split(&self) -> Option<Found> {
        let areas = self.device.areas();
        if u32::from(self.device.u16_at(areas.driver + 2)) == self.available % 65_536 {
            return None;
        }
        let slot = u64::from(self.available % self.size);
        let id = self.device.u16_at(areas.driver + 4 + 2 * slot);
        let (mut table, mut index, mut segments) = (areas.desc, id, vec![]);
        loop {
            let [address, len, flags, next] = self.descriptor(table, index.into());
            if flags & 4 != 0 {
                assert_eq!((flags, next, segments.len(), len % 16), (4, 0, 0, 0));
                (table, index) = (address, 0);
                continue;
            }
            segments.push(Segment { address, len: len as u32, device_writes: flags & 2 != 0 });
            if flags & 1 == 0 {
                return Some(Found { id, slots: 1, segments });
            }
            index = next as u16;
        }
    }

    fn find_packed(&self) -> Option<Found> {
        let desc = self.device.areas().desc;
        let mut segments = vec![];
        for slots in 1.. {
            let (slot, wrap) = self.place(self.available + slots - 1);
            let [address, len, id, flags] = self.descriptor(desc, slot);
            if (flags & 0x80 != 0, flags & 0x8000 != 0) != (wrap, !wrap) {
                assert_eq!(slots, 1, "a list is available as a whole");
                return None;
            }
            if flags & 4 != 0 {
                assert_eq!((flags & 3, slots), (0, 1));
                for entry in 0..len / 16 {
                    let [address, len, _, flags] = self.descriptor(address, entry);
                    let device_writes = flags == 2;
                    assert!(device_writes || flags == 0);
                    segments.push(Segment { address, len: len as u32, device_writes });
                }
            } else {
                let device_writes = flags & 2 != 0;
                segments.push(Segment { address, len: len as u32, device_writes });
            }
            if flags & 1 == 0 {
                return Some(Found { id: id as u16, slots, segments });
            }
        }
        None
    }

    /// Eight bytes, four, two and two.
    fn descriptor(&self, table: u64, index: u64) -> [u64; 4] {
        let value = u128::from_le_bytes(self.device.ram(table + 16 * index));
        let (address, rest) = (value as u64, (value >> 64) as u64);
        [address, rest & 0xffff_ffff, rest >> 32 & 0xffff, rest >> 48]
    }

    /// Slot and ring wrap counter of a packed ring.
    fn place(&self, count: Count) -> (u64, bool) {
        ((count % self.size).into(), (count / self.size).is_multiple_of(2))
    }

    fn off_wrap(&self, count: Count) -> u16 {
        let (slot, wrap) = self.place(count);
        slot as u16 | u16::from(wrap) << 15
    }

    fn use_one(&mut self, which: usize) {
        if self.has.is_empty() {
            return;
        }
        let Found { id, slots, .. } = self.has.swap_remove(which % self.has.len());
        let len = self.len;
        if self.settings.packed {
            let (slot, wrap) = self.place(self.used);
            self.device.use_slot(slot, id, len, if wrap { 0x8080 } else { 0 });
        } else {
            self.device.use_element(id.into(), len);
        }
        self.back.push_back(Used { id, len });
        let interrupt = self.interrupt(slots);
        self.used += slots;
        if self.armed {
            assert!(interrupt, "nobody would look at it");
        } else if !self.wanted {
            assert!(!interrupt);
        }
        self.armed = false;
    }

    /// Whether the driver wants an interrupt for the slots that are used now.
    fn interrupt(&self, slots: u32) -> bool {
        let driver = self.device.areas().driver;
        if !self.settings.packed {
            let flags = self.device.u16_at(driver);
            let event = self.device.u16_at(driver + 4 + 2 * u64::from(self.size));
            assert!(flags == 0 || flags == 1 && !self.settings.event_idx);
            return flags == 0 && (!self.settings.event_idx || event == self.used as u16);
        }
        match (self.device.u16_at(driver + 2), self.settings.event_idx) {
            (0, _) => true,
            (1, _) => false,
            (2, true) => {
                let event = self.device.u16_at(driver);
                (self.used..self.used + slots).any(|count| self.off_wrap(count) == event)
            }
            flags => panic!("{flags:?}"),
        }
    }

    fn pop(&mut self) {
        let popped = self.device.queue.pop_used().unwrap();
        assert_eq!(popped, self.back.pop_front());
        match popped {
            Some(Used { id, .. }) => self.taken.push(id),
            None => self.armed = self.wanted,
        }
    }

    fn release(&mut self, which: usize) {
        if !self.taken.is_empty() {
            let id = self.taken.swap_remove(which % self.taken.len());
            self.device.queue.release(id);
        }
    }

    fn interrupts(&mut self, wanted: bool) {
        self.wanted = wanted;
        let look_again = self.device.queue.set_interrupts(wanted);
        assert_eq!(look_again, wanted && !self.back.is_empty());
        self.armed = wanted && !look_again;
    }

    fn ask(&mut self, offset: u16) {
        let event = self.available + u32::from(offset);
        self.ask = Some(self.settings.event_idx.then_some(event));
        let device = self.device.areas().device;
        match (self.settings.packed, self.settings.event_idx) {
            (true, true) => {
                self.device.set_u16(device, self.off_wrap(event));
                self.device.set_u16(device + 2, 2);
            }
            (true, false) => self.device.set_u16(device + 2, 0),
            (false, true) => {
                self.device.set_u16(device + 4 + 8 * u64::from(self.size), event as u16);
            }
            (false, false) => self.device.set_u16(device, 0),
        }
    }

    fn suppress(&mut self) {
        let device = self.device.areas().device;
        if self.settings.packed {
            self.device.set_u16(device + 2, 1);
        } else if self.settings.event_idx {
            return;
        } else {
            self.device.set_u16(device, 1);
        }
        self.ask = None;
    }

    fn notify(&mut self) {
        let mut steps = self.announced..self.available;
        self.announced = self.available;
        let circle = if self.settings.packed { 2 * self.size } else { 65_536 };
        let expected = match self.ask {
            None => false,
            Some(None) => !steps.is_empty(),
            Some(Some(event)) => steps.any(|step| step % circle == event % circle),
        };
        assert_eq!(self.device.queue.should_notify(), expected);
    }

    /// Everything comes back, and the queue is as large as ever.
    fn drain(mut self) {
        while !self.has.is_empty() {
            self.step(Step::Use(0));
        }
        while !self.back.is_empty() {
            self.step(Step::Pop);
        }
        self.step(Step::Pop);
        while !self.taken.is_empty() {
            self.step(Step::Release(0));
        }
        assert_eq!(self.device.fill().len() as u32, self.size);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]
    #[test]
    fn each_chain_goes_round_and_nobody_waits_for_ever(
        settings in settings(),
        steps in vec(step(), 1..200),
    ) {
        let mut model = Model::new(settings);
        for step in steps {
            model.step(step);
        }
        model.drain();
    }
}
