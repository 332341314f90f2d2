//! Transcripts as text, named memory, and filters.

use std::num::NonZeroU64;

use eclipse_trace::register::{CommonCfg, LegacyCfg};
use eclipse_trace::{
    Access, Actor, Area, Bdf, DescriptorFlags, Direction, Entry, Event, Filter, Kind, Mark,
    MemoryKind, Place, Recorder, Register, RequestKind, RequestStatus, Ring, Snapshot, Space,
    Table, text,
};
use expect_test::expect;

const BLOCK: Bdf = Bdf::new(0, 4, 0);

fn store(recorder: &mut Recorder, register: CommonCfg, value: u64) {
    let access = Access::Store { width: register.width(), value };
    let register = Register::Common { function: BLOCK, register };
    recorder.record(Actor::Guest, Event::Register { register, access });
}

fn descriptor(addr: u64, len: u32) -> Event {
    let flags = DescriptorFlags(0);
    Event::Descriptor { queue: 1, table: Table::Queue, index: 0, addr, len, flags, next: 0 }
}

fn recorded() -> Recorder {
    let mut recorder = Recorder::new();
    let device = Actor::Device(BLOCK);
    store(&mut recorder, CommonCfg::QueueSelect, 1);
    // The high half first, which is as good.
    store(&mut recorder, CommonCfg::QueueDescHigh, 1);
    store(&mut recorder, CommonCfg::QueueDescLow, 0x2000);
    recorder.record(device, descriptor(0x7000, 512));
    recorder.record(device, descriptor(0x1_0000_2000, 16));
    recorder.record(device, descriptor(0x9000, 1));
    let read = Direction::Read;
    recorder.record(
        device,
        Event::Buffer {
            queue: 1,
            table: Table::Queue,
            index: 0,
            direction: read,
            addr: 0x7010,
            len: 16,
        },
    );
    let (request, status) = (RequestKind::Out, RequestStatus::IoErr);
    recorder
        .record(device, Event::Request { queue: 1, head: 0, request, sector: 8, len: 512, status });
    let register = Register::Unclaimed { space: Space::Port, address: 0x80 };
    let access = Access::Load { width: 1, value: 0xff };
    let why = eclipse_trace::Refusal::Unclaimed;
    recorder.record(Actor::Guest, Event::Refused { register, access, why });
    recorder.record(Actor::Guest, Event::Console { line: "tab\there \u{1b}[31m".into() });
    recorder
}

#[test]
fn a_numbered_transcript_shows_addresses_and_no_control_characters() {
    let lines = text::numbered(recorded().entries());
    expect![[r#"
        |     0  guest   00:04.0 common queue_select <- 0001
        |     1  guest   00:04.0 common queue_desc_high <- 00000001
        |     2  guest   00:04.0 common queue_desc_low <- 00002000
        |     3  00:04.0 q1 desc[0] -> 0x7000 len 512
        |     4  00:04.0 q1 desc[0] -> 0x100002000 len 16
        |     5  00:04.0 q1 desc[0] -> 0x9000 len 1
        |     6  00:04.0 q1 desc[0] read 16 bytes at 0x7010
        |     7  00:04.0 q1 request 0: out sector 8, 512 bytes: ioerr
        |     8  guest   port 0080 -> ff refused: no device answers
        |     9  guest   console tab\there \u{1b}[31m
    "#]]
    .assert_eq(&lines.lines().map(|line| format!("|{line}\n")).collect::<String>());
}

#[test]
fn a_symbolic_transcript_names_memory_by_what_lies_there() {
    let recorder = recorded();
    let all = recorder.entries();
    expect![[r#"
        guest   00:04.0 common queue_desc_high <- q1.desc[63:32]
        guest   00:04.0 common queue_desc_low <- q1.desc[31:0]
        00:04.0 q1 desc[0] -> b0 len 512
        00:04.0 q1 desc[0] -> q1.desc len 16
        00:04.0 q1 desc[0] -> b1 len 1
        00:04.0 q1 desc[0] read 16 bytes at b0+0x10
    "#]]
    .assert_eq(&text::symbolic(&all[1..7], all));
}

#[test]
fn a_queue_of_the_legacy_interface_is_named_by_its_page() {
    let mut recorder = Recorder::new();
    let legacy = |register| Register::Legacy { function: BLOCK, register };
    let mut by_guest =
        |register, access| recorder.record(Actor::Guest, Event::Register { register, access });
    by_guest(legacy(LegacyCfg::QueueSelect), Access::Store { width: 2, value: 1 });
    for value in [0x101, 0] {
        let register = legacy(LegacyCfg::QueueAddress);
        by_guest(register, Access::Load { width: 4, value: 0x101 });
        by_guest(register, Access::Store { width: 4, value });
        by_guest(register, Access::Load { width: 4, value });
    }
    expect![[r#"
        guest   00:04.0 legacy queue_select <- 0001
        guest   00:04.0 legacy queue_address -> 00000101
        guest   00:04.0 legacy queue_address <- q1.desc[43:12]
        guest   00:04.0 legacy queue_address -> q1.desc[43:12]
        guest   00:04.0 legacy queue_address -> q1.desc[43:12]
        guest   00:04.0 legacy queue_address <- 00000000
        guest   00:04.0 legacy queue_address -> 00000000
    "#]]
    .assert_eq(&text::symbolic(recorder.entries(), recorder.entries()));
}

#[test]
fn a_packed_ring_reads_as_a_split_one_does_and_tables_have_names_of_their_own() {
    let mut recorder = Recorder::new();
    let mut by_device = |event| recorder.record(Actor::Device(BLOCK), event);
    let descriptor = |table, addr, len, flags| {
        let flags = DescriptorFlags(flags);
        Event::PackedDescriptor { queue: 0, table, index: 1, addr, len, id: 9, flags }
    };
    by_device(Event::Ring {
        queue: 0,
        field: Ring::DescriptorFlags(1),
        access: Access::Load { width: 2, value: 0x8000 },
    });
    by_device(descriptor(Table::Queue, 0x8000, 32, 0x0084));
    by_device(descriptor(Table::Indirect, 0x9000, 512, 0x0002));
    by_device(descriptor(Table::Queue, 0xa000, 1, 0x8043));
    by_device(Event::Buffer {
        queue: 0,
        table: Table::Indirect,
        index: 1,
        direction: Direction::Write,
        addr: 0x9010,
        len: 8,
    });
    by_device(Event::PackedUsed {
        queue: 0,
        slot: 1,
        id: 9,
        len: 8,
        flags: DescriptorFlags(0x8082),
    });
    for field in [Ring::DriverEventFlags, Ring::DriverEventDesc, Ring::UsedEvent] {
        by_device(Event::Ring { queue: 0, field, access: Access::Load { width: 2, value: 2 } });
    }
    for field in [Ring::DeviceEventDesc, Ring::DeviceEventFlags, Ring::AvailEvent, Ring::UsedFlags]
    {
        by_device(Event::Ring { queue: 0, field, access: Access::Store { width: 2, value: 1 } });
    }
    expect![[r#"
        00:04.0 q0 desc[1].flags -> 8000
        00:04.0 q0 desc[1] -> t0 len 32 id 9 INDIRECT AVAIL
        00:04.0 q0 indirect[1] -> b0 len 512 id 9 WRITE
        00:04.0 q0 desc[1] -> b1 len 1 id 9 NEXT WRITE USED flags 0x8043
        00:04.0 q0 indirect[1] write 8 bytes at b0+0x10
        00:04.0 q0 desc[1] <- id 9 len 8 WRITE AVAIL USED
        00:04.0 q0 driver_event.flags -> 0002
        00:04.0 q0 driver_event.desc -> 0002
        00:04.0 q0 avail.used_event -> 0002
        00:04.0 q0 device_event.desc <- 0001
        00:04.0 q0 device_event.flags <- 0001
        00:04.0 q0 used.avail_event <- 0001
        00:04.0 q0 used.flags <- 0001
    "#]]
    .assert_eq(&text::symbolic(recorder.entries(), recorder.entries()));
    let summary = recorder.summary();
    assert_eq!((summary.ring_reads, summary.ring_writes), (7, 5));
    let ring = Filter { kinds: vec![Kind::Ring], ..Filter::default() };
    assert_eq!(recorder.entries().iter().filter(|entry| ring.admits(entry)).count(), 12);
}

/// What a judge sees beside what a transcript has.
fn witnessed() -> Recorder {
    let mut recorder = Recorder::new().witness();
    let device = Actor::Device(BLOCK);
    recorder.record(
        Actor::Guest,
        Event::Memory { kind: MemoryKind::Text, start: 0x10_0000, len: 0x4000 },
    );
    store(&mut recorder, CommonCfg::QueueDescLow, 0x2000);
    store(&mut recorder, CommonCfg::QueueDescHigh, 0);
    let enabled = Snapshot::Enabled { field: Ring::UsedFlags, value: 1 };
    recorder.record(device, Event::Snapshot { queue: 0, found: enabled });
    recorder.at(0x10_0042);
    let ram = |place, addr, access| Event::Ram { place, addr, access };
    let area = |area, offset| Place::Area { function: BLOCK, queue: 0, area, offset };
    let two = Access::Store { width: 2, value: 3 };
    recorder.record(Actor::Guest, ram(area(Area::Desc, 0x38), 0x2038, two));
    recorder.record(Actor::Guest, ram(area(Area::Desc, 0x3a), 0x203a, two));
    recorder.record(Actor::Guest, ram(area(Area::PackedDesc, 0x1e), 0x201e, two));
    recorder.record(Actor::Guest, ram(area(Area::UsedEvent, 4), 0x2104, two));
    let load = Access::Load { width: 1, value: 0xff };
    let buffer =
        |table, writable| Place::Buffer { function: BLOCK, queue: 0, table, index: 3, writable };
    recorder.record(Actor::Guest, ram(buffer(Table::Queue, true), 0x9000, load));
    recorder.record(Actor::Guest, ram(buffer(Table::Indirect, false), 0x9001, load));
    let table = Place::Indirect { function: BLOCK, queue: 0, index: 3, offset: 0x18 };
    recorder.record(Actor::Guest, ram(table, 0x5018, two));
    for full in [true, false] {
        recorder.record(Actor::Guest, Event::Barrier { function: BLOCK, queue: 0, full });
    }
    let status = Snapshot::Status { head: 3, value: 0x11 };
    recorder.record(device, Event::Snapshot { queue: 0, found: status });
    let altered = Snapshot::Altered { head: 3, table: Table::Queue, index: 4 };
    recorder.record(device, Event::Snapshot { queue: 0, found: altered });
    let register = Register::DebugMark;
    let access = Access::Store { width: 4, value: Mark::Released(9).value().into() };
    recorder.record(Actor::Guest, Event::Register { register, access });
    recorder
}

#[test]
fn memory_that_is_watched_reads_by_field_and_what_lies_there() {
    let recorder = witnessed();
    let all = recorder.entries();
    expect![[r#"
        guest   memory text: 0x4000 bytes at 0x100000
        guest   00:04.0 common queue_desc_low <- q0.desc[31:0]
        guest   00:04.0 common queue_desc_high <- q0.desc[63:32]
        00:04.0 q0 used.flags was 0001
        guest   00:04.0 q0 desc[3].len <- 0003
        guest   00:04.0 q0 desc[3].len+2 <- 0003
        guest   00:04.0 q0 desc[1].flags <- 0003
        guest   00:04.0 q0 UsedEvent+0x4 <- 0003
        guest   00:04.0 q0 writable buffer of desc[3] at 0x9000 -> ff
        guest   00:04.0 q0 readable buffer of indirect[3] at 0x9001 -> ff
        guest   00:04.0 q0 table of desc[3]+0x18 at 0x5018 <- 0003
        guest   00:04.0 q0 a full barrier before the device's side is looked at
        guest   00:04.0 q0 no full barrier before the device's side is looked at
        00:04.0 q0 the status byte of request 3 was 11
        00:04.0 q0 desc[4] of request 3 was altered
        guest   debug_mark <- 10000009
    "#]]
    .assert_eq(&text::symbolic(all, all));
    // With numbers there are addresses, too.
    let numbered = text::numbered(&all[4..5]);
    assert_eq!(numbered, "     4  guest   00:04.0 q0 desc[3].len at 0x2038 <- 0003\n");
    let rips: Vec<_> = all.iter().map(|entry| entry.rip.map(NonZeroU64::get)).collect();
    assert_eq!(rips[3..5], [None, Some(0x10_0042)]);
}

#[test]
fn what_a_judge_sees_is_filtered_as_ram_and_by_its_function() {
    let recorder = witnessed();
    let numbers = |filter: &Filter| -> Vec<u64> {
        let admitted = recorder.entries().iter().filter(|entry| filter.admits(entry));
        admitted.map(|entry| entry.seq).collect()
    };
    let ram = Filter { kinds: vec!["ram".parse().unwrap()], ..Filter::default() };
    assert_eq!(numbers(&ram), [0].into_iter().chain(3..15).collect::<Vec<_>>());
    let block = Filter { device: Some(BLOCK), ..ram.clone() };
    assert_eq!(numbers(&block), (3..15).collect::<Vec<_>>());
    let other = Filter { device: Some(Bdf::new(0, 5, 0)), ..ram };
    assert_eq!(numbers(&other), [0; 0]);
}

#[test]
fn a_mark_is_read_as_it_is_stored() {
    let pages = [MemoryKind::Text, MemoryKind::PageTable, MemoryKind::Stack];
    let kinds = [Mark::Phase, Mark::Released, Mark::Durable, Mark::Failed];
    let marks = kinds.iter().map(|mark| mark(0xabc_def0));
    for mark in marks.chain(pages.map(|kind| Mark::Page(kind, 7))).chain([Mark::Other(7 << 28)]) {
        assert_eq!(Mark::of(mark.value()), mark);
    }
    assert_eq!(Mark::of(0x3000_0002), Mark::Failed(2));
}

fn sequence_numbers(filter: &Filter) -> Vec<u64> {
    let admitted = |entry: &&Entry| filter.admits(entry);
    recorded().entries().iter().filter(admitted).map(|entry| entry.seq).collect()
}

#[test]
fn a_filter_admits_what_meets_all_its_conditions() {
    let all = Filter::default();
    assert_eq!(sequence_numbers(&all), (0..10).collect::<Vec<_>>());
    let device = Filter { device: Some(BLOCK), ..all.clone() };
    assert_eq!(sequence_numbers(&device), (0..8).collect::<Vec<_>>());
    let kinds = Filter { kinds: vec![Kind::Request, Kind::Refused], ..all.clone() };
    assert_eq!(sequence_numbers(&kinds), [7, 8]);
    let port = Filter { kinds: vec![Kind::Port], ..all };
    assert_eq!(sequence_numbers(&port), [8]);
    let range = Filter { from: Some(3), to: Some(5), ..device };
    assert_eq!(sequence_numbers(&range), [3, 4, 5]);
}

#[test]
fn the_summary_counts_each_event_once() {
    let recorder = recorded();
    let summary = recorder.summary();
    assert_eq!((summary.config, summary.port, summary.mmio), (0, 1, 3));
    assert_eq!((summary.refused, summary.ring_reads, summary.ring_writes), (1, 3, 0));
    assert_eq!(summary.requests, [("out", 1)].into());
    assert_eq!((summary.failed_requests, summary.bytes_out, summary.bytes_in), (1, 512, 0));
    assert_eq!((summary.console_lines, summary.violations), (1, 0));
}
