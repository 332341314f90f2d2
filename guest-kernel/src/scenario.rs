//! What a boot does, chosen by the command line: `scenario=NAME key=value ...`.

use alloc::string::String;

use crate::{
    block::{self, BLOCK_SIZE, Block, BlockDevice},
    cmdline::{self, CommandLine},
    crc32::crc32,
    eclipsefs::{self, Volume},
    hal::Hal,
    log,
    pci::{Address, Pci},
    virtio::{
        self,
        blk::{self, SECTOR, VirtioBlk},
    },
};

/// All scenarios; the last four are the bootable image's own.
pub const NAMES: [&str; 9] =
    ["boot", "pci", "init", "read", "write", "panic", "hang", "fault", "triple"];

/// What runs without a command line.
pub const DEFAULT: &str = "boot";

/// The file that `boot` prints.
const PATH: &str = "/etc/motd";

/// Why a scenario failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The command line asks for nothing that there is.
    #[error(transparent)]
    CommandLine(#[from] cmdline::Error),
    /// The scenario does nothing that a driver library could.
    #[error("scenario `{0}` is the bootable image's own")]
    Image(&'static str),
    /// There is no block device, or it does not start.
    #[error(transparent)]
    VirtIo(#[from] virtio::Error),
    /// The block device failed later.
    #[error("VirtIO block device {device}: {source}")]
    Disk {
        /// Where it is.
        device: Address,
        /// What is wrong.
        source: blk::Error,
    },
    /// The file system cannot be mounted, or the file not be read.
    #[error("EclipseFS: {0}")]
    FileSystem(#[from] eclipsefs::Error<blk::Error>),
    /// There is no block to try a write with.
    #[error("a disk of {0} sectors has no scratch block")]
    TooSmall(u64),
    /// What was written is not what was read.
    #[error("block {block} does not read back as it was written: byte {offset} differs")]
    ReadBack {
        /// The block.
        block: u64,
        /// The first byte that differs.
        offset: usize,
    },
}

/// Does what `command_line` asks for, from PCI on, and logs it.
///
/// # Errors
/// The command line is wrong, or the scenario failed. A device that was started is
/// reset before the answer.
pub fn run<H: Hal>(hal: &H, command_line: &str) -> Result<(), Error> {
    let asked = CommandLine::parse(command_line)?;
    match asked.scenario {
        "pci" => {
            Pci::init(hal);
            Ok(())
        }
        "init" => with_disk(hal, |_| Ok(())),
        "read" => with_disk(hal, |disk| read(hal, disk, asked.sector.unwrap_or(0))),
        "write" => with_disk(hal, |disk| write(hal, disk, asked.sector)),
        DEFAULT => with_disk(hal, |disk| {
            print_file(hal, disk, asked.path.unwrap_or(PATH))?;
            try_scratch_block(hal, disk)
        }),
        name => Err(Error::Image(name)),
    }
}

/// Brings the block device up, uses it, and resets it.
fn with_disk<H: Hal>(
    hal: &H,
    work: impl FnOnce(&mut VirtioBlk<H>) -> Result<(), Error>,
) -> Result<(), Error> {
    let pci = Pci::init(hal);
    let mut disk = virtio::init(&pci)?;
    work(&mut disk)?;
    let failed = disk_error(&disk);
    disk.close().map_err(failed)
}

/// Names the disk in an error.
fn disk_error<H: Hal>(disk: &VirtioBlk<H>) -> impl Fn(blk::Error) -> Error + Copy + use<H> {
    let device = disk.address();
    move |source| Error::Disk { device, source }
}

fn read<H: Hal>(hal: &H, disk: &mut VirtioBlk<H>, sector: u64) -> Result<(), Error> {
    let mut data = [0; SECTOR];
    disk.read_sectors(sector, &mut data).map_err(disk_error(disk))?;
    let crc = crc32(data);
    let first = u128::from_be_bytes(core::array::from_fn(|byte| data[byte]));
    log!(*hal, "[VirtIO] Sector {sector}: CRC-32 0x{crc:08X}, begins {first:032x}");
    Ok(())
}

/// Writes one sector; the disk's last one where none is asked for.
fn write<H: Hal>(hal: &H, disk: &mut VirtioBlk<H>, sector: Option<u64>) -> Result<(), Error> {
    let failed = disk_error(disk);
    let sectors = disk.config().sectors;
    let sector = sector.or(sectors.checked_sub(1)).ok_or(Error::TooSmall(sectors))?;
    let mut data = [0; SECTOR];
    fill(&mut data, sector);
    disk.write_sectors(sector, &data).map_err(failed)?;
    disk.flush().map_err(failed)?;
    log!(*hal, "[VirtIO] Sector {sector}: written and flushed");
    Ok(())
}

/// A pattern in which every 8 bytes are different, and different in every sector.
fn fill(data: &mut [u8], sector: u64) {
    let first = sector.wrapping_mul(SECTOR as u64) ^ 0xec11_95ef_0000_0000;
    for (word, index) in data.chunks_exact_mut(8).zip(0..) {
        word.copy_from_slice(&first.wrapping_add(index).to_le_bytes());
    }
}

fn print_file<H: Hal>(hal: &H, disk: &mut VirtioBlk<H>, path: &str) -> Result<(), Error> {
    log!(*hal, "[FS] Attempting to mount eclipsefs...");
    let volume = Volume::open(disk)?;
    log!(*hal, "[FS] EclipseFS signature found");
    let (major, minor) = volume.superblock().version();
    log!(*hal, "[FS] Version: {major}.{minor}");
    let mut fs = volume.mount()?;
    log!(*hal, "[FS] Filesystem mounted successfully");
    let node = fs.lookup(path)?;
    let data = fs.read_file(&node)?;
    log!(*hal, "[FS] {path}: {} bytes", data.len());
    for line in String::from_utf8_lossy(&data).lines() {
        log!(*hal, "{line}");
    }
    Ok(())
}

/// Writes the disk's last block, reads it back, and puts the old content back.
fn try_scratch_block<H: Hal>(hal: &H, disk: &mut VirtioBlk<H>) -> Result<(), Error> {
    let failed = disk_error(disk);
    if disk.read_only() {
        log!(*hal, "[VirtIO] Scratch block skipped: the disk is read-only");
        return Ok(());
    }
    let sectors = disk.config().sectors;
    let block = disk.blocks().checked_sub(1).ok_or(Error::TooSmall(sectors))?;
    let (mut old, mut pattern, mut back) = (block::zeroed(), block::zeroed(), block::zeroed());
    disk.read_block(block, &mut old).map_err(failed)?;
    fill(&mut *pattern, block * (BLOCK_SIZE / SECTOR) as u64);
    disk.write_block(block, &pattern).map_err(failed)?;
    disk.flush().map_err(failed)?;
    disk.read_block(block, &mut back).map_err(failed)?;
    // The old content goes back whatever came out.
    disk.write_block(block, &old).map_err(failed)?;
    disk.flush().map_err(failed)?;
    compare(block, &pattern, &back)?;
    log!(*hal, "[VirtIO] Scratch block {block}: written, flushed, read back, restored");
    Ok(())
}

fn compare(block: u64, written: &Block, back: &Block) -> Result<(), Error> {
    if written == back {
        return Ok(());
    }
    let offset = written.iter().zip(back).position(|(a, b)| a != b);
    Err(Error::ReadBack { block, offset: offset.unwrap_or(0) })
}

#[cfg(test)]
mod tests;
