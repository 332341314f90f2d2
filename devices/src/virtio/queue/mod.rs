//! Split virtqueues, from the device's side (VIRTIO 1.4, 2.7).

mod chain;
mod split;

pub(crate) use chain::{Chain, Descriptor, Flags};
pub(crate) use split::SplitQueue;
