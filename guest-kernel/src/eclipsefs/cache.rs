//! Bytes of a block device, anywhere, through its last two blocks.

use alloc::boxed::Box;

use super::{Damage, Error};
use crate::block::{self, BLOCK_SIZE, Block, BlockDevice};

/// One block that was read.
struct Entry {
    block: Option<u64>,
    data: Box<Block>,
}

/// A run of bytes on a block device, read and written by the byte.
///
/// Two blocks are kept, because each block costs a request, and a reader goes back
/// and forth between a table and what it points to.
pub(super) struct Cache<D> {
    device: D,
    /// The byte of the device at which the run begins.
    start: u64,
    /// Its bytes.
    len: u64,
    entries: [Entry; 2],
    /// Which entry was used last; the other one is replaced.
    last: usize,
}

impl<D: BlockDevice> Cache<D> {
    /// The whole device; nothing is read yet.
    pub(super) fn new(device: D) -> Self {
        let entry = || Entry { block: None, data: block::zeroed() };
        let len = device.bytes();
        Self { device, start: 0, len, entries: [entry(), entry()], last: 0 }
    }

    #[cfg(test)]
    pub(super) fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    /// Goes over to a part of the device, which is there.
    pub(super) fn narrow(&mut self, start: u64, len: u64) {
        (self.start, self.len) = (start, len);
    }

    /// The bytes that there are.
    pub(super) fn bytes(&self) -> u64 {
        self.len
    }

    pub(super) fn read_only(&self) -> bool {
        self.device.read_only()
    }

    /// Reads exactly the bytes at `offset`, across blocks if need be.
    pub(super) fn read<const N: usize>(&mut self, offset: u64) -> Result<[u8; N], Error<D::Error>> {
        let mut bytes = [0; N];
        self.fill(offset, &mut bytes)?;
        Ok(bytes)
    }

    /// Reads the bytes at `offset` to all of `into`.
    pub(super) fn fill(&mut self, offset: u64, into: &mut [u8]) -> Result<(), Error<D::Error>> {
        let (len, mut rest) = (into.len() as u64, into);
        self.pieces(offset, len, |piece| {
            let (now, later) = core::mem::take(&mut rest).split_at_mut(piece.len());
            now.copy_from_slice(piece);
            rest = later;
        })
    }

    /// Shows the `len` bytes at `offset`, in pieces that end where a block does.
    pub(super) fn pieces(
        &mut self,
        offset: u64,
        len: u64,
        mut show: impl FnMut(&[u8]),
    ) -> Result<(), Error<D::Error>> {
        let (mut at, end) = self.range(offset, len)?;
        while at < end {
            let (block, from, count) = piece(at, end);
            let entry = self.entry(block)?;
            show(&entry.data[from..from + count]);
            at += count as u64;
        }
        Ok(())
    }

    /// Writes the bytes at `offset`, block by block, each at once.
    pub(super) fn write(&mut self, offset: u64, data: &[u8]) -> Result<(), Error<D::Error>> {
        let (mut at, end) = self.range(offset, data.len() as u64)?;
        let mut rest = data;
        while at < end {
            let (block, from, count) = piece(at, end);
            let (now, later) = rest.split_at(count);
            self.entry(block)?.data[from..from + count].copy_from_slice(now);
            let entry = &mut self.entries[self.last];
            let written = self.device.write_block(block, &entry.data);
            if written.is_err() {
                // Nobody knows what the disk has there.
                entry.block = None;
            }
            written.map_err(|source| Error::Device { block, done: "written", source })?;
            (at, rest) = (at + count as u64, later);
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Result<(), Error<D::Error>> {
        let flushed = self.device.flush();
        flushed.map_err(|source| Error::Device { block: 0, done: "flushed", source })
    }

    /// Where a run of bytes is on the device.
    fn range(&self, offset: u64, len: u64) -> Result<(u64, u64), Error<D::Error>> {
        match offset.checked_add(len) {
            // The part is on the device, so its end cannot wrap.
            Some(end) if end <= self.len => Ok((self.start + offset, self.start + end)),
            _ => Err(Damage::RecordOutside.at(None, offset).into()),
        }
    }

    fn entry(&mut self, block: u64) -> Result<&mut Entry, Error<D::Error>> {
        let kept = self.entries.iter().position(|entry| entry.block == Some(block));
        self.last = kept.unwrap_or(1 - self.last);
        let entry = &mut self.entries[self.last];
        if kept.is_none() {
            // What a failed read leaves behind is no block.
            entry.block = None;
            self.device.read_block(block, &mut entry.data).map_err(|source| Error::Device {
                block,
                done: "read",
                source,
            })?;
            entry.block = Some(block);
        }
        Ok(entry)
    }
}

/// The block that byte `at` is in, where in it, and how many bytes of it lie before `end`.
fn piece(at: u64, end: u64) -> (u64, usize, usize) {
    let size = BLOCK_SIZE as u64;
    let from = at % size;
    let count = (size - from).min(end - at);
    (at / size, from as usize, count as usize)
}
