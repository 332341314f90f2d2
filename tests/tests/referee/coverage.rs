//! Which rules had something to look at.

use std::collections::BTreeSet;

use eclipse_trace::rules;

use crate::by_hand::BY_HAND;
use crate::faults::WITH_FAULTS;
use crate::machines::{IN_LOOPBACK, ON_KVM};
use crate::stimuli::{OF_MUTANTS, SELDOM};

/// Rules that no run keeps, and why.
const NOT_EXERCISED: &[(&str, &str)] = &[
    ("D3.4.1-b", "no device offers SUSPEND, bit 43"),
    ("D3.4.1-c", "no device offers SUSPEND, bit 43"),
    ("D3.4.1-d", "no device offers SUSPEND, bit 43"),
    ("D4.1.4.3.2-h", "no device offers ADMIN_VQ, bit 41"),
    ("D4.1.5.2.1-d", "no device offers NOTIF_CONFIG_DATA"),
    ("D5.2.5.1-d", "no device has zones"),
    ("D5.2.6.1-z", "no device has zones"),
    ("D6.1-e", "no device offers ORDER_PLATFORM"),
    ("D6.1-f", "no device offers SR_IOV"),
    ("D6.1-g", "no device offers NOTIF_CONFIG_DATA"),
    ("L2.2.3", "the driver gives up a device with structures that does not offer VERSION_1"),
    (
        "L5.2.6.3-a",
        "the driver heeds the length, whoever says it: it uses no data that is not there",
    ),
    ("P30", "no device has power management or function-level reset"),
    ("R-dma-read", "it says nothing of a driver that keeps it"),
    ("R-dma-write", "it says nothing of a driver that keeps it"),
];

#[test]
fn every_rule_is_exercised_but_for_those_that_cannot_be() {
    let mut exercised = BTreeSet::<&str>::new();
    for bench in [&*IN_LOOPBACK, &*ON_KVM, &*WITH_FAULTS, &*OF_MUTANTS, &*SELDOM, &*BY_HAND] {
        exercised.extend(&bench.exercised);
    }
    let never: BTreeSet<_> =
        rules::all().map(|rule| rule.id).filter(|id| !exercised.contains(id)).collect();
    let listed: BTreeSet<_> = NOT_EXERCISED.iter().map(|(id, _)| *id).collect();
    let silent: Vec<_> = never.difference(&listed).collect();
    let needless: Vec<_> = listed.difference(&never).collect();
    assert!(
        silent.is_empty() && needless.is_empty(),
        "never: {silent:?}; listed, but exercised: {needless:?}"
    );
}
