//! Memory that a device may access: its owner, and the only way to it.
//!
//! While a device knows of a buffer it can write into it at any time. So what a
//! device can write is accessed one volatile load or store at a time, and bulk
//! data is copied once, after the device has given it back, and used from the copy.

use core::{
    ptr,
    sync::atomic::{Ordering, fence},
};

use crate::{
    hal::{DmaAccess, DmaMemory, Hal},
    log,
};

/// There is no DMA memory of that size and alignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no {size} bytes of DMA memory aligned to {align}")]
pub struct DmaError {
    /// Bytes asked for.
    pub size: usize,
    /// Alignment asked for.
    pub align: usize,
}

/// An integer that is loaded from and stored to DMA memory as one access.
pub trait Field: Copy + sealed::Sealed {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
    impl Sealed for u64 {}
}

impl Field for u8 {}
impl Field for u16 {}
impl Field for u32 {}
impl Field for u64 {}

/// Zeroed, physically contiguous memory, released when its owner goes.
///
/// It must not go while a device knows of it: reset the device first, or
/// [`abandon`](Self::abandon) the buffer.
#[derive(Debug)]
pub struct DmaBuffer<H: Hal> {
    hal: H,
    memory: DmaMemory,
    size: usize,
    align: usize,
    abandoned: bool,
    /// A device has it.
    lent: bool,
}

impl<H: Hal> DmaBuffer<H> {
    /// Allocates `size` bytes aligned to `align`.
    ///
    /// # Errors
    /// `size` is 0, `align` is no power of two, or memory is short.
    pub fn new(hal: &H, size: usize, align: usize) -> Result<Self, DmaError> {
        let memory = hal.allocate_dma(size, align).ok_or(DmaError { size, align })?;
        Ok(Self { hal: hal.clone(), memory, size, align, abandoned: false, lent: false })
    }

    /// The machine.
    pub(crate) fn hal(&self) -> &H {
        &self.hal
    }

    /// What the device is told: the physical address.
    pub fn address(&self) -> u64 {
        self.memory.address
    }

    /// Where the driver has it, which is nothing to tell a device.
    pub(crate) fn virtual_address(&self) -> u64 {
        self.memory.pointer.as_ptr() as u64
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        self.size
    }

    /// Whether it has no bytes; it always has.
    pub fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Notes that a device has it: until [`take_back`](Self::take_back) it is not released.
    pub fn lend(&mut self) {
        self.lent = true;
    }

    /// Whether a device has it.
    pub fn is_lent(&self) -> bool {
        self.lent
    }

    /// Notes that the device has it no more: it gave it back, or confirmed a reset.
    pub fn take_back(&mut self) {
        self.lent = false;
    }

    /// Gives the memory up for good: it is never released.
    ///
    /// For a device that does not confirm its reset: a leak is better than
    /// memory that a device writes into while someone else owns it.
    pub fn abandon(&mut self) {
        self.abandoned = true;
    }

    /// Loads a field.
    ///
    /// # Panics
    /// It lies outside the buffer or is not aligned: a mistake of the driver.
    pub fn load<T: Field>(&self, offset: usize) -> T {
        self.note(false, offset, size_of::<T>());
        // SAFETY: `field` answers with an aligned place inside memory that this buffer owns,
        // and every bit pattern is an integer.
        unsafe { self.field::<T>(offset).read_volatile() }
    }

    /// Stores a field.
    ///
    /// # Panics
    /// As [`DmaBuffer::load`].
    pub fn store<T: Field>(&mut self, offset: usize, value: T) {
        // SAFETY: `field` answers with an aligned place inside memory that this buffer owns.
        unsafe { self.field::<T>(offset).write_volatile(value) }
        self.note(true, offset, size_of::<T>());
    }

    fn note(&self, store: bool, offset: usize, width: usize) {
        let address = self.memory.address.wrapping_add(offset as u64);
        self.hal.dma_access(DmaAccess { store, address, width });
    }

    /// Copies data in, before the device is told of it.
    ///
    /// # Panics
    /// The data is longer than the buffer.
    pub fn fill(&mut self, data: &[u8]) {
        assert!(data.len() <= self.size, "data longer than its DMA buffer");
        let target = self.memory.pointer.as_ptr();
        // SAFETY: both ranges are valid for the length, which was checked, and a slice of
        // ordinary memory does not overlap the memory that this buffer owns.
        unsafe { ptr::copy_nonoverlapping(data.as_ptr(), target, data.len()) }
        self.note(true, 0, data.len());
        // The copy is made of ordinary stores: none may sink below the store that
        // tells the device.
        self.fence(Ordering::Release);
    }

    /// Copies data out, after the device has given it back.
    ///
    /// # Panics
    /// More is wanted than the buffer has.
    pub fn copy_to(&self, into: &mut [u8]) {
        assert!(into.len() <= self.size, "more than the DMA buffer has");
        // Ordinary loads: none may rise above the load that saw the completion.
        self.fence(Ordering::Acquire);
        self.note(false, 0, into.len());
        let source = self.memory.pointer.as_ptr();
        // SAFETY: both ranges are valid for the length, which was checked, and a slice of
        // ordinary memory does not overlap the memory that this buffer owns.
        unsafe { ptr::copy_nonoverlapping(source, into.as_mut_ptr(), into.len()) }
    }

    /// Keeps the accesses before it and those behind it in order, as `ordering` says.
    pub fn fence(&self, ordering: Ordering) {
        fence(ordering);
        self.hal.dma_fence(ordering);
    }

    fn field<T>(&self, offset: usize) -> *mut T {
        let end = offset.checked_add(size_of::<T>());
        assert!(end.is_some_and(|end| end <= self.size), "field outside its DMA buffer");
        // SAFETY: the offset was just checked to lie inside the allocation.
        let pointer = unsafe { self.memory.pointer.as_ptr().add(offset) }.cast::<T>();
        assert!(pointer.is_aligned(), "field not aligned");
        pointer
    }
}

impl<H: Hal> Drop for DmaBuffer<H> {
    fn drop(&mut self) {
        if self.lent && !self.abandoned {
            // A mistake of the driver. A leak is better than a device that writes where
            // someone else reads; and the account of DMA memory shows it.
            log!(
                self.hal,
                "[DMA] {} bytes at {:#x} are still a device's, and not released",
                self.size,
                self.memory.address
            );
        } else if !self.abandoned {
            // SAFETY: the memory came from `allocate_dma` with this size and alignment, its
            // owner ends here, and a driver keeps or abandons it while a device can reach it.
            unsafe {
                self.hal.release_dma(self.memory, self.size, self.align);
            }
        }
    }
}
