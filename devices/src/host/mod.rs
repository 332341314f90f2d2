mod memory;
mod range;

use eclipse_trace::{Access, Actor, Bdf, Event, Pin, Recorder, Refusal, Register, Violation};
use vm_memory::GuestMemoryMmap;

use crate::fault::{Injector, Stage};
pub(crate) use memory::read_ram;

/// The machine's side of the devices: where interrupts and console bytes go.
pub trait Wires {
    /// Delivers a message-signalled interrupt.
    fn msi(&mut self, address: u64, data: u32);

    /// Drives an interrupt line of the interrupt controller.
    fn line(&mut self, gsi: u32, level: bool);

    /// Takes what the guest printed, as it prints it.
    fn console(&mut self, bytes: &[u8]);

    /// Whether the run is to end. How many requests a doorbell starts is bounded, but not how
    /// much each moves: what takes long asks this, and breaks off.
    fn stopping(&self) -> bool {
        false
    }
}

/// All that a device can reach of the machine, lent to it for one access.
///
/// There is no other way to guest memory and to interrupts, and each method
/// records what it does. Bus mastering is checked here and nowhere else.
pub struct Host<'a> {
    memory: &'a GuestMemoryMmap<()>,
    wires: &'a mut dyn Wires,
    recorder: &'a mut Recorder,
    /// The function that it is lent to, and whether that may master the bus.
    lent_to: Option<(Bdf, bool)>,
    faults: Option<&'a mut Injector>,
}

impl<'a> Host<'a> {
    /// Whether the run is to end: see [`Wires::stopping`].
    pub(crate) fn stopping(&self) -> bool {
        self.wires.stopping()
    }

    /// Whether what only a judge wants to know is to be recorded.
    pub(crate) fn is_witness(&self) -> bool {
        self.recorder.is_witness()
    }

    /// The host of one access, before it is known which device it is for.
    pub fn new(
        memory: &'a GuestMemoryMmap<()>,
        wires: &'a mut dyn Wires,
        recorder: &'a mut Recorder,
    ) -> Self {
        Self { memory, wires, recorder, lent_to: None, faults: None }
    }

    /// The same host in the hands of `function`, whose COMMAND register says
    /// whether it may master the bus.
    pub(crate) fn lend(&mut self, function: Bdf, bus_master: bool) -> Host<'_> {
        Host {
            memory: self.memory,
            wires: &mut *self.wires,
            recorder: &mut *self.recorder,
            lent_to: Some((function, bus_master)),
            faults: self.faults.as_deref_mut(),
        }
    }

    /// The same host for an access during which `faults` may strike.
    pub(crate) fn injecting<'b>(&'b mut self, faults: Option<&'b mut Injector>) -> Host<'b> {
        Host {
            memory: self.memory,
            wires: &mut *self.wires,
            recorder: &mut *self.recorder,
            lent_to: self.lent_to,
            faults,
        }
    }

    /// The schedule of faults, if there is one, and what it can reach.
    pub(crate) fn stage(&mut self) -> Option<(&mut Injector, Stage<'_>)> {
        let faults = self.faults.as_deref_mut()?;
        Some((faults, Stage { memory: self.memory, recorder: &mut *self.recorder }))
    }

    /// The function that this is lent to.
    pub(crate) fn device(&self) -> Option<Bdf> {
        self.lent_to.map(|(function, _)| function)
    }

    /// The guest accessed `register`. Returns what the device is to take of a store:
    /// what was stored, unless a fault has it otherwise.
    pub(crate) fn accessed(&mut self, register: Register, access: Access) -> Option<u64> {
        if self.faults.is_none() {
            self.recorder.record(Actor::Guest, Event::Register { register, access });
            return Some(access.value());
        }
        // A load is recorded with what the guest gets, a store with what it stored.
        match access {
            Access::Load { width, .. } => {
                let value = self.injected(&register, access).unwrap_or_default();
                let access = Access::Load { width, value };
                self.recorder.record(Actor::Guest, Event::Register { register, access });
                Some(value)
            }
            Access::Store { .. } => {
                self.recorder.record(Actor::Guest, Event::Register { register, access });
                self.injected(&register, access)
            }
        }
    }

    /// The guest's access took no effect. A load is answered with all ones.
    pub(crate) fn refused(&mut self, register: Register, access: Access, why: Refusal) {
        let access = match access {
            // A fault can pretend that there is a register.
            Access::Load { width, value } if self.faults.is_some() => {
                let value = self.injected(&register, access).unwrap_or(value);
                Access::Load { width, value }
            }
            access => access,
        };
        self.recorder.record(Actor::Guest, Event::Refused { register, access, why });
    }

    /// The guest printed a line.
    pub(crate) fn console_line(&mut self, line: &str) {
        self.recorder.record(Actor::Guest, Event::Console { line: line.into() });
    }

    /// Passes on what the guest prints.
    pub(crate) fn console(&mut self, bytes: &[u8]) {
        self.wires.console(bytes);
    }

    /// Sends an edge on an interrupt line.
    pub(crate) fn pulse(&mut self, gsi: u32) {
        self.wires.line(gsi, true);
        self.wires.line(gsi, false);
    }

    /// Drives an interrupt line.
    pub(crate) fn line(&mut self, gsi: u32, level: bool) {
        self.wires.line(gsi, level);
    }

    /// Records that the function began or ceased to assert its interrupt pin.
    pub(crate) fn intx(&mut self, pin: Pin, gsi: u32, asserted: bool) {
        self.record(Event::Intx { pin, gsi, asserted });
    }

    /// Whether the function that this is lent to may master the bus.
    pub(crate) fn bus_master(&self) -> bool {
        self.lent_to.is_some_and(|(_, bus_master)| bus_master)
    }

    /// Drives an interrupt line that no pin is wired to.
    pub(crate) fn isa_line(&mut self, gsi: u32, asserted: bool) {
        self.record(Event::Line { gsi, asserted });
        self.wires.line(gsi, asserted);
    }

    /// Records what the device did beside memory and interrupts.
    pub(crate) fn record(&mut self, event: Event) {
        let by = self.lent_to.map_or(Actor::Guest, |(function, _)| Actor::Device(function));
        self.recorder.record(by, event);
    }

    /// Records that the driver broke a rule.
    pub(crate) fn violation(&mut self, violation: Violation) {
        self.record(Event::Violation { violation });
    }

    /// Sends the message of MSI-X vector `vector`.
    ///
    /// # Panics
    /// The function may not master the bus: a message is a memory write.
    pub(crate) fn send_msix(&mut self, vector: u16, address: u64, data: u32) {
        assert!(self.bus_master(), "a message needs bus mastering");
        self.record(Event::Msix { vector, address, data });
        self.wires.msi(address, data);
    }
}
