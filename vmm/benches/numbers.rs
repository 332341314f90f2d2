//! The project's numbers: `cargo bench -p eclipse-vmm`.
//!
//! Beside what the VMM costs stands a bare KVM loop: the same exits with nobody
//! behind them. On a machine whose KVM emulates ring 0 that loop, and the guest's
//! own instructions, are nearly all there is to see.

use std::hint::black_box;
use std::process::Command;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_devices::{Host, Platform, Preset, Space, Wires};
use eclipse_trace::Recorder;
use kvm_bindings::kvm_userspace_memory_region;
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use vm_memory::{Bytes, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

/// `eclipse-vmm run` with the default scenario: exec to exit, and what it says of itself.
fn run(c: &mut Criterion) {
    let program = env!("CARGO_BIN_EXE_eclipse-vmm");
    let mut group = c.benchmark_group("run");
    group.sample_size(20).measurement_time(Duration::from_secs(5));
    group.bench_function("exec to exit", |b| {
        b.iter(|| {
            let output = Command::new(program).arg("--quiet").output().expect("it starts");
            assert!(output.status.success());
        });
    });
    group.finish();

    let output = Command::new(program).arg("--json").output().expect("it starts");
    println!("eclipse-vmm --json: {}", String::from_utf8_lossy(&output.stdout));
    println!("peak memory, guest RAM that was touched included: {} KiB\n", children_peak());
}

/// The largest resident set of any child so far, in KiB (`getrusage`).
fn children_peak() -> i64 {
    // SAFETY: the kernel fills the whole structure, for which all zeroes is a value.
    let usage = unsafe {
        let mut usage = std::mem::zeroed();
        assert_eq!(libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage), 0);
        usage
    };
    usage.ru_maxrss
}

struct Nobody;

impl Wires for Nobody {
    fn msi(&mut self, _address: u64, _data: u32) {}
    fn line(&mut self, _gsi: u32, _level: bool) {}
    fn console(&mut self, _bytes: &[u8]) {}
}

/// User-space time of one recorded access: dispatch, device, record.
fn access(c: &mut Criterion) {
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 1 << 20)]).expect("RAM");
    let accesses = [
        ("CONFIG_ADDRESS store", Space::Port, 0xcf8, 4, Some(0x8000_2000)),
        ("configuration load", Space::Port, 0xcfc, 4, None),
        ("common configuration load", Space::Memory, 0xfe00_0014, 1, None),
        ("common configuration store", Space::Memory, 0xfe00_0016, 2, Some(0)),
        ("block configuration load", Space::Memory, 0xfe00_2000, 4, None),
        ("MSI-X table store", Space::Memory, 0xfebc_1008, 4, Some(0x31)),
        ("unclaimed load", Space::Memory, 0xd000_0000, 4, None),
    ];
    let mut group = c.benchmark_group("access");
    for (name, space, address, width, store) in accesses {
        let mut platform =
            Platform::new(Preset::Modern, Box::new(MemoryDisk::new(default_image())));
        let mut recorder = Recorder::keeping_last(1 << 16, None);
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut nobody = Nobody;
                let mut host = Host::new(&memory, &mut nobody, &mut recorder);
                match store {
                    Some(value) => {
                        platform.store(&mut host, space, address, width, black_box(value));
                    }
                    None => {
                        black_box(platform.load(&mut host, space, address, width));
                    }
                }
            });
        });
    }
    group.finish();
}

/// A guest that does nothing but leave: `mov dx, 0x80; out dx, al; jmp`.
fn bare_kvm(c: &mut Criterion) {
    let (mut vcpu, _vm, _memory) = bare_machine();
    c.bench_function("bare KVM loop/exit and re-entry", |b| {
        b.iter(|| match vcpu.run().expect("the guest runs") {
            VcpuExit::IoOut(port, _) => assert_eq!(port, 0x80),
            other => panic!("an exit that was not asked for: {other:?}"),
        });
    });
}

fn bare_machine() -> (VcpuFd, VmFd, GuestMemoryMmap<()>) {
    const CODE: u64 = 0x1000;
    let memory = GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), 1 << 16)]).expect("RAM");
    memory
        .write_slice(&[0xba, 0x80, 0x00, 0xee, 0xeb, 0xfd], GuestAddress(CODE))
        .expect("it is in RAM");
    let kvm = Kvm::new().expect("cannot open /dev/kvm");
    let vm = kvm.create_vm().expect("a VM");
    let region = kvm_userspace_memory_region {
        slot: 0,
        flags: 0,
        guest_phys_addr: 0,
        memory_size: 1 << 16,
        userspace_addr: memory.get_host_address(GuestAddress(0)).expect("RAM begins at 0") as u64,
    };
    // SAFETY: the memory is returned with the VM and outlives it.
    unsafe { vm.set_user_memory_region(region) }.expect("the slot is free");
    let vcpu = vm.create_vcpu(0).expect("a vCPU");
    let mut sregs = vcpu.get_sregs().expect("registers");
    (sregs.cs.base, sregs.cs.selector) = (0, 0);
    vcpu.set_sregs(&sregs).expect("real mode");
    let mut regs = vcpu.get_regs().expect("registers");
    (regs.rip, regs.rflags) = (CODE, 2);
    vcpu.set_regs(&regs).expect("an entry point");
    (vcpu, vm, memory)
}

criterion_group!(benches, run, access, bare_kvm);
criterion_main!(benches);
