//! The driver's own record of a queue: what is free, and who has the rest.

use alloc::{vec, vec::Vec};

use super::Error;

/// Numbers that are free, the one that came back last first.
#[derive(Debug)]
pub(super) struct FreeList {
    /// What follows a number, in a chain or in the list.
    next: Vec<u16>,
    first: u16,
    len: u16,
}

impl FreeList {
    /// All numbers below `size`.
    pub(super) fn new(size: u16) -> Self {
        Self { next: (1..=size).collect(), first: 0, len: size }
    }

    pub(super) fn len(&self) -> u16 {
        self.len
    }

    /// What [`FreeList::take`] will answer.
    pub(super) fn first(&self) -> Option<u16> {
        (self.len > 0).then_some(self.first)
    }

    /// Takes one.
    ///
    /// # Panics
    /// There is none.
    pub(super) fn take(&mut self) -> u16 {
        let Some(taken) = self.first() else { panic!("nothing is free") };
        self.first = self.next[usize::from(taken)];
        self.len -= 1;
        taken
    }

    /// Puts back the `count` numbers that were taken one after the other from `head` on.
    pub(super) fn put_back(&mut self, head: u16, count: u16) {
        let mut last = head;
        for _ in 1..count {
            last = self.next[usize::from(last)];
        }
        self.next[usize::from(last)] = self.first;
        self.first = head;
        self.len += count;
    }
}

/// Who has the chain of an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    /// There is no such chain.
    None,
    /// The device, since the chain was submitted.
    Device { descriptors: u16 },
    /// The driver, since the device gave it back.
    Driver { descriptors: u16 },
}

/// All chains by their ids.
#[derive(Debug)]
pub(super) struct Chains {
    owners: Vec<Owner>,
    outstanding: u16,
}

impl Chains {
    /// None yet, of ids below `size`.
    pub(super) fn new(size: u16) -> Self {
        Self { owners: vec![Owner::None; usize::from(size)], outstanding: 0 }
    }

    /// How many the device has.
    pub(super) fn outstanding(&self) -> u16 {
        self.outstanding
    }

    /// The device has the chain now.
    pub(super) fn hand_over(&mut self, id: u16, descriptors: u16) {
        self.owners[usize::from(id)] = Owner::Device { descriptors };
        self.outstanding += 1;
    }

    /// The device says that it gave a chain back: its id, and its descriptors.
    pub(super) fn take_back(&mut self, id: u32) -> Result<(u16, u16), Error> {
        // All 32 bits count: 10003h is not 3.
        let known = u16::try_from(id).map_err(|_| Error::UsedId(id))?;
        match self.owners.get_mut(usize::from(known)) {
            Some(owner) if let Owner::Device { descriptors } = *owner => {
                *owner = Owner::Driver { descriptors };
                self.outstanding -= 1;
                Ok((known, descriptors))
            }
            _ => Err(Error::UsedId(id)),
        }
    }

    /// Forgets a chain that the device gave back: its descriptors.
    ///
    /// # Panics
    /// It did not.
    pub(super) fn release(&mut self, id: u16) -> u16 {
        let owner = &mut self.owners[usize::from(id)];
        let Owner::Driver { descriptors } = *owner else {
            panic!("the chain {id} is not the driver's");
        };
        *owner = Owner::None;
        descriptors
    }
}
