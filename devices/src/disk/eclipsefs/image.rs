//! Writes the image of a tree.

use std::fs::File;
use std::io::{Read, Write};

use super::{Contents, Directory, Error, Node, WriteError};

/// Where the inode table begins, after the header's block.
const TABLE: u64 = 4096;
/// Bytes in an entry of the inode table.
const TABLE_ENTRY: u64 = 8;
/// Bytes of a record's header: inode and size.
const RECORD_HEADER: u64 = 8;
/// Bytes of a host's file that are read at once.
const COPY: usize = 1 << 16;
/// Every time in an image: 2022-01-01 00:00:00 UTC, in seconds.
const TIME: u64 = 1_640_995_200;

/// Tags of a record's fields, in the order in which they are written.
mod tag {
    pub const NODE_TYPE: u16 = 0x0001;
    pub const MODE: u16 = 0x0002;
    pub const UID: u16 = 0x0003;
    pub const GID: u16 = 0x0004;
    pub const SIZE: u16 = 0x0005;
    pub const ATIME: u16 = 0x0006;
    pub const MTIME: u16 = 0x0007;
    pub const CTIME: u16 = 0x0008;
    pub const NLINK: u16 = 0x0009;
    pub const CONTENT: u16 = 0x000a;
    pub const DIRECTORY_ENTRIES: u16 = 0x000b;
}

/// A record but for its header: its fields, and behind them what is in a file.
struct Record<'a> {
    fields: Vec<u8>,
    contents: Option<&'a Contents>,
}

impl Record<'_> {
    /// Bytes, with the header.
    fn len(&self) -> u64 {
        let contents = self.contents.map_or(0, Contents::len);
        RECORD_HEADER + self.fields.len() as u64 + contents
    }
}

/// Writes the image of the filesystem with this root, and says its bytes.
pub(super) fn write(root: &Directory, out: &mut impl Write) -> Result<u64, WriteError> {
    assemble(&records(root)?, out)
}

/// The bytes of the image.
pub(super) fn len(root: &Directory) -> Result<u64, Error> {
    let records = records(root)?;
    let area: u64 = records.iter().map(Record::len).sum();
    Ok(TABLE + TABLE_ENTRY * records.len() as u64 + area)
}

/// The records by inode.
///
/// Inodes are numbered as the public tools do: the root is 1, then the directories by depth, then
/// the files, then the symbolic links. Within a kind they come in the order of the directories that
/// hold them, and there by name.
fn records(root: &Directory) -> Result<Vec<Record<'_>>, Error> {
    let mut records = Vec::new();
    let directories = breadth_first(root);
    let (mut files, mut links) = (Vec::new(), Vec::new());
    for node in directories.iter().flat_map(|directory| directory.entries.values()) {
        match node {
            Node::Directory(_) => {}
            Node::File(contents) => files.push(contents),
            Node::Symlink(target) => links.push(target.as_bytes()),
        }
    }

    let mut inodes = Numbering {
        directory: 2,
        file: 1 + u32_len(directories.len())?,
        symlink: 1 + u32_len(directories.len() + files.len())?,
    };
    for directory in &directories {
        let fields = directory_fields(directory, &mut inodes)?;
        records.push(Record { fields, contents: None });
    }
    for contents in files {
        let fields = leaf_fields(1, 0o100_644, contents.len())?;
        records.push(Record { fields, contents: Some(contents) });
    }
    for target in links {
        let mut fields = leaf_fields(3, 0o120_777, target.len() as u64)?;
        fields.extend(target);
        records.push(Record { fields, contents: None });
    }
    Ok(records)
}

/// The directories of a tree, by depth.
fn breadth_first(root: &Directory) -> Vec<&Directory> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(directory) = found.get(next) {
        let children = directory.entries.values().filter_map(|node| match node {
            Node::Directory(child) => Some(child),
            Node::File(_) | Node::Symlink(_) => None,
        });
        found.extend(children.collect::<Vec<_>>());
        next += 1;
    }
    found
}

/// The inode that the next entry of each kind gets.
struct Numbering {
    directory: u32,
    file: u32,
    symlink: u32,
}

impl Numbering {
    /// The inode of an entry. Entries are asked for in the order in which records are written.
    fn take(&mut self, node: &Node) -> u32 {
        let next = match node {
            Node::Directory(_) => &mut self.directory,
            Node::File(_) => &mut self.file,
            Node::Symlink(_) => &mut self.symlink,
        };
        let inode = *next;
        *next += 1;
        inode
    }
}

fn directory_fields(directory: &Directory, inodes: &mut Numbering) -> Result<Vec<u8>, Error> {
    let mut entries = Vec::new();
    for (name, node) in &directory.entries {
        entries.extend(u32_len(name.len())?.to_le_bytes());
        entries.extend(inodes.take(node).to_le_bytes());
        entries.extend(name.as_bytes());
    }
    let mut fields = attributes(2, 0o40_755, 0, 2)?;
    if !entries.is_empty() {
        field(&mut fields, tag::DIRECTORY_ENTRIES, &entries)?;
    }
    Ok(fields)
}

/// The fields of a file or a symbolic link, to the header of the last: its content of `len` bytes
/// follows.
fn leaf_fields(node_type: u8, mode: u32, len: u64) -> Result<Vec<u8>, Error> {
    let mut fields = attributes(node_type, mode, len, 1)?;
    if len != 0 {
        fields.extend(tag::CONTENT.to_le_bytes());
        fields.extend(u32::try_from(len).map_err(|_| Error::TooLarge)?.to_le_bytes());
    }
    Ok(fields)
}

/// The fields that every record has.
fn attributes(node_type: u8, mode: u32, size: u64, links: u32) -> Result<Vec<u8>, Error> {
    let mut fields = Vec::new();
    field(&mut fields, tag::NODE_TYPE, &[node_type])?;
    field(&mut fields, tag::MODE, &mode.to_le_bytes())?;
    field(&mut fields, tag::UID, &0u32.to_le_bytes())?;
    field(&mut fields, tag::GID, &0u32.to_le_bytes())?;
    field(&mut fields, tag::SIZE, &size.to_le_bytes())?;
    for time in [tag::ATIME, tag::MTIME, tag::CTIME] {
        field(&mut fields, time, &TIME.to_le_bytes())?;
    }
    field(&mut fields, tag::NLINK, &links.to_le_bytes())?;
    Ok(fields)
}

/// Appends a field: tag, length, value.
fn field(fields: &mut Vec<u8>, tag: u16, value: &[u8]) -> Result<(), Error> {
    fields.extend(tag.to_le_bytes());
    fields.extend(u32_len(value.len())?.to_le_bytes());
    fields.extend(value);
    Ok(())
}

/// Header, inode table and node area; the record of inode 1 comes first.
fn assemble(records: &[Record<'_>], out: &mut impl Write) -> Result<u64, WriteError> {
    let mut start = header(u32_len(records.len())?);
    let mut area = 0;
    for (inode, record) in (1u32..).zip(records) {
        start.extend(inode.to_le_bytes());
        start.extend(u32::try_from(area).map_err(|_| Error::TooLarge)?.to_le_bytes());
        area += record.len();
    }
    out.write_all(&start).map_err(WriteError::Write)?;
    for (inode, record) in (1u32..).zip(records) {
        let size = u32::try_from(record.len()).map_err(|_| Error::TooLarge)?;
        let mut bytes = [inode.to_le_bytes(), size.to_le_bytes()].concat();
        bytes.extend(&record.fields);
        out.write_all(&bytes).map_err(WriteError::Write)?;
        if let Some(contents) = record.contents {
            contents.write(out)?;
        }
    }
    Ok(start.len() as u64 + area)
}

impl Contents {
    fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Host { len, .. } => *len,
        }
    }

    fn write(&self, out: &mut impl Write) -> Result<(), WriteError> {
        let (path, len) = match self {
            Self::Bytes(bytes) => return out.write_all(bytes).map_err(WriteError::Write),
            Self::Host { path, len } => (path, *len),
        };
        let failed = |source| WriteError::Read { path: path.clone(), source };
        let mut file = File::open(path).map_err(failed)?;
        let mut buffer = vec![0; COPY];
        let mut left = len;
        loop {
            let count = file.read(&mut buffer).map_err(failed)?;
            match left.checked_sub(count as u64) {
                Some(0) if count == 0 => return Ok(()),
                Some(rest) if count != 0 => left = rest,
                _ => return Err(WriteError::Changed { path: path.clone() }),
            }
            out.write_all(&buffer[..count]).map_err(WriteError::Write)?;
        }
    }
}

/// The header's block. What the public writer leaves zero (checksums, times, flags) is zero.
fn header(inodes: u32) -> Vec<u8> {
    let mut header = Vec::new();
    header.extend(b"ECLIPSEFS");
    header.extend(0x0002_0000u32.to_le_bytes());
    header.extend(TABLE.to_le_bytes());
    header.extend((TABLE_ENTRY * u64::from(inodes)).to_le_bytes());
    header.extend(inodes.to_le_bytes());
    header.resize(TABLE as usize, 0);
    header
}

/// A length as the format's 32 bits.
fn u32_len(len: usize) -> Result<u32, Error> {
    u32::try_from(len).map_err(|_| Error::TooLarge)
}

#[cfg(test)]
mod tests;
