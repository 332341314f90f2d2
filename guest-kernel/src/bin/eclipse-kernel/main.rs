//! The bootable Eclipse kernel: the bare machine, and the drivers of the library on top.
//!
//! A PVH loader enters at `pvh_start` (arch/boot.s), which calls [`kernel_start`].
//! The run ends with a byte in port 0xF4: 0x10 for success, 0x11 for failure.
#![no_std]
#![no_main]

extern crate alloc;

mod arch;
mod drill;
mod memory;
mod metal;
mod mishap;
mod report;
mod user;

use eclipse_kernel::{
    acpi::Acpi,
    cmdline::{self, CommandLine},
    hal::HalError,
    ipc::{self, Ipc},
    log, scenario,
    start_info::{self, StartInfo},
    task::Tasks,
};

use arch::{Verdict, apic, interrupts, io_apic, leave, paging, segments, serial};
use metal::Metal;
use mishap::Mishap;

/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

/// Why the kernel could not do what it was booted for.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// The loader's information cannot be used.
    #[error(transparent)]
    StartInfo(#[from] start_info::Error),
    /// The memory will not do.
    #[error(transparent)]
    Memory(#[from] memory::Error),
    /// Interrupts cannot be had.
    #[error(transparent)]
    Apic(#[from] apic::Error),
    /// The I/O APIC cannot be reached.
    #[error("the I/O APIC is out of reach: {0}")]
    IoApic(HalError),
    /// Interrupts do not come, or memory is not, as it should.
    #[error(transparent)]
    Drill(#[from] drill::Error),
    /// There is no such fault.
    #[error(transparent)]
    Mishap(#[from] mishap::UnknownKind),
    /// A driver did not give back what it allocated.
    #[error("DMA memory was not given back")]
    Leak,
    /// The servers cannot be registered.
    #[error(transparent)]
    Ipc(#[from] ipc::Error),
    /// The task in ring 3 did not succeed.
    #[error(transparent)]
    User(#[from] user::Error),
    /// The command line asks for nothing that there is.
    #[error(transparent)]
    CommandLine(#[from] cmdline::Error),
    /// The scenario failed.
    #[error(transparent)]
    Scenario(#[from] scenario::Error),
}

/// Where arch/boot.s arrives: 64-bit, in the higher half, on the kernel's stack.
///
/// `start_info` is the physical address that the loader gave.
#[unsafe(no_mangle)]
extern "C" fn kernel_start(start_info: u64) -> ! {
    serial::init();
    segments::init();
    interrupts::init();
    match run(start_info) {
        Ok(()) => leave(Verdict::Success),
        Err(error) => {
            log!(Metal, "[ERROR] {error}");
            leave(Verdict::Failure)
        }
    }
}

/// The stages of a boot, in order.
fn run(start_info: u64) -> Result<(), Error> {
    let info = StartInfo::copy(start_info, paging::boot_memory)?;
    let command_line = info.command_line()?;
    log!(Metal, "[BOOT] Eclipse kernel {}", env!("CARGO_PKG_VERSION"));
    if !command_line.is_empty() {
        log!(Metal, "[BOOT] Command line: {command_line}");
    }
    let ram = info.ram.total().div_ceil(MIB);
    memory::init(&info.ram)?;
    log!(Metal, "[MEM] {ram} MiB of RAM, paging on, kernel in the higher half");
    if !paging::no_execute() {
        log!(Metal, "[MEM] The processor has no no-execute pages: data can be executed");
    }
    apic::init()?;
    log!(Metal, "[INT] Exceptions and interrupts on their own stacks, local APIC on");
    connect_inputs(info.acpi_root)?;
    let (tasks, ipc) = (Tasks::new(&Metal), Ipc::new(&Metal));
    log!(Metal, "[IPC] Cooperative tasks, message queues of {}", ipc::DEPTH);
    arch::user::init();
    log!(Metal, "[SYS] System calls from ring 3: read, write, open, close, exit");
    let servers = user::Servers::register(tasks, ipc)?;
    log!(Metal, "[SRV] Servers registered: block, file");
    let asked = CommandLine::parse(command_line)?;
    #[cfg(feature = "mutants")]
    metal::set_mutant(asked.mutant);
    metal::set_marks(asked.marks);
    let mishap = Mishap::asked_for(&asked)?;
    match (mishap, asked.scenario) {
        (Some(mishap), _) => mishap.happen(),
        (None, "interrupts") => drill::run(&Metal)?,
        (None, "memory") => drill::memory::run()?,
        (None, "user") => servers.run_task(&asked)?,
        (None, _) => scenario::run(&Metal, command_line)?,
    }
    match memory::dma_in_use() {
        0 => Ok(()),
        bytes => {
            log!(Metal, "[MEM] DMA: {bytes} bytes in use");
            Err(Error::Leak)
        }
    }
}

/// Finds the I/O APIC, by the ACPI tables where they can be read.
fn connect_inputs(acpi_root: u64) -> Result<(), Error> {
    let acpi = Acpi::read(acpi_root, memory::firmware).unwrap_or_else(|error| {
        log!(Metal, "[ACPI] {error}; going on without");
        Acpi::default()
    });
    // Segment 0 is the one that the ports reach, too.
    if let Some(window) = acpi.ecam.iter().find(|window| window.segment == 0) {
        metal::set_ecam((*window).into());
    }
    match io_apic::init(acpi.interrupts.unwrap_or_default()).map_err(Error::IoApic)? {
        0 => log!(Metal, "[INT] No I/O APIC: interrupt lines are not connected"),
        inputs => log!(Metal, "[INT] I/O APIC with {inputs} inputs"),
    }
    Ok(())
}
