//! The driver against drives that are slow, and that break.

mod defects;
#[allow(unsafe_code)]
mod drive;

use drive::{Drive, Machine, Trouble};

use super::{AtaDisk, Command, Error, Failure, Found, Place, SECTOR, init};
use crate::{
    block::{self, BlockDevice},
    hal::Hal,
};

/// The drive at the primary channel's device 0.
fn first(machine: &Machine) -> AtaDisk<Machine> {
    match AtaDisk::probe(machine, Place::ALL[0]) {
        Ok(Found::Disk(disk)) => disk,
        other => panic!("{other:?}"),
    }
}

fn single(drive: Drive) -> (Machine, AtaDisk<Machine>) {
    let machine = Machine::with([(0, 0, drive)]);
    let disk = first(&machine);
    machine.controller().commands.clear();
    (machine, disk)
}

fn counting(sector: u64, sectors: u64) -> Vec<u8> {
    let words = (sector..sector + sectors)
        .flat_map(|sector| (0..256).map(move |index| Drive::word(sector, index)));
    words.flat_map(u16::to_le_bytes).collect()
}

#[test]
fn all_disks_of_both_channels_are_found() {
    let machine = Machine::with([
        (0, 0, Drive::new(64)),
        (0, 1, Drive::new(1 << 30)),
        (1, 0, Drive::packet()),
        (1, 1, Drive::new(9)),
    ]);
    let disks = init(&machine);
    let places: Vec<_> = disks.iter().map(|disk| disk.place().to_string()).collect();
    assert_eq!(places, ["primary master", "primary slave", "secondary slave"]);
    assert_eq!(
        machine.controller().log,
        [
            "[ATA] Initializing ATA devices...",
            "[ATA] Found Fake disk?: primary master",
            "[ATA]   64 sectors, LBA48",
            "[ATA] Found Fake disk?: primary slave",
            "[ATA]   1073741824 sectors, LBA48",
            "[ATA] Found ATAPI device: secondary master, skipped",
            "[ATA] Found Fake disk?: secondary slave",
            "[ATA]   9 sectors, LBA48",
        ]
    );
}

#[test]
fn an_empty_controller_and_one_that_is_not_there_have_no_disk() {
    let machine = Machine::default();
    assert!(init(&machine).is_empty());
    assert_eq!(machine.controller().log[1..], ["[ATA] No ATA disk found"]);
    assert_eq!(machine.controller().commands, [], "nobody is there to be given a command");
}

#[test]
fn an_identity_that_cannot_be_is_refused() {
    let cases: [(&[(usize, u16)], &str); 5] = [
        (&[(0, 0x848a), (255, 0)], "its identity is none of an ATA device (word 0 is 0x848a)"),
        (&[(1, 3)], "the checksum of its identity is wrong by 0x03"),
        (&[(49, 0), (255, 0)], "it has cylinders and heads only, no linear addresses"),
        (&[(60, 0), (100, 0), (255, 0)], "a disk of 0 sectors cannot be"),
        (&[(103, 2), (255, 0)], "a disk of 562949953421376 sectors cannot be"),
    ];
    for (words, why) in cases {
        let drive = Drive::new(64).with_words(words.iter().copied());
        let machine = Machine::with([(0, 0, drive)]);
        assert!(init(&machine).is_empty());
        let line = format!("[ATA] Device left out: ATA primary master: {why}");
        assert_eq!(machine.controller().log[1], line);
    }
}

#[test]
fn words_that_are_not_valid_promise_nothing() {
    let (machine, mut disk) = single(Drive::new(64).with_words([(83, 0xf400), (255, 0)]));
    assert_eq!((disk.identity().sectors, disk.identity().lba48), (64, false));
    disk.flush().unwrap();
    assert_eq!(machine.controller().commands, [(0xe7, 0, 0x100)]);
}

#[test]
fn status_is_believed_no_earlier_than_the_device_shows_it() {
    // The drive shows the old status for four loads, and stops the test at a word too early.
    let (machine, mut disk) = single(Drive::new(64));
    let mut data = vec![0; 3 * SECTOR];
    disk.read_sectors(5, &mut data).unwrap();
    assert_eq!(data, counting(5, 3));
    disk.write_sectors(60, &data).unwrap();
    let mut back = vec![0; 4 * SECTOR];
    disk.read_sectors(60, &mut back).unwrap();
    assert_eq!(back[..3 * SECTOR], data);
    assert_eq!(back[3 * SECTOR..], counting(63, 1));
    let commands = [(0x20, 5, 3), (0x30, 60, 3), (0x20, 60, 4)];
    assert_eq!(machine.controller().commands, commands);
}

#[test]
fn two_disks_of_a_channel_do_not_mix_up() {
    let machine = Machine::with([(0, 0, Drive::new(64)), (0, 1, Drive::new(64))]);
    let mut disks = init(&machine);
    for (disk, byte) in disks.iter_mut().zip([0x11, 0x22]) {
        disk.write_sectors(1, &[byte; SECTOR]).unwrap();
    }
    for (disk, byte) in disks.iter_mut().zip([0x11, 0x22]) {
        let mut data = [0; SECTOR];
        disk.read_sectors(1, &mut data).unwrap();
        assert_eq!(data, [byte; SECTOR]);
    }
}

#[test]
fn addresses_of_48_bits_are_used_where_28_do_not_do() {
    let (machine, mut disk) = single(Drive::new(1 << 40));
    let mut data = vec![0; 2 * SECTOR];
    for sector in [0x0fff_fffd, 0x0fff_fffe, 0x0fff_ffff, 0x12_3456_789a] {
        disk.read_sectors(sector, &mut data).unwrap();
        assert_eq!(data, counting(sector, 2));
    }
    disk.write_sectors(0xff_ffff_fffe, &data).unwrap();
    disk.flush().unwrap();
    assert_eq!(
        machine.controller().commands[..5],
        [
            (0x20, 0x0fff_fffd, 2),
            (0x24, 0x0fff_fffe, 2),
            (0x24, 0x0fff_ffff, 2),
            (0x24, 0x12_3456_789a, 2),
            (0x34, 0xff_ffff_fffe, 2),
        ]
    );
    assert_eq!(machine.controller().commands[5].0, 0xea);
    assert!(machine.controller().drive(0, 0).written.contains_key(&0xff_ffff_ffff));
}

#[test]
fn a_long_request_is_several_commands() {
    let (machine, mut disk) = single(Drive::new(1000));
    let mut data = vec![0; 600 * SECTOR];
    disk.read_sectors(7, &mut data).unwrap();
    assert_eq!(data, counting(7, 600));
    let commands = [(0x20, 7, 256), (0x20, 263, 256), (0x20, 519, 88)];
    assert_eq!(machine.controller().commands, commands);
}

#[test]
fn what_is_not_on_the_disk_is_refused_before_any_command() {
    let (machine, mut disk) = single(Drive::new(20));
    let refused = |result: Result<(), Error>| result.unwrap_err().to_string();
    let mut data = vec![0; 2 * SECTOR];
    let error = refused(disk.read_sectors(19, &mut data));
    assert_eq!(error, "ATA primary master: 2 sectors at 19 are not on a disk of 20 sectors");
    assert!(refused(disk.write_sectors(u64::MAX, &data)).ends_with("a disk of 20 sectors"));
    let error = refused(disk.read_sectors(0, &mut data[1..]));
    assert_eq!(error, "ATA primary master: 1023 bytes are not whole sectors of 512");
    let mut block = block::zeroed();
    assert!(disk.read_block(3, &mut block).is_err());
    assert!(disk.write_block(u64::MAX, &block).is_err());
    assert_eq!(machine.controller().commands, []);
}

#[test]
fn the_last_block_may_be_there_in_part() {
    let (machine, mut disk) = single(Drive::new(20));
    assert_eq!((disk.blocks(), disk.bytes()), (2, 10240));
    let mut block = block::zeroed();
    block.fill(0xee);
    disk.read_block(2, &mut block).unwrap();
    assert_eq!(block[..2048], counting(16, 4));
    assert_eq!(block[2048..], [0; 2048]);
    disk.write_block(2, &block).unwrap();
    assert_eq!(machine.controller().commands, [(0x20, 16, 4), (0x30, 16, 4)]);
}

/// Reads two sectors of a drive in trouble; the failure, and what it says.
fn failure(trouble: Trouble) -> (Failure, String) {
    let (machine, mut disk) = single(Drive::new(64));
    machine.controller().drive(0, 0).trouble = trouble;
    let error = disk.read_sectors(5, &mut [0; 2 * SECTOR]).unwrap_err();
    let Error::Failed { command: Command::Read, sector: 5, failure, .. } = error else {
        panic!("{error}");
    };
    (failure, error.to_string())
}

#[test]
fn each_trouble_has_its_error() {
    let cases = [
        (Trouble::Busy, "the device is busy for more than 5000 ms"),
        (Trouble::NoData, "the device asks for no data in 5000 ms"),
        (Trouble::Endless, "the device asks for more data than the command has (status 0x58)"),
        (Trouble::Gone, "the device is gone (status 0xff)"),
        (Trouble::Ends(0x51, 0x10), "the address is not found (error 0x10)"),
        (Trouble::Ends(0x51, 0x40), "the data cannot be read (error 0x40)"),
        (Trouble::Ends(0x59, 0x04), "the command is aborted (error 0x04)"),
        (
            Trouble::Ends(0x51, 0x84),
            "the data was damaged on its way, the command is aborted (error 0x84)",
        ),
        (Trouble::Ends(0x51, 0x00), "no reason is given (error 0x00)"),
        (Trouble::Ends(0x71, 0x04), "device fault: the command is aborted (error 0x04)"),
    ];
    for (trouble, why) in cases {
        let (_, sentence) = failure(trouble);
        assert_eq!(sentence, format!("ATA primary master: read at sector 5: {why}"));
    }
}

#[test]
fn a_device_that_is_never_ready_gets_no_command() {
    let (machine, mut disk) = single(Drive::new(64));
    disk.write_sectors(0, &[0; SECTOR]).unwrap();
    machine.controller().commands.clear();
    machine.controller().drive(0, 0).trouble = Trouble::NotReady;
    let error = disk.flush().unwrap_err().to_string();
    let why = "ATA primary master: flush at sector 0: the device is not ready after 5000 ms";
    assert_eq!(error, why);
    assert_eq!(machine.controller().commands, []);
}

#[test]
fn a_wait_is_bounded_in_time_and_costs_few_accesses() {
    let (machine, mut disk) = single(Drive::new(64));
    machine.controller().drive(0, 0).trouble = Trouble::Busy;
    let before = machine.now();
    assert!(disk.flush().is_err());
    let waited = (machine.now() - before).as_millis();
    assert!((30_000..30_100).contains(&waited), "{waited} ms");
}

#[test]
fn what_was_left_half_way_is_ended_by_a_reset() {
    for trouble in [Trouble::Busy, Trouble::Endless] {
        let (machine, mut disk) = single(Drive::new(64));
        machine.controller().drive(0, 0).trouble = trouble;
        assert!(disk.read_sectors(5, &mut [0; SECTOR]).is_err());
        machine.controller().drive(0, 0).trouble = Trouble::None;
        let mut data = [0; SECTOR];
        disk.read_sectors(6, &mut data).unwrap();
        assert_eq!(data[..], counting(6, 1));
        assert_eq!(machine.controller().resets, 1, "{trouble:?}");
    }
}
