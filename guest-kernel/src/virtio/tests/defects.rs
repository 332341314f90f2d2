//! Defects that drivers of this kernel have really had in the transport, by their numbers: each
//! test fails with a driver that has the defect.

use crate::{
    fake::{FakeHal, Fault},
    pci::Pci,
    virtio::{
        blk::{Error, Options, VirtioBlk},
        features::Features,
        queue::Areas,
        status::Isr,
        transport::{self, Signalling, Transport},
    },
};

fn open(hal: &FakeHal) -> Transport<FakeHal> {
    let pci = Pci::init(hal);
    let device = pci.find_virtio_block_device().expect("a block device");
    let transport = Transport::open(&pci, device).expect("it can be driven");
    hal.machine().accesses.clear();
    transport
}

fn start(hal: &FakeHal) -> Result<VirtioBlk<FakeHal>, Error> {
    VirtioBlk::start(open(hal), Options::default())
}

#[test]
fn defect_26_the_legacy_registers_are_where_they_are() {
    let hal = FakeHal::with_legacy_block(false);
    hal.machine().device.queue_size = 64;
    let disk = start(&hal).unwrap();
    let transcript = "\
ports +12 <- 00
ports +12 -> 00
ports +12 <- 01
ports +12 <- 03
ports +00 -> 00000244
ports +04 <- 00000244
ports +14 -> 00000040
ports +18 -> 00000000
ports +20 -> 0000000e
ports +28 -> 00000200
ports +14 -> 00000040
ports +18 -> 00000000
ports +20 -> 0000000e
ports +28 -> 00000200
ports +0e <- 0000
ports +0c -> 0040
ports +08 -> 00000000
ports +0c -> 0040
ports +08 <- 00000101
ports +08 -> 00000101
config +04 <- 0005
ports +12 <- 07";
    assert_eq!(hal.machine().accesses.join("\n"), transcript);
    assert_eq!(disk.config().sectors, 64);
}

#[test]
fn defect_26_with_msix_the_legacy_configuration_begins_at_24() {
    let hal = FakeHal::with_legacy_block(true);
    hal.machine().device.queue_size = 64;
    let mut transport = open(&hal);
    let capacity = crate::virtio::registers::blk::CAPACITY_LOW;
    let load = |transport: &Transport<FakeHal>| {
        hal.machine().accesses.clear();
        assert_eq!(transport.load_config(capacity), Ok(64));
        hal.machine().accesses.join("\n")
    };
    transport.negotiate(Features::empty()).unwrap();
    assert_eq!(load(&transport), "ports +14 -> 00000040");
    transport.set_up_interrupts(1, Signalling::Best);
    assert_eq!(load(&transport), "ports +18 -> 00000040");
    transport.set_up_interrupts(1, Signalling::Line);
    assert_eq!(load(&transport), "ports +14 -> 00000040");
}

#[test]
fn defect_27_a_legacy_queue_has_the_size_and_the_layout_of_the_device() {
    let hal = FakeHal::with_legacy_block(false);
    let mut transport = open(&hal);
    transport.negotiate(Features::empty()).unwrap();
    transport.set_up_interrupts(1, Signalling::Polling);
    assert_eq!(transport.select_queue(0), Ok(256));
    let good = Areas { desc: 0x10_0000, driver: 0x10_1000, device: 0x10_2000 };
    let mut refused = |size, areas| transport.enable_queue(0, size, areas).unwrap_err();
    let error = transport::Error::QueueSizeFixed { queue: 0, size: 16, offered: 256 };
    assert_eq!(refused(16, good), error);
    // Not from a page on, rings elsewhere, a page without a 32-bit number.
    for areas in [
        Areas { desc: 0x10_0010, driver: 0x10_1010, device: 0x10_2000 },
        Areas { driver: 0x10_1010, ..good },
        Areas { device: 0x10_1208, ..good },
        Areas { desc: 1 << 44, driver: (1 << 44) + 0x1000, device: (1 << 44) + 0x2000 },
        Areas { desc: u64::MAX - 0xfff, driver: 0, device: 0x1000 },
        Areas { desc: 0, driver: 0x1000, device: 0x2000 },
    ] {
        let error = transport::Error::LegacyLayout { queue: 0, address: areas.desc };
        assert_eq!(refused(256, areas), error);
    }
    let stores =
        hal.machine().accesses.iter().filter(|line| line.starts_with("ports +08 <-")).count();
    assert_eq!(stores, 0, "the device was told of none");
    assert!(transport.enable_queue(0, 256, good).is_ok());
    assert_eq!(transport.select_queue(0), Err(transport::Error::QueueInUse(0)));
    assert_eq!(transport.queues(), 1);
}

#[test]
fn defect_27_a_legacy_queue_of_any_size_serves() {
    for size in [4, 128, 256, 1024] {
        let hal = FakeHal::with_legacy_block(false);
        hal.machine().device.queue_size = size;
        let mut data = [0; 512];
        assert_eq!(start(&hal).unwrap().read_sectors(7, &mut data), Ok(()), "{size}");
        assert_eq!(data, [7; 512]);
    }
}

#[test]
fn defect_33_features_ok_is_checked_and_failed_is_written() {
    let hal = FakeHal::with_block();
    hal.machine().device.fault = Fault::RefusesFeatures;
    assert!(start(&hal).is_err());
    let accesses = hal.machine().accesses.join("\n");
    assert!(
        accesses.ends_with("common +14 <- 0b\ncommon +14 -> 03\ncommon +14 <- 8b"),
        "{accesses}"
    );
}

#[test]
fn defect_33_driver_ok_comes_after_the_queues() {
    for hal in [FakeHal::with_block(), FakeHal::with_legacy_block(true)] {
        let disk = start(&hal).unwrap();
        let machine = hal.machine();
        let last = |what: &str| machine.accesses.iter().rposition(|line| line.starts_with(what));
        let enable = last("common +1c <- 0001").or(last("ports +08 <-")).expect("a queue");
        let status = |line: &str| {
            let stored = line.strip_prefix("common +14 <- ").or(line.strip_prefix("ports +12 <- "));
            stored.and_then(|status| u8::from_str_radix(status, 16).ok())
        };
        let says_ok = |line: &String| status(line).is_some_and(|status| status & 0x04 != 0);
        let first = machine.accesses.iter().position(says_ok);
        assert!(enable < first.expect("DRIVER_OK"));
        assert_eq!(machine.device.status() & 0x84, 0x04);
        drop(machine);
        drop(disk);
    }
}

#[test]
fn defect_33_needs_reset_is_looked_at() {
    let hal = FakeHal::with_block();
    let mut disk = start(&hal).unwrap();
    hal.machine().device.fault = Fault::NeedsReset;
    let error = disk.read_sectors(0, &mut [0; 512]).unwrap_err();
    assert!(matches!(error, Error::NeedsReset), "{error}");
    assert_eq!(hal.machine().device.status(), 0, "reset");
}

#[test]
fn defect_40_isr_is_loaded_once_for_each_interrupt_of_the_line_and_never_with_msix() {
    for msix in [false, true] {
        let hal = FakeHal::with_legacy_block(msix);
        let mut disk = start(&hal).unwrap();
        hal.machine().accesses.clear();
        for sector in 0..3 {
            disk.read_sectors(sector, &mut [0; 512]).unwrap();
        }
        let loads: Vec<_> = hal
            .machine()
            .accesses
            .iter()
            .filter(|line| line.starts_with("ports +13"))
            .cloned()
            .collect();
        assert_eq!(loads, if msix { vec![] } else { vec!["ports +13 -> 01"; 3] });
        assert_eq!(hal.machine().device.isr, 0, "the line is let go");
    }
}

#[test]
fn defect_40_an_interrupt_of_another_function_is_told_by_an_empty_isr() {
    let hal = FakeHal::with_block();
    let mut transport = open(&hal);
    transport.set_up_interrupts(1, Signalling::Line);
    assert_eq!(transport.acknowledge(), Isr::empty());
    hal.machine().device.isr = 3;
    assert_eq!(transport.acknowledge(), Isr::QUEUE | Isr::CONFIG);
    assert_eq!(transport.acknowledge(), Isr::empty(), "a load clears it");
}
