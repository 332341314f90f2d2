# From the loader to Rust: 32-bit protected mode to 64-bit code in the higher half.
#
# The PVH entry (the Xen project's "x86/HVM direct boot ABI") promises flat 32-bit
# segments, paging and interrupts off, and %ebx = physical address of the start
# info. %esp and the GDT are undefined. AT&T syntax.

.set KERNEL_BASE, 0xFFFFFFFF80000000

# Of CPUID 80000001h EDX: long mode, which the processor must have, and no-execute
# pages, which it need not.
.set LONG_MODE, 1 << 29
.set NO_EXECUTE, 1 << 20

.section .note.pvh, "a", @note
.balign 4
    .long 4                             # length of the name
    .long 8                             # length of the value
    .long 18                            # XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .quad pvh_start - KERNEL_BASE

.section .text.boot, "ax", @progbits
.code32
.global pvh_start
.type pvh_start, @function
pvh_start:
    cli
    cld
    movl $(boot_stack_top - KERNEL_BASE), %esp
    movl %ebx, %ebp                     # CPUID takes EBX

    movl $0x80000000, %eax
    cpuid
    cmpl $0x80000001, %eax
    jb unfit
    movl $0x80000001, %eax
    cpuid
    testl $LONG_MODE, %edx
    jz unfit
    movl %edx, %edi

    movl $(boot_directory_pointers - KERNEL_BASE + 3), %eax
    movl %eax, root_table - KERNEL_BASE
    movl %eax, root_table - KERNEL_BASE + 256 * 8
    movl %eax, root_table - KERNEL_BASE + 511 * 8
    movl $(boot_directory - KERNEL_BASE + 3), %eax
    movl %eax, boot_directory_pointers - KERNEL_BASE
    movl %eax, boot_directory_pointers - KERNEL_BASE + 510 * 8

    lgdt gdt_low - KERNEL_BASE
    movl $(root_table - KERNEL_BASE), %eax
    movl %eax, %cr3
    movl %cr4, %eax
    orl $0x20, %eax                     # PAE
    movl %eax, %cr4
    movl $0xC0000080, %ecx              # EFER
    rdmsr
    orl $0x100, %eax                    # LME
    testl $NO_EXECUTE, %edi
    jz 1f
    orl $0x800, %eax                    # NXE
1:  wrmsr
    movl %cr0, %eax
    orl $0x80010001, %eax               # PG, WP, PE
    movl %eax, %cr0
    ljmp $0x08, $(long_mode - KERNEL_BASE)

# Says that the processor will not do, and leaves. The UART takes bytes in its
# reset state too, as far as emulated ones go.
unfit:
    movl $(unfit_text - KERNEL_BASE), %esi
    movw $0x3F8, %dx
1:  movb (%esi), %al
    testb %al, %al
    jz 2f
    outb %al, %dx
    incl %esi
    jmp 1b
2:  movb $0x11, %al
    outb %al, $0xF4
    movb $0xFE, %al
    outb %al, $0x64
3:  hlt
    jmp 3b
.size pvh_start, . - pvh_start

.code64
.type long_mode, @function
long_mode:
    movabsq $higher_half, %rax
    jmp *%rax
higher_half:
    lgdt gdt_high(%rip)
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    leaq boot_stack_top(%rip), %rsp
    movl %ebp, %edi                     # the start info, zero-extended
    xorl %ebp, %ebp                     # where a backtrace ends
    call kernel_start
    ud2
.size long_mode, . - long_mode

.section .rodata.boot, "a", @progbits
unfit_text:
    .asciz "[PANIC] the processor lacks long mode\n"

.section .data.boot, "aw", @progbits
.balign 8
.global gdt
gdt:
    .quad 0
    .quad 0x00AF9A000000FFFF            # 08h: 64-bit code
    .quad 0x00CF92000000FFFF            # 10h: data
    .quad 0, 0                          # 18h: the task state segment, set at run time
    .quad 0x00CFF2000000FFFF            # 28h: data of ring 3
    .quad 0x00AFFA000000FFFF            # 30h: 64-bit code of ring 3
gdt_end:
.balign 8
    .skip 6
gdt_low:
    .word gdt_end - gdt - 1
    .long gdt - KERNEL_BASE
.balign 8
    .skip 6
gdt_high:
    .word gdt_end - gdt - 1
    .quad gdt

# The first GiB of physical memory, three times: at 0 for the instructions above,
# at the start of the direct map, and in the top 2 GiB. The kernel replaces all
# of it. The code above links the tables that are nearly empty.
.balign 4096
boot_directory:
    .set page, 0
    .rept 512
    .quad page + 0x83                   # present, writable, 2 MiB
    .set page, page + 0x200000
    .endr

.section .bss.boot, "aw", @nobits
.balign 4096
root_table:
    .skip 4096
boot_directory_pointers:
    .skip 4096

# The stacks: the kernel's, and one for each entry of the interrupt stack table. The
# page below each is never mapped, so that a stack that grows too far faults.
.section .stack, "aw", @nobits
.balign 4096
    .skip 0x1000
    .skip 0x10000
.global boot_stack_top
boot_stack_top:
    .skip 0x1000
    .skip 0x4000
.global exception_stack_top
exception_stack_top:
    .skip 0x1000
    .skip 0x4000
.global abort_stack_top
abort_stack_top:
    .skip 0x1000
    .skip 0x4000
.global interrupt_stack_top
interrupt_stack_top:
