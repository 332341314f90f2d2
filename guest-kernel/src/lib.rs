//! The guest's drivers: PCI, DMA, VIRTIO block, EclipseFS.
//!
//! A `no_std` library over [`hal::Hal`], without globals. The bootable image puts a
//! machine under it; a test puts emulated devices under it; it makes the same
//! accesses, in the same order, on both. [`scenario::run`] is what a boot does from
//! PCI on.
//!
//! It shares no register constant with the emulated devices of this project: the
//! specification was read twice, so that one misreading cannot cancel another.
#![cfg_attr(not(test), no_std)]
#![deny(unsafe_code)]

extern crate alloc;

pub mod acpi;
pub mod ata;
pub mod block;
#[allow(unsafe_code)]
pub mod bytes;
pub mod cmdline;
pub mod crc32;
pub mod disk;
#[allow(unsafe_code)]
pub mod dma;
pub mod dma_map;
pub mod eclipsefs;
pub mod frames;
#[allow(unsafe_code)]
pub mod hal;
pub mod ipc;
pub mod mark;
#[allow(unsafe_code)]
pub mod memory;
pub mod memory_map;
pub mod mutant;
pub mod partition;
pub mod pci;
pub mod ramdisk;
pub mod ranges;
pub mod register;
pub mod scenario;
pub mod server;
pub mod sorted;
pub mod start_info;
pub mod syscall;
pub mod task;
pub mod virtio;
pub mod wait;

#[cfg(test)]
#[allow(unsafe_code, missing_docs)]
mod fake;
