//! Block devices.

use alloc::boxed::Box;

/// Bytes of a block.
pub const BLOCK_SIZE: usize = 4096;

/// One block's bytes.
pub type Block = [u8; BLOCK_SIZE];

/// A device of 4 KiB blocks.
///
/// Every call is checked against the size of the device before any I/O, and has
/// done what it says when it answers `Ok`.
pub trait BlockDevice {
    /// Why a call failed.
    type Error: core::error::Error + 'static;

    /// The number of whole blocks.
    fn blocks(&self) -> u64;

    /// The number of bytes.
    ///
    /// Where it is no multiple of [`BLOCK_SIZE`], there is one more block behind the
    /// whole ones: a read gives zeros for what is not there of it, and a write
    /// leaves that out.
    fn bytes(&self) -> u64 {
        self.blocks().saturating_mul(BLOCK_SIZE as u64)
    }

    /// Whether writes are refused.
    fn read_only(&self) -> bool;

    /// Reads a block.
    ///
    /// # Errors
    /// The block is not there, or the device failed; `into` is then worth nothing.
    fn read_block(&mut self, block: u64, into: &mut Block) -> Result<(), Self::Error>;

    /// Writes a block.
    ///
    /// # Errors
    /// The block is not there, the device is read-only, or it failed.
    fn write_block(&mut self, block: u64, data: &Block) -> Result<(), Self::Error>;

    /// Makes everything written before durable.
    ///
    /// # Errors
    /// The device failed; nothing is known of what was written.
    fn flush(&mut self) -> Result<(), Self::Error>;
}

impl<D: BlockDevice + ?Sized> BlockDevice for &mut D {
    type Error = D::Error;

    fn blocks(&self) -> u64 {
        (**self).blocks()
    }

    fn bytes(&self) -> u64 {
        (**self).bytes()
    }

    fn read_only(&self) -> bool {
        (**self).read_only()
    }

    fn read_block(&mut self, block: u64, into: &mut Block) -> Result<(), Self::Error> {
        (**self).read_block(block, into)
    }

    fn write_block(&mut self, block: u64, data: &Block) -> Result<(), Self::Error> {
        (**self).write_block(block, data)
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        (**self).flush()
    }
}

impl<D: BlockDevice + ?Sized> BlockDevice for Box<D> {
    type Error = D::Error;

    fn blocks(&self) -> u64 {
        (**self).blocks()
    }

    fn bytes(&self) -> u64 {
        (**self).bytes()
    }

    fn read_only(&self) -> bool {
        (**self).read_only()
    }

    fn read_block(&mut self, block: u64, into: &mut Block) -> Result<(), Self::Error> {
        (**self).read_block(block, into)
    }

    fn write_block(&mut self, block: u64, data: &Block) -> Result<(), Self::Error> {
        (**self).write_block(block, data)
    }

    fn flush(&mut self) -> Result<(), Self::Error> {
        (**self).flush()
    }
}

/// A zeroed block on the heap.
pub fn zeroed() -> Box<Block> {
    // Not `Box::new([0; BLOCK_SIZE])`, which would cross the stack.
    alloc::vec![0; BLOCK_SIZE]
        .into_boxed_slice()
        .try_into()
        .unwrap_or_else(|_| unreachable!("the vector has a block's length"))
}
