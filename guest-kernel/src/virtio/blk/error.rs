//! Why a block device failed, or refused.

use super::request::{Failure, Kind};
use crate::{
    dma::DmaError,
    virtio::{queue, transport},
};

/// Why a block device failed, or refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The device cannot be driven.
    #[error(transparent)]
    Transport(#[from] transport::Error),
    /// A queue is broken.
    #[error("queue {queue}: {source}")]
    Queue {
        /// Which one.
        queue: u16,
        /// What is wrong.
        source: queue::Error,
    },
    /// Memory is short.
    #[error(transparent)]
    Memory(#[from] DmaError),
    /// The queue is too small for one request.
    #[error("queue {queue} has {size} entries, a request takes 3")]
    QueueSize {
        /// Which one.
        queue: u16,
        /// Its entries.
        size: u16,
    },
    /// The device says that it has no queue at all.
    #[error("the device has no request queue")]
    NoQueues,
    /// The capacity is larger than 64 bits of bytes.
    #[error("a capacity of {0:#x} sectors cannot be")]
    Capacity(u64),
    /// The block size is none.
    #[error("a block size of {0} bytes is not a power of two from 512 to 4096")]
    BlockSize(u32),
    /// The largest segment has not room for a block.
    #[error("segments of at most {0} bytes have not room for a block")]
    SegmentSize(u32),
    /// Sector or length are no multiples.
    #[error("{bytes} bytes at sector {sector} are not whole blocks of {unit} bytes")]
    Unaligned {
        /// The first sector.
        sector: u64,
        /// The bytes asked for.
        bytes: usize,
        /// What both must be multiples of.
        unit: u64,
    },
    /// More than one request can carry.
    #[error("{bytes} bytes are more than the {limit} of one request")]
    TooLong {
        /// The bytes asked for.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The request goes past the end.
    #[error("{count} sectors at {sector} are not on a disk of {sectors} sectors")]
    OutOfRange {
        /// The first sector.
        sector: u64,
        /// The sectors asked for.
        count: u64,
        /// The sectors that there are.
        sectors: u64,
    },
    /// A range is empty, or longer than the device allows.
    #[error("{kind} of {sectors} sectors at {sector}: the device takes 1 to {most}")]
    Range {
        /// What was asked for.
        kind: Kind,
        /// The first sector.
        sector: u64,
        /// The sectors asked for.
        sectors: u64,
        /// The most that it takes.
        most: u32,
    },
    /// The device did not offer the request.
    #[error("the device has no {0}")]
    NotOffered(Kind),
    /// The disk cannot be written.
    #[error("sector {0} cannot be written: the disk is read-only")]
    ReadOnly(u64),
    /// The device did the request, but badly.
    #[error("{kind} at sector {sector}: {failure}")]
    Failed {
        /// What was asked for.
        kind: Kind,
        /// The first sector.
        sector: u64,
        /// What the device says.
        failure: Failure,
    },
    /// The device wrote not as much as it had to.
    #[error("{kind} at sector {sector}: the device wrote {written} bytes, not {expected}")]
    Length {
        /// What was asked for.
        kind: Kind,
        /// The first sector.
        sector: u64,
        /// `used.len`.
        written: u32,
        /// Data and status byte.
        expected: u32,
    },
    /// The device says that it cannot go on.
    #[error("the device needs a reset")]
    NeedsReset,
    /// The device did not answer.
    #[error("{kind} at sector {sector}: no completion in time")]
    TimedOut {
        /// What was asked for.
        kind: Kind,
        /// The first sector.
        sector: u64,
    },
    /// The device was stopped, or given up.
    #[error("the device was stopped")]
    Stopped,
    /// No queue has room for another request: finish one.
    #[error("the queues are full")]
    Busy,
    /// The token is of no request in flight.
    #[error("there is no such request")]
    NoRequest,
}
