//! The task state segment, which holds the stacks for exceptions and interrupts.

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

/// Bytes of each of them (arch/boot.s).
const STACK_BYTES: u64 = 0x4000;

static mut TSS: TaskStateSegment = TaskStateSegment::new();

unsafe extern "C" {
    static exception_stack_top: u8;
    static abort_stack_top: u8;
    static interrupt_stack_top: u8;
    /// The GDT that arch/boot.s loaded, with room for the task state segment.
    static mut gdt: [u64; 7];
}

/// Gives the processor its task state segment.
pub fn init() {
    // SAFETY: the processor reads the segment and its GDT entry only after `load_tss`, and nothing
    // else writes either.
    unsafe {
        for (entry, top) in tops().into_iter().enumerate() {
            TSS.interrupt_stack_table[entry] = VirtAddr::new_truncate(top);
        }
        if let Descriptor::SystemSegment(low, high) =
            Descriptor::tss_segment_unchecked(&raw const TSS)
        {
            gdt[3] = low;
            gdt[4] = high;
        }
        load_tss(TSS_SELECTOR);
    }
}

/// Where the stacks start to grow down from, in the order of [`Stack`].
fn tops() -> [u64; 3] {
    let tops = [
        &raw const exception_stack_top,
        &raw const abort_stack_top,
        &raw const interrupt_stack_top,
    ];
    tops.map(|top| top as u64)
}

/// The addresses of the stacks, without the page below each that is to stay unmapped.
pub fn stacks() -> [core::ops::Range<u64>; 3] {
    tops().map(|top| top - STACK_BYTES..top)
}
