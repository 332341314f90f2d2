//! Which instruction of the guest an access comes from.
//!
//! RIP at an exit is not always at the instruction that left. KVM has carried out a store to
//! memory already and shows the next one, unless the instruction repeats; with a store to a
//! port that depends on how it was carried out.

use std::collections::HashMap;

use iced_x86::{Code, Instruction};
use kvm_bindings::{kvm_regs, kvm_sregs};
use vm_memory::GuestMemoryMmap;

use crate::walk::View;

/// More places in the guest's code than this are looked at anew.
const KEPT: usize = 1 << 16;

/// How the guest left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Left {
    /// It loads, from memory or from a port.
    Load,
    /// It stores to memory.
    Store,
    /// It stores to a port.
    Out(u16),
}

/// The instructions that exits come from, as far as they were met.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    known: HashMap<(u64, Left), u64>,
}

impl Origins {
    /// An address inside the instruction that left: its first byte, or where that is not known,
    /// its last.
    pub fn find(
        &mut self,
        left: Left,
        regs: &kvm_regs,
        memory: &GuestMemoryMmap<()>,
        sregs: impl FnOnce() -> Option<kvm_sregs>,
    ) -> u64 {
        let rip = regs.rip;
        if left == Left::Load {
            return rip;
        }
        if self.known.len() > KEPT {
            self.known.clear();
        }
        *self.known.entry((rip, left)).or_insert_with(|| {
            let here = sregs().is_some_and(|sregs| {
                let next = View { memory, sregs: &sregs }.decode(rip);
                leaves(&next, left, regs.rdx)
            });
            if here { rip } else { rip.wrapping_sub(1) }
        })
    }
}

/// Whether it is `instruction`, which RIP is at, that left.
fn leaves(instruction: &Instruction, left: Left, rdx: u64) -> bool {
    match left {
        Left::Load => true,
        Left::Store => {
            let repeats = instruction.has_rep_prefix() || instruction.has_repne_prefix();
            repeats && instruction.is_string_instruction()
        }
        Left::Out(port) => match instruction.code() {
            Code::Out_imm8_AL | Code::Out_imm8_AX | Code::Out_imm8_EAX => {
                u16::from(instruction.immediate8()) == port
            }
            Code::Out_DX_AL | Code::Out_DX_AX | Code::Out_DX_EAX => rdx as u16 == port,
            Code::Outsb_DX_m8 | Code::Outsw_DX_m16 | Code::Outsd_DX_m32 => rdx as u16 == port,
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    use iced_x86::{Decoder, DecoderOptions};

    use super::*;

    fn leaves(bytes: &[u8], left: Left, rdx: u64) -> bool {
        let mut decoder = Decoder::with_ip(64, bytes, 0x1000, DecoderOptions::NONE);
        super::leaves(&decoder.decode(), left, rdx)
    }

    #[test]
    fn rip_is_past_a_store_unless_it_repeats() {
        assert!(!leaves(&[0x89, 0x07], Left::Store, 0), "mov [rdi], eax: the next one");
        assert!(!leaves(&[0xAB], Left::Store, 0), "stosd");
        assert!(leaves(&[0xF3, 0xAB], Left::Store, 0), "rep stosd");
        assert!(leaves(&[0xF3, 0x48, 0xA5], Left::Store, 0), "rep movsq");
    }

    #[test]
    fn rip_is_at_an_out_if_there_is_one_for_the_port() {
        assert!(leaves(&[0xE6, 0xF4], Left::Out(0xF4), 0));
        assert!(!leaves(&[0xE6, 0xF4], Left::Out(0x80), 0));
        assert!(leaves(&[0xEE], Left::Out(0x3F8), 0x1_03F8));
        assert!(!leaves(&[0xEF], Left::Out(0x3F8), 0xCF8));
        assert!(leaves(&[0xF3, 0x6E], Left::Out(0x3F8), 0x3F8), "rep outsb");
        assert!(!leaves(&[0xEC], Left::Out(0x3F8), 0x3F8), "in al, dx");
    }
}
