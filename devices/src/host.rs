use std::sync::atomic::Ordering;

use eclipse_trace::{
    Access, Actor, Bdf, DescriptorFlags, Direction, Event, Recorder, Refusal, Register, Ring,
    Violation,
};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

use crate::virtio::queue::Descriptor;

/// The machine's side of the devices: where interrupts and console bytes go.
pub trait Wires {
    /// Delivers a message-signalled interrupt.
    fn msi(&mut self, address: u64, data: u32);

    /// Drives an interrupt line of the interrupt controller.
    fn line(&mut self, gsi: u32, level: bool);

    /// Takes what the guest printed, as it prints it.
    fn console(&mut self, bytes: &[u8]);
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
}

impl<'a> Host<'a> {
    /// The host of one access, before it is known which device it is for.
    pub fn new(
        memory: &'a GuestMemoryMmap<()>,
        wires: &'a mut dyn Wires,
        recorder: &'a mut Recorder,
    ) -> Self {
        Self { memory, wires, recorder, lent_to: None }
    }

    /// The same host in the hands of `function`, whose COMMAND register says
    /// whether it may master the bus.
    pub(crate) fn lend(&mut self, function: Bdf, bus_master: bool) -> Host<'_> {
        Host {
            memory: self.memory,
            wires: &mut *self.wires,
            recorder: &mut *self.recorder,
            lent_to: Some((function, bus_master)),
        }
    }

    /// The guest accessed `register`.
    pub(crate) fn accessed(&mut self, register: Register, access: Access) {
        self.recorder.record(Actor::Guest, Event::Register { register, access });
    }

    /// The guest's access took no effect. A load is answered with all ones.
    pub(crate) fn refused(&mut self, register: Register, access: Access, why: Refusal) {
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

    /// Records what the device did beside memory and interrupts.
    pub(crate) fn record(&mut self, event: Event) {
        let by = self.lent_to.map_or(Actor::Guest, |(function, _)| Actor::Device(function));
        self.recorder.record(by, event);
    }

    /// Records that the driver broke a rule.
    pub(crate) fn violation(&mut self, violation: Violation) {
        self.record(Event::Violation { violation });
    }

    /// Reads a 16-bit field of a virtqueue.
    ///
    /// # Errors
    /// As [`Host::read_buffer`], and so for every method that names a memory address.
    pub(crate) fn read_ring(
        &mut self,
        queue: u16,
        field: Ring,
        addr: u64,
    ) -> Result<u16, Violation> {
        self.check_master()?;
        let value = self
            .memory
            .load::<u16>(GuestAddress(addr), Ordering::Acquire)
            .map(u16::from_le)
            .map_err(|_| Violation::OutsideRam { addr, len: 2 })?;
        let access = Access::Load { width: 2, value: value.into() };
        self.record(Event::Ring { queue, field, access });
        Ok(value)
    }

    /// Writes a 16-bit field of a virtqueue.
    pub(crate) fn write_ring(
        &mut self,
        queue: u16,
        field: Ring,
        addr: u64,
        value: u16,
    ) -> Result<(), Violation> {
        self.check_buffer(addr, 2)?;
        let access = Access::Store { width: 2, value: value.into() };
        self.record(Event::Ring { queue, field, access });
        self.memory
            .store(value.to_le(), GuestAddress(addr), Ordering::Release)
            .map_err(|_| Violation::OutsideRam { addr, len: 2 })
    }

    /// Reads entry `index` of the descriptor table at `table`, which does not wrap.
    pub(crate) fn read_descriptor(
        &mut self,
        queue: u16,
        index: u16,
        table: u64,
    ) -> Result<Descriptor, Violation> {
        self.check_master()?;
        let at = table + 16 * u64::from(index);
        let mut bytes = [0; 16];
        self.memory
            .read_slice(&mut bytes, GuestAddress(at))
            .map_err(|_| Violation::OutsideRam { addr: at, len: 16 })?;
        let descriptor = Descriptor::from_bytes(index, bytes);
        let Descriptor { addr, len, flags, next, .. } = descriptor;
        let flags = DescriptorFlags(flags.raw());
        self.record(Event::Descriptor { queue, index, addr, len, flags, next });
        Ok(descriptor)
    }

    /// Writes the used element for chain `id` to `slot`, which lies at `addr`.
    pub(crate) fn write_used(
        &mut self,
        queue: u16,
        slot: u16,
        addr: u64,
        id: u16,
        len: u32,
    ) -> Result<(), Violation> {
        self.check_buffer(addr, 8)?;
        self.record(Event::Used { queue, slot, id: id.into(), len });
        let element = u64::from(len) << 32 | u64::from(id);
        self.memory
            .write_slice(&element.to_le_bytes(), GuestAddress(addr))
            .map_err(|_| Violation::OutsideRam { addr, len: 8 })
    }

    /// Reads from the buffer of descriptor `index`.
    ///
    /// # Errors
    /// `BusMasterOff`: the function may not do DMA. `OutsideRam`: the buffer is
    /// not all in RAM; nothing was moved.
    pub(crate) fn read_buffer(
        &mut self,
        queue: u16,
        index: u16,
        addr: u64,
        bytes: &mut [u8],
    ) -> Result<(), Violation> {
        self.check_buffer(addr, bytes.len())?;
        self.record_buffer(queue, index, Direction::Read, addr, bytes.len());
        self.memory
            .read_slice(bytes, GuestAddress(addr))
            .map_err(|_| Violation::OutsideRam { addr, len: bytes.len() as u32 })
    }

    /// Writes to the buffer of descriptor `index`.
    ///
    /// # Errors
    /// As [`Host::read_buffer`].
    pub(crate) fn write_buffer(
        &mut self,
        queue: u16,
        index: u16,
        addr: u64,
        bytes: &[u8],
    ) -> Result<(), Violation> {
        self.check_buffer(addr, bytes.len())?;
        self.record_buffer(queue, index, Direction::Write, addr, bytes.len());
        self.memory
            .write_slice(bytes, GuestAddress(addr))
            .map_err(|_| Violation::OutsideRam { addr, len: bytes.len() as u32 })
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

    /// Whether the function may master the bus.
    pub(crate) fn bus_master(&self) -> bool {
        matches!(self.lent_to, Some((_, true)))
    }

    fn check_master(&self) -> Result<(), Violation> {
        match self.bus_master() {
            true => Ok(()),
            false => Err(Violation::BusMasterOff),
        }
    }

    /// Whether DMA is allowed and `len` bytes at `addr` are all in RAM.
    fn check_buffer(&self, addr: u64, len: usize) -> Result<(), Violation> {
        use vm_memory::GuestMemoryBackend;
        self.check_master()?;
        let outside = Violation::OutsideRam { addr, len: u32::try_from(len).unwrap_or(u32::MAX) };
        match self.memory.check_range(GuestAddress(addr), len) {
            true => Ok(()),
            false => Err(outside),
        }
    }

    fn record_buffer(
        &mut self,
        queue: u16,
        index: u16,
        direction: Direction,
        addr: u64,
        len: usize,
    ) {
        let len = u32::try_from(len).unwrap_or(u32::MAX);
        self.record(Event::Buffer { queue, index, direction, addr, len });
    }
}
