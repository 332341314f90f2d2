use std::sync::atomic::Ordering;

use eclipse_trace::Violation;
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap, VolatileSlice};

/// A range of guest memory, all of it in RAM.
///
/// It is looked for once, and what is done with it then cannot fail half-way.
pub(super) enum Range<'a> {
    /// In one region of RAM, where nearly all are.
    Whole(VolatileSlice<'a>),
    /// From one region into the next.
    Across(&'a GuestMemoryMmap<()>, GuestAddress),
}

impl<'a> Range<'a> {
    /// The `len` bytes at `addr`.
    ///
    /// # Errors
    /// They are not all in RAM.
    #[inline]
    pub(super) fn at(
        memory: &'a GuestMemoryMmap<()>,
        addr: u64,
        len: usize,
    ) -> Result<Self, Violation> {
        let at = GuestAddress(addr);
        if let Ok(slice) = memory.get_slice(at, len) {
            return Ok(Self::Whole(slice));
        }
        match memory.check_range(at, len) {
            true => Ok(Self::Across(memory, at)),
            false => Err(outside(addr, len)),
        }
    }

    /// Reads as many bytes as it has.
    #[inline]
    pub(super) fn read(&self, bytes: &mut [u8]) {
        match self {
            Self::Whole(slice) => {
                slice.copy_to(bytes);
            }
            Self::Across(memory, at) => memory.read_slice(bytes, *at).expect("it is in RAM"),
        }
    }

    /// Writes as many bytes as it has.
    #[inline]
    pub(super) fn write(&self, bytes: &[u8]) {
        match self {
            Self::Whole(slice) => slice.copy_from(bytes),
            Self::Across(memory, at) => memory.write_slice(bytes, *at).expect("it is in RAM"),
        }
    }
}

/// Reads the 16-bit field at `addr`, before anything that is read later.
///
/// # Errors
/// It is not in RAM, or not aligned.
#[inline]
pub(super) fn load(memory: &GuestMemoryMmap<()>, addr: u64) -> Result<u16, Violation> {
    let slice = memory.get_slice(GuestAddress(addr), 2).map_err(|_| outside(addr, 2))?;
    let value = slice.load(0, Ordering::Acquire).map_err(|_| outside(addr, 2))?;
    Ok(u16::from_le(value))
}

/// Writes the 16-bit field at `addr`, after everything that was written before.
///
/// # Errors
/// As [`load`].
#[inline]
pub(super) fn store(memory: &GuestMemoryMmap<()>, addr: u64, value: u16) -> Result<(), Violation> {
    let slice = memory.get_slice(GuestAddress(addr), 2).map_err(|_| outside(addr, 2))?;
    slice.store(value.to_le(), 0, Ordering::Release).map_err(|_| outside(addr, 2))
}

fn outside(addr: u64, len: usize) -> Violation {
    Violation::OutsideRam { addr, len: u32::try_from(len).unwrap_or(u32::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two regions that touch, and a third behind a hole.
    fn memory() -> GuestMemoryMmap<()> {
        let regions = [(0, 0x1000), (0x1000, 0x1000), (0x4000, 0x1000)];
        GuestMemoryMmap::from_ranges(&regions.map(|(at, len)| (GuestAddress(at), len))).unwrap()
    }

    #[test]
    fn bytes_come_back_from_where_they_were_written_across_regions_too() {
        let memory = memory();
        for (addr, len) in [(0x10, 7), (0xffd, 9), (0, 0x2000), (0x1fff, 1), (0x4000, 0x1000)] {
            let bytes: Vec<u8> = (0..len).map(|byte| (byte % 251) as u8).collect();
            Range::at(&memory, addr, len).unwrap().write(&bytes);
            let mut back = vec![0xff; len];
            Range::at(&memory, addr, len).unwrap().read(&mut back);
            assert_eq!(back, bytes, "{len} bytes at {addr:#x}");
            assert_eq!(memory.read_obj::<u8>(GuestAddress(addr)).unwrap(), bytes[0]);
        }
    }

    #[test]
    fn a_range_is_in_ram_as_a_whole_or_it_is_none() {
        let memory = memory();
        for (addr, len) in
            [(0x1fff, 2), (0, 0x2001), (0x2000, 1), (0x3fff, 2), (0x5000, 1), (u64::MAX, 2)]
        {
            let refused = Range::at(&memory, addr, len).err();
            assert_eq!(refused, Some(Violation::OutsideRam { addr, len: len as u32 }));
        }
    }

    #[test]
    fn a_field_is_little_endian_and_aligned() {
        let memory = memory();
        store(&memory, 0xffe, 0x1234).unwrap();
        assert_eq!(memory.read_obj::<[u8; 2]>(GuestAddress(0xffe)).unwrap(), [0x34, 0x12]);
        assert_eq!(load(&memory, 0xffe), Ok(0x1234));
        for addr in [0xfff, 1, 0x1fff, 0x2000, u64::MAX] {
            assert_eq!(load(&memory, addr), Err(Violation::OutsideRam { addr, len: 2 }));
            assert_eq!(store(&memory, addr, 0), Err(Violation::OutsideRam { addr, len: 2 }));
        }
    }
}
