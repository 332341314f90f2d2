use std::fmt;

use eclipse_devices::{
    Completion, PlatformConfig, Preset,
    disk::{MemoryDisk, default_image},
    fault::{self, Fault, catalogue::NameError},
    pci::Placement,
    virtio::{Features, Profile},
};
use eclipse_trace::Bdf;

/// How the machine of a row differs from the ordinary one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Devices {
    /// Which machine.
    pub preset: Preset,
    /// What the block device offers beside its ordinary features.
    pub offer: Features,
    /// The most bytes of a data buffer, with SIZE_MAX.
    pub size_max: u32,
    /// The size of its queues.
    pub queue_size: u16,
    /// How many queues it has.
    pub queues: u16,
    /// Whether it carries out what stock QEMU does.
    pub lenient: bool,
    /// Whether it is as a loader leaves it that has booted from it.
    pub warm: bool,
    /// Whether nobody has placed its BARs.
    pub unassigned: bool,
    /// When it completes requests.
    pub completion: Completion,
}

impl Devices {
    /// The ordinary machine.
    pub const MODERN: Self = Self {
        preset: Preset::Modern,
        offer: Features::empty(),
        size_max: 1 << 20,
        queue_size: 256,
        queues: 1,
        lenient: false,
        warm: false,
        unassigned: false,
        completion: Completion::Immediate,
    };

    /// A device that goes on with what it could refuse.
    pub const LENIENT: Self = Self { lenient: true, ..Self::MODERN };

    /// The devices, with the default disk.
    pub fn config(&self) -> PlatformConfig {
        let mut config = self.preset.config(Box::new(MemoryDisk::new(default_image())));
        for block in &mut config.blocks {
            block.virtio.offer |= self.offer;
            block.virtio.queue_size = self.queue_size;
            block.blk.features |= self.offer;
            block.blk.size_max = self.size_max;
            block.blk.queues = self.queues;
            if self.queues > 1 {
                block.blk.features |= Features::MQ;
                block.virtio.vectors = self.queues + 1;
            }
            if self.lenient {
                block.virtio.profile = Profile::Lenient;
                block.blk.lenient = true;
            }
            block.completion = self.completion;
        }
        if self.warm {
            config.placement = Placement::Warm;
        }
        if self.unassigned {
            config.placement = Placement::Unassigned;
        }
        config
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            preset,
            offer,
            size_max,
            queue_size,
            queues,
            lenient,
            warm,
            unassigned,
            completion,
        } = *self;
        let ordinary = Self::MODERN;
        let mut words = Vec::new();
        let mut say = |differs: bool, word: String| words.extend(differs.then_some(word));
        say(preset != ordinary.preset, preset.to_string());
        say(!offer.is_empty(), format!("{offer}"));
        say(size_max != ordinary.size_max, format!("size_max {size_max}"));
        say(queue_size != ordinary.queue_size, format!("size {queue_size}"));
        say(queues != 1, format!("{queues} queues"));
        say(lenient, "lenient".into());
        say(warm, "warm".into());
        say(unassigned, "unassigned".into());
        say(completion != ordinary.completion, completion.to_string());
        f.write_str(&words.join(" "))
    }
}

/// A fault at `device`, if it is one of the block device.
pub(super) fn at(fault: Fault, device: Bdf) -> Fault {
    match fault.device {
        Fault::BLOCK_DEVICE => fault.of(device),
        _ => fault,
    }
}

/// The schedule of some faults of the catalogue, with `+` between their names.
///
/// # Errors
/// There is no such fault.
pub fn faults(names: &str) -> Result<Vec<Fault>, NameError> {
    let names = names.split('+').filter(|name| !name.is_empty());
    let mut schedule = Vec::new();
    for name in names {
        schedule.extend(fault::by_name(name)?);
    }
    Ok(schedule)
}
