//! Reads guest memory by the guest's own addresses, as its page tables have them.

use iced_x86::{Decoder, DecoderOptions, Instruction};
use kvm_bindings::kvm_sregs;
use vm_memory::{ByteValued, Bytes, GuestAddress, GuestMemoryMmap};

/// `CR0.PG`: paging is on.
const CR0_PG: u64 = 1 << 31;
/// `CR4.PSE`: 4 MiB pages.
const CR4_PSE: u64 = 1 << 4;
/// `CR4.PAE`: entries of 8 bytes.
const CR4_PAE: u64 = 1 << 5;
/// `CR4.LA57`: five levels.
const CR4_LA57: u64 = 1 << 12;
/// `EFER.LMA`: long mode is active.
const EFER_LMA: u64 = 1 << 10;

/// An entry's P bit.
const PRESENT: u64 = 1 << 0;
/// An entry's PS bit: it maps a page, although it is not of the last level.
const LARGE: u64 = 1 << 7;
/// The address bits of an 8-byte entry.
const FRAME: u64 = 0x000F_FFFF_FFFF_F000;

const PAGE: u64 = 4096;

/// The longest instruction of the processor.
const MAX_INSTRUCTION: usize = 15;

/// Guest memory as the processor sees it.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub memory: &'a GuestMemoryMmap<()>,
    pub sregs: &'a kvm_sregs,
}

/// How one kind of page table is made.
struct Format {
    /// The lowest address bit that indexes each level, top level first.
    shifts: &'static [u32],
    /// Bytes of an entry.
    entry: u64,
    /// Pages can be larger from this shift down.
    largest: u32,
    /// Where the top level lies in CR3.
    root: u64,
}

impl View<'_> {
    /// Whether the processor runs 64-bit code, as far as CS says.
    pub fn long_mode(&self) -> bool {
        self.sregs.efer & EFER_LMA != 0 && self.sregs.cs.l != 0
    }

    /// As many bytes as an instruction at `rip` can have, and how many of them are there.
    pub fn fetch(&self, rip: u64) -> ([u8; MAX_INSTRUCTION], usize) {
        let linear = if self.long_mode() { rip } else { self.sregs.cs.base.wrapping_add(rip) };
        let mut bytes = [0; MAX_INSTRUCTION];
        let len = self.read(linear, &mut bytes);
        (bytes, len)
    }

    /// The instruction at `rip`, which may be none.
    pub fn decode(&self, rip: u64) -> Instruction {
        let bits = match (self.long_mode(), self.sregs.cs.db) {
            (true, _) => 64,
            (false, 0) => 16,
            (false, _) => 32,
        };
        let (bytes, len) = self.fetch(rip);
        Decoder::with_ip(bits, &bytes[..len], rip, DecoderOptions::NONE).decode()
    }

    /// The guest-physical address of a linear one, if it is mapped.
    pub fn translate(&self, linear: u64) -> Option<u64> {
        let sregs = self.sregs;
        if sregs.cr0 & CR0_PG == 0 {
            return Some(linear & u64::from(u32::MAX));
        }
        if sregs.efer & EFER_LMA != 0 {
            let five = sregs.cr4 & CR4_LA57 != 0;
            let shifts: &[u32] = if five { &[48, 39, 30, 21, 12] } else { &[39, 30, 21, 12] };
            canonical(linear, if five { 57 } else { 48 })?;
            return self.walk(linear, &Format { shifts, entry: 8, largest: 30, root: FRAME });
        }
        let linear = linear & u64::from(u32::MAX);
        if sregs.cr4 & CR4_PAE != 0 {
            let format = Format { shifts: &[30, 21, 12], entry: 8, largest: 21, root: 0xFFFF_FFE0 };
            return self.walk(linear, &format);
        }
        let largest = if sregs.cr4 & CR4_PSE != 0 { 22 } else { 12 };
        self.walk(linear, &Format { shifts: &[22, 12], entry: 4, largest, root: 0xFFFF_F000 })
    }

    /// Reads up to the first byte that is not there; returns how many there were.
    pub fn read(&self, linear: u64, bytes: &mut [u8]) -> usize {
        let mut done = 0;
        while done < bytes.len() {
            let at = linear.wrapping_add(done as u64);
            let in_page = usize::try_from(PAGE - at % PAGE).unwrap_or(1);
            let len = in_page.min(bytes.len() - done);
            let Some(physical) = self.translate(at) else { break };
            let part = &mut bytes[done..done + len];
            if self.memory.read_slice(part, GuestAddress(physical)).is_err() {
                break;
            }
            done += len;
        }
        done
    }

    /// Reads a number, if all of it is there.
    pub fn number<T: ByteValued + Default>(&self, linear: u64) -> Option<T> {
        let mut number = T::default();
        let len = size_of::<T>();
        (self.read(linear, number.as_mut_slice()) == len).then_some(number)
    }

    fn walk(&self, linear: u64, format: &Format) -> Option<u64> {
        let mut table = self.sregs.cr3 & format.root;
        let mut top = u64::BITS;
        for &shift in format.shifts {
            // What lies above the top level's index is no part of it.
            let bits = if format.entry == 4 { 10 } else { 9 }.min(top - shift);
            let index = linear >> shift & ((1 << bits) - 1);
            let entry = self.entry(table + index * format.entry, format.entry)?;
            if entry & PRESENT == 0 {
                return None;
            }
            let frame = entry & FRAME;
            if shift == 12 || entry & LARGE != 0 && shift <= format.largest {
                let within = (1 << shift) - 1;
                return Some(frame & !within | linear & within);
            }
            table = frame;
            top = shift;
        }
        None
    }

    fn entry(&self, address: u64, width: u64) -> Option<u64> {
        let address = GuestAddress(address);
        if width == 4 {
            self.memory.read_obj::<u32>(address).ok().map(u64::from)
        } else {
            self.memory.read_obj(address).ok()
        }
    }
}

/// An address of `bits` bits has all bits above them equal to the highest of them.
fn canonical(linear: u64, bits: u32) -> Option<()> {
    let unused = u64::BITS - bits;
    let extended = (linear << unused).cast_signed() >> unused;
    (extended.cast_unsigned() == linear).then_some(())
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
