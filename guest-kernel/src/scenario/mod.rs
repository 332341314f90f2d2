//! What a boot does, chosen by the command line: `scenario=NAME key=value ...`.

mod files;
mod requests;
mod soak;
pub mod table;
mod tasks;

use alloc::vec::Vec;

pub use table::{DEFAULT, SCENARIOS};

use crate::{
    ata,
    block::{BLOCK_SIZE, Block},
    cmdline::{self, CommandLine},
    disk, eclipsefs,
    hal::Hal,
    ipc,
    mark::{self, Phase},
    pci::{Address, Pci},
    syscall::Errno,
    task,
    virtio::{
        self,
        blk::{self, Options, VirtioBlk},
        features::Features,
    },
};

/// Why a scenario failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The command line asks for nothing that there is.
    #[error(transparent)]
    CommandLine(#[from] cmdline::Error),
    /// The scenario does nothing that a driver library could.
    #[error("scenario `{0}` is the bootable image's own")]
    Image(&'static str),
    /// Configuration space is not reached by memory here.
    #[error("this machine has no ECAM")]
    NoEcam,
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
    /// An ATA disk is wanted, and there is none.
    #[error("there is no ATA disk")]
    NoAta,
    /// The ATA disk failed.
    #[error(transparent)]
    Ata(#[from] ata::Error),
    /// The system disk failed.
    #[error(transparent)]
    System(#[from] disk::Error),
    /// The file system cannot be mounted, or the file not be read.
    #[error("EclipseFS: {0}")]
    FileSystem(#[from] eclipsefs::Error<disk::Error>),
    /// The file system is damaged.
    #[error("EclipseFS: {0} damage(s), the first: {1}")]
    Damaged(u64, #[source] eclipsefs::Finding),
    /// Tasks did not come to an end.
    #[error(transparent)]
    Stuck(#[from] task::Stuck),
    /// The servers cannot be registered.
    #[error(transparent)]
    Ipc(#[from] ipc::Error),
    /// A server answered with an error.
    #[error("server: {0}")]
    Server(#[from] Errno),
    /// A task has not let the disk go.
    #[error("a task still has the disk")]
    StillShared,
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
    hal.mark(mark::phase(Phase::Begin));
    let ended = Run { hal, asked: &asked }.run();
    hal.mark(mark::phase(Phase::End));
    ended
}

/// Finds the system disk as the command line says; see [`disk::find`].
///
/// # Errors
/// Configuration space cannot be reached as is asked for.
pub fn system_disk<H: Hal>(hal: &H, asked: &CommandLine<'_>) -> Result<disk::Found<H>, Error> {
    let run = Run { hal, asked };
    let pci = run.pci()?;
    run.mark(Phase::Start);
    Ok(disk::find(&pci, run.options()))
}

/// One run of a scenario.
struct Run<'a, H> {
    hal: &'a H,
    asked: &'a CommandLine<'a>,
}

impl<H: Hal> Run<'_, H> {
    fn run(&self) -> Result<(), Error> {
        let asked = self.asked;
        match asked.scenario {
            DEFAULT => files::boot(self),
            "pci" => self.pci().map(drop),
            "init" => self.with_disk(&|_| Ok(())),
            "read" => self.with_disk(&|disk| requests::read(disk, asked.sector.unwrap_or(0))),
            "write" => self.with_disk(&|disk| requests::write(disk, asked.sector)),
            "info" => self.with_disk(&requests::info),
            "batch" => self.with_disk(&|disk| requests::batch(disk, asked.count.unwrap_or(64))),
            "bytes" => self.with_disk(&requests::bytes),
            "discard" => self.with_disk(&requests::discard),
            "soak" => self.with_disk(&|disk| {
                soak::run(disk, asked.count.unwrap_or(1000), asked.seed.unwrap_or(1))
            }),
            "devices" => requests::all_devices(self),
            "ata" => requests::ata(self, asked.sector),
            "ls" => files::list(self),
            "tasks" => tasks::run(self, asked.count.unwrap_or(8)),
            "servers" => tasks::servers(self),
            "fsck" => files::check(self),
            name => Err(Error::Image(name)),
        }
    }

    fn mark(&self, phase: Phase) {
        self.hal.mark(mark::phase(phase));
    }

    /// The bus, by the mechanism that the command line asks for.
    fn pci(&self) -> Result<Pci<H>, Error> {
        self.mark(Phase::Scan);
        if !self.asked.ecam {
            return Ok(Pci::init(self.hal));
        }
        let ecam = self.hal.ecam().ok_or(Error::NoEcam)?;
        Ok(Pci::with_access(self.hal, ecam))
    }

    /// How the command line wants VIRTIO devices to be driven.
    fn options(&self) -> Options {
        let all = Options::default();
        let wanted = self.asked.features.map_or(all.wanted, Features::from_bits_truncate);
        Options { wanted, signalling: self.asked.signalling, legacy: self.asked.legacy }
    }

    /// Brings the first VIRTIO block device up, uses it, and resets it.
    ///
    /// By reference, so that the way up and down is in the image once.
    fn with_disk(
        &self,
        work: &dyn Fn(&mut VirtioBlk<H>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.with_disk_of_its_own(|mut disk| work(&mut disk).map(|()| disk))
    }

    /// The same for work that takes the device, and gives it back.
    fn with_disk_of_its_own(
        &self,
        work: impl FnOnce(VirtioBlk<H>) -> Result<VirtioBlk<H>, Error>,
    ) -> Result<(), Error> {
        let pci = self.pci()?;
        self.mark(Phase::Start);
        let disk = virtio::init(&pci, self.options())?;
        self.mark(Phase::Work);
        let disk = work(disk)?;
        let failed = disk_error(&disk);
        self.mark(Phase::Close);
        disk.close().map_err(failed)
    }

    /// All VIRTIO block devices, started.
    fn all_disks(&self) -> Result<Vec<VirtioBlk<H>>, Error> {
        let pci = self.pci()?;
        self.mark(Phase::Start);
        Ok(virtio::init_all(&pci, self.options())?)
    }
}

/// Names the disk in an error.
fn disk_error<H: Hal>(disk: &VirtioBlk<H>) -> impl Fn(blk::Error) -> Error + Copy + use<H> {
    let device = disk.address();
    move |source| Error::Disk { device, source }
}

/// A pattern in which every 8 bytes are different, and different in every sector.
fn fill(data: &mut [u8], sector: u64) {
    let mut value = sector.wrapping_mul(blk::SECTOR as u64) ^ 0xec11_95ef_0000_0000;
    let (words, rest) = data.as_chunks_mut::<8>();
    for word in words {
        *word = value.to_le_bytes();
        value = value.wrapping_add(1);
    }
    for (byte, end) in rest.iter_mut().zip(value.to_le_bytes()) {
        *byte = end;
    }
}

fn compare(block: u64, written: &[u8], back: &[u8]) -> Result<(), Error> {
    if written == back {
        return Ok(());
    }
    let offset = written.iter().zip(back).position(|(a, b)| a != b);
    Err(Error::ReadBack { block, offset: offset.unwrap_or(0) })
}

/// The sector where a block of this kernel begins.
fn sector_of(block: u64) -> u64 {
    block * (size_of::<Block>() / blk::SECTOR) as u64
}

const _: () = assert!(BLOCK_SIZE.is_multiple_of(blk::SECTOR));

#[cfg(test)]
mod tests;
