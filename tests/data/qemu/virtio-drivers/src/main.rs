//! The public `virtio-drivers` crate and its own PCI code, as a program of a Linux guest that has
//! no driver for the device: `../record.sh` records what it does.
//!
//! Device memory is mapped from `/dev/mem`, DMA memory is one huge page, and configuration space
//! is reached by ports, so each access of the crate is one of the processor's.

use std::arch::asm;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::ptr::{self, NonNull};
use std::slice;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use virtio_drivers::device::blk::{SECTOR_SIZE, VirtIOBlk};
use virtio_drivers::transport::pci::bus::{Command, ConfigurationAccess, DeviceFunction, PciRoot};
use virtio_drivers::transport::pci::{PciTransport, virtio_device_type};
use virtio_drivers::transport::DeviceType;
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

/// The debug mark: here the log of the driver begins.
const MARK: u16 = 0xe0;

fn out(port: u16, value: u32) {
    // SAFETY: `main` asked for the ports; they are the host bridge's and the mark.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack)) };
}

fn inp(port: u16) -> u32 {
    let value;
    // SAFETY: as above.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack)) };
    value
}

/// Configuration mechanism #1.
struct Ports;

impl Ports {
    fn select(function: DeviceFunction, offset: u8) {
        let DeviceFunction { bus, device, function } = function;
        let at = u32::from(bus) << 16 | u32::from(device) << 11 | u32::from(function) << 8;
        out(0xcf8, 1 << 31 | at | u32::from(offset));
    }
}

impl ConfigurationAccess for Ports {
    fn read_word(&self, function: DeviceFunction, offset: u8) -> u32 {
        Self::select(function, offset);
        inp(0xcfc)
    }

    fn write_word(&mut self, function: DeviceFunction, offset: u8, data: u32) {
        Self::select(function, offset);
        out(0xcfc, data);
    }

    unsafe fn unsafe_clone(&self) -> Self {
        Self
    }
}

/// One huge page, from which nothing is given back.
struct Arena;

static START: AtomicUsize = AtomicUsize::new(0);
static PHYSICAL: AtomicU64 = AtomicU64::new(0);
static NEXT: AtomicUsize = AtomicUsize::new(0);

impl Arena {
    const SIZE: usize = 2 << 20;

    fn map() {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_HUGETLB | libc::MAP_POPULATE;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses.
        let start = unsafe { libc::mmap(ptr::null_mut(), Self::SIZE, access, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED, "no huge page: {}", std::io::Error::last_os_error());
        let mut entry = [0; 8];
        let pages = File::open("/proc/self/pagemap").expect("there is a page map");
        let at = start as u64 / PAGE_SIZE as u64 * 8;
        pages.read_exact_at(&mut entry, at).expect("the page has an entry");
        let frame = u64::from_le_bytes(entry) & (1 << 55) - 1;
        assert_ne!(frame, 0, "frame numbers are for root");
        START.store(start as usize, Ordering::Relaxed);
        PHYSICAL.store(frame * PAGE_SIZE as u64, Ordering::Relaxed);
    }

    fn take(bytes: usize) -> (PhysAddr, NonNull<u8>) {
        let offset = NEXT.fetch_add(bytes.next_multiple_of(PAGE_SIZE), Ordering::Relaxed);
        assert!(offset + bytes <= Self::SIZE, "the huge page is used up");
        let pointer = NonNull::new((START.load(Ordering::Relaxed) + offset) as *mut u8);
        (PHYSICAL.load(Ordering::Relaxed) + offset as u64, pointer.expect("it is mapped"))
    }

    fn at(address: PhysAddr) -> *mut u8 {
        let offset = address - PHYSICAL.load(Ordering::Relaxed);
        (START.load(Ordering::Relaxed) + offset as usize) as *mut u8
    }
}

// SAFETY: DMA memory is of one mapped huge page, zeroed and given out once.
unsafe impl Hal for Arena {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        Self::take(pages * PAGE_SIZE)
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, size: usize) -> NonNull<u8> {
        let memory = File::options().read(true).write(true).open("/dev/mem").expect("root may");
        let page = address & !(PAGE_SIZE as u64 - 1);
        let inside = (address - page) as usize;
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let len = inside + size;
        let file = memory.as_raw_fd();
        // SAFETY: a new mapping; device memory is nobody else's, for the device has no driver.
        let start = unsafe {
            libc::mmap(ptr::null_mut(), len, access, libc::MAP_SHARED, file, page as i64)
        };
        assert_ne!(start, libc::MAP_FAILED, "{}", std::io::Error::last_os_error());
        // SAFETY: `inside` is less than the mapping is long.
        unsafe { NonNull::new_unchecked(start.cast::<u8>().add(inside)) }
    }

    unsafe fn share(buffer: NonNull<[u8]>, direction: BufferDirection) -> PhysAddr {
        let (address, pointer) = Self::take(buffer.len());
        if direction != BufferDirection::DeviceToDriver {
            // SAFETY: both are that long, and they do not overlap.
            unsafe { ptr::copy_nonoverlapping(buffer.cast().as_ptr(), pointer.as_ptr(), buffer.len()) };
        }
        address
    }

    unsafe fn unshare(address: PhysAddr, buffer: NonNull<[u8]>, direction: BufferDirection) {
        if direction != BufferDirection::DriverToDevice {
            // SAFETY: as in `share`, whose memory this is.
            unsafe {
                let from = slice::from_raw_parts(Self::at(address), buffer.len());
                ptr::copy_nonoverlapping(from.as_ptr(), buffer.cast().as_ptr(), buffer.len());
            }
        }
    }
}

fn main() {
    // SAFETY: it only lets this process use ports.
    assert_eq!(unsafe { libc::iopl(3) }, 0, "ports are for root");
    Arena::map();
    out(MARK, 0);

    let mut root = PciRoot::new(Ports);
    let mut found = root.enumerate_bus(0);
    let is_block = |info: &_| virtio_device_type(info) == Some(DeviceType::Block);
    let (function, _) = found.find(|(_, info)| is_block(info)).expect("there is a block device");
    // As the examples of the crate do: look at the BARs, then enable the device. They forget what
    // was in COMMAND before, which is not the crate's doing.
    let bars = root.bars(function).expect("the BARs are valid");
    assert!(bars.iter().flatten().next().is_some(), "{bars:?}");
    let enable = Command::IO_SPACE | Command::MEMORY_SPACE | Command::BUS_MASTER;
    let (_, command) = root.get_status_command(function);
    root.set_command(function, command | enable);

    let transport = PciTransport::new::<Arena, _>(&mut root, function).expect("a modern device");
    let mut disk = VirtIOBlk::<Arena, _>::new(transport).expect("it comes up");
    println!("{} sectors", disk.capacity());
    let mut sectors = [0; 2 * SECTOR_SIZE];
    disk.read_blocks(0, &mut sectors).expect("it reads");
    disk.write_blocks(9, &[0xa5; SECTOR_SIZE]).expect("it writes");
    disk.flush().expect("it flushes");
    disk.read_blocks(9, &mut sectors).expect("it reads");
    assert_eq!(sectors[..SECTOR_SIZE], [0xa5; SECTOR_SIZE]);
    let mut id = [0; 20];
    disk.device_id(&mut id).expect("it has an ID");
    drop(disk);
    println!("done");
}
