//! Defects that drivers of this kernel have really had on the PCI side, by their numbers: each
//! test fails with a driver that has the defect.

use super::DEVICE;
use crate::{
    fake::{FakeHal, Function},
    pci::{Bar, Capabilities, Device, Pci, Window},
    register::Register,
    virtio::transport::{Signalling, Transport},
};

/// The only function of a machine, with its BARs sized.
fn sized(function: Function) -> (FakeHal, Pci<FakeHal>, Device) {
    let hal = FakeHal::new();
    hal.insert(4, 0, function);
    let pci = Pci::init(&hal);
    let mut device = pci.devices()[0].clone();
    hal.machine().accesses.clear();
    pci.size_bars(&mut device);
    (hal, pci, device)
}

fn block() -> Function {
    FakeHal::with_block().machine().functions[&(0, 4, 0)].clone()
}

#[test]
fn defect_01_io_bar_is_not_taken_as_memory() {
    let mut function = Function::new(0x1af4, 0x1001, 0x01_00_00);
    // Bit 3 is an address bit of an I/O BAR, and bit 2 too.
    function.register(0x10, 0xc00d, 0xffff_fffc);
    function.register(0x14, 0xfebc_1008, 0xffff_f000);
    let (_, _, device) = sized(function);
    assert_eq!(device.bar(0), Bar::Port { base: 0xc00c, size: 4 });
    assert_eq!(device.bar(1), Bar::Memory { base: 0xfebc_1000, size: 0x1000 });
}

#[test]
fn defect_02_a_64_bit_bar_is_both_registers_and_may_lie_above_4_gib() {
    let mut function = Function::new(0x1af4, 0x1042, 0x01_00_00);
    function.register(0x10, 0x8000_000c, 0xffff_c000);
    function.register(0x14, 0x40, 0xffff_ffff);
    function.register(0x18, 0xfebc_1000, 0xffff_f000);
    let (hal, _, device) = sized(function);
    let bar = Bar::Memory { base: 0x40_8000_0000, size: 0x4000 };
    assert_eq!(
        [0, 1, 2].map(|index| device.bar(index)),
        [bar, Bar::Absent, Bar::Memory { base: 0xfebc_1000, size: 0x1000 },]
    );
    Window::map(&hal, 0, bar, 0x3000, 0x1000).unwrap();
    assert_eq!(hal.machine().mapped[0].base, 0x40_8000_3000, "all 64 bits");
    let top = Bar::Memory { base: 0xffff_ffff_ffff_c000, size: 0x4000 };
    assert!(Window::map(&hal, 0, top, 0, 4).is_err(), "a range that wraps");
}

#[test]
fn defect_03_what_is_behind_bridges_is_found() {
    let hal = FakeHal::new();
    hal.insert(0, 0, Function::new(0x8086, 0x1237, 0x06_00_00));
    hal.insert(5, 0, Function::bridge(1, 2));
    let address = |bus, device| crate::pci::Address { bus, device, function: 0 };
    hal.insert_at(address(1, 3), Function::bridge(2, 2));
    hal.insert_at(address(2, 31), block());
    let found = Pci::init(&hal).find_virtio_block_device().expect("the device on bus 2");
    assert_eq!(found.address(), address(2, 31));
    let line = "[PCI]   Bus 2 Device 31 Func 0: Vendor=0x1AF4 Device=0x1042 Class=0x01 Type=SCSI \
                Controller [VirtIO]";
    assert_eq!(hal.machine().log.last().unwrap(), line);
}

#[test]
fn defect_04_a_modern_id_is_a_block_device_too() {
    for id in [0x1042, 0x1001] {
        let hal = FakeHal::new();
        hal.insert(4, 0, Function::new(0x1af4, id, 0x01_00_00));
        assert!(Pci::init(&hal).find_virtio_block_device().is_some(), "{id:#x}");
    }
}

#[test]
fn defect_05_the_command_register_is_stored_in_16_bits() {
    let (hal, pci, mut device) = sized(block());
    pci.enable_device(&mut device, true);
    pci.disable_bus_master(&mut device);
    let machine = hal.machine();
    let stores =
        |line: &&String| line.starts_with("config +04 <-") || line.starts_with("config +06 <-");
    let stores: Vec<_> = machine.accesses.iter().filter(stores).collect();
    assert_eq!(stores.len(), 4);
    // Eight digits would be the status register as well, of which a 1 clears bits.
    assert!(stores.iter().all(|line| line.len() == "config +04 <- 0000".len()), "{stores:?}");
}

#[test]
fn defect_06_an_enabled_device_is_a_bus_master_with_and_without_msix() {
    for id in [0x11, 0x05] {
        let mut function = block();
        function.set(0x40, &[id]);
        let hal = FakeHal::new();
        hal.insert(4, 0, function);
        let pci = Pci::init(&hal);
        let mut transport = Transport::open(&pci, pci.devices()[0].clone()).unwrap();
        transport.set_up_interrupts(1, Signalling::Best);
        transport.unmask_interrupts();
        let command = hal.machine().functions[&(0, 4, 0)].bytes[4];
        assert_eq!(command & 0x06, 0x06, "capability {id:#x}");
    }
}

#[test]
fn defect_07_device_memory_is_mapped_before_it_is_touched_and_as_long_as_it_is_used() {
    // The machine of these tests refuses a load of what was not mapped.
    let hal = FakeHal::with_block();
    let bar = Bar::Memory { base: 0xfe00_0000, size: 0x4000 };
    let window = Window::map(&hal, 4, bar, 0, 0x38).unwrap();
    assert_eq!(window.load(Register::<u16>::at(0x12)), 1);
    window.load(Register::<u32>::at(0x34));
    // Ports are not mapped: there the window alone keeps a driver from its neighbour's.
    let ports = Bar::Port { base: 0xc000, size: 0x20 };
    let ports = Window::map(&hal, 0, ports, 0, 0x14).unwrap();
    for (window, end) in [(&window, 0x38), (&ports, 0x14)] {
        let beyond = std::panic::AssertUnwindSafe(|| window.load(Register::<u32>::at(end - 2)));
        assert!(std::panic::catch_unwind(beyond).is_err(), "a register that ends behind it");
    }
}

#[test]
fn defect_08_a_cyclic_list_ends_and_disturbs_no_other_device() {
    let hal = FakeHal::new();
    let mut broken = Function::new(0x8086, 0x100e, 0x02_00_00);
    broken.capabilities(0x40);
    broken.set(0x40, &[0x09, 0x40]);
    hal.insert(3, 0, broken.clone());
    hal.insert(4, 0, block());
    let pci = Pci::init(&hal);
    let space = pci.config_space(&pci.devices()[0]);
    assert!(Capabilities::of(&space).take(100).count() == 2, "one capability, one error");
    let device = pci.find_virtio_block_device().unwrap();
    assert!(Transport::open(&pci, device).is_ok());
}

#[test]
fn defect_09_a_bar_is_sized_with_decode_off() {
    let mut function = block();
    function.set(4, &[0x07, 0x01]);
    let (hal, _, _) = sized(function);
    let machine = hal.machine();
    let mut decode = 7;
    for line in &machine.accesses {
        if let Some(value) = line.strip_prefix("config +04 <- ") {
            decode = u16::from_str_radix(value, 16).unwrap() & 3;
        }
        assert!(decode == 0 || !line.ends_with("<- ffffffff"), "{line}");
    }
    assert_eq!(decode, 3, "it is on again");
}

#[test]
fn defect_10_a_message_address_has_two_halves_and_32_bits_of_data() {
    let hal = FakeHal::with_block();
    hal.machine().message_address = 0x12_fee0_0000;
    let pci = Pci::init(&hal);
    let mut transport = Transport::open(&pci, pci.devices()[0].clone()).unwrap();
    transport.set_up_interrupts(1, Signalling::Best);
    let machine = hal.machine();
    let table = machine.accesses.iter().filter(|line| line.starts_with("table"));
    assert!(table.eq([
        "table +00 <- fee00000",
        "table +04 <- 00000012",
        "table +08 <- 00000030",
        "table +10 <- fee00000",
        "table +14 <- 00000012",
        "table +18 <- 00000031",
    ]));
}

#[test]
fn defect_11_a_look_up_does_not_scan_again() {
    let hal = FakeHal::with_block();
    let pci = Pci::init(&hal);
    hal.machine().accesses.clear();
    assert!(pci.find_virtio_block_device().is_some());
    assert_eq!(pci.virtio_block_devices().count(), 1);
    assert!(hal.machine().accesses.is_empty());
    assert_eq!(hal.machine().log.len(), 3, "logged once");
}

#[test]
fn defect_12_functions_beside_0_need_bit_7_and_vendor_0_is_none() {
    let hal = FakeHal::new();
    let mut multi = Function::new(0x8086, 0x7000, 0x06_01_00);
    multi.set(0x0e, &[0x80]);
    hal.insert(1, 0, multi);
    hal.insert(1, 7, Function::new(0x8086, 0x7010, 0x01_01_80));
    hal.insert(1, 2, Function::new(0x0000, 0x7010, 0x01_01_80));
    hal.insert(2, 0, Function::new(0x8086, 0x1237, 0x06_00_00));
    hal.insert(2, 1, Function::new(0x8086, 0x1237, 0x06_00_00));
    let pci = Pci::init(&hal);
    let found = pci.devices().iter().map(|device| (device.device, device.function));
    assert!(found.eq([(1, 0), (1, 7), (2, 0)]));
}

#[test]
fn defect_13_intx_is_on_only_while_the_line_is_listened_to() {
    for (signalling, on) in
        [(Signalling::Best, false), (Signalling::Polling, false), (Signalling::Line, true)]
    {
        let hal = FakeHal::with_block();
        let pci = Pci::init(&hal);
        let disabled = || hal.machine().functions[&(0, 4, 0)].bytes[5] & 0x04 != 0;
        let mut transport = Transport::open(&pci, pci.devices()[0].clone()).unwrap();
        transport.set_up_interrupts(1, signalling);
        assert!(disabled(), "nobody listens yet");
        transport.unmask_interrupts();
        assert_eq!(disabled(), !on, "{signalling:?}");
        transport.shut_down().unwrap();
        assert!(disabled(), "nobody listens any more");
    }
}

#[test]
fn the_device_of_these_tests_is_where_they_expect_it() {
    let (_, pci, _) = sized(block());
    assert_eq!(pci.devices()[0].address(), DEVICE);
}
