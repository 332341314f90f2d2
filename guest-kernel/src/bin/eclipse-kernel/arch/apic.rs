//! The local APIC: where interrupts arrive, and the clock for waits.

use core::{cell::Cell, sync::atomic::Ordering, time::Duration};

use eclipse_kernel::hal::{DeviceMemory, HalError};
use x86_64::{instructions::interrupts, registers::model_specific::Msr};

use super::{
    Shared,
    interrupts::{
        LEGACY_VECTORS, LOCAL_APIC, SPURIOUS_VECTOR, TIMER_LINE, TIMER_VECTOR, any_raised, take,
    },
    port_load, port_store,
};
use crate::{memory, metal};

/// IA32_APIC_BASE: the physical address in bits 12 to 51, and two mode bits.
const APIC_BASE: Msr = Msr::new(0x1B);
const ENABLED: u64 = 1 << 11;
const X2APIC: u64 = 1 << 10;

/// Registers, by offset (Intel SDM volume 3, "Advanced Programmable Interrupt Controller").
const ID: u64 = 0x20;
const INTERRUPT_COMMAND: u64 = 0x300;
const TASK_PRIORITY: u64 = 0x80;
const SPURIOUS: u64 = 0xF0;
const LVT_TIMER: u64 = 0x320;
const LVT_LINT0: u64 = 0x350;
const INITIAL_COUNT: u64 = 0x380;
const CURRENT_COUNT: u64 = 0x390;
const DIVIDE: u64 = 0x3E0;

/// SPURIOUS: the APIC delivers interrupts.
const SOFTWARE_ENABLE: u32 = 1 << 8;
/// INTERRUPT_COMMAND: to this processor itself, asserted.
const TO_SELF: u32 = 1 << 18 | 1 << 14;
/// A local vector table entry that delivers nothing.
const MASKED: u32 = 1 << 16;
/// DIVIDE: one count is 16 ticks of the APIC's clock.
const BY_16: u32 = 0b0011;

/// The two 8259s: command and data port.
const PRIMARY: (u16, u16) = (0x20, 0x21);
const SECONDARY: (u16, u16) = (0xA0, 0xA1);

/// The interval timer's channel 0 and its command port; it counts 1,193,182 times a second.
const PIT: (u16, u16) = (0x40, 0x43);
const PIT_COUNTS_PER_MS: u64 = 1193;

/// Why the local APIC cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registers are in MSRs only.
    #[error("the local APIC is in x2APIC mode, which this kernel does not drive")]
    X2Apic,
    /// The registers cannot be mapped.
    #[error("the local APIC is out of reach")]
    Unreachable(#[from] HalError),
}

/// The local APIC, once it is set up.
struct LocalApic {
    registers: DeviceMemory,
    clocks: Clocks,
    /// The time-stamp counter when the clock began.
    start: u64,
    /// Nanoseconds of one of its ticks, times 2^32: a division costs an emulated processor dear.
    scale: u64,
    /// The nanoseconds that were told last.
    told: Cell<u64>,
}

/// How fast the two clocks run.
#[derive(Clone, Copy)]
struct Clocks {
    /// Counts of the local APIC's timer per millisecond.
    timer: u64,
    /// Ticks of the time-stamp counter per millisecond.
    tsc: u64,
}

impl Clocks {
    /// Where there is no interval timer to ask: hypervisors' APICs tick at 1 GHz, and a
    /// processor is not faster than 4 GHz, so that waits are rather too long than too short.
    const USUAL: Self = Self { timer: 1_000_000 / 16, tsc: 4_000_000 };
}

static APIC: Shared<Option<LocalApic>> = Shared::new(None);

impl LocalApic {
    fn load(&self, offset: u64) -> u32 {
        metal::load(self.registers, offset)
    }

    fn store(&self, offset: u64, value: u32) {
        metal::store(self.registers, offset, value);
    }

    /// The counts of the timer that are as long as `limit`.
    fn counts(&self, limit: Duration) -> u64 {
        let microseconds = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        microseconds.saturating_mul(self.clocks.timer) / 1000
    }

    /// The clocks, measured for one millisecond against the interval timer.
    fn measure(&self) -> Clocks {
        // Channel 0, low then high byte, rate generator, 65536 counts a round.
        port_store(PIT.1, 0x34_u8);
        port_store(PIT.0, 0_u8);
        port_store(PIT.0, 0_u8);
        self.store(LVT_TIMER, MASKED);
        self.store(INITIAL_COUNT, u32::MAX);
        let sample = || (pit_count(), u64::from(self.load(CURRENT_COUNT)), time_stamp());
        let first = sample();
        let mut last = first;
        // A machine without an interval timer reads the same for ever.
        for still in 0.. {
            let elapsed = u64::from(first.0.wrapping_sub(last.0));
            if elapsed >= PIT_COUNTS_PER_MS {
                self.store(INITIAL_COUNT, 0);
                let per_ms = |ticks: u64| (ticks * PIT_COUNTS_PER_MS / elapsed).max(1);
                return Clocks { timer: per_ms(first.1 - last.1), tsc: per_ms(last.2 - first.2) };
            }
            if elapsed == 0 && still >= 64 {
                break;
            }
            last = sample();
        }
        self.store(INITIAL_COUNT, 0);
        Clocks::USUAL
    }
}

/// The time-stamp counter.
fn time_stamp() -> u64 {
    // SAFETY: every x86-64 processor has this instruction, and it touches no memory.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The time since [`init`]. It never goes back, even where the counter does.
pub fn now() -> Duration {
    let apic = APIC.borrow();
    let Some(apic) = apic.as_ref() else { return Duration::ZERO };
    let ticks = time_stamp().saturating_sub(apic.start);
    let nanoseconds = (u128::from(ticks) * u128::from(apic.scale)) >> 32;
    let told = apic.told.get().max(nanoseconds as u64);
    apic.told.set(told);
    Duration::from_nanos(told)
}

/// The interval timer's count, which runs down.
fn pit_count() -> u16 {
    port_store(PIT.1, 0_u8);
    let low = port_load::<u8>(PIT.0);
    u16::from_le_bytes([low, port_load(PIT.0)])
}

/// Masks the 8259s, enables the local APIC, and measures its timer.
///
/// # Errors
/// [`Error`]
// Not inlined, so that no measured number stays behind in a register: the report of a fault
// prints the registers, and it should be the same in every run.
#[inline(never)]
pub fn init() -> Result<(), Error> {
    silence_legacy();
    // SAFETY: every x86-64 processor has this register.
    let base = unsafe { APIC_BASE.read() };
    if base & X2APIC != 0 {
        return Err(Error::X2Apic);
    }
    // SAFETY: only the enable bit changes, and no interrupt is on.
    unsafe { Msr::new(0x1B).write(base | ENABLED) };
    let registers = memory::map_device(base & 0x000F_FFFF_FFFF_F000, 0x1000)?;
    let clocks = Clocks::USUAL;
    let mut apic = LocalApic { registers, clocks, start: 0, scale: 0, told: Cell::new(0) };
    apic.store(TASK_PRIORITY, 0);
    apic.store(LVT_LINT0, MASKED);
    apic.store(SPURIOUS, SOFTWARE_ENABLE | u32::from(SPURIOUS_VECTOR));
    apic.store(DIVIDE, BY_16);
    apic.clocks = apic.measure();
    apic.start = time_stamp();
    apic.scale = (1_000_000 << 32) / apic.clocks.tsc;
    LOCAL_APIC.store(registers.base, Ordering::Relaxed);
    *APIC.borrow() = Some(apic);
    interrupts::enable();
    Ok(())
}

/// Moves the 8259s away from the exceptions' vectors and masks every line.
fn silence_legacy() {
    for ((command, data), vector, wiring) in
        [(PRIMARY, LEGACY_VECTORS.start, 4_u8), (SECONDARY, LEGACY_VECTORS.start + 8, 2)]
    {
        // Initialisation words 1 to 4; the third tells where the two are joined.
        port_store(command, 0x11_u8);
        port_store(data, vector);
        port_store(data, wiring);
        port_store(data, 0x01_u8);
        port_store(data, 0xFF_u8);
    }
}

/// The message address that reaches this processor (Intel SDM volume 3, "Message Signalled
/// Interrupts"); `None` before [`init`].
pub fn message_address() -> Option<u64> {
    id().map(|id| 0xFEE0_0000 | u64::from(id) << 12)
}

/// The number of this processor's local APIC; `None` before [`init`].
pub fn id() -> Option<u8> {
    APIC.borrow().as_ref().map(|apic| (apic.load(ID) >> 24) as u8)
}

/// Interrupts this processor at `vector`, as a device's message would; nothing before [`init`].
pub fn interrupt_self(vector: u8) {
    if let Some(apic) = &*APIC.borrow() {
        apic.store(INTERRUPT_COMMAND, TO_SELF | u32::from(vector));
    }
}

/// Sleeps until `line` is raised, or was since it was last taken, and takes it.
///
/// # Errors
/// [`HalError::TimedOut`] after `limit`.
pub fn wait(line: u8, limit: Duration) -> Result<(), HalError> {
    sleep_until(limit, || take(line))
}

/// Sleeps until any interrupt is raised that was not taken, for `limit` at most.
pub fn sleep(limit: Duration) {
    // That the time is over is no news here.
    let _ = sleep_until(limit, any_raised);
}

/// Has the timer interrupt a task of ring 3 after `limit`.
pub fn start_slice(limit: Duration) {
    if let Some(apic) = &*APIC.borrow() {
        apic.store(LVT_TIMER, u32::from(TIMER_VECTOR));
        apic.store(INITIAL_COUNT, u32::try_from(apic.counts(limit)).unwrap_or(u32::MAX).max(1));
    }
}

/// Stops the timer. A shot that ended meanwhile leaves its mark behind, which counts for nothing.
pub fn end_slice() {
    if let Some(apic) = &*APIC.borrow() {
        apic.store(INITIAL_COUNT, 0);
        apic.store(LVT_TIMER, MASKED);
    }
}

/// Sleeps until `ready`, which is asked with interrupts off, after each interrupt.
///
/// The timer runs only here, so that nothing interrupts the kernel at a time of its own.
///
/// # Errors
/// [`HalError::TimedOut`] after `limit`.
fn sleep_until(limit: Duration, ready: impl Fn() -> bool) -> Result<(), HalError> {
    let apic = APIC.borrow();
    let apic = apic.as_ref().ok_or(HalError::TimedOut)?;
    let mut counts = apic.counts(limit);
    let mut running = false;
    let result = loop {
        // Off, so that no interrupt slips in between the question and the sleep.
        interrupts::disable();
        if ready() {
            break Ok(());
        }
        // A shot that ended just after the last wait left its mark behind: it counts for nothing.
        let expired = take(TIMER_LINE);
        if !running || expired {
            if running && counts == 0 {
                break Err(HalError::TimedOut);
            }
            running = true;
            let shot = u32::try_from(counts).unwrap_or(u32::MAX).max(1);
            counts -= u64::from(shot).min(counts);
            apic.store(LVT_TIMER, u32::from(TIMER_VECTOR));
            apic.store(INITIAL_COUNT, shot);
        }
        // `sti` takes effect after the next instruction, so that `hlt` still sees the interrupt.
        interrupts::enable_and_hlt();
    };
    if running {
        apic.store(INITIAL_COUNT, 0);
        apic.store(LVT_TIMER, MASKED);
    }
    interrupts::enable();
    result
}
