//! Who wants to hear of what: notifications and interrupts.

use super::{Device, READ, Settings};

const SPLIT: Settings =
    Settings { size: 4, packed: false, event_idx: false, indirect: false, legacy: false };
const EVENT_IDX: Settings = Settings { event_idx: true, ..SPLIT };
const PACKED: Settings = Settings { size: 5, packed: true, ..SPLIT };
const PACKED_EVENT_IDX: Settings = Settings { event_idx: true, ..PACKED };

impl Device {
    /// Lets so many chains of a packed queue go round, one slot each, from `slot` on.
    fn go_round_packed(&mut self, slots: u32, slot: &mut u32) {
        let size = u32::from(self.queue.size());
        for _ in 0..slots {
            let id = self.queue.submit(&[READ]).unwrap();
            let place = self.areas().desc + 16 * u64::from(*slot % size);
            self.set_u16(place + 12, id);
            self.set_u16(place + 14, if (*slot / size).is_multiple_of(2) { 0x8080 } else { 0 });
            assert!(self.queue.pop_used().unwrap().is_some());
            self.queue.release(id);
            *slot += 1;
        }
    }

    /// Stores the device's event suppression structure.
    fn device_event(&self, desc: u16, flags: u16) {
        self.set_u16(self.areas().device, desc);
        self.set_u16(self.areas().device + 2, flags);
    }
}

#[test]
fn there_is_no_notification_without_a_chain_and_one_for_all_since_the_last() {
    for settings in [SPLIT, EVENT_IDX, PACKED, PACKED_EVENT_IDX] {
        let mut device = Device::new(settings);
        assert!(!device.queue.should_notify());
        device.queue.submit(&[READ]).unwrap();
        device.queue.submit(&[READ]).unwrap();
        assert!(device.queue.should_notify());
        assert!(!device.queue.should_notify());
    }
}

#[test]
fn without_event_idx_used_flags_decide_and_avail_event_is_ignored() {
    let mut device = Device::new(SPLIT);
    let used = device.areas().device;
    for (flags, avail_event, expected) in
        [(0, 0x1234, true), (1, 1, false), (1, 2, false), (0, 0xffff, true), (0xfffe, 0, true)]
    {
        device.set_u16(used, flags);
        device.set_u16(used + 4 + 8 * 4, avail_event);
        device.go_round(&[READ]);
        assert_eq!(device.queue.should_notify(), expected, "{flags:#x}");
    }
}

#[test]
fn with_event_idx_the_step_from_avail_event_on_is_notified_whatever_used_flags_say() {
    let mut device = Device::new(EVENT_IDX);
    let used = device.areas().device;
    device.set_u16(used, 1);
    for _ in 0..65_000 {
        device.go_round(&[READ]);
    }
    device.queue.should_notify();
    let mut index = 65_000_u16;
    // All batches of one to four, with all events from three before to five behind.
    for round in 0..500_u16 {
        let (batch, offset) = (round % 4 + 1, round % 9);
        let event = index.wrapping_add(offset).wrapping_sub(3);
        device.set_u16(used + 4 + 8 * 4, event);
        let steps: Vec<_> = (0..batch).map(|step| index.wrapping_add(step)).collect();
        batch_of(&mut device, batch);
        index = index.wrapping_add(batch);
        assert_eq!(device.u16_at(device.areas().driver + 2), index);
        assert_eq!(device.queue.should_notify(), steps.contains(&event), "{event} in {steps:?}");
    }
    assert!(index < 65_000, "the index went past 65535");
}

/// Submits so many chains at once, and lets them come back.
fn batch_of(device: &mut Device, chains: u16) {
    for _ in 0..chains {
        device.queue.submit(&[READ]).unwrap();
    }
    let notify = device.u16_at(device.areas().driver + 2);
    for at in (0..chains).rev() {
        let slot = u64::from(notify.wrapping_sub(1 + at) % 4);
        let id = device.u16_at(device.areas().driver + 4 + 2 * slot);
        device.use_element(id.into(), 0);
        device.queue.pop_used().unwrap();
        device.queue.release(id);
    }
}

#[test]
fn after_more_chains_than_the_index_counts_there_is_a_notification_for_sure() {
    let mut device = Device::new(EVENT_IDX);
    for _ in 0..65_536 {
        device.go_round(&[READ]);
    }
    device.set_u16(device.areas().device + 4 + 8 * 4, 0x4321);
    assert!(device.queue.should_notify());
}

#[test]
fn the_flags_of_the_device_event_suppression_structure_decide() {
    // The last two are reserved; DESC is too, without EVENT_IDX.
    for (flags, plain, event_idx) in [
        (0, true, true),
        (1, false, false),
        (2, true, false),
        (3, true, true),
        (0x8001, true, true),
    ] {
        for (settings, expected) in [(PACKED, plain), (PACKED_EVENT_IDX, event_idx)] {
            let mut device = Device::new(settings);
            device.queue.submit(&[READ]).unwrap();
            device.device_event(0x8001, flags);
            assert_eq!(device.queue.should_notify(), expected, "{flags:#x}");
        }
    }
}

#[test]
fn the_slot_of_the_device_event_is_notified_in_its_lap() {
    let mut device = Device::new(PACKED_EVENT_IDX);
    let mut slot = 0;
    // All batches of one to five, with all slots of both laps, from everywhere.
    for round in 0..700_u32 {
        let (batch, event) = (round % 5 + 1, round / 5 % 10);
        let wrap = u16::from(event < 5) << 15;
        device.device_event(wrap | (event as u16 % 5), 2);
        // Two laps are ten slots; in a lap with an odd number the counter is 0.
        let expected = (slot..slot + batch).any(|slot| slot % 10 == event);
        device.go_round_packed(batch, &mut slot);
        assert_eq!(device.queue.should_notify(), expected, "{event} from {slot}");
        device.go_round_packed(round % 3, &mut slot);
        device.device_event(0, 0);
        device.queue.should_notify();
    }
}

#[test]
fn an_event_at_any_slot_of_a_list_is_notified() {
    for (slot, expected) in [(0, true), (1, true), (2, true), (3, false), (4, false)] {
        let mut device = Device::new(PACKED_EVENT_IDX);
        device.device_event(0x8000 | slot, 2);
        device.queue.submit(&[READ, READ, READ]).unwrap();
        assert_eq!(device.queue.should_notify(), expected, "{slot}");
    }
}

#[test]
fn an_event_at_a_slot_that_is_not_there_is_every_event() {
    for desc in [5, 0x8005, 0x7fff, 0xffff] {
        let mut device = Device::new(PACKED_EVENT_IDX);
        device.device_event(desc, 2);
        device.queue.submit(&[READ]).unwrap();
        assert!(device.queue.should_notify());
    }
}

#[test]
fn interrupts_are_asked_for_by_avail_flags() {
    let mut device = Device::new(SPLIT);
    let driver = device.areas().driver;
    assert!(!device.queue.set_interrupts(false));
    assert_eq!(device.u16_at(driver), 1);
    device.queue.submit(&[READ]).unwrap();
    assert!(!device.queue.set_interrupts(true));
    assert_eq!(device.u16_at(driver), 0);
    device.use_element(0, 1);
    assert!(device.queue.set_interrupts(true), "look again");
    assert!(!device.queue.set_interrupts(false));
    device.queue.pop_used().unwrap();
    assert!(!device.queue.set_interrupts(true));
    assert_eq!(device.u16_at(driver + 12), 0, "used_event is not in force");
}

#[test]
fn interrupts_are_asked_for_by_used_event() {
    let mut device = Device::new(EVENT_IDX);
    let driver = device.areas().driver;
    for round in 0..66_000_u32 {
        let index = round as u16;
        assert_eq!(device.u16_at(driver + 12), index, "the next one");
        let id = device.go_round(&[READ]);
        assert_eq!(device.u16_at(driver + 12), index, "until all is taken");
        assert_eq!((id, device.queue.pop_used()), (0, Ok(None)));
    }
    let index = 66_000_u32 as u16;
    assert!(!device.queue.set_interrupts(false));
    assert_eq!(device.u16_at(driver + 12), index.wrapping_sub(1), "65535 away");
    assert_eq!(device.u16_at(driver), 0, "2.7.7.1: avail.flags");
    device.go_round(&[READ]);
    assert_eq!(device.queue.pop_used(), Ok(None));
    assert_eq!(device.u16_at(driver + 12), index.wrapping_sub(1), "not asked for again");
    assert!(!device.queue.set_interrupts(true));
    assert_eq!(device.u16_at(driver + 12), index.wrapping_add(1));
    device.queue.submit(&[READ]).unwrap();
    device.use_element(0, 1);
    assert!(device.queue.set_interrupts(true), "look again");
    assert_eq!(device.u16_at(driver), 0, "2.7.7.1: avail.flags");
}

#[test]
fn interrupts_are_asked_for_by_the_driver_event_suppression_structure() {
    let mut device = Device::new(PACKED);
    let event = |device: &Device| device.ram::<4>(device.areas().driver);
    assert_eq!(event(&device), [0, 0, 0, 0]);
    assert!(!device.queue.set_interrupts(false));
    assert_eq!(event(&device), [0, 0, 1, 0]);
    assert!(!device.queue.set_interrupts(true));
    assert_eq!(event(&device), [0, 0, 0, 0]);
    device.queue.submit(&[READ]).unwrap();
    assert!(!device.queue.set_interrupts(true));
    device.set_u16(device.areas().desc + 14, 0x8080);
    assert!(device.queue.set_interrupts(true), "look again");
    device.set_u16(device.areas().desc + 14, 0x8000);
    assert!(device.queue.set_interrupts(true), "`pop_used` knows more");
    assert!(!device.queue.set_interrupts(false));
}

#[test]
fn interrupts_are_asked_for_by_slot_and_lap() {
    let mut device = Device::new(PACKED_EVENT_IDX);
    let event = |device: &Device| device.ram::<4>(device.areas().driver);
    let mut slot = 0;
    for round in 0..30_u8 {
        let wrap = if (round / 5) % 2 == 0 { 0x80 } else { 0 };
        assert_eq!(event(&device), [round % 5, wrap, 2, 0], "the next one");
        device.go_round_packed(1, &mut slot);
        assert_eq!(event(&device), [round % 5, wrap, 2, 0], "until all is taken");
        assert_eq!(device.queue.pop_used(), Ok(None));
    }
    assert!(!device.queue.set_interrupts(false));
    assert_eq!(event(&device), [0, 0x80, 1, 0]);
    device.go_round_packed(1, &mut slot);
    assert_eq!(device.queue.pop_used(), Ok(None));
    assert_eq!(event(&device), [0, 0x80, 1, 0], "not asked for again");
    assert!(!device.queue.set_interrupts(true));
    assert_eq!(event(&device), [1, 0x80, 2, 0]);
}
