use std::{
    fs,
    io::{self, BufWriter, IsTerminal, Write},
    path::{Path, PathBuf},
};

use clap::Args;
use eclipse_devices::disk::eclipsefs::{Directory, WriteError};

use super::{Failure, print, replace::Replacement};
use crate::{Error, Signals};

/// Bytes that an image is a multiple of, so that any disk can hold it.
const BLOCK: u64 = 4096;
/// Bytes between two lines of progress.
const PROGRESS: u64 = 16 << 20;

/// Which tree, and where its image goes.
#[derive(Debug, Args)]
pub(super) struct MkfsArgs {
    /// The directory whose tree the image holds
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The file to write
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// Bytes of the image, with free space behind the tree: a number and K, M or G
    /// [default: as much as the tree takes]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    size: Option<u64>,
    /// Replace the file if there is one
    #[arg(long)]
    force: bool,
}

pub(super) fn mkfs(args: &MkfsArgs) -> Result<u8, Failure> {
    let _signals = Signals::catch().map_err(Error::host("catch signals"))?;
    let MkfsArgs { directory, image, .. } = args;
    if !args.force && image.symlink_metadata().is_ok() {
        return Err(Error::Exists { path: image.into() }.into());
    }
    check_outside(image, directory)?;
    let tree = read_tree(directory)?;
    let needed = tree.image_len().map_err(refused(directory))?;
    let size = args.size.unwrap_or(needed.next_multiple_of(BLOCK));
    if size < needed {
        return Err(Error::ImageSize { size, needed }.into());
    }
    let file = Progress { out: Replacement::new(image)?, written: 0, shown: 0 };
    let mut out = BufWriter::new(file);
    tree.write_image(&mut out).map_err(|error| match error {
        WriteError::Tree(why) => refused(directory)(why),
        WriteError::Read { path, source } => Error::Read { path, source },
        WriteError::Changed { path } => Error::Changed { path },
        WriteError::Write(source) => Error::Write { path: image.into(), source },
    })?;
    let failed = |source| Error::Write { path: image.into(), source };
    let progress = out.into_inner().map_err(|error| failed(error.into()))?;
    let Progress { out: mut file, shown, .. } = progress;
    if shown != 0 {
        print::to_stderr("\n");
    }
    io::copy(&mut io::Read::take(io::repeat(0), size - needed), &mut file).map_err(failed)?;
    file.finish()?;
    Ok(0)
}

/// The image would be part of the tree that it holds.
fn check_outside(image: &Path, directory: &Path) -> Result<(), Error> {
    let tree = fs::canonicalize(directory)
        .map_err(|source| Error::Read { path: directory.into(), source })?;
    let parent = match image.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    // A parent that is not there will be said when the image is begun.
    let parent = fs::canonicalize(parent).unwrap_or_default();
    let place = fs::canonicalize(image).unwrap_or_default();
    if parent.starts_with(&tree) || place.starts_with(&tree) {
        return Err(Error::Inside { path: image.into(), directory: directory.into() });
    }
    Ok(())
}

/// The tree below a directory: symbolic links stay links, contents are read when they are written.
fn read_tree(path: &Path) -> Result<Directory, Error> {
    let unreadable = |source| Error::Read { path: path.into(), source };
    let mut tree = Directory::new();
    let entries = fs::read_dir(path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut entries = entries.map_err(unreadable)?;
    // Of several things that are wrong the same one is said each time.
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let metadata = entry.metadata();
        let metadata = metadata.map_err(|source| Error::Read { path: path.clone(), source })?;
        let name = entry.file_name();
        let name = name.to_str().ok_or_else(|| Error::NotText { path: path.clone() })?;
        let kind = metadata.file_type();
        let added = if kind.is_dir() {
            tree.directory(name, read_tree(&path)?)
        } else if kind.is_file() {
            // Said now, and not when half of the image is written.
            let opened = fs::File::open(&path);
            opened.map_err(|source| Error::Read { path: path.clone(), source })?;
            tree.host_file(name, &path, metadata.len())
        } else if kind.is_symlink() {
            let target = fs::read_link(&path);
            let target = target.map_err(|source| Error::Read { path: path.clone(), source })?;
            let text = target.to_str().ok_or_else(|| Error::NotText { path: path.clone() })?;
            tree.symlink(name, text)
        } else {
            return Err(Error::Special { path });
        };
        tree = added.map_err(refused(&path))?;
    }
    Ok(tree)
}

fn refused(path: &Path) -> impl FnOnce(eclipse_devices::disk::eclipsefs::Error) -> Error {
    let path = path.into();
    move |source| Error::Tree { path, source }
}

/// Says how far the image is, where somebody watches and it takes a while.
struct Progress {
    out: Replacement,
    written: u64,
    /// What was written when it was last said.
    shown: u64,
}

impl Write for Progress {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.written += count as u64;
        if self.written - self.shown >= PROGRESS && io::stderr().is_terminal() {
            self.shown = self.written;
            print::to_stderr(&format!("\r{} MiB written", self.written >> 20));
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// A number of bytes, with a unit or without.
fn parse_size(text: &str) -> Result<u64, String> {
    let (digits, unit) = match text.char_indices().last() {
        Some((at, 'K' | 'k')) => (&text[..at], 1 << 10),
        Some((at, 'M' | 'm')) => (&text[..at], 1 << 20),
        Some((at, 'G' | 'g')) => (&text[..at], 1 << 30),
        _ => (text, 1),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err("write a number of bytes, or one and K, M or G, such as 64M".into());
    }
    let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
    match size {
        Some(size) if size.is_multiple_of(512) => Ok(size),
        Some(_) => Err("a disk is a multiple of 512 bytes".into()),
        None => Err("that is more than a disk can have".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_a_number_of_whole_sectors() {
        assert_eq!(parse_size("4096"), Ok(4096));
        assert_eq!(parse_size("3k"), Ok(3072));
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("2G"), Ok(2 << 30));
        for bad in ["", "M", "-1", "4095", "1.5M", "99999999999999999999", "17179869184G", "é"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
