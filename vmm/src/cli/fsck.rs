use std::{
    fmt::Write,
    fs::File,
    io::{self, Seek, SeekFrom},
    os::unix::fs::FileExt,
    path::PathBuf,
};

use clap::Args;
use eclipse_kernel::{
    block::{BLOCK_SIZE, Block, BlockDevice},
    eclipsefs::{self, Report},
};
use serde_json::json;

use super::{Failure, print};
use crate::Error;

/// Exit code: the file system is damaged.
const DAMAGED: u8 = 1;

/// Which image.
#[derive(Debug, Args)]
pub(super) struct FsckArgs {
    /// The disk image; it is only read
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn fsck(args: &FsckArgs) -> Result<u8, Failure> {
    let path = &args.image;
    let device = Image::open(path).map_err(|source| Error::Read { path: path.into(), source })?;
    let report = eclipsefs::fsck(device);
    let report = report.map_err(|source| Error::FileSystem { path: path.into(), source })?;
    let text = if args.json { json(&report) } else { text(&report) };
    print::to_stdout(&text)?;
    Ok(if report.is_clean() { 0 } else { DAMAGED })
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        // Writing to a String does not fail.
        let _ = writeln!(text, "{finding}");
    }
    let Report { inodes, directories, files, symlinks, bytes, more, .. } = report;
    let _ = writeln!(
        text,
        "inodes {inodes}: directories {directories}, files {files} with {bytes} bytes, \
         symbolic links {symlinks}"
    );
    let _ = match report.findings.len() as u64 + more {
        0 => writeln!(text, "verdict: clean"),
        count if *more == 0 => writeln!(text, "verdict: damaged, findings {count}"),
        count => writeln!(text, "verdict: damaged, findings {count}, of which {more} not shown"),
    };
    text
}

fn json(report: &Report) -> String {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "inode": finding.inode,
                "offset": finding.offset,
                "damage": finding.damage.name(),
                "what": finding.damage.to_string(),
            })
        })
        .collect();
    let object = json!({
        "clean": report.is_clean(),
        "inodes": report.inodes,
        "directories": report.directories,
        "files": report.files,
        "symlinks": report.symlinks,
        "bytes": report.bytes,
        "findings": findings,
        "more": report.more,
    });
    format!("{object}\n")
}

/// A disk image as the guest's reader wants it.
struct Image {
    file: File,
    bytes: u64,
}

impl Image {
    fn open(path: &PathBuf) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        // A block device has no length, but an end.
        let bytes = file.seek(SeekFrom::End(0))?;
        Ok(Self { file, bytes })
    }
}

impl BlockDevice for Image {
    type Error = io::Error;

    fn blocks(&self) -> u64 {
        self.bytes / BLOCK_SIZE as u64
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn read_only(&self) -> bool {
        true
    }

    fn read_block(&mut self, block: u64, into: &mut Block) -> io::Result<()> {
        let start = block.saturating_mul(BLOCK_SIZE as u64);
        let there = self.bytes.saturating_sub(start).min(BLOCK_SIZE as u64) as usize;
        if there == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(&mut into[..there], start)?;
        into[there..].fill(0);
        Ok(())
    }

    fn write_block(&mut self, _block: u64, _data: &Block) -> io::Result<()> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
