use std::collections::BTreeMap;

use serde::Serialize;

use crate::{Access, Event, Kind, Register, RequestKind, RequestStatus};

/// What a run came to, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Accesses to configuration space.
    pub config: u64,
    /// Accesses to I/O ports, CONFIG_ADDRESS among them; console output is not counted.
    pub port: u64,
    /// Accesses to device memory.
    pub mmio: u64,
    /// Accesses of the guest that took no effect; counted above as well.
    pub refused: u64,
    /// Fields, descriptors and elements of virtqueues that a device read.
    pub ring_reads: u64,
    /// Fields and elements of virtqueues that a device wrote.
    pub ring_writes: u64,
    /// Block requests, by the name of their type. A name and not the type, because a
    /// guest can think of more types than there is room for.
    pub requests: BTreeMap<&'static str, u64>,
    /// Block requests whose status was not OK.
    pub failed_requests: u64,
    /// Bytes that requests moved from disks to the guest.
    pub bytes_in: u64,
    /// Bytes that requests moved from the guest to disks.
    pub bytes_out: u64,
    /// MSI-X messages sent, and interrupt pins asserted.
    pub interrupts: u64,
    /// Rules that the driver broke.
    pub violations: u64,
    /// Effects of faults.
    pub faults: u64,
    /// Lines on the console.
    pub console_lines: u64,
    /// Accesses of the guest to memory that was watched.
    pub ram: u64,
}

impl Summary {
    /// All accesses of the guest to registers.
    pub fn accesses(&self) -> u64 {
        self.config + self.port + self.mmio
    }

    /// Counts one event.
    #[inline]
    pub fn count(&mut self, event: &Event) {
        match event {
            Event::Register { register, .. } => *self.kind(register) += 1,
            Event::Refused { register, .. } => {
                *self.kind(register) += 1;
                self.refused += 1;
            }
            Event::Ring { access: Access::Load { .. }, .. }
            | Event::Descriptor { .. }
            | Event::PackedDescriptor { .. } => self.ring_reads += 1,
            Event::Ring { .. } | Event::Used { .. } | Event::PackedUsed { .. } => {
                self.ring_writes += 1;
            }
            Event::Request { request, len, status, .. } => {
                *self.requests.entry(request.name()).or_default() += 1;
                self.failed_requests += u64::from(*status != RequestStatus::Ok);
                match request {
                    RequestKind::Out => self.bytes_out += u64::from(*len),
                    RequestKind::Discard | RequestKind::WriteZeroes | RequestKind::SecureErase => {}
                    _ => self.bytes_in += u64::from(*len),
                }
            }
            Event::Msix { .. }
            | Event::Intx { asserted: true, .. }
            | Event::Line { asserted: true, .. } => self.interrupts += 1,
            Event::Violation { .. } => self.violations += 1,
            Event::Fault { .. } => self.faults += 1,
            Event::Console { .. } => self.console_lines += 1,
            Event::Ram { .. } => self.ram += 1,
            Event::Buffer { .. }
            | Event::Segment { .. }
            | Event::MsixPending { .. }
            | Event::Barrier { .. }
            | Event::Snapshot { .. }
            | Event::Memory { .. }
            | Event::Line { .. }
            | Event::Intx { .. }
            | Event::NeedsReset => {}
        }
    }

    fn kind(&mut self, register: &Register) -> &mut u64 {
        match Kind::of(register) {
            Kind::Config => &mut self.config,
            Kind::Port => &mut self.port,
            _ => &mut self.mmio,
        }
    }
}
