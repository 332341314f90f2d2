//! The machine's memory: frames, mappings, DMA memory, and the heap.

use core::{
    alloc::{GlobalAlloc, Layout},
    ops::Range,
    ptr::{NonNull, null_mut},
    slice,
};

use eclipse_kernel::{
    dma_map::DmaMap,
    frames::{End, FRAME, Frames},
    hal::{DeviceMemory, DmaMemory, HalError},
    memory_map::Ram,
};
use linked_list_allocator::Heap;
use x86_64::structures::paging::PageTableFlags as Flags;

use crate::arch::{
    KERNEL_STACK_BYTES, Shared, kernel_stack_top,
    paging::{
        AddressSpace, DEVICE, DEVICE_WINDOW, DIRECT_MAP, HEAP, KERNEL_BASE, LARGE_PAGE, ORDINARY,
        PAGE, REACH,
    },
    segments,
};

/// Free memory below which the kernel does not go on.
const MINIMUM: u64 = 4 << 20;

/// End of the low megabyte, which belongs to firmware.
const LOW_END: u64 = 1 << 20;

/// What firmware left: to be read only.
const FIRMWARE: Flags = Flags::PRESENT.union(Flags::NO_EXECUTE);

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

/// All there is to know about memory. Empty it is all zeros, and takes no room in the image.
struct Memory {
    /// RAM, which no driver may map as device memory; none before [`init`].
    ram: Ram,
    frames: Frames,
    space: AddressSpace,
}

static MEMORY: Shared<Memory> =
    Shared::new(Memory { ram: Ram::new(), frames: Frames::new(), space: AddressSpace::new() });

static DMA: Shared<DmaMap> = Shared::new(DmaMap::new());

unsafe extern "C" {
    // The edges of the image's parts (image.ld).
    static text_start: u8;
    static text_end: u8;
    static rodata_start: u8;
    static rodata_end: u8;
    static data_start: u8;
    static data_end: u8;
}

/// The parts of the image, with the rights that each needs. No page below a stack is in one.
fn image_parts() -> [(Range<u64>, Flags); 7] {
    let read = Flags::PRESENT;
    let at = |symbol: *const u8| symbol as u64;
    let page = |address: u64| address / PAGE * PAGE;
    let kernel = kernel_stack_top() - KERNEL_STACK_BYTES;
    let [exception, abort, interrupt] = segments::stacks();
    [
        (at(&raw const text_start)..at(&raw const text_end), read),
        (at(&raw const rodata_start)..at(&raw const rodata_end), read | Flags::NO_EXECUTE),
        (page(at(&raw const data_start))..at(&raw const data_end), ORDINARY),
        (kernel..kernel_stack_top(), ORDINARY),
        (exception, ORDINARY),
        (abort, ORDINARY),
        (interrupt, ORDINARY),
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
    memory.ram = *ram;
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

/// Whether some of a range is RAM. Nobody knows before [`init`], so all may be.
fn is_ram(ram: &Ram, addresses: Range<u64>) -> bool {
    ram.total() == 0 || ram.overlaps(&addresses)
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
    if len == 0 || is_ram(ram, address..end) {
        return Err(refused);
    }
    // Mapping a page again writes the same entry again.
    let pages = address / PAGE * PAGE..end.next_multiple_of(PAGE);
    space.map(DEVICE_WINDOW + pages.start, pages, DEVICE, frames).ok_or(refused)?;
    Ok(DeviceMemory { base: DEVICE_WINDOW + address, len })
}

/// `len` bytes that firmware left in physical memory: not in RAM, except for its low megabyte,
/// which nothing is allocated from. `None` out of reach.
pub fn firmware(address: u64, len: u64) -> Option<&'static [u8]> {
    let end = address.checked_add(len).filter(|&end| end <= REACH && len > 0)?;
    let mut memory = MEMORY.borrow();
    let Memory { ram, frames, space } = &mut *memory;
    if end > LOW_END && is_ram(ram, address..end) {
        return None;
    }
    let pages = address / PAGE * PAGE..end.next_multiple_of(PAGE);
    space.map(DEVICE_WINDOW + pages.start, pages, FIRMWARE, frames)?;
    let start = (DEVICE_WINDOW + address) as *const u8;
    // SAFETY: the pages were just mapped, stay so, and are nobody's to write.
    Some(unsafe { slice::from_raw_parts(start, len as usize) })
}

/// Allocates zeroed frames that lie next to each other.
pub fn allocate_dma(size: usize, align: usize) -> Option<DmaMemory> {
    let count = (size as u64).div_ceil(FRAME);
    let address = MEMORY.borrow().frames.allocate(count, align as u64, End::Low)?;
    let pointer = NonNull::new((DIRECT_MAP + address) as *mut u8)?;
    DMA.borrow().allocated(address, size, align);
    // SAFETY: the frames were free and are now this allocation's, and the direct map holds them.
    unsafe { pointer.write_bytes(0, size) };
    Some(DmaMemory { pointer, address })
}

/// Gives frames of [`allocate_dma`] back.
///
/// # Panics
/// They are not allocated like that: a driver freed twice, with another size or alignment, or what
/// it never had.
pub fn release_dma(address: u64, size: usize, align: usize) {
    let known = DMA.borrow().release(address, size, align);
    if let Err(refused) = known {
        panic!("DMA memory: {refused}");
    }
    let released = MEMORY.borrow().frames.release(address, (size as u64).div_ceil(FRAME));
    if let Err(refused) = released {
        panic!("DMA memory: {refused}");
    }
}

/// Bytes of DMA memory that are in use.
pub fn dma_in_use() -> usize {
    DMA.borrow().in_use()
}

/// The physical address behind a virtual one.
///
/// # Errors
/// [`HalError::NotMapped`]
pub fn virt_to_phys(virt: u64) -> Result<u64, HalError> {
    MEMORY.borrow().space.translate(virt).ok_or(HalError::NotMapped(virt))
}

/// Whether the page that holds a virtual address is kept from caches; `None` where there is none.
pub fn is_uncached(virt: u64) -> Option<bool> {
    let flags = MEMORY.borrow().space.flags(virt)?;
    Some(flags.contains(Flags::NO_CACHE))
}

/// How many tables an address space has, the kernel's among them, and how many of those lie in
/// memory that is free.
pub fn count_tables(space: &AddressSpace) -> (usize, usize) {
    let Memory { frames, .. } = &*MEMORY.borrow();
    let (mut tables, mut free) = (0, 0);
    space.each_table(&mut |address| {
        tables += 1;
        free += usize::from(frames.is_free(address..address + FRAME));
    });
    (tables, free)
}

/// Makes an address space for a task; `None` when memory is short.
pub fn create_task_space() -> Option<AddressSpace> {
    let Memory { frames, space, .. } = &mut *MEMORY.borrow();
    space.for_task(frames)
}

/// Gives a task `content` at `virt`, in as many pages of its own as `len` bytes need.
///
/// `None` when memory is short.
pub fn map_for_task(
    space: &mut AddressSpace,
    virt: u64,
    content: &[u8],
    len: u64,
    flags: Flags,
) -> Option<()> {
    let Memory { frames, .. } = &mut *MEMORY.borrow();
    let mut rest = content;
    for offset in (0..len).step_by(FRAME as usize) {
        let frame = frames.allocate(1, FRAME, End::High)?;
        let (now, later) = rest.split_at(rest.len().min(FRAME as usize));
        // SAFETY: the frame was free, and the direct map holds it; `now` is no longer than it.
        unsafe {
            let page = (DIRECT_MAP + frame) as *mut u8;
            page.write_bytes(0, FRAME as usize);
            page.copy_from_nonoverlapping(now.as_ptr(), now.len());
        }
        rest = later;
        space.map(virt + offset, frame..frame + FRAME, flags, frames)?;
    }
    Some(())
}

/// Gives back all that a task's address space has of its own.
pub fn release_task_space(space: AddressSpace) {
    space.release(&mut MEMORY.borrow().frames);
}

/// Runs `task` with its address space active, and goes back to the kernel's.
pub fn inside<T>(space: &AddressSpace, task: impl FnOnce() -> T) -> T {
    space.activate();
    let result = task();
    MEMORY.borrow().space.activate();
    result
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
