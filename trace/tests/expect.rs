//! Expectations: what is meant, what is found, and what a failure says.

use eclipse_trace::expect::{
    Capture, Failure, Pattern, Phase, any, common, console, fault, mark, message, notify, ram,
    register, request,
};
use eclipse_trace::register::CommonCfg;
use eclipse_trace::{
    Access, Actor, Area, Bdf, Entry, Event, Field, Kind, Mark, Place, Recorder, Refusal, Register,
    RequestKind, RequestStatus, Ring, Space,
};
use expect_test::{Expect, expect};

const BLOCK: Bdf = Bdf::new(0, 4, 0);
const OTHER: Bdf = Bdf::new(0, 5, 0);
const DEVICE: Actor = Actor::Device(BLOCK);
const NONE: [u64; 0] = [];

fn status(function: Bdf, access: Access) -> Event {
    let register = Register::Common { function, register: CommonCfg::DeviceStatus };
    Event::Register { register, access }
}

fn store(width: u8, value: u64) -> Access {
    Access::Store { width, value }
}

fn marked(number: u64) -> Event {
    Event::Register { register: Register::DebugMark, access: store(4, number) }
}

fn line(line: &str) -> Event {
    Event::Console { line: line.into() }
}

fn stored(area: Area, offset: u32, width: u8, value: u64) -> Event {
    let place = Place::Area { function: BLOCK, queue: 0, area, offset };
    let addr = 0x1000 + u64::from(offset);
    Event::Ram { place, addr, access: store(width, value) }
}

/// A device is started, with a slip, and reads a sector.
fn entries() -> Vec<Entry> {
    let mut recorder = Recorder::new();
    let mut by_guest = |event| recorder.record(Actor::Guest, event);
    by_guest(marked(3));
    by_guest(status(BLOCK, store(1, 0x00)));
    by_guest(status(BLOCK, Access::Load { width: 1, value: 0x00 }));
    by_guest(status(BLOCK, store(1, 0x01)));
    by_guest(status(BLOCK, store(1, 0x03)));
    by_guest(status(OTHER, store(1, 0x0b)));
    by_guest(status(BLOCK, store(1, 0x0f)));
    by_guest(marked(4));
    by_guest(line("reading"));
    by_guest(stored(Area::Desc, 0x38, 8, 0x0002_0003_0000_0200));
    by_guest(stored(Area::Avail, 4, 2, 3));
    by_guest(stored(Area::Avail, 2, 2, 1));
    let register = Register::Notify { function: BLOCK, queue: 0 };
    by_guest(Event::Register { register, access: store(2, 0) });
    let mut by_device = |event| recorder.record(DEVICE, event);
    let access = Access::Load { width: 2, value: 1 };
    by_device(Event::Ring { queue: 0, field: Ring::AvailIdx, access });
    let (request, status) = (RequestKind::In, RequestStatus::Ok);
    by_device(Event::Request { queue: 0, head: 3, request, sector: 3, len: 512, status });
    by_device(Event::Used { queue: 0, slot: 0, id: 3, len: 513 });
    by_device(Event::Ring { queue: 0, field: Ring::UsedIdx, access: store(2, 1) });
    by_device(Event::Msix { vector: 1, address: 0xfee0_0000, data: 0x31 });
    let register = Register::Unclaimed { space: Space::Port, address: 0x80 };
    let refused = Event::Refused { register, access: store(1, 1), why: Refusal::Unclaimed };
    recorder.record(Actor::Guest, refused);
    recorder.record(Actor::Guest, line("done: *"));
    recorder.record(Actor::Guest, marked(5));
    recorder.entries().to_vec()
}

/// The numbers of the events that `pattern` means.
fn meant(pattern: &Pattern) -> Vec<u64> {
    entries().iter().filter(|entry| pattern.admits(entry)).map(|entry| entry.seq).collect()
}

fn parsed(text: &str) -> Pattern {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
}

fn fails<T: std::fmt::Debug>(found: Result<T, Failure>, message: Expect) {
    message.assert_eq(&format!("{}\n", found.expect_err("it is not so")));
}

#[test]
fn a_register_is_meant_by_its_name_or_by_its_type() {
    let text = "00:04.0 common device_status";
    let typed = common(BLOCK, CommonCfg::DeviceStatus);
    assert_eq!(parsed(text), typed);
    assert_eq!(parsed("guest 00:04.0 common device_status"), typed);
    assert_eq!(meant(&typed), [1, 2, 3, 4, 6]);
    assert_eq!(meant(&parsed("guest * common device_status <-")), [1, 3, 4, 5, 6]);
    assert_eq!(meant(&parsed("guest * common *")), [1, 2, 3, 4, 5, 6]);
    assert_eq!(meant(&register(&Register::DebugMark)), [0, 7, 20]);
    assert_eq!(meant(&mark(Mark::Phase(4))), [7]);
    assert_eq!(meant(&notify(BLOCK, 0)), [12]);
    assert_eq!(meant(&notify(BLOCK, 1)), NONE);
    assert_eq!(meant(&notify(OTHER, 0)), NONE);
}

#[test]
fn an_access_is_meant_by_kind_value_mask_and_width() {
    let status = common(BLOCK, CommonCfg::DeviceStatus);
    assert_eq!(meant(&status.clone().stored()), [1, 3, 4, 6]);
    assert_eq!(meant(&status.clone().loaded()), [2]);
    assert_eq!(meant(&status.clone().value(0)), [1, 2]);
    assert_eq!(meant(&status.clone().stored().bits(0x03, 0x0b)), [4]);
    assert_eq!(meant(&status.clone().width(1)), [1, 2, 3, 4, 6]);
    assert_eq!(meant(&status.clone().width(2)), NONE);
    assert_eq!(meant(&status.clone().by(DEVICE)), NONE);
    assert_eq!(meant(&status.of(OTHER)), [5]);
    let register = "guest 00:04.0 common device_status";
    for (access, expected) in [
        ("<- 03", &[4][..]),
        ("<- 0003", &[]),
        ("<- 0x3", &[4]),
        ("<- 02/02", &[4, 6]),
        ("<- 0x2/0x2", &[4, 6]),
        ("-> 00", &[2]),
        ("-- 00", &[1, 2]),
        ("<- **", &[1, 3, 4, 6]),
        ("<- ****", &[]),
        ("<- *", &[1, 3, 4, 6]),
        ("->", &[2]),
    ] {
        assert_eq!(meant(&parsed(&format!("{register} {access}"))), expected, "{access}");
    }
}

#[test]
fn what_was_refused_is_meant_only_by_who_says_so() {
    assert_eq!(meant(&parsed("guest port 0080 <- 01")), NONE);
    assert_eq!(meant(&parsed("guest port 0080 <- 01 refused")), [18]);
    assert_eq!(meant(&parsed("guest port 0080 <- 01 refused: no device answers")), [18]);
    assert_eq!(meant(&parsed("* * <- * refused")), [18]);
    assert_eq!(meant(&any(Kind::Refused)), [18]);
    assert_eq!(meant(&any(Kind::Port)), [0, 7, 18, 20]);
}

#[test]
fn watched_memory_is_meant_by_the_field_that_is_stored() {
    let field = |field| ram(BLOCK, 0, field).stored();
    assert_eq!(meant(&field(Field::Ring(Ring::AvailIdx))), [11]);
    assert_eq!(meant(&parsed("guest 00:04.0 q0 avail.idx at 0x1002 <- 0001")), [11]);
    // Not what the device reads.
    assert_eq!(meant(&parsed("00:04.0 q0 avail.idx -> 0001")), [13]);
    assert_eq!(meant(&parsed("* q0 avail.idx")), [11, 13]);
    // One store of 8 bytes meets three fields, and has the value of each.
    assert_eq!(meant(&field(Field::Len(3)).value(0x200)), [9]);
    assert_eq!(meant(&field(Field::Flags(3)).value(3).width(2)), [9]);
    assert_eq!(meant(&parsed("guest 00:04.0 q0 desc[3].next <- 0002")), [9]);
    assert_eq!(meant(&parsed("guest 00:04.0 q0 desc[3].len <- 0002000300000200")), [9]);
    assert_eq!(meant(&field(Field::Addr(3))), NONE);
    assert_eq!(meant(&ram(BLOCK, 1, Field::Len(3))), NONE);
    assert_eq!(meant(&parsed("guest 00:04.0 q0 avail.ring[*] <- 0003")), [10]);
}

#[test]
fn a_device_is_meant_by_what_it_did() {
    let read = request(RequestKind::In);
    assert_eq!(meant(&read), [14]);
    let exact = read.clone().queue(0).sector(3).bytes(512).status(RequestStatus::Ok);
    assert_eq!(meant(&exact), [14]);
    assert_eq!(meant(&exact.clone().queue(1)), NONE);
    assert_eq!(meant(&exact.clone().sector(4)), NONE);
    assert_eq!(meant(&exact.clone().bytes(511)), NONE);
    assert_eq!(meant(&exact.clone().status(RequestStatus::IoErr)), NONE);
    assert_eq!(meant(&exact.clone().sector(4).sector(3)), [14]);
    assert_eq!(meant(&request(RequestKind::Out)), NONE);
    assert_eq!(meant(&parsed("00:04.0 q0 request *: in sector 3, * bytes: ok")), [14]);
    assert_eq!(meant(&parsed("00:05.0 q0 request *: in sector 3, * bytes: ok")), NONE);
    assert_eq!(meant(&parsed("00:04.0 q0 used.ring[*] <- id 3 len *")), [15]);
    assert_eq!(meant(&message(1)), [17]);
    assert_eq!(meant(&message(0)), NONE);
    assert_eq!(meant(&message(1).of(OTHER)), NONE);
    assert_eq!(meant(&parsed("00:04.0 msix 1: 00000031 to fee00000")), [17]);
    assert_eq!(meant(&any(Kind::Interrupt)), [17]);
    assert_eq!(meant(&any(Kind::Interrupt).of(OTHER)), NONE);
    assert_eq!(meant(&fault("*")), NONE);
}

#[test]
fn the_console_is_meant_by_the_line() {
    assert_eq!(meant(&console("reading")), [8]);
    assert_eq!(meant(&console("read")), NONE);
    assert_eq!(meant(&console("*n*")), [8, 19]);
    assert_eq!(meant(&parsed("guest console done: *")), [19]);
    assert_eq!(meant(&parsed("guest console *")), [8, 19]);
}

#[test]
fn every_line_of_a_transcript_means_its_event_and_no_other_but_one_alike() {
    let entries = entries();
    for entry in &entries {
        for text in [entry.to_string(), format!("  {:>6}  {entry}", entry.seq)] {
            let pattern = parsed(&text);
            let alike: Vec<_> = entries.iter().filter(|e| pattern.admits(e)).collect();
            assert_eq!(alike, [entry], "{text}");
            assert_eq!(parsed(&pattern.to_string()), pattern, "{text}");
        }
    }
}

#[test]
fn a_text_that_can_mean_nothing_is_refused() {
    let refused = |text: &str| text.parse::<Pattern>().expect_err("it means nothing").to_string();
    let is = |text, message: Expect| message.assert_eq(&refused(text));
    is(
        "00:04.0 common device_statsu",
        expect![[
            r#""00:04.0 common device_statsu" is no pattern: there is no register, field or event "common device_statsu""#
        ]],
    );
    is(
        "common device_status",
        expect![[
            r#""common device_status" is no pattern: it begins with "common"; who did it comes first: guest, a function such as 00:04.0, or *"#
        ]],
    );
    is(
        "00:04.0 q0 avail.index",
        expect![[
            r#""00:04.0 q0 avail.index" is no pattern: there is no register, field or event "q0 avail.index""#
        ]],
    );
    let value = "write 2, 4, 8 or 16 hexadecimal digits, as wide as the access, or 0x and any number of them";
    for text in ["f", "00f", "0g", "+f", "0x", "***", "0f/", "0f/x", "11112222333344445"] {
        let line = format!("guest 00:04.0 common device_status <- {text}");
        let message = format!("{line:?} is no pattern: {text:?} is no value: {value}");
        assert_eq!(refused(&line), message);
    }
    for text in ["", " ", "12", "guest", "guest ", "00:04.0", "robot 00:04.0 isr"] {
        refused(text);
    }
}

#[test]
fn registers_of_every_structure_have_names() {
    for name in [
        "config vendor_id",
        "config secondary_bus",
        "config command+1",
        "ecam bar0",
        "config msix.message_control",
        "config virtio_common.offset",
        "config virtio_05.bar+3",
        "config virtio_notify.notify_off_multiplier",
        "config capability_05.+02",
        "ecam +fc",
        "common queue_desc_low",
        "notify q7",
        "isr",
        "block capacity_low",
        "legacy queue_address",
        "legacy config+14",
        "msix table[1].vector_control",
        "msix pba+0",
        "ata status/command",
        "ata data",
        "bar4 +4000",
    ] {
        let register = parsed(&format!("00:04.0 {name}"));
        assert_eq!(register.to_string(), format!("guest 00:04.0 {name}"));
    }
    for name in
        ["config_address", "debug_exit", "reset_control", "keyboard command", "memory a0000"]
    {
        assert_eq!(parsed(&format!("guest {name}")).to_string(), format!("guest {name}"));
    }
}

#[test]
fn events_come_in_order() {
    let entries = entries();
    let capture = Capture::of(&entries);
    let found = capture.in_order([
        "guest 00:04.0 common device_status <- 00",
        "guest 00:04.0 common device_status <- 03",
        "guest 00:04.0 common device_status <- 0f",
    ]);
    assert_eq!(found.iter().map(|entry| entry.seq).collect::<Vec<_>>(), [1, 4, 6]);
    fails(
        capture.try_in_order([
            "guest 00:04.0 common device_status <- 03",
            "guest 00:04.0 common device_status <- 0b",
        ]),
        expect![[r#"
            expected in order, as number 2 of 2:
                guest 00:04.0 common device_status <- 0b
            found none after number 1:
                     4  guest   00:04.0 common device_status <- 03
            nearest is event 6: value 0f, not 0b
                     4  guest   00:04.0 common device_status <- 03
                     5  guest   00:05.0 common device_status <- 0b
              >      6  guest   00:04.0 common device_status <- 0f
                     7  guest   debug_mark <- 00000004
                     8  guest   console reading
        "#]],
    );
    fails(
        capture.try_in_order([
            "guest 00:04.0 common device_status <- 03",
            "guest 00:04.0 common device_status <- 01",
        ]),
        expect![[r#"
            expected in order, as number 2 of 2:
                guest 00:04.0 common device_status <- 01
            found none after number 1:
                     4  guest   00:04.0 common device_status <- 03
            nearest is event 3: it comes before that
                     1  guest   00:04.0 common device_status <- 00
                     2  guest   00:04.0 common device_status -> 00
              >      3  guest   00:04.0 common device_status <- 01
                     4  guest   00:04.0 common device_status <- 03
                     5  guest   00:05.0 common device_status <- 0b
        "#]],
    );
    fails(
        capture.try_in_order(["00:04.0 msix 1: * to *", "00:04.0 msix 1: * to *"]),
        expect![[r#"
            expected in order, as number 2 of 2:
                00:04.0 msix 1: * to *
            found none after number 1:
                    17  00:04.0 msix 1: 00000031 to fee00000
            nearest is event 17: it is that one itself
                    15  00:04.0 q0 used.ring[0] <- id 3 len 513
                    16  00:04.0 q0 used.idx <- 0001
              >     17  00:04.0 msix 1: 00000031 to fee00000
                    18  guest   port 0080 <- 01 refused: no device answers
                    19  guest   console done: *
        "#]],
    );
}

#[test]
fn an_event_comes_exactly_once() {
    let entries = entries();
    let capture = Capture::of(&entries);
    assert_eq!(capture.exactly_once(request(RequestKind::In)).seq, 14);
    fails(
        capture.try_exactly_once(request(RequestKind::In).sector(4)),
        expect![[r#"
            expected exactly once:
                * q* request *: in sector 4, * bytes: *
            found never
            nearest is event 14: sector 3, not 4
                    12  guest   00:04.0 notify q0 <- 0000
                    13  00:04.0 q0 avail.idx -> 0001
              >     14  00:04.0 q0 request 3: in sector 3, 512 bytes: ok
                    15  00:04.0 q0 used.ring[0] <- id 3 len 513
                    16  00:04.0 q0 used.idx <- 0001
        "#]],
    );
    fails(
        capture.try_exactly_once(common(BLOCK, CommonCfg::DeviceStatus).bits(2, 2)),
        expect![[r#"
            expected exactly once:
                guest 00:04.0 common device_status -- 0x2/0x2
            found 2 times:
                     4  guest   00:04.0 common device_status <- 03
                     6  guest   00:04.0 common device_status <- 0f
        "#]],
    );
    fails(
        capture.try_exactly_once("00:04.0 needs reset"),
        expect![[r#"
            expected exactly once:
                00:04.0 needs reset
            found never
            nothing comes near it
        "#]],
    );
}

#[test]
fn an_event_comes_so_many_times() {
    let entries = entries();
    let capture = Capture::of(&entries);
    assert_eq!(capture.times(3, "guest debug_mark <-").len(), 3);
    assert_eq!(capture.times(0, "guest debug_exit").len(), 0);
    fails(
        capture.try_times(2, "guest 00:04.0 common device_status <- 03"),
        expect![[r#"
            expected 2 times:
                guest 00:04.0 common device_status <- 03
            found once:
                     4  guest   00:04.0 common device_status <- 03
            nearest is event 3: value 01, not 03
                     1  guest   00:04.0 common device_status <- 00
                     2  guest   00:04.0 common device_status -> 00
              >      3  guest   00:04.0 common device_status <- 01
                     4  guest   00:04.0 common device_status <- 03
                     5  guest   00:05.0 common device_status <- 0b
        "#]],
    );
    fails(
        capture.try_times(2, "* * *"),
        expect![[r#"
            expected 2 times:
                * *
            found 20 times:
                     0  guest   debug_mark <- 00000003
                     1  guest   00:04.0 common device_status <- 00
                     2  guest   00:04.0 common device_status -> 00
                     3  guest   00:04.0 common device_status <- 01
                     4  guest   00:04.0 common device_status <- 03
                     5  guest   00:05.0 common device_status <- 0b
                     6  guest   00:04.0 common device_status <- 0f
                     7  guest   debug_mark <- 00000004
                      and 12 more
        "#]],
    );
}

#[test]
fn an_event_never_comes() {
    let entries = entries();
    let capture = Capture::of(&entries);
    capture.never(any(Kind::Violation));
    capture.never("00:04.0 needs reset");
    fails(
        capture.try_never(any(Kind::Interrupt)),
        expect![[r#"
            expected never:
                any event of kind interrupt
            found event 17:
                    15  00:04.0 q0 used.ring[0] <- id 3 len 513
                    16  00:04.0 q0 used.idx <- 0001
              >     17  00:04.0 msix 1: 00000031 to fee00000
                    18  guest   port 0080 <- 01 refused: no device answers
                    19  guest   console done: *
        "#]],
    );
    let failure = capture.try_never("guest 00:04.0 common device_status <-").unwrap_err();
    assert_eq!(failure.nearest, Some(1));
    assert!(failure.to_string().contains("\nfound event 1, and 3 more:\n"), "{failure}");
}

#[test]
fn these_events_come_and_no_others() {
    let entries = entries();
    let status = Capture::of(&entries).only(["guest 00:04.0 common device_status <-"]);
    let [reset, acknowledge, driver, ok] =
        ["00", "01", "03", "0f"].map(|v| format!("guest 00:04.0 common device_status <- {v}"));
    let all = [&*reset, &*acknowledge, &*driver, &*ok];
    assert_eq!(status.exactly(all).len(), 4);
    fails(
        status.try_exactly([&*reset, &*acknowledge, &*ok]),
        expect![[r#"
            expected exactly 3 event(s), as number 3, only of `guest 00:04.0 common device_status <- *`:
                guest 00:04.0 common device_status <- 0f
            found event 4: value 03, not 0f
                     2  guest   00:04.0 common device_status -> 00
                     3  guest   00:04.0 common device_status <- 01
              >      4  guest   00:04.0 common device_status <- 03
                     5  guest   00:05.0 common device_status <- 0b
                     6  guest   00:04.0 common device_status <- 0f
        "#]],
    );
}

#[test]
fn an_event_is_missing_or_one_too_many() {
    let entries = entries();
    let marks = Capture::of(&entries).only(["guest debug_mark"]);
    let [first, second, third] = [3, 4, 5].map(Mark::Phase).map(mark);
    let fourth = mark(Mark::Phase(6));
    fails(
        marks.try_exactly([&first, &second, &third, &fourth]),
        expect![[r#"
            expected exactly 4 event(s), as number 4, only of `guest debug_mark`:
                guest debug_mark <- 0x6
            found 3, the last of them:
                    18  guest   port 0080 <- 01 refused: no device answers
                    19  guest   console done: *
              >     20  guest   debug_mark <- 00000005
        "#]],
    );
    fails(
        marks.try_exactly([&first, &second]),
        expect![[r#"
            expected exactly 2 event(s), only of `guest debug_mark`:
            found 3; too many from this one on:
                    18  guest   port 0080 <- 01 refused: no device answers
                    19  guest   console done: *
              >     20  guest   debug_mark <- 00000005
        "#]],
    );
    fails(
        marks.only([&fourth]).try_exactly([&fourth]),
        expect![[r#"
            expected exactly 1 event(s), as number 1, only of `guest debug_mark`, only of `guest debug_mark <- 0x6`:
                guest debug_mark <- 0x6
            found none
        "#]],
    );
    assert_eq!(marks.only([&fourth]).exactly([""; 0]).len(), 0);
}

fn numbers(capture: &Capture<'_>) -> Vec<u64> {
    capture.entries().iter().map(|entry| entry.seq).collect()
}

#[test]
fn a_phase_is_what_the_guest_marked_or_what_lies_between_two_events() {
    let entries = entries();
    let capture = Capture::of(&entries);
    let range = |range: std::ops::Range<u64>| range.collect::<Vec<_>>();
    assert_eq!(numbers(&capture.within(&Phase::marked(3))), range(0..7));
    assert_eq!(numbers(&capture.within(&Phase::marked(4))), range(7..20));
    // To the end.
    assert_eq!(numbers(&capture.within(&Phase::marked(5))), range(20..21));
    let phase = Phase::between(console("reading"), "00:04.0 msix 1: * to *");
    assert_eq!(numbers(&capture.within(&phase)), range(8..17));
    // A window of a window.
    assert_eq!(numbers(&capture.within(&Phase::marked(4)).within(&phase)), range(8..17));
    let twice = Phase::between("guest debug_mark <-", "guest debug_mark <-");
    assert_eq!(numbers(&capture.within(&twice)), range(0..7));
    let before = capture.before("guest 00:04.0 notify q0");
    assert_eq!(numbers(&before), range(0..12));
    assert_eq!(numbers(&before.after("guest console *")), range(9..12));
    fails(
        capture.within(&Phase::marked(4)).try_never(notify(BLOCK, 0)),
        expect![[r#"
            expected never, within phase 4 (events 7 to 19):
                guest 00:04.0 notify q0 <- *
            found event 12:
                    10  guest   00:04.0 q0 avail.ring[0] at 0x1004 <- 0003
                    11  guest   00:04.0 q0 avail.idx at 0x1002 <- 0001
              >     12  guest   00:04.0 notify q0 <- 0000
                    13  00:04.0 q0 avail.idx -> 0001
                    14  00:04.0 q0 request 3: in sector 3, 512 bytes: ok
        "#]],
    );
}

#[test]
fn a_phase_that_is_not_there_is_said_so() {
    let entries = entries();
    let capture = Capture::of(&entries);
    fails(
        capture.try_within(&Phase::marked(2)).map(|_| ()),
        expect![[r#"
            expected phase 2:
                guest debug_mark <- 0x2
            found never
            nearest is event 0: value 00000003, not 00000002
              >      0  guest   debug_mark <- 00000003
                     1  guest   00:04.0 common device_status <- 00
                     2  guest   00:04.0 common device_status -> 00
        "#]],
    );
    fails(
        capture.try_within(&Phase::between(console("reading"), console("over"))).map(|_| ()),
        expect![[r#"
            expected the end of `guest console reading` until `guest console over`:
                guest console over
            found none after event 8
            nearest is event 19: line done: *, not over
                    17  00:04.0 msix 1: 00000031 to fee00000
                    18  guest   port 0080 <- 01 refused: no device answers
              >     19  guest   console done: *
                    20  guest   debug_mark <- 00000005
        "#]],
    );
    fails(
        capture.try_before("guest 00:04.0 notify q1").map(|_| ()),
        expect![[r#"
            expected what is before:
                guest 00:04.0 notify q1
            found never
            nearest is event 12: notify q0, not notify q1
                    10  guest   00:04.0 q0 avail.ring[0] at 0x1004 <- 0003
                    11  guest   00:04.0 q0 avail.idx at 0x1002 <- 0001
              >     12  guest   00:04.0 notify q0 <- 0000
                    13  00:04.0 q0 avail.idx -> 0001
                    14  00:04.0 q0 request 3: in sector 3, 512 bytes: ok
        "#]],
    );
    fails(
        capture.after(console("reading")).try_after(console("reading")).map(|_| ()),
        expect![[r#"
            expected what is after, after `guest console reading` (events 9 to 20):
                guest console reading
            found never
            nearest is event 19: line done: *, not reading
                    17  00:04.0 msix 1: 00000031 to fee00000
                    18  guest   port 0080 <- 01 refused: no device answers
              >     19  guest   console done: *
                    20  guest   debug_mark <- 00000005
        "#]],
    );
}

/// The line that says which event is nearest, and what is otherwise about it.
fn nearest(pattern: &str) -> String {
    let entries = entries();
    let failure = Capture::of(&entries).try_exactly_once(pattern).unwrap_err().to_string();
    let line =
        failure.lines().find(|line| line.starts_with("nearest") || line.starts_with("nothing"));
    line.unwrap_or_default().to_string()
}

#[test]
fn nearest_is_the_register_then_the_function_then_the_value() {
    let is = |pattern, expected: &str| assert_eq!(nearest(pattern), expected, "{pattern}");
    // The same value at another function is farther than another value here.
    // The fewest bits differ; of equals the first.
    is("guest 00:04.0 common device_status <- 0b", "nearest is event 4: value 03, not 0b");
    is("guest 00:04.0 common device_status <- 4f", "nearest is event 6: value 0f, not 4f");
    is("guest 00:04.0 common device_status <- 83", "nearest is event 4: value 03, not 83");
    is("guest 00:04.0 common device_status <- 02", "nearest is event 1: value 00, not 02");
    is("guest 00:04.0 common device_status <- 02/03", "nearest is event 1: value 00, not 02/03");
    is("guest 00:04.0 common device_status -> 0f", "nearest is event 2: value 00, not 0f");
    is(
        "guest 00:06.0 common device_status <- 0b",
        "nearest is event 5: function 00:05.0, not 00:06.0",
    );
    is("guest 00:04.0 common device_status <- 000f", "nearest is event 6: width 1, not 2");
    is(
        "guest 00:04.0 common queue_size <- 0f",
        "nearest is event 6: common device_status, not common queue_size",
    );
    is(
        "guest 00:04.0 q0 avail.ring[1] <- 0003",
        "nearest is event 10: q0 avail.ring[0], not q0 avail.ring[1]",
    );
    is("00:04.0 q0 avail.idx <- 0001", "nearest is event 11: by guest, not 00:04.0");
    is("guest port 0080 <- 01", "nearest is event 18: refused, not taken");
    is(
        "00:04.0 q0 request *: out sector 3, * bytes: ioerr",
        "nearest is event 14: kind in, not out; status ok, not ioerr",
    );
    is("guest debug_exit <-", "nothing comes near it");
    is("00:04.0 violation of *: *", "nothing comes near it");
}

#[test]
fn an_empty_transcript_fails_in_words() {
    let capture = Capture::of(&[]);
    fails(
        capture.try_exactly_once(message(0)),
        expect![[r#"
            expected exactly once:
                * msix 0: * to *
            found never
            nothing comes near it
        "#]],
    );
    capture.never(message(0));
    assert_eq!(capture.in_order([""; 0]).len(), 0);
}

#[test]
fn an_expectation_panics_with_the_failure() {
    let panicked = std::panic::catch_unwind(|| {
        Capture::of(&entries()).never("guest 00:04.0 notify q0 <- 0000");
    });
    let message = panicked.unwrap_err().downcast::<String>().expect("a message");
    assert!(
        message
            .starts_with("expected never:\n    guest 00:04.0 notify q0 <- 0000\nfound event 12:\n")
    );
    let panicked = std::panic::catch_unwind(|| {
        Capture::of(&entries()).never("guest 00:04.0 notify 0 <- 0000");
    });
    let message = panicked.unwrap_err().downcast::<String>().expect("a message");
    assert!(message.ends_with(r#"there is no register, field or event "notify 0""#), "{message}");
}
