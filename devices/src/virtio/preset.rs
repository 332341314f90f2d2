use eclipse_trace::Bdf;

use super::blk::Blk;
use super::function::VirtioFunction;
use crate::disk::Disk;
use crate::pci::{PciBus, host_bridge, ide, isa_bridge, power_management};

/// Five functions of a PC, as stock QEMU's `pc` machine has them without its
/// defaults, and a modern virtio block device at 00:04.0.
pub(crate) fn modern_preset(disk: Box<dyn Disk>) -> PciBus {
    let at = |device, function| Bdf::new(0, device, function);
    let block = at(4, 0);
    PciBus::new(vec![
        (at(0, 0), host_bridge(at(0, 0))),
        (at(1, 0), isa_bridge(at(1, 0))),
        (at(1, 1), ide(at(1, 1))),
        (at(1, 3), power_management(at(1, 3))),
        (block, Box::new(VirtioFunction::new(block, Blk::new(disk)))),
    ])
}
