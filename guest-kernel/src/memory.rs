//! Eclipse's memory calls for drivers, over a machine.
//!
//! A driver of this crate holds a [`DmaBuffer`](crate::dma::DmaBuffer), which cannot
//! be released twice or with a wrong size; these calls are for code that keeps
//! pointers. Neither address is ever guessed: there is no identity to fall back to.

use core::ptr::NonNull;

use crate::hal::{DmaMemory, Hal, HalError};

/// The physical address behind a virtual one.
///
/// # Errors
/// [`HalError::NotMapped`].
pub fn virt_to_phys<H: Hal>(hal: &H, virt: u64) -> Result<u64, HalError> {
    hal.virt_to_phys(virt)
}

/// Zeroed, physically contiguous memory: its virtual and its physical address.
///
/// `None` when `size` is 0, `align` is no power of two, or memory is short.
pub fn alloc_dma_buffer<H: Hal>(hal: &H, size: usize, align: usize) -> Option<(*mut u8, u64)> {
    let memory = hal.allocate_dma(size, align)?;
    Some((memory.pointer.as_ptr(), memory.address))
}

/// Gives back what [`alloc_dma_buffer`] gave.
///
/// # Errors
/// [`HalError::NotMapped`]: `pointer` is null or not mapped, so it is none of ours.
///
/// # Safety
/// `pointer` came from [`alloc_dma_buffer`] with this `size` and `align`, is not
/// used again, and no device can still reach it.
pub unsafe fn free_dma_buffer<H: Hal>(
    hal: &H,
    pointer: *mut u8,
    size: usize,
    align: usize,
) -> Result<(), HalError> {
    let virt = pointer.addr() as u64;
    let pointer = NonNull::new(pointer).ok_or(HalError::NotMapped(virt))?;
    let address = hal.virt_to_phys(virt)?;
    // SAFETY: the caller promises what `release_dma` asks for.
    unsafe { hal.release_dma(DmaMemory { pointer, address }, size, align) };
    Ok(())
}
