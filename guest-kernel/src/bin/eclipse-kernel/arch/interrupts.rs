//! The interrupt descriptor table, and what was raised.

use core::{
    arch::asm,
    sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering},
};

use x86_64::{VirtAddr, instructions::tables::lidt, structures::DescriptorTablePointer};

use super::{Shared, segments::Stack};

/// The first vector for a message-signalled interrupt.
pub const FIRST_VECTOR: u8 = 0x30;

/// How many vectors there are for message-signalled interrupts.
const VECTORS: u8 = 32;

/// The line of [`RAISED`] after those vectors: the timer of the local APIC.
pub const TIMER_LINE: u8 = VECTORS;

/// The vector of that timer.
pub const TIMER_VECTOR: u8 = 0xFE;

/// The vector of the local APIC's spurious interrupts.
pub const SPURIOUS_VECTOR: u8 = 0xFF;

/// The vectors that the 8259s are moved to, away from the exceptions; they stay masked.
pub const LEGACY_VECTORS: core::ops::Range<u8> = 0x20..0x30;

/// Bytes of a stub in arch/interrupts.s.
const STUB_BYTES: u64 = 16;

/// Which lines were raised since they were last taken. The entry code sets them.
#[unsafe(no_mangle)]
static RAISED: [AtomicBool; VECTORS as usize + 1] =
    [const { AtomicBool::new(false) }; VECTORS as usize + 1];

/// Where the local APIC is mapped, for the end of an interrupt.
#[unsafe(no_mangle)]
pub static LOCAL_APIC: AtomicU64 = AtomicU64::new(0);

/// How many vectors are set aside.
static ALLOCATED: AtomicU8 = AtomicU8::new(0);

unsafe extern "C" {
    fn exception_stubs();
    fn interrupt_stubs();
    fn ignored_stub();
}

/// One entry of the table, as the processor defines it.
#[derive(Clone, Copy)]
#[repr(C)]
struct Gate {
    low: u16,
    selector: u16,
    options: u16,
    middle: u16,
    high: u32,
    reserved: u32,
}

impl Gate {
    const ABSENT: Self = Self { low: 0, selector: 0, options: 0, middle: 0, high: 0, reserved: 0 };

    /// An interrupt gate of ring 0: interrupts are off until the entry returns.
    const fn new(address: u64, stack: Stack) -> Self {
        Self {
            low: address as u16,
            selector: 0x08,
            options: 0x8E00 | (stack as u16 + 1),
            middle: (address >> 16) as u16,
            high: (address >> 32) as u32,
            reserved: 0,
        }
    }
}

static TABLE: Shared<[Gate; 256]> = Shared::new([Gate::ABSENT; 256]);

/// Loads the interrupt descriptor table. Interrupts stay off.
pub fn init() {
    let exception = exception_stubs as *const () as u64;
    let interrupt = interrupt_stubs as *const () as u64;
    let ignored = Gate::new(ignored_stub as *const () as u64, Stack::Interrupt);
    let mut table = TABLE.borrow();
    for (vector, gate) in (0..).zip(&mut table[..32]) {
        let stack = if matches!(vector, 2 | 8 | 18) { Stack::Abort } else { Stack::Exception };
        *gate = Gate::new(exception + vector * STUB_BYTES, stack);
    }
    for vector in LEGACY_VECTORS {
        table[usize::from(vector)] = ignored;
    }
    table[usize::from(SPURIOUS_VECTOR)] = ignored;
    for line in 0..VECTORS {
        let address = interrupt + u64::from(line) * STUB_BYTES;
        table[usize::from(FIRST_VECTOR + line)] = Gate::new(address, Stack::Interrupt);
    }
    let timer = interrupt + u64::from(TIMER_LINE) * STUB_BYTES;
    table[usize::from(TIMER_VECTOR)] = Gate::new(timer, Stack::Interrupt);
    let pointer = DescriptorTablePointer {
        limit: (size_of_val(&*table) - 1) as u16,
        base: VirtAddr::from_ptr(&*table),
    };
    // SAFETY: the table is static, and every gate in it leads to an entry of its kind.
    unsafe { lidt(&pointer) };
}

/// Sets a vector aside; `None` when there is none left.
pub fn allocate_vector() -> Option<u8> {
    let taken = ALLOCATED.load(Ordering::Relaxed);
    (taken < VECTORS).then(|| {
        ALLOCATED.store(taken + 1, Ordering::Relaxed);
        FIRST_VECTOR + taken
    })
}

/// The line of a vector that was set aside.
pub fn line_of(vector: u32) -> Option<u8> {
    let line = u8::try_from(vector).ok()?.checked_sub(FIRST_VECTOR)?;
    (line < ALLOCATED.load(Ordering::Relaxed)).then_some(line)
}

/// Whether `line` was raised since this was last asked.
pub fn take(line: u8) -> bool {
    let raised = &RAISED[usize::from(line)];
    let was = raised.load(Ordering::Acquire);
    if was {
        raised.store(false, Ordering::Relaxed);
    }
    was
}

/// Whether a driver's line was raised and not taken.
pub fn any_raised() -> bool {
    RAISED[..usize::from(VECTORS)].iter().any(|raised| raised.load(Ordering::Acquire))
}

/// Resets the processor by faulting where no fault can be delivered.
pub fn triple_fault() -> ! {
    let none = DescriptorTablePointer { limit: 0, base: VirtAddr::zero() };
    // SAFETY: nothing of the kernel runs after this.
    unsafe {
        lidt(&none);
        asm!("ud2", options(noreturn));
    }
}
