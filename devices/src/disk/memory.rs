//! A disk in memory.

use std::io;

use super::{
    Abilities, Disk, Lifetime, SECTOR_SIZE, invalid, locate, locate_sectors, write_refused,
};

/// A disk in memory, gone at the end of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryDisk {
    bytes: Vec<u8>,
    read_only: bool,
    lifetime: Option<Lifetime>,
}

impl MemoryDisk {
    /// What a discarded sector is filled with, so that who counts on zeroes, or on what was
    /// there before, is found out.
    pub const DISCARDED: u8 = 0xdd;

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
        MemoryDisk { bytes, read_only: false, lifetime: None }
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

    /// The same disk, as worn as `lifetime` says.
    pub fn worn(self, lifetime: Lifetime) -> MemoryDisk {
        MemoryDisk { lifetime: Some(lifetime), ..self }
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

    fn fill(&mut self, sector: u64, count: u64, byte: u8) -> io::Result<()> {
        if self.read_only {
            return Err(write_refused());
        }
        let start = locate_sectors(self.sectors(), sector, count)? as usize;
        // The sectors lie inside the vector, so their bytes are a `usize` too.
        self.bytes[start..start + count as usize * SECTOR_SIZE].fill(byte);
        Ok(())
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

    fn abilities(&self) -> Abilities {
        match self.read_only {
            true => Abilities::empty(),
            false => Abilities::DISCARD | Abilities::WRITE_ZEROES | Abilities::SECURE_ERASE,
        }
    }

    fn discard(&mut self, sector: u64, count: u64) -> io::Result<()> {
        self.fill(sector, count, Self::DISCARDED)
    }

    fn write_zeroes(&mut self, sector: u64, count: u64, _unmap: bool) -> io::Result<()> {
        self.fill(sector, count, 0)
    }

    /// There is one copy of a sector, so zeroes over it are all that it takes.
    fn secure_erase(&mut self, sector: u64, count: u64) -> io::Result<()> {
        self.fill(sector, count, 0)
    }

    fn lifetime(&self) -> Option<Lifetime> {
        self.lifetime
    }

    /// A sector that is new holds zeroes.
    fn resize(&mut self, sectors: u64) -> io::Result<()> {
        let len = usize::try_from(sectors).ok().and_then(|s| s.checked_mul(SECTOR_SIZE));
        let len = len.ok_or_else(|| invalid(format!("{sectors} sectors are too many")))?;
        let more = len.saturating_sub(self.bytes.len());
        self.bytes.try_reserve_exact(more).map_err(|_| io::ErrorKind::OutOfMemory)?;
        self.bytes.resize(len, 0);
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
    fn what_is_discarded_shows_and_what_is_zeroed_or_erased_is_gone() {
        let mut disk = MemoryDisk::counting(8);
        disk.discard(1, 2).unwrap();
        disk.write_zeroes(3, 1, true).unwrap();
        disk.write_zeroes(4, 1, false).unwrap();
        disk.secure_erase(6, 1).unwrap();
        disk.discard(8, 0).unwrap();
        let mut expected = MemoryDisk::counting(8).bytes().to_vec();
        expected[512..1536].fill(0xdd);
        expected[1536..2560].fill(0);
        expected[3072..3584].fill(0);
        assert_eq!(disk.bytes(), expected);
        let mut write_protected = disk.clone().write_protected();
        assert_eq!(write_protected.abilities(), Abilities::empty());
        for (sector, count) in [(8, 1), (7, 2), (9, 0), (u64::MAX, 1), (0, u64::MAX), (1, 1 << 55)]
        {
            let refusals = [
                disk.discard(sector, count),
                disk.write_zeroes(sector, count, true),
                disk.secure_erase(sector, count),
            ];
            for refusal in refusals {
                assert_eq!(refusal.unwrap_err().kind(), io::ErrorKind::InvalidInput);
            }
        }
        for refusal in [
            write_protected.discard(0, 1),
            write_protected.write_zeroes(0, 1, false),
            write_protected.secure_erase(0, 1),
        ] {
            assert_eq!(refusal.unwrap_err().kind(), io::ErrorKind::ReadOnlyFilesystem);
        }
        assert_eq!((disk.bytes(), write_protected.bytes()), (&expected[..], &expected[..]));
    }

    #[test]
    fn a_disk_grows_by_zeroes_and_shrinks_from_its_end() {
        let mut disk = MemoryDisk::counting(2);
        disk.resize(3).unwrap();
        let grown = [MemoryDisk::counting(2).bytes(), &[0; 512]].concat();
        assert_eq!((disk.sectors(), disk.bytes()), (3, &grown[..]));
        disk.resize(1).unwrap();
        assert_eq!(disk, MemoryDisk::counting(1));
        for absurd in [u64::MAX, 1 << 55, 1 << 53] {
            assert!(disk.resize(absurd).is_err());
        }
        assert_eq!(disk, MemoryDisk::counting(1));
    }

    #[test]
    #[should_panic(expected = "a memory disk of 513 bytes is not whole sectors")]
    fn half_a_sector_is_our_mistake() {
        MemoryDisk::new(vec![0; 513]);
    }
}
