//! The names that a line of a transcript can have for a register or a field.

use super::template::globbed;
use crate::register::{
    AtaRegister, BlockCfg, BridgeHeader, CommonCfg, ConfigHeader, LegacyCfg, MsixCap, MsixEntry,
    VirtioCap,
};

/// The structures of a function, by the first word of a register's name.
const STRUCTURES: [&str; 9] =
    ["config", "ecam", "common", "notify", "isr", "block", "legacy", "ata", "bar"];

/// The names that are in no table of registers.
const OTHERS: [&str; 47] = [
    "config_address",
    "config +*",
    "config capability_*.+*",
    "config virtio_*.+*",
    "config msix.+*",
    "config virtio_notify.notify_off_multiplier",
    "config virtio_pci_cfg.pci_cfg_data",
    "notify q*",
    "isr",
    "legacy config+*",
    "msix pba+*",
    "ata data",
    "debug_exit",
    "debug_mark",
    "reset_control",
    "keyboard command",
    "port *",
    "memory *",
    // No register, or not wholly one.
    "bar* +*",
    "common +*",
    "notify +*",
    "isr +*",
    "block +*",
    "legacy +*",
    "msix table +*",
    "msix pba +*",
    // Fields of queues, and what lies in memory beside them.
    "q* avail.flags",
    "q* avail.idx",
    "q* avail.ring[*]",
    "q* avail.used_event",
    "q* used.flags",
    "q* used.idx",
    "q* used.avail_event",
    "q* used.ring[*].id",
    "q* used.ring[*].len",
    "q* driver_event.desc",
    "q* driver_event.flags",
    "q* device_event.desc",
    "q* device_event.flags",
    "q* desc[*].addr",
    "q* desc[*].len",
    "q* desc[*].flags",
    "q* desc[*].next",
    "q* desc[*].id",
    "q* table of desc[*]+*",
    "q* readable buffer of *[*]",
    "q* writable buffer of *[*]",
];

/// Whether a line that begins so is about a register of a function, which the guest accesses.
pub(super) fn is_register(line: &str) -> bool {
    let first = line.split(' ').next().unwrap_or_default();
    // A device sends the message of a vector, and the guest has a table of them.
    STRUCTURES.contains(&first.trim_end_matches(|digit: char| digit.is_ascii_digit()))
        || line.starts_with("msix table")
        || line.starts_with("msix pba")
}

/// Whether a register or a field is called so; `*` stands for anything.
pub(super) fn is_known(what: &str) -> bool {
    // Configuration space has the same registers however it is reached.
    let what = what.strip_prefix("ecam ").map_or(what.into(), |name| format!("config {name}"));
    OTHERS.iter().any(|other| meets(other, &what))
        || in_tables().iter().any(|name| meets(name, &what))
}

/// Whether something may be called as both say: one is an instance of the other. Behind the
/// name of a field may stand how far inside of it an access begins.
fn meets(known: &str, what: &str) -> bool {
    globbed(known, what) || globbed(what, known) || globbed(&format!("{known}+*"), what)
}

/// The names of the registers that are in tables.
fn in_tables() -> Vec<String> {
    let config = ConfigHeader::ALL.iter().map(|register| register.name());
    let bridge = BridgeHeader::ALL.iter().map(|register| register.name());
    let virtio = VirtioCap::ALL.iter().map(|register| register.name());
    let msix = MsixCap::ALL.iter().map(|register| register.name());
    let common = CommonCfg::ALL.iter().map(|register| register.name());
    let block = BlockCfg::ALL.iter().map(|register| register.name());
    let legacy = LegacyCfg::ALL.iter().map(|register| register.name());
    let ata = AtaRegister::ALL.iter().map(|register| register.name());
    let entry = MsixEntry::ALL.iter().map(|register| register.name());
    let behind = |prefix: &'static str| move |name: &str| format!("{prefix}{name}");
    (config.chain(bridge).map(behind("config ")))
        .chain(virtio.map(behind("config virtio_*.")))
        .chain(msix.map(behind("config msix.")))
        .chain(common.map(behind("common ")))
        .chain(block.map(behind("block ")))
        .chain(legacy.map(behind("legacy ")))
        .chain(ata.map(behind("ata ")))
        .chain(entry.map(behind("msix table[*].")))
        .collect()
}
