//! Transcripts on disk: what is written is read back, and what is not whole is refused.

use std::num::NonZeroU64;

use eclipse_trace::expect::Pattern;
use eclipse_trace::jsonl::{self, About, ReadError, Writer};
use eclipse_trace::register::{
    BlockCfg, Capability, CapabilityKind, CommonCfg, Header, Mechanism, MsixEntry, Structure,
};
use eclipse_trace::{
    Access, Actor, Area, Bdf, DescriptorFlags, Direction, Effect, Entry, Event, MemoryKind,
    PackedViolation, Pin, Place, Refusal, Register, RequestKind, RequestStatus, Ring, Snapshot,
    Space, Table, Violation,
};
use expect_test::expect;

const BLOCK: Bdf = Bdf::new(0, 4, 0);

/// One event of each kind, with one register of each kind.
fn entries() -> Vec<Entry> {
    let load = Access::Load { width: 4, value: 0xfebc_1000 };
    let store = Access::Store { width: 8, value: u64::MAX };
    let function = BLOCK;
    let capability = Some(Capability { kind: CapabilityKind::Virtio(2), at: 0x7c });
    let (mechanism, header) = (Mechanism::Cam, Header::Device);
    let registers = [
        Register::ConfigAddress,
        Register::Config { function, mechanism, header, offset: 0x8c, capability },
        Register::Common { function, register: CommonCfg::QueueDescLow },
        Register::Notify { function, queue: 3 },
        Register::Isr { function },
        Register::Block { function, register: BlockCfg::CapacityLow },
        Register::MsixTable { function, vector: 1, register: MsixEntry::MessageData },
        Register::MsixPba { function, offset: 8 },
        Register::DebugExit,
        Register::DebugMark,
        Register::KeyboardCommand,
        Register::ResetControl,
        Register::Config {
            function,
            mechanism: Mechanism::Ecam,
            header: Header::Bridge,
            offset: 0xfff,
            capability: None,
        },
    ];
    let none = Register::None { function, structure: Structure::Bar(4), offset: 0x4000 };
    let unclaimed = Register::Unclaimed { space: Space::Memory, address: u64::MAX };
    let area = |area, offset| Place::Area { function, queue: 0, area, offset };
    let ram = [
        Event::Ram { place: area(Area::Desc, 0x38), addr: 0x1038, access: store },
        Event::Ram { place: area(Area::DriverEvent, 3), addr: 0x3003, access: load },
        Event::Ram {
            place: Place::Indirect { function, queue: 1, index: 3, offset: 0x18 },
            addr: 0x5018,
            access: store,
        },
        Event::Ram {
            place: Place::Buffer {
                function,
                queue: 0,
                table: Table::Indirect,
                index: 1,
                writable: true,
            },
            addr: u64::MAX,
            access: load,
        },
        Event::Barrier { function, queue: 0, full: true },
        Event::Barrier { function, queue: 1, full: false },
        Event::Memory { kind: MemoryKind::Ram, start: 0x10_0000, len: u64::MAX },
        Event::Memory { kind: MemoryKind::Text, start: 0x10_0000, len: 0x4000 },
        Event::Memory { kind: MemoryKind::PageTable, start: 0, len: 0x1000 },
        Event::Memory { kind: MemoryKind::Stack, start: 0x1000, len: 0x1000 },
    ];
    let guest = registers.map(|register| Event::Register { register, access: load });
    let refused = [
        Event::Refused { register: none, access: store, why: Refusal::Width },
        Event::Refused { register: unclaimed, access: load, why: Refusal::Unclaimed },
        Event::Console { line: String::new().into() },
        Event::Console { line: "\"quoted\" \u{fffd} \t".into() },
    ];
    let device = [
        Event::Ring { queue: 0, field: Ring::AvailRing(7), access: load },
        Event::Ring { queue: 0, field: Ring::DriverEventDesc, access: load },
        Event::Descriptor {
            queue: 0,
            table: Table::Queue,
            index: 1,
            addr: u64::MAX,
            len: 512,
            flags: DescriptorFlags(0xfffb),
            next: 2,
        },
        Event::PackedDescriptor {
            queue: 0,
            table: Table::Indirect,
            index: 3,
            addr: u64::MAX,
            len: u32::MAX,
            id: 0xffff,
            flags: DescriptorFlags(0x8081),
        },
        Event::PackedUsed { queue: 0, slot: 9, id: 1, len: 513, flags: DescriptorFlags(0x8082) },
        Event::Buffer {
            queue: 0,
            table: Table::Indirect,
            index: 1,
            direction: Direction::Write,
            addr: 0x5000,
            len: 512,
        },
        Event::Request {
            queue: 0,
            head: 1,
            request: RequestKind::Other(0x77),
            sector: u64::MAX,
            len: 0,
            status: RequestStatus::Unsupp,
        },
        Event::Segment { queue: 0, index: 3, sector: u64::MAX, sectors: u32::MAX, flags: 1 },
        Event::Used { queue: 0, slot: 9, id: 1, len: 513 },
        Event::Msix { vector: 1, address: 0xfee0_0000, data: 0x31 },
        Event::MsixPending { vector: 0 },
        Event::Intx { pin: Pin::C, gsi: 11, asserted: true },
        Event::NeedsReset,
        Event::Snapshot { queue: 0, found: Snapshot::Enabled { field: Ring::AvailIdx, value: 7 } },
        Event::Snapshot { queue: 0, found: Snapshot::Status { head: 3, value: 0xff } },
        Event::Snapshot {
            queue: 0,
            found: Snapshot::Altered { head: 3, table: Table::Indirect, index: 1 },
        },
        Event::Fault {
            fault: "F97".into(),
            effect: Effect::Status { instead_of: 0, value: None }.into(),
        },
        Event::Violation { violation: Violation::AvailIdxJump { from: 1, to: 0xffff } },
        Event::Violation { violation: Violation::BusMasterOff },
        Event::Violation { violation: PackedViolation::EventFlags(3).into() },
    ];
    let guest = guest.into_iter().chain(refused).chain(ram).map(|event| (Actor::Guest, event));
    let device = device.into_iter().map(|event| (Actor::Device(BLOCK), event));
    guest
        .chain(device)
        .zip(0..)
        // The instruction is known of every other entry.
        .map(|((by, event), seq)| Entry { seq, rip: NonZeroU64::new((seq % 2) << 20), by, event })
        .collect()
}

fn about() -> About {
    About { preset: "modern".into(), cmdline: "scenario=boot".into() }
}

fn written() -> String {
    written_of(&entries())
}

fn written_of(entries: &[Entry]) -> String {
    let write = || {
        let mut writer = Writer::new(Vec::new(), &about())?;
        writer.write(&entries[..5])?;
        writer.write(&entries[5..])?;
        writer.end("succeeded")
    };
    String::from_utf8(write().expect("a Vec takes it")).expect("JSON is UTF-8")
}

fn refusal(text: impl AsRef<[u8]>) -> String {
    jsonl::read(text.as_ref()).expect_err("it is not whole").to_string()
}

#[test]
fn every_kind_of_event_is_read_back_as_it_was_written() {
    let recording = jsonl::read(written().as_bytes()).unwrap();
    assert_eq!(recording.about, about());
    assert_eq!(recording.entries, entries());
    assert_eq!(recording.outcome, "succeeded");
}

#[test]
fn every_kind_of_event_is_meant_by_its_own_line() {
    let entries = entries();
    for entry in &entries {
        let line = entry.to_string();
        let pattern: Pattern = line.parse().unwrap_or_else(|error| panic!("{error}"));
        let meant: Vec<_> = entries.iter().filter(|other| pattern.admits(other)).collect();
        assert_eq!(meant, [entry], "{line}");
        assert_eq!(pattern.to_string().parse(), Ok(pattern), "{line}");
    }
}

#[test]
fn a_line_of_the_file_says_who_did_what_to_which_register() {
    expect![[r#"
        {"eclipse_trace":1,"preset":"modern","cmdline":"scenario=boot"}
        {"seq":0,"by":"guest","event":"register","register":"config_address","access":{"load":{"width":4,"value":4273737728}}}
        {"seq":1,"rip":1048576,"by":"guest","event":"register","register":{"config":{"function":"00:04.0","mechanism":"cam","offset":140,"capability":{"kind":{"virtio":2},"at":124}}},"access":{"load":{"width":4,"value":4273737728}}}
        {"seq":2,"by":"guest","event":"register","register":{"common":{"function":"00:04.0","register":"queue_desc_low"}},"access":{"load":{"width":4,"value":4273737728}}}
    "#]]
    .assert_eq(&written().lines().take(4).map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_refused() {
    let text = written_of(&entries()[..12]);
    let header = text.find('\n').unwrap() + 1;
    for length in 0..header - 1 {
        assert!(matches!(jsonl::read(&text.as_bytes()[..length]), Err(ReadError::Foreign)));
    }
    let whole = text.len() - 1;
    for length in header..whole {
        let error = jsonl::read(&text.as_bytes()[..length]).expect_err("it is cut off");
        assert!(matches!(error, ReadError::Truncated(_)), "at {length}: {error}");
    }
    expect!["is cut off after 3 entries; run the guest again with --trace"]
        .assert_eq(&refusal(text.lines().take(4).map(|l| format!("{l}\n")).collect::<String>()));
}

#[test]
fn a_file_of_something_else_is_refused_as_that() {
    for foreign in ["", "hello\n", "{}\n", "[1,2]\n", "{\"eclipse_trace\":\"1\"}\n"] {
        assert!(matches!(jsonl::read(foreign.as_bytes()), Err(ReadError::Foreign)), "{foreign}");
    }
    assert!(matches!(jsonl::read(&b"\x7fELF\xff\xff\n"[..]), Err(ReadError::Foreign)));
    let newer = written().replacen("\"eclipse_trace\":1", "\"eclipse_trace\":2", 1);
    expect!["is a transcript of format 2; this program reads format 1"].assert_eq(&refusal(newer));
}

#[test]
fn damage_is_named_with_its_line() {
    let text = written();
    expect!["is damaged at line 2: unknown variant `robot`, expected `guest` or `device` at line 1 column 21"]
        .assert_eq(&refusal(text.replacen("\"guest\"", "\"robot\"", 1)));
    let lines: Vec<_> = text.lines().collect();
    let missing = [&lines[..3], &lines[4..]].concat().join("\n");
    expect!["is damaged at line 4: entry 3 stands where 2 should"].assert_eq(&refusal(missing));
    expect!["is damaged at line 50: something follows the end"].assert_eq(&refusal(text + "\n"));
}
