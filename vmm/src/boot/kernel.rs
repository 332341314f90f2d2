use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, Cursor},
    path::Path,
};

use linux_loader::loader::{self, KernelLoader};
use object::read::{ReadCache, ReadRef};
use vm_memory::GuestMemoryMmap;

use super::elf::{self, Image, ImageError};
use crate::{Error, image};

/// A guest's kernel: an ELF image, in memory or in a file.
#[derive(Debug)]
pub struct Kernel {
    name: String,
    source: Source,
    /// The same image with line tables, where they are not in it.
    lines: Option<&'static [u8]>,
}

#[derive(Debug)]
enum Source {
    Bytes(Cow<'static, [u8]>),
    File(File),
}

/// Something to be done with a kernel's bytes, wherever they are.
trait Reading {
    type Output;

    fn read<'d>(self, data: impl ReadRef<'d>) -> Self::Output;
}

impl Kernel {
    /// The kernel that is part of this program.
    pub fn embedded() -> Self {
        let kernel = Self::from_bytes("the embedded kernel", image::IMAGE);
        Self { lines: Some(image::LINES), ..kernel }
    }

    /// The same with drivers that make the mistake that the command line names.
    pub fn mutants() -> Self {
        let kernel = Self::from_bytes("the embedded kernel of mutants", image::MUTANTS);
        Self { lines: Some(image::MUTANTS_LINES), ..kernel }
    }

    /// A kernel in memory, with a name for messages.
    pub fn from_bytes(name: &str, bytes: impl Into<Cow<'static, [u8]>>) -> Self {
        Self { name: name.into(), source: Source::Bytes(bytes.into()), lines: None }
    }

    /// A kernel in a file, which is read piece by piece when the machine is built.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.into(), source };
        let metadata = fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            let is = if metadata.is_dir() { "a directory" } else { "not a regular file" };
            return Err(Error::NotAFile { path: path.into(), is });
        }
        let file = File::open(path).map_err(failed)?;
        Ok(Self { name: path.display().to_string(), source: Source::File(file), lines: None })
    }

    /// The kernel's name in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Checks the image against a machine with `memory` bytes of RAM.
    pub(crate) fn check(&self, memory: u64) -> Result<Image, Error> {
        struct Check(u64);
        impl Reading for Check {
            type Output = Result<Image, ImageError>;
            fn read<'d>(self, data: impl ReadRef<'d>) -> Self::Output {
                elf::check(data, self.0)
            }
        }
        self.read(Check(memory)).map_err(ImageError::Read).flatten().map_err(|e| self.error(e))
    }

    /// Copies the segments of a checked image into RAM.
    pub(crate) fn load(&self, memory: &GuestMemoryMmap<()>) -> Result<(), Error> {
        let loaded = match &self.source {
            Source::Bytes(bytes) => {
                loader::Elf::load(memory, None, &mut Cursor::new(bytes.as_ref()), None)
            }
            Source::File(file) => {
                let mut file = file.try_clone().map_err(|e| self.error(ImageError::Read(e)))?;
                loader::Elf::load(memory, None, &mut file, None)
            }
        };
        loaded.map(drop).map_err(|e| self.error(ImageError::Load(e)))
    }

    /// The symbols for a post-mortem; none when the image has none.
    pub(crate) fn symbols(&self) -> crate::symbols::Symbols {
        struct Read;
        impl Reading for Read {
            type Output = crate::symbols::Symbols;
            fn read<'d>(self, data: impl ReadRef<'d>) -> Self::Output {
                crate::symbols::Symbols::read(data)
            }
        }
        self.read(Read).unwrap_or_default()
    }

    /// The kernel's functions and source lines, by the addresses of its instructions.
    pub fn source(&self) -> crate::Source {
        struct Read;
        impl Reading for Read {
            type Output = crate::Source;
            fn read<'d>(self, data: impl ReadRef<'d>) -> Self::Output {
                crate::Source::read(data)
            }
        }
        match self.lines {
            Some(lines) => Read.read(lines),
            None => self.read(Read).unwrap_or_default(),
        }
    }

    fn read<T: Reading>(&self, reading: T) -> io::Result<T::Output> {
        match &self.source {
            Source::Bytes(bytes) => Ok(reading.read(bytes.as_ref())),
            Source::File(file) => {
                let cache = ReadCache::new(file.try_clone()?);
                Ok(reading.read(&cache))
            }
        }
    }

    fn error(&self, source: ImageError) -> Error {
        Error::Kernel { name: self.name.clone(), source }
    }
}
