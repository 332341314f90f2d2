//! The guest's accesses to the areas of a virtqueue, for rules.

use super::At;
use super::model::{self, Queue};
use crate::{Access, Area, Event, Field, Place};

/// An access to an area of a queue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ram<'a> {
    pub(super) queue: &'a Queue,
    pub(super) area: Area,
    pub(super) addr: u64,
    pub(super) access: Access,
    offset: u32,
}

/// The access that the entry is, unless a fault made the rings another thing than was told.
pub(super) fn ram<'a>(at: &At<'a>) -> Option<Ram<'a>> {
    at.ram
}

impl<'a> Ram<'a> {
    /// The access that an event of `queue` is.
    pub(super) fn of(event: &Event, queue: &'a Queue) -> Option<Self> {
        let Event::Ram { place: Place::Area { area, offset, .. }, addr, access } = *event else {
            return None;
        };
        if queue.forged {
            return None;
        }
        let (area, offset) = queue.locate(area, offset, addr);
        Some(Self { queue, area, addr, access, offset })
    }

    pub(super) fn is_store(&self) -> bool {
        self.access.is_store()
    }

    /// The fields that it meets, each with what is in it, if it is met as a whole.
    pub(super) fn fields(&self) -> impl Iterator<Item = (Field, Option<u64>)> + use<> {
        model::fields(self.area, self.offset, self.access)
    }

    /// What is in this field, if it is met as a whole.
    pub(super) fn value(&self, field: Field) -> Option<u64> {
        self.fields().find(|(met, _)| *met == field)?.1
    }
}
