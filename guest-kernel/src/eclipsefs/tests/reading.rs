use super::{Disk, MOTD, cat, directory, field, image, place, record, sample, with_header};
use crate::{
    block::BLOCK_SIZE,
    eclipsefs::{Cursor, EclipseFs, Kind, Volume},
};

#[test]
fn a_file_is_found_by_its_path_and_read() {
    let mut fs = EclipseFs::mount(sample(10)).unwrap();
    let node = fs.lookup("/etc/motd").unwrap();
    assert_eq!((node.inode, node.kind, node.mode, node.size), (3, Kind::File, 0o100_644, 20));
    assert_eq!((node.uid, node.gid, node.nlink), (0, 0, 1));
    assert_eq!([node.atime, node.mtime, node.ctime], [1_640_995_200; 3]);
    assert_eq!(fs.read_file(&node).unwrap(), MOTD);
    assert_eq!(cat(&mut fs, "//etc//empty").unwrap(), b"");
    assert_eq!(fs.lookup("/").unwrap().kind, Kind::Directory);
    assert_eq!(fs.lookup("/etc/").unwrap().inode, 2);
    assert_eq!(fs.node(2).unwrap().nlink, 2);
    assert_eq!(fs.node(7).unwrap_err().to_string(), "there is no inode 7, there are 6");
}

#[test]
fn of_two_entries_with_one_name_the_first_counts() {
    let entries = directory(&[("f", 2), ("f", 3)]);
    let mut fs =
        EclipseFs::mount(image(&[record(1, 2, &entries), record(2, 1, b"2"), record(3, 1, b"3")]))
            .unwrap();
    assert_eq!(cat(&mut fs, "/f").unwrap(), b"2");
}

#[test]
fn each_block_is_read_once_while_it_is_needed() {
    let mut disk = sample(10);
    let mut fs = EclipseFs::mount(&mut disk).unwrap();
    cat(&mut fs, "/etc/motd").unwrap();
    assert_eq!(disk.reads, [0, 1]);
}

fn long() -> (Vec<u8>, Disk) {
    let content: Vec<u8> = (0..20_000_u32).map(|byte| (byte / 7) as u8).collect();
    let disk = image(&[record(1, 2, &directory(&[("f", 2)])), record(2, 1, &content)]);
    (content, disk)
}

#[test]
fn a_file_longer_than_the_cache_is_read_block_by_block() {
    let (content, mut disk) = long();
    let mut fs = EclipseFs::mount(&mut disk).unwrap();
    assert_eq!(cat(&mut fs, "/f").unwrap(), content);
    assert_eq!(disk.reads, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_part_of_a_file_is_read_at_any_offset_and_length() {
    let (content, disk) = long();
    let mut fs = EclipseFs::mount(disk).unwrap();
    let node = fs.lookup("/f").unwrap();
    for offset in [0, 1, 3845, 3846, 3847, 4096, 19_999, 20_000, 20_001, u64::MAX] {
        for len in [0, 1, 2, 4096, 8193, 30_000] {
            let mut data = vec![0xee; len];
            let count = fs.read(&node, offset, &mut data).unwrap();
            let rest = content.get(offset.min(20_000) as usize..).unwrap();
            assert_eq!(count, rest.len().min(len), "{len} bytes at {offset}");
            assert_eq!(data[..count], rest[..count]);
            assert!(data[count..].iter().all(|byte| *byte == 0xee), "only what was read");
        }
    }
    let root = fs.lookup("/").unwrap();
    let error = fs.read(&root, 0, &mut [0]).unwrap_err().to_string();
    assert_eq!(error, "inode 1 is a directory, not a file");
}

#[test]
fn a_record_may_lie_across_blocks_at_any_byte() {
    // `/link` follows `/big`: each of its bytes comes to lie first in a block once.
    let before = place(&sample(0).data, 6) - BLOCK_SIZE;
    for shift in BLOCK_SIZE - before - 130..BLOCK_SIZE - before {
        let mut fs = EclipseFs::mount(sample(shift)).unwrap();
        let link = fs.lookup_link("/link").unwrap();
        assert_eq!((link.kind, link.size, link.mode), (Kind::Symlink, 9, 0o120_777));
        assert_eq!(fs.read_link(&link).unwrap(), "/etc/motd");
    }
}

#[test]
fn the_last_record_may_end_where_the_disk_does() {
    // No size of these is a multiple of a block.
    let disk = sample(4000);
    assert!(!disk.data.len().is_multiple_of(512));
    let mut fs = EclipseFs::mount(disk).unwrap();
    assert_eq!(cat(&mut fs, "/link").unwrap(), MOTD);
    let mut disk = sample(4000);
    disk.data.pop();
    let mut fs = EclipseFs::mount(disk).unwrap();
    let error = fs.lookup("/link").unwrap_err().to_string();
    assert_eq!(error, "inode 6 at 0x2262: the record cannot have 126 bytes");
}

#[test]
fn a_directory_is_read_entry_by_entry_in_the_order_of_the_disk() {
    let mut fs = EclipseFs::mount(sample(10)).unwrap();
    let root = fs.lookup("/").unwrap();
    let (mut cursor, mut entries) = (Cursor::default(), vec![]);
    while let Some(entry) = fs.next_entry(&root, &mut cursor).unwrap() {
        entries.push((entry.name, entry.inode));
    }
    assert_eq!(entries, [("big".into(), 5), ("etc".into(), 2), ("link".into(), 6)]);
    assert_eq!(fs.next_entry(&root, &mut cursor).unwrap(), None, "the end stays the end");
    let etc = fs.lookup("/etc").unwrap();
    let names: Vec<_> =
        fs.read_directory(&etc).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["empty", "motd"]);
    let file = fs.lookup("/etc/motd").unwrap();
    let error = fs.read_directory(&file).unwrap_err().to_string();
    assert_eq!(error, "inode 3 is a file, not a directory");
}

#[test]
fn fields_that_are_missing_or_unknown_have_their_defaults() {
    let disk = image(&[
        record(1, 2, &directory(&[("f", 2)])),
        with_header(2, &field(0x7777, b"not known")),
    ]);
    let mut fs = EclipseFs::mount(disk).unwrap();
    let node = fs.lookup("/f").unwrap();
    assert_eq!((node.kind, node.mode, node.size, node.nlink), (Kind::File, 0o100_644, 0, 1));
}

#[test]
fn a_file_of_more_than_a_mebibyte_is_read_in_parts_only() {
    let content = vec![7; (1 << 20) + 1];
    let disk = image(&[record(1, 2, &directory(&[("f", 2)])), record(2, 1, &content)]);
    let mut fs = EclipseFs::mount(disk).unwrap();
    let node = fs.lookup("/f").unwrap();
    let error = fs.read_file(&node).unwrap_err().to_string();
    assert_eq!(error, "inode 2 has 1048577 bytes, more than the 1048576 that are read at once");
    let mut last = [0; 2];
    assert_eq!(fs.read(&node, 1 << 20, &mut last), Ok(1));
    assert_eq!(last, [7, 0]);
}

#[test]
fn a_block_that_cannot_be_read_is_named_and_not_kept() {
    let mut disk = sample(10);
    disk.broken = Some(1);
    let volume = Volume::open(&mut disk).unwrap();
    assert_eq!(volume.superblock().version(), (2, 0));
    let error = volume.mount().err().unwrap();
    assert_eq!(error.to_string(), "block 1 cannot be read: the disk is broken");
    disk.broken = None;
    assert!(EclipseFs::mount(&mut disk).is_ok());
}
