//! Schedules of faults in TOML, and what is said of those that are none.

use eclipse_devices::fault::{
    Action, Area, Edit, Fault, Field, Place, RingField, Trigger, Value, Vector, parse,
};
use eclipse_trace::register::CapabilityKind;
use eclipse_trace::{Bdf, RequestKind, Setting};

#[test]
fn a_file_has_a_fault_a_table() {
    let text = r#"
[[fault]]
name = "status lies"
device = "00:05.0"
on = { load = "common.device_status", nth = 3 }
do = { return = 0xff }
limit = "from now on"

[[fault]]
on = { store = "queue_select", value = 2 }
do = { xor = 1 }
limit = 4

[[fault]]
on = { completion = "in" }
do = { used_id = 0x10003, used_len = "+1" }
"#;
    let load = Trigger::Load("common.device_status".parse().unwrap());
    let store = Trigger::Store("common.queue_select".parse().unwrap(), Some(2));
    let element = Action::UsedElement { id: Some(Value::Set(0x10003)), len: Some(Value::Add(1)) };
    assert_eq!(
        parse(text),
        Ok(vec![
            Fault::new(load, Action::Alter(Value::Set(0xff)))
                .named("status lies")
                .of(Bdf::new(0, 5, 0))
                .nth(3)
                .from_now_on(),
            Fault::new(store, Action::Alter(Value::Xor(1))).times(4),
            Fault::new(Trigger::Completion(Some(RequestKind::In)), element),
        ])
    );
}

#[test]
fn every_action_can_be_written() {
    let action = |on: &str, does: &str| {
        let text = format!("[[fault]]\non = {{ {on} }}\ndo = {{ {does} }}\n");
        let mut schedule = parse(&text).unwrap_or_else(|error| panic!("{text}{error}"));
        schedule.remove(0).action
    };
    let completion = |does| action("completion = \"any\"", does);
    let load = |does| action("load = \"isr\"", does);
    assert_eq!(load("or = 0x80"), Action::Alter(Value::Or(0x80)));
    assert_eq!(load("and = 0x01"), Action::Alter(Value::And(1)));
    assert_eq!(load("add = 1"), Action::Alter(Value::Add(1)));
    assert_eq!(load("stick = true"), Action::Stick);
    assert_eq!(load("remove = true"), Action::Remove);
    assert_eq!(load("interrupt = \"q1\""), Action::Interrupt(Vector::Queue(1)));
    assert_eq!(load("interrupt = \"config\""), Action::Interrupt(Vector::Config));
    assert_eq!(load("needs_reset = true"), Action::NeedsReset);
    assert_eq!(load("poll = 0"), Action::Poll(0));
    assert_eq!(load("capacity = \"0xffffffffffffffff\""), Action::Capacity(u64::MAX));
    assert_eq!(action("notify = 0", "ignore = true"), Action::Ignore);
    assert_eq!(completion("used_idx = \"-1\""), Action::UsedIdx(Value::Add(-1)));
    assert_eq!(completion("no_used_element = true"), Action::NoUsedElement);
    assert_eq!(completion("status = 3"), Action::Status(Some(Value::Set(3))));
    assert_eq!(completion("no_status = true"), Action::Status(None));
    assert_eq!(completion("no_data = true"), Action::NoData);
    assert_eq!(completion("lose = 1"), Action::Lose { kept: 1 });
    assert_eq!(completion("drop = true"), Action::Drop);
    assert_eq!(completion("delay = 9"), Action::Delay(9));
    assert_eq!(completion("swap = true"), Action::Swap);
    assert_eq!(completion("hold = true"), Action::Hold);
    assert_eq!(load("release = true"), Action::Release);
    assert_eq!(load("no_interrupt = \"config\""), Action::NoInterrupt(Some(Vector::Config)));
    assert_eq!(completion("duplicate = 0"), Action::Duplicate(0));
    assert_eq!(completion("no_interrupt = true"), Action::NoInterrupt(None));
    let memory = |at, bytes: &[u8]| Action::Memory { at, bytes: bytes.into() };
    assert_eq!(
        completion("memory = \"data+8\", bytes = [1, 0xa5]"),
        memory(Place::Data(8), &[1, 0xa5])
    );
    assert_eq!(
        completion("memory = \"used+2\", bytes = [0]"),
        memory(Place::Area(Area::Used, 2), &[0])
    );
    assert_eq!(
        completion("memory = \"indirect+14\", bytes = [0]"),
        memory(Place::Indirect(14), &[0])
    );
    assert_eq!(completion("memory = 0x8000, bytes = []"), memory(Place::Address(0x8000), &[]));
    assert_eq!(
        completion("descriptor = 3, field = \"flags\", value = \"xor 2\""),
        Action::Descriptor { index: 3, field: Field::Flags, value: Value::Xor(2) }
    );
    let boot = |does| action("boot = true", does);
    assert_eq!(
        boot("edit = \"virtio_notify.bar\", value = 6"),
        Action::Edit(Edit::Register("virtio_notify.bar".parse().unwrap(), Value::Set(6)))
    );
    assert_eq!(boot("offset = 0x34, bytes = [0x41]"), Action::Edit(Edit::Bytes(0x34, vec![0x41])));
    assert_eq!(boot("unlink = \"msix\""), Action::Edit(Edit::Unlink(CapabilityKind::Msix)));
    assert_eq!(
        boot("machine = \"notify_multiplier\", value = 2"),
        Action::Machine(Setting::NotifyMultiplier, 2)
    );
    assert_eq!(boot("prepend = 9, bytes = [16]"), Action::Edit(Edit::Prepend(9, vec![16])));
    assert_eq!(boot("append = 9, bytes = [16]"), Action::Edit(Edit::Append(9, vec![16])));
}

#[test]
fn every_trigger_can_be_written() {
    let trigger = |on: &str| {
        let text = format!("[[fault]]\non = {{ {on} }}\ndo = {{ no_interrupt = true }}\n");
        parse(&text).unwrap_or_else(|error| panic!("{text}{error}")).remove(0).trigger
    };
    assert_eq!(trigger("config_load = 0x34"), Trigger::ConfigLoad(0x34));
    assert_eq!(trigger("notify = 1"), Trigger::Notify(1));
    assert_eq!(trigger("completion = \"any\""), Trigger::Completion(None));
    assert_eq!(trigger("exit = true, nth = 5"), Trigger::Exit);
    assert_eq!(trigger("halt = true"), Trigger::Halt);
    let field = |name: &str| name.parse::<RingField>().unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(field("used+2"), RingField::USED_IDX);
    assert_eq!(trigger("ring_load = \"used.idx\""), Trigger::RingLoad(RingField::USED_IDX));
    assert_eq!(trigger("ring_reload = \"used.ring.id\""), Trigger::RingReload(RingField::USED_ID));
    assert_eq!(trigger("ring_store = \"q1.avail+2\""), Trigger::RingStore(field("q1.avail.idx")));
    assert_eq!(
        trigger("ring_write = \"used.avail_event\""),
        Trigger::RingWrite(RingField::AVAIL_EVENT)
    );
}

/// The message for a file whose one mistake is in `text`, and where `|` stands in it.
#[track_caller]
fn refused(text: &str, what: &str) {
    let at = text.find('|').expect("the place is marked");
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    let error = parse(&text.replacen('|', "", 1)).expect_err("it is refused");
    assert_eq!((error.line, error.column), (line, column), "{error}");
    let sentence = format!("line {line}, column {column}: {what}");
    assert!(error.to_string().starts_with(&sentence), "{error}");
}

#[test]
fn a_mistake_is_named_with_its_line_and_column() {
    let with = |on: &str, does: &str| format!("# é\n[[fault]]\non = {on}\ndo = {does}\n");
    refused("[[fault]|\n", "unclosed array table");
    refused("[|faults]\n", "a schedule has tables [[fault]], no \"faults\"");
    refused("[[|faults]]\n", "a schedule has tables [[fault]], no [[faults]]");
    refused("|[[fault]]\non = { exit = true }\n", "a fault needs `do = { ... }`");
    refused(
        &with("{ load = |\"common.device_statsu\" }", "{ return = 1 }"),
        "there is no register \"common.device_statsu\"; common.device_status is one",
    );
    refused(
        &with("{ load = |\"num_queues\" }", "{ return = 1 }"),
        "there is no register \"num_queues\"; say which: common.num_queues, block.num_queues",
    );
    refused(
        &with("{ load = \"isr\", |nht = 2 }", "{ return = 1 }"),
        "there is no \"nht\"; there are boot, load",
    );
    refused(&with("|{ nth = 2 }", "{ return = 1 }"), "one of these is wanted: boot, load");
    refused(
        &with("{ load = \"isr\", exit = |true }", "{ return = 1 }"),
        "\"exit\" is one thing too many",
    );
    refused(&with("{ exit = |1 }", "{ remove = true }"), "this is `true` or left out");
    refused(&with("{ load = \"isr\", value = |1 }", "{ return = 1 }"), "only a store has a value");
    refused(&with("{ load = \"isr\" }", "{ return = |-1 }"), "a number from 0 to 2^64-1");
    refused(&with("{ load = \"isr\" }", "{ return = |1.5 }"), "a number from 0 to 2^64-1");
    refused(&with("{ load = |7 }", "{ return = 1 }"), "a string is wanted, not integer");
    refused(&with("{ completion = |\"read\" }", "{ drop = true }"), "there is no request \"read\"");
    refused(
        &with("{ completion = \"any\" }", "{ interrupt = |\"queue\" }"),
        "an interrupt is that of",
    );
    refused(
        &with("{ boot = true }", "{ unlink = |\"virtio\" }"),
        "there is no capability \"virtio\"",
    );
    refused(&with("{ notify = 0 }", "{ memory = |\"rings\", bytes = [1] }"), "a place is such as");
    refused(&with("{ notify = 0 }", "|{ memory = 1 }"), "\"bytes\" is missing");
    refused(
        &with("{ notify = 0 }", "{ memory = 1, bytes = [1, |256] }"),
        "a number from 0 to 255 is wanted",
    );
    refused("[[fault]]\ndevice = |\"4\"\non = {exit=true}\ndo = {remove=true}\n", "\"4\" is not");
    refused(
        "fault = [{ name = \"é\", limit = |\"x\", on = {exit=true}, do = {remove=true} }]\n",
        "a limit is a number",
    );
    refused(
        "[[fault]]\non = {exit=true}\ndo = {remove=true}\nlimit = |\"always\"\n",
        "a limit is a number or \"from now on\"",
    );
}

#[test]
fn a_fault_that_can_never_strike_is_refused_where_it_is_said() {
    let with = |on: &str, does: &str| format!("[[fault]]\non = {on}\ndo = {does}\n");
    refused(
        &with("|{ store = \"device_feature\" }", "{ ignore = true }"),
        "common.device_feature is read-only",
    );
    refused(
        &with("{ ring_load = |\"used+3\" }", "{ no_interrupt = true }"),
        "no field of a ring is \"used+3\"",
    );
    refused(
        &with("{ ring_write = \"used.idx\" }", "|{ return = 0x10000 }"),
        "0x10000 is wider than the field, which has 2 bytes",
    );
    refused(&with("{ ring_load = \"used.idx\" }", "|{ ignore = true }"), "this can only be done");
    refused(
        &with("{ exit = true }", "|{ machine = \"vectors\", value = 1 }"),
        "this can only be done before the guest begins, at boot",
    );
    refused(
        &with("{ boot = true }", "{ machine = |\"vector\", value = 1 }"),
        "a machine has no \"vector\"; there are offer, withhold",
    );
    refused(&with("|{ config_load = 0x100 }", "{ return = 1 }"), "configuration space ends at ff");
    refused(&with("|{ exit = true, nth = 0 }", "{ remove = true }"), "times are counted from 1");
    refused(
        &with("{ load = \"device_status\" }", "|{ return = 0x100 }"),
        "0x100 is wider than common.device_status, which has 1 bytes",
    );
    refused(
        &with("{ load = \"device_status\" }", "|{ drop = true }"),
        "this can only be done at a completion",
    );
    refused(&with("{ exit = true }", "|{ stick = true }"), "this can only be done at a load");
    refused(
        &with("{ exit = true }", "|{ edit = \"config.vendor_id\", value = 0 }"),
        "this can only be done before the guest begins, at boot",
    );
    refused(
        &with("{ boot = true }", "|{ edit = \"common.queue_size\", value = 0 }"),
        "common.queue_size is not in configuration space",
    );
    refused(
        &with("{ boot = true }", "|{ offset = 0xff, bytes = [1, 2] }"),
        "configuration space ends at ff, not at 100",
    );
}
