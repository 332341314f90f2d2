use eclipse_trace::{Bdf, Effect, RequestKind};

use super::injector::{Injector, Stage};
use super::outcome::{Fate, Forgery, Plan};
use super::{Action, Trigger, Value, Vector};

/// The points that a request passes.
impl Injector {
    /// The device begins to carry out a request.
    pub(crate) fn request(&mut self, device: Bdf, kind: RequestKind) {
        self.plan = Plan { moving: true, ..Plan::default() };
        self.met(device).data = None;
        let completes = |trigger: &Trigger| match trigger {
            Trigger::Completion(only) => only.is_none_or(|only| only == kind),
            _ => false,
        };
        for index in self.strike(Some(device), completes) {
            let plan = &mut self.plan;
            match self.armed[index].fault.action {
                Action::Status(status) => plan.status = Some((index, status)),
                Action::NoData => plan.data = Some(index),
                Action::Lose { kept } => plan.disk = Some((index, kept)),
                Action::UsedElement { id, len } => plan.forgery.element = Some((index, id, len)),
                Action::NoUsedElement => plan.forgery.no_element = Some(index),
                Action::UsedIdx(value) => plan.forgery.idx = Some((index, value)),
                Action::Drop => plan.fate = Some((index, Fate::Dropped)),
                Action::Delay(exits) => plan.fate = Some((index, Fate::Late(exits))),
                Action::Swap => plan.fate = Some((index, Fate::Swapped)),
                Action::Duplicate(exits) => plan.fate = Some((index, Fate::Twice(exits))),
                Action::Hold => plan.fate = Some((index, Fate::Held)),
                Action::NoInterrupt(of) => self.withheld.push((index, of)),
                _ => plan.afterwards.push(index),
            }
        }
    }

    /// The device writes data of the request, at `addr`; `false`: it does not.
    pub(crate) fn data(&mut self, stage: &mut Stage<'_>, device: Bdf, addr: u64, len: u32) -> bool {
        if !self.plan.moving {
            return true;
        }
        self.met(device).data.get_or_insert(addr);
        let Some(index) = self.plan.data else { return true };
        self.record(stage, index, Effect::DataWithheld { addr, len });
        false
    }

    /// How many of `sectors` from `sector` on go to the disk. For a flush, which has
    /// none, 1 of 1.
    pub(crate) fn reach_disk(&mut self, stage: &mut Stage<'_>, sector: u64, sectors: u64) -> u64 {
        let Some((index, kept)) = self.plan.disk.filter(|(_, kept)| *kept < sectors) else {
            return sectors;
        };
        self.record(stage, index, Effect::DiskWithheld { sector: sector.wrapping_add(kept) });
        kept
    }

    /// The status that the device writes; `None`: it writes none.
    pub(crate) fn status(&mut self, stage: &mut Stage<'_>, status: u8) -> Option<u8> {
        self.plan.moving = false;
        let Some((index, forged)) = self.plan.status else { return Some(status) };
        let value = forged.map(|forged| forged.apply(status.into(), 0xff) as u8);
        self.record(stage, index, Effect::Status { instead_of: status, value });
        value
    }

    /// What becomes of the chain now that its request was carried out.
    pub(crate) fn fate(&mut self, stage: &mut Stage<'_>, head: u16) -> Fate {
        let Some((index, fate)) = self.plan.fate else { return Fate::GivenBack };
        let effect = match fate {
            Fate::GivenBack => return fate,
            Fate::Dropped => Effect::Dropped { head },
            Fate::Late(exits) => Effect::Delayed { head, exits },
            Fate::Held => Effect::Held { head },
            Fate::Swapped => Effect::Swapped { head },
            Fate::Twice(exits) => Effect::Duplicated { head, exits },
        };
        self.record(stage, index, effect);
        fate
    }

    /// The ID and length of the used element that the device writes; `None`: it writes none.
    pub(crate) fn used(
        &mut self,
        stage: &mut Stage<'_>,
        slot: u16,
        id: u32,
        len: u32,
    ) -> Option<(u32, u32)> {
        if let Some(index) = self.plan.forgery.no_element {
            self.record(stage, index, Effect::UsedNotWritten { slot });
            return None;
        }
        let Some((index, forged_id, forged_len)) = self.plan.forgery.element else {
            return Some((id, len));
        };
        self.record(stage, index, Effect::Used { id, len });
        let forge = |forged: Option<Value>, value: u32| {
            forged.map_or(value, |forged| forged.apply(value.into(), u32::MAX.into()) as u32)
        };
        Some((forge(forged_id, id), forge(forged_len, len)))
    }

    /// The used index that the device writes.
    pub(crate) fn used_idx(&mut self, stage: &mut Stage<'_>, idx: u16) -> u16 {
        let Some((index, forged)) = self.plan.forgery.idx else { return idx };
        self.record(stage, index, Effect::UsedIdx { instead_of: idx });
        forged.apply(idx.into(), u16::MAX.into()) as u16
    }

    /// How the chain is given back whose request was carried out last.
    pub(crate) fn forgery(&self) -> Forgery {
        self.plan.forgery
    }

    /// The next chain is given back in this way.
    pub(crate) fn forge(&mut self, forgery: Forgery) {
        self.plan.forgery = forgery;
    }

    /// The device is done with the chain.
    pub(crate) fn done(&mut self, stage: &mut Stage<'_>) {
        for index in std::mem::take(&mut self.plan).afterwards {
            self.act(stage, index);
        }
    }

    /// Whether the device sends an interrupt that it means to.
    pub(crate) fn sends(
        &mut self,
        stage: &mut Stage<'_>,
        device: Bdf,
        source: Vector,
        vector: u16,
    ) -> bool {
        let concerned = |(index, of): &(usize, Option<Vector>)| {
            self.armed[*index].fault.device == device && of.is_none_or(|of| of == source)
        };
        let Some(at) = self.withheld.iter().position(concerned) else { return true };
        let (index, _) = self.withheld.remove(at);
        self.record(stage, index, Effect::InterruptWithheld { vector });
        false
    }
}
