//! A disk whose writes are kept in memory over another that stays as it is.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use super::{Abilities, Disk, SECTOR_SIZE, invalid, locate, locate_sectors};

/// Bytes in a block of the overlay.
const BLOCK: usize = 4096;

/// A writable disk over a base that is only ever read.
///
/// The overlay is sparse: it holds the blocks of 4 KiB that were changed, in memory, until the disk
/// is dropped. So it grows to at most the size of the disk. Made longer than its base, the disk
/// goes on in zeroes.
#[derive(Debug)]
pub struct CopyOnWriteDisk<D> {
    base: D,
    sectors: u64,
    /// Sectors of the base that can still be seen.
    visible: u64,
    /// By number. The last block of a disk may lie on it in part only.
    changed: BTreeMap<u64, Block>,
}

/// A block that is not as the base has it.
#[derive(Debug)]
enum Block {
    Written(Box<[u8; BLOCK]>),
    /// Nothing but zeroes, which take no memory.
    Zeroed,
}

impl<D: Disk> CopyOnWriteDisk<D> {
    /// A disk that holds what `base` holds, and leaves it so.
    pub fn new(base: D) -> CopyOnWriteDisk<D> {
        let sectors = base.sectors();
        CopyOnWriteDisk { base, sectors, visible: sectors, changed: BTreeMap::new() }
    }

    /// The disk below, as it was.
    pub fn base(&self) -> &D {
        &self.base
    }

    /// Reads what lies below the overlay: the base, and zeroes where it has ended.
    fn read_below(&mut self, sector: u64, buffer: &mut [u8]) -> io::Result<()> {
        let left = self.visible.saturating_sub(sector).saturating_mul(SECTOR_SIZE as u64);
        let len = left.min(buffer.len() as u64) as usize;
        let (base, beyond) = buffer.split_at_mut(len);
        beyond.fill(0);
        if base.is_empty() {
            return Ok(());
        }
        self.base.read(sector, base)
    }

    /// The bytes of a block, to change `within` of it.
    fn block(&mut self, block: u64, within: &Range<usize>) -> io::Result<&mut [u8; BLOCK]> {
        if !matches!(self.changed.get(&block), Some(Block::Written(_))) {
            let mut bytes = Box::new([0; BLOCK]);
            let zeroed = self.changed.contains_key(&block);
            if !zeroed && !self.is_whole(block, within) {
                self.read_below(first_sector(block), &mut bytes[..])?;
            }
            self.changed.insert(block, Block::Written(bytes));
        }
        match self.changed.get_mut(&block) {
            Some(Block::Written(bytes)) => Ok(bytes),
            _ => unreachable!("the block was just written"),
        }
    }

    /// Whether `within` is all of a block that lies on the disk.
    fn is_whole(&self, block: u64, within: &Range<usize>) -> bool {
        let left = self.sectors.saturating_sub(first_sector(block));
        let len = left.min((BLOCK / SECTOR_SIZE) as u64) as usize * SECTOR_SIZE;
        within.start == 0 && within.end >= len
    }
}

impl<D: Disk> Disk for CopyOnWriteDisk<D> {
    fn sectors(&self) -> u64 {
        self.sectors
    }

    /// Never: the overlay takes the writes, whether the base would or not.
    fn read_only(&self) -> bool {
        false
    }

    fn read(&mut self, sector: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = locate(self.sectors, sector, buffer.len())?;
        let mut rest = buffer;
        for Piece { block, within } in pieces(start, rest.len() as u64) {
            let (piece, after) = rest.split_at_mut(within.len());
            match self.changed.get(&block) {
                Some(Block::Written(bytes)) => piece.copy_from_slice(&bytes[within]),
                Some(Block::Zeroed) => piece.fill(0),
                None => {
                    let sector = first_sector(block) + (within.start / SECTOR_SIZE) as u64;
                    self.read_below(sector, piece)?;
                }
            }
            rest = after;
        }
        Ok(())
    }

    fn write(&mut self, sector: u64, data: &[u8]) -> io::Result<()> {
        let start = locate(self.sectors, sector, data.len())?;
        let mut rest = data;
        for Piece { block, within } in pieces(start, data.len() as u64) {
            let (piece, after) = rest.split_at(within.len());
            self.block(block, &within)?[within].copy_from_slice(piece);
            rest = after;
        }
        Ok(())
    }

    /// Does nothing: the writes are not meant to outlive the disk, and the base has none.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Not erasing: the base keeps what it holds.
    fn abilities(&self) -> Abilities {
        Abilities::DISCARD | Abilities::WRITE_ZEROES | Abilities::UNMAP
    }

    /// Forgets the blocks that lie in it wholly, so that what the base holds is seen again.
    fn discard(&mut self, sector: u64, count: u64) -> io::Result<()> {
        let start = locate_sectors(self.sectors, sector, count)?;
        let end = start + count * SECTOR_SIZE as u64;
        let whole = start.div_ceil(BLOCK as u64)..end / BLOCK as u64;
        if !whole.is_empty() {
            let mut after = self.changed.split_off(&whole.start);
            self.changed.append(&mut after.split_off(&whole.end));
        }
        Ok(())
    }

    fn write_zeroes(&mut self, sector: u64, count: u64, _unmap: bool) -> io::Result<()> {
        let start = locate_sectors(self.sectors, sector, count)?;
        for Piece { block, within } in pieces(start, count * SECTOR_SIZE as u64) {
            if self.is_whole(block, &within) {
                self.changed.insert(block, Block::Zeroed);
            } else {
                self.block(block, &within)?[within].fill(0);
            }
        }
        Ok(())
    }

    /// What is cut off is gone, of the base too: when the disk grows again, zeroes are there.
    fn resize(&mut self, sectors: u64) -> io::Result<()> {
        if sectors.checked_mul(SECTOR_SIZE as u64).is_none() {
            return Err(invalid(format!("{sectors} sectors are too many")));
        }
        self.visible = self.visible.min(sectors);
        let per_block = (BLOCK / SECTOR_SIZE) as u64;
        self.changed.split_off(&sectors.div_ceil(per_block));
        // Of the last block only the beginning may be left.
        if let Some(Block::Written(bytes)) = self.changed.get_mut(&(sectors / per_block)) {
            bytes[(sectors % per_block) as usize * SECTOR_SIZE..].fill(0);
        }
        self.sectors = sectors;
        Ok(())
    }
}

/// The part of an access that lies in one block.
struct Piece {
    block: u64,
    /// Bytes of the block.
    within: Range<usize>,
}

/// Cuts the access of `len` bytes at byte `offset` at the borders of blocks.
///
/// The access lies inside a disk, so its end does not overflow.
fn pieces(offset: u64, len: u64) -> impl Iterator<Item = Piece> {
    let end = offset + len;
    let mut at = offset;
    std::iter::from_fn(move || {
        if at == end {
            return None;
        }
        let block = at / BLOCK as u64;
        let start = (at % BLOCK as u64) as usize;
        let stop = start + (end - at).min((BLOCK - start) as u64) as usize;
        at += (stop - start) as u64;
        Some(Piece { block, within: start..stop })
    })
}

fn first_sector(block: u64) -> u64 {
    block * (BLOCK / SECTOR_SIZE) as u64
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::disk::MemoryDisk;

    /// A disk that answers reads with an error, and must not be written.
    #[derive(Debug)]
    struct Broken;

    impl Disk for Broken {
        fn sectors(&self) -> u64 {
            20
        }

        fn read_only(&self) -> bool {
            true
        }

        fn read(&mut self, _: u64, _: &mut [u8]) -> io::Result<()> {
            Err(io::Error::other("broken"))
        }

        fn write(&mut self, _: u64, _: &[u8]) -> io::Result<()> {
            panic!("the base was written")
        }

        fn flush(&mut self) -> io::Result<()> {
            panic!("the base was flushed")
        }
    }

    fn counting(sectors: u32) -> CopyOnWriteDisk<MemoryDisk> {
        CopyOnWriteDisk::new(MemoryDisk::counting(sectors).write_protected())
    }

    #[test]
    fn the_base_stays_as_it_is() {
        let mut disk = counting(16);
        assert!(!disk.read_only());
        disk.write(0, &[0xee; 16 * 512]).unwrap();
        disk.flush().unwrap();
        let mut all = [0; 16 * 512];
        disk.read(0, &mut all).unwrap();
        assert_eq!(all, [0xee; 16 * 512]);
        assert_eq!(*disk.base(), MemoryDisk::counting(16).write_protected());
    }

    #[test]
    fn a_write_holds_only_the_blocks_that_it_touches() {
        let mut disk = counting(1024);
        disk.write(15, &[1; 1024]).unwrap();
        assert_eq!(disk.changed.keys().copied().collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn a_whole_block_is_written_without_reading_the_base() {
        let mut disk = CopyOnWriteDisk::new(Broken);
        disk.write(8, &[1; 4096]).unwrap();
        disk.write(16, &[2; 2048]).unwrap();
        disk.flush().unwrap();
        let mut bytes = [0; 6144];
        disk.read(8, &mut bytes).unwrap();
        assert_eq!(bytes[..], [[1; 4096].as_slice(), &[2; 2048]].concat());
    }

    #[test]
    fn a_failure_of_the_base_is_the_answer_and_is_not_kept_as_data() {
        let mut disk = CopyOnWriteDisk::new(Broken);
        assert_eq!(disk.write(0, &[1; 512]).unwrap_err().kind(), io::ErrorKind::Other);
        assert_eq!(disk.read(0, &mut [0; 512]).unwrap_err().kind(), io::ErrorKind::Other);
        assert!(disk.changed.is_empty());
    }

    #[test]
    fn an_access_past_the_end_is_refused_and_changes_nothing() {
        let mut disk = counting(9);
        for (sector, len) in [(9, 512), (8, 1024), (u64::MAX, 512), (u64::MAX, 1024), (0, 100)] {
            let mut bytes = vec![7; len];
            let write = disk.write(sector, &bytes).unwrap_err();
            let read = disk.read(sector, &mut bytes).unwrap_err();
            assert_eq!(write.kind(), io::ErrorKind::InvalidInput, "{len} bytes at {sector}");
            assert_eq!(read.kind(), io::ErrorKind::InvalidInput, "{len} bytes at {sector}");
            assert_eq!(bytes, vec![7; len]);
        }
        assert!(disk.changed.is_empty());
    }

    #[test]
    fn zeroes_take_no_memory_and_a_discard_gives_memory_back() {
        let mut disk = counting(1024);
        disk.write_zeroes(0, 1020, true).unwrap();
        let written = disk.changed.values().filter(|block| matches!(block, Block::Written(_)));
        assert_eq!(written.count(), 1, "the last block is zeroed in part");
        let mut bytes = vec![1; 1020 * 512];
        disk.read(0, &mut bytes).unwrap();
        assert!(bytes.iter().all(|&byte| byte == 0));

        disk.write(8, &[1; 512]).unwrap();
        let mut block = [9; 4096];
        disk.read(8, &mut block).unwrap();
        assert_eq!(block, [[1; 512].as_slice(), &[0; 3584]].concat()[..], "zeroes around it");

        // Sectors 7 to 24: blocks 1 and 2 wholly, 0 and 3 in part.
        disk.discard(7, 18).unwrap();
        assert_eq!(disk.changed.keys().take(3).copied().collect::<Vec<_>>(), [0, 3, 4]);
        disk.read(8, &mut block).unwrap();
        assert_eq!(block, MemoryDisk::counting(1024).bytes()[8 * 512..16 * 512]);
        disk.discard(0, 1024).unwrap();
        assert!(disk.changed.is_empty());
    }

    #[test]
    fn a_range_past_the_end_is_refused_and_erasing_is_not_possible() {
        let mut disk = counting(9);
        for (sector, count) in [(9, 1), (8, 2), (u64::MAX, 1), (0, u64::MAX)] {
            let discard = disk.discard(sector, count).unwrap_err();
            let zeroes = disk.write_zeroes(sector, count, false).unwrap_err();
            assert_eq!(discard.kind(), io::ErrorKind::InvalidInput);
            assert_eq!(zeroes.kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(disk.secure_erase(0, 1).unwrap_err().kind(), io::ErrorKind::Unsupported);
        assert!(disk.changed.is_empty());
    }

    #[test]
    fn what_was_cut_off_is_zeroes_when_the_disk_grows_again() {
        let mut disk = counting(20);
        disk.write(1, &[1; 512]).unwrap();
        disk.write(6, &[2; 1024]).unwrap();
        disk.resize(7).unwrap();
        assert_eq!(disk.read(7, &mut [0; 512]).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        disk.resize(40).unwrap();
        disk.write(39, &[3; 512]).unwrap();
        let mut expected = MemoryDisk::counting(7).bytes().to_vec();
        expected[512..1024].fill(1);
        expected[6 * 512..].fill(2);
        expected.resize(39 * 512, 0);
        expected.resize(40 * 512, 3);
        let mut all = vec![9; 40 * 512];
        disk.read(0, &mut all).unwrap();
        assert!(all == expected);
        assert_eq!(disk.resize(u64::MAX).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(disk.sectors(), 40);
        assert_eq!(*disk.base(), MemoryDisk::counting(20).write_protected());
    }

    /// One access of `count` sectors at `sector`; `Some` byte is written.
    type Step = (u64, usize, Option<u8>);

    proptest! {
        #[test]
        fn it_behaves_like_a_plain_array_of_bytes(
            sectors in 1..40u32,
            steps in vec((0..40u64, 0..24usize, any::<Option<u8>>()), 0..40),
        ) {
            let mut disk = counting(sectors);
            let mut model = MemoryDisk::counting(sectors).bytes().to_vec();
            for step in steps {
                let (sector, count, write): Step = step;
                let mut buffer = vec![write.unwrap_or(0); count * SECTOR_SIZE];
                let start = sector as usize * SECTOR_SIZE;
                let mine = model.get_mut(start..start + buffer.len());
                let done = match write {
                    Some(_) => disk.write(sector, &buffer),
                    None => disk.read(sector, &mut buffer),
                };
                prop_assert_eq!(done.is_ok(), mine.is_some());
                match (mine, write) {
                    (Some(mine), Some(_)) => mine.copy_from_slice(&buffer),
                    (Some(mine), None) => prop_assert_eq!(&*mine, &buffer[..]),
                    (None, _) => {}
                }
            }
            let mut all = vec![0; model.len()];
            disk.read(0, &mut all).unwrap();
            prop_assert_eq!(all, model);
            prop_assert_eq!(disk.base(), &MemoryDisk::counting(sectors).write_protected());
        }
    }
}
