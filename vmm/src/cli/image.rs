use std::path::PathBuf;

use clap::Args;

use super::{Failure, replace};
use crate::{Error, Signals};

/// Where the guest image goes.
#[derive(Debug, Args)]
pub(super) struct ImageArgs {
    /// The file to write; what is there is replaced
    #[arg(value_name = "PATH")]
    path: PathBuf,
}

pub(super) fn image(args: &ImageArgs) -> Result<u8, Failure> {
    let _signals = Signals::catch().map_err(Error::host("catch signals"))?;
    replace::write(&args.path, crate::image::IMAGE)?;
    Ok(0)
}
