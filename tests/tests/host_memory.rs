//! What the host gives a guest is bounded: memory, whatever the guest does and for how
//! long; and no byte of the guest's RAM is a device's to change while it may not master
//! the bus. The guests here do what their dice say.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use eclipse_devices::disk::{CopyOnWriteDisk, MemoryDisk};
use eclipse_devices::pci::ECAM;
use eclipse_devices::{Completion, Host, Platform, Preset, Space, Wires};
use eclipse_tests::Bare;
use eclipse_tests::bare::{NEXT, WRITE};
use eclipse_trace::Recorder;
use proptest::prelude::{any, prop};
use proptest::{prop_assert, proptest};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Counts the bytes that the current thread has allocated and not freed.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // A thread that ends has no counter any more, and nobody who asks for it.
    let _ = LIVE.try_with(|live| live.set(live.get() + bytes));
}

// SAFETY: all is left to the system's allocator; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the promises of `GlobalAlloc::alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the promises of `GlobalAlloc::dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Interrupts and the console lead nowhere.
struct Nowhere;

impl Wires for Nowhere {
    fn msi(&mut self, _address: u64, _data: u32) {}
    fn line(&mut self, _gsi: u32, _level: bool) {}
    fn console(&mut self, _bytes: &[u8]) {}
}

/// A sequence of numbers without a pattern, the same each time (xorshift).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> u64 {
        (self.next() >> 16) % end
    }
}

/// A machine as the command line runs it: it keeps the latest of its record.
struct Guest {
    memory: GuestMemoryMmap<()>,
    platform: Platform,
    recorder: Recorder,
    wires: Nowhere,
    dice: Dice,
}

impl Guest {
    const RAM: u64 = 1 << 20;

    fn new(preset: Preset, completion: Completion) -> Self {
        let disk = CopyOnWriteDisk::new(MemoryDisk::counting(16));
        let mut platform = Platform::new(preset, Box::new(disk));
        platform.attach_ata(Box::new(MemoryDisk::counting(16)));
        platform.set_completion(completion);
        let ranges = [(GuestAddress(0), Self::RAM as usize)];
        Self {
            memory: GuestMemoryMmap::from_ranges(&ranges).expect("the host has a mebibyte"),
            platform,
            recorder: Recorder::keeping_last(256, None),
            wires: Nowhere,
            dice: Dice(0x9e37_79b9_7f4a_7c15),
        }
    }

    fn store(&mut self, space: Space, address: u64, width: u8, value: u64) {
        let mut host = Host::new(&self.memory, &mut self.wires, &mut self.recorder);
        self.platform.store(&mut host, space, address, width, value);
    }

    fn load(&mut self, space: Space, address: u64, width: u8) -> u64 {
        let mut host = Host::new(&self.memory, &mut self.wires, &mut self.recorder);
        self.platform.load(&mut host, space, address, width)
    }

    /// The modern device from a reset to DRIVER_OK with a queue of eight, so that the
    /// dice find it at work.
    fn start(&mut self) {
        self.store(Space::Memory, ECAM.start + 0x2_0004, 2, 0x0007);
        for (offset, width, value) in [
            (0x14, 1, 0),
            (0x14, 1, 1),
            (0x14, 1, 3),
            (0x0c, 4, 0x244),
            (0x08, 4, 1),
            (0x0c, 4, 1),
            (0x14, 1, 0x0b),
            (0x18, 2, 8),
            (0x20, 4, Bare::DESC),
            (0x28, 4, Bare::AVAIL),
            (0x30, 4, Bare::USED),
            (0x1c, 2, 1),
            (0x14, 1, 0x0f),
        ] {
            self.store(Space::Memory, Bare::COMMON + offset, width, value);
        }
        for area in [Bare::AVAIL, Bare::USED] {
            self.memory.write_slice(&[0; 0x50], GuestAddress(area)).expect("it is in RAM");
        }
    }

    /// A good request that the dice have chosen, or one with a field of theirs.
    fn request(&mut self) {
        let kind = [0u32, 1, 4, 8, 11, 13, 99][self.dice.below(7) as usize];
        let write = |guest: &Self, at: u64, bytes: &[u8]| {
            guest.memory.write_slice(bytes, GuestAddress(at)).expect("it is in RAM");
        };
        write(self, Bare::HEADER, &kind.to_le_bytes());
        let sector = self.dice.below(20);
        write(self, Bare::HEADER + 8, &sector.to_le_bytes());
        let data_flags = if self.dice.below(2) == 0 { NEXT } else { NEXT | WRITE };
        let chain = [
            (Bare::HEADER, 16u32, NEXT, 1u16),
            (Bare::DATA, 512, data_flags, 2),
            (Bare::STATUS, 1, WRITE, 0),
        ];
        for (slot, (addr, len, flags, next)) in (0..).zip(chain) {
            let at = Bare::DESC + 16 * slot;
            write(self, at, &addr.to_le_bytes());
            write(self, at + 8, &len.to_le_bytes());
            write(self, at + 12, &flags.to_le_bytes());
            write(self, at + 14, &next.to_le_bytes());
        }
        if self.dice.below(4) == 0 {
            let (at, value) = (Bare::DESC + self.dice.below(48), self.dice.next());
            write(self, at, &value.to_le_bytes());
        }
        let idx: u16 = self.memory.read_obj(GuestAddress(Bare::AVAIL + 2)).expect("it is in RAM");
        write(self, Bare::AVAIL + 2, &idx.wrapping_add(1).to_le_bytes());
        self.store(Space::Memory, Bare::NOTIFY, 2, 0);
    }

    /// Anything a guest could do.
    fn step(&mut self) {
        let (offset, value) = (self.dice.below(0x1_0000), self.dice.next());
        let width = 1 << self.dice.below(4);
        let (space, address) = match self.dice.below(16) {
            0..4 => return self.request(),
            4 => return self.start(),
            5 => (Space::Port, 0xcf8 + offset % 8),
            6 => (Space::Memory, ECAM.start + ((offset % 0x40) << 12) + offset % 0x100),
            7 => (Space::Port, 0x1f0 + offset % 8),
            8 => (Space::Port, 0x3f8),
            9 => (Space::Port, 0xc000 + offset % 0x80),
            10 => (Space::Memory, Bare::MSIX_TABLE + offset % 0x1000),
            11 => (Space::Port, offset),
            12 => (Space::Memory, Bare::COMMON + offset % 0x40),
            13 => {
                let mut host = Host::new(&self.memory, &mut self.wires, &mut self.recorder);
                self.platform.serial_input(&mut host, &value.to_le_bytes());
                self.platform.idle(&mut host);
                return;
            }
            _ => (Space::Memory, Bare::COMMON + offset % 0x4000),
        };
        let width = if space == Space::Port { width.min(4) } else { width };
        if value & 3 == 0 {
            self.load(space, address, width);
        } else {
            self.store(space, address, width, value);
        }
    }
}

#[test]
fn a_guest_that_goes_on_and_on_takes_no_more_of_the_hosts_memory() {
    for preset in Preset::ALL {
        for completion in [Completion::Immediate, Completion::Halt] {
            let before = LIVE.get();
            let mut guest = Guest::new(*preset, completion);
            (0..4_000).for_each(|_| guest.step());
            let warm = LIVE.get() - before;
            (0..20_000).for_each(|_| guest.step());
            let later = LIVE.get() - before;
            assert!(warm > 0, "allocations are counted");
            // The latest 512 events hold text of the console now and then, up to a line's limit.
            let slack = 128 * 1024;
            assert!(later < warm + slack, "{preset}, {completion:?}: {warm} bytes, then {later}");
            let summary = guest.recorder.summary();
            assert!(guest.recorder.recorded() > 20_000, "{summary:?}");
        }
    }
}

proptest! {
    #[test]
    fn without_bus_mastering_no_byte_of_ram_changes(
        chain in prop::collection::vec((any::<bool>(), 0..0x8000u64, 0..600u32, 0..8u16, 0..9u16), 8),
        heads in prop::collection::vec(0..9u16, 8),
        ahead in 0..9u16,
        rung in prop::collection::vec(any::<u16>(), 1..4),
        accesses in prop::collection::vec((0..0x4000u64, 0..4u32, any::<u64>()), 0..20),
    ) {
        let bare = Bare::ready(MemoryDisk::counting(16));
        for (slot, (good, addr, len, flags, next)) in (0..).zip(chain) {
            let addr = if good { Bare::HEADER } else { addr };
            let at = Bare::DESC + 16 * slot;
            bare.write(at, addr);
            bare.write(at + 8, len);
            bare.write(at + 12, flags);
            bare.write(at + 14, next);
        }
        for (slot, head) in (0..).zip(heads) {
            bare.write(Bare::AVAIL + 4 + 2 * slot, head);
        }
        bare.write(Bare::AVAIL + 2, ahead);
        // Memory decode without bus mastering.
        bare.config_store(0x04, 2, 0x0402);
        let ram = |bare: &Bare| {
            let mut bytes = vec![0; 0x1_0000];
            bare.machine.memory().read_slice(&mut bytes, GuestAddress(0)).expect("it is in RAM");
            bytes
        };
        let before = ram(&bare);
        for value in rung {
            bare.store(Bare::NOTIFY, 2, value.into());
            bare.store(Bare::NOTIFY, 2, 0);
        }
        for (offset, width, value) in accesses {
            let width = 1 << width;
            bare.store(Bare::COMMON + offset, width, value & (u64::MAX >> (64 - 8 * u32::from(width))));
        }
        bare.store(Bare::NOTIFY, 2, 0);
        bare.machine.halt();
        prop_assert!(ram(&bare) == before, "a device wrote to RAM");
    }
}

#[test]
fn with_bus_mastering_the_same_doorbell_changes_ram() {
    let bare = Bare::ready(MemoryDisk::counting(16));
    bare.header(0, 1);
    let read = [
        (Bare::HEADER, 16, NEXT, 1),
        (Bare::DATA, 512, NEXT | WRITE, 2),
        (Bare::STATUS, 1, WRITE, 0),
    ];
    bare.config_store(0x04, 2, 0x0402);
    bare.submit(&read);
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0xff);
    let bare = Bare::ready(MemoryDisk::counting(16));
    bare.header(0, 1);
    bare.submit(&read);
    assert_eq!(bare.read::<u8>(Bare::STATUS), 0);
}
