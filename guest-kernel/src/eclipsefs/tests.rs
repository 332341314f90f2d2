//! Tests against images that are built here, by the text of the format, then damaged.

use super::{EclipseFs, Kind, Volume};
use crate::{
    block::{BLOCK_SIZE, Block, BlockDevice},
    crc32::crc32,
};

/// A disk in memory, which counts what is read.
struct Disk {
    data: Vec<u8>,
    reads: Vec<u64>,
    broken: Option<u64>,
}

/// What the disk says of a block that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the disk is broken")]
struct Broken;

impl BlockDevice for Disk {
    type Error = Broken;

    fn blocks(&self) -> u64 {
        (self.data.len() / BLOCK_SIZE) as u64
    }

    fn read_only(&self) -> bool {
        true
    }

    fn read_block(&mut self, block: u64, into: &mut Block) -> Result<(), Broken> {
        self.reads.push(block);
        if self.broken == Some(block) {
            into.fill(0xee);
            return Err(Broken);
        }
        let start = block as usize * BLOCK_SIZE;
        into.copy_from_slice(&self.data[start..start + BLOCK_SIZE]);
        Ok(())
    }

    fn write_block(&mut self, _: u64, _: &Block) -> Result<(), Broken> {
        Err(Broken)
    }

    fn flush(&mut self) -> Result<(), Broken> {
        Ok(())
    }
}

/// What is damaged in an image, and the error that says so.
type Damage = (fn(&mut Vec<u8>), &'static str);

/// What is damaged at a place in an image, and the error that says so.
type DamageAt = (fn(&mut [u8], usize), &'static str);

fn field(tag: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = tag.to_le_bytes().to_vec();
    bytes.extend((value.len() as u32).to_le_bytes());
    bytes.extend(value);
    bytes
}

/// A record with the fields that the public writer gives it.
fn record(inode: u32, kind: u8, data: &[u8]) -> Vec<u8> {
    let mode: u32 = [0, 0o100_644, 0o40_755, 0o120_777][usize::from(kind)];
    let size = if kind == 2 { 0 } else { data.len() as u64 };
    let mut fields = field(1, &[kind]);
    fields.extend(field(2, &mode.to_le_bytes()));
    fields.extend(field(3, &[0; 4]));
    fields.extend(field(4, &[0; 4]));
    fields.extend(field(5, &size.to_le_bytes()));
    for tag in [6, 7, 8] {
        fields.extend(field(tag, &1_640_995_200_u64.to_le_bytes()));
    }
    fields.extend(field(9, &1_u32.to_le_bytes()));
    if !data.is_empty() {
        fields.extend(field(if kind == 2 { 11 } else { 10 }, data));
    }
    with_header(inode, &fields)
}

fn with_header(inode: u32, fields: &[u8]) -> Vec<u8> {
    let mut record = inode.to_le_bytes().to_vec();
    record.extend((fields.len() as u32 + 8).to_le_bytes());
    record.extend(fields);
    record
}

fn directory(entries: &[(&str, u32)]) -> Vec<u8> {
    let mut bytes = vec![];
    for (name, inode) in entries {
        bytes.extend((name.len() as u32).to_le_bytes());
        bytes.extend(inode.to_le_bytes());
        bytes.extend(name.as_bytes());
    }
    bytes
}

fn image(records: &[Vec<u8>]) -> Disk {
    let count = records.len() as u32;
    let mut data = vec![0; BLOCK_SIZE];
    data[..9].copy_from_slice(b"ECLIPSEFS");
    data[9..13].copy_from_slice(&0x0002_0000_u32.to_le_bytes());
    data[13..21].copy_from_slice(&(BLOCK_SIZE as u64).to_le_bytes());
    data[21..29].copy_from_slice(&(8 * u64::from(count)).to_le_bytes());
    data[29..33].copy_from_slice(&count.to_le_bytes());
    let mut offset = 0_u32;
    for (record, inode) in records.iter().zip(1_u32..) {
        data.extend(inode.to_le_bytes());
        data.extend(offset.to_le_bytes());
        offset += record.len() as u32;
    }
    data.extend(records.concat());
    data.resize(data.len().next_multiple_of(BLOCK_SIZE), 0);
    Disk { data, reads: vec![], broken: None }
}

const MOTD: &[u8] = b"Welcome to Eclipse.\n";

/// `/etc/motd`, `/etc/empty`, `/link`, and `/big`, which makes `/etc/motd` lie `shift` bytes later.
fn sample(shift: usize) -> Disk {
    image(&[
        record(1, 2, &directory(&[("big", 5), ("etc", 2), ("link", 6)])),
        record(2, 2, &directory(&[("empty", 4), ("motd", 3), ("motd", 4)])),
        record(3, 1, MOTD),
        record(4, 1, b""),
        record(5, 1, &vec![b'x'; shift]),
        record(6, 3, b"/etc/motd"),
    ])
}

/// A disk of 64 sectors with the sample on it.
pub(crate) fn sample_image() -> Vec<u8> {
    let mut data = sample(10).data;
    data.resize(64 * 512, 0);
    data
}

/// Reads `/etc/motd` of a damaged image, and says what is wrong.
fn damage(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut disk = sample(10);
    change(&mut disk.data);
    disk.data.truncate(disk.data.len() / BLOCK_SIZE * BLOCK_SIZE);
    let result = EclipseFs::mount(disk).and_then(|mut fs| {
        let node = fs.lookup("/etc/motd")?;
        fs.read_file(&node)
    });
    result.expect_err("the damage is seen").to_string()
}

/// Where the record of an inode is in [`sample`].
fn place(data: &[u8], inode: usize) -> usize {
    let entry = BLOCK_SIZE + 8 * (inode - 1) + 4;
    let offset: [u8; 4] = data[entry..entry + 4].try_into().unwrap();
    BLOCK_SIZE + 8 * 6 + u32::from_le_bytes(offset) as usize
}

fn set(data: &mut [u8], at: usize, bytes: &[u8]) {
    data[at..at + bytes.len()].copy_from_slice(bytes);
}

#[test]
fn a_file_is_found_by_its_path_and_read() {
    let mut fs = EclipseFs::mount(sample(10)).unwrap();
    let node = fs.lookup("/etc/motd").unwrap();
    assert_eq!((node.inode, node.kind, node.mode, node.size), (3, Kind::File, 0o100_644, 20));
    assert_eq!(fs.read_file(&node).unwrap(), MOTD, "the first of two entries counts");
    let empty = fs.lookup("//etc//empty/").unwrap();
    assert_eq!(fs.read_file(&empty).unwrap(), b"");
    assert_eq!(fs.lookup("/").unwrap().kind, Kind::Directory);
    assert_eq!(fs.lookup("/etc").unwrap().inode, 2);
}

#[test]
fn each_block_is_read_once_while_it_is_needed() {
    let mut disk = sample(10);
    let mut fs = EclipseFs::mount(&mut disk).unwrap();
    let node = fs.lookup("/etc/motd").unwrap();
    fs.read_file(&node).unwrap();
    assert_eq!(disk.reads, [0, 1]);
}

#[test]
fn a_file_longer_than_the_cache_is_read_block_by_block() {
    let content: Vec<u8> = (0..20_000_u32).map(|byte| (byte / 7) as u8).collect();
    let mut disk = image(&[record(1, 2, &directory(&[("f", 2)])), record(2, 1, &content)]);
    let mut fs = EclipseFs::mount(&mut disk).unwrap();
    let node = fs.lookup("/f").unwrap();
    assert_eq!(fs.read_file(&node).unwrap(), content);
    assert_eq!(disk.reads, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_record_may_lie_across_blocks_at_any_byte() {
    // `/link` follows `/big`: each of its bytes comes to lie first in a block once.
    let before = place(&sample(0).data, 6) - BLOCK_SIZE;
    for shift in BLOCK_SIZE - before - 130..BLOCK_SIZE - before {
        let mut fs = EclipseFs::mount(sample(shift)).unwrap();
        let link = fs.lookup("/link").unwrap();
        assert_eq!((link.kind, link.size, link.mode), (Kind::Symlink, 9, 0o120_777));
    }
}

#[test]
fn what_is_no_file_or_not_there_is_an_error_of_its_own() {
    let mut fs = EclipseFs::mount(sample(10)).unwrap();
    let mut error = |path: &str| {
        let node = fs.lookup(path);
        node.and_then(|node| fs.read_file(&node)).unwrap_err().to_string()
    };
    assert_eq!(error("/etc/none"), "`none` of path `/etc/none` does not exist");
    assert_eq!(error("/etc"), "inode 2 is a directory, not a file");
    assert_eq!(error("/link"), "inode 6 is a symbolic link, not a file");
    let error_of_link = "`link` of path `/link/motd` is a symbolic link, not a directory";
    assert_eq!(error("/link/motd"), error_of_link);
    assert_eq!(error("/etc/motd/x"), "`motd` of path `/etc/motd/x` is a file, not a directory");
    assert_eq!(error("etc"), "path `etc` does not begin with `/`");
    let deep = "/etc".repeat(65);
    assert!(error(&deep).starts_with("`etc` of path"));
    assert!(error("/..").ends_with("does not exist"));
}

#[test]
fn a_path_of_more_than_64_names_is_refused() {
    let mut fs = EclipseFs::mount(image(&[record(1, 2, &directory(&[("a", 1)]))])).unwrap();
    assert!(fs.lookup(&"/a".repeat(64)).is_ok());
    let error = fs.lookup(&"/a".repeat(65)).unwrap_err().to_string();
    assert!(error.ends_with("has more than 64 names"), "{error}");
}

#[test]
fn each_damage_of_the_header_has_its_error() {
    let cases: [Damage; 12] = [
        (|d| d[0] = b'e', "the device does not begin with the EclipseFS signature"),
        (|d| d.clear(), "65 bytes at 0x0 are not on a device of 0 bytes"),
        (|d| d[11] = 3, "EclipseFS version 3.0 is not supported, 2.0 is"),
        (|d| d[9] = 1, "EclipseFS version 2.1 is not supported, 2.0 is"),
        (|d| d[29] = 0, "0 inodes cannot be"),
        (|d| d[29..33].fill(0xf0), "4042322160 inodes cannot be"),
        (
            |d| d[21] = 96,
            "the inode table has 16 bytes an inode: mkfs.eclipsefs wrote it, and its body can \
             only be read after populate-eclipsefs",
        ),
        (|d| d[21] = 49, "the inode table of 6 inodes has 49 bytes, not 8 each"),
        (|d| d[20] = 0xff, "the inode table of 48 bytes cannot be at 0xff00000000001000"),
        (|d| d[13..21].fill(0xff), "the inode table of 48 bytes cannot be at 0xffffffffffffffff"),
        (|d| set(d, 13, &[0, 0]), "the inode table of 48 bytes cannot be at 0x0"),
        (|d| d[33] = 1, "the header's checksum is 0x00000001, its bytes give 0xbca05854"),
    ];
    for (change, error) in cases {
        assert_eq!(damage(change), error);
    }
}

#[test]
fn a_header_checksum_that_is_right_is_accepted() {
    let mut disk = sample(10);
    let covered: Vec<u8> = [&disk.data[..33], &disk.data[45..65]].concat();
    set(&mut disk.data, 33, &crc32(covered).to_le_bytes());
    assert!(EclipseFs::mount(disk).is_ok());
    assert_eq!(crc32(*b"123456789"), 0xcbf4_3926);
}

#[test]
fn each_damage_of_a_record_has_its_error() {
    // The record of `/etc/motd`: the type is at 8, the size at 45, the content at 111.
    let cases: [DamageAt; 11] = [
        (
            |d, _| set(d, 4096 + 16, &[9]),
            "the inode table entry of inode 3 says that it is inode 9's",
        ),
        (
            |d, _| set(d, 4096 + 20, &[0xff; 4]),
            "8 bytes at 0x10000102f are not on a device of 8192 bytes",
        ),
        (|d, at| d[at] = 9, "the record of inode 3 says that it is inode 9's"),
        (|d, at| d[at + 4] = 7, "the record of inode 3 at 0x1161 cannot have 7 bytes"),
        (
            |d, at| set(d, at + 4, &[0xff; 4]),
            "the record of inode 3 at 0x1161 cannot have 4294967295 bytes",
        ),
        (|d, at| d[at + 10] = 2, "field 0x0001 of inode 3 has 2 bytes"),
        (|d, at| d[at + 14] = 4, "inode 3 is of type 4, which is none"),
        (|d, at| d[at + 51] = 19, "inode 3 says 19 bytes and has 20"),
        (|d, at| d[at + 113] += 1, "a field of inode 3 at 0x11d0 ends behind its record"),
        (
            |d, at| set(d, at + 113, &[0xff; 4]),
            "a field of inode 3 at 0x11d0 ends behind its record",
        ),
        (|d, at| d[at + 4] -= 20 + 1, "a field of inode 3 at 0x11d0 ends behind its record"),
    ];
    for (change, error) in cases {
        let found = damage(|data| {
            let at = place(data, 3);
            change(data, at);
        });
        assert_eq!(found, error);
    }
}

#[test]
fn each_damage_of_a_directory_has_its_error() {
    // The entries of `/etc` are at 117 of its record: `empty`, `motd`, `motd`.
    let cases: [DamageAt; 6] = [
        (|d, at| d[at] = 0, "an entry of directory 2 at 0x113c has a name of 0 bytes"),
        (|d, at| set(d, at, &[0, 1]), "an entry of directory 2 at 0x113c has a name of 256 bytes"),
        (|d, at| d[at] = 255, "an entry of directory 2 at 0x113c ends behind the directory"),
        (|d, at| d[at + 4] = 7, "inode 7 is named by 2, there are 6"),
        (|d, at| d[at + 4] = 0, "inode 0 is named by 2, there are 6"),
        (|d, at| d[at] = 5 + 20, "an entry of directory 2 at 0x115d ends behind the directory"),
    ];
    for (change, error) in cases {
        let found = damage(|data| {
            let at = place(data, 2) + 117;
            change(data, at);
        });
        assert_eq!(found, error);
    }
}

#[test]
fn a_record_of_endless_fields_ends() {
    let fields = field(0x7777, b"").repeat(65);
    let disk = image(&[record(1, 2, &directory(&[("f", 2)])), with_header(2, &fields)]);
    let mut fs = EclipseFs::mount(disk).unwrap();
    let error = fs.lookup("/f").unwrap_err().to_string();
    assert_eq!(error, "inode 2 has more than 64 fields");
}

#[test]
fn fields_that_are_missing_or_unknown_have_their_defaults() {
    let disk = image(&[
        record(1, 2, &directory(&[("f", 2)])),
        with_header(2, &field(0x7777, b"not known")),
    ]);
    let mut fs = EclipseFs::mount(disk).unwrap();
    let node = fs.lookup("/f").unwrap();
    assert_eq!((node.kind, node.mode, node.size), (Kind::File, 0o100_644, 0));
}

#[test]
fn a_file_of_more_than_a_mebibyte_is_not_read() {
    let content = vec![0; (1 << 20) + 1];
    let disk = image(&[record(1, 2, &directory(&[("f", 2)])), record(2, 1, &content)]);
    let mut fs = EclipseFs::mount(disk).unwrap();
    let node = fs.lookup("/f").unwrap();
    let error = fs.read_file(&node).unwrap_err().to_string();
    assert_eq!(error, "inode 2 has 1048577 bytes, more than the 1048576 that are read at once");
}

#[test]
fn a_root_that_is_no_directory_is_not_mounted() {
    let error = EclipseFs::mount(image(&[record(1, 1, b"")])).err().unwrap();
    assert_eq!(error.to_string(), "`/` of path `/` is a file, not a directory");
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
