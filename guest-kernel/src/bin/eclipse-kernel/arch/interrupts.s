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
    testb $3, 144(%rsp)                 # the code segment: of ring 3?
    jnz user_exception
    movq %rsp, %rdi
    call exception_report               # does not come back
    ud2
.size exception_entry, . - exception_entry

# One stub for each message-signalled line of RAISED, in arch/interrupts.rs.
.balign 16
.global interrupt_stubs
interrupt_stubs:
.set line, 0
.rept 32
    .balign 16
    pushq %rax
    movl $line, %eax
    jmp interrupt_entry
    .set line, line + 1
.endr

# One stub for each input of the I/O APIC: the lines after those.
.balign 16
.global input_stubs
input_stubs:
.set input, 0
.rept 24
    .balign 16
    pushq %rax
    movl $input, %eax
    jmp input_entry
    .set input, input + 1
.endr

# The line after those.
.balign 16
.global timer_stub
timer_stub:
    pushq %rax
    testb $3, 16(%rsp)                  # the code segment: of ring 3?
    jnz user_timer
    movl $56, %eax

.balign 16
.type interrupt_entry, @function
interrupt_entry:
    movb $1, RAISED(%rax)
interrupt_end:
    movq LOCAL_APIC(%rip), %rax
    movl $0, 0xB0(%rax)                 # end of interrupt
    popq %rax
    iretq
.size interrupt_entry, . - interrupt_entry

# A level-triggered input stays raised until its device lets go, which only the
# driver can make it do: mask the input before the end of the interrupt, or it
# would come again at once. The kernel reaches the I/O APIC with interrupts off.
.balign 16
.type input_entry, @function
input_entry:
    movb $1, RAISED + 32(%rax)
    movb $1, MASKED(%rax)
    pushq %rdx
    movq IO_APIC(%rip), %rdx
    leal 0x10(%rax,%rax), %eax          # low half of the redirection entry
    movl %eax, (%rdx)
    movl 0x10(%rdx), %eax
    orl $0x10000, %eax
    movl %eax, 0x10(%rdx)
    popq %rdx
    jmp interrupt_end
.size input_entry, . - input_entry

# An interrupt that nobody asked for, or a spurious one. The latter wants no end of
# interrupt, but looks the same as a message to its vector, which does. Entries do
# not nest, so nothing else is in service, and one too many does no harm.
.balign 16
.global stray_stub
.type stray_stub, @function
stray_stub:
    pushq %rax
    incl STRAY(%rip)
    jmp interrupt_end
.size stray_stub, . - stray_stub
