//! Defects that drivers of this kernel have really had in their queues, by their numbers: each
//! test fails with a driver that has the defect.

use super::{Device, Error, READ, Segment, Settings, Used, WRITE};

const SPLIT: Settings =
    Settings { size: 4, packed: false, event_idx: false, indirect: false, legacy: false };
const PACKED: Settings = Settings { packed: true, ..SPLIT };

/// Both kinds of queue, without and with features.
fn all_settings(size: u16) -> [Settings; 4] {
    let features = |settings| Settings { event_idx: true, indirect: true, ..settings };
    [SPLIT, PACKED, features(SPLIT), features(PACKED)].map(|settings| Settings { size, ..settings })
}

/// A queue, and a device that counts its slots.
struct Ring {
    device: Device,
    packed: bool,
    slot: u32,
    /// Chains that were made available.
    chains: u32,
}

impl Ring {
    fn new(settings: Settings) -> Self {
        Self { device: Device::new(settings), packed: settings.packed, slot: 0, chains: 0 }
    }

    /// The driver submits a chain; the device sees it where the last one ended, and the index has
    /// moved on by one and at 65536 to 0.
    fn submit(&mut self, segments: &[Segment]) -> u16 {
        let id = self.device.queue.submit(segments).unwrap();
        self.chains += 1;
        if !self.packed {
            let (driver, size) = (self.device.areas().driver, u32::from(self.device.queue.size()));
            assert_eq!(self.device.u16_at(driver + 2), self.chains as u16);
            let slot = u64::from((self.chains - 1) % size);
            assert_eq!(self.device.u16_at(driver + 4 + 2 * slot), id);
        }
        id
    }

    /// The device gives a chain back that takes so many slots of a packed ring.
    fn give_back(&mut self, id: u16, slots: u32) {
        if !self.packed {
            return self.device.use_element(id.into(), 1);
        }
        let size = u32::from(self.device.queue.size());
        let flags = if (self.slot / size).is_multiple_of(2) { 0x8080 } else { 0 };
        self.device.use_slot(u64::from(self.slot % size), id, 1, flags);
        self.slot += slots;
    }

    fn take(&mut self, id: u16) {
        assert_eq!(self.device.queue.pop_used(), Ok(Some(Used { id, len: 1 })));
        self.device.queue.release(id);
    }
}

#[test]
fn defect_20_no_descriptor_of_a_chain_is_lost() {
    for settings in all_settings(16) {
        let slots = if settings.indirect { 1 } else { 3 };
        let mut ring = Ring::new(settings);
        for _ in 0..100 {
            let id = ring.device.queue.submit(&[READ, WRITE, WRITE]).unwrap();
            ring.give_back(id, slots);
            ring.take(id);
            // What is refused takes none either.
            assert_eq!(ring.device.queue.submit(&[WRITE, READ]), Err(Error::Chain));
            assert_eq!(ring.device.queue.submit(&[READ; 17]), Err(Error::Chain));
        }
        assert_eq!(ring.device.fill().len(), 16, "{settings:?}");
    }
}

#[test]
fn defect_28_the_index_comes_behind_the_data_and_a_fence_between() {
    let order = |settings, act: fn(&mut Device)| {
        let mut device = Device::new(settings);
        device.queue.submit(&[READ]).unwrap();
        device.order(act)
    };
    let submit = |device: &mut Device| assert_eq!(device.queue.submit(&[READ]), Ok(1));
    let notify = |device: &mut Device| assert!(device.queue.should_notify());
    let descriptor = ["store desc+10/8", "store desc+18/4", "store desc+1c/2"];
    let rest = ["store desc+1e/2", "store driver+6/2", "fence Release", "store driver+2/2"];
    assert_eq!(order(SPLIT, submit), [&descriptor[..], &rest].concat());
    assert_eq!(
        order(PACKED, submit),
        [&descriptor[..], &["fence Release", "store desc+1e/2"]].concat()
    );
    // Whether to notify is asked when the index is seen to have moved.
    assert_eq!(order(SPLIT, notify), ["fence SeqCst", "load device+0/2"]);
    assert_eq!(order(PACKED, notify), ["fence SeqCst", "load device+0/4"]);
}

#[test]
fn defect_28_what_was_used_is_loaded_behind_the_index() {
    let pop = |device: &mut Device| {
        assert!(device.queue.pop_used().unwrap().is_some());
    };
    let mut device = Device::new(SPLIT);
    device.queue.submit(&[READ]).unwrap();
    device.use_element(0, 1);
    let order = ["load device+2/2", "fence Acquire", "load device+4/4", "load device+8/4"];
    assert_eq!(device.order(pop), order);
    let mut device = Device::new(PACKED);
    device.queue.submit(&[READ]).unwrap();
    device.use_slot(0, 0, 1, 0x8080);
    let order = ["load desc+e/2", "fence Acquire", "load desc+c/2", "load desc+8/4"];
    assert_eq!(device.order(pop), order);
}

#[test]
fn defect_28_a_wish_for_interrupts_is_seen_before_the_ring_is_looked_at_again() {
    for settings in all_settings(4) {
        let mut device = Device::new(settings);
        device.queue.submit(&[READ]).unwrap();
        let order = device.order(|device| assert!(!device.queue.set_interrupts(true)));
        let [.., store, fence, load] = &order[..] else { panic!("{order:?}") };
        assert!(store.starts_with("store driver") && load.starts_with("load"), "{order:?}");
        assert_eq!(fence, "fence SeqCst", "{settings:?}");
    }
    for packed in [false, true] {
        let mut ring = Ring::new(Settings { event_idx: true, packed, ..SPLIT });
        let id = ring.device.queue.submit(&[READ]).unwrap();
        ring.give_back(id, 1);
        ring.take(id);
        // Nothing is there, so the next interrupt is asked for, and the ring looked at again.
        let order = ring.device.order(|device| assert_eq!(device.queue.pop_used(), Ok(None)));
        let [first, .., store, fence, load] = &order[..] else { panic!("{order:?}") };
        assert!(store.starts_with("store driver") && load == first, "{order:?}");
        assert_eq!(fence, "fence SeqCst");
    }
}

#[test]
fn defect_29_an_id_that_is_no_outstanding_chains_is_refused() {
    for settings in [SPLIT, PACKED] {
        // Not submitted; out of the table; with bits above the 16 that an index has.
        let foreign = if settings.packed { &[1_u32, 4, 0xffff][..] } else { &[1, 4, 0x1_0000] };
        for &id in foreign {
            let mut ring = Ring::new(settings);
            assert_eq!(ring.device.queue.submit(&[READ]), Ok(0));
            match settings.packed {
                true => ring.give_back(id as u16, 1),
                false => ring.device.use_element(id, 1),
            }
            assert_eq!(ring.device.queue.pop_used(), Err(Error::UsedId(id)), "{settings:?}");
        }
        // Twice.
        let mut ring = Ring::new(settings);
        assert_eq!(ring.device.queue.submit(&[READ]), Ok(0));
        assert_eq!(ring.device.queue.submit(&[READ]), Ok(1));
        ring.give_back(0, 1);
        ring.take(0);
        ring.give_back(0, 1);
        assert_eq!(ring.device.queue.pop_used(), Err(Error::UsedId(0)), "{settings:?}");
    }
}

#[test]
fn defect_31_indices_and_rings_wrap() {
    for settings in all_settings(8) {
        // Twice round 65536, by chains that do not divide the ring.
        let segments = [READ, WRITE, WRITE];
        let slots = if settings.indirect { 1 } else { 3 };
        let mut ring = Ring::new(settings);
        for _ in 0..2 * 65_536 / 2 + 5 {
            // Two at a time, so that the ring is never empty where it wraps.
            let (first, second) = (ring.submit(&segments), ring.submit(&segments));
            assert!(ring.device.queue.should_notify() || settings.event_idx);
            ring.give_back(first, slots);
            ring.take(first);
            ring.give_back(second, slots);
            ring.take(second);
            assert_eq!(ring.device.queue.pop_used(), Ok(None));
        }
        assert_eq!(ring.device.fill().len(), 8, "{settings:?}");
    }
}

#[test]
fn defect_32_the_free_list_holds_each_descriptor_once() {
    for settings in all_settings(16) {
        let slots = if settings.indirect { 1 } else { 3 };
        let mut ring = Ring::new(settings);
        for round in 0..50 {
            let submit = |_| ring.device.queue.submit(&[READ, WRITE, WRITE]).unwrap();
            let mut ids: Vec<_> = (0..5).map(submit).collect();
            // Another order each time: the device's, and then the driver's.
            for step in (1..=5).rev() {
                let id = ids.remove(round % step);
                ring.give_back(id, slots);
                ring.take(id);
            }
            // Of one segment each, as many chains as descriptors, none twice.
            let mut fresh = ring.device.fill();
            for &id in fresh.iter().rev() {
                ring.give_back(id, 1);
            }
            for &id in fresh.iter().rev() {
                ring.take(id);
            }
            fresh.sort_unstable();
            assert!(fresh.into_iter().eq(0..16), "{settings:?}, round {round}");
        }
    }
}
