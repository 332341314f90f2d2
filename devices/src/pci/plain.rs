use eclipse_trace::register::Structure;
use eclipse_trace::{Access, Bdf, Refusal, Register};

use super::{ConfigSpace, Function, Identity};
use crate::Host;
use crate::platform::all_ones;

/// A function that is a configuration space and nothing else.
struct Plain {
    function: Bdf,
    config: ConfigSpace,
}

impl Function for Plain {
    fn config(&self) -> &ConfigSpace {
        &self.config
    }

    fn config_mut(&mut self) -> &mut ConfigSpace {
        &mut self.config
    }

    fn load(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8) -> u64 {
        let access = Access::Load { width, value: all_ones(width) };
        host.refused(self.none(bar, offset), access, Refusal::NoRegister);
        access.value()
    }

    fn store(&mut self, host: &mut Host<'_>, bar: u8, offset: u64, width: u8, value: u64) {
        let access = Access::Store { width, value };
        host.refused(self.none(bar, offset), access, Refusal::NoRegister);
    }
}

impl Plain {
    fn none(&self, bar: u8, offset: u64) -> Register {
        let offset = u32::try_from(offset).unwrap_or(u32::MAX);
        Register::None { function: self.function, structure: Structure::Bar(bar), offset }
    }
}

/// The host bridge of a 440FX (8086:1237).
pub(crate) fn host_bridge(function: Bdf) -> Box<dyn Function> {
    intel(function, 0x1237, 2, 0x06_00_00, false)
}

/// The ISA bridge of a PIIX3 (8086:7000), function 0 of several.
pub(crate) fn isa_bridge(function: Bdf) -> Box<dyn Function> {
    intel(function, 0x7000, 0, 0x06_01_00, true)
}

/// The IDE controller of a PIIX3 (8086:7010), with no drive on it.
pub(crate) fn ide(function: Bdf) -> Box<dyn Function> {
    intel(function, 0x7010, 0, 0x01_01_80, false)
}

/// The power management function of a PIIX4 (8086:7113).
pub(crate) fn power_management(function: Bdf) -> Box<dyn Function> {
    intel(function, 0x7113, 3, 0x06_80_00, false)
}

/// A virtio device of another type, by its PCI device ID, that has no structures
/// (VIRTIO 1.4, 4.1.2).
pub(crate) fn other_virtio(function: Bdf, device: u16) -> Box<dyn Function> {
    let modern = device >= 0x1040;
    let identity = Identity {
        vendor: 0x1af4,
        device,
        revision: u8::from(modern),
        class: 0xff_00_00,
        subsystem_vendor: 0x1af4,
        subsystem: if modern { 0x1100 } else { 1 },
    };
    Box::new(Plain { function, config: ConfigSpace::new(identity) })
}

fn intel(
    function: Bdf,
    device: u16,
    revision: u8,
    class: u32,
    multi_function: bool,
) -> Box<dyn Function> {
    let identity = Identity {
        vendor: 0x8086,
        device,
        revision,
        class,
        subsystem_vendor: 0x1af4,
        subsystem: 0x1100,
    };
    let config = ConfigSpace::new(identity);
    let config = if multi_function { config.multi_function() } else { config };
    Box::new(Plain { function, config })
}
