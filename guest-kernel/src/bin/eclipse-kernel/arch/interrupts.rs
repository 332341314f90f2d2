//! The interrupt descriptor table, and what was raised.

use core::{
    arch::asm,
    sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering},
};

use x86_64::{VirtAddr, instructions::tables::lidt, structures::DescriptorTablePointer};

use super::{Shared, segments::Stack};

/// The first vector for a message-signalled interrupt.
pub const FIRST_VECTOR: u8 = 0x30;

/// How many vectors there are for message-signalled interrupts.
const VECTORS: u8 = 32;

/// The first vector for the inputs of the I/O APIC.
pub const FIRST_INPUT_VECTOR: u8 = FIRST_VECTOR + VECTORS;

/// How many inputs of the I/O APIC are driven.
pub const INPUTS: u8 = 24;

/// The line of [`RAISED`] after those of drivers: the timer of the local APIC.
pub const TIMER_LINE: u8 = VECTORS + INPUTS;

/// How many lines there are: message-signalled, inputs of the I/O APIC, timer.
const LINES: usize = TIMER_LINE as usize + 1;

/// The vector of that timer.
pub const TIMER_VECTOR: u8 = 0xFE;

/// The vector of the local APIC's spurious interrupts.
pub const SPURIOUS_VECTOR: u8 = 0xFF;

/// The vectors that the 8259s are moved to, away from the exceptions. The 8259s stay masked, but
/// a masked one can still raise a spurious interrupt.
pub const LEGACY_VECTORS: core::ops::Range<u8> = 0x20..0x30;

/// The vectors of the exceptions come first.
const EXCEPTIONS: usize = 32;

/// Bytes of a stub in arch/interrupts.s.
const STUB_BYTES: u64 = 16;

/// Which lines were raised since they were last taken. The entry code sets them.
#[unsafe(no_mangle)]
static RAISED: [AtomicBool; LINES] = [const { AtomicBool::new(false) }; LINES];

/// Which of those have ended a sleep already: one that nobody takes ends no second.
static NOTICED: [AtomicBool; LINES] = [const { AtomicBool::new(false) }; LINES];

/// Which inputs of the I/O APIC are masked since they were raised. The entry code sets them.
#[unsafe(no_mangle)]
static MASKED: [AtomicBool; INPUTS as usize] = [const { AtomicBool::new(false) }; INPUTS as usize];

/// Interrupts at vectors that are nobody's, and spurious ones. The entry code counts them.
#[unsafe(no_mangle)]
static STRAY: AtomicU32 = AtomicU32::new(0);

/// Where the local APIC is mapped, for the end of an interrupt.
#[unsafe(no_mangle)]
pub static LOCAL_APIC: AtomicU64 = AtomicU64::new(0);

/// Where the I/O APIC is mapped, for an input that is to be masked.
#[unsafe(no_mangle)]
pub static IO_APIC: AtomicU64 = AtomicU64::new(0);

/// How many vectors are set aside.
static ALLOCATED: AtomicU8 = AtomicU8::new(0);

unsafe extern "C" {
    fn exception_stubs();
    fn interrupt_stubs();
    fn input_stubs();
    fn timer_stub();
    fn stray_stub();
}

/// One entry of the table, as the processor defines it: two words, so that a whole table is soon
/// filled where each instruction is emulated.
#[derive(Clone, Copy)]
#[repr(C)]
struct Gate {
    /// From bit 0: address bits 15:0, the selector, the options, address bits 31:16.
    low: u64,
    /// Address bits 63:32.
    high: u64,
}

impl Gate {
    const ABSENT: Self = Self { low: 0, high: 0 };

    /// An interrupt gate of ring 0: interrupts are off until the entry returns.
    const fn new(address: u64, stack: Stack) -> Self {
        let options = 0x8E00 | (stack as u64 + 1);
        let middle = (address >> 16) & 0xFFFF;
        let low = (address & 0xFFFF) | 0x08 << 16 | options << 32 | middle << 48;
        Self { low, high: address >> 32 }
    }
}

static TABLE: Shared<[Gate; 256]> = Shared::new([Gate::ABSENT; 256]);

/// Loads the interrupt descriptor table. Interrupts stay off.
pub fn init() {
    let gate = |stub: unsafe extern "C" fn(), number: usize, stack| {
        Gate::new(stub as *const () as u64 + number as u64 * STUB_BYTES, stack)
    };
    let mut table = TABLE.borrow();
    table.fill(gate(stray_stub, 0, Stack::Interrupt));
    for (vector, entry) in table.iter_mut().enumerate().take(EXCEPTIONS) {
        let stack = if matches!(vector, 2 | 8 | 18) { Stack::Abort } else { Stack::Exception };
        *entry = gate(exception_stubs, vector, stack);
    }
    for line in 0..usize::from(VECTORS) {
        table[usize::from(FIRST_VECTOR) + line] = gate(interrupt_stubs, line, Stack::Interrupt);
    }
    for input in 0..usize::from(INPUTS) {
        let entry = gate(input_stubs, input, Stack::Interrupt);
        table[usize::from(FIRST_INPUT_VECTOR) + input] = entry;
    }
    table[usize::from(TIMER_VECTOR)] = gate(timer_stub, 0, Stack::Interrupt);
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

/// The line of a vector that was set aside, or is an input's.
pub fn line_of(vector: u32) -> Option<u8> {
    let line = u8::try_from(vector).ok()?.checked_sub(FIRST_VECTOR)?;
    let allocated = line < ALLOCATED.load(Ordering::Relaxed);
    (allocated || (VECTORS..TIMER_LINE).contains(&line)).then_some(line)
}

/// The input of the I/O APIC that raises `line`, if one does.
pub fn input_of(line: u8) -> Option<u8> {
    line.checked_sub(VECTORS).filter(|&input| input < INPUTS)
}

/// Whether `line` was raised since this was last asked.
pub fn take(line: u8) -> bool {
    let raised = &RAISED[usize::from(line)];
    let was = raised.load(Ordering::Acquire);
    if was {
        NOTICED[usize::from(line)].store(false, Ordering::Relaxed);
        raised.store(false, Ordering::Relaxed);
    }
    was
}

/// Whether a driver's line was raised that was not taken, and that this did not tell of before.
pub fn any_raised() -> bool {
    let drivers = RAISED[..usize::from(TIMER_LINE)].iter().zip(&NOTICED);
    let mut any = false;
    for (_, noticed) in drivers.filter(|(raised, _)| raised.load(Ordering::Acquire)) {
        any |= !noticed.load(Ordering::Relaxed);
        noticed.store(true, Ordering::Relaxed);
    }
    any
}

/// Whether `input` is masked since it was raised, from which it is to be freed now.
pub fn take_masked(input: u8) -> bool {
    let masked = &MASKED[usize::from(input)];
    let was = masked.load(Ordering::Acquire);
    masked.store(false, Ordering::Relaxed);
    was
}

/// How many interrupts came at vectors that are nobody's, or were spurious.
pub fn strays() -> u32 {
    STRAY.load(Ordering::Relaxed)
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
