use super::{cat, directory, field, image, place, record, sample, set, with_header};
use crate::{block::BLOCK_SIZE, crc32::crc32, eclipsefs::EclipseFs};

/// What is damaged in an image, and the error that says so.
type Damage = (fn(&mut Vec<u8>), &'static str);

/// What is damaged at a place in an image, and the error that says so.
type DamageAt = (fn(&mut [u8], usize), &'static str);

/// Reads `/etc/motd` of a damaged image, and says what is wrong.
fn damage(change: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut disk = sample(10);
    change(&mut disk.data);
    let result = EclipseFs::mount(disk).and_then(|mut fs| cat(&mut fs, "/etc/motd"));
    result.expect_err("the damage is seen").to_string()
}

#[test]
fn each_damage_of_the_header_has_its_error() {
    let cases: [Damage; 13] = [
        (|d| d[0] = b'e', "the device does not begin with the EclipseFS signature"),
        (|d| d.clear(), "a device of 0 bytes is too small for EclipseFS, whose header has 4096"),
        (
            |d| d.truncate(4095),
            "a device of 4095 bytes is too small for EclipseFS, whose header has 4096",
        ),
        (|d| d[11] = 3, "EclipseFS version 3.0 is not supported, 2.0 is"),
        (|d| d[9] = 1, "EclipseFS version 2.1 is not supported, 2.0 is"),
        (|d| d[29] = 0, "header at 0x1d: 0 inodes cannot be"),
        (|d| d[29..33].fill(0xf0), "header at 0x1d: 4042322160 inodes cannot be"),
        (
            |d| d[21] = 96,
            "the inode table has 16 bytes an inode: mkfs.eclipsefs wrote it, and its body can \
             only be read after populate-eclipsefs",
        ),
        (|d| d[21] = 49, "header at 0x15: the inode table of 6 inodes has 49 bytes, not 8 each"),
        (
            |d| d[20] = 0xff,
            "header at 0xd: the inode table of 48 bytes cannot be at 0xff00000000001000",
        ),
        (
            |d| d[13..21].fill(0xff),
            "header at 0xd: the inode table of 48 bytes cannot be at 0xffffffffffffffff",
        ),
        (|d| set(d, 13, &[0, 0]), "header at 0xd: the inode table of 48 bytes cannot be at 0x0"),
        (
            |d| d[33] = 1,
            "header at 0x21: the header's checksum is 0x00000001, its bytes give 0xbca05854",
        ),
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
    // The record of `/etc/motd`: the type is at 8, the mode at 15, the size at 45, the content at
    // 111.
    let cases: [DamageAt; 14] = [
        (
            |d, _| set(d, BLOCK_SIZE + 16, &[9]),
            "inode 3 at 0x1010: the inode table entry says that it is inode 9's",
        ),
        (
            |d, _| set(d, BLOCK_SIZE + 20, &[0xff; 4]),
            "inode 3 at 0x1010: the record begins behind the end of the device",
        ),
        (|d, at| d[at] = 9, "inode 3 at 0x1155: the record says that it is inode 9's"),
        (|d, at| d[at + 4] = 7, "inode 3 at 0x1155: the record cannot have 7 bytes"),
        (
            |d, at| set(d, at + 4, &[0xff; 4]),
            "inode 3 at 0x1155: the record cannot have 4294967295 bytes",
        ),
        (|d, at| d[at + 10] = 2, "inode 3 at 0x115d: field 0x0001 has 2 bytes"),
        (|d, at| d[at + 17] = 3, "inode 3 at 0x1164: field 0x0002 has 3 bytes"),
        (|d, at| d[at + 15] = 1, "inode 3 at 0x1164: field 0x0001 is there twice"),
        (|d, at| d[at + 14] = 4, "inode 3 at 0x1163: type 4 is none"),
        (|d, at| d[at + 51] = 19, "inode 3 at 0x1155: the size is 19 bytes, the content has 20"),
        (|d, at| d[at + 113] += 1, "inode 3 at 0x11c4: a field ends behind its record"),
        (|d, at| set(d, at + 113, &[0xff; 4]), "inode 3 at 0x11c4: a field ends behind its record"),
        (|d, at| d[at + 4] -= 20 + 1, "inode 3 at 0x11c4: a field ends behind its record"),
        (|d, at| d[at + 113] -= 7, "inode 3 at 0x11d7: a field ends behind its record"),
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
    // The entries of `/etc` are at 117 of its record: `empty`, `motd`.
    let cases: [DamageAt; 6] = [
        (|d, at| d[at] = 0, "inode 2 at 0x113c: a directory entry has a name of 0 bytes"),
        (
            |d, at| set(d, at, &[0, 1]),
            "inode 2 at 0x113c: a directory entry has a name of 256 bytes",
        ),
        (|d, at| d[at] = 255, "inode 2 at 0x113c: a directory entry ends behind its directory"),
        (|d, at| d[at + 4] = 7, "inode 2 at 0x113c: a directory entry names inode 7, there are 6"),
        (|d, at| d[at + 4] = 0, "inode 2 at 0x113c: a directory entry names inode 0, there are 6"),
        (|d, at| d[at] = 5 + 8, "inode 2 at 0x1151: a directory entry ends behind its directory"),
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
fn each_damage_of_a_symbolic_link_has_its_error() {
    let error = |target: &[u8]| {
        let disk = image(&[record(1, 2, &directory(&[("l", 2)])), record(2, 3, target)]);
        EclipseFs::mount(disk).unwrap().lookup("/l").unwrap_err().to_string()
    };
    assert_eq!(error(b""), "inode 2 at 0x108e: the target of a symbolic link has 0 bytes");
    let long = "inode 2 at 0x108e: the target of a symbolic link has 4097 bytes";
    assert_eq!(error(&[b'a'; 4097]), long);
    let text = "inode 2 at 0x1103: the target of a symbolic link is not UTF-8, or holds NUL";
    assert_eq!(error(b"a\0"), text);
    assert_eq!(error(b"a\xff"), text);
}

#[test]
fn a_record_of_endless_fields_ends() {
    let fields = field(0x7777, b"").repeat(65);
    let disk = image(&[record(1, 2, &directory(&[("f", 2)])), with_header(2, &fields)]);
    let mut fs = EclipseFs::mount(disk).unwrap();
    let error = fs.lookup("/f").unwrap_err().to_string();
    assert_eq!(error, "inode 2 at 0x1216: there are more than 64 fields");
}

#[test]
fn a_root_that_is_no_directory_is_not_mounted() {
    let error = EclipseFs::mount(image(&[record(1, 1, b"")])).err().unwrap();
    assert_eq!(error.to_string(), "inode 1 at 0x1008: the root is a file");
}
