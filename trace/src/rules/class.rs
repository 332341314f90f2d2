use crate::register::Structure;
use crate::{Event, Register};

bitflags::bitflags! {
    /// Classes of entries, by which a rule says what it wants to be shown.
    ///
    /// An access that was refused is of the class of the structure that it met.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Sees: u32 {
        /// Accesses to configuration space.
        const CONFIG = 1 << 0;
        /// Accesses to CONFIG_ADDRESS.
        const CONFIG_ADDRESS = 1 << 1;
        /// Accesses to the common configuration.
        const COMMON = 1 << 2;
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
        /// The device's reads and writes of fields of rings that stand alone.
        const RING = 1 << 12;
        /// The device's reads of descriptors.
        const DESCRIPTOR = 1 << 13;
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

        /// Every register of a virtio device behind its BARs, whatever the transport.
        const VIRTIO = Self::COMMON.bits() | Self::NOTIFY.bits() | Self::ISR.bits()
            | Self::DEVICE_CONFIG.bits() | Self::LEGACY.bits();
    }
}

impl Sees {
    /// The class of an event; exactly one.
    pub(super) fn of(event: &Event) -> Self {
        match event {
            Event::Register { register, .. } | Event::Refused { register, .. } => {
                Self::register(register)
            }
            Event::Ring { .. } => Self::RING,
            Event::Descriptor { .. } | Event::PackedDescriptor { .. } => Self::DESCRIPTOR,
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

    fn register(register: &Register) -> Self {
        match register {
            Register::ConfigAddress => Self::CONFIG_ADDRESS,
            Register::Config { .. } => Self::CONFIG,
            Register::Common { .. } => Self::COMMON,
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
                Structure::Common => Self::COMMON,
                Structure::Notify => Self::NOTIFY,
                Structure::Isr => Self::ISR,
                Structure::Block => Self::DEVICE_CONFIG,
                Structure::Legacy => Self::LEGACY,
                Structure::MsixTable | Structure::MsixPba => Self::MSIX,
            },
        }
    }
}
