use super::super::super::At;
use super::super::super::model::Model;
use super::super::super::state::PerFunction;
use super::super::{IO, MEMORY, config};
use crate::Bdf;
use crate::register::Header;

/// The base address registers of all functions, as their values and sizes were told.
#[derive(Default)]
pub(in crate::rules::pci) struct Slots(PerFunction<[Slot; 6]>);

/// A base address register.
#[derive(Clone, Copy, Default)]
struct Slot {
    /// What was loaded before anything was stored.
    found: Option<u32>,
    /// What was last loaded or stored, but for sizing.
    value: Option<u32>,
    /// Whether it has the value that sizes it.
    sizing: bool,
    /// What it answered to that.
    answer: Option<u32>,
}

/// What was done to a base address register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::rules::pci) enum Step {
    /// Ones were stored.
    Probe,
    /// Something else.
    Other,
}

impl Slots {
    /// Takes up an access: to which register, and what it was.
    pub fn take(&mut self, at: &At<'_>) -> Option<(Bdf, usize, Step)> {
        let (function, header, offset @ 0x10..=0x24, access) = config(at)? else { return None };
        let count = if header == Header::Bridge { 2 } else { 6 };
        let index = usize::from(offset - 0x10) / 4;
        if access.width() != 4 || !offset.is_multiple_of(4) || index >= count {
            return None;
        }
        let value = access.value() as u32;
        let slot = &mut self.0.of(function)[index];
        if !access.is_store() && slot.sizing {
            slot.answer = Some(value);
        } else if access.is_store() && is_probe(value) {
            slot.sizing = true;
            slot.answer = None;
            return Some((function, index, Step::Probe));
        } else {
            slot.sizing = false;
            if slot.value.is_none() && !access.is_store() {
                slot.found = Some(value);
            }
            slot.value = Some(merged(slot.value, value, access.is_store()));
        }
        Some((function, index, Step::Other))
    }

    fn slot(&self, function: Bdf, index: usize) -> Slot {
        self.0.peek(function).and_then(|slots| slots.get(index)).copied().unwrap_or_default()
    }

    /// Whether the register is the upper half of the one before it.
    fn is_upper(&self, function: Bdf, index: usize) -> bool {
        index > 0 && self.slot(function, index - 1).is_wide() && !self.is_upper(function, index - 1)
    }

    /// The bit of COMMAND that has it decoded; both as long as it is not known what it is.
    pub fn decode(&self, function: Bdf, index: usize) -> u16 {
        if self.is_upper(function, index) {
            return MEMORY;
        }
        match self.slot(function, index).value {
            Some(value) if value & 1 != 0 => IO,
            Some(_) => MEMORY,
            None => IO | MEMORY,
        }
    }

    /// Whether it had an address before it was sized.
    pub fn had_address(&self, function: Bdf, index: usize) -> bool {
        self.slot(function, index).value.is_some_and(|value| value & !0xf != 0)
    }

    /// Whether it is there, and has the value that sizes it still.
    pub fn is_left(&self, function: Bdf, index: usize) -> bool {
        let slot = self.slot(function, index);
        slot.sizing && slot.answer.is_some_and(|answer| answer & !0xf != 0)
    }

    /// Whether it was sized and is not there, or is the upper half of another one.
    pub fn is_absent(&self, function: Bdf, index: usize) -> bool {
        let nothing = |index| {
            let answer = self.slot(function, index).answer;
            answer.is_some_and(|answer| answer & !0xf == 0)
        };
        let wide = self.slot(function, index).is_wide();
        self.is_upper(function, index) || nothing(index) && (!wide || nothing(index + 1))
    }

    /// Whether the driver gave it an address, other than the one that it found.
    pub fn is_placed(&self, function: Bdf, index: usize) -> bool {
        let (low, high) = (self.slot(function, index), self.slot(function, index + 1));
        low.is_placed() || low.is_wide() && high.is_placed()
    }

    /// It was said once that it has that value still.
    pub fn forgive(&mut self, function: Bdf, index: usize) {
        self.0.of(function)[index].sizing = false;
    }

    /// Of a 64-bit BAR, whether both halves were sized, or both looked at where none was.
    pub fn both_halves(&self, function: Bdf, index: usize) -> Option<bool> {
        let (low, high) = (self.slot(function, index), self.slot(function, index + 1));
        if !low.is_wide() || self.is_upper(function, index) {
            return None;
        }
        Some(if low.answer.is_some() { high.answer.is_some() } else { high.value.is_some() })
    }

    /// The decode bit, the address and the size of a BAR that is there and was sized.
    pub fn range(&self, function: Bdf, index: usize) -> Option<(u16, u64, u64)> {
        let slot = self.slot(function, index);
        let (value, answer) = (slot.value?, slot.answer?);
        if slot.sizing || self.is_upper(function, index) {
            return None;
        }
        let lowest = |mask: u64| (mask != 0).then(|| mask & mask.wrapping_neg());
        if answer & 1 != 0 {
            let size = lowest((answer & !3).into())?;
            return Some((IO, (value & !3).into(), size));
        }
        let (mut start, mut mask) = (u64::from(value & !0xf), u64::from(answer & !0xf));
        if slot.is_wide() {
            let high = self.slot(function, index + 1);
            start |= u64::from(high.value?) << 32;
            mask |= u64::from(high.answer?) << 32;
        }
        Some((MEMORY, start, lowest(mask)?))
    }

    /// A decoded BAR that meets this one.
    pub fn overlapping(
        &self,
        model: &Model,
        function: Bdf,
        index: usize,
        (bit, start, len): (u16, u64, u64),
    ) -> Option<(Bdf, usize)> {
        let meets = |address: Bdf, number: usize| {
            self.range(address, number).is_some_and(|(kind, other, size)| {
                kind == bit
                    && other != 0
                    && other < start.saturating_add(len)
                    && start < other.saturating_add(size)
            })
        };
        self.0.iter().find_map(|(address, _)| {
            let command = model.function(address).map_or(0, |known| known.config.command());
            // Its own BARs go on with this one.
            let decoded = address == function || command & bit != 0;
            let own = |number: usize| address == function && number == index;
            (0..6)
                .find(|number| decoded && !own(*number) && meets(address, *number))
                .map(|number| (address, number))
        })
    }
}

impl Slot {
    fn is_placed(&self) -> bool {
        self.value.is_some() && self.value != self.found
    }

    fn is_wide(&self) -> bool {
        self.value.or(self.answer).is_some_and(|value| value & 7 == 4)
    }
}

/// A store brings no type bits.
fn merged(held: Option<u32>, value: u32, store: bool) -> u32 {
    match held {
        Some(held) if store && held & 1 != 0 => value & !3 | held & 3,
        Some(held) if store && held & 7 == 4 => value & !0xf | held & 0xf,
        _ => value,
    }
}

/// Whether a value is one that a BAR is sized with: ones, with or without the type bits.
fn is_probe(value: u32) -> bool {
    value | 0xf == u32::MAX
}
