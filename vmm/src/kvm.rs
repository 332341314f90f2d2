//! KVM's device, and what a machine takes from it as it is.

use std::{ffi::CString, os::unix::ffi::OsStrExt, path::Path};

use kvm_bindings::{
    CpuId, KVM_API_VERSION, KVM_MAX_CPUID_ENTRIES, KVM_PIT_SPEAKER_DUMMY, kvm_pit_config,
};
use kvm_ioctls::{Cap, Kvm, VmFd};

use crate::Error;

/// KVM keeps three pages for itself here on Intel's processors, below 4 GiB where nothing else is.
const TSS_ADDRESS: usize = 0xFFFB_D000;

/// Opens KVM's device, and checks that it can do what a machine needs.
pub(crate) fn open(path: &Path) -> Result<Kvm, Error> {
    let name = CString::new(path.as_os_str().as_bytes())
        .map_err(|_| Error::NotKvm { path: path.into() })?;
    let kvm = Kvm::new_with_path(name).map_err(|error| refusal(path, error))?;
    if u32::try_from(kvm.get_api_version()) != Ok(KVM_API_VERSION) {
        return Err(Error::NotKvm { path: path.into() });
    }
    let needed = [
        (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
        (Cap::Irqchip, "KVM_CAP_IRQCHIP"),
        (Cap::Pit2, "KVM_CAP_PIT2"),
        (Cap::SignalMsi, "KVM_CAP_SIGNAL_MSI"),
        (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
        (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
    ];
    match needed.into_iter().find(|(cap, _)| !kvm.check_extension(*cap)) {
        Some((_, capability)) => Err(Error::Lacks { capability }),
        None => Ok(kvm),
    }
}

fn refusal(path: &Path, error: kvm_ioctls::Error) -> Error {
    let path = path.into();
    match error.errno() {
        libc::ENOENT | libc::ENODEV | libc::ENXIO => Error::NoKvm { path },
        libc::EISDIR | libc::ENOTDIR => Error::NotKvm { path },
        _ => Error::OpenKvm { path, source: error.into() },
    }
}

/// Creates the interrupt controllers and the timer of a PC.
pub(crate) fn create_chips(vm: &VmFd) -> Result<(), Error> {
    vm.set_tss_address(TSS_ADDRESS).map_err(Error::kvm("place its own pages"))?;
    vm.create_irq_chip().map_err(Error::kvm("create the interrupt controllers"))?;
    // Port 0x61 is read by guests that calibrate a clock by the timer.
    let pit = kvm_pit_config { flags: KVM_PIT_SPEAKER_DUMMY, ..Default::default() };
    vm.create_pit2(pit).map_err(Error::kvm("create the interval timer"))
}

/// The features of the host's processor, for a guest whose only processor has APIC id 0.
pub(crate) fn features(kvm: &Kvm) -> Result<CpuId, Error> {
    let mut cpuid = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(Error::kvm("list the processor's features"))?;
    for entry in cpuid.as_mut_slice() {
        match entry.function {
            0x1 => entry.ebx &= 0x00FF_FFFF,
            0xB | 0x1F => entry.edx = 0,
            _ => {}
        }
    }
    Ok(cpuid)
}

/// Whether KVM resets the processor at a triple fault, as it does on AMD's, where the state that a
/// guest died in is undefined (AMD64 APM 2, 15.14.3).
pub(crate) fn resets_at_triple_fault(features: &CpuId) -> bool {
    // "GenuineIntel": the first four letters.
    let intel = u32::from_le_bytes(*b"Genu");
    features.as_slice().iter().any(|entry| entry.function == 0 && entry.ebx != intel)
}

#[cfg(test)]
mod tests {
    use super::*;

    // Root may open everything, so the host's answer is made here and not asked for.
    #[test]
    fn a_device_that_may_not_be_opened_is_told_from_one_that_is_missing() {
        let sentence =
            |errno| refusal(Path::new("/dev/kvm"), kvm_ioctls::Error::new(errno)).sentence();
        assert_eq!(
            sentence(libc::EACCES),
            "/dev/kvm: cannot be opened; being in the group kvm usually gives the right to: \
             Permission denied (os error 13)"
        );
        assert!(sentence(libc::ENOENT).starts_with("/dev/kvm: there is no KVM here;"));
        assert!(sentence(libc::EISDIR).starts_with("/dev/kvm: is not KVM's device;"));
    }
}
