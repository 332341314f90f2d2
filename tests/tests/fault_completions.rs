//! Faults of requests: their status, their data, and how their chains are given back.

use eclipse_devices::fault::{Action, Fault, Trigger, Value};
use eclipse_tests::Bare;
use eclipse_tests::bare::{Descriptor, NEXT, WRITE};
use eclipse_tests::faulty::{check, check_completion, completion, read, ready};
use eclipse_trace::RequestKind;
use expect_test::expect;

const WRITE_OUT: [Descriptor; 3] =
    [(Bare::HEADER, 16, NEXT, 1), (Bare::DATA, 1024, NEXT, 2), (Bare::STATUS, 1, WRITE, 0)];

#[test]
fn a_used_element_is_forged_in_all_32_bits() {
    let forged = Action::UsedElement { id: Some(Value::Set(0x10003)), len: Some(Value::Add(-1)) };
    let bare = ready(&[completion(forged)]);
    check_completion(
        &bare,
        || read(&bare, 3),
        expect![[r#"
            00:04.0 q0 request 0: in sector 3, 512 bytes: ok
            00:04.0 fault 0: forges the used element of id 0 len 513
            00:04.0 q0 used.ring[0] <- id 65539 len 512
            00:04.0 q0 used.idx <- 0001
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert_eq!(bare.read::<u64>(Bare::USED + 4), 0x200_0001_0003);
    read(&bare, 3);
    assert_eq!(bare.read::<u32>(Bare::USED + 12), 0, "the next one is right");
}

#[test]
fn the_used_index_jumps_and_elements_are_left_out() {
    let bare = ready(&[
        completion(Action::UsedIdx(Value::Add(4))),
        completion(Action::NoUsedElement).nth(2),
    ]);
    bare.write(Bare::USED + 12, 0xa5a5_a5a5u32);
    check_completion(
        &bare,
        || {
            read(&bare, 0);
            read(&bare, 0);
        },
        expect![[r#"
            00:04.0 q0 request 0: in sector 0, 512 bytes: ok
            00:04.0 q0 used.ring[0] <- id 0 len 513
            00:04.0 fault 0: forges used.idx, which is 0001
            00:04.0 q0 used.idx <- 0005
            00:04.0 msix 1: 00000041 to fee00000
            00:04.0 q0 request 0: in sector 0, 512 bytes: ok
            00:04.0 fault 1: does not write used.ring[1]
            00:04.0 q0 used.idx <- 0002
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert_eq!(bare.read::<u32>(Bare::USED + 12), 0xa5a5_a5a5);
}

#[test]
fn a_status_is_another_one_or_none_and_only_for_its_type_of_request() {
    let only = |kind, action| Fault::new(Trigger::Completion(Some(kind)), action).from_now_on();
    let bare = ready(&[
        only(RequestKind::Out, Action::Status(Some(Value::Set(1)))),
        only(RequestKind::In, Action::Status(None)),
    ]);
    check(
        &bare,
        || read(&bare, 0),
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 avail.idx -> 0001
            00:04.0 q0 avail.ring[0] -> 0000
            00:04.0 q0 desc[0] -> 0x4000 len 16 NEXT 1
            00:04.0 q0 desc[1] -> 0x5000 len 512 WRITE NEXT 2
            00:04.0 q0 desc[2] -> 0x4010 len 1 WRITE
            00:04.0 q0 desc[0] read 16 bytes at 0x4000
            00:04.0 q0 desc[1] write 512 bytes at 0x5000
            00:04.0 q0 request 0: in sector 0, 512 bytes: ok
            00:04.0 fault 1: does not write status 00
            00:04.0 q0 used.ring[0] <- id 0 len 513
            00:04.0 q0 used.idx <- 0001
            00:04.0 q0 avail.flags -> 0000
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0xff);
    bare.header(1, 0);
    check_completion(
        &bare,
        || {
            bare.descriptors(&WRITE_OUT);
            bare.make_available(0);
        },
        expect![[r#"
            00:04.0 q0 request 0: out sector 0, 1024 bytes: ok
            00:04.0 fault 0: writes status 01 instead of 00
            00:04.0 q0 used.ring[1] <- id 0 len 1
            00:04.0 q0 used.idx <- 0002
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert_eq!(bare.read::<u8>(Bare::STATUS), 1);
}

#[test]
fn a_read_that_ends_well_has_not_written_its_data() {
    let bare = ready(&[completion(Action::NoData)]);
    bare.write(Bare::DATA, 0xa5a5_a5a5_a5a5_a5a5u64);
    check_completion(
        &bare,
        || read(&bare, 3),
        expect![[r#"
            00:04.0 fault 0: does not write 512 bytes at 0x5000
            00:04.0 q0 request 0: in sector 3, 512 bytes: ok
            00:04.0 q0 used.ring[0] <- id 0 len 513
            00:04.0 q0 used.idx <- 0001
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert_eq!(bare.read::<u64>(Bare::DATA), 0xa5a5_a5a5_a5a5_a5a5);
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0);
}

#[test]
fn of_a_write_that_ends_well_only_a_part_is_on_the_disk() {
    let bare = ready(&[completion(Action::Lose { kept: 1 })]);
    bare.header(1, 8);
    bare.descriptors(&WRITE_OUT);
    check_completion(
        &bare,
        || bare.make_available(0),
        expect![[r#"
            00:04.0 fault 0: does nothing to the disk from sector 9 on
            00:04.0 q0 request 0: out sector 8, 1024 bytes: ok
            00:04.0 q0 used.ring[0] <- id 0 len 1
            00:04.0 q0 used.idx <- 0001
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    read(&bare, 8);
    assert_eq!(bare.read::<u64>(Bare::DATA), 0, "the first sector is as it was written");
    read(&bare, 9);
    assert_eq!(bare.read::<u64>(Bare::DATA), 9 * 64, "the second is as it was before");
}

#[test]
fn a_completion_never_comes() {
    let bare = ready(&[completion(Action::Drop)]);
    check_completion(
        &bare,
        || read(&bare, 0),
        expect![[r#"
            00:04.0 q0 request 0: in sector 0, 512 bytes: ok
            00:04.0 fault 0: does not give chain 0 back
        "#]],
    );
}

#[test]
fn a_chain_is_given_back_twice_in_one_batch_or_in_two() {
    let bare = ready(&[completion(Action::Duplicate(0)), completion(Action::Duplicate(1)).nth(2)]);
    check_completion(
        &bare,
        || read(&bare, 0),
        expect![[r#"
            00:04.0 q0 request 0: in sector 0, 512 bytes: ok
            00:04.0 fault 0: gives chain 0 back twice
            00:04.0 q0 used.ring[0] <- id 0 len 513
            00:04.0 q0 used.idx <- 0001
            00:04.0 q0 used.ring[1] <- id 0 len 513
            00:04.0 q0 used.idx <- 0002
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    check_completion(
        &bare,
        || {
            read(&bare, 0);
            bare.load_common(0x14, 1);
        },
        expect![[r#"
            00:04.0 q0 request 0: in sector 0, 512 bytes: ok
            00:04.0 fault 1: gives chain 0 back twice, again after 1 accesses
            00:04.0 q0 used.ring[2] <- id 0 len 513
            00:04.0 q0 used.idx <- 0003
            00:04.0 msix 1: 00000041 to fee00000
            00:04.0 q0 used.ring[3] <- id 0 len 513
            00:04.0 q0 used.idx <- 0004
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
}
