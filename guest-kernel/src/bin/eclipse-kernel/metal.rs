//! The bare machine under the drivers.

use core::{arch::asm, fmt, time::Duration};

#[cfg(feature = "mutants")]
use eclipse_kernel::mutant::Mutant;
use eclipse_kernel::{
    hal::{DeviceMemory, DmaMemory, Hal, HalError, Interrupt, Vector, Word},
    mark,
    pci::ConfigAccess,
};

use x86_64::instructions::interrupts::without_interrupts;

use crate::{
    arch::{self, Shared, apic, interrupts, io_apic},
    memory, print_line,
};

/// The machine that the kernel runs on.
#[derive(Clone, Copy, Debug)]
pub struct Metal;

/// The virtual address of a register.
///
/// # Panics
/// It lies outside `memory` or is not aligned.
fn register<T: Word>(memory: DeviceMemory, offset: u64) -> u64 {
    let width = u64::from(T::WIDTH);
    let inside = offset.checked_add(width).is_some_and(|end| end <= memory.len);
    let address = memory.base.wrapping_add(offset);
    assert!(inside, "register {offset:#x} outside of {:#x} bytes of device memory", memory.len);
    assert!(address.is_multiple_of(width), "register {offset:#x} not aligned to {width}");
    address
}

/// Loads from device memory, by one instruction that nothing else is folded into.
pub fn load<T: Word>(memory: DeviceMemory, offset: u64) -> T {
    let address = register::<T>(memory, offset);
    let value: u32;
    // SAFETY: `memory` came from `map_device`, which keeps it mapped, and RAM is never part of it.
    unsafe {
        match T::WIDTH {
            1 => {
                asm!("movzx {:e}, byte ptr [{}]", out(reg) value, in(reg) address, options(nostack, preserves_flags))
            }
            2 => {
                asm!("movzx {:e}, word ptr [{}]", out(reg) value, in(reg) address, options(nostack, preserves_flags))
            }
            _ => {
                asm!("mov {:e}, dword ptr [{}]", out(reg) value, in(reg) address, options(nostack, preserves_flags))
            }
        }
    }
    T::truncate(value)
}

/// Stores to device memory, by one instruction.
pub fn store<T: Word>(memory: DeviceMemory, offset: u64, value: T) {
    let address = register::<T>(memory, offset);
    let value: u32 = value.into();
    // SAFETY: `memory` came from `map_device`, which keeps it mapped, and RAM is never part of it;
    // a device that the store starts reaches only memory that its driver set aside for it.
    unsafe {
        match T::WIDTH {
            1 => {
                asm!("mov byte ptr [{}], al", in(reg) address, in("eax") value, options(nostack, preserves_flags))
            }
            2 => {
                asm!("mov word ptr [{}], {:x}", in(reg) address, in(reg) value, options(nostack, preserves_flags))
            }
            _ => {
                asm!("mov dword ptr [{}], {:e}", in(reg) address, in(reg) value, options(nostack, preserves_flags))
            }
        }
    }
}

/// What [`Hal::ecam`] answers; the ACPI tables tell.
static ECAM: Shared<Option<ConfigAccess>> = Shared::new(None);

/// Notes how configuration space is reached by memory.
pub fn set_ecam(access: ConfigAccess) {
    *ECAM.borrow() = Some(access);
}

/// What [`Hal::mutant`] answers; the command line tells.
#[cfg(feature = "mutants")]
static MUTANT: Shared<Option<Mutant>> = Shared::new(None);

/// Notes which mistake the drivers are to make.
#[cfg(feature = "mutants")]
pub fn set_mutant(mutant: Option<Mutant>) {
    *MUTANT.borrow() = mutant;
}

/// Loads or stores 64 bits of device memory, by one instruction.
#[cfg(feature = "mutants")]
fn access_64(memory: DeviceMemory, offset: u64, store: Option<u64>) -> u64 {
    let address = register::<u32>(memory, offset);
    let mut value = store.unwrap_or_default();
    // SAFETY: `memory` came from `map_device`, which keeps it mapped, and RAM is never part of it.
    unsafe {
        match store {
            Some(_) => {
                asm!("mov qword ptr [{}], {}", in(reg) address, in(reg) value, options(nostack, preserves_flags))
            }
            None => {
                asm!("mov {}, qword ptr [{}]", out(reg) value, in(reg) address, options(nostack, preserves_flags))
            }
        }
    }
    value
}

/// Whether [`Hal::mark`] says anything; the command line tells.
static MARKS: Shared<bool> = Shared::new(false);

/// Notes whether the run is marked.
pub fn set_marks(on: bool) {
    *MARKS.borrow() = on;
}

/// How often is asked for an interrupt that is under way.
const ARRIVAL: u32 = 100_000;

/// The line of the interrupt table behind an interrupt.
fn source(Interrupt(vector): Interrupt) -> u8 {
    interrupts::line_of(vector).expect("an interrupt that was set aside")
}

impl Hal for Metal {
    fn port_load<T: Word>(&self, port: u16) -> T {
        arch::port_load(port)
    }

    fn port_store<T: Word>(&self, port: u16, value: T) {
        arch::port_store(port, value);
    }

    fn map_device(&self, address: u64, len: u64) -> Result<DeviceMemory, HalError> {
        memory::map_device(address, len)
    }

    fn device_load<T: Word>(&self, memory: DeviceMemory, offset: u64) -> T {
        load(memory, offset)
    }

    fn device_store<T: Word>(&self, memory: DeviceMemory, offset: u64, value: T) {
        store(memory, offset, value);
    }

    fn allocate_dma(&self, size: usize, align: usize) -> Option<DmaMemory> {
        memory::allocate_dma(size, align)
    }

    unsafe fn release_dma(&self, memory: DmaMemory, size: usize, align: usize) {
        memory::release_dma(memory.address, size, align);
        // Frames are not shared, so whole pages are free now.
        for frame in mark::frames(memory.address, size) {
            self.mark(mark::released(frame));
        }
    }

    fn virt_to_phys(&self, address: u64) -> Result<u64, HalError> {
        memory::virt_to_phys(address)
    }

    fn allocate_vector(&self) -> Option<Vector> {
        let address = apic::message_address()?;
        interrupts::allocate_vector().map(|vector| Vector {
            address,
            data: vector.into(),
            interrupt: Interrupt(vector.into()),
        })
    }

    fn connect_line(&self, line: u8) -> Option<Interrupt> {
        io_apic::connect(line).map(|vector| Interrupt(vector.into()))
    }

    fn wait_for_interrupt(&self, interrupt: Interrupt, limit: Duration) -> Result<(), HalError> {
        if self.take_interrupt(interrupt) {
            return Ok(());
        }
        apic::wait(source(interrupt), limit)
    }

    fn take_interrupt(&self, interrupt: Interrupt) -> bool {
        let line = source(interrupt);
        let Some(input) = interrupts::input_of(line) else { return interrupts::take(line) };
        // Whoever asks in vain is about to wait: from here on the input may be raised again. One
        // that comes between the question and the answer must not be: it would come twice.
        let under_way = without_interrupts(|| match interrupts::take(line) {
            true => None,
            false => Some(io_apic::unmask(input)),
        });
        // What is under way takes a moment to arrive. It was raised all the same: a driver told
        // otherwise would leave its device asserting the line.
        under_way.is_none_or(|is| is && (0..ARRIVAL).any(|_| interrupts::take(line)))
    }

    fn sleep(&self, limit: Duration) {
        apic::sleep(limit);
    }

    fn now(&self) -> Duration {
        apic::now()
    }

    fn pause(&self) {
        core::hint::spin_loop();
    }

    #[cfg(feature = "mutants")]
    fn mutant(&self) -> Option<Mutant> {
        *MUTANT.borrow()
    }

    #[cfg(feature = "mutants")]
    fn device_access_64(&self, memory: DeviceMemory, offset: u64, store: Option<u64>) -> u64 {
        access_64(memory, offset, store)
    }

    fn mark(&self, word: u32) {
        if *MARKS.borrow() {
            arch::port_store(mark::PORT, word);
        }
    }

    fn ecam(&self) -> Option<ConfigAccess> {
        *ECAM.borrow()
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        print_line!("{line}");
    }
}
