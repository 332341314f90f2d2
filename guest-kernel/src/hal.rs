//! What the drivers need of the machine that they run on.
//!
//! The drivers of this crate touch hardware through [`Hal`] only, so the same
//! code runs in the bootable image (ring 0, real exits) and in a host process
//! against emulated devices. One call is one access: an implementation neither
//! splits nor repeats nor combines accesses, because a test counts them.

use core::{fmt, ptr::NonNull, sync::atomic::Ordering, time::Duration};

use crate::pci::ConfigAccess;

/// An unsigned integer that a device register can be as wide as.
///
/// There is no 64-bit word: VIRTIO 1.4, 4.1.3.1 has the driver access a 64-bit
/// field as two 32-bit halves, and so a 64-bit access cannot be written here.
pub trait Word: Copy + Into<u32> + sealed::Sealed {
    /// Bytes: 1, 2 or 4.
    const WIDTH: u8;

    /// The low bits of `value`.
    fn truncate(value: u32) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for u8 {}
    impl Sealed for u16 {}
    impl Sealed for u32 {}
}

impl Word for u8 {
    const WIDTH: u8 = 1;
    fn truncate(value: u32) -> Self {
        value as u8
    }
}

impl Word for u16 {
    const WIDTH: u8 = 2;
    fn truncate(value: u32) -> Self {
        value as u16
    }
}

impl Word for u32 {
    const WIDTH: u8 = 4;
    fn truncate(value: u32) -> Self {
        value
    }
}

/// Device memory that [`Hal::map_device`] made reachable: a token, not a pointer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeviceMemory {
    /// Where it was mapped; means something to the [`Hal`] alone.
    pub base: u64,
    /// Bytes.
    pub len: u64,
}

/// Zeroed, physically contiguous memory that a device may be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaMemory {
    /// Where the driver loads and stores.
    pub pointer: NonNull<u8>,
    /// What the device is told: the physical address.
    pub address: u64,
}

/// An interrupt that a driver can wait for: a token, which means something to the [`Hal`] alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interrupt(pub u32);

/// A message-signalled interrupt that was set aside for one source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vector {
    /// Message address, for the MSI-X table (PCI 3.0, 6.8.3.1).
    pub address: u64,
    /// Message data.
    pub data: u32,
    /// What the message raises.
    pub interrupt: Interrupt,
}

/// An access of a driver to DMA memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DmaAccess {
    /// Whether it is a store.
    pub store: bool,
    /// Its physical address.
    pub address: u64,
    /// Its bytes; more than 8 are copied, in whatever pieces.
    pub width: usize,
}

/// Why a machine service was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HalError {
    /// The virtual address is not mapped.
    #[error("virtual address {0:#x} is not mapped")]
    NotMapped(u64),
    /// The device memory cannot be mapped.
    #[error("device memory at {0:#x} cannot be mapped")]
    CannotMap(u64),
    /// The time for a wait is over.
    #[error("no interrupt in time")]
    TimedOut,
}

/// The machine, as a driver sees it. Cheap to clone: every driver holds one.
pub trait Hal: Clone + 'static {
    /// Loads from an I/O port.
    fn port_load<T: Word>(&self, port: u16) -> T;

    /// Stores to an I/O port.
    fn port_store<T: Word>(&self, port: u16, value: T);

    /// Makes `len` bytes of device memory at a physical address reachable, uncached.
    ///
    /// # Errors
    /// [`HalError::CannotMap`]: the range wraps, or is not device memory.
    fn map_device(&self, address: u64, len: u64) -> Result<DeviceMemory, HalError>;

    /// Loads from device memory: one load, `T::WIDTH` bytes wide.
    ///
    /// # Panics
    /// The access lies outside `memory` or is not aligned: a mistake of the driver.
    fn device_load<T: Word>(&self, memory: DeviceMemory, offset: u64) -> T;

    /// Stores to device memory: one store, `T::WIDTH` bytes wide.
    ///
    /// # Panics
    /// As [`Hal::device_load`].
    fn device_store<T: Word>(&self, memory: DeviceMemory, offset: u64, value: T);

    /// Allocates `size` bytes of DMA memory, aligned to `align`.
    ///
    /// `None` when `size` is 0, `align` is no power of two, or memory is short.
    fn allocate_dma(&self, size: usize, align: usize) -> Option<DmaMemory>;

    /// Gives DMA memory back.
    ///
    /// # Safety
    /// `memory` came from [`Hal::allocate_dma`] with this `size` and `align`,
    /// is not used again, and no device can still reach it.
    unsafe fn release_dma(&self, memory: DmaMemory, size: usize, align: usize);

    /// The physical address behind a virtual one.
    ///
    /// # Errors
    /// [`HalError::NotMapped`]; never a guess.
    fn virt_to_phys(&self, address: u64) -> Result<u64, HalError>;

    /// Sets an interrupt vector aside; `None` when there is none left.
    fn allocate_vector(&self) -> Option<Vector>;

    /// Connects an INTx# line, by the number in the interrupt line register; `None` when it
    /// leads nowhere (PCI 3.0, 6.2.4).
    ///
    /// Lines are shared and level-triggered: every call for one line answers with the same
    /// interrupt. Once raised it stays masked until it is next waited for, so its driver has
    /// the time to make the device let go of the line.
    fn connect_line(&self, line: u8) -> Option<Interrupt>;

    /// Sleeps until `interrupt` was raised since it was last taken, and takes it.
    ///
    /// One that came before the call is not lost: it ends the wait at once. However often it
    /// came, it is taken once.
    ///
    /// # Errors
    /// [`HalError::TimedOut`] after `limit`.
    fn wait_for_interrupt(&self, interrupt: Interrupt, limit: Duration) -> Result<(), HalError>;

    /// Takes `interrupt` if it was raised since it was last taken; does not wait.
    fn take_interrupt(&self, interrupt: Interrupt) -> bool;

    /// Sleeps until any interrupt comes that was not taken yet, for `limit` at most.
    fn sleep(&self, limit: Duration);

    /// The time since some start; it never goes back.
    fn now(&self) -> Duration;

    /// Lets a little time pass, in a loop that looks at memory or a register.
    fn pause(&self);

    /// A DMA buffer is about to load, or has just stored: a machine that is a program sees it
    /// here, and a test plays the device.
    #[inline]
    fn dma_access(&self, _access: DmaAccess) {}

    /// A driver had its accesses to DMA memory kept in order.
    #[inline]
    fn dma_fence(&self, _ordering: Ordering) {}

    /// Which mistake the drivers over it make, if any.
    #[cfg(feature = "mutants")]
    fn mutant(&self) -> Option<crate::mutant::Mutant> {
        None
    }

    /// Loads 64 bits from device memory by one access, or stores them, as only a mutant does.
    ///
    /// # Panics
    /// The machine has no such access.
    #[cfg(feature = "mutants")]
    fn device_access_64(&self, _memory: DeviceMemory, _offset: u64, _store: Option<u64>) -> u64 {
        panic!("no 64-bit accesses to device memory here")
    }

    /// Says `word` at the debug mark, where that is wanted: see [`mark`](crate::mark).
    fn mark(&self, _word: u32) {}

    /// Configuration space by memory, where the firmware tells of it (the MCFG table).
    fn ecam(&self) -> Option<ConfigAccess> {
        None
    }

    /// Prints one line on the console.
    fn log(&self, line: fmt::Arguments<'_>);
}

/// Prints one line on a [`Hal`]'s console: `log!(hal, "[PCI] Found {n} PCI device(s)")`.
#[macro_export]
macro_rules! log {
    ($hal:expr, $($line:tt)*) => {
        $crate::hal::Hal::log(&$hal, format_args!($($line)*))
    };
}
