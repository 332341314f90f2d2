//! Page tables: the kernel in the top 2 GiB, RAM in the direct map, devices where they are mapped.
//!
//! No virtual address equals its physical address, so that a driver that mixes
//! the two up is found out at once.

use core::{ops::Range, slice};

use eclipse_kernel::frames::{End, FRAME, Frames};
use x86_64::{
    PhysAddr,
    registers::{
        control::{Cr3, Cr3Flags},
        model_specific::{Efer, EferFlags},
    },
    structures::paging::{PageTable, PageTableFlags as Flags, PhysFrame},
};

/// What the image is linked at, less where it is loaded (image.ld).
pub const KERNEL_BASE: u64 = 0xFFFF_FFFF_8000_0000;

/// Where the direct map of RAM starts.
pub const DIRECT_MAP: u64 = 0xFFFF_8000_0000_0000;

/// Where device memory is mapped: at its physical address from here.
pub const DEVICE_WINDOW: u64 = 0xFFFF_C000_0000_0000;

/// Where the heap grows from.
pub const HEAP: u64 = 0xFFFF_E000_0000_0000;

/// Physical addresses below this have a place in both windows.
pub const REACH: u64 = HEAP - DEVICE_WINDOW;

/// Physical addresses below this are in the direct map that arch/boot.s sets up.
const BOOT_REACH: u64 = 1 << 30;

/// Bytes of a small page.
pub const PAGE: u64 = FRAME;
/// Bytes of a large page.
pub const LARGE_PAGE: u64 = 0x20_0000;

/// Ordinary memory.
pub const ORDINARY: Flags = Flags::PRESENT.union(Flags::WRITABLE).union(Flags::NO_EXECUTE);

/// Device memory: PCD and PWT choose the strongest uncached type of the reset PAT.
pub const DEVICE: Flags = ORDINARY.union(Flags::NO_CACHE).union(Flags::WRITE_THROUGH);

/// How many tables the image brings along, so that they need not be zeroed.
const POOL_TABLES: usize = 16;

/// More than there are: the pool is the kernel's.
const NOT_POOLED: usize = POOL_TABLES + 1;

/// The entries of a root table below the kernel's half.
const USER_ENTRIES: usize = 256;

static mut POOL: [PageTable; POOL_TABLES] = [const { PageTable::new() }; POOL_TABLES];

/// `length` bytes of physical memory, as the tables of arch/boot.s show it; `None` beyond.
///
/// Only before anything is allocated.
pub fn boot_memory(address: u64, length: u64) -> Option<&'static [u8]> {
    if address.checked_add(length)? > BOOT_REACH {
        return None;
    }
    // SAFETY: the whole first GiB is mapped, and nothing is allocated yet, so nothing writes there.
    Some(unsafe { slice::from_raw_parts((DIRECT_MAP + address) as *const u8, length as usize) })
}

/// Whether the processor has no-execute pages: arch/boot.s switches them on where it has.
pub fn no_execute() -> bool {
    Efer::read().contains(EferFlags::NO_EXECUTE_ENABLE)
}

/// The address space of the kernel.
pub struct AddressSpace {
    /// Physical address of the root table; 0 before [`AddressSpace::create`].
    root: u64,
    /// Tables of the pool that are in use; [`NOT_POOLED`] in a task's address space.
    pooled: usize,
    /// The flags that the processor does not know: reserved bits to it.
    unknown: Flags,
}

/// The table at a physical address.
fn table<'a>(address: u64) -> &'a mut PageTable {
    // SAFETY: page tables lie in RAM that the direct map holds and that nothing else was given, and
    // each caller drops its reference before it takes the next.
    unsafe { &mut *((DIRECT_MAP + address) as *mut PageTable) }
}

/// The index of `address` in a table of `level`; level 1 has the small pages.
fn index(address: u64, level: u32) -> usize {
    (address >> (3 + 9 * level)) as usize & 0x1FF
}

impl AddressSpace {
    /// An address space without tables.
    pub const fn new() -> Self {
        Self { root: 0, pooled: 0, unknown: Flags::empty() }
    }

    /// Makes the root table; `None` when memory is short.
    pub fn create(&mut self, frames: &mut Frames) -> Option<()> {
        if !no_execute() {
            self.unknown.insert(Flags::NO_EXECUTE);
        }
        self.root = self.new_table(frames)?;
        Some(())
    }

    /// Switches the processor to this address space, which must hold all of the kernel.
    pub fn activate(&self) {
        let root = PhysFrame::containing_address(PhysAddr::new_truncate(self.root));
        // SAFETY: the image and the stack are mapped here at the addresses that they have now.
        unsafe { Cr3::write(root, Cr3Flags::empty()) };
    }

    fn new_table(&mut self, frames: &mut Frames) -> Option<u64> {
        if self.pooled < POOL_TABLES {
            let pool = &raw mut POOL as u64 - KERNEL_BASE;
            self.pooled += 1;
            return Some(pool + (self.pooled - 1) as u64 * FRAME);
        }
        // The low end: while the direct map is built, it is the low end that is mapped already.
        let end = if self.pooled == POOL_TABLES { End::Low } else { End::High };
        let address = frames.allocate(1, FRAME, end)?;
        // SAFETY: the frame was free, and the direct map holds it.
        unsafe { ((DIRECT_MAP + address) as *mut u8).write_bytes(0, FRAME as usize) };
        Some(address)
    }

    /// The table of `level` that translates `virt`, made if there is none.
    fn table_for(
        &mut self,
        virt: u64,
        level: u32,
        rights: Flags,
        frames: &mut Frames,
    ) -> Option<u64> {
        let mut address = self.root;
        for above in (level + 1..=4).rev() {
            let entry = &table(address)[index(virt, above)];
            if entry.is_unused() {
                let new = self.new_table(frames)?;
                // What the pages below forbid stays forbidden.
                let flags = Flags::PRESENT | Flags::WRITABLE | rights & Flags::USER_ACCESSIBLE;
                table(address)[index(virt, above)].set_addr(PhysAddr::new_truncate(new), flags);
                address = new;
            } else if entry.flags().contains(Flags::HUGE_PAGE) {
                return None;
            } else {
                address = entry.addr().as_u64();
            }
        }
        Some(address)
    }

    /// Maps a physical range of small pages, or of large ones if `flags` has `HUGE_PAGE`, at `virt`.
    ///
    /// `None` when memory for the tables is short.
    pub fn map(
        &mut self,
        virt: u64,
        phys: Range<u64>,
        flags: Flags,
        frames: &mut Frames,
    ) -> Option<()> {
        let flags = flags - self.unknown;
        let (level, size) =
            if flags.contains(Flags::HUGE_PAGE) { (2, LARGE_PAGE) } else { (1, PAGE) };
        let (mut virt, mut phys) = (virt, phys);
        while !phys.is_empty() {
            let entries = table(self.table_for(virt, level, flags, frames)?);
            for at in index(virt, level)..512 {
                if phys.is_empty() {
                    break;
                }
                entries[at].set_addr(PhysAddr::new_truncate(phys.start), flags);
                phys.start += size;
                virt += size;
            }
        }
        Some(())
    }

    /// The physical address behind a virtual one, by the tables that the processor uses.
    pub fn translate(&self, virt: u64) -> Option<u64> {
        self.translate_for(virt, Flags::PRESENT)
    }

    /// The same, if every table on the way allows what `rights` asks for.
    pub fn translate_for(&self, virt: u64, rights: Flags) -> Option<u64> {
        let (page, _, level) = self.page(virt, rights)?;
        let mask = (1 << (3 + 9 * level)) - 1;
        Some(page & !mask | virt & mask)
    }

    /// The flags of the page that holds `virt`.
    pub fn flags(&self, virt: u64) -> Option<Flags> {
        self.page(virt, Flags::PRESENT).map(|(_, flags, _)| flags)
    }

    /// The page that holds `virt`, its flags, and the level of the table that has it.
    fn page(&self, virt: u64, rights: Flags) -> Option<(u64, Flags, u32)> {
        let canonical = (virt as i64) << 16 >> 16;
        if canonical as u64 != virt {
            return None;
        }
        let mut address = self.root;
        for level in (1..=4).rev() {
            let entry = &table(address)[index(virt, level)];
            if !entry.flags().contains(Flags::PRESENT | rights) {
                return None;
            }
            if level == 1 || entry.flags().contains(Flags::HUGE_PAGE) {
                return Some((entry.addr().as_u64(), entry.flags(), level));
            }
            address = entry.addr().as_u64();
        }
        None
    }

    /// Shows the physical address of each table.
    pub fn each_table(&self, show: &mut impl FnMut(u64)) {
        show_tables(self.root, 4, show);
    }

    /// An address space for a task: this one's upper half, and nothing below.
    pub fn for_task(&self, frames: &mut Frames) -> Option<Self> {
        let mut space = Self { root: 0, pooled: NOT_POOLED, unknown: self.unknown };
        space.create(frames)?;
        for entry in USER_ENTRIES..512 {
            let shared = table(self.root)[entry].clone();
            table(space.root)[entry] = shared;
        }
        Some(space)
    }

    /// Gives back all that a task's address space has of its own. It must not be active.
    pub fn release(self, frames: &mut Frames) {
        release_entries(self.root, 4, USER_ENTRIES, frames);
        release_frame(self.root, frames);
    }
}

/// Shows a table of `level`, and those that it leads to.
fn show_tables(address: u64, level: u32, show: &mut impl FnMut(u64)) {
    show(address);
    for at in 0..512 {
        let entry = &table(address)[at];
        let leads_on = level > 1 && !entry.flags().contains(Flags::HUGE_PAGE);
        if leads_on && entry.flags().contains(Flags::PRESENT) {
            show_tables(entry.addr().as_u64(), level - 1, show);
        }
    }
}

/// Gives back what the first entries of a table of `level` lead to.
fn release_entries(address: u64, level: u32, count: usize, frames: &mut Frames) {
    for at in 0..count {
        let entry = &table(address)[at];
        if entry.is_unused() {
            continue;
        }
        let below = entry.addr().as_u64();
        if level > 1 {
            release_entries(below, level - 1, 512, frames);
        }
        release_frame(below, frames);
    }
}

/// Gives back a frame of a task's address space.
///
/// # Panics
/// It is not allocated.
fn release_frame(address: u64, frames: &mut Frames) {
    if let Err(refused) = frames.release(address, 1) {
        panic!("a task's memory: {refused}");
    }
}
