//! Whether structures are used whose capabilities lead astray.

use super::super::super::EndOf;
use super::super::bars::slots::Slots;
use super::{
    Access, At, CapabilityKind, Check, ConfigSpace, Out, Sees, VirtioCap, Window, needed, only,
};
use crate::register::Structure;
use crate::{Bdf, Register};

pub(super) const SEES: Sees =
    Sees::CONFIG.union(Sees::COMMON).union(Sees::BAR).union(Sees::UNCLAIMED);

/// What is wrong with the capability of a type, as it was loaded.
type Wrong = fn(&ConfigSpace, &Slots, Bdf, u8) -> Option<String>;

/// A capability that leads astray is not followed.
pub(super) struct Led {
    wrong: Wrong,
    slots: Slots,
    /// The functions that were followed to a wrong place, which is said once.
    done: Vec<Bdf>,
}

impl Led {
    pub(super) fn by(wrong: Wrong) -> Self {
        Self { wrong, slots: Slots::default(), done: Vec::new() }
    }

    fn wrong(&self, config: &ConfigSpace, function: Bdf, kind: u8) -> Option<String> {
        (self.wrong)(config, &self.slots, function, kind)
    }

    /// The function and the structure that an access shows to be used.
    fn used(&self, at: &At<'_>) -> Option<(Bdf, u8)> {
        match at.register()? {
            (Register::Common { function, .. }, ..) => Some((function, 1)),
            (Register::None { function, structure: Structure::Bar(bar), offset }, ..) => {
                let config = &at.pci()?.config;
                let kind = (1..=4).find(|kind| {
                    let window = only(config, *kind).and_then(|place| Window::of(config, place));
                    window.is_some_and(|window| window.holds(bar.into(), offset))
                })?;
                Some((function, kind))
            }
            (Register::Unclaimed { address, .. }, Access::Store { .. }, _) => {
                at.model.functions().find_map(|function| {
                    let kind = (1..=4).find(|kind| {
                        self.address(&function.config, function.address, *kind)
                            .is_some_and(|(start, length)| address.wrapping_sub(start) < length)
                    })?;
                    Some((function.address, kind))
                })
            }
            _ => None,
        }
    }

    /// Where a driver would look for a structure that does not check.
    fn address(&self, config: &ConfigSpace, function: Bdf, kind: u8) -> Option<(u64, u64)> {
        let window = Window::of(config, only(config, kind)?)?;
        let (_, start, _) = self.slots.range(function, window.bar as usize)?;
        Some((start.wrapping_add(window.offset.into()), window.length.into()))
    }
}

impl Check for Led {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if config_access(at) {
            self.slots.take(at);
            return;
        }
        let Some((function, kind)) = self.used(at) else { return };
        if self.done.contains(&function) {
            return;
        }
        let Some(config) = at.model.function(function).map(|function| &function.config) else {
            return;
        };
        if let Some(seen) = self.wrong(config, function, kind) {
            self.done.push(function);
            out.broken("no access by that capability", format!("type {kind} used, {seen}"));
        }
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        for function in end.model.functions() {
            let address = function.address;
            let wrong = |kind| self.wrong(&function.config, address, kind).is_some();
            if !self.done.contains(&address) && (1..=4).any(wrong) {
                out.kept();
            }
        }
    }
}

fn config_access(at: &At<'_>) -> bool {
    matches!(at.register(), Some((Register::Config { .. }, ..)))
}

/// It has not room for its fields.
pub(super) fn short(config: &ConfigSpace, _: &Slots, _: Bdf, kind: u8) -> Option<String> {
    let place = only(config, kind)?;
    debug_assert_eq!(place.kind, CapabilityKind::Virtio(kind));
    let len = config.field(place, VirtioCap::CapLen.offset(), 1)?;
    (len < needed(kind)).then(|| format!("of {len} bytes"))
}

/// It names no BAR that is there.
pub(super) fn no_bar(config: &ConfigSpace, slots: &Slots, at: Bdf, kind: u8) -> Option<String> {
    let bar = config.field(only(config, kind)?, VirtioCap::Bar.offset(), 1)?;
    let index = bar as usize;
    (bar > 5 || slots.is_absent(at, index)).then(|| format!("in BAR{bar}"))
}

/// It ends behind the BAR.
pub(super) fn beyond(config: &ConfigSpace, slots: &Slots, at: Bdf, kind: u8) -> Option<String> {
    let window = Window::of(config, only(config, kind)?)?;
    let Window { bar, offset, length } = window;
    let (_, _, size) = slots.range(at, bar as usize)?;
    let end = u64::from(offset) + u64::from(length);
    (end > size).then(|| format!("{length:#x} bytes at {offset:#x} of BAR{bar}"))
}
