use std::{fs::File, io::BufReader, path::Path};

use eclipse_trace::jsonl::{self, Recording};

use crate::Error;

/// Opens a file that is to be read.
pub(super) fn open(path: &Path) -> Result<BufReader<File>, Error> {
    let file = File::open(path).map_err(|source| Error::Read { path: path.into(), source })?;
    if file.metadata().is_ok_and(|metadata| metadata.is_dir()) {
        return Err(Error::NotAFile { path: path.into(), is: "a directory" });
    }
    Ok(BufReader::new(file))
}

/// Reads a whole transcript.
pub(super) fn read(path: &Path) -> Result<Recording, Error> {
    jsonl::read(open(path)?).map_err(|why| Error::Transcript { path: path.into(), why })
}
