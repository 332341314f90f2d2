//! A part of a BAR that a driver accesses.

use super::{Bar, Error};
use crate::{
    hal::{DeviceMemory, Hal, Word},
    register::Register,
};

/// Behind the last I/O port.
const PORTS: u64 = 0x1_0000;

/// A part of a BAR, in memory or in I/O space, ready to be accessed.
///
/// Each call is one access, `T::WIDTH` bytes wide.
#[derive(Clone, Debug)]
pub struct Window<H> {
    hal: H,
    place: Place,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Memory(DeviceMemory),
    Port { base: u16, len: u16 },
}

impl<H: Hal> Window<H> {
    /// Makes `len` bytes at `offset` of BAR `index` reachable.
    ///
    /// # Errors
    /// The BAR is absent, not placed, misplaced, or shorter than that; or the
    /// machine refuses to map it.
    pub fn map(hal: &H, index: u8, bar: Bar, offset: u64, len: u64) -> Result<Self, Error> {
        check(index, bar, offset, len)?;
        if bar.is_unplaced() {
            return Err(Error::BarUnplaced(index));
        }
        let place = match bar {
            Bar::Absent => return Err(Error::BarAbsent(index)),
            Bar::Memory { base, .. } => {
                let memory = hal
                    .map_device(base + offset, len)
                    .map_err(|source| Error::Map { index, source })?;
                Place::Memory(memory)
            }
            // `check` has seen that all ports of the BAR are below 0x10000.
            Bar::Port { base, .. } => {
                Place::Port { base: (u64::from(base) + offset) as u16, len: len as u16 }
            }
        };
        Ok(Self { hal: hal.clone(), place })
    }

    /// The machine.
    pub(crate) fn hal(&self) -> &H {
        &self.hal
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        match self.place {
            Place::Memory(memory) => memory.len,
            Place::Port { len, .. } => len.into(),
        }
    }

    /// Whether there is nothing to access.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Loads a register.
    ///
    /// # Panics
    /// The register lies outside the window: a mistake of the driver.
    pub fn load<T: Word>(&self, register: Register<T>) -> T {
        self.inside(register);
        match self.place {
            Place::Memory(memory) => self.hal.device_load(memory, register.offset().into()),
            Place::Port { base, .. } => self.hal.port_load(base + register.offset()),
        }
    }

    /// Stores a register.
    ///
    /// # Panics
    /// As [`Window::load`].
    pub fn store<T: Word>(&self, register: Register<T>, value: T) {
        self.inside(register);
        match self.place {
            Place::Memory(memory) => {
                self.hal.device_store(memory, register.offset().into(), value);
            }
            Place::Port { base, .. } => self.hal.port_store(base + register.offset(), value),
        }
    }

    /// Loads 64 bits of memory by one access, or stores them: only a mutant does.
    pub(crate) fn access_64<T: Word>(&self, register: Register<T>, store: Option<u64>) -> u64 {
        match self.place {
            #[cfg(feature = "mutants")]
            Place::Memory(memory) => {
                self.hal.device_access_64(memory, register.offset().into(), store)
            }
            place => unreachable!("{store:?} at {} of {place:?}", register.offset()),
        }
    }

    fn inside<T: Word>(&self, register: Register<T>) {
        assert!(register.end() <= self.len(), "register outside its window");
    }
}

/// Checks that `len` bytes at `offset` lie in the BAR, and that it can be where it is, if it was
/// placed at all.
///
/// # Errors
/// As [`Window::map`], without the mapping.
pub fn check(index: u8, bar: Bar, offset: u64, len: u64) -> Result<(), Error> {
    let (base, size, end) = match bar {
        Bar::Absent => return Err(Error::BarAbsent(index)),
        Bar::Memory { base, size } => (base, size, u64::MAX),
        Bar::Port { base, size } => (base.into(), size.into(), PORTS),
    };
    // A BAR that wraps, or is not aligned to its size, was not placed by anyone sane.
    let last = base.checked_add(size - 1);
    if base & (size - 1) != 0 || last.is_none_or(|last| last >= end) {
        return Err(Error::BarMisplaced { index, base, size });
    }
    match offset.checked_add(len) {
        Some(behind) if len != 0 && behind <= size => Ok(()),
        _ => Err(Error::OutsideBar { index, offset, len, size }),
    }
}
