use std::{
    ffi::OsString,
    fs::{self, OpenOptions, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::{Builder, NamedTempFile};

use crate::Error;

/// A file in the making: it takes its place when it is whole, and leaves nothing if it never is.
#[derive(Debug)]
pub(super) struct Replacement {
    file: NamedTempFile,
    /// The user's name for it.
    named: PathBuf,
    /// Where it goes: what `named` leads to.
    place: PathBuf,
}

impl Replacement {
    /// Begins a file that will stand at `path`, in place of what may be there.
    pub fn new(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Write { path: path.into(), source };
        let place = place(path)?;
        let name = place.file_name().ok_or(Error::NotAFile { path: path.into(), is: "no file" })?;
        // A bare name has the empty path as its parent.
        let directory = match place.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let mut prefix = OsString::from(".");
        prefix.push(name);
        let file = Builder::new()
            .prefix(&prefix)
            .suffix(".part")
            // As for any new file: the umask takes from it.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(directory)
            .map_err(failed)?;
        Ok(Self { file, named: path.into(), place })
    }

    /// Puts the file in its place.
    pub fn finish(self) -> Result<(), Error> {
        let Self { file, named, place } = self;
        let written = file.persist(place);
        written.map(drop).map_err(|error| Error::Write { path: named, source: error.error })
    }
}

impl Write for Replacement {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes a whole file in one step.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let mut file = Replacement::new(path)?;
    file.write_all(bytes).map_err(|source| Error::Write { path: path.into(), source })?;
    file.finish()
}

/// Where a file at `path` goes: through symbolic links, and never in place of anything that is
/// not a file, such as `/dev/null`.
fn place(path: &Path) -> Result<PathBuf, Error> {
    let failed = |source| Error::Write { path: path.into(), source };
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path.into()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.is_file() {
        let is = if metadata.is_dir() { "a directory" } else { "not a regular file" };
        return Err(Error::NotAFile { path: path.into(), is });
    }
    // A file that may not be written is not to be replaced either.
    OpenOptions::new().write(true).open(path).map_err(failed)?;
    fs::canonicalize(path).map_err(failed)
}
