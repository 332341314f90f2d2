//! Interrupts that cannot be had, and devices that say what cannot be.

use crate::{
    fake::{FakeBlock, FakeHal, Fault, Function, capability},
    hal::Interrupt,
    pci::Pci,
    virtio::{
        blk::{Options, VirtioBlk},
        features::Features,
        queue::Areas,
        registers::blk,
        transport::{Error, Signalling, Transport},
    },
};

/// What is wrong with a configuration space, and the error that says so.
type Change = (fn(&mut Function), &'static str);

fn open(hal: &FakeHal) -> Result<Transport<FakeHal>, String> {
    let pci = Pci::init(hal);
    let device = pci.find_virtio_block_device().expect("a block device");
    let transport = Transport::open(&pci, device).map_err(|error| error.to_string());
    hal.machine().accesses.clear();
    transport
}

/// Starts a device and reads from it; the lines of the log that tell of its interrupts.
fn reads(
    function: impl FnOnce(&mut Function),
    device: impl FnOnce(&mut FakeBlock),
    vectors: u32,
) -> Vec<String> {
    let hal = FakeHal::with_block();
    function(hal.machine().functions.get_mut(&(0, 4, 0)).unwrap());
    device(&mut hal.machine().device);
    hal.machine().vectors = vectors;
    let mut disk = VirtioBlk::start(open(&hal).unwrap(), Options::default()).unwrap();
    let mut data = [0; 512];
    disk.read_sectors(5, &mut data).unwrap();
    assert_eq!(data, [5; 512]);
    disk.close().unwrap();
    let machine = hal.machine();
    let lines = machine.log.iter().filter_map(|line| line.strip_prefix("[VirtIO]   Interrupts: "));
    lines.map(str::to_string).collect()
}

#[test]
fn without_messages_it_is_the_line_and_the_log_says_why() {
    let none = |_: &mut Function| ();
    let no_fault = |_: &mut FakeBlock| ();
    let no_msix = |function: &mut Function| function.set(0x40, &[0x05]);
    assert_eq!(reads(none, no_fault, 16), [""; 0]);
    assert_eq!(reads(no_msix, no_fault, 16), ["INTx line 11 (no MSI-X)"]);
    assert_eq!(reads(none, no_fault, 0), ["INTx line 11 (no vector left)"]);
    assert_eq!(
        reads(none, |device| device.fault = Fault::RefusesVector, 16),
        ["INTx line 11 (MSI-X entry 1 refused: 0xffff was read back)"]
    );
    assert_eq!(
        reads(|function| function.set(0x44, &[0xf0, 0x0f]), no_fault, 16),
        ["INTx line 11 (no MSI-X table: 0x20 bytes at 0xff0 do not lie in BAR0 of 0x1000 bytes)"]
    );
}

#[test]
fn without_a_line_the_rings_are_looked_at() {
    // No pin; no line; a line that nobody wrote; a line that leads nowhere; a pin that is none.
    for line in [[11, 0], [255, 1], [0, 1], [99, 1], [11, 5]] {
        let function = |function: &mut Function| {
            function.set(0x40, &[0x05]);
            function.set(0x3c, &line);
        };
        assert_eq!(reads(function, |_| (), 16), ["polling (no MSI-X, no line)"], "{line:?}");
    }
}

#[test]
fn queues_share_the_entries_that_there_are() {
    let cases = [
        (1, 16, [0, 0, 0, 0]),
        (2, 16, [0, 1, 1, 1]),
        (3, 16, [0, 1, 2, 1]),
        (8, 16, [0, 1, 2, 3]),
    ];
    let scarce = [(8, 1, [0, 0, 0, 0]), (8, 3, [0, 1, 2, 1])];
    for (entries, vectors, expected) in cases.into_iter().chain(scarce) {
        let hal = FakeHal::with_block();
        hal.machine().functions.get_mut(&(0, 4, 0)).unwrap().set(0x42, &[entries - 1]);
        hal.machine().vectors = vectors;
        let mut transport = open(&hal).unwrap();
        transport.set_up_interrupts(3, Signalling::Best);
        let queues = [0, 1, 2].map(|queue| transport.queue_interrupt(queue));
        let [config, a, b, c] = expected.map(|entry| Some(Interrupt(0x30 + entry)));
        assert_eq!((transport.config_interrupt(), queues), (config, [a, b, c]));
    }
}

#[test]
fn what_firmware_left_on_is_masked_before_it_is_changed() {
    let hal = FakeHal::with_block();
    hal.machine().functions.get_mut(&(0, 4, 0)).unwrap().set(0x43, &[0x80]);
    let mut transport = open(&hal).unwrap();
    transport.set_up_interrupts(1, Signalling::Best);
    transport.unmask_interrupts();
    let transcript = [
        "config +42 <- c001",
        "table +0c <- 00000001",
        "table +1c <- 00000001",
        "table +00 <- fee00000",
        "table +04 <- 00000000",
        "table +08 <- 00000030",
        "table +10 <- fee00000",
        "table +14 <- 00000000",
        "table +18 <- 00000031",
        "config +42 <- 8001",
        "common +10 <- 0000",
        "common +10 -> 0000",
        "table +0c <- 00000000",
        "table +1c <- 00000000",
    ];
    assert_eq!(hal.machine().accesses, transcript);
    // The same again, with the same vectors, after a reset.
    hal.machine().accesses.clear();
    transport.set_up_interrupts(1, Signalling::Best);
    transport.unmask_interrupts();
    assert_eq!(hal.machine().accesses, transcript);
    hal.machine().accesses.clear();
    transport.set_up_interrupts(1, Signalling::Line);
    transport.unmask_interrupts();
    assert_eq!(hal.machine().accesses, ["config +42 <- 0001", "config +04 <- 0006"]);
}

#[test]
fn msix_that_is_on_and_cannot_be_used_is_turned_off() {
    let hal = FakeHal::with_block();
    {
        let mut machine = hal.machine();
        let function = machine.functions.get_mut(&(0, 4, 0)).unwrap();
        function.set(0x43, &[0x80]);
        function.set(0x44, &[5]);
    }
    let mut transport = open(&hal).unwrap();
    transport.set_up_interrupts(1, Signalling::Best);
    assert_eq!(transport.queue_interrupt(0), Some(Interrupt(11)));
    assert_eq!(hal.machine().functions[&(0, 4, 0)].bytes[0x43], 0);
}

#[test]
fn a_device_that_is_gone_is_an_error_at_each_stage() {
    let hal = FakeHal::with_block();
    let mut transport = open(&hal).unwrap();
    hal.machine().mishap = crate::fake::Mishap::Gone(0);
    assert!(transport.needs_reset(), "all ones");
    let error = transport.negotiate(Features::all()).unwrap_err().to_string();
    assert_eq!(error, "the device does not reset: its status stays 0xff");
    assert!(transport.select_queue(0).is_err());
    assert_eq!(transport.queue_interrupt(0), None);
}

#[test]
fn the_first_capability_that_leads_somewhere_wins() {
    let broken = [
        // Too short; outside the BAR; in a BAR that is not there; misaligned.
        capability(1, 0x40, 4, 0, 0x37),
        capability(1, 0x40, 4, 0x3ff0, 0x38),
        capability(1, 0x40, 5, 0, 0x38),
        capability(1, 0x40, 4, 2, 0x38),
    ];
    for decoy in broken {
        let hal = FakeHal::with_block();
        {
            let mut machine = hal.machine();
            let function = machine.functions.get_mut(&(0, 4, 0)).unwrap();
            function.set(0xa0, &decoy);
            function.set(0x34, &[0xa0]);
        }
        assert!(VirtioBlk::start(open(&hal).unwrap(), Options::default()).is_ok());
        // Alone it is the reason.
        let mut machine = hal.machine();
        machine.functions.get_mut(&(0, 4, 0)).unwrap().set(0x53, &[0x7f]);
        drop(machine);
        let error = open(&hal).unwrap_err();
        assert!(error.starts_with("the common configuration structure"), "{error}");
    }
}

#[test]
fn without_an_interface_there_is_no_transport() {
    let cases: [Change; 3] = [
        // No ports, a revision that is not a legacy device's, an ID that is not.
        (|f| f.register(0x10, 0, 0), "BAR0 of the legacy device is no range of I/O ports"),
        (|f| f.set(0x08, &[1]), "no capability tells where the common configuration structure is"),
        (
            |f| f.set(0x02, &[0x42]),
            "no capability tells where the common configuration structure is",
        ),
    ];
    for (change, error) in cases {
        let hal = FakeHal::with_legacy_block(true);
        change(hal.machine().functions.get_mut(&(0, 4, 0)).unwrap());
        assert_eq!(open(&hal).unwrap_err(), error);
    }
}

#[test]
fn a_queue_that_does_not_come_on_is_an_error_and_a_reset_takes_its_memory_from_the_device() {
    let hal = FakeHal::with_block();
    hal.machine().device.fault = Fault::NeverEnables;
    let error = VirtioBlk::start(open(&hal).unwrap(), Options::default()).unwrap_err().to_string();
    assert_eq!(error, "queue 0 is not enabled: 0x0 was read back");
    let accesses = hal.machine().accesses.clone();
    let stores = accesses.iter().filter_map(|line| line.strip_prefix("common +14 <- "));
    let expected = ["00", "01", "03", "0b", "8b", "00"];
    assert_eq!(stores.collect::<Vec<_>>(), expected, "DRIVER_OK was never said, FAILED was");
    assert_eq!(hal.machine().released.len(), 2, "the headers, and the rings");
}

#[test]
fn a_queue_that_is_on_after_the_reset_is_not_touched() {
    let hal = FakeHal::with_block();
    let mut transport = open(&hal).unwrap();
    transport.negotiate(Features::all()).unwrap();
    assert_eq!(transport.select_queue(0), Ok(256));
    let areas = Areas { desc: 0x10_0000, driver: 0x10_1000, device: 0x10_2000 };
    transport.enable_queue(0, 16, areas).unwrap();
    hal.machine().accesses.clear();
    assert_eq!(transport.select_queue(0), Err(Error::QueueInUse(0)));
    assert_eq!(transport.select_queue(1), Err(Error::NoQueue(1)));
    assert!(!hal.machine().accesses.iter().any(|line| line.starts_with("common +1c <-")));
}

#[test]
fn structures_may_lie_in_io_ports_and_above_4_gib() {
    let hal = FakeHal::with_block();
    {
        let mut machine = hal.machine();
        let function = machine.functions.get_mut(&(0, 4, 0)).unwrap();
        // The configuration in a BAR of I/O ports: those of the legacy interface, from 14h on.
        function.register(0x18, 0xc001, 0xffff_ffc0);
        function.set(0x70, &capability(4, 0x80, 2, 0x14, 0x28));
        // The others 256 GiB up.
        function.set(0x24, &[0x40, 0, 0, 0]);
    }
    let mut transport = open(&hal).unwrap();
    assert_eq!(hal.machine().functions[&(0, 4, 0)].bytes[4] & 3, 3, "both spaces are decoded");
    assert_eq!(hal.machine().mapped[0].base, 0x40_fe00_0000);
    assert_eq!(transport.load_config(blk::CAPACITY_LOW), Ok(64));
    assert_eq!(hal.machine().accesses, ["ports +14 -> 00000040"]);
    let error = transport.load_config(blk::WRITE_ZEROES_MAY_UNMAP).unwrap_err().to_string();
    assert_eq!(error, "the device configuration structure has 40 bytes, 57 are needed");
    transport.fail();
}

#[test]
fn a_legacy_configuration_is_loaded_until_it_is_twice_the_same() {
    let hal = FakeHal::with_legacy_block(false);
    let transport = open(&hal).unwrap();
    let grown = |transport: &Transport<FakeHal>| {
        let low = transport.load_config(blk::CAPACITY_LOW)?;
        // The device grows while it is looked at, twice.
        let mut machine = hal.machine();
        machine.device.sectors = (machine.device.sectors + 1).min(66);
        Ok(low)
    };
    assert_eq!(transport.read_config(grown), Ok(66));
    assert_eq!(hal.machine().accesses.len(), 4);
}
