//! What the processor's accesses reach: RAM, devices, wires and the record.

use std::ops::Range;

use eclipse_devices::{Host, Platform, Space, Stop, fault::Fault, watch::Watching};
use eclipse_trace::{Actor, Event, Mark, MemoryKind, Recorder};
use vm_memory::GuestMemoryMmap;

use crate::{Death, Error, Outcome, irq::Lines, slots::Slots, vcpu::Halt};

/// Everything of a machine but its processor, which does not run while this is at work.
pub(crate) struct Board {
    pub memory: GuestMemoryMmap<()>,
    pub platform: Platform,
    pub lines: Lines,
    pub slots: Slots,
    pub recorder: Recorder,
}

impl Board {
    /// Answers a load of the guest; `data` is as long as the load is wide, 8 bytes at most.
    pub fn load(&mut self, space: Space, address: u64, data: &mut [u8]) -> Option<Halt> {
        let value = match self.in_ram(space, address) {
            true => self.with(|platform, host| platform.load_ram(host, address, width(data))),
            false => self.with(|platform, host| platform.load(host, space, address, width(data))),
        };
        for (byte, answer) in data.iter_mut().zip(value.to_le_bytes()) {
            *byte = answer;
        }
        self.stop()
    }

    /// Carries out a store of the guest; `data` is as long as the store is wide, 8 bytes at most.
    pub fn store(&mut self, space: Space, address: u64, data: &[u8]) -> Option<Halt> {
        let mut bytes = [0; 8];
        for (byte, stored) in bytes.iter_mut().zip(data) {
            *byte = *stored;
        }
        let value = u64::from_le_bytes(bytes);
        let (width, in_ram) = (width(data), self.in_ram(space, address));
        self.with(|platform, host| match in_ram {
            true => platform.store_ram(host, address, width, value),
            false => platform.store(host, space, address, width, value),
        });
        if (space, address, width) == (Space::Port, Platform::DEBUG_MARK, 4)
            && let Mark::Page(kind, frame) = Mark::of(value as u32)
        {
            let start = u64::from(frame) * 4096;
            self.note(kind, start..start + 4096);
        }
        self.stop()
    }

    /// Gives the guest's serial port what the user typed; returns how many bytes it took.
    pub fn serial_input(&mut self, bytes: &[u8]) -> usize {
        self.with(|platform, host| platform.serial_input(host, bytes))
    }

    /// Records for a judge what memory there is and what it is for.
    pub fn tell_memory(&mut self, map: &[(MemoryKind, Range<u64>)]) {
        for (kind, range) in map {
            if self.recorder.is_witness() {
                let (kind, start, len) = (*kind, range.start, range.end - range.start);
                self.recorder.record(Actor::Guest, Event::Memory { kind, start, len });
            }
            self.note(*kind, range.clone());
        }
    }

    /// Memory is for this.
    fn note(&mut self, kind: MemoryKind, range: Range<u64>) {
        if let Err(error) = self.slots.note(kind, range) {
            self.lines.fail(error);
        }
    }

    /// Records these accesses of the guest to its own memory from now on.
    pub fn watch(&mut self, watching: Watching) {
        self.with(|platform, host| platform.watch(host, watching));
    }

    /// Puts a schedule of faults to work.
    pub fn inject(&mut self, faults: Vec<Fault>) -> Result<(), Error> {
        self.with(|platform, host| platform.set_faults(host, faults))
            .map_err(|(number, why)| Error::Fault { number, why })
    }

    /// Whether devices have something to do when the guest halts.
    pub fn has_deferred(&self) -> bool {
        self.platform.has_deferred()
    }

    /// Whether the instructions behind the guest's stores matter.
    pub fn watches_barriers(&self) -> bool {
        self.platform.watching().barriers
    }

    /// The guest halted: devices complete what waits for that.
    pub fn idle(&mut self) {
        self.with(|platform, host| platform.idle(host));
    }

    /// Completes the record at the end of a run.
    pub fn finish(&mut self) {
        self.with(|platform, host| platform.finish(host));
    }

    /// The host's failure during the last access, if there was one.
    pub fn take_failure(&mut self) -> Option<Error> {
        self.lines.failure.take()
    }

    /// Whether the guest left for an access to its own memory.
    fn in_ram(&self, space: Space, address: u64) -> bool {
        space == Space::Memory && self.slots.hold(address)
    }

    fn stop(&self) -> Option<Halt> {
        let outcome = match self.platform.stop()? {
            Stop::Exit(value) => Outcome::of_exit(value),
            Stop::Reset => Outcome::Died(Death::Reset),
        };
        Some(Halt::Guest(outcome))
    }

    fn with<T>(&mut self, access: impl FnOnce(&mut Platform, &mut Host<'_>) -> T) -> T {
        let mut host = Host::new(&self.memory, &mut self.lines, &mut self.recorder);
        let value = access(&mut self.platform, &mut host);
        if let Err(error) = self.slots.watch(self.platform.watches()) {
            self.lines.fail(error);
        }
        value
    }
}

/// The width of an access: KVM's slices have 1 to 8 bytes, for it cuts what crosses a page.
fn width(data: &[u8]) -> u8 {
    u8::try_from(data.len().clamp(1, 8)).expect("clamped")
}
