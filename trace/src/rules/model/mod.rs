//! What a transcript told so far: the state of the machine as its driver knows it.
//!
//! The model follows what was loaded and stored, and what devices did. It holds what several
//! rules ask for; what one rule alone needs is that rule's.

mod bars;
mod chain;
mod config;
pub mod feature;
mod holders;
mod packed;
mod queue;
mod shadow;
mod virtio;

use std::ops::Range;

pub use bars::{Bar, Bars};
pub use chain::{Chain, Element};
pub use config::{Capability, ConfigSpace};
pub use holders::Holders;
pub use packed::PackedShadow;
pub use queue::{Half, Queue};
pub use shadow::{Shadow, fields, passed};
pub use virtio::{Features, Msix, Virtio, status};

use crate::register::Structure;
use crate::{Access, Actor, Bdf, Entry, Event, Mark, MemoryKind, Place, Register};

/// A PCI function.
#[derive(Debug)]
pub struct Function {
    /// Which.
    pub address: Bdf,
    /// Its configuration space.
    pub config: ConfigSpace,
    /// The virtio device that it is, if it is one.
    pub virtio: Virtio,
}

/// What a transcript told so far.
#[derive(Debug, Default)]
pub struct Model {
    functions: Vec<Function>,
    /// What memory is for, as it was told.
    pub memory: Vec<(MemoryKind, Range<u64>)>,
    /// The phase that the guest marked last.
    pub phase: Option<u32>,
    /// What was stored to CONFIG_ADDRESS last.
    pub config_address: Option<u32>,
    /// How many effects faults had.
    pub faults: u64,
}

impl Model {
    /// A PCI function that was accessed.
    pub fn function(&self, address: Bdf) -> Option<&Function> {
        self.functions.iter().find(|function| function.address == address)
    }

    /// All PCI functions that were accessed.
    pub fn functions(&self) -> impl Iterator<Item = &Function> {
        self.functions.iter()
    }

    /// Whether all of `len` bytes at `start` are RAM; `None` if it was not told what is.
    pub fn is_ram(&self, start: u64, len: u64) -> Option<bool> {
        let mut ram = self.memory.iter().filter(|(kind, _)| *kind == MemoryKind::Ram).peekable();
        ram.peek()?;
        let end = start.checked_add(len);
        Some(ram.any(|(_, range)| range.start <= start && end.is_some_and(|end| end <= range.end)))
    }

    /// What the `len` bytes at `start` are, beside RAM.
    pub fn region(&self, start: u64, len: u64) -> Option<MemoryKind> {
        let end = start.saturating_add(len);
        let meets = |(kind, range): &&(MemoryKind, Range<u64>)| {
            *kind != MemoryKind::Ram && range.start < end && start < range.end
        };
        self.memory.iter().find(meets).map(|(kind, _)| *kind)
    }

    /// What is told again is known already.
    fn remember(&mut self, kind: MemoryKind, range: Range<u64>) {
        let told = (kind, range);
        if !self.memory.contains(&told) {
            self.memory.push(told);
        }
    }

    fn at(&mut self, address: Bdf) -> &mut Function {
        let place = self.functions.iter().position(|function| function.address == address);
        let place = place.unwrap_or_else(|| {
            let config = ConfigSpace::default();
            self.functions.push(Function { address, config, virtio: Virtio::default() });
            self.functions.len() - 1
        });
        &mut self.functions[place]
    }

    /// Takes up what the entry adds to a chain, before the rules see it.
    pub(super) fn walk(&mut self, entry: &Entry) {
        if let (Actor::Device(function), Some(queue)) = (entry.by, entry.event.queue()) {
            self.at(function).virtio.queue_mut(queue).walk(entry);
        }
    }

    /// Takes up what the entry told, after the rules have seen it.
    pub(super) fn take(&mut self, entry: &Entry) {
        match entry.event {
            Event::Register { register: Register::ConfigAddress, access } if access.is_store() => {
                self.config_address = Some(access.value() as u32);
            }
            Event::Register { register: Register::DebugMark, access } => {
                match Mark::of(access.value() as u32) {
                    Mark::Phase(number) => self.phase = Some(number),
                    Mark::Page(kind, frame) => {
                        let start = u64::from(frame) << 12;
                        self.remember(kind, start..start + 0x1000);
                    }
                    _ => {}
                }
            }
            Event::Register {
                register: Register::Config { function, offset, capability, .. },
                access,
            } => {
                // Absent functions are many, and nothing is known of them.
                let ones = u64::MAX >> (64 - 8 * u32::from(access.width().clamp(1, 8)));
                let absent = !access.is_store() && access.value() == ones;
                if !absent || self.function(function).is_some() {
                    self.at(function).config.take(offset, capability, access);
                }
            }
            Event::Register { register: Register::ResetControl, access }
                if access.is_store() && access.value() & 4 != 0 =>
            {
                // The machine begins anew.
                for function in &mut self.functions {
                    function.config = ConfigSpace::default();
                }
                self.config_address = None;
            }
            Event::Register { register, access } => {
                if let Some(function) = register.function() {
                    self.at(function).virtio.access(entry.seq, register, access);
                }
            }
            Event::Ram { place: Place::Area { function, queue, area, offset }, addr, access } => {
                self.at(function).virtio.accessed(queue, area, offset, addr, access);
            }
            // The driver has what it was answered, register or not.
            Event::Refused {
                register: Register::None { function, structure: Structure::Block, offset },
                access: access @ Access::Load { .. },
                ..
            } => {
                if let Ok(offset) = u16::try_from(offset) {
                    self.at(function).virtio.configured(offset, access);
                }
            }
            Event::Memory { kind, start, len } => {
                self.remember(kind, start..start.saturating_add(len));
            }
            Event::Fault { ref effect, .. } => {
                self.faults += 1;
                if let Actor::Device(function) = entry.by {
                    self.at(function).virtio.faulted(effect);
                }
            }
            _ => {
                if let (Actor::Device(function), Some(queue)) = (entry.by, entry.event.queue()) {
                    self.at(function).virtio.queue_mut(queue).take(entry);
                } else if let (Actor::Device(function), Event::NeedsReset) =
                    (entry.by, &entry.event)
                {
                    self.at(function).virtio.needs_reset = true;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{BLOCK, Transcript};
    use super::*;
    use crate::Ring;

    fn told(transcript: &Transcript) -> Model {
        let mut model = Model::default();
        for entry in transcript.entries() {
            model.walk(entry);
            model.take(entry);
        }
        model
    }

    #[test]
    fn a_device_that_gives_nothing_back_does_not_fill_memory() {
        let mut driver = Transcript::driven(0);
        for idx in 0..40_000 {
            driver.ring(Ring::AvailRing(idx % 8), idx % 8);
            driver.desc(idx % 8, 0x5000, 16, 0, 0);
        }
        let model = told(&driver);
        let queue = model.function(BLOCK).and_then(|function| function.virtio.queue(0));
        assert_eq!(queue.map(|queue| queue.outstanding.len()), Some(32768));
    }

    #[test]
    fn memory_that_is_told_twice_is_known_once() {
        let mut driver = Transcript::new();
        for _ in 0..3 {
            driver.guest(Event::Memory { kind: MemoryKind::Ram, start: 0, len: 0x1000 });
        }
        let model = told(&driver);
        assert_eq!(model.memory, [(MemoryKind::Ram, 0..0x1000)]);
        assert_eq!((model.is_ram(0, 0x1000), model.is_ram(0, 0x1001)), (Some(true), Some(false)));
    }
}
