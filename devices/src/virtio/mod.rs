//! Virtio over PCI: transports, virtqueues, the block device.

mod blk;
mod device;
mod features;
mod function;
mod layout;
mod legacy;
mod modern;
mod place;
pub(crate) mod queue;
mod settings;
mod status;

pub(crate) use blk::Blk;
pub use blk::{BlkConfig, DeviceId, Geometry, SegmentLimits, Topology};
pub use features::{Features, UnknownFeature};
pub(crate) use function::VirtioFunction;
pub(crate) use layout::Addresses;
pub(crate) use queue::{Progress, QueueAreas};
pub use settings::{Profile, Transport, VirtioConfig};
