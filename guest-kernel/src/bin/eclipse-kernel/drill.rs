//! A scenario that has interrupts come in every way that they can, wanted or not; and one about
//! memory.

pub mod memory;

use core::time::Duration;

use eclipse_kernel::{
    hal::{Hal, Interrupt},
    log,
};

use crate::arch::{apic, interrupts};

/// COM1's interrupt line, and its registers.
const LINE: u8 = 4;
const DATA: u16 = 0x3F8;
const INTERRUPT_ENABLE: u16 = 0x3F9;
const INTERRUPT_IDENTIFICATION: u16 = 0x3FA;

/// INTERRUPT_ENABLE: the transmitter takes the next byte.
const TRANSMITTER_EMPTY: u8 = 1 << 1;

/// A vector that is nobody's.
const NOBODYS: u8 = 0x90;
/// The vector of a spurious interrupt from the first 8259.
const LEGACY_SPURIOUS: u8 = interrupts::LEGACY_VECTORS.start + 7;

/// Longer than any interrupt takes that comes.
const SOON: Duration = Duration::from_secs(1);
/// The time for one that does not come.
const SHORT: Duration = Duration::from_millis(2);

/// What did not happen as it should.
#[derive(Debug, thiserror::Error)]
#[error("drill: {0}")]
pub struct Error(&'static str);

/// Goes through them.
///
/// # Errors
/// The first that is not as it should be.
pub fn run<H: Hal>(hal: &H) -> Result<(), Error> {
    let line = hal.connect_line(LINE).ok_or(Error("line 4 leads nowhere"))?;
    expect(hal.connect_line(LINE) == Some(line), "a line that is shared is two interrupts")?;
    expect(hal.connect_line(0xFF).is_none(), "line 255 leads somewhere")?;
    log!(*hal, "[INT] Line 4 connected, once for all who share it");
    level(hal, line)?;
    unclaimed(hal)?;
    clock(hal)
}

fn expect(happened: bool, otherwise: &'static str) -> Result<(), Error> {
    if happened { Ok(()) } else { Err(Error(otherwise)) }
}

/// An input that stays raised until its device is looked after.
fn level<H: Hal>(hal: &H, line: Interrupt) -> Result<(), Error> {
    expect(hal.wait_for_interrupt(line, SHORT).is_err(), "a quiet line is raised")?;
    for round in 1..=3 {
        // Asked in vain, it is no longer masked: a UART that only pulses would be missed else.
        hal.take_interrupt(line);
        hal.port_store(INTERRUPT_ENABLE, TRANSMITTER_EMPTY);
        hal.port_store(DATA, b'.');
        let came = hal.wait_for_interrupt(line, SOON).is_ok();
        // Reading it makes the UART let go of the line.
        let _: u8 = hal.port_load(INTERRUPT_IDENTIFICATION);
        hal.port_store(INTERRUPT_ENABLE, 0_u8);
        expect(came, "the UART's interrupt does not come")?;
        log!(*hal, " Line 4 raised, {round}");
    }
    // What the UART did while the input was masked may be left over, once.
    hal.take_interrupt(line);
    expect(hal.wait_for_interrupt(line, SHORT).is_err(), "a line that was let go is raised")
}

/// Interrupts that nobody waits for.
fn unclaimed<H: Hal>(hal: &H) -> Result<(), Error> {
    let vector = hal.allocate_vector().ok_or(Error("there is no vector"))?;
    let number = u8::try_from(vector.data).map_err(|_| Error("a vector is no byte"))?;
    apic::interrupt_self(number);
    let began = hal.now();
    hal.sleep(SOON);
    expect(hal.now() - began < SOON, "a message does not end a sleep")?;
    let began = hal.now();
    hal.sleep(SHORT);
    expect(hal.now() - began >= SHORT, "a message that nobody takes ends a second sleep")?;
    expect(hal.take_interrupt(vector.interrupt), "a message is lost")?;
    expect(!hal.take_interrupt(vector.interrupt), "one message is taken twice")?;
    log!(*hal, "[INT] A message that nobody waited for ended one sleep");
    for stray in [NOBODYS, LEGACY_SPURIOUS, interrupts::SPURIOUS_VECTOR] {
        apic::interrupt_self(stray);
        hal.sleep(SHORT);
    }
    // A timer that is disarmed just as it fires may add a spurious one of its own.
    expect(interrupts::strays() >= 3, "stray interrupts are miscounted")?;
    apic::interrupt_self(number);
    expect(
        hal.wait_for_interrupt(vector.interrupt, SOON).is_ok(),
        "after stray interrupts no other comes",
    )?;
    log!(*hal, "[INT] Stray interrupts did no harm");
    Ok(())
}

/// A clock that goes on, at about the right pace.
fn clock<H: Hal>(hal: &H) -> Result<(), Error> {
    let mut last = hal.now();
    for _ in 0..100 {
        let now = hal.now();
        expect(now >= last, "the time went back")?;
        last = now;
    }
    hal.sleep(20 * SHORT);
    let slept = hal.now() - last;
    // The timer and the clock were measured apart, and the host may be busy.
    expect(slept >= 19 * SHORT, "a sleep ends early")?;
    log!(*hal, "[INT] The clock goes on");
    Ok(())
}
