//! Whether an ELF image can be booted by PVH in a given amount of RAM.
//!
//! The image comes from a user, and may be anything. It is checked whole before a machine is
//! built, so that the loader afterwards cannot fail half-way for a reason that it cannot name.

use std::{io, ops::Range};

use object::{
    LittleEndian as LE,
    elf::{
        ELFCLASS64, ELFDATA2LSB, EM_X86_64, FileHeader64, PF_W, PF_X, PT_LOAD, PT_NOTE,
        ProgramHeader64,
    },
    read::{
        ReadRef,
        elf::{FileHeader as _, ProgramHeader as _},
    },
};

use super::pvh;
use crate::memory;

/// `XEN_ELFNOTE_PHYS32_ENTRY`: the note that holds the PVH entry point.
const PHYS32_ENTRY: u32 = 18;

/// Notes are read whole; no kernel has more of them than this.
const MAX_NOTES: u64 = 64 << 10;

/// Why an image cannot be booted.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// It could not be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// The magic number is missing.
    #[error("it is not an ELF file; give an ELF image for x86-64 with a PVH note")]
    NotElf,
    /// 32 bits, big-endian, or for another processor.
    #[error("it is an ELF file, but not a 64-bit one for x86-64; build it for x86-64")]
    NotX86_64,
    /// The headers point past the end of the file.
    #[error("it ends early: {what} should reach to byte {end:#x}; copy it again")]
    Truncated {
        /// What is cut off.
        what: &'static str,
        /// Where it would end.
        end: u64,
    },
    /// The headers contradict themselves.
    #[error("its ELF headers are damaged: {0}")]
    Damaged(&'static str),
    /// Nothing is to be loaded.
    #[error("it has nothing to load: there is no PT_LOAD segment")]
    Empty,
    /// There is no entry point for PVH.
    #[error("it has no PVH note; link it with a note XEN_ELFNOTE_PHYS32_ENTRY (18)")]
    NoPvhNote,
    /// The entry point for PVH is in no segment.
    #[error("its PVH entry point {0:#x} is in none of its segments")]
    Entry(u64),
    /// A segment has no place in RAM.
    #[error(
        "its segment at {:#x} to {:#x} is outside RAM; {} MiB of memory may be too little, \
         try a larger --memory",
        .segment.start, .segment.end, .memory >> 20
    )]
    OutsideRam {
        /// Guest-physical addresses.
        segment: Range<u64>,
        /// Bytes of RAM.
        memory: u64,
    },
    /// Two segments have the same place.
    #[error(
        "its segments at {:#x} to {:#x} and at {:#x} to {:#x} overlap; link it anew",
        .0.start, .0.end, .1.start, .1.end
    )]
    Overlap(Range<u64>, Range<u64>),
    /// A segment lies where the boot information goes.
    #[error(
        "its segment at {:#x} to {:#x} overlaps the boot information at {:#x} to {:#x}; \
         link it to 1 MiB or higher",
        .0.start, .0.end, pvh::BOOT_INFO.start, pvh::BOOT_INFO.end
    )]
    OverBootInfo(Range<u64>),
    /// The loader refused what passed the checks.
    #[error("the loader refused it")]
    Load(#[source] linux_loader::loader::Error),
}

/// What a checked image says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Guest-physical address at which PVH enters.
    pub entry: u64,
    /// Where its instructions go in guest-physical memory.
    pub text: Vec<Range<u64>>,
}

/// Checks an image against a machine with `memory` bytes of RAM.
pub fn check<'d>(data: impl ReadRef<'d>, memory: u64) -> Result<Image, ImageError> {
    let len = data.len().map_err(|()| ImageError::Damaged("no length"))?;
    let header = header(data, len)?;
    let segments = segments(header, data, len)?;

    let mut loads = Vec::new();
    let mut entry = None;
    let mut text = Vec::new();
    for segment in segments {
        match segment.p_type(LE) {
            PT_LOAD => {
                let place = placed(segment, len)?;
                // What is writable as well may hold anything.
                let flags = segment.p_flags(LE);
                if flags.contains(PF_X) && !flags.contains(PF_W) {
                    text.extend(place.clone());
                }
                loads.extend(place);
            }
            PT_NOTE => entry = entry.or(pvh_entry(segment, data, len)?),
            _ => {}
        }
    }
    check_places(&mut loads, memory)?;
    let entry = entry.ok_or(ImageError::NoPvhNote)?;
    if !loads.iter().any(|segment| segment.contains(&entry)) {
        return Err(ImageError::Entry(entry));
    }
    Ok(Image { entry, text })
}

fn header<'d>(data: impl ReadRef<'d>, len: u64) -> Result<&'d FileHeader64<LE>, ImageError> {
    let ident = data.read_bytes_at(0, 4).map_err(|()| ImageError::NotElf)?;
    if ident != b"\x7fELF" {
        return Err(ImageError::NotElf);
    }
    let size = size_of::<FileHeader64<LE>>() as u64;
    let truncated = ImageError::Truncated { what: "the ELF header", end: size };
    let class = data.read_bytes_at(4, 2).map_err(|()| truncated)?;
    if class != [ELFCLASS64.0, ELFDATA2LSB.0] {
        return Err(ImageError::NotX86_64);
    }
    inside(0..size, len, "the ELF header")?;
    let header = FileHeader64::<LE>::parse(data).map_err(|_| ImageError::Damaged("version"))?;
    if header.e_machine(LE) != EM_X86_64 {
        return Err(ImageError::NotX86_64);
    }
    Ok(header)
}

fn segments<'d>(
    header: &'d FileHeader64<LE>,
    data: impl ReadRef<'d>,
    len: u64,
) -> Result<&'d [ProgramHeader64<LE>], ImageError> {
    let (offset, count) = (header.e_phoff(LE), u64::from(header.e_phnum(LE)));
    if count == 0 {
        return Err(ImageError::Empty);
    }
    // The loader counts on both.
    if usize::from(header.e_phentsize(LE)) != size_of::<ProgramHeader64<LE>>()
        || offset < size_of::<FileHeader64<LE>>() as u64
    {
        return Err(ImageError::Damaged("place or size of the program headers"));
    }
    let size = count * size_of::<ProgramHeader64<LE>>() as u64;
    inside(range(offset, size)?, len, "the table of program headers")?;
    header.program_headers(LE, data).map_err(|_| ImageError::Damaged("program headers"))
}

/// Where a PT_LOAD segment goes in guest-physical memory; an empty one goes nowhere.
fn placed(segment: &ProgramHeader64<LE>, len: u64) -> Result<Option<Range<u64>>, ImageError> {
    let (in_file, in_memory) = (segment.p_filesz(LE), segment.p_memsz(LE));
    inside(range(segment.p_offset(LE), in_file)?, len, "a segment")?;
    if in_file > in_memory {
        return Err(ImageError::Damaged("a segment is larger in the file than in memory"));
    }
    let place = range(segment.p_paddr(LE), in_memory)?;
    Ok((!place.is_empty()).then_some(place))
}

/// The entry point, if this PT_NOTE segment holds the PVH note.
fn pvh_entry<'d>(
    segment: &ProgramHeader64<LE>,
    data: impl ReadRef<'d>,
    len: u64,
) -> Result<Option<u64>, ImageError> {
    let size = segment.p_filesz(LE);
    inside(range(segment.p_offset(LE), size)?, len, "a note")?;
    if size > MAX_NOTES {
        return Err(ImageError::Damaged("more than 64 KiB of notes"));
    }
    let damaged = |_| ImageError::Damaged("notes");
    let Some(mut notes) = segment.notes(LE, data).map_err(damaged)? else {
        return Ok(None);
    };
    while let Some(note) = notes.next().map_err(damaged)? {
        if note.name() == b"Xen" && note.n_type(LE).0 == PHYS32_ENTRY {
            // Xen's own notes are as wide as the image's class; an entry point has 32 bits.
            let bytes = note.desc().first_chunk().ok_or(ImageError::Damaged("the PVH note"))?;
            return Ok(Some(u64::from(u32::from_le_bytes(*bytes))));
        }
    }
    Ok(None)
}

/// Checks that segments lie in RAM, apart from one another and from the boot information.
fn check_places(loads: &mut [Range<u64>], memory: u64) -> Result<(), ImageError> {
    if loads.is_empty() {
        return Err(ImageError::Empty);
    }
    let usable = memory::usable(memory);
    for segment in &*loads {
        if !usable.iter().any(|ram| ram.start <= segment.start && segment.end <= ram.end) {
            return Err(ImageError::OutsideRam { segment: segment.clone(), memory });
        }
        if overlap(segment, &pvh::BOOT_INFO) {
            return Err(ImageError::OverBootInfo(segment.clone()));
        }
    }
    loads.sort_unstable_by_key(|segment| segment.start);
    match loads.windows(2).find(|pair| overlap(&pair[0], &pair[1])) {
        Some(pair) => Err(ImageError::Overlap(pair[0].clone(), pair[1].clone())),
        None => Ok(()),
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

fn range(start: u64, len: u64) -> Result<Range<u64>, ImageError> {
    let end = start.checked_add(len).ok_or(ImageError::Damaged("an address overflows"))?;
    Ok(start..end)
}

fn inside(range: Range<u64>, len: u64, what: &'static str) -> Result<(), ImageError> {
    if range.end > len { Err(ImageError::Truncated { what, end: range.end }) } else { Ok(()) }
}

#[cfg(test)]
#[path = "elf_tests.rs"]
mod tests;
