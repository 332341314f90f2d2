//! The devices of a machine, as `run` takes them.

use clap::{Args, ValueEnum};
use eclipse_devices::{
    BlockDevice, Completion, PlatformConfig,
    disk::{self, Disk},
    pci::Placement,
    virtio::{Features, Profile},
};

use super::disks::DisksArgs;
use crate::Error;

/// Which devices there are, and how they behave.
#[derive(Debug, Args)]
pub(super) struct DevicesArgs {
    #[command(flatten)]
    pub disks: DisksArgs,
    /// How the guest finds the BARs: assigned, or unassigned as at power-on
    #[arg(long, value_name = "HOW", default_value = "assigned")]
    bars: Bars,
    /// Leave the devices as a loader does that has booted from them: decode on, status 0x0F,
    /// queues enabled
    #[arg(long, conflicts_with = "bars")]
    warm: bool,
    /// What a broken rule leads to: strict, as the specification says, or lenient, as in QEMU
    #[arg(long, value_name = "NAME", default_value = "strict")]
    profile: ProfileName,
    /// Features to offer beside those of the preset, such as EVENT_IDX+INDIRECT_DESC
    #[arg(long, value_name = "FEATURES", default_value = "", hide_default_value = true, value_parser = features)]
    offer: Features,
    /// Features not to offer, such as FLUSH
    #[arg(long, value_name = "FEATURES", default_value = "", hide_default_value = true, value_parser = features)]
    withhold: Features,
    /// Queues of each block device; with more than one, MQ is offered
    #[arg(long, value_name = "COUNT", default_value = "1", value_parser = clap::value_parser!(u16).range(1..=64))]
    queues: u16,
    /// When requests are completed: immediate, after:N (further accesses), halt (when the guest
    /// halts), batch:K, reverse or reverse:K, shuffle:SEED or shuffle:SEED:K
    ///
    /// What still waits when the guest halts is completed then.
    #[arg(long, value_name = "SCHEDULE", default_value = "immediate")]
    completion: Completion,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Bars {
    Assigned,
    Unassigned,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ProfileName {
    Strict,
    Lenient,
}

fn features(text: &str) -> Result<Features, String> {
    if text.is_empty() {
        return Ok(Features::empty());
    }
    text.parse().map_err(|error| format!("{error}"))
}

impl DevicesArgs {
    /// The devices, with `disk` behind the preset's block device.
    pub fn config(&self, disk: Box<dyn Disk>) -> Result<PlatformConfig, Error> {
        let mut config = self.disks.preset.config(disk);
        if self.disks.no_disk {
            config.blocks.clear();
        }
        for block in &self.disks.block {
            let device = BlockDevice::new(disk::open(&block.disk)?);
            config.blocks.push(BlockDevice { function: block.function, ..device });
        }
        for block in &mut config.blocks {
            block.virtio.offer |= self.offer;
            block.virtio.withhold = self.withhold;
            block.virtio.profile = match self.profile {
                ProfileName::Strict => Profile::Strict,
                ProfileName::Lenient => Profile::Lenient,
            };
            block.blk.features |= self.offer;
            block.blk.lenient = matches!(self.profile, ProfileName::Lenient);
            block.blk.queues = self.queues;
            if self.queues > 1 {
                block.blk.features |= Features::MQ;
                block.virtio.vectors = self.queues + 1;
            }
            block.completion = self.completion;
        }
        config.placement = match (self.warm, self.bars) {
            (true, _) => Placement::Warm,
            (false, Bars::Assigned) => Placement::Assigned,
            (false, Bars::Unassigned) => Placement::Unassigned,
        };
        config.ata = self.disks.ide.as_ref().map(disk::open).transpose()?;
        Ok(config)
    }
}
