//! Writing into files, in their place.

use super::{EclipseFs, Error, Kind, Node};
use crate::block::BlockDevice;

impl<D: BlockDevice> EclipseFs<D> {
    /// Overwrites bytes of a file from `offset` on. Its size stays, and so do its times.
    ///
    /// # Errors
    /// It is no file, or the bytes are not all in it, or the disk is read-only: nothing is then
    /// written. Or the device failed: any of the blocks may then be written.
    pub fn write(&mut self, node: &Node, offset: u64, data: &[u8]) -> Result<(), Error<D::Error>> {
        node.expect(Kind::File)?;
        if self.cache.read_only() {
            return Err(Error::ReadOnly(node.inode));
        }
        if self.data_checksum {
            return Err(Error::DataChecksum);
        }
        match offset.checked_add(data.len() as u64) {
            Some(end) if end <= u64::from(node.content.len) => {
                self.cache.write(node.content.offset + offset, data)
            }
            _ => {
                let (inode, size) = (node.inode, node.size);
                Err(Error::BeyondEnd { inode, offset, len: data.len(), size })
            }
        }
    }

    /// Makes what was written durable.
    ///
    /// # Errors
    /// The device failed.
    pub fn flush(&mut self) -> Result<(), Error<D::Error>> {
        self.cache.flush()
    }
}
