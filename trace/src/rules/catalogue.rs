use super::{
    Rule, barrier, block, capability, common, config, dma, features, init, legacy, memory, notify,
    ownership, packed, pci, reset, split, status, suspend, vectors,
};

/// The rules by topic, in the order in which a report lists them.
const TOPICS: &[&[&[Rule]]] = &[
    &[status::RULES, features::RULES, features::offers::RULES, reset::RULES],
    &[config::RULES, config::change::RULES],
    &[init::RULES, init::failure::RULES, suspend::RULES],
    &[capability::RULES, capability::comes_up::RULES],
    &[common::RULES, vectors::RULES, notify::RULES, legacy::RULES],
    split::RULES,
    packed::RULES,
    block::RULES,
    &[memory::RULES, ownership::RULES, dma::RULES, barrier::RULES],
    pci::RULES,
];

/// Every rule.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    TOPICS.iter().copied().flatten().copied().flatten()
}

/// The rule with this name.
pub fn find(id: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.id == id)
}

/// Requirements that no rule judges, with the reason.
pub const NOT_JUDGED: &[(&str, &str, &str)] = &[
    (
        "D4.1.4.1-e",
        "VIRTIO 1.4, 4.1.4.1",
        "how much of a structure a driver maps is in its page tables, and on no bus",
    ),
    (
        "D5.2.5.1-a",
        "VIRTIO 1.4, 5.2.5.1",
        "a driver that negotiated FLUSH may have had no occasion for one; D5.2.5.1-b judges those that promise something",
    ),
    (
        "L2.5.3",
        "VIRTIO 1.4, 2.5.3",
        "on x86 the guest's own byte order is the one of the registers",
    ),
    ("L4.1.2.3", "VIRTIO 1.4, 4.1.2.3", "it is a requirement on devices"),
    ("L4.1.4.10-c", "VIRTIO 1.4, 4.1.4.10", "it is a permission, which no driver can break"),
    (
        "L4.1.4.10-d",
        "VIRTIO 1.4, 4.1.4.10",
        "the legacy registers have no room for more than 32 feature bits",
    ),
    ("L4.1.4.11", "VIRTIO 1.4, 4.1.4.11", "it is a requirement on devices"),
    ("L5.2.5.3", "VIRTIO 1.4, 5.2.5.3", "it is a permission, which no driver can break"),
    ("P07", "PCI 3.0, 6.2.5.1", "it is a requirement on devices"),
    (
        "D2.7.4.2-b",
        "VIRTIO 1.4, 2.7.4.2",
        "how many descriptors are more than a buffer needs, nothing says",
    ),
    (
        "D5.2.6.1-j",
        "VIRTIO 1.4, 5.2.6.1",
        "what a driver takes to be durable is in its mind, and on no bus",
    ),
    (
        "D5.2.6.1-l",
        "VIRTIO 1.4, 5.2.6.1",
        "what a driver takes to be on the disk after an error is in its mind, and on no bus",
    ),
    (
        "L2.7.3",
        "VIRTIO 1.4, 2.7.3",
        "the guest's native order of bytes is the specification's on the machines that there are",
    ),
    (
        "L2.7.4.3",
        "VIRTIO 1.4, 2.7.4.3",
        "it refers to the framing of each type of device, which for block devices is L5.2.6.4",
    ),
    ("L5.2.6.3-b", "VIRTIO 1.4, 5.2.6.3", "that FLUSH_OUT flushes is asked of the device"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_rule_has_a_name_of_its_own_a_clause_and_a_sentence() {
        let mut names = BTreeSet::new();
        for Rule { id, clause, text, sees, .. } in all() {
            assert!(names.insert(id), "{id} twice");
            assert!(
                clause.starts_with("VIRTIO 1.4, ") || clause.starts_with("PCI"),
                "{id}: {clause}"
            );
            // A register's name has no capital.
            let begins = text.starts_with(char::is_uppercase) || text.contains('_');
            assert!(text.ends_with('.') && begins, "{id}: {text}");
            assert!(!sees.is_empty(), "{id} sees nothing");
        }
        for (id, ..) in NOT_JUDGED {
            assert!(names.insert(id), "{id} twice");
        }
    }
}
