//! Tests against configuration space that tells lies.

mod defects;
mod place;
mod scan;

use super::{
    Address, Bar, Bars, Capabilities, Capability, Command, ConfigSpace, Error, Pci, Window,
    class_name,
};
use crate::fake::{FakeHal, Function};

const DEVICE: Address = Address { bus: 0, device: 4, function: 0 };

fn walk(first: u8, list: &[(u8, u8, u8)]) -> (Vec<Result<Capability, Error>>, usize) {
    let hal = FakeHal::new();
    let mut function = Function::new(0x1af4, 0x1042, 0x01_00_00);
    function.capabilities(first);
    for &(offset, id, next) in list {
        function.set(offset.into(), &[id, next]);
    }
    hal.insert(4, 0, function);
    let space = ConfigSpace::new(hal.clone(), DEVICE);
    let found = Capabilities::of(&space).take(100).collect();
    let loads = hal.machine().accesses.len();
    (found, loads)
}

fn offsets(found: &[Result<Capability, Error>]) -> Vec<u16> {
    found.iter().flatten().map(|capability| capability.offset).collect()
}

#[test]
fn a_capability_list_is_walked_to_its_end_and_the_low_pointer_bits_are_masked() {
    let (found, loads) = walk(0x43, &[(0x40, 0x11, 0x51), (0x50, 0x09, 0xfe), (0xfc, 0x05, 3)]);
    assert_eq!(offsets(&found), [0x40, 0x50, 0xfc]);
    assert_eq!(found[1], Ok(Capability { offset: 0x50, id: 0x09 }));
    assert_eq!(loads, 5, "status, pointer, and one load for each capability");
}

#[test]
fn no_capability_is_looked_for_without_the_status_bit() {
    let hal = FakeHal::new();
    let mut function = Function::new(0x1af4, 0x1042, 0x01_00_00);
    function.set(0x34, &[0x40]);
    hal.insert(4, 0, function);
    assert_eq!(Capabilities::of(&ConfigSpace::new(hal.clone(), DEVICE)).count(), 0);
    assert_eq!(hal.machine().accesses.len(), 1);
}

#[test]
fn a_capability_list_that_comes_back_is_an_error_after_the_last_new_capability() {
    let (found, _) = walk(0x40, &[(0x40, 0x09, 0x40)]);
    assert_eq!(found[1..], [Err(Error::CapabilityLoop { device: DEVICE, offset: 0x40 })]);
    let (found, _) = walk(0x40, &[(0x40, 0x09, 0x60), (0x60, 0x09, 0x50), (0x50, 0x09, 0x60)]);
    assert_eq!(offsets(&found), [0x40, 0x60, 0x50]);
    assert_eq!(found[3..], [Err(Error::CapabilityLoop { device: DEVICE, offset: 0x60 })]);
}

#[test]
fn a_capability_in_the_header_is_an_error() {
    let (found, _) = walk(0x3c, &[]);
    assert_eq!(found, [Err(Error::CapabilityPointer { device: DEVICE, offset: 0x3c })]);
    let (found, _) = walk(0x40, &[(0x40, 0x09, 0x07)]);
    assert_eq!(found[1..], [Err(Error::CapabilityPointer { device: DEVICE, offset: 0x04 })]);
}

#[test]
fn the_longest_capability_list_has_48_capabilities() {
    let list: Vec<_> = (0x40..=0xfc).step_by(4).map(|at: u8| (at, 9, at.wrapping_add(4))).collect();
    let (found, _) = walk(0x40, &list);
    assert_eq!(offsets(&found).len(), 48);
    assert_eq!(found.len(), 48);
}

#[test]
fn a_capability_does_not_hold_what_lies_behind_configuration_space() {
    let capability = Capability { offset: 0xf4, id: 9 };
    assert!(capability.holds(12));
    assert!(!capability.holds(13));
}

#[test]
fn a_bar_is_as_large_as_its_lowest_writable_bit() {
    let cases = [
        ((0xfebc_1000, 0xffff_f000), Bar::Memory { base: 0xfebc_1000, size: 0x1000 }),
        ((0xfebc_1008, 0xffff_f008), Bar::Memory { base: 0xfebc_1000, size: 0x1000 }),
        ((0xc001, 0xffff_ff81), Bar::Port { base: 0xc000, size: 0x80 }),
        // Only 16 address bits are implemented.
        ((0xc001, 0x0000_ff81), Bar::Port { base: 0xc000, size: 0x80 }),
        ((0, 0), Bar::Absent),
        ((1, 1), Bar::Absent),
        // A mask with holes.
        ((0xe000_0000, 0xf0f0_0000), Bar::Memory { base: 0xe000_0000, size: 0x10_0000 }),
        // A reserved type, and a lower half without an upper one.
        ((0xe000_0006, 0xffff_f006), Bar::Absent),
        ((0xe000_0004, 0xffff_f004), Bar::Absent),
    ];
    for ((value, answer), bar) in cases {
        assert_eq!(Bar::decode(value, answer), bar, "{value:#x} {answer:#x}");
    }
}

#[test]
fn a_64_bit_bar_is_sized_in_64_bits() {
    let base = 0x40_0000_0000;
    let eight_gib = Bar::Memory { base, size: 8 << 30 };
    assert_eq!(Bar::decode_64(base | 0xc, 0xffff_fffe_0000_000c), eight_gib);
    let small = Bar::Memory { base, size: 0x4000 };
    assert_eq!(Bar::decode_64(base | 0xc, 0xffff_ffff_ffff_c00c), small);
    assert_eq!(Bar::decode_64(0xc, 0xc), Bar::Absent);
}

#[test]
fn bars_are_sized_with_decoding_off_and_all_is_put_back() {
    let hal = FakeHal::with_block();
    hal.machine().functions.get_mut(&(0, 4, 0)).unwrap().set(4, &[0x07, 0x01]);
    let (command, bars) = Bars::probe(&ConfigSpace::new(hal.clone(), DEVICE), 6);
    assert_eq!(command.bits(), 0x107);
    let transcript = hal.machine().accesses.join("\n");
    let expected = "\
config +04 -> 0107
config +04 <- 0104
config +10 -> febc1000
config +10 <- ffffffff
config +10 -> fffff000
config +10 <- febc1000
config +14 -> 00000000
config +14 <- ffffffff
config +14 -> 00000000
config +14 <- 00000000
config +18 -> 00000000
config +18 <- ffffffff
config +18 -> 00000000
config +18 <- 00000000
config +1c -> 00000000
config +1c <- ffffffff
config +1c -> 00000000
config +1c <- 00000000
config +20 -> fe00000c
config +20 <- ffffffff
config +20 -> ffffc00c
config +20 <- fe00000c
config +24 -> 00000000
config +24 <- ffffffff
config +24 -> ffffffff
config +24 <- 00000000
config +04 <- 0107";
    assert_eq!(transcript, expected);
    assert_eq!(bars.get(0), Bar::Memory { base: 0xfebc_1000, size: 0x1000 });
    assert_eq!(bars.get(4), Bar::Memory { base: 0xfe00_0000, size: 0x4000 });
    assert_eq!(bars.get(5), Bar::Absent);
    assert_eq!(bars.raw(0), Some(0xfebc_1000));
    assert_eq!(bars.raw(6), None);
}

#[test]
fn a_window_lies_in_its_bar_or_is_refused() {
    let hal = FakeHal::new();
    let size = 0x4000;
    let bar = Bar::Memory { base: 0xfe00_0000, size };
    let map = |bar, offset, len| Window::map(&hal, 4, bar, offset, len).map(|window| window.len());
    assert_eq!(map(bar, 0x3000, 0x1000), Ok(0x1000));
    for (offset, len) in [(0x3000, 0x1001), (u64::MAX, 2), (0xffff_ffff, 0xffff_ffff), (0, 0)] {
        let error = Error::OutsideBar { index: 4, offset, len, size };
        assert_eq!(map(bar, offset, len), Err(error));
    }
    assert_eq!(map(Bar::Absent, 0, 4), Err(Error::BarAbsent(4)));
    assert_eq!(map(Bar::Memory { base: 0, size }, 0, 4), Err(Error::BarUnplaced(4)));
    let base = 0xfe00_1000;
    let misplaced = Err(Error::BarMisplaced { index: 4, base, size });
    assert_eq!(map(Bar::Memory { base, size }, 0, 4), misplaced);
    assert_eq!(map(Bar::Port { base: 0xc000, size: 0x80 }, 0x7c, 4), Ok(4));
    let base = 0x1_0000;
    let misplaced = Err(Error::BarMisplaced { index: 4, base, size: 0x80 });
    assert_eq!(map(Bar::Port { base: 0x1_0000, size: 0x80 }, 0, 4), misplaced);
    assert!(!Window::map(&hal, 4, bar, 0, 4).unwrap().is_empty(), "none is empty");
}

#[test]
fn a_bar_in_ram_is_not_mapped() {
    let bar = Bar::Memory { base: 0x10_0000, size: 0x1000 };
    let error = Window::map(&FakeHal::new(), 4, bar, 0, 4).unwrap_err();
    assert_eq!(error.to_string(), "BAR4: device memory at 0x100000 cannot be mapped");
}

#[test]
fn the_scan_looks_at_functions_1_to_7_of_multi_function_devices_only() {
    let hal = FakeHal::new();
    hal.insert(0, 0, Function::new(0x8086, 0x1237, 0x06_00_00));
    hal.insert(0, 1, Function::new(0x8086, 0xdead, 0x06_00_00));
    let mut isa = Function::new(0x8086, 0x7000, 0x06_01_00);
    isa.set(0x0e, &[0x80]);
    hal.insert(1, 0, isa);
    hal.insert(1, 1, Function::new(0x8086, 0x7010, 0x01_01_80));
    hal.insert(1, 3, Function::new(0x8086, 0x7113, 0x06_80_00));
    hal.insert(4, 0, Function::new(0x1af4, 0x1042, 0x01_00_00));
    let pci = Pci::init(&hal);
    let log = "\
[PCI] Initializing PCI subsystem...
[PCI] Found 5 PCI device(s)
[PCI]   Bus 0 Device 0 Func 0: Vendor=0x8086 Device=0x1237 Class=0x06 Type=Host Bridge
[PCI]   Bus 0 Device 1 Func 0: Vendor=0x8086 Device=0x7000 Class=0x06 Type=ISA Bridge
[PCI]   Bus 0 Device 1 Func 1: Vendor=0x8086 Device=0x7010 Class=0x01 Type=IDE Controller
[PCI]   Bus 0 Device 1 Func 3: Vendor=0x8086 Device=0x7113 Class=0x06 Type=Bridge Device
[PCI]   Bus 0 Device 4 Func 0: Vendor=0x1AF4 Device=0x1042 Class=0x01 Type=SCSI Controller [VirtIO]";
    assert_eq!(hal.machine().log.join("\n"), log);
    let found = pci.find_virtio_block_device().expect("the block device");
    assert_eq!(found.address(), DEVICE);
}

#[test]
fn a_function_that_goes_away_during_the_scan_is_not_there() {
    let hal = FakeHal::new();
    let mut gone = Function::new(0x1af4, 0xffff, 0);
    gone.bytes[2..].fill(0xff);
    hal.insert(4, 0, gone);
    assert!(Pci::init(&hal).devices().is_empty());
    assert_eq!(hal.machine().accesses.len(), 4);
}

#[test]
fn only_type_0_functions_with_a_block_device_id_of_vendor_1af4_are_block_devices() {
    let cases = [
        (0x1af4, 0x1042, 0x00, true),
        (0x1af4, 0x1001, 0x80, true),
        (0x1af4, 0x1041, 0x00, false),
        (0x1af5, 0x1042, 0x00, false),
        (0x1af4, 0x1042, 0x01, false),
    ];
    for (vendor, device, header, found) in cases {
        let hal = FakeHal::new();
        let mut function = Function::new(vendor, device, 0x01_00_00);
        function.set(0x0e, &[header]);
        hal.insert(9, 0, function);
        assert_eq!(Pci::init(&hal).find_virtio_block_device().is_some(), found);
    }
}

#[test]
fn enabling_is_one_store_and_keeps_what_it_does_not_mean() {
    let hal = FakeHal::with_block();
    hal.machine().functions.get_mut(&(0, 4, 0)).unwrap().set(4, &[0x40, 0x01]);
    let pci = Pci::init(&hal);
    let mut device = pci.find_virtio_block_device().unwrap();
    hal.machine().accesses.clear();
    pci.enable_device(&mut device, true);
    pci.disable_bus_master(&mut device);
    let transcript = ["config +04 -> 0140", "config +04 <- 0546", "config +04 <- 0542"];
    assert_eq!(hal.machine().accesses, transcript);
    assert_eq!(pci.get_bar(&device, 0), Some(0xfebc_1000));
    assert_eq!(pci.get_bar(&device, 6), None);
    assert!(Command::from_bits_retain(0x0542).contains(Command::INTX_DISABLE));
}

/// The subclasses that have a name, class by class, as words that the name has to hold.
#[test]
fn a_class_has_the_name_of_the_code_assignment() {
    let named: &[(u8, &[(u8, &str)])] = &[
        (0x00, &[(0x00, "Unclassified"), (0x01, "VGA-Compatible")]),
        (0x01, &[(0x00, "SCSI"), (0x01, "IDE"), (0x02, "Floppy"), (0x04, "RAID")]),
        (0x01, &[(0x05, "ATA"), (0x06, "SATA"), (0x08, "NVMe"), (0x80, "Mass Storage")]),
        (0x02, &[(0x00, "Ethernet"), (0x80, "Network")]),
        (0x03, &[(0x00, "VGA"), (0x80, "Display")]),
        (0x04, &[(0x01, "Audio"), (0x03, "HD Audio")]),
        (0x05, &[(0x00, "RAM")]),
        (0x06, &[(0x00, "Host"), (0x01, "ISA"), (0x04, "PCI-to-PCI"), (0x80, "Bridge")]),
        (0x07, &[(0x00, "Serial"), (0x80, "Communication")]),
        (0x08, &[(0x00, "Interrupt"), (0x80, "System Peripheral")]),
        (0x0c, &[(0x03, "USB"), (0x05, "SMBus")]),
    ];
    for &(class, subclasses) in named {
        for &(subclass, word) in subclasses {
            let name = class_name(class, subclass);
            assert!(name.starts_with(word), "{class:02x}.{subclass:02x}: {name}");
        }
    }
    assert_eq!(class_name(0x01, 0x03), "Unknown");
    assert_eq!(class_name(0xff, 0x00), "Unknown");
}
