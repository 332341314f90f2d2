//! A disk in memory.

use std::io;

use super::{Disk, SECTOR_SIZE, locate, write_refused};

/// A disk in memory, gone at the end of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryDisk {
    bytes: Vec<u8>,
    read_only: bool,
}

impl MemoryDisk {
    /// A writable disk that holds `bytes`.
    ///
    /// # Panics
    ///
    /// If `bytes` is not whole sectors long.
    pub fn new(bytes: Vec<u8>) -> MemoryDisk {
        assert!(
            bytes.len().is_multiple_of(SECTOR_SIZE),
            "a memory disk of {} bytes is not whole sectors",
            bytes.len()
        );
        MemoryDisk { bytes, read_only: false }
    }

    /// A writable disk of `sectors` sectors of 64-bit little-endian words that count up from 0.
    ///
    /// No two words of it are equal, so a test sees from the data alone where it came from.
    pub fn counting(sectors: u32) -> MemoryDisk {
        let words = u64::from(sectors) * (SECTOR_SIZE / size_of::<u64>()) as u64;
        MemoryDisk::new((0..words).flat_map(u64::to_le_bytes).collect())
    }

    /// The same disk, refusing writes.
    pub fn write_protected(self) -> MemoryDisk {
        MemoryDisk { read_only: true, ..self }
    }

    /// What the disk holds now.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn range(&mut self, sector: u64, len: usize) -> io::Result<&mut [u8]> {
        let start = locate(self.sectors(), sector, len)?;
        // The vector's length is a `usize`, and the access lies inside it.
        Ok(&mut self.bytes[start as usize..][..len])
    }
}

impl Disk for MemoryDisk {
    fn sectors(&self) -> u64 {
        (self.bytes.len() / SECTOR_SIZE) as u64
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read(&mut self, sector: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.copy_from_slice(self.range(sector, buffer.len())?);
        Ok(())
    }

    fn write(&mut self, sector: u64, data: &[u8]) -> io::Result<()> {
        if self.read_only {
            return Err(write_refused());
        }
        self.range(sector, data.len())?.copy_from_slice(data);
        Ok(())
    }

    /// Does nothing: memory is all the durability that there is.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sector_reads_back_as_written_and_its_neighbours_stay() {
        let mut disk = MemoryDisk::counting(4);
        assert_eq!(disk.sectors(), 4);
        disk.write(1, &[0xa5; 1024]).unwrap();
        disk.flush().unwrap();

        let mut sector = [0; 512];
        disk.read(2, &mut sector).unwrap();
        assert_eq!(sector, [0xa5; 512]);
        let untouched = MemoryDisk::counting(4);
        assert_eq!(disk.bytes()[..512], untouched.bytes()[..512]);
        assert_eq!(disk.bytes()[3 * 512..], untouched.bytes()[3 * 512..]);
        assert_eq!(untouched.bytes()[3 * 512..][..8], [192, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn an_access_past_the_end_is_refused_and_changes_nothing() {
        let mut disk = MemoryDisk::counting(2);
        let mut two = [7; 1024];
        assert_eq!(disk.read(1, &mut two).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(two, [7; 1024]);
        assert_eq!(disk.write(1, &two).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(disk.write(u64::MAX, &two).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(disk.write(0, &two[1..]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(disk, MemoryDisk::counting(2));
    }

    #[test]
    fn a_write_protected_disk_refuses_writes_and_still_reads() {
        let mut disk = MemoryDisk::counting(1).write_protected();
        assert!(disk.read_only());
        let refusal = disk.write(0, &[0; 512]).unwrap_err();
        assert_eq!(refusal.kind(), io::ErrorKind::ReadOnlyFilesystem);
        let mut sector = [0; 512];
        disk.read(0, &mut sector).unwrap();
        assert_eq!(sector[..], MemoryDisk::counting(1).bytes()[..]);
    }

    #[test]
    #[should_panic(expected = "a memory disk of 513 bytes is not whole sectors")]
    fn half_a_sector_is_our_mistake() {
        MemoryDisk::new(vec![0; 513]);
    }
}
