//! The guest's accesses to its rings, as KVM shows them.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/driver.rs"]
mod driver;

use driver::{AVAIL, COMMON, Code, DATA, DESC, HEADER, USED, run_with};
use eclipse_devices::watch::Watching;
use eclipse_trace::{Actor, Entry, Event};
use eclipse_vmm::{Config, Outcome, Run, RunOptions};

fn watch(code: Code, watching: &str) -> Run {
    let watching = watching.split(',').map(|word| word.parse::<Watching>().unwrap());
    let watching = watching.fold(Watching::default(), |all, more| all | more);
    let run = run_with(code, Config { watching, ..Config::default() }, RunOptions::default());
    assert_eq!(run.outcome, Outcome::Success);
    run
}

/// What the guest did to its memory, in a run that has to succeed.
fn accesses(code: Code, watching: &str) -> Vec<String> {
    let run = watch(code, watching);
    let access = |entry: &Entry| match &entry.event {
        Event::Ram { place, addr, access } => {
            assert_eq!(entry.by, Actor::Guest);
            Some(format!("{place} at {addr:x} {access}").replacen("00:04.0 q0 ", "", 1))
        }
        _ => None,
    };
    run.recorder.entries().iter().filter_map(access).collect()
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
    assert_eq!(accesses(code(), "barriers")[14..], accesses(code(), "rings=load")[14..]);
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
