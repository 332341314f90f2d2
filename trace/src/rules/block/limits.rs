//! The limits that a block device's configuration sets (VIRTIO 1.4, 5.2.4 and 5.2.6.1).

use super::{HEADER, Request, SECTOR};
use crate::register::BlockCfg;
use crate::rules::model::{Chain, Virtio, feature};
use crate::rules::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::{Event, RequestKind};

pub(in crate::rules) const RULES: &[Rule] = &[
    Rule {
        id: "D5.2.6.1-b",
        clause: "VIRTIO 1.4, 5.2.6.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "No request reaches beyond the capacity.",
        sees: Sees::SEGMENT.union(Sees::REQUEST),
        start: || Box::<Capacity>::default(),
    },
    Rule {
        id: "D5.2.6.1-i",
        clause: "VIRTIO 1.4, 5.2.6.1",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "A discard, a write-zeroes or a secure erase has no more segments than the configuration says.",
        sees: Sees::REQUEST,
        start: plain!(|at, out| {
            let Some(request) = Request::at(at) else { return };
            let register = match request.kind {
                RequestKind::Discard => BlockCfg::MaxDiscardSeg,
                RequestKind::WriteZeroes => BlockCfg::MaxWriteZeroesSeg,
                RequestKind::SecureErase => BlockCfg::MaxSecureEraseSeg,
                _ => return,
            };
            let limit = at.virtio().and_then(|virtio| limit(virtio, register));
            if let (Some(limit), Some(bytes)) = (limit, request.sent) {
                let count = bytes / 16;
                out.check(count <= limit, || {
                    (
                        format!("at most {limit}, as {} says", register.name()),
                        format!("{count} segments"),
                    )
                });
            }
        }),
    },
    Rule {
        id: "I5.2.4-a",
        clause: "VIRTIO 1.4, 5.2.4",
        level: Level::Recipe,
        needs: Needs::Nothing,
        text: "All of capacity is read, and seg_max and size_max are respected where they were negotiated.",
        sees: Sees::REQUEST,
        start: plain!(|at, out| {
            let (Some(virtio), Some(request)) = (at.virtio(), Request::at(at)) else { return };
            if !matches!(request.kind, RequestKind::In | RequestKind::Out) {
                return;
            }
            let half = |register: BlockCfg| virtio.config(register.offset(), 4).is_some();
            if half(BlockCfg::CapacityLow) && !half(BlockCfg::CapacityHigh) {
                return out.broken("a load of both halves of capacity", "one of the lower half");
            }
            let Some(chain) = request.chain else { return };
            match exceeded(virtio, chain, request.fills_data()) {
                Some((expected, seen)) => out.broken(expected, seen),
                None => out.kept(),
            }
        }),
    },
];

/// What is loaded for a limit; devices say 0 where they have none.
fn limit(virtio: &Virtio, register: BlockCfg) -> Option<u64> {
    virtio.config(register.offset(), 4).filter(|limit| *limit != 0)
}

/// Which of the negotiated limits the data's buffers exceed.
fn exceeded(virtio: &Virtio, chain: &Chain, writable: bool) -> Option<(String, String)> {
    let limit = |bit, register| limit(virtio, register).filter(|_| virtio.negotiated(bit));
    let seg_max = limit(feature::BLK_SEG_MAX, BlockCfg::SegMax);
    let size_max = limit(feature::BLK_SIZE_MAX, BlockCfg::SizeMax);
    if seg_max.is_none() && size_max.is_none() {
        return None;
    }
    let range = match writable {
        true => 0..chain.writable().saturating_sub(1),
        false => HEADER..chain.readable(),
    };
    let (mut start, mut count, mut longest) = (0, 0, 0);
    for buffer in chain.buffers().filter(|buffer| buffer.writable() == writable) {
        let end = start + u64::from(buffer.len);
        let inside = end.min(range.end).saturating_sub(range.start.max(start));
        count += u64::from(inside > 0);
        longest = longest.max(inside);
        start = end;
    }
    if let Some(limit) = seg_max.filter(|limit| count > *limit) {
        return Some((format!("at most seg_max = {limit}"), format!("{count} buffers of data")));
    }
    let limit = size_max.filter(|limit| longest > *limit)?;
    Some((format!("at most size_max = {limit}"), format!("a buffer of {longest} bytes")))
}

/// The last sector of the segments that the device read since the last request.
#[derive(Default)]
struct Capacity {
    end: Option<u64>,
}

impl Check for Capacity {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let Event::Segment { sector, sectors, .. } = at.entry.event {
            let end = sector.saturating_add(sectors.into());
            self.end = Some(self.end.map_or(end, |before| before.max(end)));
            return;
        }
        let segments = self.end.take();
        let (Some(virtio), Some(request)) = (at.virtio(), Request::at(at)) else { return };
        let end = match request.kind {
            RequestKind::In | RequestKind::Out => {
                request.data().map(|bytes| request.sector.saturating_add(bytes.div_ceil(SECTOR)))
            }
            _ if request.has_segments() => segments,
            _ => None,
        };
        if let (Some(end), Some(capacity)) = (end, virtio.sectors()) {
            out.check(end <= capacity, || {
                (format!("an end at {capacity} sectors at most"), format!("{end}"))
            });
        }
    }
}
