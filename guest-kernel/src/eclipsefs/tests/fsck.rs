use super::{Disk, directory, image, place, record, sample, set};
use crate::eclipsefs::{EclipseFs, Error, Report, fsck};

/// What is wrong with an image.
fn findings(disk: Disk) -> Vec<String> {
    let Report { findings, more, .. } = fsck(disk).unwrap();
    assert_eq!(more, 0);
    findings.iter().map(ToString::to_string).collect()
}

/// What is wrong with the sample after a change at the record of an inode.
fn changed(inode: usize, change: impl FnOnce(&mut [u8], usize)) -> Vec<String> {
    let mut disk = sample(10);
    let at = place(&disk.data, inode);
    change(&mut disk.data, at);
    findings(disk)
}

#[test]
fn a_file_system_without_damage_has_no_findings() {
    let report = fsck(sample(10)).unwrap();
    let expected =
        Report { inodes: 6, directories: 2, files: 3, symlinks: 1, bytes: 30, ..Report::default() };
    assert_eq!(report, expected);
}

#[test]
fn the_header_is_checked() {
    let mut disk = sample(10);
    disk.data[33] = 1;
    let checksum = "header at 0x21: the header's checksum is 0x00000001, its bytes give 0xbca05854";
    assert_eq!(findings(disk), [checksum]);
    let mut disk = sample(10);
    disk.data[14] = 0xff;
    let table = "header at 0xd: the inode table of 48 bytes cannot be at 0xff00";
    assert_eq!(findings(disk), [table]);
    let error = fsck(Disk::new(vec![0; 8192])).unwrap_err().to_string();
    assert_eq!(error, "the device does not begin with the EclipseFS signature");
}

#[test]
fn every_damaged_record_is_found_and_not_only_the_first() {
    let mut disk = sample(10);
    let places = [3, 5].map(|inode| place(&disk.data, inode));
    disk.data[places[0] + 14] = 9;
    disk.data[places[1] + 10] = 9;
    assert_eq!(
        findings(disk),
        ["inode 3 at 0x1163: type 9 is none", "inode 5 at 0x1255: field 0x0001 has 9 bytes"]
    );
}

#[test]
fn what_a_reader_does_not_mind_is_found() {
    let mode = "inode 3 at 0x1155: mode 0o40644 is not a file's";
    assert_eq!(changed(3, |d, at| d[at + 22] = 0x41), [mode]);
    let size = "inode 2 at 0x10c7: the size is 1 bytes, the content has 0";
    assert_eq!(changed(2, |d, at| d[at + 51] = 1), [size]);
    let links = "inode 3 at 0x1155: 2 links are said to be, and there are 1";
    assert_eq!(changed(3, |d, at| d[at + 107] = 2), [links]);
    let target = "inode 6 at 0x1341: the target of a symbolic link is not UTF-8, or holds NUL";
    assert_eq!(changed(6, |d, at| d[at + 118] = 0), [target]);
    let entries = "inode 3 at 0x11ca: a file has no field 0x000b";
    let both = changed(3, |d, at| {
        d[at + 111] = 11;
        d[at + 51] = 0;
    });
    assert_eq!(both, [entries]);
    let content = "inode 2 at 0x113c: a directory has no field 0x000a";
    let all = changed(2, |d, at| d[at + 111] = 10);
    assert_eq!(all[0], content);
    assert_eq!(all.len(), 3, "and what was in the directory is nowhere: {all:?}");
}

#[test]
fn records_lie_back_to_back() {
    let mut disk = sample(10);
    // Two bytes that no record has, in front of the last one.
    let at = place(&disk.data, 6);
    disk.data.splice(at..at, [0; 2]);
    disk.data[4096 + 8 * 5 + 4] += 2;
    let gap = "inode 6 at 0x12ce: the record does not begin where the one before ends, at 0x12cc";
    assert_eq!(findings(disk), [gap]);
}

#[test]
fn names_are_checked() {
    let name = |name: &[u8]| {
        // The root's entries are at 117 of its record: `big`, `etc`, `link`.
        changed(1, |d, at| set(d, at + 125, name))
    };
    let cannot = |name: &str| {
        format!(
            "inode 1 at 0x10a5: {name:?} cannot be a name: it is `.` or `..`, or holds `/` or NUL"
        )
    };
    assert_eq!(name(b"a/b"), [cannot("a/b")]);
    assert_eq!(name(b"a\0b"), [cannot("a\0b")]);
    assert_eq!(name(b"a\xffb"), ["inode 1 at 0x10a5: a name is not UTF-8"]);
    assert_eq!(name(b"etc"), ["inode 1 at 0x10b0: the name \"etc\" is there twice"]);
    let root = record(1, 2, &directory(&[("b", 2), ("a", 3), ("b", 4)]));
    let found = findings(image(&[root, record(2, 1, b""), record(3, 1, b""), record(4, 1, b"")]));
    assert_eq!(found, ["inode 1 at 0x10a7: the name \"b\" is there twice"]);
    let root = record(1, 2, &directory(&[("", 2), (&"n".repeat(256), 3), ("..", 4)]));
    let found = findings(image(&[root, record(2, 1, b""), record(3, 1, b""), record(4, 1, b"")]));
    assert_eq!(
        found,
        [
            "inode 1 at 0x1095: a directory entry has a name of 0 bytes",
            "inode 1 at 0x109d: a directory entry has a name of 256 bytes",
            "inode 1 at 0x11a5: \"..\" cannot be a name: it is `.` or `..`, or holds `/` or NUL",
        ]
    );
}

#[test]
fn entries_end_with_their_directory_and_name_what_there_is() {
    let overrun = changed(1, |d, at| d[at + 117 + 22] = 9);
    assert_eq!(overrun[0], "inode 1 at 0x10bb: a directory entry ends behind its directory");
    assert_eq!(overrun[1], "inode 6 at 0x1028: no path leads there from the root");
    let none = changed(1, |d, at| d[at + 117 + 26] = 77);
    assert_eq!(none[0], "inode 1 at 0x10bb: a directory entry names inode 77, there are 6");
}

#[test]
fn every_inode_is_reached_once() {
    let root = |entries: &[(&str, u32)]| record(1, 2, &directory(entries));
    let file = |inode| record(inode, 1, b"");
    let orphan = findings(image(&[root(&[("a", 2)]), file(2), file(3)]));
    assert_eq!(orphan, ["inode 3 at 0x1010: no path leads there from the root"]);
    let twice = findings(image(&[root(&[("a", 2), ("b", 2)]), file(2)]));
    assert_eq!(twice, ["inode 2 at 0x1097: 1 links are said to be, and there are 2"]);
    let root_named = findings(image(&[root(&[("a", 1)])]));
    assert_eq!(root_named, ["inode 1 at 0x107d: a directory entry names the root"]);
    let parents = findings(image(&[root(&[("a", 2), ("b", 2)]), record(2, 2, b"")]));
    let why = "a directory entry names directory 2, which is in directory 1 already";
    assert_eq!(parents, [format!("inode 1 at 0x108e: {why}")]);
}

#[test]
fn cycles_are_found_and_what_hangs_on_them() {
    let under = |inode, child| record(inode, 2, &directory(&[("c", child)]));
    // 2 and 3 are in each other; 4 is in 3's file place; 5 is in itself.
    let three = record(3, 2, &directory(&[("c", 2), ("d", 4)]));
    let found =
        findings(image(&[record(1, 2, b""), under(2, 3), three, record(4, 1, b""), under(5, 5)]));
    assert_eq!(
        found,
        [
            "inode 2 at 0x1008: the directory is part of a cycle",
            "inode 3 at 0x1010: the directory is part of a cycle",
            "inode 4 at 0x1018: no path leads there from the root",
            "inode 5 at 0x1020: the directory is part of a cycle",
        ]
    );
}

#[test]
fn more_findings_than_a_thousand_are_counted() {
    let records: Vec<_> =
        (1..=1500).map(|inode| record(inode, if inode == 1 { 2 } else { 1 }, b"")).collect();
    let report = fsck(image(&records)).unwrap();
    assert_eq!((report.findings.len(), report.more), (1000, 499));
}

#[test]
fn the_order_of_names_is_free() {
    let records =
        [record(1, 2, &directory(&[("b", 2), ("a", 3)])), record(2, 1, b""), record(3, 1, b"")];
    assert_eq!(findings(image(&records)), [""; 0]);
}

fn is_damaged<T>(result: &Result<T, Error<super::Broken>>) -> bool {
    matches!(result, Err(Error::Damaged(_)))
}

/// Changes images, again and again the same way, and does all that there is with them.
#[test]
fn no_change_of_an_image_makes_a_reader_panic() {
    let clean = sample(10).data;
    // A linear congruential generator: the tests of this crate have no random numbers.
    let mut state = 1_u64;
    let mut next = |below: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let mut damaged = 0;
    for _ in 0..4_000 {
        let mut data = clean.clone();
        for _ in 0..=next(4) {
            let at = if next(8) == 0 { next(65) } else { 4096 + next(data.len() - 4096) };
            data[at] = if next(2) == 0 { next(256) as u8 } else { [0, 1, 0x7f, 0xff][next(4)] };
        }
        data.truncate(if next(4) == 0 { next(data.len() + 1) } else { data.len() });
        let report = fsck(Disk::new(data.clone()));
        damaged += usize::from(report.as_ref().is_ok_and(|report| !report.is_clean()));
        let Ok(mut fs) = EclipseFs::mount(Disk::new(data)) else { continue };
        let mut damage = false;
        for path in ["/etc/motd", "/etc/empty", "/big", "/link"] {
            damage |= is_damaged(&super::cat(&mut fs, path));
            let node = fs.lookup_link(path);
            damage |= is_damaged(&node.and_then(|node| fs.read(&node, 3, &mut [0; 9])));
        }
        for inode in 1..=6 {
            let entries = fs.node(inode).and_then(|node| fs.read_directory(&node));
            damage |= is_damaged(&entries);
        }
        // What stops the reader is damage that the check finds.
        assert!(!damage || report.is_ok_and(|report| !report.is_clean()));
    }
    assert!(damaged > 2_000, "{damaged}");
}
