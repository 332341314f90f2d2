//! Looking for a memory barrier among the guest's instructions.

use iced_x86::{Instruction, Mnemonic, OpKind, Register};

/// What an instruction means to whom steps through the guest's code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is none.
    Plain,
    /// It keeps all loads behind it after all stores before it.
    Barrier,
    /// Nobody may be stepping when the guest carries it out: it stores the flags, where the step
    /// would show, or sleeps.
    Stop,
}

impl Step {
    pub fn of(instruction: &Instruction) -> Self {
        match instruction.mnemonic() {
            _ if locks(instruction) => Self::Barrier,
            // Intel SDM 3A, 9.3: serialising instructions; MFENCE is the barrier proper.
            Mnemonic::Mfence
            | Mnemonic::Cpuid
            | Mnemonic::Iret
            | Mnemonic::Iretd
            | Mnemonic::Iretq
            | Mnemonic::Serialize
            | Mnemonic::Wrmsr
            | Mnemonic::Invd
            | Mnemonic::Wbinvd
            | Mnemonic::Invlpg
            | Mnemonic::Lgdt
            | Mnemonic::Lidt
            | Mnemonic::Lldt
            | Mnemonic::Ltr => Self::Barrier,
            Mnemonic::Mov if controls(instruction) => Self::Barrier,
            Mnemonic::Pushf
            | Mnemonic::Pushfd
            | Mnemonic::Pushfq
            | Mnemonic::Int
            | Mnemonic::Int1
            | Mnemonic::Int3
            | Mnemonic::Into
            | Mnemonic::Syscall
            | Mnemonic::Sysenter
            | Mnemonic::Hlt
            | Mnemonic::INVALID => Self::Stop,
            _ => Self::Plain,
        }
    }
}

/// Whether it loads and stores memory as one: by prefix, or because it is XCHG.
pub(crate) fn locks(instruction: &Instruction) -> bool {
    let memory = instruction.op_kinds().any(|kind| kind == OpKind::Memory);
    instruction.has_lock_prefix() || instruction.mnemonic() == Mnemonic::Xchg && memory
}

/// Whether it stores to a control or debug register.
fn controls(instruction: &Instruction) -> bool {
    let to = instruction.op0_register();
    (to.is_cr() && to != Register::CR8) || to.is_dr()
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions};

    use super::*;

    fn step(bytes: &[u8]) -> Step {
        Step::of(&Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE).decode())
    }

    #[test]
    fn full_barriers_are_told_from_those_that_order_stores_or_loads_alone() {
        for (bytes, expected) in [
            (&[0x0F, 0xAE, 0xF0][..], Step::Barrier),         // mfence
            (&[0x0F, 0xAE, 0xF8], Step::Plain),               // sfence
            (&[0x0F, 0xAE, 0xE8], Step::Plain),               // lfence
            (&[0xF0, 0x83, 0x04, 0x24, 0x00], Step::Barrier), // lock add dword [rsp], 0
            (&[0x83, 0x04, 0x24, 0x00], Step::Plain),         // add dword [rsp], 0
            (&[0x87, 0x07], Step::Barrier),                   // xchg [rdi], eax
            (&[0x87, 0xC7], Step::Plain),                     // xchg edi, eax
            (&[0x90], Step::Plain),                           // nop
            (&[0x0F, 0xA2], Step::Barrier),                   // cpuid
            (&[0x48, 0xCF], Step::Barrier),                   // iretq
            (&[0x0F, 0x22, 0xD8], Step::Barrier),             // mov cr3, rax
            (&[0x44, 0x0F, 0x22, 0xC0], Step::Plain),         // mov cr8, rax
            (&[0x0F, 0x20, 0xD8], Step::Plain),               // mov rax, cr3
            (&[0x9C], Step::Stop),                            // pushfq
            (&[0xF4], Step::Stop),                            // hlt
            (&[0x0F, 0x05], Step::Stop),                      // syscall
            (&[], Step::Stop),
        ] {
            assert_eq!(step(bytes), expected, "{bytes:02x?}");
        }
    }
}
