//! The legacy interface: ports, page frame numbers, configuration at 20 or 24
//! (VIRTIO 1.4, 4.1.4.10 and the other sections of that name).

use eclipse_devices::disk::MemoryDisk;
use eclipse_devices::{Preset, Space};
use eclipse_tests::{Bare, Loopback};
use expect_test::expect;
use vm_memory::{Bytes, GuestAddress};

const PORTS: u64 = 0xc000;
/// The block device's queue has 256 entries, which the driver cannot change.
const SIZE: u64 = 256;
/// Where the test puts the queue, the headers and the data.
const QUEUE: u64 = 0x10_0000;
const AVAIL: u64 = QUEUE + 16 * SIZE;
const USED: u64 = (AVAIL + 6 + 2 * SIZE).next_multiple_of(4096);

struct Driver {
    machine: Loopback,
}

impl Driver {
    fn new(preset: Preset) -> Self {
        let machine = Loopback::new(preset, MemoryDisk::counting(64));
        let driver = Self { machine };
        driver.config(0x04, 2, Some(0x0005));
        driver
    }

    fn config(&self, offset: u64, width: u8, value: Option<u64>) -> u64 {
        self.machine.store(Space::Port, 0xcf8, 4, 0x8000_2000 | offset & 0xfc);
        let port = 0xcfc + (offset & 3);
        match value {
            Some(value) => self.machine.store(Space::Port, port, width, value),
            None => return self.machine.load(Space::Port, port, width),
        }
        0
    }

    fn store(&self, offset: u64, width: u8, value: u64) {
        self.machine.store(Space::Port, PORTS + offset, width, value);
    }

    fn load(&self, offset: u64, width: u8) -> u64 {
        self.machine.load(Space::Port, PORTS + offset, width)
    }

    fn write(&self, address: u64, bytes: &[u8]) {
        self.machine.memory().write_slice(bytes, GuestAddress(address)).expect("it is in RAM");
    }

    fn read<const N: usize>(&self, address: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.machine.memory().read_slice(&mut bytes, GuestAddress(address)).expect("it is in RAM");
        bytes
    }

    /// Reset, ACKNOWLEDGE, DRIVER, features, the queue's page, DRIVER_OK (3.1.2).
    fn start(&self) {
        self.store(18, 1, 0);
        self.store(18, 1, 1);
        self.store(18, 1, 3);
        self.store(4, 4, self.load(0, 4));
        self.store(14, 2, 0);
        assert_eq!(self.load(12, 2), SIZE);
        self.store(8, 4, QUEUE / 4096);
        self.store(18, 1, 7);
    }

    /// Reads sector 2 by a chain of header, data and status.
    fn read_sector(&self) {
        let mut header = [0; 16];
        header[8] = 2;
        self.write(0x4000, &header);
        self.write(0x4010, &[0xff]);
        let chain = [(0x4000u64, 16u32, 1u16, 1u16), (0x5000, 512, 3, 2), (0x4010, 1, 2, 0)];
        for (index, (addr, len, flags, next)) in (0..).zip(chain) {
            let mut descriptor = addr.to_le_bytes().to_vec();
            descriptor.extend(len.to_le_bytes());
            descriptor.extend(flags.to_le_bytes());
            descriptor.extend(next.to_le_bytes());
            self.write(QUEUE + 16 * index, &descriptor);
        }
        self.write(AVAIL, &[0, 0, 1, 0, 0, 0]);
        self.store(16, 2, 0);
    }

    fn transcript_of(&self, accesses: impl FnOnce()) -> String {
        let from = self.machine.entries().len();
        accesses();
        let entries = self.machine.entries();
        entries[from..].iter().map(|entry| format!("{entry}\n")).collect()
    }
}

#[test]
fn a_legacy_device_is_known_by_its_ids_and_has_no_structures() {
    let driver = Driver::new(Preset::Legacy);
    assert_eq!(driver.config(0x00, 4, None), 0x1001_1af4);
    assert_eq!(driver.config(0x08, 1, None), 0, "revision 0 (4.1.2.3)");
    assert_eq!(driver.config(0x2e, 2, None), 2, "subsystem ID: the virtio device ID");
    assert_eq!(driver.config(0x10, 4, None), PORTS | 1);
    assert_eq!(driver.config(0x20, 4, None), 0, "no BAR 4");
    assert_eq!(driver.config(0x40, 2, None), 0x0011, "MSI-X is the only capability");
}

#[test]
fn a_transitional_device_has_both_interfaces_over_one_device() {
    let driver = Driver::new(Preset::Transitional);
    assert_eq!(driver.config(0x00, 4, None), 0x1001_1af4);
    driver.config(0x04, 2, Some(0x0007));
    driver.store(18, 1, 1);
    let status = driver.machine.load(Space::Memory, Bare::COMMON + 0x14, 1);
    assert_eq!(status, 1, "the same status through the structures");
}

#[test]
fn a_read_over_the_legacy_interface_goes_through_the_queue_in_its_page() {
    let driver = Driver::new(Preset::Legacy);
    driver.start();
    assert_eq!(
        driver.transcript_of(|| driver.read_sector()),
        format!(
            "guest   00:04.0 legacy queue_notify <- 0000\n\
             00:04.0 q0 avail.idx -> 0001\n\
             00:04.0 q0 avail.ring[0] -> 0000\n\
             00:04.0 q0 desc[0] -> 0x4000 len 16 NEXT 1\n\
             00:04.0 q0 desc[1] -> 0x5000 len 512 WRITE NEXT 2\n\
             00:04.0 q0 desc[2] -> 0x4010 len 1 WRITE\n\
             00:04.0 q0 desc[0] read 16 bytes at 0x4000\n\
             00:04.0 q0 desc[1] write 512 bytes at 0x5000\n\
             00:04.0 q0 request 0: in sector 2, 512 bytes: ok\n\
             00:04.0 q0 desc[2] write 1 bytes at 0x4010\n\
             00:04.0 q0 used.ring[0] <- id 0 len 513\n\
             00:04.0 q0 used.idx <- 0001\n\
             00:04.0 q0 avail.flags -> 0000\n\
             00:04.0 inta asserted, gsi 10\n"
        )
    );
    assert_eq!(driver.read::<8>(0x5000), 128u64.to_le_bytes());
    assert_eq!(driver.read::<8>(USED), [0, 0, 1, 0, 0, 0, 0, 0], "used ring on the next page");
    assert_eq!((driver.load(19, 1), driver.load(19, 1)), (1, 0), "a load clears the ISR status");
    assert_eq!(driver.load(8, 4), QUEUE / 4096);
}

#[test]
fn the_configuration_is_at_20_and_moves_to_24_with_msix_and_takes_any_width() {
    let driver = Driver::new(Preset::Legacy);
    assert_eq!(driver.load(20, 4), 64, "capacity");
    assert_eq!((driver.load(20, 1), driver.load(21, 1), driver.load(20, 2)), (64, 0, 64));
    driver.config(0x42, 2, Some(0x8000));
    assert_eq!(driver.load(24, 4), 64);
    assert_eq!((driver.load(20, 2), driver.load(22, 2)), (0xffff, 0xffff), "no vectors yet");
    driver.store(20, 2, 1);
    driver.store(22, 2, 2);
    assert_eq!((driver.load(20, 2), driver.load(22, 2)), (1, 0xffff), "only what there is");
}

#[test]
fn a_vector_is_a_queues_whether_it_is_chosen_before_its_address_or_behind() {
    for before in [true, false] {
        let driver = Driver::new(Preset::Legacy);
        driver.start();
        driver.store(8, 4, 0);
        driver.config(0x42, 2, Some(0x8000));
        if before {
            driver.store(22, 2, 1);
        }
        driver.store(8, 4, QUEUE / 4096);
        if !before {
            driver.store(22, 2, 1);
        }
        assert_eq!(driver.load(22, 2), 1, "before: {before}");
    }
}

#[test]
fn the_legacy_interface_shows_32_features_and_any_layout() {
    let driver = Driver::new(Preset::Transitional);
    assert_eq!(driver.load(0, 4), 0x0800_0244);
    driver.store(4, 4, 0x0800_0245);
    assert_eq!(driver.load(4, 4), 0x0800_0244);
}

#[test]
fn a_page_of_0_takes_the_queue_back_and_a_reset_all_of_it() {
    let driver = Driver::new(Preset::Legacy);
    driver.start();
    driver.store(8, 4, 0);
    let rung = driver.transcript_of(|| driver.store(16, 2, 0));
    assert!(rung.contains("queue 0 notified while not enabled"), "{rung}");
    driver.start();
    driver.store(18, 1, 0);
    assert_eq!((driver.load(8, 4), driver.load(18, 1), driver.load(4, 4)), (0, 0, 0));
}

#[test]
fn a_legacy_driver_has_no_features_ok() {
    let driver = Driver::new(Preset::Legacy);
    expect![[r#"
        guest   00:04.0 legacy device_status <- 01
        guest   00:04.0 legacy device_status <- 0b
        00:04.0 violation of VIRTIO 1.4, 3.1.1: status 0x0b skips a step of the initialisation
        guest   00:04.0 legacy +12 -> ffff refused: the register has another width
        guest   00:04.0 legacy +c <- 0080 refused: the register is read-only
    "#]]
    .assert_eq(&driver.transcript_of(|| {
        driver.store(18, 1, 1);
        driver.store(18, 1, 0x0b);
        driver.load(18, 2);
        driver.store(12, 2, 128);
    }));
}
