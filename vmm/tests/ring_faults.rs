//! Faults at the guest's accesses to its rings: KVM has a hole there, or a read-only slot.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/driver.rs"]
mod driver;

use driver::{AVAIL, COMMON, Code, DATA, HEADER, USED, run};
use eclipse_devices::fault::{Action, Fault, RingField, Trigger, Value, by_name};
use eclipse_trace::{Effect, Entry, Event};
use eclipse_vmm::Outcome;

/// What faults did, in a run that has to succeed.
fn effects(code: Code, faults: Vec<Fault>) -> Vec<String> {
    let run = run(code, faults);
    assert_eq!(run.outcome, Outcome::Success);
    let effect = |entry: &Entry| match &entry.event {
        Event::Fault { effect, .. } => Some(effect.to_string()),
        _ => None,
    };
    run.recorder.entries().iter().filter_map(effect).collect()
}

/// A fault that has a hole made and does nothing.
fn only_look(field: &str) -> Vec<Fault> {
    let trigger = Trigger::RingLoad(field.parse().unwrap());
    vec![Fault::new(trigger, Action::Release).nth(u64::MAX)]
}

#[test]
fn without_a_fault_the_driver_of_a_few_stores_succeeds() {
    let code = Code::ready().make_available(1).notify();
    let code = code.expect16(USED + 2, 1, 1).expect32(USED + 8, 513, 2).expect8(HEADER + 16, 0, 3);
    assert_eq!(effects(code, Vec::new()), [""; 0]);
}

#[test]
fn used_idx_is_another_one_when_it_is_loaded_again_and_then_right() {
    let code = Code::ready().make_available(1).notify().expect16(USED + 2, 1, 1);
    let code = code.expect16(USED + 2, 2, 2).expect16(USED + 2, 1, 3);
    assert_eq!(effects(code, by_name("F73").unwrap()), ["answers 0x2 at 0x202002 instead of 0x1"]);
    // It is new each time that the device writes it: one look at each is none again.
    let code = Code::ready().make_available(1).notify().expect16(USED + 2, 1, 1);
    let code = code.make_available(2).notify().expect16(USED + 2, 2, 2);
    assert_eq!(effects(code, by_name("F73").unwrap()), [""; 0]);
}

#[test]
fn an_element_changes_between_check_and_use() {
    let one = |code: Code| code.expect32(USED + 4, 0, 1).expect32(USED + 8, 513, 2);
    let code = || one(Code::ready().make_available(1).notify());
    assert_eq!(effects(code(), by_name("F74").unwrap()), [""; 0]);
    assert_eq!(
        effects(code().expect32(USED + 4, 1, 3), by_name("F74").unwrap()),
        ["answers 0x1 at 0x202004 instead of 0x0"]
    );
    assert_eq!(
        effects(
            code().expect32(USED + 8, 513 ^ 0x200, 3),
            by_name("F74:field=1,xor=0x200").unwrap()
        ),
        ["answers 0x1 at 0x202008 instead of 0x201"]
    );
}

#[test]
fn a_load_of_part_of_a_field_or_of_more_is_altered_in_that_part() {
    let alter = |field: &str| {
        let trigger = Trigger::RingLoad(field.parse().unwrap());
        vec![Fault::new(trigger, Action::Alter(Value::Xor(0x1100))).from_now_on()]
    };
    let ready = || Code::ready().make_available(1).notify();
    // flags and idx at once; the upper byte; across the end of the field.
    let code = ready().expect32(USED, 0x1101_0000, 1).expect8(USED + 3, 0x11, 2);
    assert_eq!(effects(code, alter("used.idx")).len(), 2);
    let code = ready().expect32(USED + 5, 0x0100_0011, 1).expect8(USED + 4, 0, 2);
    assert_eq!(effects(code, alter("used.ring[0].id")).len(), 2);
}

#[test]
fn memory_is_patched_before_the_load_that_brings_it_about() {
    let trigger = Trigger::RingLoad(RingField::USED_IDX);
    let place = eclipse_devices::fault::Place::Area(eclipse_devices::fault::Area::Used, 2);
    let patch = Action::Memory { at: place, bytes: vec![0x34, 0x12] };
    let code = Code::ready().expect16(USED + 2, 0, 1).expect16(USED + 2, 0x1234, 2);
    let code = code.expect16(USED + 2, 0x1234, 3);
    assert_eq!(
        effects(code, vec![Fault::new(trigger, patch).nth(2)]),
        ["writes 2 bytes at 0x202002"]
    );
}

#[test]
fn what_else_is_in_the_page_of_a_hole_is_as_it_was() {
    let code = Code::ready().store32(USED + 0x800, 0x1234_5678);
    let code = code.expect8(USED + 0x801, 0x56, 1).expect16(USED + 0x802, 0x1234, 2);
    // inc dword [address], which loads and stores.
    let code = code.bytes(&[0xFF, 0x05]).bytes(&(USED + 0x800).to_le_bytes());
    let code = code.expect32(USED + 0x800, 0x1234_5679, 3);
    // Across the end of the hole, both ways.
    let code = code.store32(USED + 0xFFE, 0xAABB_CCDD).expect32(USED + 0xFFE, 0xAABB_CCDD, 4);
    let code = code.expect16(USED + 0x1000, 0xAABB, 5);
    let code = code.store32(USED - 2, 0x1122_3344).expect32(USED - 2, 0x1122_3344, 6);
    // cld; mov esi, from; mov edi, to; mov ecx, 4; rep movsd: out of the hole, and into it.
    let copy = |code: Code, from: u32, to: u32| {
        let code = code.bytes(&[0xFC, 0xBE]).bytes(&from.to_le_bytes());
        let code = code.bytes(&[0xBF]).bytes(&to.to_le_bytes());
        code.bytes(&[0xB9, 4, 0, 0, 0, 0xF3, 0xA5])
    };
    let code = copy(code, USED + 0x7FC, DATA).expect32(DATA + 4, 0x1234_5679, 7);
    let code = copy(code, DATA, USED + 0x900).expect32(USED + 0x904, 0x1234_5679, 8);
    assert_eq!(effects(code, only_look("used.idx")), [""; 0]);
}

/// How often the guest left its processor.
fn exits(code: Code, faults: Vec<Fault>) -> u64 {
    let run = run(code, faults);
    assert_eq!(run.outcome, Outcome::Success);
    run.timing.exits
}

#[test]
fn the_hole_is_there_while_the_queue_is_enabled_and_the_fault_can_strike() {
    let read = |code: Code| code.load16_100_times(USED + 2);
    let plain = exits(read(Code::ready()), Vec::new());
    let watched = exits(read(Code::ready()), only_look("used.idx"));
    assert!(watched >= plain + 100, "{watched} and {plain}");
    let reset = exits(read(Code::ready().store8(COMMON + 0x14, 0)), only_look("used.idx"));
    assert!(reset < plain + 50, "{reset} and {plain}");
    let struck = vec![Fault::new(Trigger::RingLoad(RingField::USED_IDX), Action::Release)];
    let struck = exits(read(Code::ready()), struck);
    assert!(struck < plain + 50, "{struck} and {plain}");
    let elsewhere = exits(read(Code::ready()), only_look("avail.idx"));
    assert!(elsewhere < plain + 50, "{elsewhere} and {plain}");
}

#[test]
fn stores_to_a_ring_are_seen_and_its_loads_are_not() {
    let stored =
        |action| vec![Fault::new(Trigger::RingStore("avail.idx".parse().unwrap()), action)];
    let code = || Code::ready().make_available(1);
    // Nobody notifies: the device takes what is stored.
    let polled = effects(code().expect16(USED + 2, 1, 1), stored(Action::Poll(0)));
    assert_eq!(polled, ["looks at q0 unasked"]);
    let ignored = effects(code().expect16(AVAIL + 2, 0, 1), stored(Action::Ignore));
    assert_eq!(ignored, ["ignores the store"]);
    let altered = effects(code().expect16(AVAIL + 2, 3, 1), stored(Action::Alter(Value::Set(3))));
    assert_eq!(altered, ["takes 0x3 at 0x201002 instead of 0x1"]);
    let never = || {
        let trigger = Trigger::RingStore("avail.idx".parse().unwrap());
        vec![Fault::new(trigger, Action::Release).nth(u64::MAX)]
    };
    let loads = exits(Code::ready().load16_100_times(AVAIL + 2), never());
    let plain = exits(Code::ready(), Vec::new());
    assert!(loads < plain + 50, "{loads} and {plain}");
}

#[test]
fn a_chain_is_held_until_a_load_and_given_back_behind_it() {
    let faults = vec![
        Fault::new(Trigger::Completion(None), Action::Hold),
        Fault::new(Trigger::RingLoad(RingField::USED_IDX), Action::Release).nth(2),
    ];
    let code = Code::ready().make_available(1).notify().expect16(USED + 2, 0, 1);
    let code = code.expect16(USED + 2, 0, 2).expect16(USED + 2, 1, 3).expect32(USED + 8, 513, 4);
    assert_eq!(effects(code, faults), ["holds chain 0", "gives back what it held"]);
}

#[test]
fn a_load_in_a_hole_counts_for_no_fault_that_counts_accesses() {
    let late =
        |more| [vec![Fault::new(Trigger::Completion(None), Action::Delay(3))], more].concat();
    let code = || {
        let code = Code::ready().make_available(1).notify();
        let code = code.expect16(USED + 2, 0, 1).expect16(USED + 2, 0, 2).expect16(USED + 2, 0, 3);
        code.expect16(USED + 2, 0, 4)
    };
    let expected = [Effect::Delayed { head: 0, exits: 3 }.to_string()];
    assert_eq!(effects(code(), late(Vec::new())), expected);
    assert_eq!(effects(code(), late(only_look("used.idx"))), expected);
}
