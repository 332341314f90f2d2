use std::{
    fs::File,
    io,
    mem::offset_of,
    os::fd::{AsRawFd, BorrowedFd},
    sync::atomic::{AtomicU8, Ordering},
    thread::JoinHandle,
};

use kvm_bindings::kvm_run;
use kvm_ioctls::VcpuFd;
use libc::{c_int, c_void, siginfo_t};
use vm_memory::{FileOffset, MmapRegion, VolatileMemory};
use vmm_sys_util::signal::{Killable, SIGRTMIN, register_signal_handler};

use crate::Error;

/// The flag in a vCPU's `kvm_run` that makes KVM_RUN return at once, seen from outside.
///
/// It is a mapping of its own, so it stays valid whatever the vCPU's thread does.
#[derive(Debug)]
pub(crate) struct ExitFlag(MmapRegion);

impl ExitFlag {
    pub fn new(vcpu: &VcpuFd) -> Result<Self, Error> {
        let failed = |source| Error::Kvm { what: "share the vCPU's state", source };
        // SAFETY: the descriptor belongs to `vcpu`, which outlives this borrow of it.
        let vcpu = unsafe { BorrowedFd::borrow_raw(vcpu.as_raw_fd()) };
        let file = File::from(vcpu.try_clone_to_owned().map_err(failed)?);
        let region = MmapRegion::from_file(FileOffset::new(file, 0), size_of::<kvm_run>())
            .map_err(|error| failed(io::Error::other(error)))?;
        Ok(Self(region))
    }

    fn set(&self) {
        let flag = self.0.get_atomic_ref::<AtomicU8>(offset_of!(kvm_run, immediate_exit));
        flag.expect("the flag lies in the mapping").store(1, Ordering::SeqCst);
    }
}

/// Makes the processor's thread leave KVM_RUN, or not enter it.
pub(crate) struct Kick<'a> {
    flag: ExitFlag,
    signal: Box<dyn Fn() -> io::Result<()> + 'a>,
}

impl<'a> Kick<'a> {
    /// Lets the signal of [`Kick::kick`] interrupt a system call and do nothing else.
    pub fn prepare() -> Result<(), Error> {
        extern "C" fn nothing(_: c_int, _: *mut siginfo_t, _: *mut c_void) {}
        register_signal_handler(SIGRTMIN(), nothing)
            .map_err(Error::host("install a signal handler"))
    }

    pub fn new<T>(flag: ExitFlag, thread: &'a JoinHandle<T>) -> Self {
        let signal = move || Ok(thread.kill(SIGRTMIN())?);
        Self { flag, signal: Box::new(signal) }
    }

    /// A signal alone would be lost between the thread's last look at what it is to do and its
    /// KVM_RUN, and the flag alone is not seen by a guest that runs.
    pub fn kick(&self) -> Result<(), Error> {
        self.flag.set();
        (self.signal)().map_err(Error::host("signal the vCPU's thread"))
    }
}
