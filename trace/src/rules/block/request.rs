//! What is asked of a block device (VIRTIO 1.4, 5.2.6.1).

use super::Request;
use crate::rules::model::{feature, status};
use crate::rules::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::{Event, RequestKind};

/// `VIRTIO_BLK_T_ZONE_APPEND` (VIRTIO 1.4, 5.2.6).
const ZONE_APPEND: u32 = 15;
/// `VIRTIO_BLK_T_ZONE_REPORT`.
pub(super) const ZONE_REPORT: u32 = 16;
/// `VIRTIO_BLK_T_ZONE_RESET_ALL`.
const ZONE_RESET_ALL: u32 = 26;
/// OPEN, CLOSE, FINISH, RESET.
const ZONE_COMMANDS: [u32; 4] = [18, 20, 22, 24];
/// Where `zone_sectors` is in the configuration (VIRTIO 1.4, 5.2.4).
const ZONE_SECTORS: u16 = 0x48;
/// Where `max_append_sectors` is.
const MAX_APPEND_SECTORS: u16 = 0x54;
/// Where `write_granularity` is.
const WRITE_GRANULARITY: u16 = 0x58;
/// The flag of a segment that allows to discard.
const UNMAP: u32 = 1;

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D5.2.6.1-c",
        clause: "VIRTIO 1.4, 5.2.6.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "RO is accepted where it is offered, and nothing is written.",
        sees: Sees::STATUS.union(Sees::LEGACY).union(Sees::REQUEST),
        start: plain!(|at, out| {
            let Some(virtio) = at.virtio().filter(|virtio| virtio.offered.has(feature::BLK_RO))
            else {
                return;
            };
            if at.status_store().is_some_and(|to| to & !virtio.status & status::DRIVER_OK != 0) {
                out.check(virtio.accepted.has(feature::BLK_RO), || {
                    ("RO accepted", "a driver that goes on without")
                });
            } else if let Some(request) = Request::at(at)
                && (request.kind == RequestKind::Out || request.has_segments())
            {
                out.broken("no writes", format!("a request {}", request.kind));
            }
        }),
    },
    Rule {
        id: "D5.2.6.1-d",
        clause: "VIRTIO 1.4, 5.2.6.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "The sector of a flush is 0.",
        sees: Sees::REQUEST,
        start: plain!(|at, out| {
            if let Event::Request { request: RequestKind::Flush, sector, .. } = at.entry.event {
                out.check(sector == 0, || ("sector 0", format!("sector {sector}")));
            }
        }),
    },
    Rule {
        id: "D5.2.6.1-k",
        clause: "VIRTIO 1.4, 5.2.6.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "In a discard unmap is 0.",
        sees: Sees::SEGMENT.union(Sees::REQUEST),
        start: || Box::<Unmap>::default(),
    },
    Rule {
        id: "D5.2.6.1-z",
        clause: "VIRTIO 1.4, 5.2.6.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "A zone request names the zone's first sector, RESET_ALL names sector 0, and what is appended is as large as the device wants.",
        sees: Sees::REQUEST,
        start: plain!(zone),
    },
];

/// The flags of the segments that the device read since the last request.
#[derive(Default)]
struct Unmap {
    flags: u32,
}

impl Check for Unmap {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        match at.entry.event {
            Event::Segment { flags, .. } => self.flags |= flags,
            Event::Request { request, .. } => {
                let flags = std::mem::take(&mut self.flags);
                if request == RequestKind::Discard {
                    out.check(flags & UNMAP == 0, || ("unmap 0", format!("flags {flags:#x}")));
                }
            }
            _ => {}
        }
    }
}

fn zone(at: &At<'_>, out: &mut Out<'_>) {
    let (Some(virtio), Some(request)) = (at.virtio(), Request::at(at)) else { return };
    let RequestKind::Other(number) = request.kind else { return };
    if !virtio.negotiated(feature::BLK_ZONED) {
        return;
    }
    let config = |offset| virtio.config(offset, 4).filter(|value| *value != 0);
    let sector = request.sector;
    if number == ZONE_RESET_ALL {
        return out.check(sector == 0, || ("sector 0", format!("sector {sector}")));
    }
    if number != ZONE_APPEND && !ZONE_COMMANDS.contains(&number) {
        return;
    }
    let Some(zone) = config(ZONE_SECTORS) else { return };
    if !sector.is_multiple_of(zone) {
        return out.broken(format!("a multiple of {zone}"), format!("sector {sector}"));
    }
    if let (ZONE_APPEND, Some(bytes)) = (number, request.sent) {
        let unit = config(WRITE_GRANULARITY).unwrap_or(1);
        let most = config(MAX_APPEND_SECTORS).map_or(u64::MAX, |sectors| sectors * 512);
        if !bytes.is_multiple_of(unit) || bytes > most {
            let expected = format!("a multiple of {unit} bytes, at most {most}");
            return out.broken(expected, format!("{bytes} bytes"));
        }
    }
    out.kept();
}
