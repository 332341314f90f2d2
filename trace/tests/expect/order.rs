//! What comes in order, so many times, or never.

use eclipse_trace::expect::{Capture, any, common, mark, request};
use eclipse_trace::register::CommonCfg;
use eclipse_trace::{Kind, Mark, RequestKind};
use expect_test::expect;

use super::{BLOCK, entries, fails};

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
