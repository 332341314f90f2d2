//! Devices that are unusual and legal: a driver has to bring them up all the same.

use super::super::model::status::DRIVER_OK;
use super::super::model::{Capability, ConfigSpace};
use super::super::state::PerFunction;
use super::super::{At, Check, End, EndOf, Level, Needs, Out, Rule, Sees};
use crate::register::{CapabilityKind, ConfigHeader, MsixCap, VirtioCap};
use crate::{Effect, Event, Setting};

const SEES: Sees = Sees::STATUS.union(Sees::LEGACY).union(Sees::FAULT);

/// A rule of this kind.
const fn rule(
    id: &'static str,
    clause: &'static str,
    text: &'static str,
    start: fn() -> Box<dyn Check>,
) -> Rule {
    Rule { id, clause, level: Level::Must, needs: Needs::Stimulus, text, sees: SEES, start }
}

pub(in crate::rules) const RULES: &[Rule] = &[
    rule(
        "D4.1.2.2-a",
        "VIRTIO 1.4, 4.1.2.2",
        "A device with ID 0x1040 plus its type is driven.",
        || Box::new(ComesUp::with(modern_id)),
    ),
    rule(
        "D4.1.2.2-b",
        "VIRTIO 1.4, 4.1.2.2",
        "A device with the transitional ID of its type is driven.",
        || Box::new(ComesUp::with(transitional_id)),
    ),
    rule("D4.1.2.2-c", "VIRTIO 1.4, 4.1.2.2", "A device of any revision is driven.", || {
        Box::new(ComesUp::with(revision))
    }),
    rule(
        "D4.1.4.1-a",
        "VIRTIO 1.4, 4.1.4.1",
        "Capabilities of reserved types are passed over.",
        || Box::new(ComesUp::with(reserved_type)),
    ),
    rule(
        "D4.1.4.1-c",
        "VIRTIO 1.4, 4.1.4.1",
        "A capability that is longer than its structure is taken.",
        || Box::new(ComesUp::with(long_capability)),
    ),
    rule(
        "D4.1.4.1-d",
        "VIRTIO 1.4, 4.1.4.1",
        "Capabilities with a reserved BAR are passed over.",
        || Box::new(ComesUp::with(reserved_bar)),
    ),
    rule("D4.1.4.1-f", "VIRTIO 1.4, 4.1.4.1", "A structure of surprising length is taken.", || {
        Box::new(ComesUp::with(long_structure))
    }),
    rule(
        "D4.1.5.1.2.2-a",
        "VIRTIO 1.4, 4.1.5.1.2.2",
        "A device with an MSI-X table of any size is driven.",
        || Box::new(ComesUp::with(table_size)),
    ),
];

/// What makes a function unusual, of what was loaded from it and how the machine was put
/// together; the places in configuration space that may differ for that.
type Unusual = fn(&ConfigSpace, &[(Setting, u64)]) -> Option<Places>;

/// Whether a byte of configuration space is one of those that make the function unusual.
type Places = fn(&ConfigSpace, u16) -> bool;

/// A driver brings unusual functions up.
///
/// That it does not is held against it only where nothing else was unusual, by the schedule of
/// faults, and where the guest itself says that it failed.
pub(in crate::rules) struct ComesUp {
    unusual: Unusual,
    settings: Vec<(Setting, u64)>,
    /// The bytes that differ.
    edits: Vec<u16>,
    /// Whether a fault did anything else.
    other: bool,
    up: PerFunction<bool>,
}

impl ComesUp {
    pub(in crate::rules) fn with(unusual: Unusual) -> Self {
        let (settings, edits, up) = (Vec::new(), Vec::new(), PerFunction::default());
        Self { unusual, settings, edits, other: false, up }
    }

    fn effect(&mut self, effect: &Effect) {
        match *effect {
            Effect::Machine { setting, value } => self.settings.push((setting, value)),
            // A page of configuration space has no more bytes.
            Effect::Config { offset, .. } if self.edits.len() < 0x1000 => self.edits.push(offset),
            _ => self.other = true,
        }
    }
}

impl Check for ComesUp {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        if let Event::Fault { effect, .. } = &at.entry.event {
            return self.effect(effect);
        }
        if !at.raises(DRIVER_OK) {
            return;
        }
        let (Some(address), Some(function)) = (at.function(), at.pci()) else { return };
        let up = self.up.of(address);
        if !*up && (self.unusual)(&function.config, &self.settings).is_some() {
            out.kept();
        }
        *up = true;
    }

    fn end(&mut self, end: &EndOf<'_>, out: &mut Out<'_>) {
        let asked = !self.settings.is_empty() || !self.edits.is_empty();
        if end.end != End::Failure || self.other || !asked || self.up.iter().next().is_some() {
            return;
        }
        for function in end.model.functions() {
            let config = &function.config;
            let block = config.header(ConfigHeader::VendorId) == Some(0x1af4)
                && matches!(config.header(ConfigHeader::DeviceId), Some(0x1001 | 0x1042))
                && !is_unknown_legacy(config);
            if let Some(places) = (self.unusual)(config, &self.settings).filter(|_| block)
                && self.edits.iter().all(|offset| places(config, *offset))
            {
                let seen = format!("{} is not driven", function.address);
                out.broken("DRIVER_OK, as nothing else is unusual", seen);
            }
        }
    }
}

/// Whether there are no structures, so that it were a legacy device, and a revision that those
/// do not have (4.1.2.3): nobody has to drive that.
fn is_unknown_legacy(config: &ConfigSpace) -> bool {
    config.header(ConfigHeader::DeviceId) == Some(0x1001)
        && config.header(ConfigHeader::RevisionId).is_some_and(|revision| revision != 0)
        && !config.capabilities.is_empty()
        && virtio(config).next().is_none()
}

fn ids(_: &ConfigSpace, offset: u16) -> bool {
    matches!(offset, 0x02 | 0x03 | 0x08 | 0x2c..=0x2f)
}

fn nowhere(_: &ConfigSpace, _: u16) -> bool {
    false
}

/// The pointer to the capabilities, and all that is not the header's.
fn list(_: &ConfigSpace, offset: u16) -> bool {
    offset == 0x34 || offset >= 0x40
}

fn lengths_of_capabilities(config: &ConfigSpace, offset: u16) -> bool {
    virtio(config).any(|(_, place)| offset == place.at + VirtioCap::CapLen.offset())
}

fn lengths_of_structures(config: &ConfigSpace, offset: u16) -> bool {
    let length = VirtioCap::Length.offset();
    virtio(config).any(|(_, place)| (place.at + length..place.at + length + 4).contains(&offset))
}

fn modern_id(config: &ConfigSpace, _: &[(Setting, u64)]) -> Option<Places> {
    (config.header(ConfigHeader::DeviceId) == Some(0x1042)).then_some(ids as Places)
}

fn transitional_id(config: &ConfigSpace, _: &[(Setting, u64)]) -> Option<Places> {
    (config.header(ConfigHeader::DeviceId) == Some(0x1001)).then_some(ids as Places)
}

fn revision(config: &ConfigSpace, _: &[(Setting, u64)]) -> Option<Places> {
    let revision = config.header(ConfigHeader::RevisionId)?;
    (revision > 1).then_some(ids as Places)
}

/// The virtio capabilities that were looked at, by their types.
pub(in crate::rules) fn virtio(config: &ConfigSpace) -> impl Iterator<Item = (u8, Capability)> {
    config.capabilities.iter().filter_map(|capability| match capability.kind {
        CapabilityKind::Virtio(kind) => Some((kind, *capability)),
        _ => None,
    })
}

fn reserved_type(config: &ConfigSpace, _: &[(Setting, u64)]) -> Option<Places> {
    let reserved = |kind| !matches!(kind, 1..=5 | 8 | 9);
    virtio(config).any(|(kind, _)| reserved(kind)).then_some(list as Places)
}

fn reserved_bar(config: &ConfigSpace, _: &[(Setting, u64)]) -> Option<Places> {
    let bar = |place| config.field(place, VirtioCap::Bar.offset(), 1);
    virtio(config).any(|(_, place)| bar(place).is_some_and(|bar| bar > 5)).then_some(list as Places)
}

/// Bytes of the structure of a virtio capability.
pub(in crate::rules) fn needed(kind: u8) -> u32 {
    if matches!(kind, 2 | 5) { 20 } else { 16 }
}

fn long_capability(config: &ConfigSpace, _: &[(Setting, u64)]) -> Option<Places> {
    let len = |place| config.field(place, VirtioCap::CapLen.offset(), 1);
    let long = |kind, place| len(place).is_some_and(|len| len > needed(kind));
    virtio(config)
        .any(|(kind, place)| matches!(kind, 1..=5) && long(kind, place))
        .then_some(lengths_of_capabilities as Places)
}

/// A structure that is at least this long, of one of the types.
fn longer(config: &ConfigSpace, types: &[u8], bytes: u32) -> Option<Places> {
    let length = |place| config.field(place, VirtioCap::Length.offset(), 4);
    virtio(config)
        .any(|(kind, place)| types.contains(&kind) && length(place).is_some_and(|len| len > bytes))
        .then_some(lengths_of_structures as Places)
}

fn long_structure(config: &ConfigSpace, _: &[(Setting, u64)]) -> Option<Places> {
    longer(config, &[1, 2, 3, 4], 0xf_ffff)
}

/// A device configuration that is longer than any that is defined.
pub(in crate::rules) fn long_config(config: &ConfigSpace, _: &[(Setting, u64)]) -> Option<Places> {
    longer(config, &[4], 0x1000)
}

fn table_size(config: &ConfigSpace, _: &[(Setting, u64)]) -> Option<Places> {
    let msix = config.capability(CapabilityKind::Msix)?;
    let control = config.field(msix, MsixCap::MessageControl.offset(), 2)?;
    matches!(control & 0x7ff, 0 | 0x100..=0x7ff).then_some(nowhere as Places)
}

/// An I/O BAR with 16 address bits.
pub(in crate::rules) fn narrow_ports(
    _: &ConfigSpace,
    settings: &[(Setting, u64)],
) -> Option<Places> {
    let narrow = settings.iter().any(|(setting, _)| *setting == Setting::NarrowPorts);
    narrow.then_some(nowhere as Places)
}

/// A BAR of 4 GiB or more.
pub(in crate::rules) fn large_bar(_: &ConfigSpace, settings: &[(Setting, u64)]) -> Option<Places> {
    let large =
        |(setting, value): &(Setting, u64)| *setting == Setting::BarSize && *value >= 1 << 32;
    settings.iter().any(large).then_some(nowhere as Places)
}
