//! What a pattern means, and what is none.

use eclipse_trace::expect::{
    Pattern, any, common, console, fault, mark, message, notify, ram, register, request,
};
use eclipse_trace::register::CommonCfg;
use eclipse_trace::{Field, Kind, Mark, Register, RequestKind, RequestStatus, Ring};
use expect_test::{Expect, expect};

use super::{BLOCK, DEVICE, OTHER, entries};

const NONE: [u64; 0] = [];

/// The numbers of the events that `pattern` means.
fn meant(pattern: &Pattern) -> Vec<u64> {
    entries().iter().filter(|entry| pattern.admits(entry)).map(|entry| entry.seq).collect()
}

fn parsed(text: &str) -> Pattern {
    text.parse().unwrap_or_else(|error| panic!("{error}"))
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
