//! Disks: what a block device reads and writes on the host.
//!
//! A [`Disk`] is an array of 512-byte sectors. There are three: in memory ([`MemoryDisk`]), a file or
//! block device of the host ([`FileDisk`]), and a disk whose writes are kept in memory over one that
//! stays as it is ([`CopyOnWriteDisk`]). [`open`] makes one from what the user wrote on the command
//! line ([`DiskSpec`]); [`default_image`] generates the disk that is used when the user names none.

mod abilities;
mod default;
pub mod eclipsefs;
mod error;
mod file;
mod memory;
mod overlay;
mod spec;

use std::io;

pub use abilities::{Abilities, Lifetime};
pub use default::default_image;
pub use error::OpenError;
pub use file::FileDisk;
pub use memory::MemoryDisk;
pub use overlay::CopyOnWriteDisk;
pub use spec::{DiskSpec, Mode, SpecError};

/// Bytes in a sector: the unit of a [`Disk`], whatever block size the device tells its driver.
pub const SECTOR_SIZE: usize = 512;

/// An array of 512-byte sectors.
///
/// No argument makes an implementation panic. [`io::ErrorKind::InvalidInput`] is the answer to a
/// buffer that is not whole sectors and to an access that does not lie wholly inside the disk, and
/// [`io::ErrorKind::ReadOnlyFilesystem`] is the answer to a write to a read-only disk, and
/// [`io::ErrorKind::Unsupported`] to what is not among its [`Abilities`]: then nothing
/// was read or written. Any other error comes from the host and may leave the access half done.
pub trait Disk: Send {
    /// The disk's size in sectors of 512 bytes.
    fn sectors(&self) -> u64;

    /// Whether writes are refused.
    fn read_only(&self) -> bool;

    /// Fills `buffer`, whole sectors long, from `sector` on.
    fn read(&mut self, sector: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Stores `data`, whole sectors long, from `sector` on.
    fn write(&mut self, sector: u64, data: &[u8]) -> io::Result<()>;

    /// Returns when all earlier writes are as durable as the disk can make them.
    fn flush(&mut self) -> io::Result<()>;

    /// What it can do beside reading and writing. A read-only disk has none.
    fn abilities(&self) -> Abilities {
        Abilities::empty()
    }

    /// Gives up `count` sectors from `sector` on: nobody counts on what they hold.
    fn discard(&mut self, sector: u64, count: u64) -> io::Result<()> {
        let _ = (sector, count);
        Err(unsupported())
    }

    /// Zeroes `count` sectors from `sector` on; with `unmap` their space may be given up.
    fn write_zeroes(&mut self, sector: u64, count: u64, unmap: bool) -> io::Result<()> {
        let _ = (sector, count, unmap);
        Err(unsupported())
    }

    /// Erases `count` sectors from `sector` on, and whatever copies of them there are.
    fn secure_erase(&mut self, sector: u64, count: u64) -> io::Result<()> {
        let _ = (sector, count);
        Err(unsupported())
    }

    /// How worn it is, if it knows.
    fn lifetime(&self) -> Option<Lifetime> {
        None
    }

    /// Makes the disk `sectors` sectors long: it keeps what it holds up to there.
    fn resize(&mut self, sectors: u64) -> io::Result<()> {
        let _ = sectors;
        Err(unsupported())
    }
}

impl<D: Disk + ?Sized> Disk for Box<D> {
    fn sectors(&self) -> u64 {
        (**self).sectors()
    }

    fn read_only(&self) -> bool {
        (**self).read_only()
    }

    fn read(&mut self, sector: u64, buffer: &mut [u8]) -> io::Result<()> {
        (**self).read(sector, buffer)
    }

    fn write(&mut self, sector: u64, data: &[u8]) -> io::Result<()> {
        (**self).write(sector, data)
    }

    fn flush(&mut self) -> io::Result<()> {
        (**self).flush()
    }

    fn abilities(&self) -> Abilities {
        (**self).abilities()
    }

    fn discard(&mut self, sector: u64, count: u64) -> io::Result<()> {
        (**self).discard(sector, count)
    }

    fn write_zeroes(&mut self, sector: u64, count: u64, unmap: bool) -> io::Result<()> {
        (**self).write_zeroes(sector, count, unmap)
    }

    fn secure_erase(&mut self, sector: u64, count: u64) -> io::Result<()> {
        (**self).secure_erase(sector, count)
    }

    fn lifetime(&self) -> Option<Lifetime> {
        (**self).lifetime()
    }

    fn resize(&mut self, sectors: u64) -> io::Result<()> {
        (**self).resize(sectors)
    }
}

/// Opens the disk that the user asked for.
pub fn open(spec: &DiskSpec) -> Result<Box<dyn Disk>, OpenError> {
    Ok(match spec.mode() {
        Mode::CopyOnWrite => Box::new(CopyOnWriteDisk::new(FileDisk::read_only(spec.path())?)),
        Mode::Write => Box::new(FileDisk::read_write(spec.path())?),
        Mode::ReadOnly => Box::new(FileDisk::read_only(spec.path())?),
    })
}

/// The byte at which an access of `len` bytes at `sector` begins, on a disk of `sectors`.
fn locate(sectors: u64, sector: u64, len: usize) -> io::Result<u64> {
    if !len.is_multiple_of(SECTOR_SIZE) {
        return Err(invalid(format!("{len} bytes are not whole sectors")));
    }
    locate_sectors(sectors, sector, (len / SECTOR_SIZE) as u64)
}

/// The byte at which `count` sectors from `sector` on begin, on a disk of `sectors`.
fn locate_sectors(sectors: u64, sector: u64, count: u64) -> io::Result<u64> {
    let end = sector.checked_add(count).filter(|&end| end <= sectors);
    // The end in bytes fits in 64 bits too, so that nobody need think of overflow again.
    let end = end.and_then(|end| end.checked_mul(SECTOR_SIZE as u64));
    end.map(|end| end - count * SECTOR_SIZE as u64).ok_or_else(|| {
        invalid(format!(
            "{count} sectors at sector {sector} do not lie inside a disk of {sectors} sectors"
        ))
    })
}

/// The answer to a write to a read-only disk.
fn write_refused() -> io::Error {
    io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "the disk is read-only")
}

/// The answer to what the disk cannot do.
fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "the disk cannot do that")
}

fn invalid(why: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_access_lies_inside_the_disk_or_is_invalid_input() {
        assert_eq!(locate(8, 0, 0).unwrap(), 0);
        assert_eq!(locate(8, 7, 512).unwrap(), 7 * 512);
        assert_eq!(locate(8, 8, 0).unwrap(), 8 * 512);
        assert_eq!(locate(u64::MAX, 1 << 54, 512).unwrap(), 1 << 63);

        let refused = [(8, 8, 512), (8, 7, 1024), (8, 9, 0), (8, 0, 511), (8, 0, 1), (0, 0, 512)];
        let overflowing =
            [(8, u64::MAX, 512), (u64::MAX, u64::MAX, 512), (u64::MAX, (1 << 55) - 1, 512)];
        for (sectors, sector, len) in refused.into_iter().chain(overflowing) {
            let kind = locate(sectors, sector, len).unwrap_err().kind();
            assert_eq!(kind, io::ErrorKind::InvalidInput, "{len} bytes at {sector} of {sectors}");
        }
    }

    #[test]
    fn only_the_mode_write_changes_the_users_image() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("disk.img");
        let bytes = || std::fs::read(&path).unwrap();
        std::fs::write(&path, [1; 1024]).unwrap();

        let mut disk = open(&DiskSpec::new(&path, Mode::CopyOnWrite)).unwrap();
        assert!(!disk.read_only());
        disk.write(1, &[2; 512]).unwrap();
        disk.flush().unwrap();
        let mut sector = [0; 512];
        disk.read(1, &mut sector).unwrap();
        assert_eq!((sector, bytes()), ([2; 512], vec![1; 1024]));

        let mut disk = open(&DiskSpec::new(&path, Mode::ReadOnly)).unwrap();
        assert!(disk.read_only());
        let refusal = disk.write(1, &[2; 512]).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(bytes(), [1; 1024]);

        let mut disk = open(&DiskSpec::new(&path, Mode::Write)).unwrap();
        assert!(!disk.read_only());
        disk.write(1, &[2; 512]).unwrap();
        disk.flush().unwrap();
        assert_eq!(bytes(), [[1; 512], [2; 512]].concat());
    }
}
