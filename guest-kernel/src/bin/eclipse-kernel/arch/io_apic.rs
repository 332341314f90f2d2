//! The I/O APIC: where the INTx# lines of PCI, and the interrupts of ISA devices, arrive.
//!
//! Its registers are reached through a pair, one to select and one to access, which
//! the entry code of an input uses too: so the kernel uses them with interrupts off.

use core::sync::atomic::Ordering;

use eclipse_kernel::{
    acpi::InterruptControllers,
    hal::{DeviceMemory, HalError},
};
use x86_64::instructions::interrupts::without_interrupts;

use super::{
    Shared, apic,
    interrupts::{FIRST_INPUT_VECTOR, INPUTS, IO_APIC, take_masked},
};
use crate::{memory, metal};

/// Where it is on a PC without tables that say so.
const USUAL_ADDRESS: u64 = 0xFEC0_0000;

/// The pair, by offset, and the bytes up to its end (82093AA data sheet, 3.1).
const SELECT: u64 = 0x00;
const WINDOW: u64 = 0x10;
const BYTES: u64 = 0x14;

/// Registers, by number: the version, and the first of two for each input.
const VERSION: u32 = 0x01;
const REDIRECTION: u32 = 0x10;

/// A redirection entry: nothing is delivered.
const MASKED: u32 = 1 << 16;
/// Level-triggered, as PCI's lines are.
const LEVEL: u32 = 1 << 15;
/// The local APIC has accepted the input's interrupt, and it has not ended.
const REMOTE_IRR: u32 = 1 << 14;
/// Active low, as PCI's lines are.
const ACTIVE_LOW: u32 = 1 << 13;

/// The polarity of a source override that says active high (ACPI 6.4, table 5.26).
const POLARITY: u16 = 0b11;
const ACTIVE_HIGH: u16 = 0b01;

/// An I/O APIC, once it is found.
struct IoApic {
    registers: DeviceMemory,
    /// How many inputs it has, as far as they are driven.
    inputs: u8,
    /// The global system interrupt of its first input.
    first: u32,
    /// How ISA's interrupts are wired to them.
    wiring: InterruptControllers,
    /// The low halves of the entries that are connected; 0 for the others.
    entries: [u32; INPUTS as usize],
}

static IO: Shared<Option<IoApic>> = Shared::new(None);

impl IoApic {
    fn load(&self, register: u32) -> u32 {
        metal::store(self.registers, SELECT, register);
        metal::load(self.registers, WINDOW)
    }

    fn store(&self, register: u32, value: u32) {
        metal::store(self.registers, SELECT, register);
        metal::store(self.registers, WINDOW, value);
    }

    /// Sets both halves of an input's entry; the high one first, while the entry is masked.
    fn redirect(&self, input: u8, low: u32, processor: u8) {
        let register = REDIRECTION + 2 * u32::from(input);
        self.store(register, MASKED);
        self.store(register + 1, u32::from(processor) << 24);
        self.store(register, low);
    }
}

/// Finds the I/O APIC that has the first interrupts, masks its inputs, and tells how many it has;
/// 0 when there is none.
///
/// # Errors
/// Its registers cannot be mapped.
pub fn init(wiring: InterruptControllers) -> Result<u8, HalError> {
    let found = wiring.io_apics.iter().min_by_key(|io_apic| io_apic.first);
    let (address, first) = found.map_or((USUAL_ADDRESS, 0), |found| (found.address, found.first));
    let registers = memory::map_device(address, BYTES)?;
    let mut io = IoApic { registers, inputs: 0, first, wiring, entries: [0; INPUTS as usize] };
    without_interrupts(|| {
        let version = io.load(VERSION);
        // Where nothing answers, loads are all ones; the highest input is in bits 16 to 23.
        if version != u32::MAX {
            io.inputs = ((version >> 16) as u8).saturating_add(1).min(INPUTS);
        }
        for input in 0..io.inputs {
            io.store(REDIRECTION + 2 * u32::from(input), MASKED);
        }
    });
    let inputs = io.inputs;
    IO_APIC.store(registers.base, Ordering::Relaxed);
    *IO.borrow() = Some(io);
    Ok(inputs)
}

/// Connects an interrupt line, which is level-triggered; the vector that it raises.
pub fn connect(line: u8) -> Option<u8> {
    let mut io = IO.borrow();
    let io = io.as_mut()?;
    let input = io.wiring.interrupt_of(line).checked_sub(io.first)?;
    let input = u8::try_from(input).ok().filter(|&input| input < io.inputs)?;
    let vector = FIRST_INPUT_VECTOR + input;
    // Lines are shared: the second connection must not disturb the first.
    if io.entries[usize::from(input)] == 0 {
        let wired = io.wiring.overrides.iter().find(|wired| wired.source == line);
        let high = wired.is_some_and(|wired| wired.flags & POLARITY == ACTIVE_HIGH);
        let low = LEVEL | if high { 0 } else { ACTIVE_LOW } | u32::from(vector);
        let processor = apic::id()?;
        without_interrupts(|| io.redirect(input, low, processor));
        io.entries[usize::from(input)] = low;
    }
    Some(vector)
}

/// Lets `input` be raised again, if its last interrupt masked it; whether an interrupt from it is
/// under way to the processor. Interrupts are off.
pub fn unmask(input: u8) -> bool {
    let Some(io) = &*IO.borrow() else { return false };
    let register = REDIRECTION + 2 * u32::from(input);
    if take_masked(input) {
        io.store(register, io.entries[usize::from(input)]);
    }
    io.load(register) & REMOTE_IRR != 0
}
