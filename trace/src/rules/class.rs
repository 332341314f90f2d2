use crate::register::{CommonCfg, Structure};
use crate::{Access, Event, Register};

bitflags::bitflags! {
    /// Classes of entries, by which a rule says what it wants to be shown.
    ///
    /// An access that was refused is of the class of the structure that it met.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Sees: u32 {
        /// Loads from configuration space.
        const CONFIG_LOAD = 1 << 0;
        /// Stores to configuration space.
        const CONFIG_STORE = 1 << 26;
        /// Accesses to CONFIG_ADDRESS.
        const CONFIG_ADDRESS = 1 << 1;
        /// Accesses to the status in the common configuration.
        const STATUS = 1 << 2;
        /// Accesses to the features and their selectors there.
        const FEATURES = 1 << 27;
        /// Accesses to the fields of queues there, `queue_select` among them.
        const QUEUES = 1 << 28;
        /// Accesses to all else there, and where it has no field.
        const COMMON_OTHER = 1 << 29;
        /// Accesses to notification addresses.
        const NOTIFY = 1 << 3;
        /// Accesses to the ISR status.
        const ISR = 1 << 4;
        /// Accesses to the device's own configuration.
        const DEVICE_CONFIG = 1 << 5;
        /// Accesses to the legacy interface, its device configuration included.
        const LEGACY = 1 << 6;
        /// Accesses to the MSI-X table and pending bits.
        const MSIX = 1 << 7;
        /// Accesses to BARs where no structure is.
        const BAR = 1 << 8;
        /// Accesses that no device claimed.
        const UNCLAIMED = 1 << 9;
        /// Marks of the guest.
        const MARK = 1 << 10;
        /// Accesses to everything else.
        const OTHER = 1 << 11;
        /// The device's reads of fields of rings that stand alone.
        const RING_READ = 1 << 12;
        /// Its writes of such fields.
        const RING_WRITE = 1 << 31;
        /// The device's reads of descriptors of split queues.
        const SPLIT_DESCRIPTOR = 1 << 13;
        /// The device's reads of descriptors of packed queues.
        const PACKED_DESCRIPTOR = 1 << 30;
        /// The device's writes of used elements and used descriptors.
        const USED = 1 << 14;
        /// The device's reads and writes of buffers.
        const BUFFER = 1 << 15;
        /// Requests that the device carried out.
        const REQUEST = 1 << 16;
        /// Segments of requests.
        const SEGMENT = 1 << 17;
        /// Interrupts of devices.
        const INTERRUPT = 1 << 18;
        /// What the device itself called a violation, and that it needs a reset.
        const VIOLATION = 1 << 19;
        /// Effects of faults.
        const FAULT = 1 << 20;
        /// Console lines.
        const CONSOLE = 1 << 21;
        /// The guest's accesses to memory that is watched.
        const RAM = 1 << 22;
        /// What stood between an index and the look at the device's side.
        const BARRIER = 1 << 23;
        /// What the device found in memory.
        const SNAPSHOT = 1 << 24;
        /// What memory is for.
        const MEMORY = 1 << 25;

        /// Accesses to configuration space.
        const CONFIG = Self::CONFIG_LOAD.bits() | Self::CONFIG_STORE.bits();
        /// Accesses to the common configuration.
        const COMMON = Self::STATUS.bits() | Self::FEATURES.bits() | Self::QUEUES.bits()
            | Self::COMMON_OTHER.bits();
        /// The device's reads and writes of fields of rings that stand alone.
        const RING = Self::RING_READ.bits() | Self::RING_WRITE.bits();
        /// The device's reads of descriptors.
        const DESCRIPTOR = Self::SPLIT_DESCRIPTOR.bits() | Self::PACKED_DESCRIPTOR.bits();
        /// Every register of a virtio device behind its BARs, whatever the transport.
        const VIRTIO = Self::COMMON.bits() | Self::NOTIFY.bits() | Self::ISR.bits()
            | Self::DEVICE_CONFIG.bits() | Self::LEGACY.bits();
    }
}

impl Sees {
    /// The class of an event; exactly one.
    pub(super) fn of(event: &Event) -> Self {
        match event {
            Event::Register { register, access } | Event::Refused { register, access, .. } => {
                Self::register(register, *access)
            }
            Event::Ring { access, .. } if access.is_store() => Self::RING_WRITE,
            Event::Ring { .. } => Self::RING_READ,
            Event::Descriptor { .. } => Self::SPLIT_DESCRIPTOR,
            Event::PackedDescriptor { .. } => Self::PACKED_DESCRIPTOR,
            Event::Used { .. } | Event::PackedUsed { .. } => Self::USED,
            Event::Buffer { .. } => Self::BUFFER,
            Event::Request { .. } => Self::REQUEST,
            Event::Segment { .. } => Self::SEGMENT,
            Event::Msix { .. }
            | Event::MsixPending { .. }
            | Event::Intx { .. }
            | Event::Line { .. } => Self::INTERRUPT,
            Event::NeedsReset | Event::Violation { .. } => Self::VIOLATION,
            Event::Fault { .. } => Self::FAULT,
            Event::Console { .. } => Self::CONSOLE,
            Event::Ram { .. } => Self::RAM,
            Event::Barrier { .. } => Self::BARRIER,
            Event::Snapshot { .. } => Self::SNAPSHOT,
            Event::Memory { .. } => Self::MEMORY,
        }
    }

    fn register(register: &Register, access: Access) -> Self {
        match register {
            Register::ConfigAddress => Self::CONFIG_ADDRESS,
            Register::Config { .. } if access.is_store() => Self::CONFIG_STORE,
            Register::Config { .. } => Self::CONFIG_LOAD,
            Register::Common { register, .. } => Self::common(*register),
            Register::Notify { .. } => Self::NOTIFY,
            Register::Isr { .. } => Self::ISR,
            Register::Block { .. } => Self::DEVICE_CONFIG,
            Register::Legacy { .. } | Register::LegacyConfig { .. } => Self::LEGACY,
            Register::MsixTable { .. } | Register::MsixPba { .. } => Self::MSIX,
            Register::DebugMark => Self::MARK,
            Register::Unclaimed { .. } => Self::UNCLAIMED,
            Register::AtaData { .. }
            | Register::Ata { .. }
            | Register::DebugExit
            | Register::ResetControl
            | Register::KeyboardCommand => Self::OTHER,
            Register::None { structure, .. } => match structure {
                Structure::Bar(_) => Self::BAR,
                Structure::Common => Self::COMMON_OTHER,
                Structure::Notify => Self::NOTIFY,
                Structure::Isr => Self::ISR,
                Structure::Block => Self::DEVICE_CONFIG,
                Structure::Legacy => Self::LEGACY,
                Structure::MsixTable | Structure::MsixPba => Self::MSIX,
            },
        }
    }

    fn common(register: CommonCfg) -> Self {
        use CommonCfg as C;
        match register {
            C::DeviceStatus => Self::STATUS,
            C::DeviceFeatureSelect
            | C::DeviceFeature
            | C::DriverFeatureSelect
            | C::DriverFeature => Self::FEATURES,
            C::ConfigMsixVector | C::NumQueues | C::ConfigGeneration => Self::COMMON_OTHER,
            C::QueueSelect
            | C::QueueSize
            | C::QueueMsixVector
            | C::QueueEnable
            | C::QueueNotifyOff
            | C::QueueDescLow
            | C::QueueDescHigh
            | C::QueueDriverLow
            | C::QueueDriverHigh
            | C::QueueDeviceLow
            | C::QueueDeviceHigh
            | C::QueueNotifConfigData
            | C::QueueReset => Self::QUEUES,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::jsonl;
    use crate::rules::{End, Judge, Report, Rule, all};

    impl Sees {
        /// These, and all other classes of the structures that they are parts of.
        fn whole(self) -> Self {
            let structures = [Self::CONFIG, Self::COMMON, Self::RING, Self::DESCRIPTOR];
            let met = structures.into_iter().filter(|structure| self.intersects(*structure));
            met.fold(self, Self::union)
        }
    }

    impl Rule {
        /// The same rule, which is shown whole structures.
        pub(in crate::rules) fn shown_more(&self) -> &'static Self {
            Box::leak(Box::new(Self { sees: self.sees.whole(), ..*self }))
        }
    }

    fn judged(run: &[u8], rules: impl Iterator<Item = &'static Rule>) -> Report {
        let mut text = Vec::new();
        GzDecoder::new(run).read_to_end(&mut text).unwrap();
        let mut judge = Judge::by(rules);
        jsonl::read(&text[..]).unwrap().entries.iter().for_each(|entry| judge.see(entry));
        judge.finish(End::Success)
    }

    #[test]
    fn what_a_rule_is_not_shown_does_not_concern_it() {
        let boot = include_bytes!("../../benches/data/boot.jsonl.gz").as_slice();
        let rings = include_bytes!("../../benches/data/rings.jsonl.gz").as_slice();
        for run in [boot, rings] {
            let shown = judged(run, all());
            let more = judged(run, all().map(|rule| rule.shown_more()));
            for ((rule, shown), (_, more)) in shown.rules.iter().zip(&more.rules) {
                assert_eq!((shown.kept, shown.broken), (more.kept, more.broken), "{}", rule.id);
            }
        }
    }
}
