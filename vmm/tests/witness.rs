//! What a machine records for a judge: the instruction of each access, and what memory there is.

#![allow(clippy::unwrap_used)]

mod common;
#[path = "common/driver.rs"]
mod driver;

use common::CODE;
use driver::{AVAIL, COMMON, Code, USED, run_with};
use eclipse_trace::{Actor, Entry, Event, MemoryKind, Recorder};
use eclipse_vmm::{Config, Outcome, Run, RunOptions};

/// Runs `code` with loads and stores of the rings watched.
fn run(code: Code, recorder: Recorder) -> Run {
    let watching = "rings=load".parse().unwrap();
    let options = RunOptions { recorder, ..RunOptions::default() };
    let run = run_with(code, Config { watching, ..Config::default() }, options);
    assert_eq!(run.outcome, Outcome::Success);
    run
}

fn witness(code: Code) -> Run {
    run(code, Recorder::new().witness())
}

/// Code after what makes the device ready, and which of its instructions a given address is in.
struct Layout {
    code: Code,
    /// Where each instruction ends.
    ends: Vec<u64>,
}

impl Layout {
    fn new() -> Self {
        let code = Code::ready();
        Self { ends: vec![u64::from(CODE) + code.0.len() as u64], code }
    }

    fn then(mut self, instruction: &[u8]) -> Self {
        self.code = self.code.bytes(instruction);
        self.ends.push(u64::from(CODE) + self.code.0.len() as u64);
        self
    }

    /// The number of the instruction from 1 on; 0 stands for all that come before.
    fn number(&self, entry: &Entry) -> usize {
        let rip = entry.rip.unwrap().get();
        self.ends.iter().position(|end| rip < *end).unwrap()
    }
}

#[test]
fn each_access_has_an_address_in_its_instruction() {
    let at = |opcode: &[u8], address: u32| [opcode, &address.to_le_bytes()[..]].concat();
    let layout = Layout::new()
        .then(&[&at(&[0x66, 0xC7, 0x05], AVAIL + 2)[..], &[0, 0]].concat())
        .then(&at(&[0x66, 0xA1], USED + 2))
        .then(&[&at(&[0xC6, 0x05], COMMON + 0x14)[..], &[0x0F]].concat())
        .then(&at(&[0xA0], COMMON + 0x14))
        // out 0x80, al; in al, 0x80; out 0x80, al
        .then(&[0xE6, 0x80])
        .then(&[0xE4, 0x80])
        .then(&[0xE6, 0x80])
        // mov edi, …; mov ecx, 2; mov eax, 0
        .then(&common::fill(AVAIL, 2, 0)[..15])
        // rep stosd
        .then(&[0xF3, 0xAB])
        // inc byte [address]: a load and a store
        .then(&at(&[0xFE, 0x05], AVAIL + 4));
    let run = witness(Code(layout.code.0.clone()));
    let numbers = run.recorder.entries().iter();
    let numbers = numbers.filter_map(|entry| Some((entry.rip?, entry)));
    let numbers = numbers.filter(|(rip, _)| rip.get() < *layout.ends.last().unwrap());
    let numbers: Vec<_> = numbers.map(|(_, entry)| layout.number(entry)).collect();
    let first = numbers.iter().position(|number| *number == 1).unwrap();
    assert_eq!(numbers[first..], [1, 2, 3, 4, 5, 6, 7, 9, 9, 10, 10]);
    assert!(numbers[..first].iter().all(|number| *number == 0));
}

#[test]
fn what_a_device_does_has_the_address_of_the_store_that_rang() {
    let run = witness(Code::ready().make_available(1).notify());
    let entries = run.recorder.entries();
    let rung = entries.iter().position(|entry| entry.to_string().contains("notify")).unwrap();
    let used = entries.iter().position(|entry| entry.to_string().contains("used.idx <-")).unwrap();
    assert!(used > rung && entries[rung].rip.is_some());
    assert_eq!(entries[used].rip, entries[rung].rip);
}

#[test]
fn memory_comes_first_and_then_where_the_kernel_has_its_instructions() {
    let code = Code::ready();
    // With the `mov` and `out` that end it.
    let len = code.0.len() as u64 + 4;
    let run = witness(code);
    let expected = [(MemoryKind::Ram, 0, 64 << 20), (MemoryKind::Text, CODE.into(), len)];
    for (entry, (kind, start, len)) in run.recorder.entries().iter().zip(expected) {
        assert_eq!(entry.event, Event::Memory { kind, start, len });
        assert_eq!((entry.by, entry.rip), (Actor::Guest, None));
    }
}

#[test]
fn without_a_judge_neither_is_recorded() {
    let run = run(Code::ready(), Recorder::new());
    let told = |entry: &Entry| matches!(entry.event, Event::Memory { .. });
    assert!(run.recorder.entries().iter().all(|entry| entry.rip.is_none() && !told(entry)));
}
