//! MADT: the interrupt controllers (ACPI 6.4, 5.2.12).

use alloc::vec::Vec;

use super::{Error, number};

pub(super) const SIGNATURE: [u8; 4] = *b"APIC";

/// The fixed part behind the header: the local APIC's address, and flags.
const FIXED: usize = 8;
/// Most entries of one kind that are taken.
const ENTRIES: usize = 32;

/// The kinds of entry that this kernel reads, with their least bytes.
const IO_APIC: (u8, usize) = (1, 12);
const OVERRIDE: (u8, usize) = (2, 10);
const LOCAL_APIC_ADDRESS: (u8, usize) = (5, 12);

/// The interrupt controllers of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InterruptControllers {
    /// Physical address of every processor's local APIC.
    pub local_apic: u64,
    /// The I/O APICs.
    pub io_apics: Vec<IoApic>,
    /// ISA interrupts that are wired otherwise than one to one, edge-triggered, active high.
    pub overrides: Vec<Override>,
}

/// An I/O APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApic {
    /// Its number.
    pub id: u8,
    /// Physical address of its registers.
    pub address: u64,
    /// The global system interrupt of its first input.
    pub first: u32,
}

/// How an ISA interrupt is wired (ACPI 6.4, 5.2.12.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// The ISA interrupt.
    pub source: u8,
    /// The global system interrupt that it is.
    pub interrupt: u32,
    /// Polarity in bits 0 and 1, trigger mode in bits 2 and 3.
    pub flags: u16,
}

impl InterruptControllers {
    /// The global system interrupt of an ISA interrupt.
    pub fn interrupt_of(&self, source: u8) -> u32 {
        let wired = self.overrides.iter().find(|wired| wired.source == source);
        wired.map_or(source.into(), |wired| wired.interrupt)
    }
}

/// The interrupt controllers of the table that is at `address`.
pub(super) fn read(table: &[u8], address: u64) -> Result<InterruptControllers, Error> {
    let Some(mut rest) = table.get(FIXED..) else {
        let len = (table.len() + super::HEADER) as u32;
        return Err(Error::Length { signature: SIGNATURE, address, len });
    };
    let local_apic = number::<4>(table, 0);
    let mut controllers = InterruptControllers { local_apic, ..Default::default() };
    while !rest.is_empty() {
        let damaged = Error::Entry { signature: SIGNATURE, offset: table.len() - rest.len() };
        // A length of 0 or 1 would not get past its own header.
        let len = number::<1>(rest, 1) as usize;
        let Some((entry, later)) = rest.split_at_checked(len).filter(|_| len >= 2) else {
            return Err(damaged);
        };
        controllers.take(entry, damaged)?;
        rest = later;
    }
    Ok(controllers)
}

impl InterruptControllers {
    /// Takes one entry; kinds that this kernel does not ask about are skipped.
    fn take(&mut self, entry: &[u8], damaged: Error) -> Result<(), Error> {
        let kind = number::<1>(entry, 0) as u8;
        let known = [IO_APIC, OVERRIDE, LOCAL_APIC_ADDRESS];
        if known.iter().any(|&(known, least)| known == kind && entry.len() < least) {
            return Err(damaged);
        }
        match kind {
            kind if kind == IO_APIC.0 => {
                let [id, address, first] =
                    [number::<1>(entry, 2), number::<4>(entry, 4), number::<4>(entry, 8)];
                self.io_apics.push(IoApic { id: id as u8, address, first: first as u32 });
            }
            kind if kind == OVERRIDE.0 => self.overrides.push(Override {
                source: number::<1>(entry, 3) as u8,
                interrupt: number::<4>(entry, 4) as u32,
                flags: number::<2>(entry, 8) as u16,
            }),
            kind if kind == LOCAL_APIC_ADDRESS.0 => self.local_apic = number::<8>(entry, 4),
            _ => {}
        }
        if self.io_apics.len().max(self.overrides.len()) > ENTRIES {
            return Err(Error::TooManyEntries { signature: SIGNATURE, limit: ENTRIES });
        }
        Ok(())
    }
}
