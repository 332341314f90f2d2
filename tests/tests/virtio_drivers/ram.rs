//! The driver's memory: the machine's RAM.

use std::cell::RefCell;
use std::ptr::NonNull;

use eclipse_kernel::hal::{DmaMemory, Hal as _};
use eclipse_tests::Loopback;
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};
use vm_memory::{Bytes, GuestAddress};

thread_local! {
    /// The driver's `Hal` has no `self`, so the machine is the test thread's.
    pub static MACHINE: RefCell<Option<Loopback>> = const { RefCell::new(None) };
}

pub fn machine() -> Loopback {
    MACHINE.with_borrow(|machine| machine.clone().expect("the test made a machine"))
}

/// All of it shared with the device through bounce buffers.
pub struct Ram;

// SAFETY: DMA memory is the machine's own RAM, page-aligned, zeroed and allocated
// once; device memory is never mapped.
unsafe impl Hal for Ram {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let memory = machine().allocate_dma(pages * PAGE_SIZE, PAGE_SIZE).expect("RAM is left");
        (memory.address, memory.pointer)
    }

    unsafe fn dma_dealloc(address: PhysAddr, pointer: NonNull<u8>, pages: usize) -> i32 {
        let memory = DmaMemory { pointer, address };
        // SAFETY: the driver gives back what `dma_alloc` gave it.
        unsafe { machine().release_dma(memory, pages * PAGE_SIZE, PAGE_SIZE) };
        0
    }

    unsafe fn mmio_phys_to_virt(_address: PhysAddr, _size: usize) -> NonNull<u8> {
        unreachable!("the transport does not map device memory")
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        let memory = machine().allocate_dma(buffer.len(), 16).expect("RAM is left");
        if direction != BufferDirection::DeviceToDriver {
            // SAFETY: the driver promises a valid buffer that nothing else uses now.
            let bytes = unsafe { buffer.as_ref() };
            let ram = machine().memory();
            ram.write_slice(bytes, GuestAddress(memory.address)).expect("it is in RAM");
        }
        memory.address
    }

    unsafe fn unshare(address: PhysAddr, mut buffer: NonNull<[u8]>, direction: BufferDirection) {
        if direction != BufferDirection::DriverToDevice {
            // SAFETY: the driver promises a valid buffer that nothing else uses now.
            let bytes = unsafe { buffer.as_mut() };
            let ram = machine().memory();
            ram.read_slice(bytes, GuestAddress(address)).expect("it is in RAM");
        }
        let memory = DmaMemory { pointer: NonNull::dangling(), address };
        // SAFETY: `share` allocated it with this size and alignment.
        unsafe { machine().release_dma(memory, buffer.len(), 16) };
    }
}
