//! A driver that does exactly what a test says, right or wrong.

use eclipse_devices::disk::{Disk, MemoryDisk};
use eclipse_devices::fault::Fault;
use eclipse_devices::pci::Placement;
use eclipse_devices::virtio::{BlkConfig, Features, VirtioConfig};
use eclipse_devices::{BlockDevice, PlatformConfig, Preset, Ram, Space};
use eclipse_trace::Bdf;
use vm_memory::{ByteValued, Bytes, GuestAddress};

use crate::Loopback;

/// The block device of the modern preset, driven store by store.
///
/// It has no mind of its own: no checks, no waiting, no bookkeeping. The queue's
/// areas and buffers lie at the fixed addresses below.
pub struct Bare {
    /// The machine.
    pub machine: Loopback,
}

/// A descriptor: address, length, flags, next (VIRTIO 1.4, 2.7.5).
pub type Descriptor = (u64, u32, u16, u16);

/// `VIRTQ_DESC_F_NEXT`.
pub const NEXT: u16 = 1;
/// `VIRTQ_DESC_F_WRITE`.
pub const WRITE: u16 = 2;
/// `VIRTQ_DESC_F_INDIRECT`.
pub const INDIRECT: u16 = 4;

impl Bare {
    /// Where the block device is.
    pub const FUNCTION: Bdf = Bdf::new(0, 4, 0);
    /// The common configuration structure.
    pub const COMMON: u64 = 0xfe00_0000;
    /// The ISR status.
    pub const ISR: u64 = 0xfe00_1000;
    /// The block device's configuration.
    pub const BLOCK: u64 = 0xfe00_2000;
    /// The notification address of queue 0.
    pub const NOTIFY: u64 = 0xfe00_3000;
    /// The MSI-X table.
    pub const MSIX_TABLE: u64 = 0xfebc_1000;
    /// The MSI-X pending bits.
    pub const MSIX_PBA: u64 = 0xfebc_1800;
    /// The descriptor table.
    pub const DESC: u64 = 0x1000;
    /// The available ring.
    pub const AVAIL: u64 = 0x2000;
    /// The used ring.
    pub const USED: u64 = 0x3000;
    /// A request header.
    pub const HEADER: u64 = 0x4000;
    /// A status byte.
    pub const STATUS: u64 = 0x4010;
    /// Data.
    pub const DATA: u64 = 0x5000;
    /// Entries of the queue.
    pub const SIZE: u16 = 8;

    /// A machine of the modern preset in which nothing was done yet.
    pub fn new(disk: impl Disk + 'static) -> Self {
        Self::with_block(disk, BlkConfig::default())
    }

    /// The same, with a block device that says of itself what `block` says.
    pub fn with_block(disk: impl Disk + 'static, block: BlkConfig) -> Self {
        Self { machine: Loopback::with_block(Preset::Modern, disk, block) }
    }

    /// The same, with a device that presents itself as `virtio` says and has `queues` queues.
    pub fn with_virtio(virtio: VirtioConfig, queues: u16) -> Self {
        let mut block = BlockDevice::new(Box::new(MemoryDisk::counting(64)));
        block.virtio = virtio;
        block.blk.queues = queues;
        if queues > 1 {
            block.blk.features |= Features::MQ;
        }
        let placement = Placement::default();
        let config = PlatformConfig { blocks: vec![block], placement, ata: None };
        Self { machine: Loopback::with(config) }
    }

    /// The same with the device ready: bus master, features accepted, MSI-X with
    /// data 0x40 for configuration changes and 0x41 for queue 0, DRIVER_OK.
    pub fn ready(disk: impl Disk + 'static) -> Self {
        let bare = Self::new(disk);
        bare.start(u64::MAX);
        bare
    }

    /// A device that is ready and has these faults.
    pub fn with_faults(disk: impl Disk + 'static, faults: &[Fault]) -> Self {
        let bare = Self::with_schedule(disk, Vec::new());
        bare.start(u64::MAX);
        bare.machine.inject(faults.to_vec());
        bare
    }

    /// A machine of the modern preset in which nothing was done yet, with the faults of
    /// `schedule` from power-on.
    pub fn with_schedule(disk: impl Disk + 'static, schedule: Vec<Fault>) -> Self {
        let config = Preset::Modern.config(Box::new(disk));
        Self { machine: Loopback::with_faults(config, schedule, Ram::Watched) }
    }

    /// Makes the device ready, with those of the features accepted that it offers.
    pub fn start(&self, features: u64) {
        self.config_store(0x04, 2, 0x0406);
        self.accept(features);
        self.enable_msix();
        self.common(0x10, 2, 0);
        self.set_up_queue();
        self.common(0x1a, 2, 1);
        self.common(0x1c, 2, 1);
        self.common(0x14, 1, 0x0f);
    }

    /// Reset, ACKNOWLEDGE, DRIVER, all that is offered, FEATURES_OK.
    pub fn accept_features(&self) {
        self.accept(u64::MAX);
    }

    /// The same with no other features than these.
    pub fn accept(&self, features: u64) {
        self.common(0x14, 1, 0);
        self.common(0x14, 1, 0x01);
        self.common(0x14, 1, 0x03);
        for window in [0, 1] {
            self.common(0x00, 4, window);
            let offered = self.load_common(0x04, 4);
            self.common(0x08, 4, window);
            self.common(0x0c, 4, offered & (features >> (32 * window)));
        }
        self.common(0x14, 1, 0x0b);
    }

    /// Both vectors programmed and unmasked, MSI-X enabled.
    pub fn enable_msix(&self) {
        for vector in [0, 1] {
            let entry = Self::MSIX_TABLE + 16 * vector;
            self.store(entry, 4, 0xfee0_0000);
            self.store(entry + 4, 4, 0);
            self.store(entry + 8, 4, 0x40 + vector);
            self.store(entry + 12, 4, 0);
        }
        self.config_store(0x42, 2, 0x8000);
    }

    /// Size and areas of queue 0, which is not enabled yet.
    pub fn set_up_queue(&self) {
        self.common(0x16, 2, 0);
        self.common(0x18, 2, Self::SIZE.into());
        for (offset, area) in [(0x20, Self::DESC), (0x28, Self::AVAIL), (0x30, Self::USED)] {
            self.common(offset, 4, area);
            self.common(offset + 4, 4, 0);
        }
    }

    /// Stores to device memory.
    pub fn store(&self, address: u64, width: u8, value: u64) {
        self.machine.store(Space::Memory, address, width, value);
    }

    /// Loads from device memory.
    pub fn load(&self, address: u64, width: u8) -> u64 {
        self.machine.load(Space::Memory, address, width)
    }

    /// Stores to the common configuration.
    pub fn common(&self, offset: u64, width: u8, value: u64) {
        self.store(Self::COMMON + offset, width, value);
    }

    /// Loads from the common configuration.
    pub fn load_common(&self, offset: u64, width: u8) -> u64 {
        self.load(Self::COMMON + offset, width)
    }

    /// Stores to the function's configuration space.
    pub fn config_store(&self, offset: u8, width: u8, value: u64) {
        self.config_address(offset);
        self.machine.store(Space::Port, 0xcfc + u64::from(offset & 3), width, value);
    }

    /// Loads from the function's configuration space.
    pub fn config_load(&self, offset: u8, width: u8) -> u64 {
        self.config_address(offset);
        self.machine.load(Space::Port, 0xcfc + u64::from(offset & 3), width)
    }

    fn config_address(&self, offset: u8) {
        let address = 0x8000_2000 | u64::from(offset & 0xfc);
        self.machine.store(Space::Port, 0xcf8, 4, address);
    }

    /// Writes to RAM.
    pub fn write<T: ByteValued>(&self, address: u64, value: T) {
        let mut bytes = [0; 8];
        if let Some(room) = bytes.get_mut(..size_of::<T>()) {
            room.copy_from_slice(value.as_slice());
            let (width, value) = (size_of::<T>() as u8, u64::from_le_bytes(bytes));
            return self.machine.store_ram(address, width, value);
        }
        self.machine.memory().write_obj(value, GuestAddress(address)).expect("it is in RAM");
    }

    /// Reads from RAM.
    pub fn read<T: ByteValued>(&self, address: u64) -> T {
        if size_of::<T>() <= 8 {
            let bytes = self.machine.load_ram(address, size_of::<T>() as u8).to_le_bytes();
            let mut value = T::zeroed();
            value.as_mut_slice().copy_from_slice(&bytes[..size_of::<T>()]);
            return value;
        }
        self.machine.memory().read_obj(GuestAddress(address)).expect("it is in RAM")
    }

    /// Writes a request header to [`Bare::HEADER`].
    pub fn header(&self, kind: u32, sector: u64) {
        self.write(Self::HEADER, kind);
        self.write(Self::HEADER + 4, 0u32);
        self.write(Self::HEADER + 8, sector);
        self.write(Self::STATUS, 0xffu8);
    }

    /// Writes the descriptor table from its first entry on.
    pub fn descriptors(&self, descriptors: &[Descriptor]) {
        for (index, &(addr, len, flags, next)) in (0..).zip(descriptors) {
            let at = Self::DESC + 16 * index;
            self.write(at, addr);
            self.write(at + 8, len);
            self.write(at + 12, flags);
            self.write(at + 14, next);
        }
    }

    /// Puts `head` into the next slot of the available ring and rings the doorbell.
    pub fn make_available(&self, head: u16) {
        let idx: u16 = self.read(Self::AVAIL + 2);
        let slot = u64::from(idx % Self::SIZE);
        self.write(Self::AVAIL + 4 + 2 * slot, head);
        self.write(Self::AVAIL + 2, idx.wrapping_add(1));
        self.store(Self::NOTIFY, 2, 0);
    }

    /// Writes the descriptors, makes the chain at 0 available, and gives the
    /// transcript from the doorbell on.
    pub fn submit(&self, descriptors: &[Descriptor]) -> String {
        self.descriptors(descriptors);
        self.transcript_of(|| self.make_available(0))
    }

    /// What `accesses` come to: faults, requests, used elements, interrupts and
    /// violations, without how the requests got there.
    pub fn completions_of(&self, accesses: impl FnOnce()) -> String {
        let told = ["fault", "used", "msix", "request", "violation"];
        let transcript = self.transcript_of(accesses);
        let lines = transcript.lines().filter(|line| told.iter().any(|word| line.contains(word)));
        lines.map(|line| format!("{line}\n")).collect()
    }

    /// The transcript, with addresses, of what `accesses` causes.
    pub fn transcript_of(&self, accesses: impl FnOnce()) -> String {
        let from = self.machine.entries().len();
        accesses();
        let entries = self.machine.entries();
        entries[from..].iter().map(|entry| format!("{entry}\n")).collect()
    }
}
