//! Split virtqueues (VIRTIO 1.4, 2.7).

mod chain;
mod indices;
mod setup;

use super::Rule;

pub(super) const RULES: &[&[Rule]] = &[chain::RULES, indices::RULES, setup::RULES];
