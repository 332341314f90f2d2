//! PCI: configuration space, base address registers, interrupts.
//!
//! What was set before a transcript begins is not known to it, and what is not known is not
//! judged: firmware may have switched decode on and placed the BARs.

mod access;
mod bars;
mod capabilities;
mod command;
mod header;
mod interrupt;
mod life;
mod msix;
mod place;

use super::capability::comes_up::ComesUp;
use super::{At, Check, EndOf, Out, Rule, Sees};
use crate::register::{Capability, Header, Mechanism};
use crate::{Access, Bdf, Refusal, Register};

/// The rules by topic.
pub(super) const RULES: &[&[Rule]] = &[
    access::RULES,
    bars::RULES,
    place::RULES,
    command::RULES,
    capabilities::RULES,
    header::RULES,
    msix::RULES,
    interrupt::RULES,
    life::RULES,
];

/// An access to configuration space.
#[derive(Clone, Copy, Debug)]
struct Config {
    function: Bdf,
    mechanism: Mechanism,
    header: Header,
    offset: u16,
    capability: Option<Capability>,
    access: Access,
    refused: Option<Refusal>,
}

impl Config {
    fn of(at: &At<'_>) -> Option<Self> {
        let (register, access, refused) = at.register()?;
        let Register::Config { function, mechanism, header, offset, capability } = register else {
            return None;
        };
        Some(Self { function, mechanism, header, offset, capability, access, refused })
    }

    /// The value, if this stores.
    fn stored(&self) -> Option<u32> {
        self.access.is_store().then_some(self.access.value() as u32)
    }

    /// The value, if this loads.
    fn loaded(&self) -> Option<u32> {
        (!self.access.is_store()).then_some(self.access.value() as u32)
    }

    fn width(&self) -> u8 {
        self.access.width()
    }

    /// Whether it reaches the byte at `offset`.
    fn covers(&self, offset: u16) -> bool {
        (self.offset..self.offset + u16::from(self.width())).contains(&offset)
    }

    /// The byte at `offset`, if it reaches it.
    fn byte(&self, offset: u16) -> Option<u8> {
        let lane = offset.checked_sub(self.offset).filter(|_| self.covers(offset))?;
        Some((self.access.value() >> (8 * lane)) as u8)
    }

    /// Whether all bits that were loaded are ones.
    fn is_all_ones(&self) -> bool {
        self.loaded().is_some_and(|value| match self.width() {
            1 => value == 0xff,
            2 => value == 0xffff,
            _ => value == u32::MAX,
        })
    }

    /// COMMAND as this store leaves it, if it is one, and what is known of it before.
    fn command(&self, at: &At<'_>) -> Option<(Option<u16>, u16)> {
        let value = self.stored().filter(|_| self.refused.is_none())?;
        let before = at.pci().and_then(|function| function.config.get(COMMAND, 2));
        let before = before.map(|before| before as u16);
        match (self.offset, self.width()) {
            (COMMAND, 1) => Some((before, before? & 0xff00 | value as u16)),
            (COMMAND, _) => Some((before, value as u16)),
            (COMMAND_HIGH, 1) => Some((before, before? & 0xff | (value as u16) << 8)),
            _ => None,
        }
    }
}

/// COMMAND (PCI 3.0, 6.2.2).
const COMMAND: u16 = 4;
const COMMAND_HIGH: u16 = 5;
const IO: u16 = 1 << 0;
const MEMORY: u16 = 1 << 1;
const BUS_MASTER: u16 = 1 << 2;
const INTX_DISABLE: u16 = 1 << 10;

/// COMMAND of the function that the entry is about, if it is known.
fn known_command(at: &At<'_>) -> Option<u16> {
    at.pci()?.config.get(COMMAND, 2).map(|command| command as u16)
}

/// How an unusual device is dealt with, and that it is driven at all.
struct Driven {
    see: fn(&At<'_>, &mut Out<'_>),
    comes_up: ComesUp,
}

impl Driven {
    const SEES: Sees =
        Sees::CONFIG_STORE.union(Sees::STATUS).union(Sees::LEGACY).union(Sees::FAULT);
}

impl Check for Driven {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        (self.see)(at, out);
        self.comes_up.see(at, out);
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        self.comes_up.end(end, out);
    }
}

/// A set of functions; of all that there can be, as a driver may look for all of them.
#[derive(Debug)]
struct Functions(Box<[u64; 1024]>);

impl Default for Functions {
    fn default() -> Self {
        Self(Box::new([0; 1024]))
    }
}

impl Functions {
    fn place(function: Bdf) -> (usize, u64) {
        let devfn = usize::from(function.device()) << 3 | usize::from(function.function());
        let number = usize::from(function.bus()) << 8 | devfn;
        (number / 64, 1 << (number % 64))
    }

    fn has(&self, function: Bdf) -> bool {
        let (word, bit) = Self::place(function);
        self.0[word] & bit != 0
    }

    /// Answers with whether it was not in before.
    fn insert(&mut self, function: Bdf) -> bool {
        let (word, bit) = Self::place(function);
        let new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        new
    }

    fn remove(&mut self, function: Bdf) {
        let (word, bit) = Self::place(function);
        self.0[word] &= !bit;
    }
}

/// What a rule keeps of each function that it met, and that is there.
#[derive(Debug, Default)]
struct Each<S>(Vec<(Bdf, S)>);

impl<S: Default> Each<S> {
    fn at(&mut self, function: Bdf) -> &mut S {
        let place = self.0.iter().position(|(other, _)| *other == function);
        let place = place.unwrap_or_else(|| {
            self.0.push((function, S::default()));
            self.0.len() - 1
        });
        &mut self.0[place].1
    }
}
