//! Faults that hold chains back: until when, and how they come then.

use eclipse_devices::fault::{Action, Fault, Trigger, Value};
use eclipse_devices::virtio::{Features, VirtioConfig};
use eclipse_tests::Bare;
use eclipse_tests::bare::{NEXT, WRITE};
use eclipse_tests::faulty::{READ, check, check_completion, completion, read, ready};
use expect_test::expect;

#[test]
fn what_is_forged_about_a_completion_is_forged_when_it_comes() {
    let forged = Action::UsedElement { id: Some(Value::Set(0x55)), len: None };
    let bare = ready(&[
        completion(forged),
        completion(Action::UsedIdx(Value::Add(2))),
        completion(Action::Delay(1)),
    ]);
    read(&bare, 0);
    check_completion(
        &bare,
        || {
            bare.load_common(0x14, 1);
        },
        expect![[r#"
            00:04.0 fault 0: forges the used element of id 0 len 513
            00:04.0 q0 used.ring[0] <- id 85 len 513
            00:04.0 fault 1: forges used.idx, which is 0001
            00:04.0 q0 used.idx <- 0003
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    check_completion(
        &bare,
        || read(&bare, 0),
        expect![[r#"
            00:04.0 q0 request 0: in sector 0, 512 bytes: ok
            00:04.0 q0 used.ring[1] <- id 0 len 513
            00:04.0 q0 used.idx <- 0002
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
}

#[test]
fn a_packed_completion_is_forged_when_it_comes() {
    let virtio = VirtioConfig { offer: Features::RING_PACKED, ..VirtioConfig::default() };
    let bare = Bare::with_virtio(virtio, 1);
    bare.start(u64::MAX);
    let forged = Action::UsedElement { id: Some(Value::Set(0x55)), len: None };
    bare.machine.inject(vec![completion(forged), completion(Action::Delay(1))]);
    bare.header(4, 0);
    let available = 1 << 7;
    // Packed: address, length, buffer ID, flags.
    bare.descriptors(&[
        (Bare::HEADER, 16, 3, NEXT | available),
        (Bare::STATUS, 1, 3, WRITE | available),
    ]);
    bare.store(Bare::NOTIFY, 2, 0);
    check_completion(
        &bare,
        || {
            bare.load_common(0x14, 1);
        },
        expect![[r#"
            00:04.0 fault 0: forges the used element of id 3 len 1
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert_eq!(bare.read::<u16>(Bare::DESC + 12), 0x55);
}

#[test]
fn of_two_completions_that_change_places_only_the_forged_one_is() {
    let forged = Action::UsedElement { id: Some(Value::Set(0x55)), len: None };
    let bare = ready(&[completion(Action::Swap), completion(forged)]);
    check_completion(
        &bare,
        || {
            read(&bare, 0);
            read(&bare, 1);
        },
        expect![[r#"
            00:04.0 q0 request 0: in sector 0, 512 bytes: ok
            00:04.0 fault 0: gives chain 0 back after the next one
            00:04.0 q0 request 0: in sector 1, 512 bytes: ok
            00:04.0 q0 used.ring[0] <- id 0 len 513
            00:04.0 q0 used.idx <- 0001
            00:04.0 fault 1: forges the used element of id 0 len 513
            00:04.0 q0 used.ring[1] <- id 85 len 513
            00:04.0 q0 used.idx <- 0002
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
}

#[test]
fn a_chain_that_is_held_comes_when_it_is_released_or_when_the_guest_halts() {
    let release = Fault::new(Trigger::Notify(0), Action::Release).nth(2);
    let bare = ready(&[completion(Action::Hold), completion(Action::Hold).nth(3), release]);
    read(&bare, 0);
    let load = || {
        bare.load_common(0x14, 1);
    };
    assert_eq!(bare.completions_of(load), "");
    check_completion(
        &bare,
        || read(&bare, 1),
        expect![[r#"
            00:04.0 fault 2: gives back what it held
            00:04.0 q0 request 0: in sector 1, 512 bytes: ok
            00:04.0 q0 used.ring[0] <- id 0 len 513
            00:04.0 q0 used.idx <- 0001
            00:04.0 msix 1: 00000041 to fee00000
            00:04.0 q0 used.ring[1] <- id 0 len 513
            00:04.0 q0 used.idx <- 0002
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    read(&bare, 2);
    check_completion(
        &bare,
        || assert!(bare.machine.halt()),
        expect![[r#"
            00:04.0 q0 used.ring[2] <- id 0 len 513
            00:04.0 q0 used.idx <- 0003
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert!(!bare.machine.halt());
}

#[test]
fn a_chain_that_is_held_back_is_forgotten_when_its_queue_is_reset() {
    let virtio = VirtioConfig { offer: Features::RING_RESET, ..VirtioConfig::default() };
    let bare = Bare::with_virtio(virtio, 1);
    bare.start(u64::MAX);
    bare.machine.inject(vec![completion(Action::Delay(3))]);
    read(&bare, 0);
    bare.common(0x3a, 2, 1);
    let transcript = bare.transcript_of(|| {
        for _ in 0..5 {
            bare.load_common(0x14, 1);
        }
    });
    assert!(!transcript.contains("used") && !transcript.contains("violation"), "{transcript}");
    assert_eq!(bare.load_common(0x14, 1), 0x0f);
}

#[test]
fn a_completion_comes_after_further_accesses_and_not_when_the_guest_halts() {
    let bare = ready(&[completion(Action::Delay(2))]);
    check_completion(
        &bare,
        || read(&bare, 0),
        expect![[r#"
            00:04.0 q0 request 0: in sector 0, 512 bytes: ok
            00:04.0 fault 0: gives chain 0 back after 2 accesses
        "#]],
    );
    assert!(!bare.machine.halt());
    bare.load_common(0x14, 1);
    check(
        &bare,
        || {
            bare.load_common(0x14, 1);
        },
        expect![[r#"
            guest   00:04.0 common device_status -> 0f
            00:04.0 q0 used.ring[0] <- id 0 len 513
            00:04.0 q0 used.idx <- 0001
            00:04.0 q0 avail.flags -> 0000
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
}

#[test]
fn two_completions_change_places() {
    let bare = ready(&[completion(Action::Swap)]);
    check_completion(
        &bare,
        || {
            read(&bare, 0);
            // Another chain, at 3.
            bare.descriptors(&[
                READ[0],
                READ[1],
                READ[2],
                (Bare::HEADER, 16, NEXT, 4),
                (Bare::DATA, 512, NEXT | WRITE, 5),
                (Bare::STATUS, 1, WRITE, 0),
            ]);
            bare.make_available(3);
        },
        expect![[r#"
            00:04.0 q0 request 0: in sector 0, 512 bytes: ok
            00:04.0 fault 0: gives chain 0 back after the next one
            00:04.0 q0 request 3: in sector 0, 512 bytes: ok
            00:04.0 q0 used.ring[0] <- id 3 len 513
            00:04.0 q0 used.idx <- 0001
            00:04.0 q0 used.ring[1] <- id 0 len 513
            00:04.0 q0 used.idx <- 0002
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
}

#[test]
fn a_chain_that_waits_for_the_next_one_comes_when_the_guest_halts() {
    let bare = ready(&[completion(Action::Swap)]);
    read(&bare, 0);
    check_completion(
        &bare,
        || assert!(bare.machine.halt()),
        expect![[r#"
            00:04.0 q0 used.ring[0] <- id 0 len 513
            00:04.0 q0 used.idx <- 0001
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert!(!bare.machine.halt());
}
