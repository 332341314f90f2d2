//! Phases and other windows, the nearest event, and how a failure is told.

use eclipse_trace::expect::{Capture, Phase, console, message, notify};
use expect_test::expect;

use super::{BLOCK, entries, fails};

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
    let failure =
        Capture::of(&entries).try_exactly_once(pattern).expect_err("it fails").to_string();
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
