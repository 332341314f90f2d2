use std::convert::Infallible;
use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};

use vm_superio::Trigger;
use vm_superio::serial::NoEvents;

use crate::Host;

/// COM1: a 16550 at ports 0x3F8 to 0x3FF with interrupt 4.
///
/// Its register accesses are not recorded, because one for each character would
/// drown the rest; the record has its output by the line.
pub(crate) struct Serial {
    uart: vm_superio::Serial<Edge, NoEvents, Vec<u8>>,
    line: Vec<u8>,
}

impl Serial {
    pub(crate) const PORT: u16 = 0x3f8;
    const GSI: u32 = 4;
    /// A guest that never ends its line gets it ended here.
    const LINE_LIMIT: usize = 4096;

    pub(crate) fn new() -> Self {
        Self { uart: vm_superio::Serial::new(Edge::default(), Vec::new()), line: Vec::new() }
    }

    pub(crate) fn load(&mut self, host: &mut Host<'_>, offset: u8) -> u8 {
        let value = self.uart.read(offset);
        self.interrupt(host);
        value
    }

    pub(crate) fn store(&mut self, host: &mut Host<'_>, offset: u8, value: u8) {
        // Neither the edge nor a Vec can fail; a full receive FIFO in loopback
        // mode loses the byte, as the hardware does.
        let _ = self.uart.write(offset, value);
        let printed = mem::take(self.uart.writer_mut());
        if !printed.is_empty() {
            host.console(&printed);
            for byte in printed {
                self.print(host, byte);
            }
        }
        self.interrupt(host);
    }

    /// Puts bytes into the receive FIFO; returns how many it had room for.
    pub(crate) fn receive(&mut self, host: &mut Host<'_>, bytes: &[u8]) -> usize {
        let room = self.uart.fifo_capacity().min(bytes.len());
        let taken = self.uart.enqueue_raw_bytes(&bytes[..room]).unwrap_or(0);
        self.interrupt(host);
        taken
    }

    /// Records a line that was begun and not ended.
    pub(crate) fn finish(&mut self, host: &mut Host<'_>) {
        if !self.line.is_empty() {
            self.end_line(host);
        }
    }

    fn print(&mut self, host: &mut Host<'_>, byte: u8) {
        match byte {
            b'\n' => self.end_line(host),
            b'\r' => {}
            _ => {
                self.line.push(byte);
                if self.line.len() == Self::LINE_LIMIT {
                    self.end_line(host);
                }
            }
        }
    }

    fn end_line(&mut self, host: &mut Host<'_>) {
        let line = mem::take(&mut self.line);
        host.console_line(&String::from_utf8_lossy(&line));
    }

    fn interrupt(&mut self, host: &mut Host<'_>) {
        if self.uart.interrupt_evt().0.swap(false, Ordering::Relaxed) {
            host.pulse(Self::GSI);
        }
    }
}

/// Remembers that the UART wants an interrupt until a [`Host`] is at hand.
///
/// Atomic only because the UART takes it by shared reference.
#[derive(Default)]
struct Edge(AtomicBool);

impl Trigger for Edge {
    type E = Infallible;

    fn trigger(&self) -> Result<(), Infallible> {
        self.0.store(true, Ordering::Relaxed);
        Ok(())
    }
}
