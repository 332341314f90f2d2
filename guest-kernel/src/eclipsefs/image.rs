//! Makes a small image, for a disk in memory.

use alloc::vec::Vec;

use super::{
    Kind,
    node::{CONTENT, DIRECTORY_ENTRIES},
    superblock::{HEADER, MAGIC, TABLE_ENTRY},
};

/// Every time in the image: 2022-01-01 00:00:00 UTC, in seconds.
const TIME: u64 = 1_640_995_200;

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A directory: names, and what they stand for.
    Directory(&'a [(&'a str, Entry<'a>)]),
    /// A file.
    File(&'a [u8]),
    /// A symbolic link.
    Symlink(&'a str),
}

/// The image of the tree below `root`, which has names that can be names and no name twice.
///
/// It is as long as it must be, not a whole number of blocks.
///
/// # Panics
/// The image would be larger than 4 GiB.
pub fn image(root: &[(&str, Entry<'_>)]) -> Vec<u8> {
    let records = records(root);
    let inodes = u32_of(records.len());
    let table = TABLE_ENTRY * u64::from(inodes);
    let mut image = Vec::new();
    image.extend(MAGIC);
    image.extend(0x0002_0000_u32.to_le_bytes());
    image.extend(HEADER.to_le_bytes());
    image.extend(table.to_le_bytes());
    image.extend(inodes.to_le_bytes());
    image.resize(HEADER as usize, 0);
    let mut offset = 0;
    for (record, inode) in records.iter().zip(1_u32..) {
        image.extend(inode.to_le_bytes());
        image.extend(u32_of(offset).to_le_bytes());
        offset += record.len();
    }
    image.extend(records.concat());
    image
}

/// The records of all nodes, breadth first: the children of one are numbered in a row.
fn records(root: &[(&str, Entry<'_>)]) -> Vec<Vec<u8>> {
    let mut nodes = alloc::vec![Entry::Directory(root)];
    let mut records = Vec::new();
    while let Some(node) = nodes.get(records.len()).copied() {
        let inode = u32_of(records.len() + 1);
        records.push(match node {
            Entry::File(content) => record(inode, 1, Kind::File, 0o644, content),
            Entry::Symlink(target) => record(inode, 3, Kind::Symlink, 0o777, target.as_bytes()),
            Entry::Directory(entries) => {
                let mut bytes = Vec::new();
                for (name, entry) in entries {
                    nodes.push(*entry);
                    bytes.extend(u32_of(name.len()).to_le_bytes());
                    bytes.extend(u32_of(nodes.len()).to_le_bytes());
                    bytes.extend(name.as_bytes());
                }
                record(inode, 2, Kind::Directory, 0o755, &bytes)
            }
        });
    }
    records
}

fn record(inode: u32, node_type: u8, kind: Kind, permissions: u32, data: &[u8]) -> Vec<u8> {
    let directory = kind == Kind::Directory;
    let size = if directory { 0 } else { data.len() as u64 };
    let links: u32 = if directory { 2 } else { 1 };
    let mut fields = Vec::new();
    let mut field = |tag: u16, value: &[u8]| {
        fields.extend(tag.to_le_bytes());
        fields.extend(u32_of(value.len()).to_le_bytes());
        fields.extend(value);
    };
    field(1, &[node_type]);
    field(2, &(kind.mode_bits() | permissions).to_le_bytes());
    field(3, &[0; 4]);
    field(4, &[0; 4]);
    field(5, &size.to_le_bytes());
    for tag in 6..=8 {
        field(tag, &TIME.to_le_bytes());
    }
    field(9, &links.to_le_bytes());
    if !data.is_empty() {
        field(if directory { DIRECTORY_ENTRIES } else { CONTENT }, data);
    }
    let mut record = inode.to_le_bytes().to_vec();
    record.extend(u32_of(8 + fields.len()).to_le_bytes());
    record.extend(fields);
    record
}

fn u32_of(len: usize) -> u32 {
    u32::try_from(len).expect("a small image is smaller than 4 GiB")
}
