//! Packed virtqueues (VIRTIO 1.4, 2.8).

mod list;
mod order;
mod setup;

use super::Rule;

pub(super) const RULES: &[&[Rule]] = &[list::RULES, order::RULES, setup::RULES];
