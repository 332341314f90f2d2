//! The guest's drivers in this process, over QEMU's devices.

use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::path::Path;
use std::ptr::NonNull;
use std::rc::Rc;
use std::time::{Duration, Instant};

use eclipse_devices::Space;
use eclipse_kernel::hal::{DeviceMemory, DmaMemory, Hal, HalError, Interrupt, Vector, Word};
use vm_memory::{Bytes, FileOffset, GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use crate::dma::DmaMap;
use crate::qtest::Qtest;
use crate::substrate::Substrate;

/// QEMU's devices as a machine for drivers: its ports and device memory through the
/// qtest socket, its RAM by the file that both map.
///
/// Clones are the same machine.
#[derive(Clone)]
pub struct QtestMachine {
    inner: Rc<Inner>,
}

struct Inner {
    qtest: Qtest,
    memory: GuestMemoryMmap<()>,
    start: Instant,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    dma: DmaMap,
    vectors: u32,
    interrupts: u32,
    log: Vec<String>,
}

impl QtestMachine {
    const RAM: usize = 64 << 20;
    /// Where messages go: into RAM, so that the test sees them.
    const MESSAGES: u64 = 0x8_0000;

    /// A machine of type `machine` with `disk`, a raw image that stays as it is, behind
    /// `devices`, which name it as drive `disk`.
    ///
    /// # Panics
    /// QEMU is not installed or does not start.
    pub fn new(machine: &str, disk: &Path, devices: &[&str]) -> Self {
        let file = tempfile::NamedTempFile::new().expect("the host has room for RAM");
        file.as_file().set_len(Self::RAM as u64).expect("the host has room for RAM");
        let qtest = Qtest::with_memory(machine, file.path(), disk, devices);
        let mapped: File = file.reopen().expect("the file is there");
        let range = (GuestAddress(0), Self::RAM, Some(FileOffset::new(mapped, 0)));
        let memory = GuestMemoryMmap::from_ranges_with_files([range]).expect("the file is mapped");
        let state = RefCell::default();
        Self { inner: Rc::new(Inner { qtest, memory, start: Instant::now(), state }) }
    }

    /// What the drivers logged.
    pub fn log_lines(&self) -> Vec<String> {
        self.inner.state.borrow().log.clone()
    }

    /// Bytes of DMA memory that are allocated now.
    pub fn dma_allocated(&self) -> usize {
        self.inner.state.borrow().dma.allocated()
    }

    /// How many interrupts the drivers have taken.
    pub fn interrupts(&self) -> u32 {
        self.inner.state.borrow().interrupts
    }

    /// Whether a message came that nobody took.
    fn any_message(&self) -> bool {
        let vectors = self.inner.state.borrow().vectors;
        (0..vectors).any(|vector| {
            let place = self.message(Interrupt(vector));
            let data: u32 = self.inner.memory.read_obj(place).expect("messages lie in RAM");
            data != 0
        })
    }

    fn message(&self, interrupt: Interrupt) -> GuestAddress {
        GuestAddress(Self::MESSAGES + 16 * u64::from(interrupt.0))
    }
}

impl Hal for QtestMachine {
    fn port_load<T: Word>(&self, port: u16) -> T {
        T::truncate(self.inner.qtest.load(Space::Port, port.into(), T::WIDTH) as u32)
    }

    fn port_store<T: Word>(&self, port: u16, value: T) {
        let value: u32 = value.into();
        self.inner.qtest.store(Space::Port, port.into(), T::WIDTH, value.into());
    }

    fn map_device(&self, address: u64, len: u64) -> Result<DeviceMemory, HalError> {
        match address.checked_add(len) {
            Some(_) if address >= Self::RAM as u64 => Ok(DeviceMemory { base: address, len }),
            _ => Err(HalError::CannotMap(address)),
        }
    }

    fn device_load<T: Word>(&self, memory: DeviceMemory, offset: u64) -> T {
        assert!(offset + u64::from(T::WIDTH) <= memory.len, "register outside its window");
        T::truncate(self.inner.qtest.load(Space::Memory, memory.base + offset, T::WIDTH) as u32)
    }

    fn device_store<T: Word>(&self, memory: DeviceMemory, offset: u64, value: T) {
        assert!(offset + u64::from(T::WIDTH) <= memory.len, "register outside its window");
        let value: u32 = value.into();
        self.inner.qtest.store(Space::Memory, memory.base + offset, T::WIDTH, value.into());
    }

    fn allocate_dma(&self, size: usize, align: usize) -> Option<DmaMemory> {
        let address = self.inner.state.borrow_mut().dma.allocate(size, align, Self::RAM as u64)?;
        let range = self.inner.memory.get_slice(GuestAddress(address), size).ok()?;
        range.copy_from(&vec![0u8; size]);
        let pointer = self.inner.memory.get_host_address(GuestAddress(address)).ok()?;
        Some(DmaMemory { pointer: NonNull::new(pointer)?, address })
    }

    unsafe fn release_dma(&self, memory: DmaMemory, size: usize, _align: usize) {
        self.inner.state.borrow_mut().dma.release(memory.address, size);
    }

    fn virt_to_phys(&self, address: u64) -> Result<u64, HalError> {
        let start = self.inner.memory.get_host_address(GuestAddress(0)).expect("RAM begins at 0");
        match address.checked_sub(start as u64) {
            Some(offset) if offset < Self::RAM as u64 => Ok(offset),
            _ => Err(HalError::NotMapped(address)),
        }
    }

    fn allocate_vector(&self) -> Option<Vector> {
        let mut state = self.inner.state.borrow_mut();
        let interrupt = Interrupt(state.vectors);
        state.vectors += 1;
        let address = self.message(interrupt).0;
        Some(Vector { address, data: 0x4000 + interrupt.0, interrupt })
    }

    /// No line: without a processor nobody asks the interrupt controller.
    fn connect_line(&self, _line: u8) -> Option<Interrupt> {
        None
    }

    fn wait_for_interrupt(&self, interrupt: Interrupt, limit: Duration) -> Result<(), HalError> {
        let start = Instant::now();
        loop {
            if self.take_interrupt(interrupt) {
                return Ok(());
            }
            if start.elapsed() > limit {
                return Err(HalError::TimedOut);
            }
            std::thread::yield_now();
        }
    }

    fn take_interrupt(&self, interrupt: Interrupt) -> bool {
        let place = self.message(interrupt);
        let memory = &self.inner.memory;
        let data: u32 = memory.read_obj(place).expect("messages lie in RAM");
        if data == 0 {
            return false;
        }
        memory.write_obj(0_u32, place).expect("messages lie in RAM");
        assert_eq!(data, 0x4000 + interrupt.0, "the message is the vector's");
        self.inner.state.borrow_mut().interrupts += 1;
        true
    }

    fn sleep(&self, limit: Duration) {
        let start = Instant::now();
        while !self.any_message() && start.elapsed() < limit {
            self.pause();
        }
    }

    fn now(&self) -> Duration {
        self.inner.start.elapsed()
    }

    fn pause(&self) {
        // One more command, so that QEMU's own loop turns.
        let _: u8 = self.port_load(0x80);
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.inner.state.borrow_mut().log.push(line.to_string());
    }
}
