//! Scenarios about the file system on the system disk.

use alloc::{boxed::Box, format, string::String, vec};

use super::{Error, Run, compare, fill, sector_of};
use crate::{
    block::{self, BlockDevice},
    disk::{AnyDisk, Disk},
    eclipsefs::{EclipseFs, Kind, Volume, fsck},
    hal::Hal,
    log,
    mark::Phase,
};

/// The file that `boot` prints.
pub(super) const PATH: &str = "/etc/motd";

/// Mounts the system disk, prints a file, and tries a write.
pub(super) fn boot<H: Hal>(run: &Run<'_, H>) -> Result<(), Error> {
    with_system_disk(run, |disk| {
        print_file(run.hal, disk, run.asked.path.unwrap_or(PATH))?;
        try_scratch_block(run.hal, disk)
    })
}

/// Finds the system disk, uses it, and lets it go.
///
/// A boot from a fall-back is no success where something that is there failed.
fn with_system_disk<H: Hal>(
    run: &Run<'_, H>,
    work: impl FnOnce(&mut Disk<H>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut found = super::system_disk(run.hal, run.asked)?;
    run.mark(Phase::Work);
    work(&mut found.disk)?;
    run.mark(Phase::Close);
    found.disk.close()?;
    match found.failures.into_iter().next() {
        Some(failure) => Err(failure.into()),
        None => Ok(()),
    }
}

fn print_file<H: Hal>(hal: &H, disk: &mut Disk<H>, path: &str) -> Result<(), Error> {
    log!(*hal, "[FS] Attempting to mount eclipsefs...");
    let volume = Volume::open(Box::new(disk) as AnyDisk<'_>)?;
    log!(*hal, "[FS] EclipseFS signature found");
    let (major, minor) = volume.superblock().version();
    log!(*hal, "[FS] Version: {major}.{minor}");
    let mut fs = volume.mount()?;
    log!(*hal, "[FS] Filesystem mounted successfully");
    let node = fs.lookup(path)?;
    let data = fs.read_file(&node)?;
    log!(*hal, "[FS] {path}: {} bytes", data.len());
    for line in String::from_utf8_lossy(&data).lines() {
        log!(*hal, "{line}");
    }
    Ok(())
}

/// Writes the disk's last block, reads it back, and puts the old content back.
fn try_scratch_block<H: Hal>(hal: &H, disk: &mut Disk<H>) -> Result<(), Error> {
    let tag = disk.tag();
    if disk.read_only() {
        log!(*hal, "[{tag}] Scratch block skipped: the disk is read-only");
        return Ok(());
    }
    let block = disk.blocks().checked_sub(1).ok_or(Error::TooSmall(0))?;
    let (mut old, mut pattern, mut back) = (block::zeroed(), block::zeroed(), block::zeroed());
    disk.read_block(block, &mut old)?;
    fill(&mut *pattern, sector_of(block));
    disk.write_block(block, &pattern)?;
    disk.flush()?;
    disk.read_block(block, &mut back)?;
    // The old content goes back whatever came out.
    disk.write_block(block, &old)?;
    disk.flush()?;
    compare(block, &*pattern, &*back)?;
    log!(*hal, "[{tag}] Scratch block {block}: written, flushed, read back, restored");
    Ok(())
}

/// The most directories below each other that are listed: a damaged tree may go round.
const DEPTH: usize = 32;
/// The most lines of a listing.
const LINES: usize = 1000;

/// Lists a directory and what is below it.
pub(super) fn list<H: Hal>(run: &Run<'_, H>) -> Result<(), Error> {
    with_system_disk(run, |disk| {
        let mut fs = EclipseFs::mount(Box::new(disk) as AnyDisk<'_>)?;
        let path = run.asked.path.unwrap_or("/");
        let root = fs.lookup(path)?;
        let mut lines = 0;
        let mut open = vec![(String::from(path.trim_end_matches('/')), root)];
        while let Some((path, directory)) = open.pop() {
            for entry in fs.read_directory(&directory)? {
                let node = fs.node(entry.inode)?;
                let path = format!("{path}/{}", entry.name);
                lines += 1;
                if lines > LINES {
                    log!(*run.hal, "[FS] ... and more");
                    return Ok(());
                }
                log!(*run.hal, "[FS] {:06o} {:>8} {path}", node.mode, node.size);
                if node.kind == Kind::Directory && path.split('/').count() <= DEPTH {
                    open.push((path, node));
                }
            }
        }
        log!(*run.hal, "[FS] {lines} name(s)");
        Ok(())
    })
}

/// Checks the file system.
pub(super) fn check<H: Hal>(run: &Run<'_, H>) -> Result<(), Error> {
    with_system_disk(run, |disk| {
        let report = fsck(Box::new(disk) as AnyDisk<'_>)?;
        for finding in &report.findings {
            log!(*run.hal, "[FS] {finding}");
        }
        let found = report.findings.len() as u64 + report.more;
        if let Some(first) = report.findings.into_iter().next() {
            return Err(Error::Damaged(found, first));
        }
        log!(
            *run.hal,
            "[FS] Clean: {} directories, {} files, {} links, {} bytes",
            report.directories,
            report.files,
            report.symlinks,
            report.bytes
        );
        Ok(())
    })
}
