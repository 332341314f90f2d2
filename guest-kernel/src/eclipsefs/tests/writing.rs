use super::{Disk, MOTD, cat, directory, image, record, sample};
use crate::eclipsefs::{EclipseFs, fsck};

/// A file of four blocks and some bytes, which begins in the midst of block 1.
fn long() -> Disk {
    image(&[record(1, 2, &directory(&[("f", 2)])), record(2, 1, &[b'.'; 17_000])])
}

#[test]
fn bytes_are_overwritten_in_their_place_and_nothing_else_changes() {
    for (offset, len) in [(0, 1), (0, 17_000), (3800, 60), (3842, 4097), (16_999, 1), (5, 0)] {
        let (before, mut disk) = (long().data, long());
        let mut fs = EclipseFs::mount(&mut disk).unwrap();
        let node = fs.lookup("/f").unwrap();
        fs.write(&node, offset, &vec![b'w'; len]).unwrap();
        fs.flush().unwrap();
        let mut expected = vec![b'.'; 17_000];
        expected[offset as usize..][..len].fill(b'w');
        assert_eq!(cat(&mut fs, "/f").unwrap(), expected, "through the cache");
        assert_eq!(cat(&mut EclipseFs::mount(&mut disk).unwrap(), "/f").unwrap(), expected);
        assert_eq!(disk.data.len(), before.len());
        let changed = before.iter().zip(&disk.data).filter(|(old, new)| old != new).count();
        assert_eq!(changed, len);
        assert!(fsck(disk).unwrap().is_clean());
    }
}

#[test]
fn only_the_blocks_that_change_are_written() {
    let mut disk = long();
    let mut fs = EclipseFs::mount(&mut disk).unwrap();
    let node = fs.lookup("/f").unwrap();
    fs.write(&node, 3800, &[b'w'; 100]).unwrap();
    assert_eq!(disk.writes, [1, 2]);
}

#[test]
fn what_is_not_in_a_file_is_refused_and_nothing_is_written() {
    let mut disk = long();
    let before = disk.data.clone();
    let mut fs = EclipseFs::mount(&mut disk).unwrap();
    let node = fs.lookup("/f").unwrap();
    let root = fs.lookup("/").unwrap();
    let error = fs.write(&node, 16_999, b"ab").unwrap_err().to_string();
    assert_eq!(error, "2 bytes at 16999 are not in inode 2, which has 17000");
    assert!(fs.write(&node, u64::MAX, b"ab").is_err());
    let error = fs.write(&root, 0, b"a").unwrap_err().to_string();
    assert_eq!(error, "inode 1 is a directory, not a file");
    assert_eq!(disk.data, before);
}

#[test]
fn a_disk_that_is_read_only_and_one_with_a_checksum_are_not_written() {
    let mut disk = sample(10);
    disk.read_only = true;
    let mut fs = EclipseFs::mount(&mut disk).unwrap();
    let node = fs.lookup("/etc/motd").unwrap();
    let error = fs.write(&node, 0, b"w").unwrap_err().to_string();
    assert_eq!(error, "inode 3 cannot be written: the disk is read-only");
    disk.read_only = false;
    disk.data[41] = 1;
    let mut fs = EclipseFs::mount(&mut disk).unwrap();
    let error = fs.write(&node, 0, b"w").unwrap_err().to_string();
    assert!(error.starts_with("the file system has a checksum of its data"), "{error}");
    assert_eq!(disk.writes, []);
}

#[test]
fn a_block_that_cannot_be_written_is_named_and_read_again() {
    let mut disk = sample(10);
    let mut fs = EclipseFs::mount(&mut disk).unwrap();
    let node = fs.lookup("/etc/motd").unwrap();
    fs.cache.device_mut().broken = Some(1);
    let error = fs.write(&node, 0, b"w").unwrap_err().to_string();
    assert_eq!(error, "block 1 cannot be written: the disk is broken");
    fs.cache.device_mut().broken = None;
    assert_eq!(fs.read_file(&node).unwrap(), MOTD, "what the disk has, not what it refused");
}
