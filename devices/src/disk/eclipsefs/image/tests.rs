//! The bytes of an image, by the format.

use super::*;

/// Bytes as written down in hexadecimal, with spaces and line ends for the reader.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<_> = text.chars().filter(|c| !c.is_whitespace()).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap()).collect()
}

/// A root with a file `hi` of three bytes, an empty directory `d` and a link `l` to `hi`.
fn small() -> Directory {
    let root = Directory::new().file("hi", "yo\n").unwrap();
    root.symlink("l", "hi").unwrap().directory("d", Directory::new()).unwrap()
}

// Written from the table of the format, field by field.
#[test]
fn the_header_is_one_block_as_the_format_says() {
    let image = small().to_image().unwrap();
    let written = hex("
        45 43 4c 49 50 53 45 46 53   00 00 02 00
        00 10 00 00 00 00 00 00      20 00 00 00 00 00 00 00
        04 00 00 00   00 00 00 00   00 00 00 00   00 00 00 00
        00 00 00 00 00 00 00 00      00 00 00 00 00 00 00 00   00 00 00 00
    ");
    assert_eq!(written.len(), 65);
    assert_eq!(image[..65], written);
    assert_eq!(image[65..4096], [0; 4031]);
}

#[test]
fn the_inode_table_gives_each_record_its_offset_in_the_node_area() {
    // The root's record is 111 + 6 + (8 + 1) + (8 + 2) + (8 + 1) = 145 bytes, `d` is 111 and
    // `hi` is 111 + 6 + 3 = 120.
    let table = hex("
        01 00 00 00   00 00 00 00
        02 00 00 00   91 00 00 00
        03 00 00 00   00 01 00 00
        04 00 00 00   78 01 00 00
    ");
    let image = small().to_image().unwrap();
    assert_eq!(image[4096..4096 + 32], table);
    assert_eq!(image.len(), 4096 + 32 + 145 + 111 + 120 + 119);
}

#[test]
fn the_root_record_comes_first_with_its_entries_sorted_by_name() {
    let record = hex("
        01 00 00 00   91 00 00 00
        01 00  01 00 00 00  02
        02 00  04 00 00 00  ed 41 00 00
        03 00  04 00 00 00  00 00 00 00
        04 00  04 00 00 00  00 00 00 00
        05 00  08 00 00 00  00 00 00 00 00 00 00 00
        06 00  08 00 00 00  80 99 cf 61 00 00 00 00
        07 00  08 00 00 00  80 99 cf 61 00 00 00 00
        08 00  08 00 00 00  80 99 cf 61 00 00 00 00
        09 00  04 00 00 00  02 00 00 00
        0b 00  1c 00 00 00
            01 00 00 00  02 00 00 00  64
            02 00 00 00  03 00 00 00  68 69
            01 00 00 00  04 00 00 00  6c
    ");
    let image = small().to_image().unwrap();
    assert_eq!(image[4128..][..record.len()], record);
}

#[test]
fn a_file_has_its_contents_and_a_link_its_target_inline() {
    let leaves = hex("
        03 00 00 00   78 00 00 00
        01 00  01 00 00 00  01
        02 00  04 00 00 00  a4 81 00 00
        03 00  04 00 00 00  00 00 00 00
        04 00  04 00 00 00  00 00 00 00
        05 00  08 00 00 00  03 00 00 00 00 00 00 00
        06 00  08 00 00 00  80 99 cf 61 00 00 00 00
        07 00  08 00 00 00  80 99 cf 61 00 00 00 00
        08 00  08 00 00 00  80 99 cf 61 00 00 00 00
        09 00  04 00 00 00  01 00 00 00
        0a 00  03 00 00 00  79 6f 0a
        04 00 00 00   77 00 00 00
        01 00  01 00 00 00  03
        02 00  04 00 00 00  ff a1 00 00
        03 00  04 00 00 00  00 00 00 00
        04 00  04 00 00 00  00 00 00 00
        05 00  08 00 00 00  02 00 00 00 00 00 00 00
        06 00  08 00 00 00  80 99 cf 61 00 00 00 00
        07 00  08 00 00 00  80 99 cf 61 00 00 00 00
        08 00  08 00 00 00  80 99 cf 61 00 00 00 00
        09 00  04 00 00 00  01 00 00 00
        0a 00  02 00 00 00  68 69
    ");
    let image = small().to_image().unwrap();
    assert_eq!(image[4128 + 145 + 111..], leaves);
}

#[test]
fn an_empty_file_and_an_empty_directory_have_the_fixed_part_only() {
    let root = Directory::new().file("empty", "").unwrap();
    let image = root.to_image().unwrap();
    assert_eq!(image.len(), 4096 + 2 * 8 + (111 + 6 + 8 + 5) + 111);
    assert_eq!(Directory::new().to_image().unwrap().len(), 4096 + 8 + 111);
}

#[test]
fn the_order_in_which_a_tree_was_made_does_not_show() {
    let other = Directory::new().directory("d", Directory::new()).unwrap();
    let other = other.symlink("l", "hi").unwrap().file("hi", "yo\n").unwrap();
    assert_eq!(other.to_image().unwrap(), small().to_image().unwrap());
}

#[test]
fn inodes_are_directories_by_depth_then_files_then_links() {
    let within = |name: &str, directory| Directory::new().directory(name, directory).unwrap();
    let leaf = || Directory::new().file("f", "").unwrap().symlink("s", "f").unwrap();
    // Inodes: / 1, /a 2, /b 3, /a/x 4, /b/y 5, files /f 6, /a/x/f 7, /b/y/f 8, links 9 and 10.
    let root = within("a", within("x", leaf())).directory("b", within("y", leaf())).unwrap();
    let image = root.file("f", "").unwrap().to_image().unwrap();
    let entry = |name: &str, inode: u32| {
        [&(name.len() as u32).to_le_bytes(), &inode.to_le_bytes(), name.as_bytes()].concat()
    };
    let expected = [
        [entry("a", 2), entry("b", 3), entry("f", 6)].concat(),
        entry("x", 4),
        entry("y", 5),
        [entry("f", 7), entry("s", 9)].concat(),
        [entry("f", 8), entry("s", 10)].concat(),
    ];
    let mut record = 4096 + 8 * 10;
    for entries in expected {
        assert_eq!(image[record + 117..][..entries.len()], entries);
        record += 117 + entries.len();
    }
}

#[test]
fn a_file_of_the_host_is_read_when_the_image_is_written() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("hi");
    let contents = b"0123456789".repeat(10_000);
    std::fs::write(&path, &contents).unwrap();
    let there = |len| Directory::new().host_file("hi", &path, len).unwrap();
    let image = there(100_000).to_image().unwrap();
    assert_eq!(image.len() as u64, there(100_000).image_len().unwrap());
    let here = Directory::new().file("hi", contents).unwrap();
    assert_eq!(image, here.to_image().unwrap());
    for len in [0, 99_999, 100_001] {
        let changed = there(len).to_image();
        assert!(matches!(changed, Err(WriteError::Changed { .. })), "{len}");
    }
    assert_eq!(there(1 << 32).image_len().unwrap_err(), Error::TooLarge);
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(there(1).to_image(), Err(WriteError::Read { .. })));
}
