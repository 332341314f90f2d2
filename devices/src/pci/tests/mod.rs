//! The bus with functions that do nothing but tell that they were reached.

mod bars;
mod bridge;
mod config;
mod intx;
mod random;

use std::collections::BTreeMap;

use eclipse_trace::{Bdf, Pin, Recorder, Space};
use vm_memory::{GuestAddress, GuestMemoryMmap};

use super::{BarKind, ConfigSpace, ECAM, Function, Identity, Msix, PciBus};
use crate::{Host, Wires};

/// A function whose BARs answer every load with [`Probe::answer`], and obey stores:
/// at offset 0 to its interrupt request, at offset 4 by raising vector 0.
struct Probe {
    at: Bdf,
    config: ConfigSpace,
    msix: Option<Msix>,
    requests: bool,
}

impl Probe {
    fn config() -> ConfigSpace {
        ConfigSpace::new(Identity {
            vendor: 0x1234,
            device: 0x5678,
            revision: 0,
            class: 0xff_00_00,
            subsystem_vendor: 0x1234,
            subsystem: 0x0001,
        })
    }

    fn plugged(at: Bdf, config: ConfigSpace) -> (Bdf, Box<dyn Function>) {
        (at, Box::new(Self { at, config, msix: None, requests: false }))
    }

    /// With one MSI-X vector, whose table is at 0x800 of BAR `bar`.
    fn with_msix(at: Bdf, config: ConfigSpace, bar: u8) -> (Bdf, Box<dyn Function>) {
        let (config, msix) = Msix::new(config, at, 1, bar, 0x800, 0xc00);
        (at, Box::new(Self { at, config, msix: Some(msix), requests: false }))
    }

    /// Which function and BAR, and the offset in the low byte.
    fn answer(at: Bdf, bar: u8, offset: u64) -> u64 {
        let place =
            u64::from(at.bus()) << 8 | u64::from(at.device()) << 3 | u64::from(at.function());
        place << 16 | u64::from(bar) << 8 | offset & 0xff
    }
}

impl Function for Probe {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn intx(&self) -> bool {
        self.requests
    }

    fn reset(&mut self) {
        self.requests = false;
    }

    fn numbered(&mut self, function: Bdf) {
        self.at = function;
    }

    fn deliver(&mut self, host: &mut Host<'_>) {
        if let Some(msix) = &mut self.msix {
            msix.deliver(host, &self.config);
        }
    }

    fn load(&mut self, _host: &mut Host<'_>, bar: u8, offset: u64, width: u8) -> u64 {
        Self::answer(self.at, bar, offset) & crate::platform::all_ones(width)
    }

    fn store(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8, value: u64) {
        match (&mut self.msix, offset) {
            (_, 0) => self.requests = value != 0,
            (Some(msix), 4) => msix.raise(host, &self.config, 0),
            (Some(msix), 0x800..) => {
                msix.store_table(host, &self.config, offset - 0x800, width, value);
            }
            _ => panic!("a probe's BAR {bar} has nothing at {offset:#x}"),
        }
    }
}

/// What left the bus.
#[derive(Default)]
struct Outside {
    messages: Vec<u32>,
    lines: BTreeMap<u32, bool>,
}

impl Wires for Outside {
    fn msi(&mut self, _address: u64, data: u32) {
        self.messages.push(data);
    }

    fn line(&mut self, gsi: u32, level: bool) {
        let before = self.lines.insert(gsi, level).unwrap_or(false);
        assert_ne!(before, level, "a line is driven when it changes");
    }

    fn console(&mut self, _bytes: &[u8]) {}
}

/// A bus, and a test for a processor.
struct Rig {
    bus: PciBus,
    memory: GuestMemoryMmap<()>,
    outside: Outside,
    recorder: Recorder,
}

impl Rig {
    fn new(functions: Vec<(Bdf, Box<dyn Function>)>) -> Self {
        Self::on(PciBus::new(functions))
    }

    fn on(bus: PciBus) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), 0x1000)]).unwrap();
        Self { bus, memory, outside: Outside::default(), recorder: Recorder::new() }
    }

    fn load(&mut self, space: Space, address: u64, width: u8) -> Option<u64> {
        let mut host = Host::new(&self.memory, &mut self.outside, &mut self.recorder);
        self.bus.load(&mut host, space, address, width)
    }

    fn store(&mut self, space: Space, address: u64, width: u8, value: u64) -> Option<()> {
        let mut host = Host::new(&self.memory, &mut self.outside, &mut self.recorder);
        self.bus.store(&mut host, space, address, width, value)
    }

    /// Loads from configuration space through the ports.
    fn config(&mut self, at: Bdf, offset: u8, width: u8) -> u64 {
        self.select(at, offset);
        self.load(Space::Port, 0xcfc + u64::from(offset & 3), width).expect("it is enabled")
    }

    /// Stores to configuration space through the ports.
    fn set_config(&mut self, at: Bdf, offset: u8, width: u8, value: u64) {
        self.select(at, offset);
        self.store(Space::Port, 0xcfc + u64::from(offset & 3), width, value)
            .expect("it is enabled");
    }

    fn select(&mut self, at: Bdf, offset: u8) {
        let function = u64::from(at.bus()) << 16
            | u64::from(at.device()) << 11
            | u64::from(at.function()) << 8;
        let address = 1 << 31 | function | u64::from(offset & 0xfc);
        self.store(Space::Port, 0xcf8, 4, address).expect("the host bridge takes it");
    }

    /// Where `offset` of the function's configuration space is in memory.
    fn ecam(at: Bdf, offset: u64) -> u64 {
        let function = u64::from(at.bus()) << 20
            | u64::from(at.device()) << 15
            | u64::from(at.function()) << 12;
        ECAM.start + function + offset
    }

    /// The transcript of what `accesses` causes.
    fn transcript(&mut self, accesses: impl FnOnce(&mut Self)) -> String {
        let from = self.recorder.entries().len();
        accesses(self);
        self.recorder.entries()[from..].iter().map(|entry| format!("{entry}\n")).collect()
    }

    fn high(&self, gsi: u32) -> bool {
        self.outside.lines.get(&gsi).copied().unwrap_or(false)
    }
}

const fn at(bus: u8, device: u8, function: u8) -> Bdf {
    Bdf::new(bus, device, function)
}

/// A function with a page of memory at `address`.
fn memory(at: Bdf, address: u64) -> (Bdf, Box<dyn Function>) {
    Probe::plugged(at, Probe::config().with_bar(0, BarKind::Memory32, 0x1000, address))
}

/// The same that also interrupts by `pin`.
fn interrupting(at: Bdf, pin: Pin, address: u64) -> (Bdf, Box<dyn Function>) {
    let config = Probe::config().with_interrupt_pin(pin);
    Probe::plugged(at, config.with_bar(0, BarKind::Memory32, 0x1000, address))
}
