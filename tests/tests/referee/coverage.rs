//! Which rules had something to look at.

use std::collections::BTreeSet;

use eclipse_trace::rules;

use crate::by_hand::BY_HAND;
use crate::faults::WITH_FAULTS;
use crate::machines::{IN_LOOPBACK, ON_KVM};
use crate::stimuli::{OF_MUTANTS, SELDOM};

/// Rules that no run has an example of, and why.
const NOT_EXERCISED: &[(&str, &str)] = &[];

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
