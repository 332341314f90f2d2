//! EclipseFS 2.0, read-only: a header, a table of inodes, and one record for each.
//!
//! Nothing on the disk is believed: every offset and length is checked against the
//! device or against what holds it, every loop is bounded, and each kind of damage
//! has its error. A record lies anywhere, so its header may begin in one block and
//! end in the next.

mod cache;
mod error;
mod node;
mod superblock;

use alloc::{string::ToString, vec::Vec};

pub use error::Error;
pub use node::{Kind, Node};
pub use superblock::Superblock;

use self::{cache::Cache, node::pair, superblock::Geometry};
use crate::block::BlockDevice;

/// The root directory's inode.
const ROOT: u32 = 1;
/// The most bytes of a file or directory that are read.
const LIMIT: u32 = 1 << 20;
/// The most bytes of a name.
const NAME: u32 = 255;
/// Bytes in front of a name in a directory: length and inode.
const ENTRY_HEADER: u64 = 8;
/// The most names of a path.
const DEPTH: usize = 64;

/// A device that begins with the signature of EclipseFS.
pub struct Volume<D> {
    cache: Cache<D>,
    superblock: Superblock,
}

impl<D: BlockDevice> Volume<D> {
    /// Reads the header and looks for the signature.
    ///
    /// # Errors
    /// [`Error::NotEclipseFs`], or the device cannot be read.
    pub fn open(device: D) -> Result<Self, Error<D::Error>> {
        let mut cache = Cache::new(device);
        let superblock = Superblock::read(&mut cache)?;
        Ok(Self { cache, superblock })
    }

    /// The header.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// Checks what the header says, and that the root is a directory.
    ///
    /// # Errors
    /// The file system is of another version, or damaged.
    pub fn mount(self) -> Result<EclipseFs<D>, Error<D::Error>> {
        let Self { mut cache, superblock } = self;
        let geometry = superblock.geometry(cache.bytes())?;
        let root = Node::read(&mut cache, &geometry, ROOT)?;
        if root.kind != Kind::Directory {
            return Err(Error::NotADirectory {
                path: "/".to_string(),
                name: "/".to_string(),
                kind: root.kind,
            });
        }
        Ok(EclipseFs { cache, geometry, root })
    }
}

/// A mounted file system.
pub struct EclipseFs<D> {
    cache: Cache<D>,
    geometry: Geometry,
    root: Node,
}

impl<D: BlockDevice> EclipseFs<D> {
    /// Mounts the file system on a device.
    ///
    /// # Errors
    /// As [`Volume::open`] and [`Volume::mount`].
    pub fn mount(device: D) -> Result<Self, Error<D::Error>> {
        Volume::open(device)?.mount()
    }

    /// Finds a node by its absolute path. Symbolic links are found, not followed.
    ///
    /// # Errors
    /// The path is not there, or something on the way is damaged.
    pub fn lookup(&mut self, path: &str) -> Result<Node, Error<D::Error>> {
        let Some(relative) = path.strip_prefix('/') else {
            return Err(Error::NotAbsolute(path.to_string()));
        };
        let mut node = self.root;
        let mut parent = "/";
        let names = relative.split('/').filter(|name| !name.is_empty());
        for (depth, name) in names.enumerate() {
            if depth == DEPTH {
                return Err(Error::TooDeep { path: path.to_string(), limit: DEPTH });
            }
            if node.kind != Kind::Directory {
                return Err(Error::NotADirectory {
                    path: path.to_string(),
                    name: parent.to_string(),
                    kind: node.kind,
                });
            }
            let Some(inode) = self.find(&node, name)? else {
                return Err(Error::NotFound { path: path.to_string(), name: name.to_string() });
            };
            node = Node::read(&mut self.cache, &self.geometry, inode)?;
            parent = name;
        }
        Ok(node)
    }

    /// Reads a whole file.
    ///
    /// # Errors
    /// It is none, it is too large, or the device cannot be read.
    pub fn read_file(&mut self, node: &Node) -> Result<Vec<u8>, Error<D::Error>> {
        let Node { inode, kind, content, .. } = *node;
        if kind != Kind::File {
            return Err(Error::NotAFile { inode, kind });
        }
        limited(inode, content.len)?;
        let mut data = Vec::new();
        data.try_reserve_exact(content.len as usize).map_err(|_| Error::Memory(content.len))?;
        self.cache.pieces(content.offset, content.len.into(), |piece| {
            data.extend_from_slice(piece);
        })?;
        Ok(data)
    }

    /// The inode behind the first entry with that name.
    fn find(&mut self, directory: &Node, name: &str) -> Result<Option<u32>, Error<D::Error>> {
        let Node { inode, entries, .. } = *directory;
        limited(inode, entries.len)?;
        let end = entries.offset + u64::from(entries.len);
        let mut at = entries.offset;
        while at < end {
            let overrun = Error::EntryOverrun { inode, offset: at };
            if end - at < ENTRY_HEADER {
                return Err(overrun);
            }
            let (len, child) = pair(self.cache.read(at)?);
            if len == 0 || len > NAME {
                return Err(Error::NameLength { inode, offset: at, len });
            }
            let start = at + ENTRY_HEADER;
            if u64::from(len) > end - start {
                return Err(overrun);
            }
            if child == 0 || child > self.geometry.inodes {
                return Err(Error::NoInode {
                    inode: child,
                    by: inode,
                    inodes: self.geometry.inodes,
                });
            }
            if len as usize == name.len() && self.is_at(start, name)? {
                return Ok(Some(child));
            }
            at = start + u64::from(len);
        }
        Ok(None)
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

fn limited<E: core::error::Error>(inode: u32, len: u32) -> Result<(), Error<E>> {
    if len <= LIMIT {
        return Ok(());
    }
    Err(Error::TooLarge { inode, len, limit: LIMIT })
}

#[cfg(test)]
pub(crate) mod tests;
