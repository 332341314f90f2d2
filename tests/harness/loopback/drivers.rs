//! What the guest's drivers ask of the machine that they run on.

use std::fmt;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::time::Duration;

use eclipse_devices::pci::ECAM;
use eclipse_devices::{Host, Space};
use eclipse_kernel::hal::{
    DeviceMemory, DmaAccess, DmaMemory, Hal, HalError, Interrupt, Vector, Word,
};
#[cfg(feature = "mutants")]
use eclipse_kernel::mutant::Mutant;
use eclipse_kernel::{mark, pci::ConfigAccess};
use vm_memory::{GuestAddress, GuestMemoryBackend};

use super::{Loopback, Machine};

/// The interrupt lines of an IOAPIC; vectors have higher numbers.
const LINES: u32 = 24;
/// The first vector that the guest's interrupt code gives out.
const FIRST_VECTOR: u32 = 0x30;
/// The local APIC with ID 0 (Intel SDM volume 3, 11.11.1).
const MESSAGE_ADDRESS: u64 = 0xfee0_0000;

impl Loopback {
    /// Records a driver's access to DMA memory, where it is watched.
    fn see(&self, DmaAccess { store, address, width }: DmaAccess) {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        let mut host = Host::new(memory, wires, recorder);
        let mut at = 0;
        while at < width {
            let piece = if width <= 8 {
                width
            } else if width - at >= 8 {
                8
            } else {
                1
            };
            let (address, bytes) = (address + at as u64, piece as u8);
            match store {
                true => platform.stored_itself(&mut host, address, bytes),
                false => platform.loads_itself(&mut host, address, bytes),
            }
            at += piece;
        }
    }

    fn device_address(memory: DeviceMemory, offset: u64, width: u8) -> u64 {
        let width = u64::from(width);
        assert!(offset + width <= memory.len, "register outside its window");
        assert!(offset.is_multiple_of(width), "register not aligned");
        memory.base + offset
    }
}

impl Hal for Loopback {
    fn port_load<T: Word>(&self, port: u16) -> T {
        T::truncate(self.load(Space::Port, port.into(), T::WIDTH) as u32)
    }

    fn port_store<T: Word>(&self, port: u16, value: T) {
        let value: u32 = value.into();
        self.store(Space::Port, port.into(), T::WIDTH, value.into());
    }

    fn map_device(&self, address: u64, len: u64) -> Result<DeviceMemory, HalError> {
        match address.checked_add(len) {
            Some(_) if address >= Self::RAM as u64 => Ok(DeviceMemory { base: address, len }),
            _ => Err(HalError::CannotMap(address)),
        }
    }

    fn device_load<T: Word>(&self, memory: DeviceMemory, offset: u64) -> T {
        let address = Self::device_address(memory, offset, T::WIDTH);
        T::truncate(self.load(Space::Memory, address, T::WIDTH) as u32)
    }

    fn device_store<T: Word>(&self, memory: DeviceMemory, offset: u64, value: T) {
        let address = Self::device_address(memory, offset, T::WIDTH);
        let value: u32 = value.into();
        self.store(Space::Memory, address, T::WIDTH, value.into());
    }

    fn allocate_dma(&self, size: usize, align: usize) -> Option<DmaMemory> {
        let Machine { memory, dma, .. } = &mut *self.machine.borrow_mut();
        let address = dma.allocate(size, align, Self::RAM as u64)?;
        let range = memory.get_slice(GuestAddress(address), size).ok()?;
        range.copy_from(&vec![0u8; size]);
        let pointer = memory.get_host_address(GuestAddress(address)).ok()?;
        Some(DmaMemory { pointer: NonNull::new(pointer)?, address })
    }

    unsafe fn release_dma(&self, memory: DmaMemory, size: usize, _align: usize) {
        self.machine.borrow_mut().dma.release(memory.address, size);
        for frame in mark::frames(memory.address, size) {
            // A page may be another's, too.
            let held = self.machine.borrow().dma.holds(frame);
            if !held {
                self.mark(mark::released(frame));
            }
        }
    }

    fn virt_to_phys(&self, address: u64) -> Result<u64, HalError> {
        let machine = self.machine.borrow();
        let start = machine.memory.get_host_address(GuestAddress(0)).expect("RAM begins at 0");
        match address.checked_sub(start as u64) {
            Some(offset) if offset < Self::RAM as u64 => Ok(offset),
            _ => Err(HalError::NotMapped(address)),
        }
    }

    fn allocate_vector(&self) -> Option<Vector> {
        let mut machine = self.machine.borrow_mut();
        let data = FIRST_VECTOR + machine.vectors;
        machine.vectors += 1;
        Some(Vector { address: MESSAGE_ADDRESS, data, interrupt: Interrupt(data) })
    }

    fn connect_line(&self, line: u8) -> Option<Interrupt> {
        (u32::from(line) < LINES).then_some(Interrupt(line.into()))
    }

    /// Nothing else can happen while the driver waits, so an interrupt that has
    /// not come will not come.
    fn wait_for_interrupt(&self, interrupt: Interrupt, limit: Duration) -> Result<(), HalError> {
        if Hal::take_interrupt(self, interrupt) {
            return Ok(());
        }
        self.halt();
        if Hal::take_interrupt(self, interrupt) {
            return Ok(());
        }
        self.machine.borrow_mut().clock += limit;
        Err(HalError::TimedOut)
    }

    fn take_interrupt(&self, Interrupt(number): Interrupt) -> bool {
        if number < LINES {
            return self.line(number);
        }
        let messages = self.machine.borrow_mut().wires.messages.insert(number, 0);
        messages.is_some_and(|count| count > 0)
    }

    fn sleep(&self, limit: Duration) {
        if !self.halt() {
            self.machine.borrow_mut().clock += limit;
        }
    }

    fn now(&self) -> Duration {
        let mut machine = self.machine.borrow_mut();
        machine.clock += Duration::from_nanos(100);
        machine.clock
    }

    fn pause(&self) {
        self.machine.borrow_mut().clock += Duration::from_micros(1);
        self.halt();
    }

    #[inline]
    fn dma_access(&self, access: DmaAccess) {
        if self.watching.get().is_on() {
            self.see(access);
        }
    }

    #[inline]
    fn dma_fence(&self, ordering: Ordering) {
        if self.watching.get().barriers && ordering == Ordering::SeqCst {
            self.machine.borrow_mut().platform.barrier();
        }
    }

    #[cfg(feature = "mutants")]
    fn mutant(&self) -> Option<Mutant> {
        self.machine.borrow().mutant
    }

    #[cfg(feature = "mutants")]
    fn device_access_64(&self, memory: DeviceMemory, offset: u64, store: Option<u64>) -> u64 {
        let address = Self::device_address(memory, offset, 8);
        match store {
            Some(value) => self.store(Space::Memory, address, 8, value),
            None => return self.load(Space::Memory, address, 8),
        }
        0
    }

    fn ecam(&self) -> Option<ConfigAccess> {
        let (base, last_bus) = (ECAM.start, 255);
        Some(ConfigAccess::Ecam { base, first_bus: 0, last_bus })
    }

    fn mark(&self, word: u32) {
        if self.machine.borrow().marks {
            self.port_store(mark::PORT, word);
        }
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        for byte in format!("{line}\n").bytes() {
            self.store(Space::Port, 0x3f8, 1, byte.into());
        }
    }
}
