//! Transcripts for the tests of rules, an entry a call.

use super::{End, Judge, Rule, find};
use crate::register::{
    BlockCfg, Capability, CapabilityKind, CommonCfg, ConfigHeader, Header, LegacyCfg, Mechanism,
};
use crate::{
    Access, Actor, Area, Bdf, DescriptorFlags, Effect, Entry, Event, Place, Recorder, Refusal,
    Register, Ring, Table,
};

/// The device under the driver.
pub(super) const BLOCK: Bdf = Bdf::new(0, 4, 0);

/// A transcript in the making.
pub(super) struct Transcript {
    pub recorder: Recorder,
    pub end: End,
}

impl Transcript {
    pub fn new() -> Self {
        Self { recorder: Recorder::new().witness(), end: End::Success }
    }

    pub fn entries(&self) -> &[Entry] {
        self.recorder.entries()
    }

    /// The guest does something.
    pub fn guest(&mut self, event: Event) {
        self.recorder.record(Actor::Guest, event);
    }

    /// The device does something.
    pub fn device(&mut self, event: Event) {
        self.recorder.record(Actor::Device(BLOCK), event);
    }

    pub fn load(&mut self, register: Register, width: u8, value: u64) {
        self.guest(Event::Register { register, access: Access::Load { width, value } });
    }

    pub fn store(&mut self, register: Register, width: u8, value: u64) {
        self.guest(Event::Register { register, access: Access::Store { width, value } });
    }

    pub fn refused(&mut self, register: Register, access: Access, why: Refusal) {
        self.guest(Event::Refused { register, access, why });
    }

    /// Stores to a register of the common configuration.
    pub fn common(&mut self, register: CommonCfg, value: u64) {
        self.store(Register::Common { function: BLOCK, register }, register.width(), value);
    }

    /// Loads a register of the common configuration.
    pub fn common_load(&mut self, register: CommonCfg, value: u64) {
        self.load(Register::Common { function: BLOCK, register }, register.width(), value);
    }

    /// Stores to the status, one value after the other.
    pub fn status(&mut self, values: &[u8]) {
        for &value in values {
            self.common(CommonCfg::DeviceStatus, value.into());
        }
    }

    /// Stores to a legacy register.
    pub fn legacy(&mut self, register: LegacyCfg, value: u64) {
        self.store(Register::Legacy { function: BLOCK, register }, register.width(), value);
    }

    /// Loads a legacy register.
    pub fn legacy_load(&mut self, register: LegacyCfg, value: u64) {
        self.load(Register::Legacy { function: BLOCK, register }, register.width(), value);
    }

    /// Loads a register of the block configuration.
    pub fn block_load(&mut self, register: BlockCfg, value: u64) {
        self.load(Register::Block { function: BLOCK, register }, register.width(), value);
    }

    /// A register of a type 0 header of `function`.
    pub fn header(function: Bdf, register: ConfigHeader) -> Register {
        Self::config(function, register.offset(), None)
    }

    /// Configuration space of `function`, maybe in a capability that begins at an offset.
    pub fn config(
        function: Bdf,
        offset: u16,
        capability: Option<(CapabilityKind, u8)>,
    ) -> Register {
        Register::Config {
            function,
            mechanism: Mechanism::Cam,
            header: Header::Device,
            offset,
            capability: capability.map(|(kind, at)| Capability { kind, at }),
        }
    }

    /// Rings a queue's doorbell as a driver does without NOTIFICATION_DATA.
    pub fn notify(&mut self, queue: u16) {
        self.store(Register::Notify { function: BLOCK, queue }, 2, queue.into());
    }

    /// Resets the device, negotiates these features (window 0 and 1), and goes on to
    /// FEATURES_OK, all as it should be done.
    pub fn negotiate(&mut self, offered: [u32; 2], accepted: [u32; 2]) {
        self.status(&[0]);
        self.common_load(CommonCfg::DeviceStatus, 0);
        self.status(&[1, 3]);
        for (window, offered) in (0..).zip(offered) {
            self.common(CommonCfg::DeviceFeatureSelect, window);
            self.common_load(CommonCfg::DeviceFeature, offered.into());
        }
        for (window, accepted) in (0..).zip(accepted) {
            self.common(CommonCfg::DriverFeatureSelect, window);
            self.common(CommonCfg::DriverFeature, accepted.into());
        }
        self.status(&[0x0b]);
        self.common_load(CommonCfg::DeviceStatus, 0x0b);
    }

    /// Sets up a queue of `size` entries at 0x10000, 0x11000 and 0x12000, as it should be done.
    pub fn enable(&mut self, queue: u16, size: u16) {
        self.common(CommonCfg::QueueSelect, queue.into());
        self.common_load(CommonCfg::QueueSize, size.into());
        self.common(CommonCfg::QueueSize, size.into());
        self.common_load(CommonCfg::QueueNotifyOff, queue.into());
        let addresses = [
            (CommonCfg::QueueDescLow, CommonCfg::QueueDescHigh, 0x10000),
            (CommonCfg::QueueDriverLow, CommonCfg::QueueDriverHigh, 0x11000),
            (CommonCfg::QueueDeviceLow, CommonCfg::QueueDeviceHigh, 0x12000),
        ];
        for (low, high, address) in addresses {
            self.common(low, address);
            self.common(high, 0);
        }
        self.common(CommonCfg::QueueEnable, 1);
    }

    /// A device that is driven as it should be up to DRIVER_OK, with VERSION_1 and these
    /// features of window 0, and queue 0 of 8 entries.
    pub fn driven(features: u32) -> Self {
        let mut transcript = Self::new();
        transcript.negotiate([features, 1], [features, 1]);
        transcript.enable(0, 8);
        transcript.status(&[0x0f]);
        transcript
    }

    /// The device reads a field of queue 0.
    pub fn ring(&mut self, field: Ring, value: u16) {
        let access = Access::Load { width: 2, value: value.into() };
        self.device(Event::Ring { queue: 0, field, access });
    }

    /// The device writes a field of queue 0.
    pub fn ring_write(&mut self, field: Ring, value: u16) {
        let access = Access::Store { width: 2, value: value.into() };
        self.device(Event::Ring { queue: 0, field, access });
    }

    /// The device reads a descriptor of queue 0.
    pub fn desc(&mut self, index: u16, addr: u64, len: u32, flags: u16, next: u16) {
        let flags = DescriptorFlags(flags);
        self.device(Event::Descriptor {
            queue: 0,
            table: Table::Queue,
            index,
            addr,
            len,
            flags,
            next,
        });
    }

    /// The guest stores to a watched area of queue 0.
    pub fn ram(&mut self, area: Area, offset: u32, width: u8, value: u64) {
        self.ram_access(area, offset, Access::Store { width, value });
    }

    /// The guest loads from a watched area of queue 0.
    pub fn ram_load(&mut self, area: Area, offset: u32, width: u8, value: u64) {
        self.ram_access(area, offset, Access::Load { width, value });
    }

    fn ram_access(&mut self, area: Area, offset: u32, access: Access) {
        let start = match area {
            Area::Desc | Area::PackedDesc => 0x10000,
            Area::Avail | Area::DriverEvent => 0x11000,
            Area::UsedEvent => 0x11000 + 20,
            Area::Used | Area::DeviceEvent => 0x12000,
            Area::AvailEvent => 0x12000 + 68,
        };
        let place = Place::Area { function: BLOCK, queue: 0, area, offset };
        self.guest(Event::Ram { place, addr: start + u64::from(offset), access });
    }

    /// The guest stores a descriptor of the table, field by field.
    pub fn ram_desc(&mut self, index: u16, addr: u64, len: u32, flags: u16, next: u16) {
        let base = 16 * u32::from(index);
        self.ram(Area::Desc, base, 8, addr);
        self.ram(Area::Desc, base + 8, 4, len.into());
        self.ram(Area::Desc, base + 12, 2, flags.into());
        self.ram(Area::Desc, base + 14, 2, next.into());
    }

    /// The device writes a used element of queue 0, and the index behind it.
    pub fn used(&mut self, slot: u16, id: u32) {
        self.device(Event::Used { queue: 0, slot, id, len: 0 });
        self.ring_write(Ring::UsedIdx, slot + 1);
    }

    /// A fault of the device has an effect.
    pub fn fault(&mut self, effect: Effect) {
        self.device(Event::Fault { fault: "F".into(), effect: Box::new(effect) });
    }

    /// What the rule called `id`, and no other, has to say: how often it was kept, and what it
    /// saw where it was broken.
    pub fn judged(&self, id: &str) -> (u64, Vec<String>) {
        let rule = find(id).unwrap_or_else(|| panic!("no rule {id}"));
        let judged = self.judged_by(rule);
        let more = self.judged_by(rule.shown_more());
        assert_eq!(judged, more, "{id} is not shown all that concerns it");
        judged
    }

    fn judged_by(&self, rule: &'static Rule) -> (u64, Vec<String>) {
        let mut judge = Judge::by([rule]);
        for entry in self.entries() {
            judge.see(entry);
        }
        let report = judge.finish(self.end);
        let seen = report.findings.iter().map(|finding| finding.seen.clone()).collect();
        (report.rules[0].1.kept, seen)
    }

    /// Asserts that the rule applied `times` times and was never broken.
    #[track_caller]
    pub fn keeps(&self, id: &str, times: u64) {
        assert_eq!(self.judged(id), (times, Vec::new()), "{id}");
    }

    /// Asserts that the rule was broken so often, and saw this.
    #[track_caller]
    pub fn breaks(&self, id: &str, seen: &[&str]) {
        assert_eq!(self.judged(id).1, seen, "{id}");
    }
}
