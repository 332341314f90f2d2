//! Faults: each trigger, each action and what the guest then sees, store by store.

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::fault::{
    Action, Area, Edit, Fault, Field, Place, RegisterName, Trigger, Value, Vector,
};
use eclipse_tests::Bare;
use eclipse_tests::bare::{NEXT, WRITE};
use eclipse_tests::faulty::{READ, check, check_completion, completion, read, ready};
use eclipse_trace::register::CapabilityKind;
use eclipse_trace::text;
use expect_test::expect;

fn register(name: &str) -> RegisterName {
    name.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn load(name: &str, action: Action) -> Fault {
    Fault::new(Trigger::Load(register(name)), action)
}

#[test]
fn the_nth_load_of_a_register_answers_another_value_so_often() {
    let bare = ready(&[load("device_status", Action::Alter(Value::Set(0x40))).nth(2).times(2)]);
    check(
        &bare,
        || {
            let loads = [0; 4].map(|_| bare.load_common(0x14, 1));
            assert_eq!(loads, [0x0f, 0x40, 0x40, 0x0f]);
        },
        expect![[r#"
            guest   00:04.0 common device_status -> 0f
            00:04.0 fault 0: answers 0x40 instead of 0xf
            guest   00:04.0 common device_status -> 40
            00:04.0 fault 0: answers 0x40 instead of 0xf
            guest   00:04.0 common device_status -> 40
            guest   00:04.0 common device_status -> 0f
        "#]],
    );
}

#[test]
fn bits_are_flipped_set_and_cleared_and_numbers_added() {
    for (value, answer) in [
        (Value::Xor(0x03), 0x0c),
        (Value::Or(0xf0), 0xff),
        (Value::And(0x09), 0x09),
        (Value::Add(1), 0x10),
        (Value::Add(-0x10), 0xff),
    ] {
        let bare = ready(&[load("device_status", Action::Alter(value))]);
        assert_eq!(bare.load_common(0x14, 1), answer, "{value}");
    }
}

#[test]
fn a_register_sticks_at_what_it_answered() {
    let bare = ready(&[load("queue_select", Action::Stick).named("stuck")]);
    check(
        &bare,
        || {
            bare.load_common(0x16, 2);
            bare.common(0x16, 2, 5);
            bare.load_common(0x16, 2);
        },
        expect![[r#"
            guest   00:04.0 common queue_select -> 0000
            guest   00:04.0 common queue_select <- 0005
            00:04.0 fault stuck: answers 0x0 instead of 0x5
            guest   00:04.0 common queue_select -> 0000
        "#]],
    );
}

#[test]
fn a_part_of_configuration_space_is_altered_and_its_neighbours_are_not() {
    let bare = ready(&[
        load("config.class_code", Action::Alter(Value::Set(0xff))).from_now_on(),
        load("msix.message_control", Action::Alter(Value::Set(0x07ff))).from_now_on(),
        Fault::new(Trigger::ConfigLoad(0x34), Action::Alter(Value::Set(0xfc))),
    ]);
    check(
        &bare,
        || {
            bare.config_load(0x08, 4);
            bare.config_load(0x0a, 1);
            bare.config_load(0x40, 4);
            bare.config_load(0x34, 1);
            bare.config_load(0x34, 1);
        },
        expect![[r#"
            guest   config_address <- 80002008
            00:04.0 fault 0: answers 0xff000001 instead of 0x1000001
            guest   00:04.0 config revision_id -> ff000001
            guest   config_address <- 80002008
            guest   00:04.0 config subclass -> 00
            guest   config_address <- 80002040
            00:04.0 fault 1: answers 0x7ff4c11 instead of 0x80014c11
            guest   00:04.0 config msix.cap_id -> 07ff4c11
            guest   config_address <- 80002034
            00:04.0 fault 2: answers 0xfc instead of 0x40
            guest   00:04.0 config capabilities_pointer -> fc
            guest   config_address <- 80002034
            guest   00:04.0 config capabilities_pointer -> 40
        "#]],
    );
}

#[test]
fn a_store_is_altered_or_ignored_and_is_recorded_as_it_was_made() {
    let store = |value| Trigger::Store(register("queue_select"), value);
    let bare = ready(&[
        Fault::new(store(Some(3)), Action::Alter(Value::Xor(1))),
        Fault::new(store(None), Action::Ignore).nth(2),
    ]);
    check(
        &bare,
        || {
            bare.common(0x16, 2, 3);
            bare.load_common(0x16, 2);
            bare.common(0x16, 2, 7);
            bare.load_common(0x16, 2);
        },
        expect![[r#"
            guest   00:04.0 common queue_select <- 0003
            00:04.0 fault 0: takes 0x2 instead of 0x3
            guest   00:04.0 common queue_select -> 0002
            guest   00:04.0 common queue_select <- 0007
            00:04.0 fault 1: ignores the store
            guest   00:04.0 common queue_select -> 0002
        "#]],
    );
}

#[test]
fn a_removed_function_answers_nothing_any_more_and_does_nothing() {
    let bare = ready(&[load("device_status", Action::Remove)]);
    bare.header(0, 0);
    bare.descriptors(&READ);
    check(
        &bare,
        || {
            bare.load_common(0x14, 1);
            bare.load_common(0x14, 1);
            bare.config_load(0x00, 2);
            bare.make_available(0);
        },
        expect![[r#"
            00:04.0 fault 0: is gone
            guest   00:04.0 common device_status -> ff
            guest   memory fe000014 -> ff refused: no device answers
            guest   config_address <- 80002000
            guest   00:04.0 config vendor_id -> ffff
            guest   memory fe003000 <- 0000 refused: no device answers
        "#]],
    );
}

#[test]
fn accesses_are_counted_from_power_on_whatever_they_are() {
    let bare = Bare::new(MemoryDisk::counting(64));
    bare.machine.inject(vec![Fault::new(Trigger::Exit, Action::Remove).nth(3)]);
    // The store to CONFIG_ADDRESS is one, the load of CONFIG_DATA another.
    assert_eq!(bare.config_load(0x00, 2), 0x1af4);
    bare.machine.store(eclipse_devices::Space::Port, 0xcf8, 4, 0x8000_2000);
    assert_eq!(bare.machine.load(eclipse_devices::Space::Port, 0xcfc, 2), 0xffff);
}

#[test]
fn a_notification_is_not_noticed() {
    let bare = ready(&[Fault::new(Trigger::Notify(0), Action::Ignore)]);
    check(
        &bare,
        || read(&bare, 0),
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 fault 0: ignores the store
        "#]],
    );
    assert_eq!(bare.read::<u16>(Bare::USED + 2), 0);
    bare.store(Bare::NOTIFY, 2, 0);
    assert_eq!(bare.read::<u16>(Bare::USED + 2), 1, "the next one is");
}

#[test]
fn interrupts_come_for_nothing_and_do_not_come() {
    let bare = ready(&[
        load("device_status", Action::Interrupt(Vector::Queue(0))),
        load("device_status", Action::Interrupt(Vector::Config)).nth(2),
        completion(Action::NoInterrupt(None)),
    ]);
    check(
        &bare,
        || {
            bare.load_common(0x14, 1);
            bare.load_common(0x14, 1);
        },
        expect![[r#"
            00:04.0 fault 0: raises an interrupt for nothing
            guest   00:04.0 common device_status -> 0f
            00:04.0 msix 1: 00000041 to fee00000
            00:04.0 fault 1: raises an interrupt for nothing
            guest   00:04.0 common device_status -> 0f
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
    check_completion(
        &bare,
        || read(&bare, 0),
        expect![[r#"
            00:04.0 q0 request 0: in sector 0, 512 bytes: ok
            00:04.0 q0 used.ring[0] <- id 0 len 513
            00:04.0 q0 used.idx <- 0001
            00:04.0 fault 2: withholds vector 1
        "#]],
    );
    assert!(bare.transcript_of(|| read(&bare, 0)).contains("msix 1"), "the next one comes");
}

#[test]
fn memory_is_patched_after_a_completion_and_where_the_device_was() {
    let patch = |at, bytes: &[u8]| completion(Action::Memory { at, bytes: bytes.into() });
    let bare = ready(&[
        patch(Place::Data(8), &[0xee; 2]),
        patch(Place::Area(Area::Used, 0), &[1, 0]),
        patch(Place::Address(0x9000), &[7]),
        completion(Action::Descriptor { index: 2, field: Field::Next, value: Value::Set(9) }),
        completion(Action::Descriptor { index: 1, field: Field::Len, value: Value::Add(1) }),
    ]);
    check_completion(
        &bare,
        || read(&bare, 3),
        expect![[r#"
            00:04.0 q0 request 0: in sector 3, 512 bytes: ok
            00:04.0 q0 used.ring[0] <- id 0 len 513
            00:04.0 q0 used.idx <- 0001
            00:04.0 fault 0: writes 2 bytes at 0x5008
            00:04.0 fault 1: writes 2 bytes at 0x3000
            00:04.0 fault 2: writes 1 bytes at 0x9000
            00:04.0 fault 3: writes 2 bytes at 0x102e
            00:04.0 fault 4: writes 4 bytes at 0x1018
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert_eq!(bare.read::<u64>(Bare::DATA + 8), 0xeeee);
    assert_eq!(bare.read::<u16>(Bare::USED), 1);
    assert_eq!(bare.read::<u8>(0x9000), 7);
    assert_eq!(bare.read::<u16>(Bare::DESC + 46), 9);
    assert_eq!(bare.read::<u32>(Bare::DESC + 24), 513);
}

#[test]
fn a_patch_of_what_the_device_has_not_met_says_so() {
    let at = Place::Area(Area::Used, 0);
    let patch = Action::Memory { at, bytes: vec![1] };
    let bare = ready(&[load("device_status", patch)]);
    check(
        &bare,
        || {
            bare.load_common(0x14, 1);
        },
        expect![[r#"
            00:04.0 fault 0: writes 1 bytes at 0x3000
            guest   00:04.0 common device_status -> 0f
        "#]],
    );
}

#[test]
fn a_device_gives_up_and_a_reset_makes_it_usable_again() {
    let bare = ready(&[Fault::new(Trigger::Notify(0), Action::NeedsReset)]);
    check(
        &bare,
        || bare.store(Bare::NOTIFY, 2, 0),
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 fault 0: gives up
            00:04.0 q0 avail.idx -> 0000
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
    assert_eq!(bare.load_common(0x14, 1), 0x4f);
    bare.common(0x14, 1, 0);
    assert_eq!(bare.load_common(0x14, 1), 0);
}

#[test]
fn a_device_polls_when_the_guest_halts() {
    let bare = ready(&[Fault::new(Trigger::Halt, Action::Poll(0))]);
    bare.header(4, 0);
    bare.descriptors(&[(Bare::HEADER, 16, NEXT, 1), (Bare::STATUS, 1, WRITE, 0)]);
    bare.write(Bare::AVAIL + 4, 0u16);
    bare.write(Bare::AVAIL + 2, 1u16);
    check_completion(
        &bare,
        || assert!(bare.machine.halt()),
        expect![[r#"
            00:04.0 fault 0: looks at q0 unasked
            00:04.0 q0 request 0: flush sector 0, 0 bytes: ok
            00:04.0 q0 used.ring[0] <- id 0 len 1
            00:04.0 q0 used.idx <- 0001
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert!(!bare.machine.halt(), "once");
}

#[test]
fn the_capacity_changes_while_the_device_is_in_use() {
    let bare = ready(&[load("device_status", Action::Capacity(8))]);
    let generation = bare.load_common(0x15, 1);
    bare.load_common(0x14, 1);
    assert_eq!(bare.load(Bare::BLOCK, 4), 8);
    assert_ne!(bare.load_common(0x15, 1), generation, "VIRTIO 1.4, 2.5.1");
    assert!(bare.machine.take_interrupt(0x40), "a configuration change");
    read(&bare, 8);
    assert_eq!(bare.read::<u8>(Bare::STATUS), 1, "beyond the capacity");
}

#[test]
fn configuration_space_is_another_one_before_the_guest_begins() {
    let bare = Bare::new(MemoryDisk::counting(64));
    let boot = |edit| Fault::new(Trigger::Boot, Action::Edit(edit));
    let cap_len = Edit::Register(register("virtio_common.cap_len"), Value::Set(2));
    bare.machine.inject(vec![
        boot(cap_len).named("short"),
        boot(Edit::Unlink(CapabilityKind::Msix)),
        boot(Edit::Bytes(0x3c, vec![0xff])),
        boot(Edit::Prepend(0x09, vec![4, 0x7f])),
        boot(Edit::Append(0x05, vec![0, 0])),
    ]);
    let entries = bare.machine.entries();
    let edits = text::symbolic(&entries, &entries);
    assert!(edits.contains("00:04.0 fault short: config +4e is 02 instead of 10\n"), "{edits}");
    assert_eq!(bare.config_load(0x4e, 1), 2);
    assert_eq!(bare.config_load(0x3c, 1), 0xff);
    let mut at = bare.config_load(0x34, 1) as u8;
    let mut list = Vec::new();
    while at != 0 {
        list.push((bare.config_load(at, 1), bare.config_load(at + 3, 1)));
        at = bare.config_load(at + 1, 1) as u8;
    }
    // The new first one, then the virtio structures in their order, then the new last one.
    assert_eq!(list[0], (0x09, 0x7f));
    assert_eq!(list.last(), Some(&(0x05, 0)));
    assert!(list.iter().all(|(id, _)| *id != 0x11), "{list:x?}");
    assert!(list.contains(&(0x09, 1)) && list.contains(&(0x09, 2)), "{list:x?}");
}

#[test]
fn a_field_whose_feature_is_not_offered_can_be_pretended() {
    let bare = ready(&[load("block.size_max", Action::Alter(Value::Set(7))).from_now_on()]);
    assert_eq!(bare.load(Bare::BLOCK + 8, 4), 7);
}

#[test]
fn faults_are_of_one_function_and_leave_others_alone() {
    let bridge = eclipse_trace::Bdf::new(0, 0, 0);
    let bare = ready(&[load("config.vendor_id", Action::Alter(Value::Set(0x1234))).of(bridge)]);
    assert_eq!(bare.config_load(0, 2), 0x1af4);
    bare.machine.store(eclipse_devices::Space::Port, 0xcf8, 4, 0x8000_0000);
    assert_eq!(bare.machine.load(eclipse_devices::Space::Port, 0xcfc, 2), 0x1234);
}
