use std::path::PathBuf;

use clap::Args;
use eclipse_devices::disk::default_image;

use super::{Failure, replace};
use crate::{Error, Signals};

/// Where the default disk goes.
#[derive(Debug, Args)]
pub(super) struct DiskArgs {
    /// The file to write; what is there is replaced
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

pub(super) fn disk(args: &DiskArgs) -> Result<u8, Failure> {
    let _signals = Signals::catch().map_err(Error::host("catch signals"))?;
    replace::write(&args.path, &default_image())?;
    Ok(0)
}
