//! A machine for the unit tests: configuration space, RAM, one block device.

mod block;
mod function;
mod legacy;

use std::{
    cell::RefCell, collections::BTreeMap, fmt, ptr::NonNull, rc::Rc, sync::atomic::Ordering,
    time::Duration,
};

pub use block::{FakeBlock, Fault, capability, notified, serve_next};
pub use function::Function;

use crate::{
    hal::{DeviceMemory, DmaAccess, DmaMemory, Hal, HalError, Interrupt, Vector, Word},
    pci::Address,
};

/// Where RAM begins, so that no physical address is an offset.
const RAM: u64 = 0x10_0000;
/// Bytes of RAM.
const RAM_LEN: usize = 1 << 20;
/// What lies in released memory.
const POISON: u8 = 0xa5;

pub struct Machine {
    ram: NonNull<u8>,
    next: usize,
    selected: u32,
    pub functions: BTreeMap<(u8, u8, u8), Function>,
    pub device: FakeBlock,
    pub pending: u32,
    pub waits: u32,
    pub clock: Duration,
    /// Bytes that are left out between two allocations.
    pub gap: usize,
    /// How long a pause is.
    pub pause: Duration,
    /// How often everyone slept.
    pub sleeps: u32,
    /// Address and bytes of all DMA memory that was ever allocated.
    pub allocated: Vec<(u64, usize)>,
    pub released: Vec<u64>,
    /// What was released while the device might access memory.
    pub released_live: Vec<u64>,
    pub log: Vec<String>,
    pub accesses: Vec<String>,
    pub mishap: Mishap,
    /// How many accesses there were.
    pub count: u32,
    /// What happens at each access to DMA memory.
    pub on_dma: Option<OnDma>,
    /// What happens at each fence.
    pub on_fence: Option<OnFence>,
    /// Which mistake the drivers over it make.
    #[cfg(feature = "mutants")]
    pub mutant: Option<crate::mutant::Mutant>,
    /// How many vectors there are.
    pub vectors: u32,
    /// Where messages go.
    pub message_address: u64,
    /// The device memory that was mapped.
    pub mapped: Vec<DeviceMemory>,
}

/// Plays the device between two accesses of the driver.
pub type OnDma = Box<dyn FnMut(&mut Machine, DmaAccess)>;

/// Notes what is kept in order.
pub type OnFence = Box<dyn FnMut(Ordering)>;

/// What happens to accesses, counted from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mishap {
    #[default]
    None,
    /// From this access on all loads are all ones, and stores are lost.
    Gone(u32),
    /// One load has one bit wrong.
    Flip(u32, u32),
}

#[derive(Clone)]
pub struct FakeHal(Rc<RefCell<Machine>>);

impl fmt::Debug for FakeHal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FakeHal")
    }
}

impl FakeHal {
    pub fn new() -> Self {
        let ram = vec![0_u64; RAM_LEN / 8].leak();
        Self(Rc::new(RefCell::new(Machine {
            ram: NonNull::from(ram).cast(),
            next: 0,
            selected: 0,
            functions: BTreeMap::new(),
            device: FakeBlock::new(),
            pending: 0,
            waits: 0,
            clock: Duration::ZERO,
            gap: 0,
            pause: Duration::from_micros(1),
            sleeps: 0,
            allocated: Vec::new(),
            released: Vec::new(),
            released_live: Vec::new(),
            log: Vec::new(),
            accesses: Vec::new(),
            mishap: Mishap::None,
            count: 0,
            on_dma: None,
            on_fence: None,
            #[cfg(feature = "mutants")]
            mutant: None,
            vectors: 16,
            message_address: 0xfee0_0000,
            mapped: Vec::new(),
        })))
    }

    pub fn machine(&self) -> std::cell::RefMut<'_, Machine> {
        self.0.borrow_mut()
    }

    pub fn insert(&self, device: u8, function: u8, registers: Function) -> Address {
        self.insert_at(Address { bus: 0, device, function }, registers)
    }

    pub fn insert_at(&self, address: Address, registers: Function) -> Address {
        let Address { bus, device, function } = address;
        self.machine().functions.insert((bus, device, function), registers);
        address
    }
}

impl Machine {
    /// Whether used buffers raise this interrupt: a line, or the last vector that was set aside.
    /// The first one is that of configuration changes, unless it is the only one.
    fn is_of_the_queue(&self, interrupt: Interrupt) -> bool {
        interrupt.0 < 24 || interrupt.0 == 0x2f + self.device.vectors
    }

    /// A copy of RAM.
    pub fn ram<const N: usize>(&self, address: u64) -> [u8; N] {
        let place = self.place(address, N);
        // SAFETY: `place` answers with a place in RAM, which is never freed, with room for N bytes.
        unsafe { place.cast::<[u8; N]>().read_unaligned() }
    }

    /// Writes RAM.
    pub fn set_ram(&mut self, address: u64, bytes: &[u8]) {
        let place = self.place(address, bytes.len());
        // SAFETY: `place` answers with a place in RAM, which is never freed, with room for them.
        unsafe { place.copy_from_nonoverlapping(NonNull::from(bytes).cast(), bytes.len()) }
    }

    fn place(&self, address: u64, len: usize) -> NonNull<u8> {
        let offset = usize::try_from(address - RAM).expect("an address in RAM");
        assert!(offset + len <= RAM_LEN, "{address:#x} is not RAM");
        // SAFETY: the offset was just checked to lie in RAM.
        unsafe { self.ram.add(offset) }
    }

    /// Whether some bridge says that the bus is behind it.
    fn bridged(&self, bus: u8) -> bool {
        self.functions.values().any(|function| {
            let [secondary, subordinate] = [function.bytes[0x19], function.bytes[0x1a]];
            function.bytes[0x0e] & 0x7f == 1 && (secondary..=subordinate).contains(&bus)
        })
    }

    fn config(&mut self, port: u16) -> Option<(&mut Function, usize)> {
        if !(0xcfc..0xd00).contains(&port) {
            return None;
        }
        let [register, device, bus, _] = self.selected.to_le_bytes();
        let offset = usize::from(register) + usize::from(port - 0xcfc);
        if bus != 0 && !self.bridged(bus) {
            return None;
        }
        let function = self.functions.get_mut(&(bus, device >> 3, device & 7))?;
        Some((function, offset))
    }

    /// Counts a store; whether it arrives.
    fn arrives(&mut self) -> bool {
        let now = self.count;
        self.count += 1;
        !matches!(self.mishap, Mishap::Gone(from) if now >= from)
    }

    /// Counts a load; what the driver gets of it.
    fn seen<T: Word>(&mut self, value: T) -> T {
        let now = self.count;
        if !self.arrives() {
            return T::truncate(u32::MAX);
        }
        match self.mishap {
            Mishap::Flip(at, bit) if at == now => T::truncate(value.into() ^ 1 << bit),
            _ => value,
        }
    }

    fn note(&mut self, what: &str, offset: u64, width: u8, arrow: &str, value: u32) {
        if self.mishap != Mishap::None {
            // A sweep asks how it ends, not how it came to that.
            return;
        }
        let digits = 2 * usize::from(width);
        self.accesses.push(format!("{what} +{offset:02x} {arrow} {value:0digits$x}"));
    }
}

impl Hal for FakeHal {
    fn port_load<T: Word>(&self, port: u16) -> T {
        let mut machine = self.machine();
        if let Some(offset) = legacy::place(port) {
            let value = T::truncate(machine.legacy_load(offset, T::WIDTH));
            machine.note("ports", offset, T::WIDTH, "->", value.into());
            return machine.seen(value);
        }
        // What no function answers reads as all ones, and is not noted.
        let Some((function, offset)) = machine.config(port) else {
            return T::truncate(u32::MAX);
        };
        let value = (0..usize::from(T::WIDTH))
            .map(|byte| u32::from(function.bytes[offset + byte]) << (8 * byte))
            .sum();
        machine.note("config", offset as u64, T::WIDTH, "->", value);
        machine.seen(T::truncate(value))
    }

    fn port_store<T: Word>(&self, port: u16, value: T) {
        let mut machine = self.machine();
        let value: u32 = value.into();
        if port == 0xcf8 {
            machine.selected = value;
            return;
        }
        if !machine.arrives() {
            return;
        }
        if let Some(offset) = legacy::place(port) {
            machine.note("ports", offset, T::WIDTH, "<-", value);
            return machine.legacy_store(offset, T::WIDTH, value);
        }
        if let Some((function, offset)) = machine.config(port) {
            for byte in 0..usize::from(T::WIDTH) {
                let mask = function.writable[offset + byte];
                let new = value.to_le_bytes()[byte];
                let old = &mut function.bytes[offset + byte];
                *old = *old & !mask | new & mask;
            }
            machine.note("config", offset as u64, T::WIDTH, "<-", value);
        }
    }

    fn map_device(&self, address: u64, len: u64) -> Result<DeviceMemory, HalError> {
        if address < RAM + RAM_LEN as u64 || address.checked_add(len).is_none() {
            return Err(HalError::CannotMap(address));
        }
        let memory = DeviceMemory { base: address, len };
        self.machine().mapped.push(memory);
        Ok(memory)
    }

    fn device_load<T: Word>(&self, memory: DeviceMemory, offset: u64) -> T {
        assert!(offset + u64::from(T::WIDTH) <= memory.len);
        let mut machine = self.machine();
        assert!(machine.mapped.contains(&memory), "mapped before it is touched");
        let (what, at) = block::place(memory.base + offset);
        let value = T::truncate(machine.device.load(what, at, T::WIDTH));
        machine.note(what, at, T::WIDTH, "->", value.into());
        machine.seen(value)
    }

    fn device_store<T: Word>(&self, memory: DeviceMemory, offset: u64, value: T) {
        assert!(offset + u64::from(T::WIDTH) <= memory.len);
        let mut machine = self.machine();
        assert!(machine.mapped.contains(&memory), "mapped before it is touched");
        let (what, at) = block::place(memory.base + offset);
        machine.note(what, at, T::WIDTH, "<-", value.into());
        if !machine.arrives() {
            return;
        }
        block::store(&mut machine, what, at, value.into());
    }

    fn allocate_dma(&self, size: usize, align: usize) -> Option<DmaMemory> {
        if size == 0 || !align.is_power_of_two() {
            return None;
        }
        let mut machine = self.machine();
        let offset = machine.next.next_multiple_of(align);
        let address = RAM + offset as u64;
        machine.next = offset + size + machine.gap;
        if machine.next > RAM_LEN {
            return None;
        }
        machine.set_ram(address, &vec![0; size]);
        machine.allocated.push((address, size));
        Some(DmaMemory { pointer: machine.place(address, size), address })
    }

    unsafe fn release_dma(&self, memory: DmaMemory, size: usize, _align: usize) {
        let mut machine = self.machine();
        machine.set_ram(memory.address, &vec![POISON; size]);
        machine.released.push(memory.address);
        if machine.device.status() & 0x04 != 0 {
            machine.released_live.push(memory.address);
        }
    }

    fn virt_to_phys(&self, address: u64) -> Result<u64, HalError> {
        let start = self.machine().ram.addr().get() as u64;
        match address.checked_sub(start) {
            Some(offset) if offset < RAM_LEN as u64 => Ok(RAM + offset),
            _ => Err(HalError::NotMapped(address)),
        }
    }

    fn allocate_vector(&self) -> Option<Vector> {
        let mut machine = self.machine();
        if machine.device.vectors == machine.vectors {
            return None;
        }
        machine.device.vectors += 1;
        let data = 0x2f + machine.device.vectors;
        Some(Vector { address: machine.message_address, data, interrupt: Interrupt(data) })
    }

    fn connect_line(&self, line: u8) -> Option<Interrupt> {
        (line < 24).then_some(Interrupt(line.into()))
    }

    fn wait_for_interrupt(&self, interrupt: Interrupt, limit: Duration) -> Result<(), HalError> {
        let mut machine = self.machine();
        machine.waits += 1;
        if machine.pending == 0 || !machine.is_of_the_queue(interrupt) {
            machine.clock += limit;
            return Err(HalError::TimedOut);
        }
        machine.pending -= 1;
        Ok(())
    }

    fn take_interrupt(&self, interrupt: Interrupt) -> bool {
        let mut machine = self.machine();
        let raised = machine.pending > 0 && machine.is_of_the_queue(interrupt);
        machine.pending -= u32::from(raised);
        raised
    }

    fn sleep(&self, limit: Duration) {
        let mut machine = self.machine();
        machine.sleeps += 1;
        if machine.pending == 0 {
            machine.clock += limit;
        }
    }

    fn now(&self) -> Duration {
        let mut machine = self.machine();
        // An instruction takes its time, too.
        machine.clock += Duration::from_nanos(100);
        machine.clock
    }

    fn pause(&self) {
        let mut machine = self.machine();
        let pause = machine.pause;
        machine.clock += pause;
    }

    fn dma_access(&self, access: DmaAccess) {
        let mut machine = self.machine();
        if let Some(mut on_dma) = machine.on_dma.take() {
            on_dma(&mut machine, access);
            machine.on_dma = Some(on_dma);
        }
    }

    fn dma_fence(&self, ordering: Ordering) {
        if let Some(on_fence) = &mut self.machine().on_fence {
            on_fence(ordering);
        }
    }

    #[cfg(feature = "mutants")]
    fn mutant(&self) -> Option<crate::mutant::Mutant> {
        self.machine().mutant
    }

    fn log(&self, line: fmt::Arguments<'_>) {
        self.machine().log.push(line.to_string());
    }
}
