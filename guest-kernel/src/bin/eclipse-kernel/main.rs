//! The bootable Eclipse kernel: the bare machine, and the drivers of the library on top.
//!
//! A PVH loader enters at `pvh_start` (arch/boot.s), which calls [`kernel_start`].
//! The run ends with a byte in port 0xF4: 0x10 for success, 0x11 for failure.
#![no_std]
#![no_main]

extern crate alloc;

mod arch;
mod memory;
mod metal;
mod mishap;
mod report;

use eclipse_kernel::{
    cmdline::{self, CommandLine},
    log, scenario,
    start_info::{self, StartInfo},
};

use arch::{Verdict, apic, interrupts, leave, paging, segments, serial};
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
    apic::init()?;
    log!(Metal, "[INT] Exceptions and interrupts on their own stacks, local APIC on");
    if let Some(mishap) = Mishap::asked_for(&CommandLine::parse(command_line)?) {
        mishap.happen();
    }
    scenario::run(&Metal, command_line)?;
    Ok(())
}
