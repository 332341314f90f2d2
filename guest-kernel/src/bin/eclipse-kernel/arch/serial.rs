//! The console: a 16550 UART at COM1.

use core::{
    fmt,
    sync::atomic::{AtomicU8, Ordering},
};

use super::{port_load, port_store, port_store_all};

const COM1: u16 = 0x3F8;

/// The registers, by offset; with the divisor latch open the first two are the divisor.
const DATA: u16 = COM1;
const INTERRUPT_ENABLE: u16 = COM1 + 1;
const FIFO_CONTROL: u16 = COM1 + 2;
const LINE_CONTROL: u16 = COM1 + 3;
const MODEM_CONTROL: u16 = COM1 + 4;
const LINE_STATUS: u16 = COM1 + 5;

/// LINE_STATUS: the transmitter holds no byte, and with the FIFO on, neither does the FIFO.
const TRANSMITTER_EMPTY: u8 = 1 << 5;

/// Bytes that an empty FIFO takes.
const FIFO_BYTES: u8 = 16;

/// Polls after which a UART counts as stuck.
const PATIENCE: u32 = 100_000;

/// Bytes that the FIFO takes before its status must be asked again.
static ROOM: AtomicU8 = AtomicU8::new(0);

/// Sets 115200 baud, 8 data bits, no parity, one stop bit, FIFO on, interrupts off.
pub fn init() {
    port_store(INTERRUPT_ENABLE, 0_u8);
    port_store(LINE_CONTROL, 0x80_u8);
    port_store(DATA, 1_u8);
    port_store(INTERRUPT_ENABLE, 0_u8);
    port_store(LINE_CONTROL, 0x03_u8);
    port_store(FIFO_CONTROL, 0x07_u8);
    port_store(MODEM_CONTROL, 0x03_u8);
}

/// The UART as a writer. It has no state of its own: a panic can print in the middle of a line.
pub struct Serial;

impl fmt::Write for Serial {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            let room = room();
            let (now, later) = rest.split_at(rest.len().min(room.into()));
            port_store_all(DATA, now);
            ROOM.store(room - now.len() as u8, Ordering::Relaxed);
            rest = later;
        }
        Ok(())
    }
}

/// How many bytes may be sent. The status is asked once per 16, because each access leaves the
/// guest. A UART that is stuck loses bytes.
fn room() -> u8 {
    let room = ROOM.load(Ordering::Relaxed);
    if room > 0 {
        return room;
    }
    for _ in 0..PATIENCE {
        if port_load::<u8>(LINE_STATUS) & TRANSMITTER_EMPTY != 0 {
            break;
        }
    }
    FIFO_BYTES
}

/// Prints one line on the console.
#[macro_export]
macro_rules! print_line {
    ($($line:tt)*) => {{
        use core::fmt::Write as _;
        // The UART refuses nothing.
        let _ = writeln!($crate::arch::serial::Serial, $($line)*);
    }};
}
