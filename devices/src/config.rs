use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use eclipse_trace::Bdf;

use crate::disk::Disk;
use crate::pci::{
    Bridge, Function, PciBus, Placement, host_bridge, ide, isa_bridge, power_management,
};
use crate::schedule::Completion;
use crate::virtio::{Addresses, Blk, BlkConfig, Features, Transport, VirtioConfig, VirtioFunction};

/// A machine's set of devices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Preset {
    /// Five functions of a PC, with a modern virtio block device at 00:04.0.
    #[default]
    Modern,
    /// The same with a transitional device: device ID 0x1001, I/O ports, and the structures.
    Transitional,
    /// The same with a legacy device: I/O ports only.
    Legacy,
    /// The modern device with packed virtqueues, indirect descriptors and EVENT_IDX.
    Packed,
    /// The modern device behind a PCI-to-PCI bridge, at 01:00.0.
    Bridge,
}

impl Preset {
    /// Every preset.
    pub const ALL: &'static [Preset] =
        &[Preset::Modern, Preset::Transitional, Preset::Legacy, Preset::Packed, Preset::Bridge];

    /// The name, as [`FromStr`] takes it.
    pub fn name(self) -> &'static str {
        match self {
            Preset::Modern => "modern",
            Preset::Transitional => "transitional",
            Preset::Legacy => "legacy",
            Preset::Packed => "packed",
            Preset::Bridge => "bridge",
        }
    }

    /// The machine, with `disk` behind its block device.
    pub fn config(self, disk: Box<dyn Disk>) -> PlatformConfig {
        let mut block = BlockDevice::new(disk);
        match self {
            Preset::Modern => {}
            Preset::Transitional => block.virtio.transport = Transport::Transitional,
            Preset::Legacy => block.virtio.transport = Transport::Legacy,
            Preset::Packed => {
                block.virtio.offer =
                    Features::RING_PACKED | Features::INDIRECT_DESC | Features::EVENT_IDX;
            }
            Preset::Bridge => block.function = Bdf::new(1, 0, 0),
        }
        PlatformConfig { blocks: vec![block], placement: Placement::default(), ata: None }
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Preset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|preset| preset.name() == text).ok_or_else(|| {
            let names: Vec<_> = Self::ALL.iter().map(|preset| preset.name()).collect();
            format!("there is no preset {text:?}; there are: {}", names.join(", "))
        })
    }
}

/// A block device of a machine.
pub struct BlockDevice {
    /// Where it is: on bus 0, or on bus 1 behind a bridge.
    pub function: Bdf,
    /// How it presents itself.
    pub virtio: VirtioConfig,
    /// What it is.
    pub blk: BlkConfig,
    /// When its requests are completed.
    pub completion: Completion,
    /// What it reads and writes.
    pub disk: Box<dyn Disk>,
}

impl BlockDevice {
    /// A modern device at 00:04.0.
    pub fn new(disk: Box<dyn Disk>) -> Self {
        Self {
            function: Bdf::new(0, 4, 0),
            virtio: VirtioConfig::default(),
            blk: BlkConfig::default(),
            completion: Completion::default(),
            disk,
        }
    }
}

/// The devices of a machine, as they are put together.
pub struct PlatformConfig {
    /// The block devices, each at a place of its own.
    pub blocks: Vec<BlockDevice>,
    /// How the guest finds the PCI hierarchy at power-on.
    pub placement: Placement,
    /// The disk on the IDE controller, if there is one.
    pub ata: Option<Box<dyn Disk>>,
}

/// Why a machine cannot be put together.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Two functions at one place, or a place that is taken.
    #[error("{0} is taken; put the block device elsewhere")]
    Taken(Bdf),
    /// Neither on the root bus nor behind the bridge.
    #[error("{0} is on no bus of this machine; there are buses 0 and 1")]
    NoBus(Bdf),
    /// More devices than addresses are set aside for.
    #[error("{0} block devices are more than {MOST_BLOCKS}")]
    TooMany(usize),
    /// The device cannot be like that.
    #[error("block device {function}: {why}")]
    Device {
        /// Which.
        function: Bdf,
        /// A sentence.
        why: String,
    },
}

const MOST_BLOCKS: usize = 8;
const BRIDGE: Bdf = Bdf::new(0, 5, 0);

impl PlatformConfig {
    /// The PCI hierarchy.
    ///
    /// # Errors
    /// The machine cannot be like that.
    pub(crate) fn build(self) -> Result<PciBus, ConfigError> {
        if self.blocks.len() > MOST_BLOCKS {
            return Err(ConfigError::TooMany(self.blocks.len()));
        }
        let at = |device, function| Bdf::new(0, device, function);
        let mut root: Vec<(Bdf, Box<dyn Function>)> = vec![
            (at(0, 0), host_bridge(at(0, 0))),
            (at(1, 0), isa_bridge(at(1, 0))),
            (at(1, 1), ide(at(1, 1))),
            (at(1, 3), power_management(at(1, 3))),
        ];
        let mut taken: BTreeSet<Bdf> = root.iter().map(|(function, _)| *function).collect();
        taken.insert(BRIDGE);
        let mut behind = Vec::new();
        for (index, block) in (0..).zip(self.blocks) {
            let BlockDevice { function, virtio, blk, completion, disk } = block;
            if !taken.insert(function) {
                return Err(ConfigError::Taken(function));
            }
            virtio.check(blk.queues).map_err(|why| ConfigError::Device { function, why })?;
            let addresses = addresses(function.bus(), index);
            let mut device = VirtioFunction::new(function, addresses, Blk::new(disk, blk), virtio);
            device.set_completion(completion);
            match function.bus() {
                0 => root.push((function, Box::new(device))),
                1 => behind.push((function, Box::new(device) as Box<dyn Function>)),
                _ => return Err(ConfigError::NoBus(function)),
            }
        }
        if !behind.is_empty() {
            root.push((BRIDGE, Box::new(Bridge::new(BRIDGE, behind))));
        }
        Ok(PciBus::new(root).placed(self.placement))
    }
}

/// Where the BARs of the block device with this number are placed: apart by bus, as a
/// bridge passes on whole mebibytes of memory and 4 KiB of ports.
fn addresses(bus: u8, index: u64) -> Addresses {
    match bus {
        0 => Addresses {
            ports: 0xc000 + 0x80 * index,
            // The first is where the log of Eclipse has it.
            msix: if index == 0 { 0xfebc_1000 } else { 0xfea0_0000 + 0x1_0000 * index },
            structures: 0xfe00_0000 + 0x10_0000 * index,
        },
        _ => Addresses {
            ports: 0xd000 + 0x80 * index,
            msix: 0xfd00_0000 + 0x1_0000 * index,
            structures: 0xfc00_0000 + 0x10_0000 * index,
        },
    }
}
