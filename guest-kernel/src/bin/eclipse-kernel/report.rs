//! The kernel's last words: panics and processor exceptions.

use core::{
    arch::asm,
    panic::PanicInfo,
    sync::atomic::{AtomicBool, Ordering},
};

use x86_64::registers::control::Cr2;

use crate::{
    arch::{KERNEL_STACK_BYTES, Verdict, kernel_stack_top, leave},
    print_line,
};

/// Most return addresses that a backtrace shows.
const DEPTH: usize = 32;

/// Whether a report is under way: a second one would report the report.
static REPORTING: AtomicBool = AtomicBool::new(false);

/// The names of the exceptions, by vector (Intel SDM volume 3, "Exceptions and Interrupts").
const NAMES: [&str; 32] = [
    "divide error",
    "debug",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range exceeded",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor segment overrun",
    "invalid task state segment",
    "segment not present",
    "stack segment fault",
    "general protection fault",
    "page fault",
    "reserved",
    "x87 floating-point error",
    "alignment check",
    "machine check",
    "SIMD floating-point error",
    "virtualization exception",
    "control protection exception",
    "reserved",
    "reserved",
    "reserved",
    "reserved",
    "reserved",
    "reserved",
    "hypervisor injection exception",
    "VMM communication exception",
    "security exception",
    "reserved",
];

/// The vector of a page fault.
pub const PAGE_FAULT: u64 = 14;

/// Non-maskable interrupt, double fault, machine check.
const ABORTS: [u64; 3] = [2, 8, 18];

/// What arch/interrupts.s pushes, in the order of memory.
#[repr(C)]
pub struct Frame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rbp: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rbx: u64,
    pub rax: u64,
    pub vector: u64,
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// Reports a processor exception and ends the machine.
#[unsafe(no_mangle)]
extern "C" fn exception_report(frame: &Frame) -> ! {
    start_report();
    let name = frame.name();
    print_line!("[FAULT] exception {}, {name}, at rip {:#018x}", frame.vector, frame.rip);
    frame.print_access("[FAULT]");
    print_line!("[FAULT] error code {:#06x} cr2 {:#018x}", frame.error, Cr2::read_raw());
    let (cs, ss) = (frame.cs, frame.ss);
    print_line!("[FAULT] cs {cs:#06x} ss {ss:#06x} rflags {:#018x}", frame.rflags);
    for row in frame.registers() {
        let [(a, x), (b, y), (c, z), (d, w)] = row;
        print_line!("[FAULT] {a:3} {x:#018x} {b:3} {y:#018x} {c:3} {z:#018x} {d:3} {w:#018x}");
    }
    backtrace("[FAULT]", frame.rbp);
    leave(Verdict::Failure)
}

/// Reports an exception of a task, which ends the task alone.
///
/// What may come at any time and is not the task's doing ends the machine.
pub fn task_exception(frame: &Frame) {
    if ABORTS.contains(&frame.vector) {
        exception_report(frame);
    }
    print_line!("[USER] exception {}, {}, at rip {:#x}", frame.vector, frame.name(), frame.rip);
    frame.print_access("[USER]");
}

impl Frame {
    fn name(&self) -> &'static str {
        let name = usize::try_from(self.vector).ok().and_then(|vector| NAMES.get(vector));
        name.unwrap_or(&"unknown")
    }

    /// Prints what a page fault was about.
    fn print_access(&self, prefix: &str) {
        if self.vector != PAGE_FAULT {
            return;
        }
        let access = match self.error & 0x12 {
            0x10 => "fetch from",
            0x02 => "store to",
            _ => "load from",
        };
        let why = if self.error & 1 == 0 { "which is not mapped" } else { "which forbids it" };
        print_line!("{prefix} {access} {:#018x}, {why}", Cr2::read_raw());
    }

    /// The general registers, by name, four a row.
    fn registers(&self) -> [[(&'static str, u64); 4]; 4] {
        [
            [("rax", self.rax), ("rbx", self.rbx), ("rcx", self.rcx), ("rdx", self.rdx)],
            [("rsi", self.rsi), ("rdi", self.rdi), ("rbp", self.rbp), ("rsp", self.rsp)],
            [("r8", self.r8), ("r9", self.r9), ("r10", self.r10), ("r11", self.r11)],
            [("r12", self.r12), ("r13", self.r13), ("r14", self.r14), ("r15", self.r15)],
        ]
    }
}

/// Reports a panic and ends the machine.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    start_report();
    match info.location() {
        Some(at) => print_line!("[PANIC] {}:{}: {}", at.file(), at.line(), info.message()),
        None => print_line!("[PANIC] {}", info.message()),
    }
    let frame: u64;
    // SAFETY: reads a register.
    unsafe { asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack, preserves_flags)) };
    backtrace("[PANIC]", frame);
    leave(Verdict::Failure)
}

/// Ends the machine at once if a report is under way already.
fn start_report() {
    x86_64::instructions::interrupts::disable();
    if REPORTING.swap(true, Ordering::Relaxed) {
        print_line!("[PANIC] and another fault during this report");
        leave(Verdict::Failure);
    }
}

/// Prints the return addresses that the chain of frame pointers leads to.
fn backtrace(prefix: &str, mut frame: u64) {
    let top = kernel_stack_top();
    for _ in 0..DEPTH {
        // A frame is two words of the kernel's stack: the caller's frame and the return address.
        let inside = (top - KERNEL_STACK_BYTES..=top - 16).contains(&frame);
        if !inside || !frame.is_multiple_of(8) {
            return;
        }
        // SAFETY: both words lie in the kernel's stack, which is mapped.
        let [next, address] = unsafe { *(frame as *const [u64; 2]) };
        print_line!("{prefix}   called from {address:#018x}");
        if next <= frame {
            return;
        }
        frame = next;
    }
}

/// Where `alloc` of a target with unwinding would go on after a clean-up. This kernel does not
/// unwind, so nothing comes here; but the linker wants the name.
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Resume() -> ! {
    unreachable!("nothing unwinds")
}
