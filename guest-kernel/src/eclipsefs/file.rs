//! What is in files and symbolic links.

use alloc::{string::String, vec::Vec};

use super::{Damage, EclipseFs, Error, Kind, Node, path::PATH};
use crate::block::BlockDevice;

/// The most bytes of a file or directory that are read at once.
const LIMIT: u32 = 1 << 20;

impl<D: BlockDevice> EclipseFs<D> {
    /// Reads the bytes of a file from `offset` on; how many there were for `into`.
    ///
    /// # Errors
    /// It is no file, or the device cannot be read.
    pub fn read(
        &mut self,
        node: &Node,
        offset: u64,
        into: &mut [u8],
    ) -> Result<usize, Error<D::Error>> {
        node.expect(Kind::File)?;
        let left = u64::from(node.content.len).saturating_sub(offset);
        let count = into.len().min(left.try_into().unwrap_or(usize::MAX));
        let (there, _) = into.split_at_mut(count);
        if there.is_empty() {
            return Ok(0);
        }
        self.cache.fill(node.content.offset + offset, there)?;
        Ok(count)
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// It is none, it is too large, or the device cannot be read.
    pub fn read_file(&mut self, node: &Node) -> Result<Vec<u8>, Error<D::Error>> {
        node.expect(Kind::File)?;
        limited(node.inode, node.content.len)?;
        self.content(node)
    }

    /// Where a symbolic link leads.
    ///
    /// # Errors
    /// It is none, or damaged, or the device cannot be read.
    pub fn read_link(&mut self, node: &Node) -> Result<String, Error<D::Error>> {
        node.expect(Kind::Symlink)?;
        let (inode, content) = (node.inode, node.content);
        if content.len == 0 || content.len as usize > PATH {
            return Err(Damage::TargetLength(content.len).at(inode, node.record.offset).into());
        }
        match String::from_utf8(self.content(node)?) {
            Ok(target) if !target.contains('\0') => Ok(target),
            _ => Err(Damage::TargetText.at(inode, content.offset).into()),
        }
    }

    fn content(&mut self, node: &Node) -> Result<Vec<u8>, Error<D::Error>> {
        let len = node.content.len;
        let mut data = Vec::new();
        data.try_reserve_exact(len as usize).map_err(|_| Error::Memory(len.into()))?;
        self.cache.pieces(node.content.offset, len.into(), |piece| {
            data.extend_from_slice(piece);
        })?;
        Ok(data)
    }
}

pub(super) fn limited<E: core::error::Error>(inode: u32, len: u32) -> Result<(), Error<E>> {
    if len <= LIMIT {
        return Ok(());
    }
    Err(Error::TooLarge { inode, len, limit: LIMIT })
}
