//! What a PVH loader tells a kernel: where RAM is, and the command line.
//!
//! All of it lies in memory that the memory map calls usable, so it is copied
//! before anything is allocated.

use core::str;

use crate::memory_map::{ENTRY_BYTES, Entry, MAX_ENTRIES, Ram};

/// `start_info.magic`.
const MAGIC: u32 = 0x336E_C578;

/// Bytes of `struct hvm_start_info` from version 1 on, which brought the memory map.
const START_INFO_BYTES: u64 = 56;

/// Longest command line that is taken.
pub const MAX_COMMAND_LINE: usize = 2048;

/// Why a start info cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Some part lies where the kernel cannot look yet.
    #[error("the loader left its information at {0:#x}, out of the kernel's first reach")]
    OutOfReach(u64),
    /// There is no start info at the address.
    #[error("the loader gave no PVH start info: magic {0:#010x}")]
    Magic(u32),
    /// Version 0, or no entries.
    #[error("the loader gave no memory map")]
    NoMemoryMap,
    /// The map is larger than any that makes sense.
    #[error("the memory map has {0} entries, more than {MAX_ENTRIES}")]
    TooManyEntries(u32),
    /// No NUL within [`MAX_COMMAND_LINE`] bytes.
    #[error("the command line is longer than {MAX_COMMAND_LINE} bytes")]
    CommandLineTooLong,
    /// Not text.
    #[error("the command line is not UTF-8")]
    CommandLineNotText,
}

/// A start info, copied.
pub struct StartInfo {
    /// The machine's RAM.
    pub ram: Ram,
    /// Physical address of the ACPI root pointer; 0 where the loader gave none.
    pub acpi_root: u64,
    command_line: [u8; MAX_COMMAND_LINE],
    length: usize,
}

impl StartInfo {
    /// Copies what the start info at physical address `address` tells.
    ///
    /// `physical` gives the bytes at an address, as many as it is asked for, or `None` where it
    /// does not reach.
    ///
    /// # Errors
    /// [`Error`]
    pub fn copy<'a>(
        address: u64,
        physical: impl Fn(u64, u64) -> Option<&'a [u8]>,
    ) -> Result<Self, Error> {
        let bytes = |at, length| physical(at, length).ok_or(Error::OutOfReach(at));
        let info = bytes(address, START_INFO_BYTES)?;
        let magic = u32_at(info, 0);
        if magic != MAGIC {
            return Err(Error::Magic(magic));
        }
        let (version, entries) = (u32_at(info, 4), u32_at(info, 48));
        if version == 0 || entries == 0 {
            return Err(Error::NoMemoryMap);
        }
        let too_many = Error::TooManyEntries(entries);
        if entries as usize > MAX_ENTRIES {
            return Err(too_many);
        }
        let table = bytes(u64_at(info, 40), u64::from(entries) * ENTRY_BYTES as u64)?;
        let (table, _) = table.as_chunks();
        let ram = Ram::from_entries(table.iter().map(Entry::from_bytes)).map_err(|_| too_many)?;
        let acpi_root = u64_at(info, 32);
        let mut this = Self { ram, acpi_root, command_line: [0; MAX_COMMAND_LINE], length: 0 };
        this.copy_command_line(u64_at(info, 24), |at| bytes(at, 1))?;
        Ok(this)
    }

    /// The command line.
    ///
    /// # Errors
    /// [`Error::CommandLineNotText`]
    pub fn command_line(&self) -> Result<&str, Error> {
        let bytes = self.command_line.get(..self.length).unwrap_or_default();
        str::from_utf8(bytes).map_err(|_| Error::CommandLineNotText)
    }

    /// Copies up to the NUL; no address means no command line.
    fn copy_command_line<'a>(
        &mut self,
        address: u64,
        byte: impl Fn(u64) -> Result<&'a [u8], Error>,
    ) -> Result<(), Error> {
        if address == 0 {
            return Ok(());
        }
        for offset in 0..=MAX_COMMAND_LINE {
            let at = address.saturating_add(offset as u64);
            match (byte(at)?.first(), self.command_line.get_mut(offset)) {
                (None | Some(0), _) => return Ok(()),
                (Some(&byte), Some(place)) => *place = byte,
                (Some(_), None) => break,
            }
            self.length = offset + 1;
        }
        Err(Error::CommandLineTooLong)
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field.map_or(0, |&field| u32::from_le_bytes(field))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let field = bytes.get(at..).and_then(|rest| rest.first_chunk());
    field.map_or(0, |&field| u64::from_le_bytes(field))
}

#[cfg(test)]
mod tests {
    use super::{Error, MAGIC, MAX_COMMAND_LINE, StartInfo};

    /// Where the parts lie in [`memory`].
    const INFO: u64 = 0x100;
    const MAP: u64 = 0x200;
    const LINE: u64 = 0x1000;

    /// Memory with a start info of version 1, one entry of 64 MiB of RAM, and a command line.
    fn memory(line: &[u8]) -> Vec<u8> {
        let mut memory = vec![0; LINE as usize];
        store(&mut memory, INFO, &MAGIC.to_le_bytes());
        store(&mut memory, INFO + 4, &1_u32.to_le_bytes());
        store(&mut memory, INFO + 24, &LINE.to_le_bytes());
        store(&mut memory, INFO + 32, &0xE_0000_u64.to_le_bytes());
        store(&mut memory, INFO + 40, &MAP.to_le_bytes());
        store(&mut memory, INFO + 48, &1_u32.to_le_bytes());
        store(&mut memory, MAP + 8, &(64_u64 << 20).to_le_bytes());
        store(&mut memory, MAP + 16, &1_u32.to_le_bytes());
        memory.extend(line);
        memory
    }

    fn store(memory: &mut [u8], at: u64, bytes: &[u8]) {
        memory[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    fn copy(memory: &[u8]) -> Result<StartInfo, Error> {
        StartInfo::copy(INFO, |at, length| {
            let start = usize::try_from(at).ok()?;
            memory.get(start..start.checked_add(length as usize)?)
        })
    }

    fn error(memory: &[u8]) -> Error {
        copy(memory).err().expect("an error")
    }

    #[test]
    fn a_start_info_gives_ram_the_acpi_root_and_the_command_line() {
        let info = copy(&memory(b"scenario=pci\0rest")).unwrap();
        assert_eq!(info.command_line(), Ok("scenario=pci"));
        assert_eq!((info.ram.total(), info.acpi_root), (64 << 20, 0xE_0000));
    }

    #[test]
    fn no_address_is_no_command_line() {
        let mut memory = memory(b"scenario=pci\0");
        store(&mut memory, INFO + 24, &[0; 8]);
        assert_eq!(copy(&memory).unwrap().command_line(), Ok(""));
    }

    #[test]
    fn each_thing_that_is_wrong_is_told_apart() {
        let good = memory(b"\0");
        let changed = |at, bytes: &[u8]| {
            let mut memory = good.clone();
            store(&mut memory, at, bytes);
            error(&memory)
        };
        assert_eq!(changed(INFO, &[0; 4]), Error::Magic(0));
        assert_eq!(changed(INFO + 4, &[0; 4]), Error::NoMemoryMap);
        assert_eq!(changed(INFO + 48, &[0; 4]), Error::NoMemoryMap);
        assert_eq!(changed(INFO + 48, &[0xFF; 4]), Error::TooManyEntries(u32::MAX));
        assert_eq!(changed(INFO + 40, &[0xFF; 8]), Error::OutOfReach(u64::MAX));
        assert_eq!(changed(INFO + 24, &[0xFF; 8]), Error::OutOfReach(u64::MAX));
    }

    #[test]
    fn a_command_line_ends_in_time_and_is_text() {
        let mut line = vec![b'x'; MAX_COMMAND_LINE];
        line.push(0);
        assert_eq!(copy(&memory(&line)).unwrap().command_line().map(str::len), Ok(line.len() - 1));
        line.insert(0, b'x');
        assert_eq!(error(&memory(&line)), Error::CommandLineTooLong);
        let unending = error(&memory(b"xyz"));
        assert_eq!(unending, Error::OutOfReach(LINE + 3));
        let info = copy(&memory(b"\xff\0")).unwrap();
        assert_eq!(info.command_line(), Err(Error::CommandLineNotText));
    }
}
