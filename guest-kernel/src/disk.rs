//! The system disk: the first that works of VirtIO, ATA, and a disk simulated in RAM.

use alloc::{boxed::Box, vec::Vec};

use crate::{
    ata::{self, AtaDisk},
    block::{Block, BlockDevice},
    hal::Hal,
    log,
    pci::Pci,
    ramdisk::{self, RamDisk},
    virtio::{
        self,
        blk::{self, Options, VirtioBlk},
    },
};

/// The system disk.
#[derive(Debug)]
pub enum Disk<H: Hal> {
    /// A VIRTIO block device.
    VirtIo(Box<VirtioBlk<H>>),
    /// The first ATA disk.
    Ata(AtaDisk<H>),
    /// The disk simulated in RAM.
    Ram(RamDisk),
}

/// Why the system disk failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A VIRTIO block device.
    #[error("VirtIO: {0}")]
    VirtIo(#[from] blk::Error),
    /// An ATA disk.
    #[error("ATA: {0}")]
    Ata(#[from] ata::Error),
    /// The disk in RAM.
    #[error("RAM disk: {0}")]
    Ram(#[from] ramdisk::Error),
    /// A disk behind a server has not delivered the block yet.
    #[error("block {0} has not come yet")]
    Awaited(u64),
}

/// Whatever a file system is on. One type for all, so that there is one file system in the image.
pub type AnyDisk<'a> = Box<dyn BlockDevice<Error = Error> + 'a>;

/// The system disk, and what stood before it on the ladder and did not work.
#[derive(Debug)]
pub struct Found<H: Hal> {
    /// The disk that works.
    pub disk: Disk<H>,
    /// What failed. A device that is not there has not failed.
    pub failures: Vec<virtio::Error>,
}

/// Goes down the ladder until a disk works, and logs each step with its reason.
///
/// A fall-back does not hide a failure: the caller gets both.
pub fn find<H: Hal>(pci: &Pci<H>, options: Options) -> Found<H> {
    let hal = pci.hal();
    let mut failures = Vec::new();
    match virtio::init(pci, options) {
        Ok(disk) => return Found { disk: Disk::VirtIo(Box::new(disk)), failures },
        // Said already.
        Err(virtio::Error::NotFound) => {}
        Err(error) => {
            log!(*hal, "[VirtIO] {error}");
            failures.push(error);
        }
    }
    log!(*hal, "[VirtIO] Falling back to ATA");
    if let Some(disk) = ata::init(hal).into_iter().next() {
        log!(*hal, "[ATA] The system disk is the {}", disk.place());
        return Found { disk: Disk::Ata(disk), failures };
    }
    log!(*hal, "[VirtIO] Falling back to simulated block device");
    let disk = RamDisk::default();
    log!(*hal, "[VirtIO] Simulated device initialized successfully");
    Found { disk: Disk::Ram(disk), failures }
}

impl<H: Hal> Disk<H> {
    /// What its lines in the log begin with.
    pub fn tag(&self) -> &'static str {
        match self {
            Self::VirtIo(_) => "VirtIO",
            Self::Ata(_) => "ATA",
            Self::Ram(_) => "RAM",
        }
    }

    /// Lets the disk go: a device that can access memory is reset.
    ///
    /// # Errors
    /// It does not confirm.
    pub fn close(self) -> Result<(), Error> {
        match self {
            Self::VirtIo(disk) => Ok(disk.close()?),
            Self::Ata(_) | Self::Ram(_) => Ok(()),
        }
    }
}

impl<H: Hal> BlockDevice for Disk<H> {
    type Error = Error;

    fn blocks(&self) -> u64 {
        match self {
            Self::VirtIo(disk) => disk.blocks(),
            Self::Ata(disk) => disk.blocks(),
            Self::Ram(disk) => disk.blocks(),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::VirtIo(disk) => disk.bytes(),
            Self::Ata(disk) => disk.bytes(),
            Self::Ram(disk) => disk.bytes(),
        }
    }

    fn read_only(&self) -> bool {
        match self {
            Self::VirtIo(disk) => disk.read_only(),
            Self::Ata(disk) => disk.read_only(),
            Self::Ram(disk) => disk.read_only(),
        }
    }

    fn read_block(&mut self, block: u64, into: &mut Block) -> Result<(), Error> {
        match self {
            Self::VirtIo(disk) => Ok(disk.read_block(block, into)?),
            Self::Ata(disk) => Ok(disk.read_block(block, into)?),
            Self::Ram(disk) => Ok(disk.read_block(block, into)?),
        }
    }

    fn write_block(&mut self, block: u64, data: &Block) -> Result<(), Error> {
        match self {
            Self::VirtIo(disk) => Ok(disk.write_block(block, data)?),
            Self::Ata(disk) => Ok(disk.write_block(block, data)?),
            Self::Ram(disk) => Ok(disk.write_block(block, data)?),
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        match self {
            Self::VirtIo(disk) => Ok(disk.flush()?),
            Self::Ata(disk) => Ok(disk.flush()?),
            Self::Ram(disk) => Ok(disk.flush()?),
        }
    }
}

#[cfg(test)]
mod tests;
