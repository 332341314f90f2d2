//! Defects that drivers of this kernel have really had with ATA disks, by their numbers: each
//! test fails with a driver that has the defect.

use super::{Drive, Machine, counting, single};
use crate::{
    ata::{Place, SECTOR, init},
    disk::{self, Disk},
    pci::Pci,
    virtio::blk::Options,
};

#[test]
fn defect_41_the_status_is_not_believed_in_the_first_400_ns() {
    // The drive shows the old status for four loads, and stops the test at a word too early.
    let (machine, mut disk) = single(Drive::new(64));
    let mut data = vec![0; 4 * SECTOR];
    disk.read_sectors(5, &mut data).unwrap();
    assert_eq!(data, counting(5, 4));
    disk.write_sectors(40, &data).unwrap();
    let mut back = vec![0; 4 * SECTOR];
    disk.read_sectors(40, &mut back).unwrap();
    assert_eq!(back, data);
    assert_eq!(machine.controller().commands, [(0x20, 5, 4), (0x30, 40, 4), (0x20, 40, 4)]);
}

#[test]
fn defect_44_a_disk_is_found_in_each_of_the_four_places() {
    for (place, at) in Place::ALL.into_iter().zip([(0, 0), (0, 1), (1, 0), (1, 1)]) {
        let (channel, device) = at;
        let machine = Machine::with([(channel, device, Drive::new(64))]);
        let found = disk::find(&Pci::init(&machine), Options::default());
        let Disk::Ata(mut disk) = found.disk else { panic!("{place}: {:?}", found.disk) };
        assert_eq!(disk.place(), place);
        let mut data = [0; SECTOR];
        disk.read_sectors(9, &mut data).unwrap();
        assert_eq!(data[..], counting(9, 1), "{place}");
    }
}

#[test]
fn defect_44_all_disks_of_a_controller_are_used_each_for_itself() {
    let places = [(0, 0), (0, 1), (1, 0), (1, 1)];
    let machine = Machine::with(places.map(|(c, d)| (c, d, Drive::new(64))));
    let mut disks = init(&machine);
    assert_eq!(disks.len(), 4);
    for (disk, byte) in disks.iter_mut().zip(1..) {
        disk.write_sectors(3, &[byte; SECTOR]).unwrap();
    }
    for ((disk, byte), (channel, device)) in disks.iter_mut().zip(1..).zip(places) {
        let mut data = [0; SECTOR];
        disk.read_sectors(3, &mut data).unwrap();
        assert_eq!(data, [byte; SECTOR]);
        let written = machine.controller().drive(channel, device).written.len();
        assert_eq!(written, 1, "{channel}, {device}");
    }
}
