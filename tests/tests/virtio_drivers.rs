//! A second driver that nobody here wrote: the public `virtio-drivers` crate over
//! the emulated bus. It must find the device to be what it expects.

use std::cell::RefCell;
use std::ptr::NonNull;

use eclipse_devices::disk::{Disk, MemoryDisk};
use eclipse_devices::virtio::{BlkConfig, Features};
use eclipse_devices::{Preset, Space};
use eclipse_kernel::hal::{DmaMemory, Hal as _};
use eclipse_tests::Loopback;
use eclipse_trace::{Event, RequestKind, Ring, Table};
use virtio_drivers::device::blk::VirtIOBlk;
use virtio_drivers::transport::{DeviceStatus, DeviceType, InterruptStatus, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr, Result};
use vm_memory::{Bytes, GuestAddress};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Where the modern preset has the four structures.
const COMMON: u64 = 0xfe00_0000;
const ISR: u64 = 0xfe00_1000;
const DEVICE: u64 = 0xfe00_2000;
const NOTIFY: u64 = 0xfe00_3000;

thread_local! {
    /// The driver's `Hal` has no `self`, so the machine is the test thread's.
    static MACHINE: RefCell<Option<Loopback>> = const { RefCell::new(None) };
}

fn machine() -> Loopback {
    MACHINE.with_borrow(|machine| machine.clone().expect("the test made a machine"))
}

struct Bus(Loopback);

impl Bus {
    fn load(&self, address: u64, width: u8) -> u64 {
        self.0.load(Space::Memory, address, width)
    }

    fn store(&self, address: u64, width: u8, value: u64) {
        self.0.store(Space::Memory, address, width, value);
    }

    fn select(&self, queue: u16) {
        self.store(COMMON + 0x16, 2, queue.into());
    }

    fn store_halves(&self, offset: u64, value: u64) {
        self.store(COMMON + offset, 4, value & 0xffff_ffff);
        self.store(COMMON + offset + 4, 4, value >> 32);
    }
}

impl Transport for Bus {
    fn device_type(&self) -> DeviceType {
        DeviceType::Block
    }

    fn read_device_features(&mut self) -> u64 {
        self.store(COMMON, 4, 0);
        let low = self.load(COMMON + 4, 4);
        self.store(COMMON, 4, 1);
        self.load(COMMON + 4, 4) << 32 | low
    }

    fn write_driver_features(&mut self, features: u64) {
        for window in [0, 1] {
            self.store(COMMON + 8, 4, window);
            self.store(COMMON + 0xc, 4, features >> (32 * window) & 0xffff_ffff);
        }
    }

    fn max_queue_size(&mut self, queue: u16) -> u32 {
        self.select(queue);
        self.load(COMMON + 0x18, 2) as u32
    }

    fn notify(&mut self, queue: u16) {
        self.select(queue);
        let offset = 4 * self.load(COMMON + 0x1e, 2);
        self.store(NOTIFY + offset, 2, queue.into());
    }

    fn get_status(&self) -> DeviceStatus {
        DeviceStatus::from_bits_retain(self.load(COMMON + 0x14, 1) as u32)
    }

    fn set_status(&mut self, status: DeviceStatus) {
        self.store(COMMON + 0x14, 1, status.bits().into());
    }

    fn set_guest_page_size(&mut self, _size: u32) {}

    fn requires_legacy_layout(&self) -> bool {
        false
    }

    fn queue_set(
        &mut self,
        queue: u16,
        size: u32,
        descriptors: PhysAddr,
        driver_area: PhysAddr,
        device_area: PhysAddr,
    ) {
        self.select(queue);
        self.store(COMMON + 0x18, 2, size.into());
        self.store_halves(0x20, descriptors);
        self.store_halves(0x28, driver_area);
        self.store_halves(0x30, device_area);
        self.store(COMMON + 0x1c, 2, 1);
    }

    /// A queue goes away with the reset of its device.
    fn queue_unset(&mut self, _queue: u16) {}

    fn queue_used(&mut self, queue: u16) -> bool {
        self.select(queue);
        self.load(COMMON + 0x1c, 2) == 1
    }

    fn ack_interrupt(&mut self) -> InterruptStatus {
        InterruptStatus::from_bits_retain(self.load(ISR, 1) as u32)
    }

    fn read_config_generation(&self) -> u32 {
        self.load(COMMON + 0x15, 1) as u32
    }

    fn read_config_space<T: FromBytes + IntoBytes>(&self, offset: usize) -> Result<T> {
        let value = self.load(DEVICE + offset as u64, size_of::<T>() as u8).to_le_bytes();
        Ok(T::read_from_bytes(&value[..size_of::<T>()]).expect("a field of 1 to 8 bytes"))
    }

    fn write_config_space<T: IntoBytes + Immutable>(&mut self, offset: usize, value: T) -> Result {
        let mut bytes = [0; 8];
        bytes[..size_of::<T>()].copy_from_slice(value.as_bytes());
        self.store(DEVICE + offset as u64, size_of::<T>() as u8, u64::from_le_bytes(bytes));
        Ok(())
    }
}

struct Ram;

// SAFETY: DMA memory is the machine's own RAM, page-aligned, zeroed and allocated
// once; device memory is never mapped.
unsafe impl Hal for Ram {
    fn dma_alloc(pages: usize, _direction: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let memory = machine().allocate_dma(pages * PAGE_SIZE, PAGE_SIZE).expect("RAM is left");
        (memory.address, memory.pointer)
    }

    unsafe fn dma_dealloc(address: PhysAddr, pointer: NonNull<u8>, pages: usize) -> i32 {
        let memory = DmaMemory { pointer, address };
        // SAFETY: the driver gives back what `dma_alloc` gave it.
        unsafe { machine().release_dma(memory, pages * PAGE_SIZE, PAGE_SIZE) };
        0
    }

    unsafe fn mmio_phys_to_virt(_address: PhysAddr, _size: usize) -> NonNull<u8> {
        unreachable!("the transport does not map device memory")
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        let memory = machine().allocate_dma(buffer.len(), 16).expect("RAM is left");
        if direction != BufferDirection::DeviceToDriver {
            // SAFETY: the driver promises a valid buffer that nothing else uses now.
            let bytes = unsafe { buffer.as_ref() };
            let ram = machine().memory();
            ram.write_slice(bytes, GuestAddress(memory.address)).expect("it is in RAM");
        }
        memory.address
    }

    unsafe fn unshare(address: PhysAddr, mut buffer: NonNull<[u8]>, direction: BufferDirection) {
        if direction != BufferDirection::DriverToDevice {
            // SAFETY: the driver promises a valid buffer that nothing else uses now.
            let bytes = unsafe { buffer.as_mut() };
            let ram = machine().memory();
            ram.read_slice(bytes, GuestAddress(address)).expect("it is in RAM");
        }
        let memory = DmaMemory { pointer: NonNull::dangling(), address };
        // SAFETY: `share` allocated it with this size and alignment.
        unsafe { machine().release_dma(memory, buffer.len(), 16) };
    }
}

fn start(disk: impl Disk + 'static) -> VirtIOBlk<Ram, Bus> {
    start_with(disk, Features::empty())
}

/// The same with `features` offered as well.
fn start_with(disk: impl Disk + 'static, features: Features) -> VirtIOBlk<Ram, Bus> {
    let default = BlkConfig::default();
    let block = BlkConfig { features: default.features | features, ..default };
    let machine = Loopback::with_block(Preset::Modern, disk, block);
    // Bus mastering, which the driver's own PCI code is not here to set.
    machine.store(Space::Port, 0xcf8, 4, 0x8000_2004);
    machine.store(Space::Port, 0xcfc, 2, 0x0006);
    MACHINE.set(Some(machine.clone()));
    VirtIOBlk::new(Bus(machine)).expect("the device comes up")
}

#[test]
fn it_reads_what_the_disk_holds() {
    let mut blk = start(MemoryDisk::counting(64));
    assert_eq!((blk.capacity(), blk.readonly()), (64, false));
    let mut data = [0; 1024];
    blk.read_blocks(7, &mut data).expect("the read succeeds");
    let words: Vec<u64> =
        data.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    assert_eq!(words, (7 * 64..9 * 64).collect::<Vec<_>>());
}

#[test]
fn it_reads_back_what_it_wrote_and_flushed() {
    let mut blk = start(MemoryDisk::counting(64));
    let pattern: [u8; 512] = std::array::from_fn(|i| (i * 7) as u8);
    blk.write_blocks(63, &pattern).expect("the write succeeds");
    blk.flush().expect("the flush succeeds");
    let mut data = [0; 512];
    blk.read_blocks(63, &mut data).expect("the read succeeds");
    assert_eq!(data, pattern);

    let entries = machine().entries();
    let requests: Vec<_> = entries
        .iter()
        .filter_map(|entry| match entry.event {
            Event::Request { request, sector, len, .. } => Some((request, sector, len)),
            _ => None,
        })
        .collect();
    let (out, flush, inn) = (RequestKind::Out, RequestKind::Flush, RequestKind::In);
    assert_eq!(requests, [(out, 63, 512), (flush, 0, 0), (inn, 63, 512)]);
}

#[test]
fn it_is_told_the_device_id_and_that_a_read_beyond_the_end_fails() {
    let mut blk = start(MemoryDisk::counting(64));
    let mut id = [0; 20];
    let length = blk.device_id(&mut id).expect("the device has an ID");
    assert_eq!(&id[..length], b"eclipse-vmm disk");
    assert!(blk.read_blocks(64, &mut [0; 512]).is_err());
}

#[test]
fn it_puts_its_requests_into_tables_and_goes_by_the_events_where_both_are_offered() {
    let offered = Features::INDIRECT_DESC | Features::EVENT_IDX;
    let mut blk = start_with(MemoryDisk::counting(64), offered);
    let pattern: [u8; 512] = std::array::from_fn(|i| (i * 7) as u8);
    blk.write_blocks(63, &pattern).expect("the write succeeds");
    let mut data = [0; 512];
    blk.read_blocks(63, &mut data).expect("the read succeeds");
    assert_eq!(data, pattern);

    let entries = machine().entries();
    let count = |what: fn(&Event) -> bool| entries.iter().filter(|e| what(&e.event)).count();
    let indirect =
        |event: &Event| matches!(event, Event::Descriptor { table: Table::Indirect, .. });
    assert_eq!(count(indirect), 2 * 3, "header, data and status of two requests");
    let ring = |event: &Event, field| matches!(event, Event::Ring { field: f, .. } if *f == field);
    assert_eq!(entries.iter().filter(|e| ring(&e.event, Ring::UsedEvent)).count(), 2);
    assert_eq!(entries.iter().filter(|e| ring(&e.event, Ring::AvailEvent)).count(), 2);
    assert_eq!(count(|event| matches!(event, Event::Violation { .. })), 0);
}

#[test]
fn it_goes_on_past_the_index_wrap_with_tables_and_events() {
    let offered = Features::INDIRECT_DESC | Features::EVENT_IDX;
    let mut blk = start_with(MemoryDisk::counting(4), offered);
    for round in 0..66_000u64 {
        let mut data = [0; 512];
        blk.read_blocks((round % 4) as usize, &mut data).expect("the read succeeds");
        assert_eq!(data[..8], (round % 4 * 64).to_le_bytes());
    }
}

#[test]
fn it_goes_on_past_the_index_wrap() {
    let mut blk = start(MemoryDisk::counting(4));
    for round in 0..66_000u64 {
        let mut data = [0; 512];
        blk.read_blocks((round % 4) as usize, &mut data).expect("the read succeeds");
        assert_eq!(data[..8], (round % 4 * 64).to_le_bytes());
    }
}
