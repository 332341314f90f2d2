use crate::rules::End;
use crate::rules::testing::{BLOCK, Transcript};
use crate::{Area, Effect, Event, Register, Ring};

const EVENT_IDX: u32 = 1 << 29;

/// The driver makes what is in the slots before `idx` available.
fn expose(driver: &mut Transcript, idx: u64) {
    driver.ram(Area::Avail, 2, 2, idx);
}

/// The device looks, and takes what is new.
fn look(device: &mut Transcript, idx: u16) {
    device.ring(Ring::AvailIdx, idx);
    device.ring(Ring::AvailRing((idx - 1) % 8), 0);
    device.desc(0, 0x2000, 16, 0, 0);
    device.used((idx - 1) % 8, 0);
}

#[test]
fn with_event_idx_the_drivers_flags_are_0() {
    let mut driver = Transcript::driven(EVENT_IDX);
    driver.ram(Area::Avail, 0, 2, 0);
    driver.ram(Area::Avail, 0, 2, 1);
    driver.breaks("D2.7.7.1-b", &["0x0001"]);
    let mut driver = Transcript::driven(0);
    driver.ram(Area::Avail, 0, 2, 1);
    driver.keeps("D2.7.7.1-b", 0);
}

#[test]
fn what_is_made_available_is_notified() {
    let mut driver = Transcript::driven(0);
    expose(&mut driver, 1);
    driver.notify(0);
    look(&mut driver, 1);
    driver.keeps("D2.7.10.1-d", 1);
    expose(&mut driver, 2);
    driver.breaks("D2.7.10.1-d", &["none"]);
    for end in [End::Unknown, End::Died] {
        driver.end = end;
        driver.breaks("D2.7.10.1-d", &[]);
    }
}

#[test]
fn a_reset_takes_the_chance_to_notify() {
    let mut driver = Transcript::driven(0);
    expose(&mut driver, 1);
    driver.status(&[0]);
    driver.breaks("D2.7.10.1-d", &["none"]);
}

#[test]
fn a_notification_before_the_index_tells_nothing() {
    let mut driver = Transcript::driven(0);
    driver.notify(0);
    driver.ring(Ring::AvailIdx, 0);
    expose(&mut driver, 1);
    driver.breaks("D2.7.10.1-d", &["none"]);
    driver.notify(0);
    look(&mut driver, 1);
    driver.keeps("D2.7.10.1-d", 1);
}

#[test]
fn a_device_that_wants_no_notifications_gets_none() {
    let mut driver = Transcript::driven(0);
    driver.ring_write(Ring::UsedFlags, 1);
    expose(&mut driver, 1);
    look(&mut driver, 1);
    driver.keeps("D2.7.10.1-c", 1);
    driver.keeps("D2.7.10.1-d", 0);
    driver.notify(0);
    driver.breaks("D2.7.10.1-c", &["one, although used.flags is 1"]);
    driver.ring_write(Ring::UsedFlags, 0);
    driver.notify(0);
    assert_eq!(driver.judged("D2.7.10.1-c").1.len(), 1);
}

#[test]
fn what_a_fault_wrote_to_the_devices_flags_counts() {
    let mut driver = Transcript::driven(0);
    driver.fault(Effect::Memory { addr: 0x12000, len: 2, value: Some(1) });
    driver.notify(0);
    driver.breaks("D2.7.10.1-c", &["one, although used.flags is 1"]);
}

/// From the index 3 the driver makes two chains available while `avail_event` is `event`.
fn batch(event: u16, notified: bool) -> Transcript {
    let mut driver = Transcript::driven(EVENT_IDX);
    expose(&mut driver, 3);
    driver.notify(0);
    look(&mut driver, 3);
    driver.ring_write(Ring::AvailEvent, event);
    expose(&mut driver, 5);
    driver.ram_load(Area::AvailEvent, 0, 2, event.into());
    if notified {
        driver.notify(0);
        driver.ring(Ring::AvailIdx, 5);
    }
    driver
}

#[test]
fn with_event_idx_the_device_is_notified_when_the_index_passes_its_event() {
    // The first look is from 0 on, where the event is 0.
    for event in [3, 4] {
        batch(event, true).keeps("D2.7.10.1-f", 2);
        batch(event, true).keeps("D2.7.10.1-g", 0);
        batch(event, false).breaks("D2.7.10.1-f", &["none"]);
    }
    for event in [2, 5, 6, 0xffff] {
        batch(event, true).breaks("D2.7.10.1-g", &["one, from 0x0003 to 0x0005"]);
        batch(event, false).keeps("D2.7.10.1-f", 1);
    }
    batch(3, false).keeps("D2.7.10.1-d", 0);
}

#[test]
fn what_the_device_found_by_itself_was_to_be_notified_all_the_same() {
    let mut driver = Transcript::driven(EVENT_IDX);
    expose(&mut driver, 1);
    driver.ram_load(Area::AvailEvent, 0, 2, 0);
    look(&mut driver, 1);
    driver.ring_write(Ring::AvailEvent, 1);
    driver.keeps("D2.7.10.1-f", 0);
    expose(&mut driver, 2);
    driver.breaks("D2.7.10.1-f", &["none", "none"]);
}

#[test]
fn the_flags_that_the_driver_loads_say_whether_it_notifies() {
    let found = |flags| {
        let mut driver = Transcript::driven(0);
        driver.ring_write(Ring::UsedFlags, flags);
        expose(&mut driver, 1);
        driver.ram_load(Area::Used, 0, 2, flags.into());
        look(&mut driver, 1);
        expose(&mut driver, 2);
        driver
    };
    found(0).breaks("D2.7.10.1-d", &["none", "none"]);
    found(1).keeps("D2.7.10.1-d", 0);
}

/// `avail_event` is always one behind, as if the device wanted to hear of nothing more.
#[test]
fn what_was_decided_once_is_not_asked_for_again() {
    let mut driver = Transcript::driven(EVENT_IDX);
    for idx in 1..=4 {
        expose(&mut driver, idx.into());
        driver.ram_load(Area::AvailEvent, 0, 2, u64::from(idx - 1).saturating_sub(1));
        if idx == 1 {
            driver.notify(0);
        }
        look(&mut driver, idx);
        driver.ring_write(Ring::AvailEvent, idx - 1);
    }
    driver.keeps("D2.7.10.1-f", 1);
    driver.keeps("D2.7.10.1-g", 3);
}

#[test]
fn with_event_idx_used_flags_are_ignored() {
    let mut driver = Transcript::driven(EVENT_IDX);
    driver.ring_write(Ring::UsedFlags, 1);
    expose(&mut driver, 1);
    driver.breaks("D2.7.10.1-e", &["none"]);
    driver.notify(0);
    look(&mut driver, 1);
    driver.keeps("D2.7.10.1-e", 1);
    driver.keeps("D2.7.10.1-c", 0);
}

#[test]
fn without_event_idx_avail_event_is_ignored() {
    let mut driver = Transcript::driven(0);
    driver.fault(Effect::Memory { addr: 0x12000 + 68, len: 2, value: Some(7) });
    expose(&mut driver, 1);
    driver.breaks("D2.7.10.1-b", &["none"]);
    driver.notify(0);
    look(&mut driver, 1);
    driver.keeps("D2.7.10.1-b", 1);
}

/// A driver that is interrupted for nothing, and ends so.
fn spurious(end: End) -> Transcript {
    let mut driver = Transcript::driven(0);
    driver.fault(Effect::Interrupt);
    driver.end = end;
    driver
}

#[test]
fn an_interrupt_for_nothing_is_survived() {
    spurious(End::Success).keeps("D2.7.7.1-c", 1);
    spurious(End::Failure).breaks("D2.7.7.1-c", &["1 and a guest that did not succeed"]);
    spurious(End::Died).keeps("D2.7.7.1-c", 0);
    let mut driver = spurious(End::Failure);
    driver.fault(Effect::Dropped { head: 0 });
    driver.keeps("D2.7.7.1-c", 0);
    Transcript::driven(0).keeps("D2.7.7.1-c", 0);
}

#[test]
fn a_notification_of_another_queue_is_none_of_this_one() {
    let mut driver = Transcript::driven(0);
    expose(&mut driver, 1);
    driver.store(Register::Notify { function: BLOCK, queue: 1 }, 2, 1);
    driver.breaks("D2.7.10.1-d", &["none"]);
}

#[test]
fn a_device_that_has_given_up_needs_no_notification() {
    let mut driver = Transcript::driven(0);
    driver.device(Event::NeedsReset);
    expose(&mut driver, 1);
    driver.keeps("D2.7.10.1-d", 0);
}
