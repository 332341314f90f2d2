//! The task state segment, which holds the stacks for exceptions and interrupts.

use core::ptr::addr_of_mut;

use x86_64::{
    VirtAddr,
    instructions::tables::load_tss,
    structures::{
        gdt::{Descriptor, SegmentSelector},
        tss::TaskStateSegment,
    },
};

/// The GDT's entry of the task state segment (arch/boot.s).
const TSS_SELECTOR: SegmentSelector = SegmentSelector(0x18);

/// The stacks that the IDT chooses from, as indices of the interrupt stack table.
#[derive(Clone, Copy)]
#[repr(u8)]
pub enum Stack {
    /// Exceptions.
    Exception = 0,
    /// What may come on top of an exception: double fault, NMI, machine check.
    Abort = 1,
    /// Interrupts.
    Interrupt = 2,
}

const STACK_BYTES: usize = 16 * 1024;

/// The stacks, in the order of [`Stack`]; a processor wants 16-byte words.
static mut STACKS: [[u128; STACK_BYTES / 16]; 3] = [[0; STACK_BYTES / 16]; 3];
static mut TSS: TaskStateSegment = TaskStateSegment::new();

unsafe extern "C" {
    /// The GDT that arch/boot.s loaded, with room for the task state segment at its end.
    static mut gdt: [u64; 5];
}

/// Gives the processor its task state segment.
pub fn init() {
    let stacks = addr_of_mut!(STACKS) as u64;
    // SAFETY: the processor reads the segment and its GDT entry only after `load_tss`, and nothing
    // else writes either.
    unsafe {
        let tops = core::array::from_fn(|i| stacks + (i as u64 + 1) * STACK_BYTES as u64);
        TSS.interrupt_stack_table = tops.map(VirtAddr::new_truncate);
        if let Descriptor::SystemSegment(low, high) =
            Descriptor::tss_segment_unchecked(&raw const TSS)
        {
            gdt[3] = low;
            gdt[4] = high;
        }
        load_tss(TSS_SELECTOR);
    }
}
