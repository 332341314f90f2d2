//! The commands of the ATA disk, by the ATA/ATAPI-6 command set.

use std::io;

use eclipse_devices::Space;
use eclipse_devices::disk::{Disk, MemoryDisk};
use eclipse_tests::ata::{
    ABRT, CONTROL, Channel, DATA, DEVICE, FAILED, IDNF, LBA, READY, STATUS, UNC, WANTS_DATA,
    counting,
};
use expect_test::expect;

#[test]
fn a_read_is_a_command_an_interrupt_and_256_words() {
    let channel = Channel::counting();
    expect![[r#"
        guest   00:01.1 ata device <- e0
        guest   00:01.1 ata sector_count <- 01
        guest   00:01.1 ata lba_low <- 02
        guest   00:01.1 ata lba_mid <- 00
        guest   00:01.1 ata lba_high <- 00
        guest   00:01.1 ata status/command <- 20
        00:01.1 irq 14 asserted
        guest   00:01.1 ata alternate_status/device_control -> 58
        guest   00:01.1 ata status/command -> 58
        00:01.1 irq 14 deasserted
        guest   00:01.1 ata data -> 0080
        guest   00:01.1 ata data -> 0000
    "#]]
    .assert_eq(&channel.transcript_of(|| {
        channel.command(0x20, 2, 1);
        channel.load(CONTROL);
        channel.load(STATUS);
        channel.0.load(Space::Port, DATA.into(), 2);
        channel.0.load(Space::Port, DATA.into(), 2);
    }));
    for _ in 2..256 {
        channel.0.load(Space::Port, DATA.into(), 2);
    }
    assert_eq!(channel.outcome(), (READY, 0));
}

#[test]
fn identify_describes_the_disk() {
    let channel = Channel::counting();
    channel.command(0xec, 0, 0);
    assert_eq!(channel.load(STATUS), WANTS_DATA);
    let bytes = channel.read_sector();
    let word = |index: usize| u16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]);
    let text = |words: std::ops::Range<usize>| {
        let bytes = words.flat_map(|index| word(index).to_be_bytes()).collect();
        String::from_utf8(bytes).expect("it is ASCII")
    };
    assert_eq!(word(0) & 0x8000, 0, "an ATA device");
    assert_eq!(text(27..47).trim_end(), "Eclipse ATA disk");
    assert_eq!(text(10..20).len(), 20);
    assert_eq!(word(49) & 0x300, 0x200, "LBA, and no DMA");
    assert_eq!((word(60), word(61)), (64, 0), "sectors for 28-bit commands");
    assert_eq!(word(80) & 1 << 6, 1 << 6, "ATA/ATAPI-6");
    assert_eq!(word(83) & 0xf400, 0x7400, "FLUSH, FLUSH EXT and 48-bit commands");
    assert_eq!(word(86) & 0x3400, 0x3400, "and they are on");
    assert_eq!([word(100), word(101), word(102), word(103)], [64, 0, 0, 0]);
    assert_eq!(word(255) & 0xff, 0xa5);
    assert_eq!(bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte)), 0);
    assert_eq!(channel.outcome(), (READY, 0));
}

#[test]
fn several_sectors_are_read_one_by_one() {
    for extended in [false, true] {
        let channel = Channel::counting();
        match extended {
            false => channel.command(0x20, 61, 3),
            true => channel.command_extended(0x24, 61, 3),
        }
        for sector in 61..64 {
            assert_eq!(channel.load(STATUS), WANTS_DATA, "sector {sector}");
            assert_eq!(channel.read_sector(), counting(sector));
        }
        assert_eq!(channel.outcome(), (READY, 0));
    }
}

#[test]
fn a_count_of_0_is_256_sectors_or_65536() {
    let channel = Channel::new(MemoryDisk::counting(256));
    channel.command(0x20, 0, 0);
    for sector in 0..256 {
        assert_eq!(channel.read_sector(), counting(sector));
    }
    assert_eq!(channel.outcome(), (READY, 0));
    for (sectors, outcome) in [(0x1_0000, (WANTS_DATA, 0)), (0xffff, (FAILED, IDNF))] {
        let channel = Channel::new(Zeros(sectors));
        channel.command_extended(0x24, 0, 0);
        assert_eq!(channel.outcome(), outcome);
    }
}

/// A disk of so many sectors of zeros.
struct Zeros(u64);

impl Disk for Zeros {
    fn sectors(&self) -> u64 {
        self.0
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read(&mut self, _sector: u64, buffer: &mut [u8]) -> io::Result<()> {
        buffer.fill(0);
        Ok(())
    }

    fn write(&mut self, _sector: u64, _data: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_was_written_and_flushed_is_read_back() {
    for (write, read, flush) in [(0x30, 0x24, 0xe7), (0x34, 0x20, 0xea)] {
        let channel = Channel::counting();
        let sectors = [vec![0x5a; 512], vec![0xc3; 512]];
        let transcript = channel.transcript_of(|| match write {
            0x30 => channel.command(write, 5, 2),
            _ => channel.command_extended(write, 5, 2),
        });
        assert!(!transcript.contains("irq"), "no interrupt before the first sector");
        for sector in &sectors {
            assert_eq!(channel.load(STATUS), WANTS_DATA);
            let transcript = channel.transcript_of(|| channel.write_sector(sector));
            assert!(transcript.ends_with("irq 14 asserted\n"), "one behind each sector");
        }
        assert_eq!(channel.outcome(), (READY, 0));
        channel.store(STATUS, flush);
        assert_eq!(channel.outcome(), (READY, 0));

        match read {
            0x20 => channel.command(read, 4, 4),
            _ => channel.command_extended(read, 4, 4),
        }
        assert_eq!(channel.read_sector(), counting(4));
        assert_eq!([channel.read_sector(), channel.read_sector()], sectors);
        assert_eq!(channel.read_sector(), counting(7));
    }
}

#[test]
fn an_address_beyond_the_end_is_not_found_and_shown() {
    let channel = Channel::counting();
    let shown = || {
        channel.store(CONTROL, 0x80);
        let high = LBA.map(|port| channel.load(port));
        channel.store(CONTROL, 0x00);
        let low = LBA.map(|port| channel.load(port));
        let all = low.into_iter().chain(high).rev();
        all.fold(0, |lba, byte| lba << 8 | byte)
    };
    for command in [0x20, 0x30] {
        channel.command(command, 64, 1);
        assert_eq!((channel.outcome(), shown()), ((FAILED, IDNF), 64));
        channel.command(command, 63, 2);
        assert_eq!((channel.outcome(), shown()), ((FAILED, IDNF), 64));
        channel.command(command, 0xfff_ffff, 0);
        assert_eq!((channel.outcome(), shown()), ((FAILED, IDNF), 0xfff_ffff));
    }
    for command in [0x24, 0x34] {
        channel.command_extended(command, 0xffff_ffff_ffff, 0);
        assert_eq!((channel.outcome(), shown()), ((FAILED, IDNF), 0xffff_ffff_ffff));
        channel.command_extended(command, 1 << 24, 1);
        assert_eq!((channel.outcome(), shown()), ((FAILED, IDNF), 1 << 24));
    }
    channel.command(0x20, 63, 1);
    assert_eq!(channel.outcome(), (WANTS_DATA, 0), "the next command is not affected");

    let channel = Channel::new(Zeros(1 << 24));
    channel.command(0x20, 0xff_ffff, 2);
    assert_eq!(channel.outcome(), (FAILED, IDNF));
    assert_eq!(LBA.map(|port| channel.load(port)), [0, 0, 0]);
    assert_eq!(channel.load(DEVICE), 0xe1, "bits 27:24 of the address");
}

#[test]
fn what_it_does_not_know_or_cannot_do_is_aborted() {
    let channel = Channel::counting();
    // NOP, READ DMA, SET FEATURES, IDENTIFY PACKET DEVICE, READ MULTIPLE.
    for command in [0x00, 0xc8, 0xef, 0xa1, 0xc4, 0x01, 0xff] {
        channel.store(STATUS, command);
        assert_eq!(channel.outcome(), (FAILED, ABRT), "command {command:02x}");
    }
    channel.store(DEVICE, 0xa0);
    channel.store(STATUS, 0x20);
    assert_eq!(channel.outcome(), (FAILED, ABRT), "cylinders, heads and sectors");

    let channel = Channel::new(MemoryDisk::counting(64).write_protected());
    channel.command(0x30, 0, 1);
    assert_eq!(channel.outcome(), (FAILED, ABRT), "a disk that is read-only");
    channel.command(0x20, 0, 1);
    assert_eq!(channel.outcome(), (WANTS_DATA, 0));
}

#[test]
fn data_moves_only_while_drq_is_set_and_by_16_bits() {
    let channel = Channel::counting();
    expect![[r#"
        guest   00:01.1 ata data -> ffff refused: no data is transferred now
        guest   00:01.1 ata data <- 1234 refused: no data is transferred now
        guest   port 01f0 -> ff refused: the register has another width
        guest   port 01f0 -> ffffffff refused: the register has another width
        guest   port 01f6 <- e0e0 refused: the register has another width
    "#]]
    .assert_eq(&channel.transcript_of(|| {
        channel.0.load(Space::Port, DATA.into(), 2);
        channel.0.store(Space::Port, DATA.into(), 2, 0x1234);
        channel.load(DATA);
        channel.0.load(Space::Port, DATA.into(), 4);
        channel.0.store(Space::Port, DEVICE.into(), 2, 0xe0e0);
    }));
    channel.command(0x20, 0, 1);
    expect![[r#"
        guest   00:01.1 ata data <- 1234 refused: no data is transferred now
        guest   00:01.1 ata lba_low <- 07 refused: the register does not take this value now
        guest   00:01.1 ata status/command <- ec refused: the register does not take this value now
        guest   00:01.1 ata status/command -> 58
        00:01.1 irq 14 deasserted
    "#]]
    .assert_eq(&channel.transcript_of(|| {
        channel.0.store(Space::Port, DATA.into(), 2, 0x1234);
        channel.store(LBA[0], 7);
        channel.store(STATUS, 0xec);
        channel.load(STATUS);
    }));
    assert_eq!(channel.read_sector(), counting(0));
    channel.command(0x30, 0, 1);
    assert_eq!(channel.0.load(Space::Port, DATA.into(), 2), 0xffff, "the other direction");
}

/// A disk on which nothing works.
struct Broken;

impl Disk for Broken {
    fn sectors(&self) -> u64 {
        1 << 40
    }

    fn read_only(&self) -> bool {
        false
    }

    fn read(&mut self, _sector: u64, _buffer: &mut [u8]) -> io::Result<()> {
        Err(io::ErrorKind::Other.into())
    }

    fn write(&mut self, _sector: u64, _data: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Other.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Other.into())
    }
}

#[test]
fn a_disk_that_fails_says_so() {
    let channel = Channel::new(Broken);
    channel.command_extended(0x24, 0x12_3456_789a, 1);
    assert_eq!(channel.outcome(), (FAILED, UNC));
    assert_eq!(LBA.map(|port| channel.load(port)), [0x9a, 0x78, 0x56]);
    channel.command_extended(0x34, 5, 1);
    channel.write_sector(&[0; 512]);
    assert_eq!(channel.outcome(), (FAILED | 0x20, ABRT), "device fault");
    channel.store(STATUS, 0xe7);
    assert_eq!(channel.outcome(), (FAILED | 0x20, ABRT), "device fault");
    channel.command(0xec, 0, 0);
    let bytes = channel.read_sector();
    assert_eq!(bytes[120..124], [0xff, 0xff, 0xff, 0x0f], "as much as 28 bits can say");
    assert_eq!(bytes[200..208], (1u64 << 40).to_le_bytes());
}
