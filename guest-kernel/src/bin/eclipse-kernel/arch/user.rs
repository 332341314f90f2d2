//! Ring 3: how a task is entered, and how it comes back.

use core::{sync::atomic::AtomicU64, time::Duration};

use x86_64::{instructions::interrupts, registers::model_specific::Msr};

use super::apic;
use crate::report::{Frame, PAGE_FAULT};

/// EFER: system calls are enabled.
const EFER: u32 = 0xC000_0080;
const SYSTEM_CALLS: u64 = 1 << 0;
/// The segments of a system call: the kernel's in bits 32 to 47, and from bit 48 the task's: the
/// data segment is 8 above that, the code segment 16.
const STAR: u32 = 0xC000_0081;
const SEGMENTS: u64 = 0x08 << 32 | 0x23 << 48;
/// Where a system call arrives.
const LSTAR: u32 = 0xC000_0082;
/// The flags that a system call clears: trap, interrupt, direction, nested task, alignment check.
const SFMASK: u32 = 0xC000_0084;
const CLEARED: u64 = 1 << 8 | 1 << 9 | 1 << 10 | 1 << 14 | 1 << 18;

/// The flags that a task may set: those of arithmetic, and direction.
const TASKS_FLAGS: u64 = 0x0CD5;
/// Bit 1, which is always set, and interrupts on.
const ALWAYS: u64 = 0x202;

/// The addresses of the lower half end here.
pub const USER_END: u64 = 1 << 47;

/// The kernel's stack while a task runs.
#[unsafe(no_mangle)]
static USER_RETURN: AtomicU64 = AtomicU64::new(0);

/// The context of the task that runs.
#[unsafe(no_mangle)]
static USER_CONTEXT: AtomicU64 = AtomicU64::new(0);

/// The task's stack pointer, until there is a register for it.
#[unsafe(no_mangle)]
static USER_STACK: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    fn enter_user(context: *mut Context) -> u64;
    fn syscall_entry();
}

/// A task's registers, as arch/user.s knows them.
#[derive(Clone, Debug, Default)]
#[repr(C)]
pub struct Context {
    pub rax: u64,
    rbx: u64,
    rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    rbp: u64,
    r8: u64,
    r9: u64,
    r10: u64,
    r11: u64,
    r12: u64,
    r13: u64,
    r14: u64,
    r15: u64,
    rip: u64,
    rsp: u64,
    rflags: u64,
}

/// Why a task came back.
pub enum Trap {
    /// It makes a system call.
    Call,
    /// Its time is over.
    TimeOver,
    /// It did what a task may not; [`Frame`] says what.
    Fault(Frame),
    /// It made a system call with a stack or from a place that is no address of a task.
    Lost,
}

/// Makes system calls arrive.
pub fn init() {
    let entry = syscall_entry as *const () as u64;
    // SAFETY: every x86-64 processor has these registers, and the entry and the segments are there.
    unsafe {
        Msr::new(STAR).write(SEGMENTS);
        Msr::new(LSTAR).write(entry);
        Msr::new(SFMASK).write(CLEARED);
        Msr::new(EFER).write(Msr::new(EFER).read() | SYSTEM_CALLS);
    }
}

impl Context {
    /// A task that begins at `rip`, with a stack that ends at `rsp`, and one argument.
    pub fn new(rip: u64, rsp: u64, argument: u64) -> Self {
        Self { rip, rsp, rdi: argument, ..Self::default() }
    }

    /// Runs the task for `slice` at most.
    ///
    /// # Safety
    /// The address space that is active is the task's: it has all of the kernel, which the task
    /// cannot reach.
    pub unsafe fn run(&mut self, slice: Duration) -> Trap {
        // `iretq` to what is no address faults in the kernel.
        if self.rip >= USER_END || self.rsp >= USER_END {
            return Trap::Lost;
        }
        self.rflags = self.rflags & TASKS_FLAGS | ALWAYS;
        interrupts::disable();
        apic::start_slice(slice);
        // SAFETY: the context is this task's and outlives the call; the kernel is entered again
        // only by arch/user.s and arch/interrupts.s, which go on here with all that the caller kept.
        let came = unsafe { enter_user(self) };
        let trap = match came {
            0 => Trap::Call,
            1 => Trap::TimeOver,
            // SAFETY: it is the address of a frame, on a stack that no exception uses now.
            frame => self.take_call(unsafe { (frame as *const Frame).read() }),
        };
        apic::end_slice();
        interrupts::enable();
        trap
    }

    /// A system call that arrived as a fault, or the fault that it is.
    ///
    /// Some KVMs that emulate ring 0 take `syscall` to its entry and leave the segments as they
    /// were. The fetch of the entry then faults in ring 3, with every register as a call has it.
    /// A task that jumps there does itself no good: what it gets is a call.
    fn take_call(&mut self, frame: Frame) -> Trap {
        if frame.vector != PAGE_FAULT || frame.rip != syscall_entry as *const () as u64 {
            return Trap::Fault(frame);
        }
        let Frame { rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, .. } = frame;
        let Frame { r12, r13, r14, r15, rsp, .. } = frame;
        // What `syscall` does: where the task goes on is in RCX, its flags are in R11.
        let (rip, rflags) = (rcx, r11);
        *self = Self {
            rax,
            rbx,
            rcx,
            rdx,
            rsi,
            rdi,
            rbp,
            r8,
            r9,
            r10,
            r11,
            r12,
            r13,
            r14,
            r15,
            rip,
            rsp,
            rflags,
        };
        Trap::Call
    }
}
