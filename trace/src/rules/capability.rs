//! The capabilities of a virtio device (VIRTIO 1.4, 4.1.4).

use super::model::status::DRIVER_OK;
use super::model::{Capability, ConfigSpace};
use super::state::PerFunction;
use super::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::register::{CapabilityKind, Structure, VirtioCap};
use crate::{Access, Register};

pub(super) mod comes_up;
#[cfg(test)]
mod tests;

use comes_up::virtio;

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D4.1.4.1-b",
        clause: "VIRTIO 1.4, 4.1.4.1",
        level: Level::Should,
        needs: Needs::Stimulus,
        text: "Of several capabilities for a structure the first one that can be used is used.",
        sees: Sees::BAR.union(Sees::STATUS),
        start: plain!(|at, out| {
            let Some(config) = at.pci().map(|function| &function.config) else { return };
            let twice = usable(config).find_map(|(kind, place)| second(config, kind, place));
            if at.raises(DRIVER_OK) {
                if twice.is_some() {
                    out.kept();
                }
                return;
            }
            let Some((Register::None { structure: Structure::Bar(bar), offset, .. }, ..)) =
                at.register()
            else {
                return;
            };
            let holds = |window: &Window| window.holds(bar.into(), offset);
            let windows = |nth| instances(config).filter(move |(_, n, _)| *n == nth);
            let decoy = instances(config).find(|(_, nth, window)| *nth > 0 && holds(window));
            if let Some((kind, ..)) = decoy
                && !windows(0).any(|(_, _, window)| holds(&window))
            {
                let seen = format!("an access to BAR{bar} +{offset:#x}, where another one says");
                out.broken(format!("the first capability of type {kind}"), seen);
            }
        }),
    },
    Rule {
        id: "D4.1.4.1-g",
        clause: "VIRTIO 1.4, 4.1.4.1",
        level: Level::Must,
        needs: Needs::Nothing,
        text: "Nothing is stored to a virtio capability, but to the window of type 5.",
        sees: Sees::CONFIG_STORE.union(Sees::STATUS),
        start: plain!(|at, out| {
            let Some((kind, inside, access)) = in_capability(at) else {
                if at.raises(DRIVER_OK) {
                    out.kept();
                }
                return;
            };
            // What a vendor put there is not in this rule (4.1.4.8).
            let free = kind == 9 || kind == 5 && inside >= VirtioCap::Bar.offset();
            if access.is_store() && !free {
                let seen = format!("{:#x} stored at +{inside:#x}", access.value());
                out.broken(format!("loads of the capability of type {kind}"), seen);
            }
        }),
    },
    Rule {
        id: "D4.1.4.8.2-a",
        clause: "VIRTIO 1.4, 4.1.4.8.2",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "Vendor data is stored to only after its vendor_id was loaded.",
        sees: Sees::CONFIG_STORE.union(Sees::STATUS),
        start: plain!(|at, out| {
            let Some(config) = at.pci().map(|function| &function.config) else { return };
            if at.raises(DRIVER_OK) {
                virtio(config).filter(|(kind, _)| *kind == 9).for_each(|_| out.kept());
            } else if let Some((9, inside, Access::Store { value, .. })) = in_capability(at) {
                let known = virtio(config)
                    .any(|(kind, place)| kind == 9 && config.field(place, 4, 2).is_some());
                out.check(known, || {
                    ("a load of vendor_id before", format!("{value:#x} stored at +{inside:#x}"))
                });
            }
        }),
    },
    Rule {
        id: "D4.1.4.9.2-a",
        clause: "VIRTIO 1.4, 4.1.4.9.2",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "The window in configuration space is at a multiple of its length.",
        sees: Sees::CONFIG,
        start: plain!(|at, out| {
            let Some(window) = window(at) else { return };
            let aligned = matches!(window.length, 1 | 2 | 4) && window.offset % window.length == 0;
            out.check(aligned, || {
                let Window { offset, length, .. } = window;
                (
                    "a length of 1, 2 or 4, and an offset that is a multiple of it",
                    format!("{length} bytes at {offset:#x}"),
                )
            });
        }),
    },
    Rule {
        id: "D4.1.4.9.2-b",
        clause: "VIRTIO 1.4, 4.1.4.9.2",
        level: Level::Must,
        needs: Needs::Occasion,
        text: "The field pci_cfg_data is accessed only while the window is in a structure.",
        sees: Sees::CONFIG,
        start: plain!(|at, out| {
            let Some(window) = window(at) else { return };
            let Some(config) = at.pci().map(|function| &function.config) else { return };
            let mut known = instances(config).filter(|(kind, ..)| *kind != 5).peekable();
            if known.peek().is_none() {
                return;
            }
            let inside = known.any(|(_, _, structure)| structure.covers(&window));
            out.check(inside, || {
                let Window { bar, offset, length } = window;
                ("a window in a structure", format!("{length} bytes at {offset:#x} of BAR{bar}"))
            });
        }),
    },
    Rule {
        id: "D4.1.5.1.1.1-a",
        clause: "VIRTIO 1.4, 4.1.5.1.1.1",
        level: Level::Must,
        needs: Needs::Stimulus,
        text: "The structures are looked for in the capabilities, and without those not accessed.",
        sees: Sees::COMMON,
        start: || Box::<LookedFor>::default(),
    },
];

/// A part of a BAR.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub bar: u32,
    pub offset: u32,
    pub length: u32,
}

impl Window {
    /// Where a capability says that its structure is, if all of that was loaded.
    pub fn of(config: &ConfigSpace, place: Capability) -> Option<Self> {
        Some(Self {
            bar: config.field(place, VirtioCap::Bar.offset(), 1)?,
            offset: config.field(place, VirtioCap::Offset.offset(), 4)?,
            length: config.field(place, VirtioCap::Length.offset(), 4)?,
        })
    }

    pub fn holds(&self, bar: u32, offset: u32) -> bool {
        self.bar == bar
            && offset.checked_sub(self.offset).is_some_and(|inside| inside < self.length)
    }

    fn covers(&self, other: &Window) -> bool {
        let end = |window: &Window| u64::from(window.offset) + u64::from(window.length);
        self.bar == other.bar && self.offset <= other.offset && end(other) <= end(self)
    }
}

/// The capabilities that name a BAR: one with a reserved value is to be passed over (4.1.4.1).
fn usable(config: &ConfigSpace) -> impl Iterator<Item = (u8, Capability)> {
    let bar = |place| config.field(place, VirtioCap::Bar.offset(), 1);
    virtio(config).filter(move |(_, place)| bar(*place).is_none_or(|bar| bar <= 5))
}

/// The structures by the capabilities that were loaded: type, which of that type, where.
pub(super) fn instances(config: &ConfigSpace) -> impl Iterator<Item = (u8, usize, Window)> {
    usable(config).enumerate().filter_map(move |(number, (kind, place))| {
        let nth = usable(config).take(number).filter(|(other, _)| *other == kind).count();
        Some((kind, nth, Window::of(config, place)?))
    })
}

/// The capability at `place`, if there was one of its kind before.
fn second(config: &ConfigSpace, kind: u8, place: Capability) -> Option<Capability> {
    let (_, first) = usable(config).find(|(other, _)| *other == kind)?;
    (first != place).then_some(place)
}

/// The type of the virtio capability that is accessed, where in it, and how.
fn in_capability(at: &At<'_>) -> Option<(u8, u16, Access)> {
    match at.register()? {
        (Register::Config { offset, capability: Some(capability), .. }, access, _) => {
            let CapabilityKind::Virtio(kind) = capability.kind else { return None };
            Some((kind, offset - u16::from(capability.at), access))
        }
        _ => None,
    }
}

/// The window of type 5, if this accesses its data and it was set.
fn window(at: &At<'_>) -> Option<Window> {
    let (5, inside, _) = in_capability(at)? else { return None };
    let config = &at.pci()?.config;
    let data = inside >= VirtioCap::Extra.offset();
    Window::of(config, config.capability(CapabilityKind::Virtio(5))?).filter(|_| data)
}

/// The functions whose structures were accessed.
#[derive(Default)]
struct LookedFor(PerFunction<bool>);

impl Check for LookedFor {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let Some(function) = at.function() else { return };
        if std::mem::replace(self.0.of(function), true) {
            return;
        }
        let Some(config) = at.pci().map(|function| &function.config) else { return };
        // Of a record without capabilities it is not known whether they were looked for.
        if config.capabilities.is_empty() {
            return;
        }
        let mut common = usable(config).filter(|(kind, _)| *kind == 1);
        // How long the structure is a driver may ask, or not (4.1.4.1).
        let placed = |(_, place)| {
            let loaded = |field: VirtioCap| config.field(place, field.offset(), field.width());
            loaded(VirtioCap::Bar).is_some() && loaded(VirtioCap::Offset).is_some()
        };
        out.check(common.any(placed), || {
            ("the capability of the common configuration loaded before", "an access to it")
        });
    }
}
