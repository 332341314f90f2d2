//! Checks a whole file system, and lists what is wrong with it.
//!
//! Three passes: each record by itself; the entries of each directory; and whether a path leads
//! from the root to every inode. It takes 8 bytes of memory for an inode, and room for the largest
//! directory.

use alloc::{collections::BinaryHeap, string::ToString, vec::Vec};

use super::{
    Damage, Error, Finding, Geometry, Kind, Node, ROOT, Volume,
    cache::Cache,
    directory::{self, ENTRY_HEADER, NAME},
    node::{CONTENT, DIRECTORY_ENTRIES, pair},
    path::PATH,
};
use crate::block::BlockDevice;

/// The most findings that are kept; the others are counted.
const FINDINGS: usize = 1000;
/// Type bits of a mode.
const MODE_TYPE: u32 = 0o170_000;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Inodes, as the header says.
    pub inodes: u32,
    /// Directories with a record that can be read.
    pub directories: u32,
    /// Files with a record that can be read.
    pub files: u32,
    /// Symbolic links with a record that can be read.
    pub symlinks: u32,
    /// Bytes in files.
    pub bytes: u64,
    /// What is wrong; nothing of a file system without damage.
    pub findings: Vec<Finding>,
    /// How much more is wrong than the findings say.
    pub more: u64,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.is_empty()
    }

    fn add(&mut self, finding: Finding) {
        match self.findings.len() < FINDINGS {
            true => self.findings.push(finding),
            false => self.more += 1,
        }
    }

    /// Takes damage as a finding; what else is wrong ends the check.
    fn note<T, E: core::error::Error>(
        &mut self,
        result: Result<T, Error<E>>,
    ) -> Result<Option<T>, Error<E>> {
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Error::Damaged(finding)) => {
                self.add(finding);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Checks the file system on a device, or in one of its partitions.
///
/// # Errors
/// There is none that could be checked, or the device cannot be read, or memory is short.
/// Damage is no error: it is in the report.
pub fn fsck<D: BlockDevice>(device: D) -> Result<Report, Error<D::Error>> {
    let Volume { cache, superblock, .. } = Volume::open(device)?;
    superblock.supported()?;
    let mut report = Report::default();
    report.note::<_, D::Error>(superblock.verify().map_err(Error::Damaged))?;
    let geometry = superblock.geometry(cache.bytes()).map_err(Error::Damaged);
    let Some(geometry) = report.note::<_, D::Error>(geometry)? else { return Ok(report) };
    report.inodes = geometry.inodes;
    let mut check = Check { seen: Vec::new(), cache, geometry, report };
    let room = check.seen.try_reserve_exact(geometry.inodes as usize);
    room.map_err(|_| Error::Memory(u64::from(geometry.inodes) * size_of::<Seen>() as u64))?;
    check.seen.resize(geometry.inodes as usize, Seen::default());
    check.records()?;
    check.directories()?;
    check.paths();
    check.links()?;
    Ok(check.report)
}

/// What is known of an inode.
#[derive(Clone, Copy, Default)]
struct Seen {
    /// `None` of a record that is damaged.
    kind: Option<Kind>,
    /// Whether its record says that one entry names it.
    one_link: bool,
    /// Entries that name it, 255 at most.
    named: u8,
    reach: Reach,
    /// The directory that named it first; 0 is none.
    parent: u32,
}

/// Whether a path leads to an inode.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Reach {
    #[default]
    Unknown,
    /// It is on the way that is being followed.
    Asked,
    Root,
    Nowhere,
    /// It is above itself.
    Cycle,
}

struct Check<D> {
    cache: Cache<D>,
    geometry: Geometry,
    /// By inode; the first is the root.
    seen: Vec<Seen>,
    report: Report,
}

impl<D: BlockDevice> Check<D> {
    /// What is known of an inode that there is.
    fn seen(&mut self, inode: u32) -> &mut Seen {
        &mut self.seen[inode as usize - 1]
    }

    fn node(&mut self, inode: u32) -> Result<Node, Error<D::Error>> {
        Node::read(&mut self.cache, &self.geometry, inode)
    }

    /// Every record by itself, and that they lie back to back.
    fn records(&mut self) -> Result<(), Error<D::Error>> {
        let mut place = Some(self.geometry.records);
        for inode in 1..=self.geometry.inodes {
            let node = self.node(inode);
            let Some(node) = self.report.note(node)? else {
                place = None;
                continue;
            };
            let start = node.record.offset;
            if let Some(place) = place.filter(|place| *place != start) {
                self.report.add(Damage::RecordPlace(place).at(inode, start));
            }
            place = Some(node.record.end());
            self.attributes(&node);
            if node.kind == Kind::Symlink {
                self.target(&node)?;
            }
            let seen = self.seen(inode);
            (seen.kind, seen.one_link) = (Some(node.kind), node.nlink == 1);
        }
        Ok(())
    }

    fn attributes(&mut self, node: &Node) {
        let Node { inode, kind, mode, size, record, .. } = *node;
        let report = &mut self.report;
        match kind {
            Kind::File => (report.files, report.bytes) = (report.files + 1, report.bytes + size),
            Kind::Directory => report.directories += 1,
            Kind::Symlink => report.symlinks += 1,
        }
        if mode & MODE_TYPE != kind.mode_bits() {
            report.add(Damage::Mode { kind, mode }.at(inode, record.offset));
        }
        let (other, tag) = match kind {
            Kind::Directory => (node.content, CONTENT),
            Kind::File | Kind::Symlink => (node.entries, DIRECTORY_ENTRIES),
        };
        if other.len != 0 {
            report.add(Damage::FieldOfOther { kind, tag }.at(inode, other.offset));
        }
        if kind == Kind::Directory && size != 0 {
            report.add(Damage::Size { size, content: 0 }.at(inode, record.offset));
        }
        if inode == ROOT && kind != Kind::Directory {
            report.add(Damage::Root(kind).at(ROOT, record.offset));
        }
    }

    fn target(&mut self, node: &Node) -> Result<(), Error<D::Error>> {
        let Node { inode, content, record, .. } = *node;
        if content.len == 0 || content.len as usize > PATH {
            self.report.add(Damage::TargetLength(content.len).at(inode, record.offset));
            return Ok(());
        }
        let target = self.bytes(content.offset, content.len)?;
        if target.contains(&0) || core::str::from_utf8(&target).is_err() {
            self.report.add(Damage::TargetText.at(inode, content.offset));
        }
        Ok(())
    }

    /// The entries of every directory.
    fn directories(&mut self) -> Result<(), Error<D::Error>> {
        for inode in 1..=self.geometry.inodes {
            if self.seen(inode).kind != Some(Kind::Directory) {
                continue;
            }
            let Node { entries, .. } = self.node(inode)?;
            let bytes = self.bytes(entries.offset, entries.len)?;
            self.entries(inode, entries.offset, &bytes)?;
        }
        Ok(())
    }

    fn entries(&mut self, by: u32, offset: u64, directory: &[u8]) -> Result<(), Error<D::Error>> {
        let mut names: Vec<(&[u8], u64)> = Vec::new();
        let (mut rest, mut at) = (directory, offset);
        while !rest.is_empty() {
            let Some((header, behind)) = rest.split_first_chunk() else {
                self.report.add(Damage::EntryOverrun.at(by, at));
                break;
            };
            let (len, inode) = pair(*header);
            let Some((name, behind)) = behind.split_at_checked(len as usize) else {
                self.report.add(Damage::EntryOverrun.at(by, at));
                break;
            };
            self.name(by, at, name);
            self.child(by, at, inode);
            names.try_reserve(1).map_err(|_| Error::Memory(directory.len() as u64))?;
            names.push((name, at));
            (rest, at) = (behind, at + ENTRY_HEADER + u64::from(len));
        }
        // By name, and of one name by place: all but the first are too many.
        // A heap is a twentieth of the code of a slice's sort, and never quadratic.
        let names = BinaryHeap::from(names).into_sorted_vec();
        for pair in names.windows(2) {
            if let [(first, _), (second, at)] = pair
                && first == second
                && !first.is_empty()
            {
                let name = alloc::string::String::from_utf8_lossy(second).to_string();
                self.report.add(Damage::NameTwice(name).at(by, *at));
            }
        }
        Ok(())
    }

    fn name(&mut self, by: u32, at: u64, name: &[u8]) {
        let damage = match core::str::from_utf8(name) {
            _ if name.is_empty() || name.len() > NAME => Damage::NameLength(name.len() as u32),
            Ok(text) if directory::is_name(text) => return,
            Ok(text) => Damage::Name(text.to_string()),
            Err(_) => Damage::NameText,
        };
        self.report.add(damage.at(by, at));
    }

    /// An entry of directory `by` names an inode.
    fn child(&mut self, by: u32, at: u64, inode: u32) {
        let Geometry { inodes, .. } = self.geometry;
        if !self.geometry.has(inode) {
            return self.report.add(Damage::NoInode { inode, inodes }.at(by, at));
        }
        if inode == ROOT {
            return self.report.add(Damage::RootNamed.at(by, at));
        }
        let seen = self.seen(inode);
        seen.named = seen.named.saturating_add(1);
        let Seen { parent, kind, .. } = *seen;
        if parent == 0 {
            seen.parent = by;
        } else if kind == Some(Kind::Directory) {
            self.report.add(Damage::TwoParents { inode, parent }.at(by, at));
        }
    }

    /// Whether a path leads from the root to every inode.
    fn paths(&mut self) {
        self.seen(ROOT).reach = Reach::Root;
        for inode in 1..=self.geometry.inodes {
            self.climb(inode);
            let damage = match self.seen(inode).reach {
                Reach::Cycle => Damage::Cycle,
                Reach::Root => continue,
                _ => Damage::Unreachable,
            };
            self.report.add(damage.at(inode, self.geometry.entry(inode)));
        }
    }

    /// Follows the parents of an inode, and notes for all of them where that ends.
    fn climb(&mut self, inode: u32) {
        let mut at = inode;
        let end = loop {
            let seen = self.seen(at);
            match seen.reach {
                Reach::Unknown if seen.parent == 0 => {
                    seen.reach = Reach::Nowhere;
                    break Reach::Nowhere;
                }
                Reach::Unknown => {
                    seen.reach = Reach::Asked;
                    at = seen.parent;
                }
                Reach::Asked => {
                    self.paint(at, Reach::Cycle);
                    break Reach::Nowhere;
                }
                Reach::Root => break Reach::Root,
                Reach::Nowhere | Reach::Cycle => break Reach::Nowhere,
            }
        };
        self.paint(inode, end);
    }

    fn paint(&mut self, inode: u32, reach: Reach) {
        let mut at = inode;
        while self.seen(at).reach == Reach::Asked {
            let seen = self.seen(at);
            seen.reach = reach;
            at = seen.parent;
        }
    }

    /// Whether files and symbolic links say how many entries name them.
    fn links(&mut self) -> Result<(), Error<D::Error>> {
        for inode in 1..=self.geometry.inodes {
            let Seen { kind, one_link, named, .. } = *self.seen(inode);
            let leaf = matches!(kind, Some(Kind::File | Kind::Symlink));
            // One that nothing names was found before.
            if !leaf || named == 0 || (named == 1 && one_link) {
                continue;
            }
            let Node { nlink, record, .. } = self.node(inode)?;
            let enough = named == u8::MAX && nlink >= named.into();
            if nlink != u32::from(named) && !enough {
                let damage = Damage::Links { says: nlink, found: named.into() };
                self.report.add(damage.at(inode, record.offset));
            }
        }
        Ok(())
    }

    fn bytes(&mut self, offset: u64, len: u32) -> Result<Vec<u8>, Error<D::Error>> {
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(len as usize).map_err(|_| Error::Memory(len.into()))?;
        if len != 0 {
            self.cache.pieces(offset, len.into(), |piece| bytes.extend_from_slice(piece))?;
        }
        Ok(bytes)
    }
}
