//! Virtio over PCI: the modern transport, split virtqueues, the block device.

mod blk;
mod device;
mod features;
mod function;
mod modern;
mod preset;
pub(crate) mod queue;
mod status;

pub use features::Features;
pub(crate) use preset::modern_preset;
