use eclipse_trace::{Bdf, Setting};

use super::{Action, Fault, Impossible, Target};
use crate::config::{BlockDevice, PlatformConfig};
use crate::disk::MemoryDisk;
use crate::virtio::{Features, Transport, VirtioConfig};

/// What a schedule makes of a machine before it is put together.
#[derive(Debug, Default)]
pub(crate) struct Machine {
    /// Functions that are a virtio device of another type, with its ID.
    pub(crate) others: Vec<(Bdf, u16)>,
    /// What of which function was changed to what.
    pub(crate) settings: Vec<(Bdf, Setting, u64)>,
    /// What faults can name in it.
    pub(crate) target: Target,
}

impl Machine {
    /// Changes `config` as `schedule` has it, and checks that what is left of the
    /// schedule can strike in that machine.
    ///
    /// # Errors
    /// The number of the fault that cannot, from 0, and why.
    pub(crate) fn of(
        config: &mut PlatformConfig,
        schedule: &[Fault],
        sees_rings: bool,
    ) -> Result<Self, (usize, Impossible)> {
        let mut machine = Self::default();
        for (number, fault) in schedule.iter().enumerate() {
            fault.check().map_err(|why| (number, why))?;
            let Action::Machine(setting, value) = fault.action else { continue };
            machine.set(config, fault.device, setting, value).map_err(|why| (number, why))?;
            machine.settings.push((fault.device, setting, value));
        }
        let mut functions = config.functions();
        functions.extend(machine.others.iter().map(|(at, _)| (*at, None)));
        machine.target = Target { functions, sees_rings };
        for (number, fault) in schedule.iter().enumerate() {
            machine.target.check(fault).map_err(|why| (number, why))?;
        }
        Ok(machine)
    }

    fn set(
        &mut self,
        config: &mut PlatformConfig,
        at: Bdf,
        setting: Setting,
        value: u64,
    ) -> Result<(), Impossible> {
        let impossible = || Impossible::Setting { setting, value };
        let taken = config.functions().iter().any(|(function, _)| *function == at)
            || self.others.iter().any(|(function, _)| *function == at);
        if taken && matches!(setting, Setting::BlockDevice | Setting::OtherDevice) {
            return Err(Impossible::Taken(at));
        }
        match setting {
            Setting::BlockDevice => {
                let sectors = u32::try_from(value).ok().filter(|n| (1..=1 << 16).contains(n));
                let disk = Box::new(MemoryDisk::counting(sectors.ok_or_else(impossible)?));
                config.blocks.push(BlockDevice { function: at, ..BlockDevice::new(disk) });
                return Ok(());
            }
            Setting::OtherDevice => {
                let id = u16::try_from(value).map_err(|_| impossible())?;
                if at.bus() != 0 {
                    return Err(impossible());
                }
                self.others.push((at, id));
                return Ok(());
            }
            _ => {}
        }
        let Some(block) = config.blocks.iter_mut().find(|block| block.function == at) else {
            return Err(Impossible::NotVirtio(at));
        };
        match setting {
            Setting::Queues => {
                block.blk.queues = u16::try_from(value).map_err(|_| impossible())?;
                block.blk.features |= Features::MQ;
            }
            _ => set_virtio(&mut block.virtio, setting, value).ok_or_else(impossible)?,
        }
        block.virtio.check(block.blk.queues).map_err(|_| impossible())
    }
}

/// `None`: there is no such value.
fn set_virtio(virtio: &mut VirtioConfig, setting: Setting, value: u64) -> Option<()> {
    let flag = |value: u64| match value {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    };
    match setting {
        Setting::Offer => virtio.offer |= Features::from_bits_retain(value),
        Setting::Withhold => virtio.withhold |= Features::from_bits_retain(value),
        Setting::NotifyMultiplier => virtio.notify_multiplier = u32::try_from(value).ok()?,
        Setting::NotifyPermuted => virtio.notify_permuted = flag(value)?,
        Setting::Vectors => virtio.vectors = u16::try_from(value).ok()?,
        Setting::BarSize => virtio.bar_size = value,
        Setting::SpreadBars => virtio.spread_bars = flag(value)?,
        Setting::Transitional => {
            let transport = [Transport::Modern, Transport::Transitional];
            virtio.transport = transport[usize::from(flag(value)?)];
        }
        Setting::NarrowPorts => virtio.narrow_ports = flag(value)?,
        Setting::Queues | Setting::BlockDevice | Setting::OtherDevice => return None,
    }
    Some(())
}
