//! The simulated disk: what is left to boot from where no real one answers.
//!
//! It holds a small EclipseFS image, made when it is asked for. What is written stays in
//! memory, block by block, until the disk is dropped.

use alloc::{boxed::Box, vec::Vec};

use crate::{
    block::{self, BLOCK_SIZE, Block, BlockDevice},
    eclipsefs::image::{Entry, image},
    sorted::SortedMap,
};

/// The tree on the disk.
const TREE: &[(&str, Entry<'_>)] = &[
    (
        "etc",
        Entry::Directory(&[
            ("hostname", Entry::File(b"eclipse\n")),
            (
                "motd",
                Entry::File(
                    b"Welcome to Eclipse.\n\nThis is the simulated disk: no real one answered, and \
                      what is written here is gone\nwhen the machine is.\n",
                ),
            ),
        ]),
    ),
    ("welcome", Entry::Symlink("etc/motd")),
];

/// Blocks of the disk: 256 KiB, most of them free.
const BLOCKS: u64 = 64;

/// Why the simulated disk refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is no such block.
    #[error("block {block} is not on a simulated disk of {blocks} blocks")]
    OutOfRange {
        /// The block.
        block: u64,
        /// How many there are.
        blocks: u64,
    },
}

/// A disk in memory, of which only what was written takes room.
#[derive(Clone, Debug)]
pub struct RamDisk {
    /// What the disk holds at first; zeros behind that.
    image: Vec<u8>,
    blocks: u64,
    written: SortedMap<u64, Box<Block>>,
}

impl Default for RamDisk {
    /// The disk with the small tree.
    fn default() -> Self {
        Self::new(image(TREE), BLOCKS)
    }
}

impl RamDisk {
    /// A disk that begins with `image`, and has at least as many blocks as that.
    pub fn new(image: Vec<u8>, blocks: u64) -> Self {
        let needed = image.len().div_ceil(BLOCK_SIZE) as u64;
        Self { image, blocks: blocks.max(needed), written: SortedMap::new() }
    }

    fn check(&self, block: u64) -> Result<(), Error> {
        if block < self.blocks {
            return Ok(());
        }
        Err(Error::OutOfRange { block, blocks: self.blocks })
    }
}

impl BlockDevice for RamDisk {
    type Error = Error;

    fn blocks(&self) -> u64 {
        self.blocks
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read_block(&mut self, block: u64, into: &mut Block) -> Result<(), Error> {
        self.check(block)?;
        if let Some(data) = self.written.get(&block) {
            into.copy_from_slice(&data[..]);
            return Ok(());
        }
        let start = usize::try_from(block).ok().and_then(|block| block.checked_mul(BLOCK_SIZE));
        let image = start.and_then(|start| self.image.get(start..)).unwrap_or_default();
        let there = image.len().min(BLOCK_SIZE);
        into[..there].copy_from_slice(&image[..there]);
        into[there..].fill(0);
        Ok(())
    }

    fn write_block(&mut self, block: u64, data: &Block) -> Result<(), Error> {
        self.check(block)?;
        match self.written.get_mut(&block) {
            Some(there) => there.copy_from_slice(data),
            None => {
                let mut copy = block::zeroed();
                copy.copy_from_slice(data);
                self.written.insert(block, copy);
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{BLOCKS, Error, RamDisk};
    use crate::{
        block::{self, BLOCK_SIZE, BlockDevice},
        eclipsefs::{EclipseFs, Kind, fsck},
    };

    #[test]
    fn it_holds_a_file_system_without_damage() {
        let report = fsck(RamDisk::default()).unwrap();
        assert_eq!(report.findings, []);
        assert_eq!((report.directories, report.files, report.symlinks), (2, 2, 1));
        let mut fs = EclipseFs::mount(RamDisk::default()).unwrap();
        let node = fs.lookup("/welcome").unwrap();
        assert!(fs.read_file(&node).unwrap().starts_with(b"Welcome to Eclipse.\n"));
        assert_eq!(fs.lookup_link("/welcome").unwrap().kind, Kind::Symlink);
    }

    #[test]
    fn what_is_written_is_kept_and_nothing_else_changes() {
        let mut disk = RamDisk::new(vec![1; 5000], 4);
        let mut block = block::zeroed();
        disk.read_block(1, &mut block).unwrap();
        assert_eq!((block[903], block[904], block[4095]), (1, 0, 0));
        block.fill(7);
        disk.write_block(1, &block).unwrap();
        disk.flush().unwrap();
        let mut back = block::zeroed();
        disk.read_block(1, &mut back).unwrap();
        assert_eq!(back, block);
        disk.read_block(0, &mut back).unwrap();
        assert_eq!(back[..], [1; BLOCK_SIZE]);
        disk.read_block(3, &mut back).unwrap();
        assert_eq!(back[..], [0; BLOCK_SIZE]);
        assert_eq!(disk.written.len(), 1);
    }

    #[test]
    fn what_is_behind_the_end_is_refused() {
        let mut disk = RamDisk::default();
        let mut block = block::zeroed();
        for at in [BLOCKS, u64::MAX] {
            let refused = Err(Error::OutOfRange { block: at, blocks: BLOCKS });
            assert_eq!(disk.read_block(at, &mut block), refused);
            assert_eq!(disk.write_block(at, &block), refused);
        }
        assert_eq!(RamDisk::new(vec![0; 4097], 0).blocks(), 2);
    }
}
