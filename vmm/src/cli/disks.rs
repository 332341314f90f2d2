//! The disks of a machine, as `run` and `qemu` take them.

use std::str::FromStr;

use clap::Args;
use eclipse_devices::{Preset, disk::DiskSpec};
use eclipse_trace::Bdf;

/// Which disks there are, and behind which devices.
#[derive(Debug, Args)]
pub(super) struct DisksArgs {
    /// The machine's devices: modern, transitional, legacy, packed, bridge
    #[arg(long, value_name = "NAME", default_value = "modern")]
    pub preset: Preset,
    /// Leave out the preset's block device
    #[arg(long, conflicts_with = "disk")]
    pub no_disk: bool,
    /// Another virtio block device, at a place on bus 0 or 1; may be given several times
    #[arg(long, value_name = "BDF=PATH[,MODE]")]
    pub block: Vec<Block>,
    /// A disk on the IDE controller
    #[arg(long, value_name = "PATH[,MODE]")]
    pub ide: Option<DiskSpec>,
}

/// A block device: where it is, and its disk.
#[derive(Clone, Debug)]
pub(super) struct Block {
    pub function: Bdf,
    pub disk: DiskSpec,
}

impl FromStr for Block {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (function, disk) =
            text.split_once('=').ok_or("write a place and a disk, such as 00:06.0=disk.img")?;
        let function = function.parse().map_err(|error| format!("{error}"))?;
        let disk = disk.parse().map_err(|error| format!("{error}"))?;
        Ok(Self { function, disk })
    }
}
