//! Steps through the guest's instructions while it matters which they are.

use eclipse_devices::watch::Watching;
use kvm_bindings::{
    KVM_CAP_SET_GUEST_DEBUG2, KVM_GUESTDBG_BLOCKIRQ, KVM_GUESTDBG_ENABLE, KVM_GUESTDBG_SINGLESTEP,
    kvm_guest_debug,
};
use kvm_ioctls::{VcpuFd, VmFd};

use crate::{
    Error,
    barrier::{Step, locks},
    board::Board,
    walk::View,
};

/// After so many steps the guest is about something else.
const MOST: u32 = 4096;

/// Interrupts wait while the guest is stepped: what the processor saves for one would have the
/// step in it, and would bring it back.
const STEP: u32 = KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ;

/// Whether the guest is stepped, and how far.
#[derive(Debug, Default)]
pub(crate) struct Stepping {
    on: bool,
    /// Steps since the store that they are about.
    steps: u32,
    /// Where an instruction has loaded from memory that stores there as well, as one.
    locked: Option<u64>,
}

impl Stepping {
    /// Whether a guest can be watched so.
    pub fn check(vm: &VmFd, watching: Watching) -> Result<(), Error> {
        let debug = vm.check_extension_raw(KVM_CAP_SET_GUEST_DEBUG2.into()).max(0).cast_unsigned();
        check(watching, debug)
    }

    /// The guest loads from `address` of its memory.
    ///
    /// RIP is at the instruction then, while at a store it is past it.
    pub fn loading(&mut self, vcpu: &VcpuFd, board: &Board, address: u64) {
        if !board.watches_barriers() {
            return;
        }
        self.locked = None;
        if let (Ok(regs), Ok(sregs)) = (vcpu.get_regs(), vcpu.get_sregs()) {
            let view = View { memory: &board.memory, sregs: &sregs };
            self.locked = locks(&view.decode(regs.rip)).then_some(address);
        }
    }

    /// The guest stored to `address` of its memory.
    pub fn stored(&mut self, board: &mut Board, address: u64) {
        self.steps = 0;
        if self.locked.take() == Some(address) {
            board.platform.barrier();
        }
    }

    /// Has the guest stop after its next instruction, or no more, as it matters.
    pub fn follow(&mut self, vcpu: &VcpuFd, board: &mut Board) -> Result<(), Error> {
        if board.platform.awaits_barrier() {
            self.look_ahead(vcpu, board)?;
        }
        let on = board.platform.awaits_barrier();
        // A step ends with an instruction that KVM carries out itself, as an access that is
        // seen, so each is asked for anew.
        if on || self.on {
            let control = if on { STEP } else { 0 };
            let debug = kvm_guest_debug { control, ..Default::default() };
            vcpu.set_guest_debug(&debug).map_err(Error::kvm("step the guest"))?;
            self.on = on;
        }
        Ok(())
    }

    /// Looks at the instruction that comes next.
    fn look_ahead(&mut self, vcpu: &VcpuFd, board: &mut Board) -> Result<(), Error> {
        let failed = "read the vCPU's registers";
        let regs = vcpu.get_regs().map_err(Error::kvm(failed))?;
        let sregs = vcpu.get_sregs().map_err(Error::kvm(failed))?;
        self.steps += 1;
        let next = View { memory: &board.memory, sregs: &sregs }.decode(regs.rip);
        match Step::of(&next) {
            _ if self.steps > MOST => board.platform.lose_sight(),
            Step::Plain => {}
            Step::Barrier => board.platform.barrier(),
            Step::Stop => board.platform.lose_sight(),
        }
        Ok(())
    }
}

fn check(watching: Watching, debug: u32) -> Result<(), Error> {
    match watching.barriers && debug & STEP != STEP {
        true => Err(Error::Lacks { capability: "KVM_CAP_SET_GUEST_DEBUG2" }),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn to_look_for_barriers_takes_steps_without_interrupts() {
        let barriers = Watching { barriers: true, ..Watching::default() };
        let refused = check(barriers, STEP & !KVM_GUESTDBG_BLOCKIRQ).unwrap_err();
        let expected = "KVM here lacks KVM_CAP_SET_GUEST_DEBUG2; a newer Linux has it";
        assert_eq!(refused.sentence(), expected);
        assert!(check(barriers, STEP).is_ok() && check(Watching::RINGS, 0).is_ok());
    }
}
