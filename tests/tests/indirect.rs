//! Indirect descriptors (VIRTIO 1.4, 2.7.5.3 and 2.8.7) and the order that IN_ORDER promises.

use eclipse_devices::virtio::Features;
use eclipse_tests::Bare;
use eclipse_tests::bare::{INDIRECT, NEXT, WRITE};
use eclipse_tests::rings::{AVAIL, PackedDriver, ready, write_entry};
use expect_test::{Expect, expect};

const READ: u32 = 0;
const SIZE: u16 = 8;
const TABLE: u64 = 0x6000;

type Entry = (u64, u32, u16, u16);

/// Header, data, status, one after the other.
const REQUEST: [Entry; 3] =
    [(Bare::HEADER, 16, NEXT, 1), (Bare::DATA, 512, NEXT | WRITE, 2), (Bare::STATUS, 1, WRITE, 0)];

fn table(bare: &Bare, entries: &[Entry]) {
    for (index, &(addr, len, flags, next)) in (0..).zip(entries) {
        // A split queue's entries have flags and next where a packed one's have ID and flags.
        write_entry(bare, TABLE + 16 * index, addr, len, flags, next);
    }
}

fn split(features: Features, direct: &[Entry], indirect: &[Entry]) -> (Bare, String) {
    let bare = ready(features, SIZE);
    bare.header(READ, 1);
    table(&bare, indirect);
    let transcript = bare.submit(direct);
    (bare, transcript)
}

fn check(direct: &[Entry], indirect: &[Entry], expected: Expect) -> Bare {
    let (bare, transcript) = split(Features::INDIRECT_DESC, direct, indirect);
    expected.assert_eq(&transcript);
    bare
}

/// The violation that a chain ends with; there must be one, and it needs a reset.
fn broken(features: Features, direct: &[Entry], indirect: &[Entry]) -> String {
    let (bare, transcript) = split(features, direct, indirect);
    assert_eq!(bare.load_common(0x14, 1), 0x4f, "NEEDS_RESET");
    let touched = transcript.contains("] read ") || transcript.contains("] write ");
    assert!(!touched, "no buffer is touched:\n{transcript}");
    let violation = transcript.split("violation of VIRTIO 1.4, ").nth(1).expect(&transcript);
    violation.lines().next().unwrap_or_default().into()
}

#[test]
fn a_request_may_be_one_indirect_descriptor_whose_write_flag_means_nothing() {
    for write in [0, WRITE] {
        let bare = check(
            &[(TABLE, 48, INDIRECT, 0)],
            &REQUEST,
            expect![[r#"
                guest   00:04.0 notify q0 <- 0000
                00:04.0 q0 avail.idx -> 0001
                00:04.0 q0 avail.ring[0] -> 0000
                00:04.0 q0 desc[0] -> 0x6000 len 48 INDIRECT
                00:04.0 q0 indirect[0] -> 0x4000 len 16 NEXT 1
                00:04.0 q0 indirect[1] -> 0x5000 len 512 WRITE NEXT 2
                00:04.0 q0 indirect[2] -> 0x4010 len 1 WRITE
                00:04.0 q0 indirect[0] read 16 bytes at 0x4000
                00:04.0 q0 indirect[1] write 512 bytes at 0x5000
                00:04.0 q0 request 0: in sector 1, 512 bytes: ok
                00:04.0 q0 indirect[2] write 1 bytes at 0x4010
                00:04.0 q0 used.ring[0] <- id 0 len 513
                00:04.0 q0 used.idx <- 0001
                00:04.0 q0 avail.flags -> 0000
                00:04.0 msix 1: 00000041 to fee00000
            "#]],
        );
        bare.header(READ, 2);
        let transcript = bare.submit(&[(TABLE, 48, INDIRECT | write, 0)]);
        assert_eq!(bare.read::<u8>(Bare::STATUS), 0, "{transcript}");
        assert_eq!(bare.read::<u64>(Bare::DATA), 128);
    }
}

#[test]
fn direct_descriptors_may_come_before_an_indirect_one() {
    let bare = check(
        &[(Bare::HEADER, 16, NEXT, 5), (0, 0, 0, 0), (TABLE, 32, INDIRECT, 0)],
        &[(Bare::DATA, 512, NEXT | WRITE, 1), (Bare::STATUS, 1, WRITE, 0)],
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 avail.idx -> 0001
            00:04.0 q0 avail.ring[0] -> 0000
            00:04.0 q0 desc[0] -> 0x4000 len 16 NEXT 5
            00:04.0 q0 desc[5] -> 0x0 len 0
            00:04.0 violation of VIRTIO 1.4, 5.2.6: the request at head 0 has no room for the status
            00:04.0 needs reset
            00:04.0 msix 0: 00000040 to fee00000
        "#]],
    );
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0xff);
    let bare = check(
        &[(Bare::HEADER, 16, NEXT, 2), (0, 0, 0, 0), (TABLE, 32, INDIRECT, 0)],
        &[(Bare::DATA, 512, NEXT | WRITE, 1), (Bare::STATUS, 1, WRITE, 0)],
        expect![[r#"
            guest   00:04.0 notify q0 <- 0000
            00:04.0 q0 avail.idx -> 0001
            00:04.0 q0 avail.ring[0] -> 0000
            00:04.0 q0 desc[0] -> 0x4000 len 16 NEXT 2
            00:04.0 q0 desc[2] -> 0x6000 len 32 INDIRECT
            00:04.0 q0 indirect[0] -> 0x5000 len 512 WRITE NEXT 1
            00:04.0 q0 indirect[1] -> 0x4010 len 1 WRITE
            00:04.0 q0 desc[0] read 16 bytes at 0x4000
            00:04.0 q0 indirect[0] write 512 bytes at 0x5000
            00:04.0 q0 request 0: in sector 1, 512 bytes: ok
            00:04.0 q0 indirect[1] write 1 bytes at 0x4010
            00:04.0 q0 used.ring[0] <- id 0 len 513
            00:04.0 q0 used.idx <- 0001
            00:04.0 q0 avail.flags -> 0000
            00:04.0 msix 1: 00000041 to fee00000
        "#]],
    );
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0);
}

#[test]
fn the_entries_of_a_table_are_linked_by_next_in_any_order() {
    let (bare, transcript) = split(
        Features::INDIRECT_DESC,
        &[(TABLE, 64, INDIRECT, 0)],
        &[
            (Bare::HEADER, 16, NEXT, 3),
            (Bare::STATUS, 1, WRITE, 0),
            (0, 0, 0, 0),
            (Bare::DATA, 512, NEXT | WRITE, 1),
        ],
    );
    assert_eq!((bare.read::<u8>(Bare::STATUS), bare.read::<u64>(Bare::DATA)), (0, 64));
    assert!(!transcript.contains("violation"), "{transcript}");
}

#[test]
fn a_table_that_breaks_a_rule_needs_a_reset() {
    let broken =
        |direct: &[Entry], indirect: &[Entry]| broken(Features::INDIRECT_DESC, direct, indirect);
    let one = |len, flags| broken(&[(TABLE, len, INDIRECT | flags, 1)], &REQUEST);
    assert_eq!(one(48, NEXT), "2.7.5.3.1: descriptor 0 is indirect and has a next one");
    for len in [0, 1, 15, 17, 47, u32::MAX] {
        assert_eq!(one(len, 0), format!("2.7.5.3: an indirect table of {len} bytes"));
    }
    assert_eq!(one(32, 0), "2.7.5.3: entry 2 is outside its indirect table");
    let table = [(TABLE, 48, INDIRECT, 0)];
    let nested = [(Bare::HEADER, 16, NEXT, 1), (TABLE, 48, INDIRECT, 0)];
    assert_eq!(broken(&table, &nested), "2.7.5.3.1: entry 1 of an indirect table is indirect");
    let backwards = [(Bare::STATUS, 1, NEXT | WRITE, 1), (Bare::HEADER, 16, 0, 0)];
    assert_eq!(
        broken(&table, &backwards),
        "2.7.4.2: descriptor 1 is device-readable and follows a device-writable one"
    );
    let loops = [(Bare::HEADER, 16, NEXT, 0)];
    let too_long = "2.7.5.2: the chain at head 0 loops, or is longer than the queue";
    assert_eq!(broken(&table, &loops), too_long);
}

#[test]
fn a_table_outside_ram_needs_a_reset_wherever_it_is() {
    for at in [u64::MAX - 15, u64::MAX - 7, (1 << 24) - 8, 1 << 24] {
        assert_eq!(
            broken(Features::INDIRECT_DESC, &[(at, 48, INDIRECT, 0)], &[]),
            format!("6.1: 16 bytes at {at:#x} are not all in guest RAM")
        );
    }
}

#[test]
fn direct_and_indirect_descriptors_together_are_no_more_than_the_queue_holds() {
    let direct =
        [(Bare::HEADER, 8, NEXT, 1), (Bare::HEADER + 8, 8, NEXT, 2), (TABLE, 0, INDIRECT, 0)];
    let with = |entries: u16| {
        let mut direct = direct;
        direct[2].1 = 16 * u32::from(entries);
        let indirect: Vec<Entry> = (0..entries)
            .map(|index| match index + 1 == entries {
                true => (Bare::STATUS, 1, WRITE, 0),
                false => (Bare::DATA, 0, NEXT | WRITE, index + 1),
            })
            .collect();
        split(Features::INDIRECT_DESC, &direct, &indirect)
    };
    // The descriptor that names the table holds no buffer.
    let (bare, transcript) = with(SIZE - 2);
    assert!(!transcript.contains("violation"), "{transcript}");
    assert_eq!(bare.read::<u16>(Bare::USED + 2), 1);
    let (_, transcript) = with(SIZE - 1);
    assert!(transcript.contains("2.7.5.2: the chain at head 0"), "{transcript}");
    assert_eq!(transcript.matches("indirect[").count(), usize::from(SIZE - 2));
}

#[test]
fn with_in_order_a_chain_goes_on_at_the_next_descriptor() {
    let in_order = Features::IN_ORDER | Features::INDIRECT_DESC;
    let (bare, transcript) = split(in_order, &REQUEST, &[]);
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0, "{transcript}");
    let skips = [(Bare::HEADER, 16, NEXT, 2), (0, 0, 0, 0), (Bare::STATUS, 1, WRITE, 0)];
    assert_eq!(broken(in_order, &skips, &[]), "2.7.5.2: with IN_ORDER, descriptor 0 goes on at 2");
    let table = [(TABLE, 48, INDIRECT, 0)];
    assert_eq!(
        broken(in_order, &table, &skips),
        "2.7.5.3.1: with IN_ORDER, entry 0 of an indirect table goes on at 2"
    );
    let (bare, transcript) = split(in_order, &table, &REQUEST);
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0, "{transcript}");
}

#[test]
fn with_in_order_the_last_descriptor_goes_on_at_the_first() {
    let bare = ready(Features::IN_ORDER, SIZE);
    bare.header(READ, 1);
    let mut descriptors = [(0, 0, 0, 0); SIZE as usize];
    descriptors[7] = (Bare::HEADER, 16, NEXT, 0);
    descriptors[0] = (Bare::DATA, 512, NEXT | WRITE, 1);
    descriptors[1] = (Bare::STATUS, 1, WRITE, 0);
    bare.descriptors(&descriptors);
    let transcript = bare.transcript_of(|| bare.make_available(7));
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0, "{transcript}");
}

fn packed(features: Features, flags: u16, len: u32, entries: &[(u64, u32, u16)]) -> (Bare, String) {
    let bare = ready(Features::RING_PACKED | features, SIZE);
    bare.header(READ, 1);
    for (index, &(addr, len, flags)) in (0..).zip(entries) {
        write_entry(&bare, TABLE + 16 * index, addr, len, 0x5555, flags);
    }
    PackedDriver::write(&bare, 0, TABLE, len, 9, INDIRECT | flags);
    let transcript = bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 0));
    (bare, transcript)
}

const PACKED_REQUEST: [(u64, u32, u16); 3] =
    [(Bare::HEADER, 16, 0), (Bare::DATA, 512, WRITE), (Bare::STATUS, 1, WRITE)];

#[test]
fn in_a_packed_ring_the_whole_table_is_the_list() {
    let indirect = Features::INDIRECT_DESC;
    let (bare, transcript) = packed(indirect, WRITE | AVAIL, 48, &PACKED_REQUEST);
    expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 q0 desc[0] -> 0x6000 len 48 id 9 WRITE INDIRECT AVAIL
        00:04.0 q0 indirect[0] -> 0x4000 len 16 id 21845
        00:04.0 q0 indirect[1] -> 0x5000 len 512 id 21845 WRITE
        00:04.0 q0 indirect[2] -> 0x4010 len 1 id 21845 WRITE
        00:04.0 q0 indirect[0] read 16 bytes at 0x4000
        00:04.0 q0 indirect[1] write 512 bytes at 0x5000
        00:04.0 q0 request 0: in sector 1, 512 bytes: ok
        00:04.0 q0 indirect[2] write 1 bytes at 0x4010
        00:04.0 q0 desc[0] <- id 9 len 513 WRITE AVAIL USED
        00:04.0 q0 desc[1].flags -> 0000
        00:04.0 q0 driver_event.flags -> 0000
        00:04.0 msix 1: 00000041 to fee00000
    "#]]
    .assert_eq(&transcript);
    assert_eq!(bare.read::<u64>(Bare::DATA), 64);
}

#[test]
fn in_a_packed_table_flags_other_than_write_are_ignored_and_noted() {
    let mut request = PACKED_REQUEST;
    request[0].2 = NEXT | INDIRECT | AVAIL;
    let (bare, transcript) = packed(Features::INDIRECT_DESC, AVAIL, 48, &request);
    let noted = "violation of VIRTIO 1.4, 2.8.19: entry 0 of an indirect table has flags 0x0085";
    assert!(transcript.contains(noted), "{transcript}");
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0, "it is read all the same");
}

#[test]
fn a_packed_table_that_breaks_a_rule_needs_a_reset() {
    let broken = |flags, len| {
        let (bare, transcript) = packed(Features::INDIRECT_DESC, flags, len, &PACKED_REQUEST);
        assert_eq!(bare.load_common(0x14, 1), 0x4f, "NEEDS_RESET");
        assert!(!transcript.contains("indirect["), "nothing of it is read:\n{transcript}");
        let violation = transcript.split("violation of VIRTIO 1.4, ").nth(1).expect(&transcript);
        violation.lines().next().unwrap_or_default().to_string()
    };
    let in_list = "2.8.19: descriptor 0 is indirect and in a list";
    assert_eq!(broken(AVAIL | NEXT, 48), in_list);
    for len in [0, 1, 15, 17, 47, u32::MAX] {
        assert_eq!(broken(AVAIL, len), format!("2.8.7: an indirect table of {len} bytes"));
    }
    for len in [16 * 9, 1 << 20, u32::MAX - 15] {
        assert_eq!(broken(AVAIL, len), "2.8.17: the list at slot 0 is longer than the queue");
    }
}

#[test]
fn in_a_packed_ring_an_indirect_descriptor_does_not_end_a_list() {
    let bare = ready(Features::RING_PACKED | Features::INDIRECT_DESC, SIZE);
    PackedDriver::write(&bare, 0, Bare::HEADER, 16, 0, NEXT | AVAIL);
    PackedDriver::write(&bare, 1, TABLE, 32, 0, INDIRECT | AVAIL);
    let transcript = bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 0));
    let violation = "2.8.19: descriptor 1 is indirect and in a list";
    assert!(transcript.contains(violation), "{transcript}");
}
