//! The ACPI tables: where ECAM and the interrupt controllers are.
//!
//! Only tables of fixed layout are read; there is no AML here. Nothing in them is
//! believed: every length is checked against what holds it, every table against
//! its checksum, and each kind of damage has its error.

mod madt;
mod mcfg;

use alloc::vec::Vec;

pub use madt::{InterruptControllers, IoApic, Override};
pub use mcfg::Ecam;

/// The signature of a root pointer (ACPI 6.4, 5.2.5.3).
const ROOT_POINTER: &[u8; 8] = b"RSD PTR ";
/// Bytes of a root pointer of revision 0, and those that its checksum covers.
const ROOT_POINTER_V0: u64 = 20;
/// Bytes of one from revision 2 on.
const ROOT_POINTER_V2: u64 = 36;

/// Where PC firmware leaves the root pointer, on a 16-byte boundary (ACPI 6.4, 5.2.5.1).
const BIOS_AREA: core::ops::Range<u64> = 0xE_0000..0x10_0000;
/// Where the BIOS data area has the segment of the extended one.
const EXTENDED_SEGMENT: u64 = 0x40E;
/// Bytes of the extended BIOS data area that may hold the root pointer.
const EXTENDED_BYTES: u64 = 1024;

/// Bytes of the header that every other table begins with (ACPI 6.4, 5.2.6).
const HEADER: usize = 36;
/// Longest table that is read: real ones that matter here have a few KiB.
const LONGEST: u32 = 64 * 1024;
/// Most tables that a root table may list.
const TABLES: usize = 64;

/// Why the tables cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The loader named no root pointer, and there is none where firmware leaves it.
    #[error("there is no ACPI root pointer")]
    NoRootPointer,
    /// Something is said to be where memory cannot be read.
    #[error("{len} bytes of ACPI tables at {address:#x} are out of reach")]
    OutOfReach {
        /// Physical address.
        address: u64,
        /// Bytes.
        len: u64,
    },
    /// What the loader or another table points to is something else.
    #[error("{} is expected at {address:#x}", expected.escape_ascii())]
    Signature {
        /// What should be there.
        expected: [u8; 4],
        /// Physical address.
        address: u64,
    },
    /// The bytes do not sum to zero.
    #[error("the checksum of {} at {address:#x} is wrong", signature.escape_ascii())]
    Checksum {
        /// Which table.
        signature: [u8; 4],
        /// Physical address.
        address: u64,
    },
    /// A table is shorter than its fixed part, or longer than any that makes sense.
    #[error("{} at {address:#x} cannot have {len} bytes", signature.escape_ascii())]
    Length {
        /// Which table.
        signature: [u8; 4],
        /// Physical address.
        address: u64,
        /// Bytes, as it says.
        len: u32,
    },
    /// The root table lists more tables than make sense.
    #[error("the root table lists {0} tables, more than {TABLES}")]
    TooManyTables(usize),
    /// An entry is shorter than its kind has to be, or leaves its table.
    #[error("the entry at byte {offset} of {} is damaged", signature.escape_ascii())]
    Entry {
        /// Which table.
        signature: [u8; 4],
        /// Where in the table.
        offset: usize,
    },
    /// There are more entries of a kind than make sense.
    #[error("{} has more than {limit} entries of one kind", signature.escape_ascii())]
    TooManyEntries {
        /// Which table.
        signature: [u8; 4],
        /// The limit.
        limit: usize,
    },
    /// An ECAM window that cannot be: no address, unaligned, or its buses end before they begin.
    #[error("ECAM at {base:#x} cannot hold buses {first} to {last}")]
    Ecam {
        /// Where bus 0 would be.
        base: u64,
        /// The first bus.
        first: u8,
        /// The last bus.
        last: u8,
    },
}

/// What the tables say, as far as this kernel asks. A table that is not there is no error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acpi {
    /// The ECAM windows.
    pub ecam: Vec<Ecam>,
    /// The interrupt controllers.
    pub interrupts: Option<InterruptControllers>,
}

impl Acpi {
    /// Reads the tables behind the root pointer at physical address `root`; with 0 it is searched
    /// for where PC firmware leaves it.
    ///
    /// `physical` gives the bytes at an address, as many as it is asked for, or `None` where it
    /// does not reach.
    ///
    /// # Errors
    /// [`Error`]
    pub fn read<'a>(
        root: u64,
        physical: impl Fn(u64, u64) -> Option<&'a [u8]>,
    ) -> Result<Self, Error> {
        let memory = Memory { physical };
        let root = if root == 0 { memory.search().ok_or(Error::NoRootPointer)? } else { root };
        let mut acpi = Self::default();
        for address in memory.tables(root)? {
            match signature(memory.bytes(address, HEADER as u64)?) {
                mcfg::SIGNATURE => acpi.ecam = mcfg::read(memory.table(address, mcfg::SIGNATURE)?)?,
                madt::SIGNATURE => {
                    let table = memory.table(address, madt::SIGNATURE)?;
                    acpi.interrupts = Some(madt::read(table, address)?);
                }
                _ => {}
            }
        }
        Ok(acpi)
    }
}

/// Physical memory.
struct Memory<F> {
    physical: F,
}

impl<'a, F: Fn(u64, u64) -> Option<&'a [u8]>> Memory<F> {
    fn bytes(&self, address: u64, len: u64) -> Result<&'a [u8], Error> {
        let bytes = (self.physical)(address, len).filter(|bytes| bytes.len() as u64 == len);
        bytes.ok_or(Error::OutOfReach { address, len })
    }

    /// The first root pointer with a right checksum in the places of ACPI 6.4, 5.2.5.1.
    fn search(&self) -> Option<u64> {
        let segment = self.bytes(EXTENDED_SEGMENT, 2).map_or(0, |bytes| number::<2>(bytes, 0));
        let extended = segment << 4;
        // No segment means no such area: address 0 has the interrupt vectors.
        let extended_end = if segment == 0 { 0 } else { extended + EXTENDED_BYTES };
        [extended..extended_end, BIOS_AREA].into_iter().find_map(|area| {
            let bytes = self.bytes(area.start, area.end - area.start).ok()?;
            let mut places = bytes.chunks_exact(16).zip((area.start..).step_by(16));
            let place = places.find(|(bytes, address)| {
                bytes.starts_with(ROOT_POINTER) && self.root_pointer(*address).is_ok()
            });
            place.map(|(_, address)| address)
        })
    }

    /// A root pointer with right checksums.
    fn root_pointer(&self, address: u64) -> Result<&'a [u8], Error> {
        let wrong = Error::Checksum { signature: *b"RSDP", address };
        let short = self.bytes(address, ROOT_POINTER_V0)?;
        if !short.starts_with(ROOT_POINTER) {
            return Err(Error::Signature { expected: *b"RSDP", address });
        }
        if !balanced(short) {
            return Err(wrong);
        }
        if short.get(15).is_none_or(|&revision| revision < 2) {
            return Ok(short);
        }
        let long = self.bytes(address, ROOT_POINTER_V2)?;
        if balanced(long) { Ok(long) } else { Err(wrong) }
    }

    /// The addresses that the root table lists: the extended one's where there is one.
    fn tables(&self, root: u64) -> Result<Vec<u64>, Error> {
        let root = self.root_pointer(root)?;
        let (short, extended) = (number::<4>(root, 16), number::<8>(root, 24));
        let listed: Vec<u64> = if extended != 0 {
            let table = self.table(extended, *b"XSDT")?;
            table.chunks_exact(8).map(|entry| number::<8>(entry, 0)).collect()
        } else {
            let table = self.table(short, *b"RSDT")?;
            table.chunks_exact(4).map(|entry| number::<4>(entry, 0)).collect()
        };
        if listed.len() > TABLES {
            return Err(Error::TooManyTables(listed.len()));
        }
        Ok(listed)
    }

    /// What follows the header of the table at `address`, which is the one that is expected.
    fn table(&self, address: u64, expected: [u8; 4]) -> Result<&'a [u8], Error> {
        let header = self.bytes(address, HEADER as u64)?;
        if signature(header) != expected {
            return Err(Error::Signature { expected, address });
        }
        let len = number::<4>(header, 4) as u32;
        if len > LONGEST || (len as usize) < HEADER {
            return Err(Error::Length { signature: expected, address, len });
        }
        let table = self.bytes(address, len.into())?;
        if !balanced(table) {
            return Err(Error::Checksum { signature: expected, address });
        }
        Ok(table.get(HEADER..).unwrap_or_default())
    }
}

/// The first four bytes.
fn signature(bytes: &[u8]) -> [u8; 4] {
    bytes.first_chunk().copied().unwrap_or_default()
}

/// The little-endian number of `N` bytes at `at`; 0 where there are not so many.
fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>());
    let bytes = field.into_iter().flatten().rev();
    bytes.fold(0, |number, &byte| number << 8 | u64::from(byte))
}

/// Whether the bytes sum to zero, as those of every table do.
fn balanced(bytes: &[u8]) -> bool {
    bytes.iter().fold(0_u8, |sum, &byte| sum.wrapping_add(byte)) == 0
}

#[cfg(test)]
mod tests;
