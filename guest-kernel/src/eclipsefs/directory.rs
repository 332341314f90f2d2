//! Directories, entry by entry.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use super::{
    Damage, EclipseFs, Error, Kind, Node,
    node::{Extent, pair},
};
use crate::block::BlockDevice;

/// The most bytes of a name.
pub(super) const NAME: usize = 255;
/// Bytes in front of a name in a directory: length and inode.
pub(super) const ENTRY_HEADER: u64 = 8;

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Its name.
    pub name: String,
    /// What the name stands for.
    pub inode: u32,
}

/// How far a directory was read: entries before this byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(u64);

/// An entry whose name was not looked at yet.
struct Place {
    name: Extent,
    inode: u32,
}

/// Whether a name can be in a directory.
pub(super) fn is_name(name: &str) -> bool {
    !matches!(name, "" | "." | "..") && name.len() <= NAME && !name.contains(['/', '\0'])
}

impl<D: BlockDevice> EclipseFs<D> {
    /// Reads the next entry of a directory; `None` when there is none left.
    ///
    /// # Errors
    /// It is no directory, or damaged, or the device cannot be read.
    pub fn next_entry(
        &mut self,
        directory: &Node,
        cursor: &mut Cursor,
    ) -> Result<Option<DirectoryEntry>, Error<D::Error>> {
        directory.expect(Kind::Directory)?;
        let at = directory.entries.offset + cursor.0;
        let Some(Place { name, inode }) = self.place(directory, at)? else { return Ok(None) };
        let mut bytes = [0; NAME];
        let bytes = &mut bytes[..(name.len as usize).min(NAME)];
        self.cache.fill(name.offset, bytes)?;
        let text = core::str::from_utf8(bytes);
        let text = text.map_err(|_| Damage::NameText.at(directory.inode, at))?;
        if !is_name(text) {
            return Err(Damage::Name(text.to_string()).at(directory.inode, at).into());
        }
        cursor.0 = name.end() - directory.entries.offset;
        Ok(Some(DirectoryEntry { name: text.to_string(), inode }))
    }

    /// Reads all entries of a directory, in the order of the disk.
    ///
    /// # Errors
    /// As [`Self::next_entry`]; and the directory is larger than is read at once.
    pub fn read_directory(
        &mut self,
        directory: &Node,
    ) -> Result<Vec<DirectoryEntry>, Error<D::Error>> {
        super::file::limited(directory.inode, directory.entries.len)?;
        let (mut all, mut cursor) = (Vec::new(), Cursor::default());
        while let Some(entry) = self.next_entry(directory, &mut cursor)? {
            all.push(entry);
        }
        Ok(all)
    }

    /// The inode behind the first entry with that name.
    pub(super) fn find(
        &mut self,
        directory: &Node,
        name: &str,
    ) -> Result<Option<u32>, Error<D::Error>> {
        let mut at = directory.entries.offset;
        while let Some(place) = self.place(directory, at)? {
            if place.name.len as usize == name.len() && self.is_at(place.name.offset, name)? {
                return Ok(Some(place.inode));
            }
            at = place.name.end();
        }
        Ok(None)
    }

    /// The entry at byte `at` of the device; `None` at the end of the directory.
    fn place(&mut self, directory: &Node, at: u64) -> Result<Option<Place>, Error<D::Error>> {
        let Node { inode: by, entries, .. } = *directory;
        let (end, inodes) = (entries.end(), self.geometry.inodes);
        if at >= end {
            return Ok(None);
        }
        if end - at < ENTRY_HEADER {
            return Err(Damage::EntryOverrun.at(by, at).into());
        }
        let (len, inode) = pair(self.cache.read(at)?);
        if len == 0 || len as usize > NAME {
            return Err(Damage::NameLength(len).at(by, at).into());
        }
        let name = Extent { offset: at + ENTRY_HEADER, len };
        if name.end() > end {
            return Err(Damage::EntryOverrun.at(by, at).into());
        }
        if !self.geometry.has(inode) {
            return Err(Damage::NoInode { inode, inodes }.at(by, at).into());
        }
        Ok(Some(Place { name, inode }))
    }

    fn is_at(&mut self, offset: u64, name: &str) -> Result<bool, Error<D::Error>> {
        let mut rest = name.as_bytes();
        let mut equal = true;
        self.cache.pieces(offset, name.len() as u64, |piece| {
            let (now, later) = rest.split_at(piece.len());
            equal &= now == piece;
            rest = later;
        })?;
        Ok(equal)
    }
}
