//! Driver and devices in one process, without KVM.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use eclipse_devices::disk::Disk;
use eclipse_devices::fault::Fault;
use eclipse_devices::pci::ECAM;
use eclipse_devices::virtio::BlkConfig;
use eclipse_devices::watch::{Watch, Watching};
use eclipse_devices::{
    Completion, Host, Platform, PlatformConfig, Preset, Ram, Space, Stop, Wires,
};
use eclipse_kernel::hal::{
    DeviceMemory, DmaAccess, DmaMemory, Hal, HalError, Interrupt, Vector, Word,
};
#[cfg(feature = "mutants")]
use eclipse_kernel::mutant::Mutant;
use eclipse_kernel::{mark, pci::ConfigAccess};
use eclipse_trace::{Bdf, Entry, Recorder, Summary, text};
use vm_memory::{GuestAddress, GuestMemoryBackend, GuestMemoryMmap};

use crate::dma::DmaMap;

/// A machine without a processor: the emulated devices, RAM, and a record.
///
/// The test is the processor. It accesses the machine directly, or runs a driver
/// over it; clones are the same machine.
#[derive(Clone)]
pub struct Loopback {
    machine: Rc<RefCell<Machine>>,
    /// What of RAM is watched, beside the machine: a driver's accesses to memory are many.
    watching: Rc<Cell<Watching>>,
}

struct Machine {
    memory: GuestMemoryMmap<()>,
    platform: Platform,
    recorder: Recorder,
    wires: Raised,
    dma: DmaMap,
    vectors: u32,
    /// Virtual time: it passes with accesses and with waits, never by itself.
    clock: Duration,
    /// Whether the drivers' marks are said.
    marks: bool,
    /// Which mistake the drivers over it make.
    #[cfg(feature = "mutants")]
    mutant: Option<Mutant>,
}

/// What the devices raised and nobody has taken yet.
#[derive(Default)]
struct Raised {
    /// By message data.
    messages: BTreeMap<u32, u32>,
    /// The level of each interrupt line that was ever driven.
    lines: BTreeMap<u32, bool>,
    console: Vec<u8>,
    /// The run is to end.
    stopping: bool,
}

impl Wires for Raised {
    fn msi(&mut self, _address: u64, data: u32) {
        *self.messages.entry(data).or_default() += 1;
    }

    fn line(&mut self, gsi: u32, level: bool) {
        self.lines.insert(gsi, level);
    }

    fn console(&mut self, bytes: &[u8]) {
        self.console.extend_from_slice(bytes);
    }

    fn stopping(&self) -> bool {
        self.stopping
    }
}

impl Loopback {
    const RAM: usize = 16 << 20;
    /// The interrupt lines of an IOAPIC; vectors have higher numbers.
    const LINES: u32 = 24;
    /// The first vector that the guest's interrupt code gives out.
    const FIRST_VECTOR: u32 = 0x30;
    /// The local APIC with ID 0 (Intel SDM volume 3, 11.11.1).
    const MESSAGE_ADDRESS: u64 = 0xfee0_0000;

    /// A machine with the devices of `preset`, and `disk` behind its block device.
    pub fn new(preset: Preset, disk: impl Disk + 'static) -> Self {
        Self::with_block(preset, disk, BlkConfig::default())
    }

    /// The same, with a block device that says of itself what `block` says.
    pub fn with_block(preset: Preset, disk: impl Disk + 'static, block: BlkConfig) -> Self {
        let mut config = preset.config(Box::new(disk));
        for device in &mut config.blocks {
            device.blk = block.clone();
        }
        Self::with(config)
    }

    /// A machine with the devices of `config`.
    ///
    /// # Panics
    /// They cannot be like that.
    pub fn with(config: PlatformConfig) -> Self {
        Self::with_faults(config, Vec::new(), Ram::Direct)
    }

    /// A machine with the devices of `config` and the faults of `schedule`, from power-on.
    ///
    /// The guest's drivers access their rings through pointers, which nobody sees: for them
    /// `ram` is [`Ram::Direct`]. With [`Ram::Watched`] the test has to go through
    /// [`Loopback::load_ram`] and [`Loopback::store_ram`].
    ///
    /// # Panics
    /// They cannot be like that.
    pub fn with_faults(config: PlatformConfig, schedule: Vec<Fault>, ram: Ram) -> Self {
        let memory = GuestMemoryMmap::from_ranges(&[(GuestAddress(0), Self::RAM)])
            .expect("the host gives the guest its RAM");
        let machine = Machine {
            memory,
            platform: Platform::with_faults(config, &schedule, ram)
                .unwrap_or_else(|error| panic!("{error}")),
            recorder: Recorder::new(),
            wires: Raised::default(),
            dma: DmaMap::default(),
            vectors: 0,
            clock: Duration::ZERO,
            marks: false,
            #[cfg(feature = "mutants")]
            mutant: None,
        };
        let machine = Rc::new(RefCell::new(machine));
        let machine = Self { machine, watching: Rc::default() };
        machine.inject(schedule);
        machine
    }

    /// The same machine with `recorder` in place of one that keeps everything, for what goes on
    /// too long for that.
    pub fn recorded_by(self, recorder: Recorder) -> Self {
        self.machine.borrow_mut().recorder = recorder;
        self
    }

    /// Records these accesses of the guest's drivers to DMA memory from now on, and the barriers
    /// among them. A copy is recorded in the pieces in which the bootable image makes it.
    pub fn watch(&self, watching: Watching) {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.watch(&Host::new(memory, wires, recorder), watching);
        self.watching.set(watching);
    }

    /// The same machine, whose drivers say at the debug mark what no access shows, as the image
    /// does with `marks=on`.
    pub fn marking(self) -> Self {
        self.machine.borrow_mut().marks = true;
        self
    }

    /// Has the drivers over it make this mistake.
    #[cfg(feature = "mutants")]
    pub fn make(&self, mutant: Option<Mutant>) {
        self.machine.borrow_mut().mutant = mutant;
    }

    /// What was recorded so far, in numbers.
    pub fn summary(&self) -> Summary {
        self.machine.borrow().recorder.summary().clone()
    }

    /// Puts `disk` on the primary channel of the IDE controller.
    pub fn attach_ata(&self, disk: impl Disk + 'static) {
        self.machine.borrow_mut().platform.attach_ata(Box::new(disk));
    }

    /// Gives the disk of `function` another size while it is in use.
    pub fn set_capacity(&self, function: Bdf, sectors: u64) -> io::Result<()> {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.set_capacity(&mut Host::new(memory, wires, recorder), function, sectors)
    }

    /// Whether and how the test asked to end the run.
    pub fn stop(&self) -> Option<Stop> {
        self.machine.borrow().platform.stop()
    }

    /// Loads from a port or from device memory, `width` bytes wide.
    pub fn load(&self, space: Space, address: u64, width: u8) -> u64 {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.load(&mut Host::new(memory, wires, recorder), space, address, width)
    }

    /// Stores to a port or to device memory, `width` bytes wide.
    pub fn store(&self, space: Space, address: u64, width: u8, value: u64) {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.store(&mut Host::new(memory, wires, recorder), space, address, width, value);
    }

    /// Loads from RAM, as a guest does that leaves its processor for it where a fault wants
    /// to see that.
    pub fn load_ram(&self, address: u64, width: u8) -> u64 {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.load_ram(&mut Host::new(memory, wires, recorder), address, width)
    }

    /// Stores to RAM in the same way.
    pub fn store_ram(&self, address: u64, width: u8, value: u64) {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.store_ram(&mut Host::new(memory, wires, recorder), address, width, value);
    }

    /// The parts of RAM that faults want to see accesses to.
    pub fn watches(&self) -> Vec<Watch> {
        self.machine.borrow().platform.watches().to_vec()
    }

    /// Has every device complete its requests by `completion` from now on.
    pub fn complete_by(&self, completion: Completion) {
        self.machine.borrow_mut().platform.set_completion(completion);
    }

    /// Puts a schedule of faults to work.
    ///
    /// # Panics
    /// One of them can never strike.
    pub fn inject(&self, faults: Vec<Fault>) {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        let injected = platform.set_faults(&mut Host::new(memory, wires, recorder), faults);
        injected.unwrap_or_else(|(number, why)| panic!("fault {number}: {why}"));
    }

    /// The guest halts; whether a device completed something.
    pub fn halt(&self) -> bool {
        let Machine { memory, platform, recorder, wires, .. } = &mut *self.machine.borrow_mut();
        platform.idle(&mut Host::new(memory, wires, recorder))
    }

    /// Says that the run is to end, so that devices break off what takes long.
    pub fn end_run(&self) {
        self.machine.borrow_mut().wires.stopping = true;
    }

    /// The machine's RAM.
    pub fn memory(&self) -> GuestMemoryMmap<()> {
        self.machine.borrow().memory.clone()
    }

    /// Everything recorded so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.machine.borrow().recorder.entries().to_vec()
    }

    /// How much was recorded so far.
    pub fn recorded(&self) -> usize {
        self.machine.borrow().recorder.entries().len()
    }

    /// What was recorded from entry `from` on.
    pub fn entries_from(&self, from: usize) -> Vec<Entry> {
        self.machine.borrow().recorder.entries()[from..].to_vec()
    }

    /// The transcript from entry `from` on, memory named by what lies there.
    pub fn transcript_from(&self, from: usize) -> String {
        let entries = self.entries();
        text::symbolic(&entries[from..], &entries)
    }

    /// What was printed on the console.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&self.machine.borrow().wires.console).into_owned()
    }

    /// Takes one interrupt with this message data; `false` when none was raised.
    pub fn take_interrupt(&self, data: u32) -> bool {
        match self.machine.borrow_mut().wires.messages.get_mut(&data) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }

    /// Whether interrupt line `gsi` is high.
    pub fn line(&self, gsi: u32) -> bool {
        self.machine.borrow().wires.lines.get(&gsi).copied().unwrap_or(false)
    }

    /// Bytes of DMA memory that are allocated now.
    pub fn dma_allocated(&self) -> usize {
        self.machine.borrow().dma.allocated()
    }

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
        let data = Self::FIRST_VECTOR + machine.vectors;
        machine.vectors += 1;
        Some(Vector { address: Self::MESSAGE_ADDRESS, data, interrupt: Interrupt(data) })
    }

    fn connect_line(&self, line: u8) -> Option<Interrupt> {
        (u32::from(line) < Self::LINES).then_some(Interrupt(line.into()))
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
        if number < Self::LINES {
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
