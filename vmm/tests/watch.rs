//! The guest's accesses to its rings, as KVM shows them.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/driver.rs"]
mod driver;

use driver::{AVAIL, COMMON, Code, DATA, DESC, HEADER, USED, run_with};
use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::virtio::Features;
use eclipse_devices::watch::Watching;
use eclipse_devices::{Completion, Preset};
use eclipse_trace::{Actor, Entry, Event};
use eclipse_vmm::{Config, Outcome, Run, RunOptions};

fn words(watching: &str) -> Watching {
    let watching = watching.split(',').map(|word| word.parse::<Watching>().unwrap());
    watching.fold(Watching::default(), |all, more| all | more)
}

fn watch(code: Code, watching: &str) -> Run {
    watch_on(code, watching, Completion::Immediate)
}

/// On a machine whose device can have packed rings.
fn watch_on(code: Code, watching: &str, completion: Completion) -> Run {
    let mut devices = Preset::default().config(Box::new(MemoryDisk::counting(64)));
    let block = &mut devices.blocks[0];
    block.blk.features |= Features::RING_PACKED | Features::INDIRECT_DESC;
    block.completion = completion;
    let config = Config { watching: words(watching), devices, ..Config::default() };
    let run = run_with(code, config, RunOptions::default());
    assert_eq!(run.outcome, Outcome::Success);
    run
}

/// What the guest did to its memory.
fn ram(run: &Run) -> Vec<String> {
    let access = |entry: &Entry| match &entry.event {
        Event::Ram { place, addr, access } => {
            assert_eq!(entry.by, Actor::Guest);
            Some(format!("{place} at {addr:x} {access}").replacen("00:04.0 q0 ", "", 1))
        }
        _ => None,
    };
    run.recorder.entries().iter().filter_map(access).collect()
}

/// What it did, in a run that has to succeed.
fn accesses(code: Code, watching: &str) -> Vec<String> {
    ram(&watch(code, watching))
}

#[test]
fn the_stores_of_one_request_are_recorded_in_their_order() {
    let run = watch(Code::ready().make_available(1).notify(), "rings");
    let entries = run.recorder.entries();
    let first = entries.iter().position(|entry| matches!(entry.event, Event::Ram { .. })).unwrap();
    let expected = "\
guest   00:04.0 q0 desc[0].addr at 0x200000 <- 00204000
guest   00:04.0 q0 desc[0].len at 0x200008 <- 00000010
guest   00:04.0 q0 desc[0].flags at 0x20000c <- 0001
guest   00:04.0 q0 desc[0].next at 0x20000e <- 0001
guest   00:04.0 q0 desc[1].addr at 0x200010 <- 00205000
guest   00:04.0 q0 desc[1].len at 0x200018 <- 00000200
guest   00:04.0 q0 desc[1].flags at 0x20001c <- 0003
guest   00:04.0 q0 desc[1].next at 0x20001e <- 0002
guest   00:04.0 q0 desc[2].addr at 0x200020 <- 00204010
guest   00:04.0 q0 desc[2].len at 0x200028 <- 00000001
guest   00:04.0 q0 desc[2].flags at 0x20002c <- 0002
guest   00:04.0 q0 desc[2].next at 0x20002e <- 0000
guest   00:04.0 q0 avail.ring[0] at 0x201004 <- 0000
guest   00:04.0 q0 avail.idx at 0x201002 <- 0001
guest   00:04.0 notify q0 <- 0000
00:04.0 q0 avail.idx -> 0001
";
    let text: String =
        entries[first..first + 16].iter().map(|entry| format!("{entry}\n")).collect();
    assert_eq!(text, expected);
}

#[test]
fn what_is_not_watched_is_as_it_was_in_a_page_that_is() {
    // Another variable in the descriptor table's page; `inc dword [address]`.
    let code = Code::ready().store32(DESC + 0x800, 0x1234_5678);
    let code = code.bytes(&[0xFF, 0x05]).bytes(&(DESC + 0x800).to_le_bytes());
    let code = code.expect32(DESC + 0x800, 0x1234_5679, 1);
    assert_eq!(accesses(code, "rings").len(), 12, "the descriptors of the request");
}

#[test]
fn an_access_across_an_edge_is_carried_out_whole_and_recorded_where_it_is_watched() {
    let code = Code::ready().make_available(1);
    // Across the page before the used ring, and across the end of the ring of 8.
    let code = code.store32(USED - 2, 0x1122_3344).expect32(USED - 2, 0x1122_3344, 1);
    let code = code.store32(USED + 66, 0x5566_7788).expect32(USED + 66, 0x5566_7788, 2);
    // Inside the page, across the start: the area of another layout.
    let code = code.expect16(USED, 0x1122, 3).expect32(USED + 64, 0x7788_0000, 4);
    assert_eq!(
        accesses(code, "rings")[14..],
        ["used.flags at 202000 <- 1122", "used.ring[7].len+2 at 202042 <- 55667788"]
    );
}

#[test]
fn a_string_instruction_stores_element_by_element() {
    // cld; mov esi, from; mov edi, to; mov ecx, count; rep movsd
    let copy = |code: Code, from: u32, to: u32, count: u32| {
        let code = code.bytes(&[0xFC, 0xBE]).bytes(&from.to_le_bytes());
        let code = code.bytes(&[0xBF]).bytes(&to.to_le_bytes());
        code.bytes(&[0xB9]).bytes(&count.to_le_bytes()).bytes(&[0xF3, 0xA5])
    };
    let code = Code::ready().store32(DATA, 0x00A0_B0C0).store32(DATA + 4, 0).store32(DATA + 8, 7);
    let code = copy(code, DATA, DESC + 0x30, 3);
    assert_eq!(
        accesses(code, "rings")[12..],
        [
            "desc[3].addr at 200030 <- 00a0b0c0",
            "desc[3].addr+4 at 200034 <- 00000000",
            "desc[3].len at 200038 <- 00000007",
        ]
    );
    // mov edi, to; mov ecx, 3; mov eax, value; rep stosd: from before the table on.
    let fill = common::fill(AVAIL - 4, 2, 0);
    assert_eq!(
        accesses(Code::ready().bytes(&fill), "rings")[12..],
        ["avail.flags at 201000 <- 00000000"]
    );
}

#[test]
fn loads_are_recorded_with_what_they_get_where_they_are_asked_for() {
    let code = || {
        let code = Code::ready().make_available(1).notify();
        code.expect16(USED + 2, 1, 1).expect32(USED + 8, 513, 2).expect8(HEADER + 16, 0, 3)
    };
    assert_eq!(accesses(code(), "rings")[14..], [""; 0]);
    assert_eq!(
        accesses(code(), "rings=load")[14..],
        ["used.idx at 202002 -> 0001", "used.ring[0].len at 202008 -> 00000201"]
    );
    assert_eq!(accesses(code(), "barriers"), accesses(code(), "rings=load"));
}

#[test]
fn nothing_is_watched_before_the_queue_is_enabled_and_after_it_is_reset() {
    let reset = Code::ready().make_available(1).store8(COMMON + 0x14, 0);
    let before = accesses(Code::ready().make_available(1), "rings");
    assert_eq!(before.len(), 14);
    assert_eq!(accesses(reset.make_available(2), "rings"), before);
    let again = Code::ready().make_available(1).store8(COMMON + 0x14, 0);
    let again = again.bytes(&Code::ready().make_available(1).0);
    assert_eq!(accesses(again, "rings"), [&before[..], &before[..]].concat());
}

#[test]
fn nothing_is_recorded_unless_it_is_asked_for() {
    let run = run_with(Code::ready().make_available(1), Config::default(), RunOptions::default());
    let ram = |entry: &Entry| matches!(entry.event, Event::Ram { .. } | Event::Memory { .. });
    assert!(!run.recorder.entries().iter().any(ram));
}

#[test]
fn a_packed_queue_shows_its_descriptors_and_the_flags_that_hand_them_over() {
    let code = Code::ready_packed().make_packed_available().notify();
    let code = code.store16(AVAIL + 2, 1).expect8(HEADER + 16, 0, 1);
    assert_eq!(
        accesses(code, "rings"),
        [
            "desc[1].addr at 200010 <- 00205000",
            "desc[1].len at 200018 <- 00000200",
            "desc[1].id at 20001c <- 0000",
            "desc[1].flags at 20001e <- 0083",
            "desc[2].addr at 200020 <- 00204010",
            "desc[2].len at 200028 <- 00000001",
            "desc[2].id at 20002c <- 0000",
            "desc[2].flags at 20002e <- 0082",
            "desc[0].addr at 200000 <- 00204000",
            "desc[0].len at 200008 <- 00000010",
            "desc[0].id at 20000c <- 0000",
            "desc[0].flags at 20000e <- 0081",
            "driver_event.flags at 201002 <- 0001",
        ]
    );
}

/// Touches every buffer of the request: stores to each, loads from each.
fn touch(code: Code) -> Code {
    let code = code.store8(HEADER + 15, 7).store32(DATA + 508, 0x1234_5678);
    let code = code.store8(HEADER + 16, 0xEE).store8(HEADER + 17, 1);
    code.expect8(HEADER + 15, 7, 1).expect32(DATA + 508, 0x1234_5678, 2).expect8(
        HEADER + 16,
        0xEE,
        3,
    )
}

const TOUCHED: [&str; 5] = [
    "readable buffer of desc[0] at 20400f <- 07",
    "writable buffer of desc[1] at 2051fc <- 12345678",
    "writable buffer of desc[2] at 204010 <- ee",
    "writable buffer of desc[1] at 2051fc -> 12345678",
    "writable buffer of desc[2] at 204010 -> ee",
];

#[test]
fn buffers_are_watched_from_the_store_that_makes_them_available_until_they_are_used() {
    let before = |code: Code| touch(code.store8(HEADER + 15, 0));
    let code = before(Code::ready()).make_available(1);
    let code = touch(code).store8(HEADER + 15, 0).notify();
    let run = watch(touch(code.expect8(HEADER + 16, 0, 4)), "dma");
    let ram = ram(&run);
    assert_eq!(ram[14..19], TOUCHED);
    assert_eq!(ram[19..], ["readable buffer of desc[0] at 20400f <- 00"]);
}

#[test]
fn the_buffers_of_a_packed_queue_are_watched_as_well() {
    let code = touch(touch(Code::ready_packed()).make_packed_available());
    let run = watch(touch(code.store8(HEADER + 15, 0).notify()), "dma");
    let ram = ram(&run);
    assert_eq!(ram[12..17], TOUCHED);
    assert_eq!(ram[17..], ["readable buffer of desc[0] at 20400f <- 00"]);
}

#[test]
fn a_chain_that_the_device_took_is_its_own_until_it_gives_it_back() {
    let code = touch(Code::ready().make_available(1).notify());
    // Four accesses later it is given back.
    let code = code.store8(HEADER + 15, 0);
    let code = code.expect8(COMMON + 0x14, 0x0F, 5).expect8(COMMON + 0x14, 0x0F, 6);
    let run = watch_on(touch(code.expect16(USED + 2, 1, 7)), "dma", Completion::After(2));
    let ram = ram(&run);
    assert_eq!(ram[14..19], TOUCHED);
    assert_eq!(ram[19..], ["readable buffer of desc[0] at 20400f <- 00"]);
}

#[test]
fn an_indirect_table_is_watched_and_the_buffers_that_it_names() {
    const TABLE: u32 = 0x20_7000;
    let code = Code::enabled(0).descriptor(0, TABLE, 32, 4, 0);
    let code = code.store32(TABLE, DATA).store32(TABLE + 8, 16).store16(TABLE + 12, 1);
    let code = code.store16(TABLE + 14, 1).store32(TABLE + 16, HEADER).store32(TABLE + 24, 8);
    let code = code.store16(TABLE + 28, 2).make_available(1);
    let code = code.store16(TABLE + 30, 5).store8(TABLE + 32, 1).store8(DATA + 15, 1);
    let code = code.store8(DATA + 16, 1).store8(HEADER + 7, 9).expect8(HEADER + 7, 9, 1);
    assert_eq!(
        accesses(code, "dma")[6..],
        [
            "table of desc[0]+0x1e at 20701e <- 0005",
            "readable buffer of indirect[0] at 20500f <- 01",
            "writable buffer of indirect[1] at 204007 <- 09",
            "writable buffer of indirect[1] at 204007 -> 09",
        ]
    );
}

#[test]
fn a_device_that_is_reset_has_no_buffers() {
    let code = touch(Code::ready().make_available(1).store8(COMMON + 0x14, 0));
    assert_eq!(accesses(code, "dma").len(), 14);
}

#[test]
fn a_ring_of_garbage_is_looked_at_and_left() {
    // Every descriptor goes on to the next and the last to the first, at addresses that are none.
    let fill = common::fill(DESC, 8 * 4, 0xFFFF_FFFF);
    let code = Code::enabled(0).bytes(&fill).make_available(1).store16(AVAIL + 2, 0xFFFF);
    assert_eq!(accesses(code.store16(AVAIL + 2, 8), "dma").len(), 32 + 4);
    let mut code = Code::enabled(0);
    for index in 0..8 {
        code = code.descriptor(index, DATA, 0xFFFF_FFFF, 1, (index as u16 + 1) % 8);
    }
    let code = code.make_available(1).store16(AVAIL + 2, 8);
    // All that lies behind is a buffer now, and the guest's own code, too.
    assert_eq!(accesses(code.store8(DATA + 0x10_0000, 1), "dma").len(), 32 + 3 + 1);
}
