//! The processor: its thread, its exits, and what ends it.

use std::{
    collections::VecDeque,
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{Ordering, fence},
    },
    time::Instant,
};

use eclipse_devices::Space;
use kvm_bindings::{
    KVM_MP_STATE_HALTED, KVM_SYSTEM_EVENT_RESET, KVM_SYSTEM_EVENT_SHUTDOWN, kvm_regs, kvm_run,
    kvm_run__bindgen_ty_1__bindgen_ty_4, kvm_run__bindgen_ty_1__bindgen_ty_13, kvm_sregs,
    kvm_sync_regs,
};
use kvm_ioctls::{SyncReg, VcpuExit, VcpuFd};

use crate::{
    Death, Error, Outcome, Timing,
    board::Board,
    host_loop::Control,
    origin::{Left, Origins},
    stepping::Stepping,
};

/// The processor with everything that its exits reach, alone on its thread.
pub(crate) struct Cpu {
    vcpu: VcpuFd,
    pub board: Board,
    pub control: Arc<Control>,
    pub timing: Timing,
    /// What the user typed and the serial port has no room for yet.
    typed: VecDeque<u8>,
    /// Whether `last_state` is kept up.
    keeps_state: bool,
    /// Where accesses come from, if the record wants to know.
    origins: Option<Origins>,
    stepping: Stepping,
    /// The registers at the last exit after which the guest was entered again.
    last_state: Option<kvm_sync_regs>,
}

/// The registers of a processor that stopped.
pub(crate) struct State {
    pub regs: kvm_regs,
    pub sregs: kvm_sregs,
    /// Whether it sleeps in `hlt`.
    pub halted: bool,
    /// Whether this is how it was at the exit before it died, because KVM has lost what came after.
    pub earlier: bool,
}

/// Why the processor stopped.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The guest came to an end.
    Guest(Outcome),
    /// The host loop asked for it, and knows why.
    Asked,
}

impl Cpu {
    /// A processor that has not run yet.
    pub fn new(vcpu: VcpuFd, board: Board, control: Arc<Control>, keeps_state: bool) -> Self {
        Self {
            vcpu,
            board,
            control,
            timing: Timing::default(),
            typed: VecDeque::new(),
            keeps_state,
            origins: None,
            stepping: Stepping::default(),
            last_state: None,
        }
    }

    /// Has the record say which instruction each access comes from.
    pub fn tell_instructions(&mut self) {
        self.vcpu.set_sync_valid_reg(SyncReg::Register);
        self.origins = Some(Origins::default());
    }

    /// Runs the guest until something ends it.
    pub fn run(&mut self) -> Result<Halt, Error> {
        let mut left = Instant::now();
        self.timing.begin(left);
        let mut accesses = 0;
        loop {
            let entered = Instant::now();
            let before = accesses;
            accesses = self.board.recorder.summary().accesses();
            self.timing.vmm(entered - left, accesses != before);
            if self.keeps_state && self.timing.exits != 0 {
                self.last_state = Some(self.vcpu.sync_regs());
            }
            let halt = self.step(entered, &mut left)?;
            self.stepping.follow(&self.vcpu, &mut self.board)?;
            self.control.defer(self.board.has_deferred());
            if !self.typed.is_empty() {
                self.type_on();
            }
            if let Some(error) = self.board.take_failure() {
                return Err(error);
            }
            if let Some(halt) = halt {
                self.timing.vmm(left.elapsed(), false);
                return Ok(halt);
            }
        }
    }

    /// Enters the guest at `entered`, and does what it leaves for, at `left`.
    fn step(&mut self, entered: Instant, left: &mut Instant) -> Result<Option<Halt>, Error> {
        let exit = self.vcpu.run();
        *left = Instant::now();
        self.timing.guest(*left - entered);
        Ok(match exit {
            Ok(VcpuExit::MmioRead(address, data)) => {
                let len = data.len();
                self.memory_in(address, len)
            }
            Ok(VcpuExit::MmioWrite(address, data)) => {
                let (data, len) = copied(data);
                self.memory_out(address, &data[..len])
            }
            Ok(VcpuExit::IoIn(port, data)) => {
                let data = NonNull::from(data);
                self.port_in(port, data)
            }
            Ok(VcpuExit::IoOut(port, data)) => {
                let data = NonNull::from(data);
                self.port_out(port, data)
            }
            // The guest was stepped; what was met, `Stepping` sees.
            Ok(VcpuExit::Debug(_)) => None,
            Ok(VcpuExit::InternalError) => Some(self.internal_error()),
            Ok(exit) => ending(&exit),
            Err(error) => match error.errno() {
                libc::EINTR => self.interrupted(),
                libc::EAGAIN => None,
                _ => return Err(Error::kvm("run the vCPU")(error)),
            },
        })
    }

    /// Completes the access that the guest was stopped in, so that the registers are those after
    /// it; KVM cannot go on after a failure of its own.
    pub fn settle(&mut self, death: &Death) {
        if *death == Death::Reset {
            self.vcpu.set_kvm_immediate_exit(1);
            // It returns at once with EINTR; if not, the registers are those before the access.
            let _ = self.vcpu.run();
            self.vcpu.set_kvm_immediate_exit(0);
        }
    }

    /// The registers of the processor after its end.
    pub fn state(&self) -> Result<State, Error> {
        let failed = "read the vCPU's registers";
        let regs = self.vcpu.get_regs().map_err(Error::kvm(failed))?;
        let sregs = self.vcpu.get_sregs().map_err(Error::kvm(failed))?;
        // Where a reset leaves the processor (Intel SDM 3A, 9.1.4).
        let reset = regs.rip == 0xFFF0 && sregs.cs.base == 0xFFFF_0000;
        if let (true, Some(last)) = (reset, &self.last_state) {
            return Ok(State { regs: last.regs, sregs: last.sregs, halted: false, earlier: true });
        }
        Ok(State { regs, sregs, halted: self.halted(), earlier: false })
    }

    /// The guest loads `len` bytes (1 to 8) from where there is no memory.
    fn memory_in(&mut self, address: u64, len: usize) -> Option<Halt> {
        self.witness(Left::Load);
        self.stepping.loading(&self.vcpu, &self.board, address);
        let mut data = [0; 8];
        let halt = self.board.load(Space::Memory, address, &mut data[..len.min(8)]);
        self.vcpu.get_kvm_run().__bindgen_anon_1.mmio.data = data;
        halt
    }

    fn memory_out(&mut self, address: u64, data: &[u8]) -> Option<Halt> {
        self.witness(Left::Store);
        let halt = self.board.store(Space::Memory, address, data);
        self.stepping.stored(&mut self.board, address);
        halt
    }

    /// Tells the record which instruction left.
    fn witness(&mut self, left: Left) {
        let Some(origins) = &mut self.origins else { return };
        let regs = self.vcpu.sync_regs_mut().regs;
        let sregs = || self.vcpu.get_sregs().ok();
        let rip = origins.find(left, &regs, &self.board.memory, sregs);
        self.board.recorder.at(rip);
    }

    /// A string instruction makes several accesses in one exit, each as wide as its element.
    fn port_in(&mut self, port: u16, mut data: NonNull<[u8]>) -> Option<Halt> {
        self.witness(Left::Load);
        let width = usize::from(port_io(self.vcpu.get_kvm_run()).size.max(1));
        // SAFETY: `data` lies behind `kvm_run` in the mapping that `self.vcpu` owns, and nothing
        // else refers to it until the next KVM_RUN.
        let data = unsafe { data.as_mut() };
        data.chunks_mut(width)
            .find_map(|element| self.board.load(Space::Port, port.into(), element))
    }

    fn port_out(&mut self, port: u16, data: NonNull<[u8]>) -> Option<Halt> {
        self.witness(Left::Out(port));
        let width = usize::from(port_io(self.vcpu.get_kvm_run()).size.max(1));
        // SAFETY: as in `port_in`.
        let data = unsafe { data.as_ref() };
        data.chunks(width).find_map(|element| self.board.store(Space::Port, port.into(), element))
    }

    fn internal_error(&mut self) -> Halt {
        let error = internal(self.vcpu.get_kvm_run());
        let data = error.data.iter().take(error.ndata as usize).copied().collect();
        Halt::Guest(Outcome::Died(Death::InternalError { suberror: error.suberror, data }))
    }

    /// A signal came, usually the host loop's: see what it wants.
    fn interrupted(&mut self) -> Option<Halt> {
        self.vcpu.set_kvm_immediate_exit(0);
        // The host loop first says what it wants and then sets the flag that was just cleared:
        // either its wish is seen below, or the flag is set again and KVM_RUN returns at once.
        fence(Ordering::SeqCst);
        if self.control.stopping() {
            return Some(Halt::Asked);
        }
        self.typed.extend(self.control.take_input());
        // What happens now is done on behalf of no instruction.
        self.board.recorder.at(0);
        if self.board.has_deferred() && self.halted() {
            self.board.idle();
        }
        None
    }

    /// Whether the guest sleeps in `hlt`.
    fn halted(&self) -> bool {
        self.vcpu.get_mp_state().is_ok_and(|state| state.mp_state == KVM_MP_STATE_HALTED)
    }

    /// Gives the serial port as much of what was typed as it has room for.
    fn type_on(&mut self) {
        self.board.recorder.at(0);
        let taken = self.board.serial_input(self.typed.make_contiguous());
        self.typed.drain(..taken);
        if self.typed.is_empty() {
            self.control.input_taken();
        }
    }
}

/// The bytes of a store, and how many there are.
fn copied(data: &[u8]) -> ([u8; 8], usize) {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
    (bytes, data.len().min(8))
}

/// What a stop of the vCPU means that asks for no device.
fn ending(exit: &VcpuExit<'_>) -> Option<Halt> {
    let death = match exit {
        // KVM polls for other work with these; there is none.
        VcpuExit::Intr | VcpuExit::IrqWindowOpen => return None,
        VcpuExit::Shutdown => Death::TripleFault,
        VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_SHUTDOWN, _) => Death::Shutdown,
        VcpuExit::SystemEvent(KVM_SYSTEM_EVENT_RESET, _) => Death::Reset,
        VcpuExit::FailEntry(reason, _) => Death::EntryFailed { reason: *reason },
        VcpuExit::MemoryFault { gpa, .. } => {
            Death::Unexpected(format!("memory fault at guest-physical address {gpa:#x}"))
        }
        VcpuExit::Unsupported(reason) => Death::Unexpected(format!("exit reason {reason}")),
        other => Death::Unexpected(format!("{other:?}")),
    };
    Some(Halt::Guest(Outcome::Died(death)))
}

fn port_io(run: &kvm_run) -> kvm_run__bindgen_ty_1__bindgen_ty_4 {
    // SAFETY: every variant of the union is plain integers, for which all bytes are valid.
    unsafe { run.__bindgen_anon_1.io }
}

fn internal(run: &kvm_run) -> kvm_run__bindgen_ty_1__bindgen_ty_13 {
    // SAFETY: as in `port_io`.
    unsafe { run.__bindgen_anon_1.internal }
}
