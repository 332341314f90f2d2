//! EclipseFS 2.0: a header, a table of inodes, and one record for each.
//!
//! Nothing on the disk is believed: every offset and length is checked against the
//! device or against what holds it, every loop is bounded, and each kind of damage
//! has its name. A record lies anywhere, so its header may begin in one block and
//! end in the next. Files are written in their place; the tree does not change.
//!
//! The file system begins where the device does, or where one of its partitions does.
//! All offsets are from there.

mod cache;
mod damage;
mod directory;
mod error;
mod file;
pub mod fsck;
pub mod image;
mod node;
mod path;
mod superblock;
mod write;

pub use damage::{Damage, Finding};
pub use directory::{Cursor, DirectoryEntry};
pub use error::Error;
pub use fsck::{Report, fsck};
pub use node::{Kind, Node};
pub use superblock::Superblock;

use self::{cache::Cache, superblock::Geometry};
use crate::{
    block::BlockDevice,
    partition::{self, Partition},
};

/// The root directory's inode.
const ROOT: u32 = 1;

/// A device that has the signature of EclipseFS.
pub struct Volume<D> {
    cache: Cache<D>,
    superblock: Superblock,
    partition: Option<Partition>,
}

impl<D: BlockDevice> Volume<D> {
    /// Reads the header and looks for the signature: where the device begins, and where it has
    /// none but a partition table, where each partition begins.
    ///
    /// # Errors
    /// [`Error::NotEclipseFs`] or [`Error::NoPartition`], or the device cannot be read.
    pub fn open(device: D) -> Result<Self, Error<D::Error>> {
        let mut cache = Cache::new(device);
        match Superblock::read(&mut cache) {
            Err(Error::NotEclipseFs) => Self::open_partition(cache),
            Err(error) => Err(error),
            Ok(superblock) => Ok(Self { cache, superblock, partition: None }),
        }
    }

    /// Takes the first partition that has the signature.
    fn open_partition(mut cache: Cache<D>) -> Result<Self, Error<D::Error>> {
        let device = cache.bytes();
        let partitions = partition::table(device, |offset, into| cache.fill(offset, into))?;
        for partition in &partitions {
            cache.narrow(partition.start, partition.bytes);
            match Superblock::read(&mut cache) {
                Err(Error::NotEclipseFs | Error::TooSmall(_)) => {}
                Err(error) => return Err(error),
                Ok(superblock) => {
                    return Ok(Self { cache, superblock, partition: Some(*partition) });
                }
            }
        }
        match partitions.len() {
            0 => Err(Error::NotEclipseFs),
            count => Err(Error::NoPartition(count)),
        }
    }

    /// The header.
    pub fn superblock(&self) -> &Superblock {
        &self.superblock
    }

    /// The partition that the file system is in; `None` where it has the device for itself.
    pub fn partition(&self) -> Option<Partition> {
        self.partition
    }

    /// Checks what the header says, and that the root is a directory.
    ///
    /// # Errors
    /// The file system is of another version, or damaged.
    pub fn mount(self) -> Result<EclipseFs<D>, Error<D::Error>> {
        let Self { mut cache, superblock, .. } = self;
        superblock.supported()?;
        superblock.verify()?;
        let geometry = superblock.geometry(cache.bytes())?;
        let root = Node::read(&mut cache, &geometry, ROOT)?;
        if root.kind != Kind::Directory {
            return Err(Damage::Root(root.kind).at(ROOT, root.record.offset).into());
        }
        let data_checksum = superblock.has_data_checksum();
        Ok(EclipseFs { cache, geometry, root, data_checksum })
    }
}

/// A mounted file system.
pub struct EclipseFs<D> {
    cache: Cache<D>,
    geometry: Geometry,
    root: Node,
    /// Whether the header has a checksum of all data, which a write would make wrong.
    data_checksum: bool,
}

impl<D: BlockDevice> EclipseFs<D> {
    /// Mounts the file system on a device.
    ///
    /// # Errors
    /// As [`Volume::open`] and [`Volume::mount`].
    pub fn mount(device: D) -> Result<Self, Error<D::Error>> {
        Volume::open(device)?.mount()
    }

    /// The node with this number.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn node(&mut self, inode: u32) -> Result<Node, Error<D::Error>> {
        let Geometry { inodes, .. } = self.geometry;
        if !self.geometry.has(inode) {
            return Err(Error::NoInode { inode, inodes });
        }
        Node::read(&mut self.cache, &self.geometry, inode)
    }
}

#[cfg(test)]
pub(crate) mod tests;
