//! ATA disks by programmed I/O: what a machine without a VIRTIO block device falls back to.
//!
//! An IDE controller in compatibility mode has two channels, and each has a device 0 and a device 1,
//! the master and the slave. All four are asked, and all disks among them are used. The driver polls:
//! interrupts are off, and the status is loaded 400 ns behind the store that changes it, not
//! earlier. Every wait is bounded in time.

mod channel;
mod error;
mod identify;
mod status;

use alloc::{boxed::Box, vec::Vec};
use core::fmt;

pub use error::{Error, Failure, Unusable};
pub use identify::Identity;
pub use status::{ErrorBits, Status};

use self::{
    channel::{Address, COMMAND, Channel, FLUSH, WORDS},
    identify::LBA28_END,
};
use crate::{
    block::{BLOCK_SIZE, Block, BlockDevice},
    hal::Hal,
    log,
};

/// Bytes of a sector.
pub const SECTOR: usize = 512;
/// Sectors of a block.
const BLOCK_SECTORS: u64 = (BLOCK_SIZE / SECTOR) as u64;
/// The most sectors of one command: what fits the count of a 28-bit command.
const COMMAND_SECTORS: usize = 256;

/// IDENTIFY DEVICE.
const IDENTIFY: u8 = 0xec;

/// A channel of the controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bus {
    /// Ports 0x1f0 to 0x1f7 and 0x3f6.
    Primary,
    /// Ports 0x170 to 0x177 and 0x376.
    Secondary,
}

/// A device of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Device 0.
    Master,
    /// Device 1.
    Slave,
}

/// Where a disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The channel.
    pub bus: Bus,
    /// The device.
    pub position: Position,
}

impl Place {
    /// All four, in the order in which they are asked.
    pub const ALL: [Place; 4] = [
        Place { bus: Bus::Primary, position: Position::Master },
        Place { bus: Bus::Primary, position: Position::Slave },
        Place { bus: Bus::Secondary, position: Position::Master },
        Place { bus: Bus::Secondary, position: Position::Slave },
    ];
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.bus, self.position) {
            (Bus::Primary, Position::Master) => "primary master",
            (Bus::Primary, Position::Slave) => "primary slave",
            (Bus::Secondary, Position::Master) => "secondary master",
            (Bus::Secondary, Position::Slave) => "secondary slave",
        })
    }
}

/// What a disk can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// READ SECTOR(S), or READ SECTOR(S) EXT.
    Read,
    /// WRITE SECTOR(S), or WRITE SECTOR(S) EXT.
    Write,
    /// FLUSH CACHE, or FLUSH CACHE EXT.
    Flush,
}

impl Command {
    /// The command with 28-bit addresses, and the one with 48.
    fn codes(self) -> (u8, u8) {
        match self {
            Self::Read => (0x20, 0x24),
            Self::Write => (0x30, 0x34),
            Self::Flush => (0xe7, 0xea),
        }
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Flush => "flush",
        })
    }
}

/// What is at a place.
#[derive(Debug)]
pub enum Found<H> {
    /// Nothing.
    Nothing,
    /// A device that takes packets, such as a CD drive: not for this driver.
    Packet,
    /// A disk.
    Disk(AtaDisk<H>),
}

/// An ATA disk.
#[derive(Clone, Debug)]
pub struct AtaDisk<H> {
    channel: Channel<H>,
    place: Place,
    identity: Identity,
}

/// Looks for disks in all four places, and logs what is there.
///
/// A device that does not answer as it should is logged and left out.
pub fn init<H: Hal>(hal: &H) -> Vec<AtaDisk<H>> {
    log!(*hal, "[ATA] Initializing ATA devices...");
    let mut disks = Vec::new();
    for place in Place::ALL {
        match AtaDisk::probe(hal, place) {
            Ok(Found::Nothing) => {}
            Ok(Found::Packet) => log!(*hal, "[ATA] Found ATAPI device: {place}, skipped"),
            Ok(Found::Disk(disk)) => {
                let Identity { sectors, lba48, .. } = disk.identity;
                let bits = if lba48 { 48 } else { 28 };
                log!(*hal, "[ATA] Found {}: {place}", disk.identity.model());
                log!(*hal, "[ATA]   {sectors} sectors, LBA{bits}");
                disks.push(disk);
            }
            Err(error) => log!(*hal, "[ATA] Device left out: {error}"),
        }
    }
    if disks.is_empty() {
        log!(*hal, "[ATA] No ATA disk found");
    }
    disks
}

impl<H: Hal> AtaDisk<H> {
    /// Asks what is at `place`.
    ///
    /// # Errors
    /// A device is there, but does not tell what it is, or cannot be driven.
    pub fn probe(hal: &H, place: Place) -> Result<Found<H>, Error> {
        let channel = Channel::new(hal.clone(), place.bus);
        match identify(&channel, place.position) {
            Ok(Answer::Nothing) => Ok(Found::Nothing),
            Ok(Answer::Packet) => Ok(Found::Packet),
            Ok(Answer::Disk(words)) => match Identity::parse(&words) {
                Ok(identity) => Ok(Found::Disk(Self { channel, place, identity })),
                Err(why) => Err(Error::Unusable { place, why }),
            },
            Err(failure) => Err(Error::Identify { place, failure }),
        }
    }

    /// Where it is.
    pub fn place(&self) -> Place {
        self.place
    }

    /// What it tells of itself.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Reads whole sectors from `sector` on.
    ///
    /// # Errors
    /// They are not all on the disk, or the disk failed; `data` is then worth nothing.
    pub fn read_sectors(&mut self, sector: u64, data: &mut [u8]) -> Result<(), Error> {
        self.check(sector, data.len())?;
        for (part, first) in data.chunks_mut(COMMAND_SECTORS * SECTOR).zip(starts(sector)) {
            self.read(first, part).map_err(self.failed(Command::Read, first))?;
        }
        Ok(())
    }

    /// Writes whole sectors from `sector` on.
    ///
    /// # Errors
    /// They are not all on the disk, or the disk failed; any of them may then be written.
    pub fn write_sectors(&mut self, sector: u64, data: &[u8]) -> Result<(), Error> {
        self.check(sector, data.len())?;
        for (part, first) in data.chunks(COMMAND_SECTORS * SECTOR).zip(starts(sector)) {
            self.write(first, part).map_err(self.failed(Command::Write, first))?;
        }
        Ok(())
    }

    fn read(&self, first: u64, part: &mut [u8]) -> Result<(), Failure> {
        self.begin(Command::Read, first, part.len() / SECTOR)?;
        for sector in part.chunks_exact_mut(SECTOR) {
            let (words, _) = sector.as_chunks_mut();
            let mut words = words.iter_mut();
            self.channel.sector_in(|word| {
                if let Some(place) = words.next() {
                    *place = word.to_le_bytes();
                }
            })?;
        }
        self.channel.end(COMMAND)
    }

    fn write(&self, first: u64, part: &[u8]) -> Result<(), Failure> {
        self.begin(Command::Write, first, part.len() / SECTOR)?;
        for sector in part.chunks_exact(SECTOR) {
            self.channel.sector_out(sector)?;
        }
        self.channel.end(COMMAND)
    }

    /// Gives a command for at most [`COMMAND_SECTORS`] sectors; 48 bits only where 28 do not do.
    fn begin(&self, command: Command, sector: u64, count: usize) -> Result<(), Failure> {
        let (short, long) = command.codes();
        let end = sector + count as u64;
        // At most 256, by `chunks`.
        let count = count as u16;
        let (code, address) = match end > LBA28_END {
            true => (long, Address::Lba48 { sector, count }),
            false => (short, Address::Lba28 { sector, count }),
        };
        self.give(code, address)
    }

    fn give(&self, code: u8, address: Address) -> Result<(), Failure> {
        self.channel.select(self.place.position, address)?;
        self.channel.command(code, address);
        Ok(())
    }

    /// Checks that so many bytes at `sector` are whole sectors of the disk.
    fn check(&self, sector: u64, bytes: usize) -> Result<(), Error> {
        let (place, sectors) = (self.place, self.identity.sectors);
        if !bytes.is_multiple_of(SECTOR) {
            return Err(Error::Unaligned { place, bytes });
        }
        let count = (bytes / SECTOR) as u64;
        match sector.checked_add(count) {
            Some(end) if end <= sectors => Ok(()),
            _ => Err(Error::OutOfRange { place, sector, count, sectors }),
        }
    }

    fn failed(&self, command: Command, sector: u64) -> impl Fn(Failure) -> Error + use<H> {
        let place = self.place;
        move |failure| Error::Failed { place, command, sector, failure }
    }

    /// The bytes of a block that are on the disk, which may end in its midst.
    fn part(&self, block: u64) -> usize {
        let left = self.bytes().saturating_sub(block.saturating_mul(BLOCK_SIZE as u64));
        left.min(BLOCK_SIZE as u64) as usize
    }
}

/// The first sectors of the commands of a long request.
fn starts(sector: u64) -> impl Iterator<Item = u64> {
    (sector..).step_by(COMMAND_SECTORS)
}

impl<H: Hal> BlockDevice for AtaDisk<H> {
    type Error = Error;

    fn blocks(&self) -> u64 {
        self.identity.sectors / BLOCK_SECTORS
    }

    fn bytes(&self) -> u64 {
        // At most 2^48 sectors.
        self.identity.sectors * SECTOR as u64
    }

    /// An ATA disk has no way to say that it is; one that is aborts each write.
    fn read_only(&self) -> bool {
        false
    }

    fn read_block(&mut self, block: u64, into: &mut Block) -> Result<(), Error> {
        let part = self.part(block).max(SECTOR);
        let (there, beyond) = into.split_at_mut(part);
        beyond.fill(0);
        self.read_sectors(block.saturating_mul(BLOCK_SECTORS), there)
    }

    fn write_block(&mut self, block: u64, data: &Block) -> Result<(), Error> {
        let part = self.part(block).max(SECTOR);
        self.write_sectors(block.saturating_mul(BLOCK_SECTORS), &data[..part])
    }

    fn flush(&mut self) -> Result<(), Error> {
        let Identity { lba48, flush_ext, .. } = self.identity;
        let (short, long) = Command::Flush.codes();
        let code = if lba48 && flush_ext { long } else { short };
        let flushed = self.give(code, Address::None).and_then(|()| self.channel.end(FLUSH));
        flushed.map_err(self.failed(Command::Flush, 0))
    }
}

/// How a place answers IDENTIFY DEVICE.
enum Answer {
    Nothing,
    Packet,
    Disk(Box<[u16; WORDS]>),
}

/// Asks the device at `position` what it is.
fn identify<H: Hal>(channel: &Channel<H>, position: Position) -> Result<Answer, Failure> {
    channel.silence();
    if channel.alternate_status().bits() == 0xff {
        return Ok(Answer::Nothing);
    }
    channel.store_device(position, 0);
    if channel.alternate_status().nobody() {
        return Ok(Answer::Nothing);
    }
    let idle = channel.wait(COMMAND, Status::idle)?;
    idle.ok_or(Failure::Busy(COMMAND))?;
    channel.command(IDENTIFY, Address::None);
    channel.settle();
    if channel.alternate_status().nobody() {
        return Ok(Answer::Nothing);
    }
    let free = channel.wait(COMMAND, |status| !status.contains(Status::BSY))?;
    free.ok_or(Failure::Busy(COMMAND))?;
    // Such a device aborts the command, and shows what it is.
    if channel.signature() != (0, 0) {
        return Ok(Answer::Packet);
    }
    let mut words = Box::new([0; WORDS]);
    let mut places = words.iter_mut();
    channel.sector_in(|word| {
        if let Some(place) = places.next() {
            *place = word;
        }
    })?;
    channel.end(COMMAND)?;
    Ok(Answer::Disk(words))
}

#[cfg(test)]
mod tests;
