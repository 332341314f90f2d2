//! A disk whose writes are kept in memory over another that stays as it is.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io;
use std::ops::Range;

use super::{Disk, SECTOR_SIZE, locate};

/// Bytes in a block of the overlay.
const BLOCK: usize = 4096;

/// A writable disk over a base that is only ever read.
///
/// The overlay is sparse: it holds the blocks of 4 KiB that were written, in memory, until the disk
/// is dropped. So it grows to at most the size of the base.
#[derive(Debug)]
pub struct CopyOnWriteDisk<D> {
    base: D,
    /// By number. The last block of a disk may be shorter than the others.
    written: BTreeMap<u64, Vec<u8>>,
}

impl<D: Disk> CopyOnWriteDisk<D> {
    /// A disk that holds what `base` holds, and leaves it so.
    pub fn new(base: D) -> CopyOnWriteDisk<D> {
        CopyOnWriteDisk { base, written: BTreeMap::new() }
    }

    /// The disk below, as it was.
    pub fn base(&self) -> &D {
        &self.base
    }

    /// Bytes that a block has: all, or for the last one what is left of the disk.
    fn block_len(&self, block: u64) -> usize {
        let left = self.base.sectors().saturating_sub(first_sector(block));
        left.min((BLOCK / SECTOR_SIZE) as u64) as usize * SECTOR_SIZE
    }
}

impl<D: Disk> Disk for CopyOnWriteDisk<D> {
    fn sectors(&self) -> u64 {
        self.base.sectors()
    }

    /// Never: the overlay takes the writes, whether the base would or not.
    fn read_only(&self) -> bool {
        false
    }

    fn read(&mut self, sector: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = locate(self.sectors(), sector, buffer.len())?;
        let mut rest = buffer;
        for Piece { block, within } in pieces(start, rest.len()) {
            let (piece, after) = rest.split_at_mut(within.len());
            match self.written.get(&block) {
                Some(bytes) => piece.copy_from_slice(&bytes[within]),
                None => {
                    let sector = first_sector(block) + (within.start / SECTOR_SIZE) as u64;
                    self.base.read(sector, piece)?;
                }
            }
            rest = after;
        }
        Ok(())
    }

    fn write(&mut self, sector: u64, data: &[u8]) -> io::Result<()> {
        let start = locate(self.sectors(), sector, data.len())?;
        let mut rest = data;
        for Piece { block, within } in pieces(start, data.len()) {
            let (piece, after) = rest.split_at(within.len());
            let len = self.block_len(block);
            match self.written.entry(block) {
                Entry::Occupied(bytes) => bytes.into_mut()[within].copy_from_slice(piece),
                Entry::Vacant(entry) => {
                    let mut bytes = vec![0; len];
                    if within.len() < len {
                        self.base.read(first_sector(block), &mut bytes)?;
                    }
                    bytes[within].copy_from_slice(piece);
                    entry.insert(bytes);
                }
            }
            rest = after;
        }
        Ok(())
    }

    /// Does nothing: the writes are not meant to outlive the disk, and the base has none.
    fn flush(&mut self) -> io::Result<()> {
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
fn pieces(offset: u64, len: usize) -> impl Iterator<Item = Piece> {
    let end = offset + len as u64;
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
        assert_eq!(disk.written.keys().copied().collect::<Vec<_>>(), [1, 2]);
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
        assert!(disk.written.is_empty());
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
        assert!(disk.written.is_empty());
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
