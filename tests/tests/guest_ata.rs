//! The guest's ATA driver against the emulated IDE controller.

use std::io;

use eclipse_devices::disk::{Disk, MemoryDisk};
use eclipse_devices::fault::{Action, Fault, Trigger, Value};
use eclipse_devices::{Preset, Space};
use eclipse_kernel::ata::{self, AtaDisk, Found, Place};
use eclipse_kernel::block::{self, BlockDevice};
use eclipse_kernel::hal::Hal;
use eclipse_tests::Loopback;
use eclipse_tests::ata::counting;
use eclipse_trace::Bdf;
use expect_test::expect;

fn machine() -> Loopback {
    Loopback::new(Preset::Modern, MemoryDisk::counting(8))
}

/// A machine with `disk` on its IDE controller, and the driver of it.
fn with(disk: impl Disk + 'static) -> (Loopback, AtaDisk<Loopback>) {
    let machine = machine();
    machine.attach_ata(disk);
    let mut disks = ata::init(&machine);
    assert_eq!(disks.len(), 1, "{}", machine.console());
    (machine, disks.remove(0))
}

#[test]
fn the_disk_is_found_and_nothing_in_the_other_places() {
    let (machine, disk) = with(MemoryDisk::counting(64));
    assert_eq!((disk.place(), disk.blocks(), disk.read_only()), (Place::ALL[0], 8, false));
    expect![[r#"
        [ATA] Initializing ATA devices...
        [ATA] Found Eclipse ATA disk: primary master
        [ATA]   64 sectors, LBA48
    "#]]
    .assert_eq(&machine.console());
    let none = self::machine();
    assert!(ata::init(&none).is_empty());
    let console = none.console();
    assert_eq!(console, "[ATA] Initializing ATA devices...\n[ATA] No ATA disk found\n");
}

#[test]
fn no_access_of_the_driver_is_refused() {
    let (machine, mut disk) = with(MemoryDisk::counting(64));
    let mut block = block::zeroed();
    disk.read_block(7, &mut block).unwrap();
    disk.write_block(6, &block).unwrap();
    disk.flush().unwrap();
    let transcript = machine.transcript_from(0);
    // The channel without a disk is no access to a device.
    let mut refused = transcript.lines().filter(|line| line.contains("refused"));
    assert!(refused.all(|line| line.contains("port 0376 -> ff refused: no device")
        || line.contains("port 0376 <- 02 refused: no device")));
    assert!(!transcript.contains("irq"), "the driver polls");
}

#[test]
fn a_read_of_one_sector_is_these_accesses() {
    let (machine, mut disk) = with(MemoryDisk::counting(64));
    let from = machine.entries().len();
    let mut data = [0; 512];
    disk.read_sectors(9, &mut data).unwrap();
    assert_eq!(data[..], counting(9));
    let transcript = machine.transcript_from(from);
    let lines = transcript.lines().map(|line| line.replace("guest   00:01.1 ata ", ""));
    let (words, rest): (Vec<_>, Vec<_>) = lines.partition(|line| line.starts_with("data -> "));
    assert_eq!(words.len(), 256);
    // The first load is answered for the slave, which was looked for last.
    let rest = rest.join("\n").replace("alternate_status/device_control", "alternate_status");
    expect![[r#"
        alternate_status -> 00
        device <- e0
        alternate_status -> 50
        alternate_status -> 50
        alternate_status -> 50
        alternate_status -> 50
        alternate_status -> 50
        alternate_status -> 50
        sector_count <- 01
        lba_low <- 09
        lba_mid <- 00
        lba_high <- 00
        status/command <- 20
        alternate_status -> 58
        alternate_status -> 58
        alternate_status -> 58
        alternate_status -> 58
        alternate_status -> 58
        status/command -> 58
        alternate_status -> 50
        alternate_status -> 50
        alternate_status -> 50
        alternate_status -> 50
        alternate_status -> 50
        status/command -> 50"#]]
    .assert_eq(&rest);
}

#[test]
fn what_was_written_is_read_back() {
    let (_, mut disk) = with(MemoryDisk::counting(67));
    let (mut block, mut back) = (block::zeroed(), block::zeroed());
    assert_eq!((disk.blocks(), disk.bytes()), (8, 67 * 512));
    for number in 0..9 {
        disk.read_block(number, &mut block).unwrap();
        let there: Vec<_> = (number * 8..(number * 8 + 8).min(67)).flat_map(counting).collect();
        assert_eq!(block[..there.len()], there);
        assert!(block[there.len()..].iter().all(|byte| *byte == 0), "behind the end");
        block[..there.len()].reverse();
        disk.write_block(number, &block).unwrap();
        disk.flush().unwrap();
        disk.read_block(number, &mut back).unwrap();
        assert_eq!(back, block);
    }
    assert!(disk.read_block(9, &mut block).is_err());
}

/// A large disk whose sectors begin with their number; some cannot be read, none can be written.
struct Large;

impl Disk for Large {
    fn sectors(&self) -> u64 {
        1 << 30
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read(&mut self, sector: u64, buffer: &mut [u8]) -> io::Result<()> {
        if sector == 13 {
            return Err(io::ErrorKind::Other.into());
        }
        for (sector, data) in (sector..).zip(buffer.chunks_mut(512)) {
            data.fill(0);
            data[..8].copy_from_slice(&sector.to_le_bytes());
        }
        Ok(())
    }

    fn write(&mut self, _sector: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Other.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Other.into())
    }
}

#[test]
fn sectors_around_the_end_of_28_bits_are_read_with_the_right_command() {
    let (machine, mut disk) = with(Large);
    for (sector, command) in [(0x0fff_fffd, 20), (0x0fff_fffe, 24), (0x0fff_ffff, 24)] {
        let from = machine.entries().len();
        let mut data = [0; 1024];
        disk.read_sectors(sector, &mut data).unwrap();
        assert_eq!(data[..8], sector.to_le_bytes());
        assert_eq!(data[512..520], (sector + 1).to_le_bytes());
        let transcript = machine.transcript_from(from);
        assert!(transcript.contains(&format!("status/command <- {command}\n")), "{transcript}");
    }
}

#[test]
fn a_disk_that_fails_is_an_error_with_its_bits_and_goes_on() {
    let (_, mut disk) = with(Large);
    let mut data = [0; 1024];
    let error = disk.read_sectors(12, &mut data).unwrap_err().to_string();
    let place = "ATA primary master";
    assert_eq!(error, format!("{place}: read at sector 12: the data cannot be read (error 0x40)"));
    let fault = "device fault: the command is aborted (error 0x04)";
    let error = disk.write_sectors(5, &data).unwrap_err().to_string();
    assert_eq!(error, format!("{place}: write at sector 5: {fault}"));
    let error = disk.flush().unwrap_err().to_string();
    assert_eq!(error, format!("{place}: flush at sector 0: {fault}"));
    disk.read_sectors(14, &mut data).unwrap();
    assert_eq!(data[..8], 14_u64.to_le_bytes());
}

#[test]
fn a_write_protected_disk_aborts_and_stays_as_it_was() {
    let (_, mut disk) = with(MemoryDisk::counting(64).write_protected());
    let error = disk.write_sectors(3, &[0; 512]).unwrap_err().to_string();
    let why = "ATA primary master: write at sector 3: the command is aborted (error 0x04)";
    assert_eq!(error, why);
    let mut data = [0; 512];
    disk.read_sectors(3, &mut data).unwrap();
    assert_eq!(data[..], counting(3));
}

#[test]
fn a_controller_that_does_not_decode_its_ports_has_no_disk() {
    let (machine, mut disk) = with(MemoryDisk::counting(64));
    machine.store(Space::Port, 0xcf8, 4, 0x8000_0904);
    machine.store(Space::Port, 0xcfc, 2, 0);
    let error = disk.read_sectors(0, &mut [0; 512]).unwrap_err().to_string();
    assert!(error.ends_with("the device is gone (status 0xff)"), "{error}");
    assert!(matches!(AtaDisk::probe(&machine, Place::ALL[0]), Ok(Found::Nothing)));
}

#[test]
fn a_device_that_stays_busy_is_given_up_in_time() {
    let (machine, mut disk) = with(MemoryDisk::counting(64));
    // Whatever register: BSY, and DRQ too.
    let any = Trigger::Load("any".parse().unwrap());
    let busy = Fault::new(any, Action::Alter(Value::Or(0x80))).of(Bdf::new(0, 1, 1)).from_now_on();
    machine.inject(vec![busy]);
    let (from, before) = (machine.entries().len(), machine.now());
    let error = disk.read_sectors(0, &mut [0; 512]).unwrap_err().to_string();
    let why = "ATA primary master: read at sector 0: the device is busy for more than 31000 ms";
    assert_eq!(error, why);
    let waited = (machine.now() - before).as_secs();
    assert_eq!(waited, 36, "5 s for the command before, 31 s for a reset");
    assert!(machine.entries().len() - from < 10_000, "the driver sleeps between its looks");
}
