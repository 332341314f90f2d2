# To ring 3 and back. AT&T syntax.
#
# To the kernel, ring 3 is a call: `enter_user` comes back when the task makes a
# system call (0), when its time is over (1), or when it faults (the frame of the
# exception). The offsets below are those of `Context` in arch/user.rs.

.section .text.user_entry, "ax", @progbits
.balign 16
.global enter_user
.type enter_user, @function
enter_user:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    movq %rsp, USER_RETURN(%rip)
    movq %rdi, USER_CONTEXT(%rip)
    pushq $0x2B                         # user data segment, ring 3
    pushq 128(%rdi)
    pushq 136(%rdi)
    pushq $0x33                         # user code segment, ring 3
    pushq 120(%rdi)
    movq 0(%rdi), %rax
    movq 8(%rdi), %rbx
    movq 16(%rdi), %rcx
    movq 24(%rdi), %rdx
    movq 32(%rdi), %rsi
    movq 48(%rdi), %rbp
    movq 56(%rdi), %r8
    movq 64(%rdi), %r9
    movq 72(%rdi), %r10
    movq 80(%rdi), %r11
    movq 88(%rdi), %r12
    movq 96(%rdi), %r13
    movq 104(%rdi), %r14
    movq 112(%rdi), %r15
    movq 40(%rdi), %rdi
    iretq                               # not `sysret`: some KVMs cannot carry it out
.size enter_user, . - enter_user

# Here the processor arrives with interrupts off, RCX = where the task goes on,
# R11 = its flags, and still on the task's stack.
.balign 16
.global syscall_entry
.type syscall_entry, @function
syscall_entry:
    movq %rsp, USER_STACK(%rip)
    movq USER_CONTEXT(%rip), %rsp
    movq %rcx, 120(%rsp)
    movq %r11, 136(%rsp)
    movq %rax, 0(%rsp)
    movq %rsp, %rax
    movq %rbx, 8(%rax)
    movq %rcx, 16(%rax)
    movq %rdx, 24(%rax)
    movq %rsi, 32(%rax)
    movq %rdi, 40(%rax)
    movq %rbp, 48(%rax)
    movq %r8, 56(%rax)
    movq %r9, 64(%rax)
    movq %r10, 72(%rax)
    movq %r11, 80(%rax)
    movq %r12, 88(%rax)
    movq %r13, 96(%rax)
    movq %r14, 104(%rax)
    movq %r15, 112(%rax)
    movq USER_STACK(%rip), %rcx
    movq %rcx, 128(%rax)
    xorl %eax, %eax
leave_user:
    movq USER_RETURN(%rip), %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    cld
    ret
.size syscall_entry, . - syscall_entry

# The timer in ring 3: on the interrupt stack, RAX on top of what the processor pushed.
.balign 16
.global user_timer
.type user_timer, @function
user_timer:
    movq LOCAL_APIC(%rip), %rax
    movl $0, 0xB0(%rax)                 # end of interrupt
    movq USER_CONTEXT(%rip), %rax
    movq %rbx, 8(%rax)
    movq %rcx, 16(%rax)
    movq %rdx, 24(%rax)
    movq %rsi, 32(%rax)
    movq %rdi, 40(%rax)
    movq %rbp, 48(%rax)
    movq %r8, 56(%rax)
    movq %r9, 64(%rax)
    movq %r10, 72(%rax)
    movq %r11, 80(%rax)
    movq %r12, 88(%rax)
    movq %r13, 96(%rax)
    movq %r14, 104(%rax)
    movq %r15, 112(%rax)
    popq %rcx
    movq %rcx, 0(%rax)
    popq %rcx
    movq %rcx, 120(%rax)                # rip
    popq %rcx                           # cs
    popq %rcx
    movq %rcx, 136(%rax)                # rflags
    popq %rcx
    movq %rcx, 128(%rax)                # rsp
    movl $1, %eax
    jmp leave_user
.size user_timer, . - user_timer

# An exception in ring 3: RSP is at its frame, on a stack of its own that the next
# exception uses again.
.balign 16
.global user_exception
.type user_exception, @function
user_exception:
    movq %rsp, %rax
    jmp leave_user
.size user_exception, . - user_exception
