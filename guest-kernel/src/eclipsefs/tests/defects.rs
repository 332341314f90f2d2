//! Defects that this kernel has really had in its file system, by their numbers: each test fails
//! with a reader that has the defect.

use super::{BLOCK_SIZE, Disk, MOTD, cat, directory, image, place, record, sample, set};
use crate::eclipsefs::{EclipseFs, Volume};

#[test]
fn defect_42_a_record_header_may_lie_across_two_blocks() {
    // `/link` follows `/big`: the eight bytes of its header begin 1 to 7 before a block does.
    let unshifted = place(&sample(0).data, 6);
    for before in 1..8 {
        let shift = 2 * BLOCK_SIZE - before - unshifted;
        // A field more is there where a file is not empty: six bytes.
        let disk = sample(shift - 6);
        assert_eq!(place(&disk.data, 6) % BLOCK_SIZE, BLOCK_SIZE - before);
        let mut fs = EclipseFs::mount(disk).unwrap();
        assert_eq!(cat(&mut fs, "/link").unwrap(), MOTD, "{before} bytes before");
    }
}

/// An image of that many files of which each holds its number.
fn many(files: u32) -> Disk {
    let names: Vec<_> = (0..files).map(|file| format!("f{file}")).collect();
    let entries: Vec<_> = names.iter().map(String::as_str).zip(2..).collect();
    let root = record(1, 2, &directory(&entries));
    let file = |file: u32| record(file + 2, 1, &file.to_le_bytes());
    image(&[vec![root], (0..files).map(file).collect()].concat())
}

#[test]
fn defect_43_nothing_need_fit_in_4096_bytes_or_begin_there() {
    // The inode table, a directory, and a file of more than a block.
    let mut fs = EclipseFs::mount(many(1200)).unwrap();
    for file in [0_u32, 511, 512, 1199] {
        assert_eq!(cat(&mut fs, &format!("/f{file}")).unwrap(), file.to_le_bytes());
    }
    let content: Vec<u8> = (0..20_000_u32).map(|byte| (byte / 5) as u8).collect();
    let long = image(&[record(1, 2, &directory(&[("f", 2)])), record(2, 1, &content)]);
    assert_eq!(cat(&mut EclipseFs::mount(long).unwrap(), "/f").unwrap(), content);
    // A table somewhere else, across blocks, on a device that ends in the midst of one.
    for gap in [1, 4090, 5000] {
        let mut disk = sample(10);
        disk.data.splice(BLOCK_SIZE..BLOCK_SIZE, vec![0; gap]);
        set(&mut disk.data, 13, &(BLOCK_SIZE as u64 + gap as u64).to_le_bytes());
        assert!(!disk.data.len().is_multiple_of(BLOCK_SIZE));
        let mut fs = EclipseFs::mount(disk).unwrap();
        assert_eq!(cat(&mut fs, "/etc/motd").unwrap(), MOTD, "{gap} bytes further");
    }
}

#[test]
fn defect_45_a_partition_begins_where_its_table_says() {
    for start in [1_u32, 34, 63, 2048, 4096] {
        let mut data = vec![0; start as usize * 512];
        data[446 + 4] = 0x83;
        set(&mut data, 446 + 8, &start.to_le_bytes());
        set(&mut data, 446 + 12, &200_u32.to_le_bytes());
        set(&mut data, 510, &[0x55, 0xaa]);
        data.extend(sample(4000).data);
        let volume = Volume::open(Disk::new(data)).unwrap();
        assert_eq!(volume.partition().map(|own| own.start), Some(u64::from(start) * 512));
        assert_eq!(cat(&mut volume.mount().unwrap(), "/link").unwrap(), MOTD, "sector {start}");
    }
    // And with none it begins where the device does.
    let volume = Volume::open(sample(10)).unwrap();
    assert_eq!(volume.partition(), None);
}
