use super::{Disk, MOTD, cat, sample, set};
use crate::{
    crc32::crc32,
    eclipsefs::{EclipseFs, Volume, fsck},
};

/// A disk with an MBR: of each partition its type, first sector and sectors.
fn mbr(entries: &[(u8, u32, u32)]) -> Vec<u8> {
    let mut data = vec![0; 512];
    for ((kind, first, sectors), entry) in entries.iter().zip(data[446..].chunks_mut(16)) {
        entry[4] = *kind;
        entry[8..12].copy_from_slice(&first.to_le_bytes());
        entry[12..16].copy_from_slice(&sectors.to_le_bytes());
    }
    set(&mut data, 510, &[0x55, 0xaa]);
    data
}

/// The sample at a sector of a disk.
fn with_sample(mut data: Vec<u8>, sector: usize) -> Disk {
    data.resize(sector * 512, 0);
    data.extend(sample(4000).data);
    Disk::new(data)
}

#[test]
fn the_first_partition_with_the_signature_is_mounted_wherever_it_begins() {
    // 63 is no multiple of 8: no block of the file system is one of the disk.
    for start in [63, 2048] {
        let mut disk =
            with_sample(mbr(&[(0x83, 1, 4), (0, 5, 6), (0x83, start, 100)]), start as usize);
        let bytes = disk.data.len() as u64 - u64::from(start) * 512;
        let volume = Volume::open(&mut disk).unwrap();
        let partition = volume.partition().unwrap();
        assert_eq!(partition.bytes, bytes, "no more than the disk has");
        assert_eq!((partition.number, partition.start), (3, u64::from(start) * 512));
        let mut fs = volume.mount().unwrap();
        assert_eq!(cat(&mut fs, "/link").unwrap(), MOTD);
        let node = fs.lookup("/etc/motd").unwrap();
        fs.write(&node, 0, b"WELCOME").unwrap();
        assert_eq!(
            cat(&mut EclipseFs::mount(&mut disk).unwrap(), "/link").unwrap()[..8],
            *b"WELCOME "
        );
        assert!(fsck(disk).unwrap().is_clean());
    }
}

#[test]
fn a_record_is_bounded_by_its_partition() {
    let disk = with_sample(mbr(&[(0x83, 63, 16)]), 63);
    let error = EclipseFs::mount(disk).unwrap().lookup("/link").unwrap_err().to_string();
    assert_eq!(error, "inode 6 at 0x1028: the record begins behind the end of the device");
}

#[test]
fn a_table_that_leads_nowhere_is_an_error_of_its_own() {
    let error = |data: Vec<u8>| Volume::open(Disk::new(data)).err().unwrap().to_string();
    let mut data = mbr(&[(0x83, 1, 4), (0x83, 8, 90), (0x83, u32::MAX, 1), (0x83, 0, 1)]);
    data.resize(1 << 16, 0);
    assert_eq!(error(data), "none of the 2 partitions begins with the EclipseFS signature");
    let mut data = mbr(&[]);
    data.resize(8192, 0);
    assert_eq!(error(data), "the device does not begin with the EclipseFS signature");
}

#[test]
fn partitions_of_a_gpt_are_found_while_its_header_is_right() {
    let mut data = mbr(&[(0xee, 1, u32::MAX)]);
    data.resize(40 * 512, 0);
    set(&mut data, 512, b"EFI PART");
    set(&mut data, 512 + 12, &92_u32.to_le_bytes());
    set(&mut data, 512 + 72, &2_u64.to_le_bytes());
    set(&mut data, 512 + 80, &128_u32.to_le_bytes());
    set(&mut data, 512 + 84, &128_u32.to_le_bytes());
    // The second entry is used.
    set(&mut data, 1024 + 128, &[1; 16]);
    set(&mut data, 1024 + 128 + 32, &41_u64.to_le_bytes());
    set(&mut data, 1024 + 128 + 40, &99_u64.to_le_bytes());
    let checksum = crc32(data[512..512 + 92].iter().copied());
    set(&mut data, 512 + 16, &checksum.to_le_bytes());
    let disk = || with_sample(data.clone(), 41);
    let volume = Volume::open(disk()).unwrap();
    let partition = volume.partition().unwrap();
    assert_eq!((partition.number, partition.start), (2, 41 * 512));
    assert_eq!(cat(&mut volume.mount().unwrap(), "/link").unwrap(), MOTD);
    let mut wrong = disk();
    wrong.data[512 + 80] = 127;
    assert!(Volume::open(wrong).is_err());
}
