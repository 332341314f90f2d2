//! A register: where it is and, by its type, how wide.

use core::marker::PhantomData;

use crate::hal::Word;

/// A register at a fixed offset of a configuration space or of a structure.
///
/// The width is the type, so an access of another width cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Register<T> {
    offset: u16,
    width: PhantomData<T>,
}

impl<T: Word> Register<T> {
    /// The register at `offset` bytes.
    pub const fn at(offset: u16) -> Self {
        Self { offset, width: PhantomData }
    }

    /// Bytes from the start of its space.
    pub const fn offset(self) -> u16 {
        self.offset
    }

    /// The first offset behind the register.
    pub fn end(self) -> u64 {
        u64::from(self.offset) + u64::from(T::WIDTH)
    }
}
