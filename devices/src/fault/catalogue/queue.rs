//! The used ring, descriptors, and what driver and device share.

use eclipse_trace::Setting;

use super::{
    Action, Chosen, Fault, Kind, NTH, Row, Trigger, Value, completion, machine, not, number, row,
};
use crate::fault::{Area, Field, Place, RingField};
use crate::virtio::Features;

pub(super) const ROWS: &[Row] = &[
    row(
        "F65",
        Kind::Malicious,
        "used.id is outside the table",
        &[number("id", 0x10003, "queue size, FFFFh, 10000h + a valid one, FFFFFFFFh"), NTH],
        |p| element(p, Some(Value::Set(p.get("id"))), None),
    ),
    row(
        "F66",
        Kind::Malicious,
        "used.id is a descriptor in the middle of a chain",
        &[number("further", 1, "how far behind the head"), NTH],
        |p| element(p, Some(Value::Add(p.get("further") as i64)), None),
    ),
    row(
        "F67",
        Kind::Malicious,
        "used.id is a descriptor that was never submitted",
        &[number("id", 15, ""), NTH],
        |p| element(p, Some(Value::Set(p.get("id"))), None),
    ),
    row(
        "F68",
        Kind::Malicious,
        "a chain is given back twice",
        &[number("exits", 0, "the second time so many accesses later; 0: at once"), NTH],
        |p| vec![completion(Action::Duplicate(p.get("exits"))).nth(p.get("nth"))],
    ),
    row("F69", Kind::Legal, "every other chain is given back behind the one after it", &[], |_| {
        vec![completion(Action::Swap).from_now_on()]
    }),
    row(
        "F70",
        Kind::Malicious,
        "used.len is not what was written",
        &[number("len", 0, "0, 1, all but one, too many, FFFFFFFFh"), NTH],
        |p| element(p, None, Some(Value::Set(p.get("len")))),
    ),
    row(
        "F71",
        Kind::Malicious,
        "used.idx jumps",
        &[number("by", 2, "further than it should; FFFFh: back"), NTH],
        |p| vec![completion(Action::UsedIdx(Value::Add(p.get("by") as i64))).nth(p.get("nth"))],
    ),
    row(
        "F72",
        Kind::Broken,
        "used.idx moves on over an element that was not written",
        &[NTH],
        |p| vec![completion(Action::NoUsedElement).nth(p.get("nth"))],
    ),
    row(
        "F73",
        Kind::Malicious,
        "used.idx is another one when it is read again",
        &[number("by", 1, "more than it was; FFFFh: less"), number("nth", 1, "which time again")],
        |p| again(RingField::USED_IDX, Value::Add(p.get("by") as i64), p.get("nth")),
    ),
    row(
        "F74",
        Kind::Malicious,
        "a used element changes between check and use",
        &[
            number("field", 0, "0 id, 1 len"),
            number("xor", 1, "bits that change"),
            number("nth", 1, "which time that it is read again"),
        ],
        |p| {
            let field = if p.get("field") == 1 { RingField::USED_LEN } else { RingField::USED_ID };
            again(field, Value::Xor(p.get("xor")), p.get("nth"))
        },
    ),
    row("F76", Kind::Broken, "a request is never completed", &[NTH], |p| {
        vec![completion(Action::Drop).nth(p.get("nth"))]
    }),
    row(
        "F77",
        Kind::Malicious,
        "a request is completed after its driver gave up",
        &[number("exits", 20, "after so many further accesses"), NTH],
        |p| vec![completion(Action::Delay(p.get("exits"))).nth(p.get("nth"))],
    ),
    row("F79", Kind::Legal, "the device takes chains without being notified", &[], |_| {
        vec![Fault::new(Trigger::Exit, Action::Poll(0)).from_now_on()]
    }),
    row(
        "F80",
        Kind::Legal,
        "the device asks for no notifications after a request, and for them again after the next",
        &[NTH],
        |p| {
            let flags = |value: u8| Action::Memory {
                at: Place::Area(Area::Used, 0),
                bytes: vec![value, 0],
            };
            vec![
                completion(flags(1)).nth(p.get("nth")),
                completion(flags(0)).nth(p.get("nth") + 1),
                // What the driver does not notify of is found when it sleeps.
                Fault::new(Trigger::Halt, Action::Poll(0)).from_now_on(),
            ]
        },
    ),
    row(
        "F81",
        Kind::Legal,
        "avail_event is anywhere around the available index",
        &[number("by", 0xffff, "more than it should be; FFFFh: less"), NTH],
        |p| {
            let other = Action::Alter(Value::Add(p.get("by") as i64));
            let event = Trigger::RingWrite(RingField::AVAIL_EVENT);
            vec![
                machine(Setting::Offer, Features::EVENT_IDX.bits()),
                Fault::new(event, other).nth(p.get("nth")).from_now_on(),
                // What the driver does not notify of is found when it sleeps.
                Fault::new(Trigger::Halt, Action::Poll(0)).from_now_on(),
            ]
        },
    ),
    row(
        "F82",
        Kind::Malicious,
        "a descriptor in flight is rewritten",
        &[number("index", 0, "which"), number("next", 7, "its new next"), NTH],
        |p| descriptor(p, Field::Next, p.get("next")),
    ),
    row(
        "F83",
        Kind::Malicious,
        "the next field of a free descriptor is rewritten",
        &[number("index", 5, "which"), number("next", 0, "its new next"), NTH],
        |p| descriptor(p, Field::Next, p.get("next")),
    ),
    row(
        "F85",
        Kind::Malicious,
        "an indirect table in flight is rewritten",
        &[number("offset", 8, "which byte of it"), number("byte", 0xa5, "what it becomes"), NTH],
        |p| {
            let at = Place::Indirect(p.get("offset"));
            let patch = Action::Memory { at, bytes: vec![p.get("byte") as u8] };
            vec![
                machine(Setting::Offer, Features::INDIRECT_DESC.bits()),
                completion(patch).nth(p.get("nth")),
            ]
        },
    ),
    row(
        "F87",
        Kind::Malicious,
        "data changes after its request was completed",
        &[number("offset", 0, "which byte"), number("byte", 0xa5, "what it becomes"), NTH],
        |p| {
            let bytes = vec![p.get("byte") as u8];
            let late = Action::Memory { at: Place::Data(p.get("offset")), bytes };
            // The first access after the completion.
            vec![Fault::new(Trigger::Completion(None), late).nth(p.get("nth"))]
        },
    ),
    row(
        "F88",
        Kind::Undefended,
        "the device writes where it was given nothing",
        &[number("address", 0x8000, ""), number("byte", 0xa5, "what is written"), NTH],
        |p| {
            let at = Place::Address(p.get("address"));
            let stray = Action::Memory { at, bytes: vec![p.get("byte") as u8] };
            vec![completion(stray).nth(p.get("nth"))]
        },
    ),
    row(
        "F107",
        Kind::Malicious,
        "packed: the buffer ID of a used descriptor is none that is outstanding",
        &[number("id", 0x55, ""), NTH],
        |p| element(p, Some(Value::Set(p.get("id"))), None),
    ),
    not(
        "F108",
        Kind::Malicious,
        "packed: the flags of a used descriptor are written before the rest",
        "the guest has one processor, which does not run while the device writes",
    ),
    row("F110", Kind::Malicious, "packed: the device skips a slot", &[NTH], |p| {
        vec![completion(Action::NoUsedElement).nth(p.get("nth"))]
    }),
];

fn element(p: &Chosen<'_>, id: Option<Value>, len: Option<Value>) -> Vec<Fault> {
    vec![completion(Action::UsedElement { id, len }).nth(p.get("nth"))]
}

/// The field is another one the `nth` time that it is loaded and was not written since.
fn again(field: RingField, value: Value, nth: u64) -> Vec<Fault> {
    vec![Fault::new(Trigger::RingReload(field), Action::Alter(value)).nth(nth)]
}

fn descriptor(p: &Chosen<'_>, field: Field, value: u64) -> Vec<Fault> {
    let index = p.get("index") as u16;
    let patch = Action::Descriptor { index, field, value: Value::Set(value) };
    vec![completion(patch).nth(p.get("nth"))]
}
