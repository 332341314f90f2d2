use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use eclipse_trace::Bdf;

use crate::disk::Disk;
use crate::fault::Impossible;
use crate::pci::{
    Bridge, Function, PciBus, Placement, host_bridge, ide, isa_bridge, other_virtio,
    power_management,
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

    /// Where the block device is.
    pub fn block_device(self) -> Bdf {
        match self {
            Preset::Bridge => Bdf::new(1, 0, 0),
            Preset::Modern | Preset::Transitional | Preset::Legacy | Preset::Packed => {
                Bdf::new(0, 4, 0)
            }
        }
    }

    /// The machine, with `disk` behind its block device.
    pub fn config(self, disk: Box<dyn Disk>) -> PlatformConfig {
        let function = self.block_device();
        let mut block = BlockDevice { function, ..BlockDevice::new(disk) };
        match self {
            Preset::Modern | Preset::Bridge => {}
            Preset::Transitional => block.virtio.transport = Transport::Transitional,
            Preset::Legacy => block.virtio.transport = Transport::Legacy,
            Preset::Packed => {
                block.virtio.offer =
                    Features::RING_PACKED | Features::INDIRECT_DESC | Features::EVENT_IDX;
            }
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
    /// A fault of the schedule cannot strike in this machine.
    #[error("fault {number} of the schedule: {why}")]
    Fault {
        /// Its place in the schedule, from 0.
        number: usize,
        /// Why.
        why: Impossible,
    },
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
/// The functions that every machine has: host bridge, ISA bridge, IDE controller, power
/// management.
const ALWAYS: [Bdf; 4] =
    [Bdf::new(0, 0, 0), Bdf::new(0, 1, 0), Bdf::new(0, 1, 1), Bdf::new(0, 1, 3)];
const BRIDGE: Bdf = Bdf::new(0, 5, 0);

impl PlatformConfig {
    /// Every function, with how many queues it has if it is a virtio block device.
    pub(crate) fn functions(&self) -> Vec<(Bdf, Option<u16>)> {
        let mut functions: Vec<_> = ALWAYS.iter().map(|function| (*function, None)).collect();
        let blocks = self.blocks.iter().map(|block| (block.function, Some(block.blk.queues)));
        functions.extend(blocks);
        if self.blocks.iter().any(|block| block.function.bus() != 0) {
            functions.push((BRIDGE, None));
        }
        functions
    }

    /// The PCI hierarchy, with functions that are virtio devices of other types.
    ///
    /// # Errors
    /// The machine cannot be like that.
    pub(crate) fn build(self, others: Vec<(Bdf, u16)>) -> Result<PciBus, ConfigError> {
        if self.blocks.len() > MOST_BLOCKS {
            return Err(ConfigError::TooMany(self.blocks.len()));
        }
        let makers = [host_bridge, isa_bridge, ide, power_management];
        let mut root: Vec<(Bdf, Box<dyn Function>)> =
            ALWAYS.into_iter().zip(makers).map(|(at, make)| (at, make(at))).collect();
        root.extend(others.into_iter().map(|(at, device)| (at, other_virtio(at, device))));
        let mut taken: BTreeSet<Bdf> = root.iter().map(|(function, _)| *function).collect();
        taken.insert(BRIDGE);
        let mut behind = Vec::new();
        for (index, block) in (0..).zip(self.blocks) {
            let BlockDevice { function, virtio, blk, completion, disk } = block;
            if !taken.insert(function) {
                return Err(ConfigError::Taken(function));
            }
            virtio.check(blk.queues).map_err(|why| ConfigError::Device { function, why })?;
            let addresses = addresses(function.bus(), index, virtio.bar_size);
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
/// bridge passes on whole mebibytes of memory and 4 KiB of ports. A BAR of the structures
/// of more than 1 MiB has its place beyond all RAM, and within the 39 bits that every
/// processor with virtualization has.
fn addresses(bus: u8, index: u64, bar_size: u64) -> Addresses {
    const LARGE: u64 = 0x40_0000_0000;
    const LARGE_BEHIND: u64 = 0x60_0000_0000;
    const MOST: u64 = 1 << 20;
    let below = |address| (bar_size <= MOST).then_some(address);
    match bus {
        0 => Addresses {
            ports: 0xc000 + 0x80 * index,
            // The first is where the log of Eclipse has it.
            msix: if index == 0 { 0xfebc_1000 } else { 0xfea0_0000 + 0x1_0000 * index },
            structures: below(0xfe00_0000 + MOST * index).unwrap_or(LARGE + bar_size * index),
            spread: (0xfeb0_0000 + 0x1_0000 * index, 0xe000 + 0x100 * index),
        },
        _ => Addresses {
            ports: 0xd000 + 0x80 * index,
            msix: 0xfd00_0000 + 0x1_0000 * index,
            structures: below(0xfc00_0000 + MOST * index)
                .unwrap_or(LARGE_BEHIND + bar_size * index),
            spread: (0xfd80_0000 + 0x1_0000 * index, 0xd800 + 0x100 * index),
        },
    }
}
