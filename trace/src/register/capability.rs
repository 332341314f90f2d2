use serde::{Deserialize, Serialize};

use super::registers;

/// A capability in configuration space, as far as a name needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capability {
    /// Which.
    pub kind: CapabilityKind,
    /// Where it begins.
    pub at: u8,
}

/// What a capability is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CapabilityKind {
    /// MSI-X, ID 0x11 (PCI 3.0, 6.8.2).
    Msix,
    /// `virtio_pci_cap`, ID 0x09, with this `cfg_type` (VIRTIO 1.4, 4.1.4).
    Virtio(u8),
    /// Any other, by its ID.
    Other(u8),
}

registers! {
    /// `struct virtio_pci_cap` and what follows it in two of its kinds (VIRTIO 1.4, 4.1.4).
    pub enum VirtioCap {
        CapVndr = 0x00, 1, ro, "cap_vndr";
        CapNext = 0x01, 1, ro, "cap_next";
        CapLen  = 0x02, 1, ro, "cap_len";
        CfgType = 0x03, 1, ro, "cfg_type";
        Bar     = 0x04, 1, ro, "bar";
        Id      = 0x05, 1, ro, "id";
        Padding = 0x06, 2, ro, "padding";
        Offset  = 0x08, 4, ro, "offset";
        Length  = 0x0c, 4, ro, "length";
        // The notification structure's multiplier (4.1.4.4), or the window of
        // the configuration access structure (4.1.4.9).
        Extra   = 0x10, 4, ro, "extra";
    }
}

registers! {
    /// The MSI-X capability (PCI 3.0, 6.8.2).
    pub enum MsixCap {
        CapId          = 0x0, 1, ro, "cap_id";
        CapNext        = 0x1, 1, ro, "cap_next";
        MessageControl = 0x2, 2, rw, "message_control";
        TableOffset    = 0x4, 4, ro, "table_offset";
        PbaOffset      = 0x8, 4, ro, "pba_offset";
    }
}

impl Capability {
    /// The capability's name: `msix`, `virtio_common`, `capability_05`.
    pub fn name(self) -> String {
        match self.kind {
            CapabilityKind::Msix => "msix".into(),
            CapabilityKind::Virtio(1) => "virtio_common".into(),
            CapabilityKind::Virtio(2) => "virtio_notify".into(),
            CapabilityKind::Virtio(3) => "virtio_isr".into(),
            CapabilityKind::Virtio(4) => "virtio_device".into(),
            CapabilityKind::Virtio(5) => "virtio_pci_cfg".into(),
            CapabilityKind::Virtio(cfg_type) => format!("virtio_{cfg_type:02x}"),
            CapabilityKind::Other(id) => format!("capability_{id:02x}"),
        }
    }

    /// The name of the field that holds the byte at `offset` of configuration
    /// space, with `+n` when the byte is not its first.
    pub fn field(self, offset: u16) -> String {
        let inside = u64::from(offset).saturating_sub(u64::from(self.at));
        let named = |name: &str, start: u16| match inside - u64::from(start) {
            0 => name.to_string(),
            n => format!("{name}+{n}"),
        };
        match self.kind {
            CapabilityKind::Msix => {
                MsixCap::containing(inside).map(|f| named(f.name(), f.offset()))
            }
            CapabilityKind::Virtio(cfg_type) => VirtioCap::containing(inside).map(|f| {
                let name = match (f, cfg_type) {
                    (VirtioCap::Extra, 2) => "notify_off_multiplier",
                    (VirtioCap::Extra, 5) => "pci_cfg_data",
                    _ => f.name(),
                };
                named(name, f.offset())
            }),
            CapabilityKind::Other(_) => None,
        }
        .unwrap_or_else(|| format!("+{inside:02x}"))
    }
}
