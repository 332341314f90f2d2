//! Whether a memory barrier stands between the store that makes a chain available and the
//! next look at whether the device wants to hear of it.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/driver.rs"]
mod driver;

use driver::{AVAIL, COMMON, Code, DATA, DESC, USED, run_with};
use eclipse_devices::Preset;
use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::virtio::Features;
use eclipse_devices::watch::Watching;
use eclipse_trace::{Entry, Event};
use eclipse_vmm::{Config, Outcome, RunOptions};

const MFENCE: [u8; 3] = [0x0F, 0xAE, 0xF0];
const SFENCE: [u8; 3] = [0x0F, 0xAE, 0xF8];
/// `lock or dword [esp - 4], 0`, with a stack.
const LOCK: [u8; 6] = [0xF0, 0x83, 0x4C, 0x24, 0xFC, 0x00];

/// What the record has of barriers and of what follows them, in a run that has to succeed.
fn barriers(code: Code) -> Vec<String> {
    let mut devices = Preset::default().config(Box::new(MemoryDisk::counting(64)));
    devices.blocks[0].blk.features |= Features::RING_PACKED;
    let watching = Watching { barriers: true, ..Watching::default() };
    // mov esp, …
    let stack = Code(vec![0xBC]).bytes(&(DATA + 0x1000).to_le_bytes());
    let config = Config { watching, devices, ..Config::default() };
    let run = run_with(stack.bytes(&code.0), config, RunOptions::default());
    assert_eq!(run.outcome, Outcome::Success);
    let pairs = run.recorder.entries().windows(2);
    let barrier = |pair: &[Entry]| match &pair[0].event {
        Event::Barrier { full, .. } => Some(format!("{full}: {}", pair[1])),
        _ => None,
    };
    pairs.filter_map(barrier).collect()
}

/// The next look after `between`.
fn split(between: &[u8]) -> Vec<String> {
    barriers(Code::ready().make_available(1).bytes(between).expect16(USED, 0, 1).notify())
}

const WITH: &str = "true: guest   00:04.0 q0 used.flags at 0x202000 -> 0000";
const WITHOUT: &str = "false: guest   00:04.0 q0 used.flags at 0x202000 -> 0000";

#[test]
fn a_full_barrier_is_seen_and_so_is_that_there_is_none() {
    assert_eq!(split(&MFENCE), [WITH]);
    assert_eq!(split(&LOCK), [WITH]);
    // cpuid
    assert_eq!(split(&[0x0F, 0xA2]), [WITH]);
    assert_eq!(split(&[]), [WITHOUT]);
    assert_eq!(split(&SFENCE), [WITHOUT]);
    // nop, a hundred times
    assert_eq!(split(&[0x90; 100]), [WITHOUT]);
    let far = [&[0x90; 100][..], &MFENCE, &[0x90; 100]].concat();
    assert_eq!(split(&far), [WITH]);
}

#[test]
fn a_barrier_before_the_store_is_none_behind_it() {
    let code = Code::ready().bytes(&MFENCE).make_available(1).expect16(USED, 0, 1);
    assert_eq!(barriers(code.bytes(&MFENCE)), [WITHOUT]);
}

#[test]
fn each_store_has_a_passage_of_its_own() {
    let code = Code::ready().make_available(1).bytes(&MFENCE).expect16(USED, 0, 1).notify();
    let code = code.make_available(2).expect16(USED, 0, 2).notify();
    assert_eq!(barriers(code.expect16(USED, 0, 3)), [WITH, WITHOUT]);
}

#[test]
fn a_store_that_is_a_barrier_itself_is_one() {
    // mov ax, 1; xchg [avail.idx], ax
    let exchange = [&[0x66, 0xB8, 1, 0, 0x66, 0x87, 0x05][..], &(AVAIL + 2).to_le_bytes()].concat();
    let code = || Code::ready().store16(AVAIL + 4, 0);
    assert_eq!(barriers(code().bytes(&exchange).expect16(USED, 0, 1).notify()), [WITH]);
    // lock inc word [avail.idx]; and inc alone, which loads and stores, too
    let at = (AVAIL + 2).to_le_bytes();
    let locked = [&[0xF0, 0x66, 0xFF, 0x05][..], &at].concat();
    assert_eq!(barriers(code().bytes(&locked).expect16(USED, 0, 1).notify()), [WITH]);
    let plain = [&[0x66, 0xFF, 0x05][..], &at].concat();
    assert_eq!(barriers(code().bytes(&plain).expect16(USED, 0, 1).notify()), [WITHOUT]);
}

#[test]
fn a_load_of_what_is_used_is_no_look_at_whether_to_notify() {
    let code = Code::ready().make_available(1).expect16(USED + 2, 0, 1).bytes(&MFENCE);
    assert_eq!(barriers(code.expect16(USED, 0, 2)), [WITH]);
}

#[test]
fn who_notifies_without_a_look_has_no_passage() {
    let code = Code::ready().make_available(1).notify().expect16(USED, 0, 1);
    assert_eq!(barriers(code), [""; 0]);
    let code = Code::ready().make_available(1).store8(COMMON + 0x14, 0);
    assert_eq!(barriers(code), [""; 0]);
}

#[test]
fn a_packed_queue_has_its_passage_behind_the_flags_of_the_head() {
    let packed = |between: &[u8]| {
        let code = Code::ready_packed().make_packed_available().bytes(between);
        barriers(code.expect16(USED + 2, 0, 1).notify())
    };
    let expected =
        |full| format!("{full}: guest   00:04.0 q0 device_event.flags at 0x202002 -> 0000");
    assert_eq!(packed(&MFENCE), [expected(true)]);
    assert_eq!(packed(&[]), [expected(false)]);
    // Behind another descriptor than the last that was stored it is none.
    let code = Code::ready_packed().bytes(&MFENCE).make_packed_available();
    assert_eq!(barriers(code.expect16(USED + 2, 0, 1)), [expected(false)]);
    assert_eq!(DESC % 4096, 0, "its flags are at the end of a descriptor");
}

#[test]
fn what_a_step_would_show_in_is_not_stepped() {
    // pushf; pop eax; test ah, 1; jz over; leave with 9: the step is in no flags that are stored.
    let flags = [&[0x9C, 0x58, 0xF6, 0xC4, 0x01, 0x74, 0x04][..], &common::exit(9)].concat();
    assert_eq!(split(&flags), [""; 0]);
    // Too far: mov ecx, 5000; loop $
    assert_eq!(split(&[0xB9, 0x88, 0x13, 0, 0, 0xE2, 0xFE]), [""; 0]);
}
