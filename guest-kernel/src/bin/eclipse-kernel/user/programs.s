# The programs of ring 3. AT&T syntax; they are copied to a task's own page, so
# they name no address. Each begins with RDI = the address of a path.
#
# One that fails exits with the error number of the call that failed.

.section .text.user_programs, "ax", @progbits
.balign 16
.global user_programs_start
user_programs_start:

# Opens the file, copies it to the console, closes it.
.global program_print
program_print:
    subq $512, %rsp
    movl $2, %eax                       # open, to read only
    xorl %esi, %esi
    xorl %edx, %edx
    syscall
    testq %rax, %rax
    js exit_with_error
    movq %rax, %rbx
1:  xorl %eax, %eax                     # read
    movq %rbx, %rdi
    movq %rsp, %rsi
    movl $512, %edx
    syscall
    testq %rax, %rax
    js exit_with_error
    jz 2f
    movq %rax, %rdx
    movl $1, %eax                       # write
    movl $1, %edi
    movq %rsp, %rsi
    syscall
    testq %rax, %rax
    js exit_with_error
    jmp 1b
2:  movl $3, %eax                       # close
    movq %rbx, %rdi
    syscall
exit_with_error:
    negq %rax
    movq %rax, %rdi
    movl $60, %eax                      # exit
    syscall
    ud2

# Writes from an address of the kernel.
.global program_pointer
program_pointer:
    movl $1, %eax
    movl $1, %edi
    movabsq $0xFFFF800000200000, %rsi
    movl $8, %edx
    syscall
    jmp exit_with_error

# Reads the file to its own code.
.global program_overwrite
program_overwrite:
    movl $2, %eax
    xorl %esi, %esi
    syscall
    testq %rax, %rax
    js exit_with_error
    movq %rax, %rdi
    xorl %eax, %eax
    leaq program_overwrite(%rip), %rsi
    movl $8, %edx
    syscall
    jmp exit_with_error

# Makes a call that there is not.
.global program_number
program_number:
    movl $999, %eax
    syscall
    jmp exit_with_error

# Looks whether every register comes back from a call as it was, as Linux has it:
# all but RAX, RCX and R11. Exits with 0 if so, with 1 if not.
.global program_registers
program_registers:
    movq %rsp, %rbx
    movl $0x11111111, %ebp
    movl $0x22222222, %edx
    movl $0x33333333, %esi
    movl $0x44444444, %r8d
    movl $0x55555555, %r9d
    movl $0x66666666, %r10d
    movl $0x77777777, %r12d
    movl $0x88888888, %r13d
    movl $0x99999999, %r14d
    movl $0xAAAAAAAA, %r15d
    movl $999, %eax
    movl $0xBBBBBBBB, %edi
    syscall
    cmpq %rsp, %rbx
    jne 1f
    movl %edi, %eax
    subl $0xBBBBBBBB, %eax
    subl $0x11111111, %ebp
    orl %ebp, %eax
    subl $0x22222222, %edx
    orl %edx, %eax
    subl $0x33333333, %esi
    orl %esi, %eax
    subl $0x44444444, %r8d
    orl %r8d, %eax
    subl $0x55555555, %r9d
    orl %r9d, %eax
    subl $0x66666666, %r10d
    orl %r10d, %eax
    subl $0x77777777, %r12d
    orl %r12d, %eax
    subl $0x88888888, %r13d
    orl %r13d, %eax
    subl $0x99999999, %r14d
    orl %r14d, %eax
    subl $0xAAAAAAAA, %r15d
    orl %r15d, %eax
    jnz 1f
    xorl %eax, %eax
    jmp exit_with_error
1:  movq $-1, %rax
    jmp exit_with_error

# Loads from the kernel.
.global program_load
program_load:
    movabsq $0xFFFF800000200000, %rax
    movq (%rax), %rax
    ud2

# Stores to its own code.
.global program_text
program_text:
    leaq program_text(%rip), %rax
    movb $0, (%rax)
    ud2

# Executes its stack.
.global program_execute
program_execute:
    pushq $0x0B0F
    jmp *%rsp

# Fills its stack and goes on.
.global program_stack
program_stack:
    pushq %rax
    jmp program_stack

# Halts the processor.
.global program_halt
program_halt:
    hlt
    ud2

# Makes a call with a stack pointer that is no address.
.global program_lost
program_lost:
    movabsq $0x8000000000000000, %rsp
    movl $999, %eax
    syscall
    ud2

# Does not end.
.global program_loop
program_loop:
    jmp program_loop

.global user_programs_end
user_programs_end:
