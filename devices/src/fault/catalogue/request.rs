//! The block requests.

use eclipse_trace::RequestKind;

use super::{
    Action, Chosen, Fault, Kind, NTH, Parameter, Row, Trigger, Value, features, number, row,
};
use crate::fault::Place;

const TYPE: Parameter = number("type", 99, "of requests: 0 in, 1 out, 4 flush, 8 get ID; 99 any");

pub(super) const ROWS: &[Row] = &[
    row("F97", Kind::Broken, "a request ends with IOERR", &[TYPE, NTH], |p| {
        status(p, Some(Value::Set(1)))
    }),
    row("F98", Kind::Broken, "a request ends with UNSUPP", &[TYPE, NTH], |p| {
        status(p, Some(Value::Set(2)))
    }),
    row(
        "F99",
        Kind::Malicious,
        "a request ends with a status that is none",
        &[number("status", 3, "3 to 255"), TYPE, NTH],
        |p| status(p, Some(Value::Set(p.get("status")))),
    ),
    row("F100", Kind::Broken, "a request ends without a status", &[TYPE, NTH], |p| status(p, None)),
    row("F101", Kind::Undefended, "a read ends well and its data was not written", &[NTH], |p| {
        vec![of(RequestKind::In, Action::NoData).nth(p.get("nth"))]
    }),
    row(
        "F103",
        Kind::Malicious,
        "a read gives other data than the disk has",
        &[
            number("nth", 2, "which read"),
            number("offset", 0, "which byte"),
            number("byte", 0xa5, ""),
        ],
        |p| {
            let bytes = vec![p.get("byte") as u8];
            let other = Action::Memory { at: Place::Data(p.get("offset")), bytes };
            vec![of(RequestKind::In, other).nth(p.get("nth"))]
        },
    ),
    row(
        "F104",
        Kind::Broken,
        "a write or a flush ends well and did nothing, or only a part",
        &[
            number("kept", 0, "how many sectors of a write go to the disk"),
            number("type", 1, "1 out, 4 flush"),
            NTH,
        ],
        |p| vec![of_type(p, Action::Lose { kept: p.get("kept") })],
    ),
    row("F106", Kind::Legal, "RO is offered", &[], |_| vec![features(0, Value::Or(1 << 5))]),
];

fn of(kind: RequestKind, action: Action) -> Fault {
    Fault::new(Trigger::Completion(Some(kind)), action)
}

/// Of the requests that `type` says.
fn of_type(p: &Chosen<'_>, action: Action) -> Fault {
    let kind = match p.get("type") {
        0 => Some(RequestKind::In),
        1 => Some(RequestKind::Out),
        4 => Some(RequestKind::Flush),
        8 => Some(RequestKind::GetId),
        99 => None,
        number => Some(RequestKind::Other(number as u32)),
    };
    Fault::new(Trigger::Completion(kind), action).nth(p.get("nth"))
}

fn status(p: &Chosen<'_>, status: Option<Value>) -> Vec<Fault> {
    vec![of_type(p, Action::Status(status))]
}
