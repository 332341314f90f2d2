//! EVENT_IDX in split queues: who is told of what, on both sides (VIRTIO 1.4, 2.7.7 and 2.7.10).

use eclipse_devices::virtio::Features;
use eclipse_tests::Bare;
use eclipse_tests::bare::{Descriptor, INDIRECT, NEXT, WRITE};
use eclipse_tests::rings::{ready, write_entry};
use expect_test::expect;

const FLUSH: u32 = 4;
const SIZE: u16 = 256;
const USED_EVENT: u64 = Bare::AVAIL + 4 + 2 * SIZE as u64;
const AVAIL_EVENT: u64 = Bare::USED + 4 + 8 * SIZE as u64;
const CHAIN: [Descriptor; 2] = [(Bare::HEADER, 16, NEXT, 1), (Bare::STATUS, 1, WRITE, 0)];

/// Where the indirect table of a flush is.
const TABLE: u64 = 0x6000;

/// A queue with EVENT_IDX and a flush in every slot: each a descriptor that names the table.
fn flushing() -> Bare {
    let bare = ready(Features::EVENT_IDX | Features::INDIRECT_DESC, SIZE);
    bare.header(FLUSH, 0);
    for (index, (addr, len, flags, next)) in (0..).zip(CHAIN) {
        write_entry(&bare, TABLE + 16 * index, addr, len, flags, next);
    }
    for slot in 0..SIZE {
        write_entry(&bare, Bare::DESC + 16 * u64::from(slot), TABLE, 32, INDIRECT, 0);
        bare.write(Bare::AVAIL + 4 + 2 * u64::from(slot), slot);
    }
    bare
}

/// Makes `count` chains available and rings; returns whether there was an interrupt.
fn flush(bare: &Bare, count: u16) -> bool {
    let idx: u16 = bare.read(Bare::AVAIL + 2);
    bare.write(Bare::AVAIL + 2, idx.wrapping_add(count));
    bare.store(Bare::NOTIFY, 2, 0);
    bare.machine.take_interrupt(0x41)
}

#[test]
fn the_device_reads_used_event_and_publishes_avail_event() {
    let bare = ready(Features::EVENT_IDX, 8);
    bare.header(FLUSH, 0);
    bare.descriptors(&CHAIN);
    // avail.flags means nothing now.
    bare.write(Bare::AVAIL, 1u16);
    expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 q0 avail.idx -> 0001
        00:04.0 q0 avail.ring[0] -> 0000
        00:04.0 q0 desc[0] -> 0x4000 len 16 NEXT 1
        00:04.0 q0 desc[1] -> 0x4010 len 1 WRITE
        00:04.0 q0 desc[0] read 16 bytes at 0x4000
        00:04.0 q0 request 0: flush sector 0, 0 bytes: ok
        00:04.0 q0 desc[1] write 1 bytes at 0x4010
        00:04.0 q0 used.ring[0] <- id 0 len 1
        00:04.0 q0 used.idx <- 0001
        00:04.0 q0 used.avail_event <- 0001
        00:04.0 q0 avail.used_event -> 0000
        00:04.0 msix 1: 00000041 to fee00000
    "#]]
    .assert_eq(&bare.transcript_of(|| bare.make_available(0)));
    // Nothing new: nothing is used, so nothing is asked and nothing is said.
    expect![[r#"
        guest   00:04.0 notify q0 <- 0000
        00:04.0 q0 avail.idx -> 0001
    "#]]
    .assert_eq(&bare.transcript_of(|| bare.store(Bare::NOTIFY, 2, 0)));
    assert_eq!(bare.read::<u16>(Bare::USED + 4 + 8 * 8), 1);
}

#[test]
fn an_interrupt_comes_when_the_entry_at_used_event_was_written() {
    // used.idx before, chains, used_event, interrupt: by 2.7.7.2, entry by entry.
    let table = [
        (0, 1, 0, true),
        (0, 1, 1, false),
        (0, 1, 0xffff, false),
        (0, 4, 0, true),
        (0, 4, 3, true),
        (0, 4, 4, false),
        (0, 4, 0x8000, false),
        (5, 2, 4, false),
        (5, 2, 5, true),
        (5, 2, 6, true),
        (5, 2, 7, false),
        (0, 256, 255, true),
        (0, 256, 256, false),
        (256, 256, 255, false),
    ];
    for (before, count, event, interrupt) in table {
        let bare = flushing();
        bare.write(USED_EVENT, 0u16);
        if before != 0 {
            flush(&bare, before);
        }
        bare.write(USED_EVENT, event as u16);
        let what = format!("{before} to {} with used_event {event}", before + count);
        assert_eq!(flush(&bare, count), interrupt, "{what}");
    }
}

#[test]
fn the_indices_go_round_after_65536_and_the_rule_stays() {
    let bare = flushing();
    let (mut idx, mut step) = (0u16, 1u16);
    let mut seen = [0; 2];
    for round in 0..700u16 {
        // Just before what is used, its first, its last, just behind it, and far away.
        let count = step % SIZE + 1;
        let new = idx.wrapping_add(count);
        // Where the index goes round, what is asked for lies behind the turn.
        let case = if new < idx { 2 } else { round % 5 };
        let event = match case {
            0 => idx.wrapping_sub(1),
            1 => idx,
            2 => idx.wrapping_add(count - 1),
            3 => idx.wrapping_add(count),
            _ => idx.wrapping_add(0x8000),
        };
        bare.write(USED_EVENT, event);
        let expected = matches!(case, 1 | 2);
        let what = format!("{idx:#x} to {new:#x}, event {event:#x}");
        assert_eq!(flush(&bare, count), expected, "{what}");
        assert_eq!(bare.read::<u16>(Bare::USED + 2), new, "{what}");
        assert_eq!(bare.read::<u16>(AVAIL_EVENT), new, "{what}");
        seen[usize::from(new < idx)] += 1;
        (idx, step) = (new, step.wrapping_mul(37).wrapping_add(11));
    }
    assert!(seen[1] > 0, "the index went round");
}

#[test]
fn without_event_idx_the_flags_decide_and_the_events_are_left_alone() {
    let bare = ready(Features::empty(), SIZE);
    bare.header(FLUSH, 0);
    bare.descriptors(&CHAIN);
    bare.write(USED_EVENT, 0x7777u16);
    bare.write(AVAIL_EVENT, 0x5555u16);
    for (flags, interrupt) in [(0u16, true), (1, false), (0, true)] {
        bare.write(Bare::AVAIL, flags);
        assert_eq!(flush(&bare, 3), interrupt);
    }
    assert_eq!(bare.read::<u16>(AVAIL_EVENT), 0x5555);
    assert_eq!(bare.read::<u16>(Bare::USED), 0, "used.flags");
    for (flags, interrupt) in [(2u16, true), (0x8001, false)] {
        bare.write(Bare::AVAIL, flags);
        let mut sent = false;
        let transcript = bare.transcript_of(|| sent = flush(&bare, 1));
        let noted = format!("violation of VIRTIO 1.4, 2.7.7.1: avail.flags is {flags:#06x}");
        assert!(transcript.contains(&noted), "{transcript}");
        assert_eq!(sent, interrupt, "bit 0 is what counts");
    }
}
