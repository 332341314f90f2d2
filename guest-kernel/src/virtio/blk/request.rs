//! Block requests (VIRTIO 1.4, 5.2.6).

use core::fmt;

use crate::{
    dma::{DmaBuffer, DmaError},
    hal::Hal,
};

/// Bytes of the header: type, reserved, sector.
pub(super) const HEADER: u32 = 16;
/// Where the status byte is in a request's place.
const STATUS: usize = 16;
/// Bytes of a request's place: header, status, and space up to the next header.
const PLACE: usize = 32;
/// One page of their own, so that no other data shares it.
const PAGE: usize = 4096;
/// What the status byte holds until the device writes it: no status.
const NOT_WRITTEN: u8 = 0xff;

/// What a request asks for; the value is `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `VIRTIO_BLK_T_IN`.
    Read = 0,
    /// `VIRTIO_BLK_T_OUT`.
    Write = 1,
    /// `VIRTIO_BLK_T_FLUSH`.
    Flush = 4,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
        })
    }
}

/// How the device says a request ended, if not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// `VIRTIO_BLK_S_IOERR`.
    #[error("the device reports an I/O error")]
    Io,
    /// `VIRTIO_BLK_S_UNSUPP`.
    #[error("the device does not support it")]
    Unsupported,
    /// The byte is as the driver set it.
    #[error("the device gave no status")]
    NotWritten,
    /// Not a status.
    #[error("the device gave status {0:#04x}, which is none")]
    Unknown(u8),
}

/// The headers and status bytes of all requests, one place for each head.
#[derive(Debug)]
pub(super) struct Headers<H: Hal> {
    memory: DmaBuffer<H>,
}

impl<H: Hal> Headers<H> {
    /// Room for [`MAX_SIZE`](crate::virtio::split::MAX_SIZE) heads.
    pub(super) fn new(hal: &H) -> Result<Self, DmaError> {
        const { assert!(PLACE * crate::virtio::split::MAX_SIZE as usize <= PAGE) }
        Ok(Self { memory: DmaBuffer::new(hal, PAGE, PAGE)? })
    }

    /// Writes the header of a request and pre-sets its status byte.
    pub(super) fn prepare(&mut self, head: u16, kind: Kind, sector: u64) {
        let place = place(head);
        self.memory.store(place, kind as u32);
        self.memory.store(place + 4, 0_u32);
        self.memory.store(place + 8, sector);
        self.memory.store(place + STATUS, NOT_WRITTEN);
    }

    /// Where the device finds the header.
    pub(super) fn header(&self, head: u16) -> u64 {
        self.memory.address() + place(head) as u64
    }

    /// Where the device puts the status byte.
    pub(super) fn status(&self, head: u16) -> u64 {
        self.header(head) + STATUS as u64
    }

    /// How the request ended.
    pub(super) fn outcome(&self, head: u16) -> Result<(), Failure> {
        match self.memory.load::<u8>(place(head) + STATUS) {
            0 => Ok(()),
            1 => Err(Failure::Io),
            2 => Err(Failure::Unsupported),
            NOT_WRITTEN => Err(Failure::NotWritten),
            other => Err(Failure::Unknown(other)),
        }
    }

    /// Gives the memory up for good: see [`DmaBuffer::abandon`].
    pub(super) fn abandon(&mut self) {
        self.memory.abandon();
    }
}

fn place(head: u16) -> usize {
    PLACE * usize::from(head)
}
