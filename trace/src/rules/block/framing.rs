//! How a request lies in its chain (VIRTIO 1.4, 5.2.6 and 5.2.6.1).

use super::{HEADER, Request, SECTOR};
use crate::rules::model::Chain;
use crate::rules::{At, Level, Needs, Out, Rule, Sees, plain};
use crate::{Event, RequestKind, Snapshot, Table};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "I5.2.6-a",
        clause: "VIRTIO 1.4, 5.2.6",
        level: Level::Recipe,
        needs: Needs::Nothing,
        text: "A request is a header of 16 bytes, its data in one direction, and a byte at the end for the status.",
        sees: Sees::DESCRIPTOR.union(Sees::SNAPSHOT).union(Sees::REQUEST),
        start: plain!(|at, out| match at.entry.event {
            Event::Descriptor { .. } | Event::PackedDescriptor { .. } => ends(at, out),
            Event::Snapshot { found: Snapshot::Status { head, value }, .. } if value <= 2 => {
                let chain = at.queue().and_then(|queue| queue.request(head));
                status_in_data(chain, value, out);
            }
            Event::Request { .. } => parts(at, out),
            _ => {}
        }),
    },
    Rule {
        id: "I5.2.6-b",
        clause: "VIRTIO 1.4, 5.2.6",
        level: Level::Recipe,
        needs: Needs::Nothing,
        text: "Before a request is made available its status byte is set to what is no status.",
        sees: Sees::SNAPSHOT,
        start: plain!(|at, out| {
            if let Event::Snapshot { found: Snapshot::Status { value, .. }, .. } = at.entry.event {
                out.check(value > 2, || ("none of 0, 1, 2", format!("{value}")));
            }
        }),
    },
    Rule {
        id: "D5.2.6.1-e",
        clause: "VIRTIO 1.4, 5.2.6.1",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "A flush has no data.",
        sees: Sees::REQUEST,
        start: plain!(|at, out| {
            let Some(request) = Request::at(at) else { return };
            if let (RequestKind::Flush, Some(sent), Some(wanted)) =
                (request.kind, request.sent, request.wanted)
            {
                out.check(sent + wanted == 0, || {
                    ("a header and a status", format!("{} bytes of data too", sent + wanted))
                });
            }
        }),
    },
    Rule {
        id: "D5.2.6.1-f",
        clause: "VIRTIO 1.4, 5.2.6.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "The data of a read or a write is a multiple of 512 bytes.",
        sees: Sees::REQUEST,
        start: plain!(|at, out| {
            let Some(request) = Request::at(at) else { return };
            if matches!(request.kind, RequestKind::In | RequestKind::Out) {
                multiple(&request, SECTOR, out);
            }
        }),
    },
    Rule {
        id: "D5.2.6.1-g",
        clause: "VIRTIO 1.4, 5.2.6.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "The data of a discard, a write-zeroes or a secure erase is a multiple of 16 bytes.",
        sees: Sees::REQUEST,
        start: plain!(|at, out| {
            if let Some(request) = Request::at(at).filter(Request::has_segments) {
                multiple(&request, 16, out);
            }
        }),
    },
    Rule {
        id: "D5.2.6.1-h",
        clause: "VIRTIO 1.4, 5.2.6.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "The buffer for the ID is 20 bytes.",
        sees: Sees::REQUEST,
        start: plain!(|at, out| {
            let Some(request) = Request::at(at) else { return };
            if let (RequestKind::GetId, Some(bytes)) = (request.kind, request.wanted) {
                out.check(bytes == 20, || ("20 bytes", format!("{bytes} bytes")));
            }
        }),
    },
];

fn multiple(request: &Request<'_>, unit: u64, out: &mut Out<'_>) {
    let Some(bytes) = request.data() else { return };
    out.check(bytes.is_multiple_of(unit), || {
        (format!("a multiple of {unit} bytes"), format!("{bytes} bytes"))
    });
}

/// A chain that was read to its end begins with a header and ends with a byte to write to.
fn ends(at: &At<'_>, out: &mut Out<'_>) {
    let Some(chain) = at.chain().filter(|chain| chain.complete) else { return };
    let readable = chain.readable();
    if readable < HEADER {
        out.broken("16 readable bytes, the header", format!("{readable}"));
    } else if !chain.buffers().next_back().is_some_and(|buffer| buffer.writable()) {
        let last = chain.buffers().count().saturating_sub(1);
        out.broken("a writable byte at the end", format!("buffer {last}, the last, is readable"));
    }
}

/// The data is in the direction of the type, and all of it.
fn parts(at: &At<'_>, out: &mut Out<'_>) {
    let Some(request) = Request::at(at).filter(|request| request.chain.is_some()) else { return };
    let (Some(sent), Some(wanted)) = (request.sent, request.wanted) else { return };
    let (kind, unit) = match request.kind {
        RequestKind::Other(_) => return,
        RequestKind::Flush => return out.kept(),
        RequestKind::In | RequestKind::Out => (request.kind, SECTOR),
        _ => (request.kind, 1),
    };
    let (fills, right, wrong) = match request.fills_data() {
        true => ("writable", wanted, sent),
        false => ("readable", sent, wanted),
    };
    if wrong != 0 {
        let (header, status) = (HEADER + sent, 1 + wanted);
        let seen = format!("{header} readable and {status} writable");
        out.broken(format!("an {kind} request with {fills} data only, after 16 or before 1"), seen);
    } else if !right.is_multiple_of(unit) || right == 0 {
        let expected = format!("{fills} data, and 16 bytes before or 1 behind it");
        out.broken(expected, format!("{right} bytes"));
    } else {
        sector_of_bytes(at, &request, out);
    }
}

/// A sector is beyond the capacity, and would not be if it were an address in bytes.
fn sector_of_bytes(at: &At<'_>, request: &Request<'_>, out: &mut Out<'_>) {
    let transfer = matches!(request.kind, RequestKind::In | RequestKind::Out);
    let (Some(capacity), Some(data)) = (at.virtio().and_then(|v| v.sectors()), request.data())
    else {
        return out.kept();
    };
    let (sector, sectors) = (request.sector, data / SECTOR);
    let fits = |sector: u64| sector.checked_add(sectors).is_some_and(|end| end <= capacity);
    let in_bytes = sector != 0 && sector.is_multiple_of(SECTOR) && fits(sector / SECTOR);
    out.check(!transfer || fits(sector) || !in_bytes, || {
        (format!("sector {}, as it seems", sector / SECTOR), format!("{sector}, its first byte"))
    });
}

/// The byte that the device takes for the status has the value of one, and a buffer before it
/// is one byte: they are the wrong way round. A driver may cut a request as it likes, so the
/// shape alone says nothing.
fn status_in_data(chain: Option<&Chain>, value: u8, out: &mut Out<'_>) {
    let Some(chain) = chain else { return };
    let mut writable = chain.buffers().filter(|buffer| buffer.writable());
    let Some(first) = writable.next().filter(|buffer| buffer.len == 1) else { return };
    let whole = |len: u32| len != 0 && u64::from(len).is_multiple_of(SECTOR);
    let mut rest = writable.peekable();
    if rest.peek().is_some() && rest.all(|buffer| whole(buffer.len)) {
        let table = if first.table == Table::Queue { "desc" } else { "indirect" };
        let seen = format!("{table}[{}] of 1 byte before the data, and {value} there", first.index);
        out.broken("the status behind the data", seen);
    }
}
