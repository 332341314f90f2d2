//! Why a disk could not be opened.

use std::io;
use std::path::PathBuf;

/// Why a disk could not be opened: one sentence that names the image and the way out.
///
/// Where the host gave a reason, it is the error's source.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such file.
    #[error(
        "disk image {} does not exist; check the path, or name no disk to use the embedded one",
        path.display()
    )]
    Missing {
        /// What the user named.
        path: PathBuf,
    },
    /// It is a directory.
    #[error("{} is a directory, not a disk image; name a file in it", path.display())]
    Directory {
        /// What the user named.
        path: PathBuf,
    },
    /// It is a pipe, a socket or a character device, none of which has a size.
    #[error(
        "{} is neither a file nor a block device; copy its contents to a file and name that",
        path.display()
    )]
    NotADisk {
        /// What the user named.
        path: PathBuf,
    },
    /// This user may not read it.
    #[error(
        "disk image {} may not be read by this user; change its permissions, or name a copy",
        path.display()
    )]
    Unreadable {
        /// What the user named.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// It was asked for with `,write`, and this user may not write to it.
    #[error(
        "disk image {} may not be written by this user; change its permissions, or leave out \
         `,write` to keep the guest's writes in memory",
        path.display()
    )]
    Unwritable {
        /// What the user named.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
    /// It has no byte.
    #[error(
        "disk image {0} is empty; name one with contents, or give a file a size, for example by \
         `truncate -s 1M {0}`",
        path.display()
    )]
    Empty {
        /// What the user named.
        path: PathBuf,
    },
    /// Its last sector is not whole.
    #[error(
        "disk image {0} has {size} bytes, which is not a multiple of 512; fill its last sector, \
         for example by `truncate -s %512 {0}`",
        path.display()
    )]
    PartialSector {
        /// What the user named.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The host could not open it for another reason.
    #[error(
        "disk image {} could not be opened; check the path, or name no disk to use the embedded one",
        path.display()
    )]
    Host {
        /// What the user named.
        path: PathBuf,
        /// What the host said.
        source: io::Error,
    },
}
