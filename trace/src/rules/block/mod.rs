//! Block requests (VIRTIO 1.4, 5.2).

mod framing;
mod legacy;
mod length;
mod limits;
mod request;

#[cfg(test)]
mod tests;

use super::model::Chain;
use super::{At, Rule};
use crate::{Event, RequestKind, RequestStatus};

pub(super) const RULES: &[&[Rule]] =
    &[framing::RULES, request::RULES, limits::RULES, length::RULES, legacy::RULES];

/// Bytes of a request's header (VIRTIO 1.4, 5.2.6).
const HEADER: u64 = 16;
/// Bytes of a sector.
const SECTOR: u64 = 512;

/// A request that the device carried out, and the chain that it came in.
struct Request<'a> {
    kind: RequestKind,
    sector: u64,
    /// `None` where the transcript has not shown how the device read it.
    chain: Option<&'a Chain>,
    /// Bytes of data behind the header, for the device to read.
    sent: Option<u64>,
    /// Bytes of data before the status, for the device to write.
    wanted: Option<u64>,
}

impl<'a> Request<'a> {
    fn at(at: &At<'a>) -> Option<Self> {
        let Event::Request { head, request: kind, sector, len, status, .. } = at.entry.event else {
            return None;
        };
        let chain = at.queue()?.request(head).filter(|chain| chain.complete);
        let (mut sent, mut wanted) = (None, None);
        if let Some(chain) = chain {
            sent = chain.readable().checked_sub(HEADER);
            wanted = chain.writable().checked_sub(1);
        } else if status == RequestStatus::Ok {
            // All of it was moved, so that was its length.
            match kind {
                RequestKind::In => wanted = Some(len.into()),
                RequestKind::Out => sent = Some(len.into()),
                _ => {}
            }
        }
        Some(Self { kind, sector, chain, sent, wanted })
    }

    /// Bytes of data, in the direction that the type has.
    fn data(&self) -> Option<u64> {
        match self.fills_data() {
            true => self.wanted,
            false => self.sent,
        }
    }

    /// Whether the data is the device's to write.
    fn fills_data(&self) -> bool {
        let RequestKind::Other(number) = self.kind else {
            use RequestKind as Kind;
            return matches!(self.kind, Kind::In | Kind::GetId | Kind::GetLifetime);
        };
        number == request::ZONE_REPORT
    }

    /// Whether it is a list of segments.
    fn has_segments(&self) -> bool {
        use RequestKind as Kind;
        matches!(self.kind, Kind::Discard | Kind::WriteZeroes | Kind::SecureErase)
    }
}
