//! What a transcript told so far: the state of the machine as its driver knows it.
//!
//! The model follows what was loaded and stored, and what devices did. It holds what several
//! rules ask for; what one rule alone needs is that rule's.

mod chain;
mod config;
mod queue;
mod virtio;

use std::ops::Range;

pub use chain::{Chain, Element};
pub use config::{Capability, ConfigSpace};
pub use queue::{Half, Queue};
pub use virtio::{Features, Msix, Virtio, status};

use crate::{Actor, Bdf, Entry, Event, Mark, MemoryKind, Register};

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
                        self.memory.push((kind, start..start + 0x1000));
                    }
                    _ => {}
                }
            }
            Event::Register {
                register: Register::Config { function, offset, capability, .. },
                access,
            } => {
                // Who looks for functions on every bus finds tens of thousands that are not there.
                let absent = offset == 0 && !access.is_store() && access.value() as u16 == 0xffff;
                if !absent || self.function(function).is_some() {
                    self.at(function).config.take(offset, capability, access);
                }
            }
            Event::Register { register, access } => {
                if let Some(function) = register.function() {
                    self.at(function).virtio.access(entry.seq, register, access);
                }
            }
            Event::Memory { kind, start, len } => {
                self.memory.push((kind, start..start.saturating_add(len)));
            }
            Event::Fault { .. } => self.faults += 1,
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
