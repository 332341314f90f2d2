//! Suspending a device (VIRTIO 1.4, 3.4).

use super::model::status::{DRIVER_OK, SUSPEND};
use super::state::PerFunction;
use super::{At, Check, Level, Needs, Out, Rule, Sees, plain};
use crate::register::Structure;
use crate::{Register, register::CommonCfg};

pub(super) const RULES: &[Rule] = &[
    Rule {
        id: "D3.4.1-a",
        clause: "VIRTIO 1.4, 3.4.1",
        level: Level::Should,
        needs: Needs::Nothing,
        text: "SUSPEND is set only with DRIVER_OK, and where it is negotiated.",
        sees: Sees::STATUS.union(Sees::LEGACY),
        start: plain!(|at, out| {
            let (Some(value), Some(virtio)) = (at.status_store(), at.virtio()) else { return };
            if at.raises(SUSPEND) {
                let may = virtio.negotiated(FEATURE) && virtio.driver_ok();
                out.check(may, || {
                    let seen = format!("{value:#04x} after {:#04x}", virtio.status);
                    ("SUSPEND after DRIVER_OK, and negotiated", seen)
                });
            } else if at.raises(DRIVER_OK) {
                out.kept();
            }
        }),
    },
    part("D3.4.1-b", "That the device is suspended is verified by reading the status.", || {
        Box::new(Suspended::new(Part::Verified))
    }),
    part(
        "D3.4.1-c",
        "A suspended device is not notified, and its configuration not stored to.",
        || Box::new(Suspended::new(Part::Quiet)),
    ),
    part("D3.4.1-d", "A device that is resumed is used when the status says so.", || {
        Box::new(Suspended::new(Part::Resumed))
    }),
];

/// The feature bit.
const FEATURE: u8 = 43;

const fn part(id: &'static str, text: &'static str, start: fn() -> Box<dyn Check>) -> Rule {
    let sees = Sees::STATUS.union(Sees::NOTIFY).union(Sees::DEVICE_CONFIG);
    let (clause, level, needs) = ("VIRTIO 1.4, 3.4.1", Level::Must, Needs::Occasion);
    Rule { id, clause, level, needs, text, sees, start }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Verified,
    Quiet,
    Resumed,
}

/// Where a device is between running and suspended.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Running,
    /// Asked to suspend, and not seen to.
    Suspending,
    Suspended,
    /// Asked to resume, and not seen to.
    Resuming,
}

struct Suspended {
    part: Part,
    functions: PerFunction<State>,
}

impl Suspended {
    fn new(part: Part) -> Self {
        Self { part, functions: PerFunction::default() }
    }

    fn status_stored(&self, state: State, value: u8, out: &mut Out<'_>) -> State {
        match state {
            _ if value == 0 => State::Running,
            State::Running if value & SUSPEND != 0 => State::Suspending,
            State::Suspending | State::Suspended if value & SUSPEND == 0 => {
                if self.part == Part::Verified && state == State::Suspending {
                    out.broken("a load of the status with SUSPEND before", format!("{value:#04x}"));
                }
                if self.part == Part::Quiet {
                    out.kept();
                }
                State::Resuming
            }
            state => state,
        }
    }

    fn status_loaded(&self, state: State, value: u8, out: &mut Out<'_>) -> State {
        let (suspended, running) = (value & SUSPEND != 0, value & DRIVER_OK != 0);
        match state {
            State::Suspending if suspended && !running => {
                if self.part == Part::Verified {
                    out.kept();
                }
                State::Suspended
            }
            State::Resuming if !suspended && running => {
                if self.part == Part::Resumed {
                    out.kept();
                }
                State::Running
            }
            state => state,
        }
    }
}

impl Check for Suspended {
    fn see(&mut self, at: &At<'_>, out: &mut Out<'_>) {
        let (Some(function), Some(virtio)) = (at.function(), at.virtio()) else { return };
        let state = self.functions.get(function).copied().unwrap_or_default();
        if let Some(value) = at.status_store() {
            if virtio.negotiated(FEATURE) || value == 0 {
                *self.functions.of(function) = self.status_stored(state, value, out);
            }
        } else if let Some(value) = at.loads(CommonCfg::DeviceStatus) {
            if state != State::Running {
                *self.functions.of(function) = self.status_loaded(state, value as u8, out);
            }
        } else if state != State::Running && uses(at) {
            match (self.part, state) {
                (Part::Quiet, State::Suspending | State::Suspended) => {
                    out.broken("nothing before it is resumed", "a store to the suspended device");
                }
                (Part::Resumed, State::Resuming) => {
                    out.broken("a load of the status with DRIVER_OK", "a store before that");
                }
                _ => {}
            }
        }
    }
}

/// Whether this notifies, or stores to the configuration.
fn uses(at: &At<'_>) -> bool {
    let Some((register, access, _)) = at.register() else { return false };
    let config = matches!(
        register,
        Register::Block { .. } | Register::None { structure: Structure::Block, .. }
    );
    at.notification().is_some() || config && access.is_store()
}

#[cfg(test)]
mod tests {
    use super::super::testing::Transcript;
    use crate::register::CommonCfg;

    fn suspended(loads: &[u64]) -> Transcript {
        let mut driver = Transcript::new();
        driver.negotiate([0, 0x801], [0, 0x801]);
        driver.enable(0, 8);
        driver.status(&[0x0f, 0x1f]);
        for &load in loads {
            driver.common_load(CommonCfg::DeviceStatus, load);
        }
        driver
    }

    #[test]
    fn suspend_is_negotiated() {
        suspended(&[]).keeps("D3.4.1-a", 2);
        let mut driver = Transcript::driven(0);
        driver.status(&[0x1f]);
        driver.breaks("D3.4.1-a", &["0x1f after 0x0f"]);
    }

    #[test]
    fn a_suspended_device_is_left_alone_until_it_runs() {
        let mut driver = suspended(&[0x1f, 0x1b]);
        driver.status(&[0x0f]);
        driver.common_load(CommonCfg::DeviceStatus, 0x0f);
        driver.notify(0);
        for rule in ["D3.4.1-b", "D3.4.1-c", "D3.4.1-d"] {
            driver.keeps(rule, 1);
        }
        let mut driver = suspended(&[]);
        driver.notify(0);
        driver.status(&[0x0f]);
        driver.notify(0);
        driver.breaks("D3.4.1-b", &["0x0f"]);
        driver.breaks("D3.4.1-c", &["a store to the suspended device"]);
        driver.breaks("D3.4.1-d", &["a store before that"]);
    }
}
