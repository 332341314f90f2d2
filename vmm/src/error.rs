//! What can keep the host from running a machine.

use std::{io, path::PathBuf};

use eclipse_devices::{
    ConfigError,
    disk::{OpenError, eclipsefs},
    fault::Impossible,
};
use eclipse_trace::{import::qemu, jsonl};

use crate::{boot::elf, memory::SizeError};

/// Why a machine could not be built, or could not go on.
///
/// Only the host fails with an error: what a guest does wrong is an
/// [`Outcome`](crate::Outcome). The text names the thing; the sources, joined
/// by `: `, say why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `/dev/kvm` does not exist.
    #[error(
        "{}: there is no KVM here; load the module kvm_intel or kvm_amd, or enable \
         (nested) virtualization",
        path.display()
    )]
    NoKvm {
        /// The device that was looked for.
        path: PathBuf,
    },
    /// `/dev/kvm` cannot be opened.
    #[error(
        "{}: cannot be opened; being in the group kvm usually gives the right to",
        path.display()
    )]
    OpenKvm {
        /// The device that was to be opened.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// What was opened as `/dev/kvm` is something else.
    #[error("{}: is not KVM's device; leave out --kvm to use /dev/kvm", path.display())]
    NotKvm {
        /// What was opened.
        path: PathBuf,
    },
    /// This KVM is too old for the machine.
    #[error("KVM here lacks {capability}; a newer Linux has it")]
    Lacks {
        /// The capability's name.
        capability: &'static str,
    },
    /// A fault of the schedule can never strike.
    #[error("fault {number} of the schedule")]
    Fault {
        /// Its place in the schedule, from 0.
        number: usize,
        /// Why.
        #[source]
        why: Impossible,
    },
    /// A request to KVM failed.
    #[error("KVM could not {what}")]
    Kvm {
        /// What was asked.
        what: &'static str,
        /// The answer.
        source: io::Error,
    },
    /// RAM of this size is not possible.
    #[error("memory")]
    MemorySize(#[source] SizeError),
    /// The host gave no address space for the guest's RAM.
    #[error("{} MiB of memory cannot be reserved; ask for less", size >> 20)]
    Memory {
        /// Bytes.
        size: u64,
        /// The answer.
        source: vm_memory::mmap::FromRangesError,
    },
    /// A file cannot be opened or read.
    #[error("{}: cannot be read; name a readable file", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("{}: cannot be written; name a file in a writable directory", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The answer.
        source: io::Error,
    },
    /// Not a file with contents of its own.
    #[error("{}: is {is}; name a file", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
        /// What it is, with an article.
        is: &'static str,
    },
    /// A file that stands in the way.
    #[error("{}: exists; --force replaces it", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The image would be in the tree that it is to hold.
    #[error(
        "{}: would be part of the tree; write it to a place outside of {}",
        path.display(), directory.display()
    )]
    Inside {
        /// The image.
        path: PathBuf,
        /// The root of the tree.
        directory: PathBuf,
    },
    /// A node that an image has no place for.
    #[error(
        "{}: is no directory, file or symbolic link; take it out of the tree",
        path.display()
    )]
    Special {
        /// The node.
        path: PathBuf,
    },
    /// A name or the target of a symbolic link is not UTF-8.
    #[error("{}: its name or its target is not UTF-8; rename it", path.display())]
    NotText {
        /// The node.
        path: PathBuf,
    },
    /// A node that an image cannot hold.
    #[error("{}: cannot be in an image", path.display())]
    Tree {
        /// The node.
        path: PathBuf,
        /// Why.
        source: eclipsefs::Error,
    },
    /// A file did not stay as it was.
    #[error("{}: changed while it was read; try again when it is at rest", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The tree does not fit.
    #[error("the tree takes {needed} bytes; --size gives it {size}")]
    ImageSize {
        /// Bytes that the image may have.
        size: u64,
        /// Bytes that it would have.
        needed: u64,
    },
    /// What is on a disk image cannot be checked.
    #[error("{}: cannot be checked", path.display())]
    FileSystem {
        /// The image.
        path: PathBuf,
        /// Why.
        source: eclipse_kernel::eclipsefs::Error<io::Error>,
    },
    /// The kernel is not one that can be booted.
    #[error("{name}: cannot be booted")]
    Kernel {
        /// The kernel's file.
        name: String,
        /// Why.
        source: elf::ImageError,
    },
    /// The command line does not fit.
    #[error("the command line has {len} bytes; {max} are possible, leave something out")]
    CommandLineTooLong {
        /// Bytes that it has.
        len: usize,
        /// Bytes that it may have.
        max: usize,
    },
    /// The command line holds something that is not printable ASCII.
    #[error("the command line holds {found:?}; write it in printable ASCII")]
    CommandLineText {
        /// The first such character.
        found: char,
    },
    /// The disk cannot be used.
    #[error(transparent)]
    Disk(#[from] OpenError),
    /// The devices cannot be put together so.
    #[error(transparent)]
    Devices(#[from] ConfigError),
    /// A transcript cannot be understood.
    #[error("{} {why}{}", path.display(), way_out(why))]
    Transcript {
        /// The transcript's file.
        path: PathBuf,
        /// Why.
        why: jsonl::ReadError,
    },
    /// A log of QEMU's trace is no record of what a driver did.
    #[error("{}", path.display())]
    QemuLog {
        /// The log.
        path: PathBuf,
        /// Why.
        #[source]
        why: qemu::Error,
    },
    /// The host could not watch the machine run.
    #[error("the host could not {what}")]
    Host {
        /// What was tried.
        what: &'static str,
        /// The answer.
        source: io::Error,
    },
    /// QEMU is not installed.
    #[error(
        "qemu-system-x86_64: not found on PATH; install the package qemu-system-x86 \
         (Debian, Ubuntu) or qemu-system-x86-core (Fedora)"
    )]
    NoQemu,
    /// QEMU did not run the guest.
    #[error("qemu-system-x86_64: did not run the guest: {why}")]
    Qemu {
        /// What it said.
        why: String,
    },
}

impl Error {
    /// Makes the error of a request to KVM: `.map_err(Error::kvm("create a vCPU"))`.
    pub(crate) fn kvm(what: &'static str) -> impl FnOnce(kvm_ioctls::Error) -> Self {
        move |source| Error::Kvm { what, source: source.into() }
    }

    /// Makes the error of devices that cannot be put together.
    pub(crate) fn devices(error: ConfigError) -> Self {
        match error {
            ConfigError::Fault { number, why } => Error::Fault { number, why },
            other => Error::Devices(other),
        }
    }

    /// Makes the error of a request to the host's kernel.
    pub(crate) fn host<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Error::Host { what, source: source.into() }
    }

    /// The error and its causes in one line.
    pub fn sentence(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(source) = cause {
            text.push_str(": ");
            text.push_str(&source.to_string());
            cause = source.source();
        }
        text
    }
}

/// What to do about a file that is no transcript, where the reason does not say it.
fn way_out(why: &jsonl::ReadError) -> &'static str {
    match why {
        jsonl::ReadError::Truncated(_) => "",
        jsonl::ReadError::Io(_) => "; name a readable file",
        _ => "; `run --trace FILE` makes one",
    }
}
