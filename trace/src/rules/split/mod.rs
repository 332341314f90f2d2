//! Split virtqueues (VIRTIO 1.4, 2.7).

mod chain;
mod indices;
mod order;
mod setup;
mod suppression;

use super::Rule;
pub(super) use chain::{name, readable_behind_writable};
pub(super) use setup::{aligned, enabled};

pub(super) const RULES: &[&[Rule]] =
    &[chain::RULES, indices::RULES, order::RULES, setup::RULES, suppression::RULES];
