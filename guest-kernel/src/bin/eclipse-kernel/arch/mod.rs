//! The processor and the parts of a PC that every machine has.

pub mod apic;
pub mod bytes;
pub mod interrupts;
pub mod io_apic;
pub mod paging;
pub mod segments;
pub mod serial;
pub mod user;

use core::{
    arch::{asm, global_asm},
    cell::{RefCell, RefMut},
};

use eclipse_kernel::hal::Word;

global_asm!(include_str!("boot.s"), options(att_syntax));
global_asm!(include_str!("interrupts.s"), options(att_syntax));
global_asm!(include_str!("user.s"), options(att_syntax));

/// The port of QEMU's isa-debug-exit device: a byte stored there ends the machine.
const DEBUG_EXIT: u16 = 0xF4;

/// The command port of the keyboard controller, and its command to reset the machine.
const KEYBOARD: (u16, u8) = (0x64, 0xFE);

/// How the run ended, as the byte for port 0xF4.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Verdict {
    /// The scenario did what it should.
    Success = 0x10,
    /// It did not, or the kernel could not go on.
    Failure = 0x11,
}

/// State that the whole kernel shares.
///
/// A borrow that overlaps another panics, as with any [`RefCell`].
pub struct Shared<T>(RefCell<T>);

// SAFETY: one processor runs the kernel, and no interrupt or exception entry borrows a `Shared`.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    /// Shares `value`.
    pub const fn new(value: T) -> Self {
        Self(RefCell::new(value))
    }

    /// The state, for as long as the guard lives.
    pub fn borrow(&self) -> RefMut<'_, T> {
        self.0.borrow_mut()
    }
}

/// Loads from an I/O port.
pub fn port_load<T: Word>(port: u16) -> T {
    let (byte, word, double): (u8, u16, u32);
    // SAFETY: a load from a port touches no memory of Rust's.
    T::truncate(unsafe {
        match T::WIDTH {
            1 => {
                asm!("in al, dx", in("dx") port, out("al") byte, options(nostack, preserves_flags));
                byte.into()
            }
            2 => {
                asm!("in ax, dx", in("dx") port, out("ax") word, options(nostack, preserves_flags));
                word.into()
            }
            _ => {
                asm!("in eax, dx", in("dx") port, out("eax") double, options(nostack, preserves_flags));
                double
            }
        }
    })
}

/// Stores to an I/O port.
pub fn port_store<T: Word>(port: u16, value: T) {
    let value: u32 = value.into();
    // SAFETY: a device that the store starts reaches only memory that its driver set aside for it.
    unsafe {
        match T::WIDTH {
            1 => {
                asm!("out dx, al", in("dx") port, in("eax") value, options(nostack, preserves_flags))
            }
            2 => {
                asm!("out dx, ax", in("dx") port, in("eax") value, options(nostack, preserves_flags))
            }
            _ => {
                asm!("out dx, eax", in("dx") port, in("eax") value, options(nostack, preserves_flags))
            }
        }
    }
}

/// Stores bytes to an I/O port, one after the other, by one instruction.
pub fn port_store_all(port: u16, bytes: &[u8]) {
    // SAFETY: the instruction loads the slice's bytes and no others, and a device that the stores
    // start reaches only memory that its driver set aside for it.
    unsafe {
        asm!(
            "rep outsb",
            in("dx") port,
            inout("rsi") bytes.as_ptr() => _,
            inout("rcx") bytes.len() => _,
            options(nostack, readonly, preserves_flags),
        );
    }
}

/// Ends the machine: by the debug exit port, else by a reset, else by a triple fault.
pub fn leave(verdict: Verdict) -> ! {
    port_store(DEBUG_EXIT, verdict as u8);
    port_store(KEYBOARD.0, KEYBOARD.1);
    interrupts::triple_fault()
}

/// Bytes of the kernel's stack (arch/boot.s).
pub const KERNEL_STACK_BYTES: u64 = 0x10000;

/// Where the kernel's stack starts to grow down from.
pub fn kernel_stack_top() -> u64 {
    unsafe extern "C" {
        static boot_stack_top: u8;
    }
    &raw const boot_stack_top as u64
}
