//! Tests against images that are built here, by the text of the format, then damaged.

mod damage;
mod defects;
mod fsck;
mod partitions;
mod paths;
mod reading;
mod writing;

use super::{EclipseFs, Error};
use crate::block::{BLOCK_SIZE, Block, BlockDevice};

/// A disk in memory of any number of bytes, which counts what is read and written.
struct Disk {
    data: Vec<u8>,
    reads: Vec<u64>,
    writes: Vec<u64>,
    broken: Option<u64>,
    read_only: bool,
}

impl Disk {
    fn new(data: Vec<u8>) -> Self {
        Self { data, reads: vec![], writes: vec![], broken: None, read_only: false }
    }

    /// The bytes of a block that are there.
    fn block(&mut self, block: u64) -> &mut [u8] {
        let start = block as usize * BLOCK_SIZE;
        let end = self.data.len().min(start + BLOCK_SIZE);
        &mut self.data[start..end]
    }
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

    fn bytes(&self) -> u64 {
        self.data.len() as u64
    }

    fn read_only(&self) -> bool {
        self.read_only
    }

    fn read_block(&mut self, block: u64, into: &mut Block) -> Result<(), Broken> {
        self.reads.push(block);
        if self.broken == Some(block) {
            into.fill(0xee);
            return Err(Broken);
        }
        let there = self.block(block);
        into[..there.len()].copy_from_slice(there);
        into[there.len()..].fill(0);
        Ok(())
    }

    fn write_block(&mut self, block: u64, data: &Block) -> Result<(), Broken> {
        self.writes.push(block);
        if self.broken == Some(block) {
            return Err(Broken);
        }
        let there = self.block(block);
        there.copy_from_slice(&data[..there.len()]);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Broken> {
        Ok(())
    }
}

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
    fields.extend(field(9, &if kind == 2 { 2_u32 } else { 1 }.to_le_bytes()));
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
    Disk::new(data)
}

const MOTD: &[u8] = b"Welcome to Eclipse.\n";

/// `/etc/motd`, `/etc/empty`, `/link`, and `/big`, which makes what follows it lie `shift` bytes
/// later.
fn sample(shift: usize) -> Disk {
    image(&[
        record(1, 2, &directory(&[("big", 5), ("etc", 2), ("link", 6)])),
        record(2, 2, &directory(&[("empty", 4), ("motd", 3)])),
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

/// Where the record of an inode is in [`sample`].
fn place(data: &[u8], inode: usize) -> usize {
    let entry = BLOCK_SIZE + 8 * (inode - 1) + 4;
    let offset: [u8; 4] = data[entry..entry + 4].try_into().unwrap();
    BLOCK_SIZE + 8 * 6 + u32::from_le_bytes(offset) as usize
}

fn set(data: &mut [u8], at: usize, bytes: &[u8]) {
    data[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Reads a file through all symbolic links.
fn cat<D: BlockDevice>(fs: &mut EclipseFs<D>, path: &str) -> Result<Vec<u8>, Error<D::Error>> {
    let node = fs.lookup(path)?;
    fs.read_file(&node)
}
