# Where the processor enters on an exception or an interrupt. AT&T syntax.
#
# Each stub is 16 bytes, so that its address follows from its number. All entries
# have their own stack (IST): `core` may keep data below %rsp (the red zone).

.section .text.interrupts, "ax", @progbits
.balign 16
.global exception_stubs
exception_stubs:
.set vector, 0
.rept 32
    .balign 16
    # The exceptions that push an error code themselves: 8, 10 to 14, 17, 21, 29, 30.
    .if (0x60227D00 >> vector) & 1 == 0
    pushq $0
    .endif
    pushq $vector
    jmp exception_entry
    .set vector, vector + 1
.endr

.balign 16
.type exception_entry, @function
exception_entry:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    cld
    movq %rsp, %rdi
    call exception_report               # does not come back
    ud2
.size exception_entry, . - exception_entry

# One stub for each line of RAISED, in arch/interrupts.rs.
.balign 16
.global interrupt_stubs
interrupt_stubs:
.set line, 0
.rept 33
    .balign 16
    pushq %rax
    movl $line, %eax
    jmp interrupt_entry
    .set line, line + 1
.endr

.balign 16
.type interrupt_entry, @function
interrupt_entry:
    movb $1, RAISED(%rax)
    movq LOCAL_APIC(%rip), %rax
    movl $0, 0xB0(%rax)                 # end of interrupt
    popq %rax
    iretq
.size interrupt_entry, . - interrupt_entry

# What needs no answer: spurious interrupts of the local APIC and of the 8259s.
.balign 16
.global ignored_stub
.type ignored_stub, @function
ignored_stub:
    iretq
.size ignored_stub, . - ignored_stub
