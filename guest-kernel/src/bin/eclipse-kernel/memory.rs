//! The machine's memory: frames, mappings, DMA memory, and the heap.

use core::{
    alloc::{GlobalAlloc, Layout},
    ops::Range,
    ptr::{NonNull, null_mut},
};

use eclipse_kernel::{
    frames::{End, FRAME, Frames},
    hal::{DeviceMemory, DmaMemory, HalError},
    memory_map::Ram,
};
use linked_list_allocator::Heap;
use x86_64::structures::paging::PageTableFlags as Flags;

use crate::arch::{
    Shared,
    paging::{
        AddressSpace, DEVICE, DEVICE_WINDOW, DIRECT_MAP, HEAP, KERNEL_BASE, LARGE_PAGE, ORDINARY,
        PAGE, REACH,
    },
};

/// Free memory below which the kernel does not go on.
const MINIMUM: u64 = 4 << 20;

/// Physical address beyond which RAM is not used: to map it all would take too long where the
/// kernel is emulated.
const RAM_LIMIT: u64 = 64 << 30;

/// Why the kernel cannot run in the memory that there is.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The memory map and the place of the image contradict each other.
    #[error("the memory map does not call the memory of the kernel image RAM")]
    ImageOutsideRam,
    /// Too little.
    #[error("too little memory: {free} KiB beside the kernel, {minimum} KiB are needed", minimum = MINIMUM >> 10)]
    TooLittle {
        /// KiB that are free.
        free: u64,
    },
    /// The memory map is scattered beyond reason.
    #[error("the memory is in more pieces than this kernel can keep track of")]
    Scattered,
}

/// All there is to know about memory.
struct Memory {
    /// RAM, which no driver may map as device memory; `None` before [`init`].
    ram: Option<Ram>,
    frames: Frames,
    space: AddressSpace,
}

static MEMORY: Shared<Memory> =
    Shared::new(Memory { ram: None, frames: Frames::new(), space: AddressSpace::new() });

unsafe extern "C" {
    // The edges of the image's parts (image.ld).
    static text_start: u8;
    static text_end: u8;
    static rodata_start: u8;
    static rodata_end: u8;
    static data_start: u8;
    static stack_guard: u8;
    static data_end: u8;
}

/// The parts of the image, with the rights that each needs. The guard page is in none.
fn image_parts() -> [(Range<u64>, Flags); 4] {
    let read = Flags::PRESENT;
    let at = |symbol: *const u8| symbol as u64;
    let page = |address: u64| address / PAGE * PAGE;
    [
        (at(&raw const text_start)..at(&raw const text_end), read),
        (at(&raw const rodata_start)..at(&raw const rodata_end), read | Flags::NO_EXECUTE),
        (page(at(&raw const data_start))..at(&raw const stack_guard), ORDINARY),
        (at(&raw const stack_guard) + PAGE..at(&raw const data_end), ORDINARY),
    ]
}

/// Takes the machine's RAM over: final page tables, free frames.
///
/// Without it the first GiB stays mapped three times (arch/boot.s).
///
/// # Errors
/// [`Error`]
pub fn init(ram: &Ram) -> Result<(), Error> {
    // The image has its large page for itself, and what lies below belongs to firmware.
    let image = (&raw const text_start as u64 - KERNEL_BASE) / LARGE_PAGE * LARGE_PAGE;
    let floor = image + LARGE_PAGE;
    if !ram.contains(&(image..floor)) {
        return Err(Error::ImageOutsideRam);
    }
    let mut memory = MEMORY.borrow();
    let Memory { frames, space, .. } = &mut *memory;
    for pages in ram.pages(LARGE_PAGE, floor) {
        frames.add(pages.start..pages.end.min(RAM_LIMIT)).map_err(|_| Error::Scattered)?;
    }
    let free = frames.free();
    let too_little = || Error::TooLittle { free: free >> 10 };
    if free < MINIMUM {
        return Err(too_little());
    }
    build(space, frames, ram, image).ok_or_else(too_little)?;
    space.activate();
    memory.ram = Some(*ram);
    Ok(())
}

/// Maps the image and the direct map; `None` when memory is short.
fn build(space: &mut AddressSpace, frames: &mut Frames, ram: &Ram, image: u64) -> Option<()> {
    space.create(frames)?;
    for (part, flags) in image_parts() {
        let phys = part.start - KERNEL_BASE..part.end - KERNEL_BASE;
        space.map(part.start, phys, flags, frames)?;
    }
    for pages in ram.pages(LARGE_PAGE, image) {
        let pages = pages.start..pages.end.min(RAM_LIMIT);
        space.map(DIRECT_MAP + pages.start, pages, ORDINARY | Flags::HUGE_PAGE, frames)?;
    }
    Some(())
}

/// Maps device memory, uncached, at its place in the device window.
///
/// # Errors
/// [`HalError::CannotMap`]: it wraps, is RAM, or lies beyond the window.
pub fn map_device(address: u64, len: u64) -> Result<DeviceMemory, HalError> {
    let refused = HalError::CannotMap(address);
    let end = address.checked_add(len).filter(|&end| end <= REACH).ok_or(refused)?;
    let mut memory = MEMORY.borrow();
    let Memory { ram, frames, space } = &mut *memory;
    if len == 0 || ram.as_ref().is_none_or(|ram| ram.overlaps(&(address..end))) {
        return Err(refused);
    }
    // Mapping a page again writes the same entry again.
    let pages = address / PAGE * PAGE..end.next_multiple_of(PAGE);
    space.map(DEVICE_WINDOW + pages.start, pages, DEVICE, frames).ok_or(refused)?;
    Ok(DeviceMemory { base: DEVICE_WINDOW + address, len })
}

/// Allocates zeroed frames that lie next to each other.
pub fn allocate_dma(size: usize, align: usize) -> Option<DmaMemory> {
    let count = (size as u64).div_ceil(FRAME);
    let address = MEMORY.borrow().frames.allocate(count, align as u64, End::Low)?;
    let pointer = NonNull::new((DIRECT_MAP + address) as *mut u8)?;
    // SAFETY: the frames were free and are now this allocation's, and the direct map holds them.
    unsafe { pointer.write_bytes(0, size) };
    Some(DmaMemory { pointer, address })
}

/// Gives frames of [`allocate_dma`] back.
///
/// # Panics
/// They are not allocated: a driver freed twice, or freed what it never had.
pub fn release_dma(address: u64, size: usize) {
    let released = MEMORY.borrow().frames.release(address, (size as u64).div_ceil(FRAME));
    if let Err(refused) = released {
        panic!("DMA memory: {refused}");
    }
}

/// The physical address behind a virtual one.
///
/// # Errors
/// [`HalError::NotMapped`]
pub fn virt_to_phys(virt: u64) -> Result<u64, HalError> {
    MEMORY.borrow().space.translate(virt).ok_or(HalError::NotMapped(virt))
}

/// The heap: a window of virtual memory that grows by large pages.
struct KernelHeap(Shared<Heap>);

#[global_allocator]
static KERNEL_HEAP: KernelHeap = KernelHeap(Shared::new(Heap::empty()));

impl KernelHeap {
    /// Adds at least `bytes`; `None` when memory is short.
    fn grow(&self, heap: &mut Heap, bytes: usize) -> Option<()> {
        let mut memory = MEMORY.borrow();
        let Memory { frames, space, .. } = &mut *memory;
        for _ in 0..bytes.div_ceil(LARGE_PAGE as usize) {
            let phys = frames.allocate(LARGE_PAGE / FRAME, LARGE_PAGE, End::High)?;
            let virt = HEAP + heap.size() as u64;
            space.map(virt, phys..phys + LARGE_PAGE, ORDINARY | Flags::HUGE_PAGE, frames)?;
            // SAFETY: the page was just mapped, right behind what the heap has already.
            unsafe {
                if heap.size() == 0 {
                    heap.init(virt as *mut u8, LARGE_PAGE as usize);
                } else {
                    heap.extend(LARGE_PAGE as usize);
                }
            }
        }
        Some(())
    }
}

// SAFETY: the heap hands out disjoint pieces of mapped memory and keeps them until they come back.
unsafe impl GlobalAlloc for KernelHeap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let mut heap = self.0.borrow();
        if let Ok(piece) = heap.allocate_first_fit(layout) {
            return piece.as_ptr();
        }
        // Room for the allocator's own bookkeeping and for an alignment gap.
        let wanted = layout.size().saturating_add(layout.align()).saturating_add(PAGE as usize);
        match self.grow(&mut heap, wanted) {
            Some(()) => heap.allocate_first_fit(layout).map_or(null_mut(), NonNull::as_ptr),
            None => null_mut(),
        }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if let Some(piece) = NonNull::new(pointer) {
            // SAFETY: the caller got `pointer` from `alloc` with this layout.
            unsafe { self.0.borrow().deallocate(piece, layout) };
        }
    }
}
