//! Bytes of a block device, anywhere, through its last two blocks.

use alloc::boxed::Box;

use super::Error;
use crate::block::{self, BLOCK_SIZE, Block, BlockDevice};

/// One block that was read.
struct Entry {
    block: Option<u64>,
    data: Box<Block>,
}

/// A block device, read by the byte.
///
/// Two blocks are kept, because each block costs a request, and a reader goes back
/// and forth between a table and what it points to.
pub(super) struct Cache<D> {
    device: D,
    entries: [Entry; 2],
    /// Which entry was used last; the other one is replaced.
    last: usize,
}

impl<D: BlockDevice> Cache<D> {
    /// Nothing is read yet.
    pub(super) fn new(device: D) -> Self {
        let entry = || Entry { block: None, data: block::zeroed() };
        Self { device, entries: [entry(), entry()], last: 0 }
    }

    /// The size of the device.
    pub(super) fn bytes(&self) -> u64 {
        self.device.blocks().saturating_mul(BLOCK_SIZE as u64)
    }

    /// Reads exactly the bytes at `offset`, across blocks if need be.
    pub(super) fn read<const N: usize>(&mut self, offset: u64) -> Result<[u8; N], Error<D::Error>> {
        let mut bytes = [0; N];
        let mut rest = &mut bytes[..];
        self.pieces(offset, N as u64, |piece| {
            let (now, later) = core::mem::take(&mut rest).split_at_mut(piece.len());
            now.copy_from_slice(piece);
            rest = later;
        })?;
        Ok(bytes)
    }

    /// Shows the `len` bytes at `offset`, in pieces that end where a block does.
    pub(super) fn pieces(
        &mut self,
        offset: u64,
        len: u64,
        mut show: impl FnMut(&[u8]),
    ) -> Result<(), Error<D::Error>> {
        let device = self.bytes();
        let outside = Error::Outside { offset, len, device };
        let Some(end) = offset.checked_add(len).filter(|end| *end <= device) else {
            return Err(outside);
        };
        let mut at = offset;
        while at < end {
            let block = self.block(at / BLOCK_SIZE as u64)?;
            let from = (at % BLOCK_SIZE as u64) as usize;
            let rest = &block[from..];
            let piece = &rest[..rest.len().min((end - at).try_into().unwrap_or(usize::MAX))];
            show(piece);
            at += piece.len() as u64;
        }
        Ok(())
    }

    fn block(&mut self, block: u64) -> Result<&Block, Error<D::Error>> {
        let kept = self.entries.iter().position(|entry| entry.block == Some(block));
        self.last = kept.unwrap_or(1 - self.last);
        let entry = &mut self.entries[self.last];
        if kept.is_none() {
            // What a failed read leaves behind is no block.
            entry.block = None;
            self.device
                .read_block(block, &mut entry.data)
                .map_err(|source| Error::Device { block, source })?;
            entry.block = Some(block);
        }
        Ok(&entry.data)
    }
}
