//! Block requests: what the device reads and writes of them (VIRTIO 1.4, 5.2.6).

use core::fmt;

use alloc::vec::Vec;

use super::Error;
use crate::{
    dma::{DmaBuffer, DmaError},
    hal::Hal,
    mutant::mutated,
    virtio::queue::Segment,
};

/// Bytes of the header: type, reserved, sector.
const HEADER: u32 = 16;
/// Where the status byte is in a request's place.
const STATUS: usize = 16;
/// Bytes of a request's place: header, status, and space up to the next header.
const PLACE: usize = 32;
/// Pages of their own, so that no other data shares them.
const PAGE: usize = 4096;
/// Places of a page.
const PLACES: usize = PAGE / PLACE;
/// What the status byte holds until the device writes it: no status.
const NOT_WRITTEN: u8 = 0xff;

/// Bytes of `struct virtio_blk_discard_write_zeroes`.
pub(super) const RANGE: usize = 16;
/// Where the number of its sectors is in that.
pub(super) const RANGE_SECTORS: usize = 8;
/// Bytes of the answer to `VIRTIO_BLK_T_GET_ID`.
pub const ID_BYTES: usize = 20;

/// What a request asks for; the value is `type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `VIRTIO_BLK_T_IN`.
    Read = 0,
    /// `VIRTIO_BLK_T_OUT`.
    Write = 1,
    /// `VIRTIO_BLK_T_FLUSH`.
    Flush = 4,
    /// `VIRTIO_BLK_T_GET_ID`.
    GetId = 8,
    /// `VIRTIO_BLK_T_DISCARD`.
    Discard = 11,
    /// `VIRTIO_BLK_T_WRITE_ZEROES`.
    WriteZeroes = 13,
}

impl Kind {
    /// Whether the device writes the data.
    pub(super) fn device_writes(self) -> bool {
        matches!(self, Self::Read | Self::GetId)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
            Self::GetId => "get-id",
            Self::Discard => "discard",
            Self::WriteZeroes => "write-zeroes",
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

/// What a request is, apart from its data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) kind: Kind,
    /// The header's sector; of a discard or write-zeroes, where its range begins.
    pub(super) sector: u64,
    /// Bytes of the data.
    pub(super) bytes: u32,
}

impl Request {
    /// The sector for the header: those of a range stand in the data (5.2.6.1).
    fn header_sector(&self) -> u64 {
        match self.kind {
            Kind::Read | Kind::Write => self.sector,
            Kind::Flush | Kind::GetId | Kind::Discard | Kind::WriteZeroes => 0,
        }
    }

    /// The bytes that the device writes if all goes well, its status byte among them.
    pub(super) fn written(&self) -> u32 {
        1 + if self.kind.device_writes() { self.bytes } else { 0 }
    }
}

/// The headers and status bytes of all requests, one place for each slot.
#[derive(Debug)]
pub(super) struct Headers<H: Hal> {
    pages: Vec<DmaBuffer<H>>,
}

impl<H: Hal> Headers<H> {
    /// Room for the first slots.
    pub(super) fn new(hal: &H) -> Result<Self, DmaError> {
        let mut headers = Self { pages: Vec::new() };
        headers.reserve(hal, 0)?;
        Ok(headers)
    }

    /// Makes room for a slot.
    pub(super) fn reserve(&mut self, hal: &H, slot: u16) -> Result<(), DmaError> {
        while self.pages.len() <= usize::from(slot) / PLACES {
            self.pages.push(DmaBuffer::new(hal, PAGE, PAGE)?);
        }
        Ok(())
    }

    /// Writes the header of a request and pre-sets its status byte.
    pub(super) fn prepare(&mut self, slot: u16, request: &Request) {
        let (page, place) = self.place(slot);
        let page = &mut self.pages[page];
        page.store(place, request.kind as u32);
        page.store(place + 4, 0_u32);
        let unit = if mutated!(page.hal(), M147) { 512 } else { 1 };
        let flush = request.kind == Kind::Flush && mutated!(page.hal(), M161);
        page.store(place + 8, request.header_sector() * unit + u64::from(flush));
        let status = if mutated!(page.hal(), M146) { 0 } else { NOT_WRITTEN };
        page.store(place + STATUS, status);
    }

    /// The chain of a request: header, data in pieces of at most `piece` bytes, status.
    pub(super) fn chain(
        &self,
        slot: u16,
        request: &Request,
        data: Option<&DmaBuffer<H>>,
        piece: u32,
    ) -> Vec<Segment> {
        let (page, place) = self.place(slot);
        let header = self.pages[page].address() + place as u64;
        let mut chain = Vec::with_capacity(3);
        chain.push(Segment { address: header, len: HEADER, device_writes: false });
        let (mut address, mut left) = (data.map_or(0, DmaBuffer::address), request.bytes);
        while left > 0 {
            let len = left.min(piece);
            chain.push(Segment { address, len, device_writes: request.kind.device_writes() });
            address += u64::from(len);
            left -= len;
        }
        chain.push(Segment { address: header + STATUS as u64, len: 1, device_writes: true });
        mutate(&mut chain, request, data);
        chain
    }

    /// How the request ended.
    pub(super) fn outcome(&self, slot: u16) -> Result<(), Failure> {
        let (page, place) = self.place(slot);
        match self.pages[page].load::<u8>(place + STATUS) {
            0 => Ok(()),
            1 => Err(Failure::Io),
            2 => Err(Failure::Unsupported),
            NOT_WRITTEN => Err(Failure::NotWritten),
            other => Err(Failure::Unknown(other)),
        }
    }

    /// Gives the memory up for good: see [`DmaBuffer::abandon`].
    pub(super) fn abandon(&mut self) {
        self.pages.iter_mut().for_each(DmaBuffer::abandon);
    }

    fn place(&self, slot: u16) -> (usize, usize) {
        let slot = usize::from(slot);
        (slot / PLACES, slot % PLACES * PLACE)
    }
}

/// Where a kernel's image is: nothing for a device to write to.
const TEXT: u64 = 0x20_0000;

/// What a mutant makes of the chain of a request.
fn mutate<H: Hal>(chain: &mut Vec<Segment>, request: &Request, data: Option<&DmaBuffer<H>>) {
    let Some(data) = data.filter(|_| request.bytes > 0) else { return };
    let (hal, last) = (data.hal(), chain.len() - 1);
    match request.kind {
        Kind::Read if mutated!(hal, M103) => chain[0].device_writes = true,
        Kind::Read if mutated!(hal, M104) => chain[1].device_writes = false,
        Kind::Write if mutated!(hal, M105) => chain[1].device_writes = true,
        _ if mutated!(hal, M106) => chain[last].device_writes = false,
        Kind::Read if mutated!(hal, M107) => chain.swap(0, 1),
        Kind::Read if mutated!(hal, M108) => chain.swap(1, last),
        _ if mutated!(hal, M109) => chain[last].len = 2,
        _ if mutated!(hal, M110) => chain[0].len = 8,
        _ if mutated!(hal, M111) => chain[0].len = 24,
        _ if mutated!(hal, M112) => chain[1].len = 0,
        _ if mutated!(hal, M113) => chain[1].address = data.virtual_address(),
        Kind::Read if mutated!(hal, M149) => chain[1].len -= 1,
        Kind::Read if mutated!(hal, M150) => chain[1].len += 1,
        Kind::GetId if mutated!(hal, M162) => chain[1].len = 16,
        Kind::GetId if mutated!(hal, M181) => chain[1].address = TEXT,
        Kind::WriteZeroes if mutated!(hal, M164) => chain[1].len -= 1,
        _ if mutated!(hal, L09 | M179) => cut(chain),
        _ => {}
    }
}

/// Cuts the header and the data of a request in two, at odd bytes (VIRTIO 1.4, 2.7.4).
fn cut(chain: &mut Vec<Segment>) {
    for whole in [1, 0] {
        let Segment { address, len, device_writes } = chain[whole];
        chain[whole].len = 7;
        chain.insert(whole + 1, Segment { address: address + 7, len: len - 7, device_writes });
    }
}

/// `struct virtio_blk_discard_write_zeroes`: one range (VIRTIO 1.4, 5.2.6).
pub(super) fn range(sector: u64, sectors: u32, unmap: bool) -> [u8; RANGE] {
    let mut bytes = [0; RANGE];
    bytes[..8].copy_from_slice(&sector.to_le_bytes());
    bytes[8..12].copy_from_slice(&sectors.to_le_bytes());
    bytes[12..].copy_from_slice(&u32::from(unmap).to_le_bytes());
    bytes
}

/// The error of a request that the device ended badly.
pub(super) fn failed(request: &Request, failure: Failure) -> Error {
    Error::Failed { kind: request.kind, sector: request.sector, failure }
}
