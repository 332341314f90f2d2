use eclipse_trace::register::CapabilityKind;
use eclipse_trace::{Bdf, Pin};

use super::Features;
use super::blk::Blk;
use super::settings::{Transport, VirtioConfig};
use crate::pci::{BarKind, ConfigSpace, Identity, Msix};

/// Where a virtio function's BARs are placed at power-on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Addresses {
    /// I/O ports, of the legacy interface.
    pub(crate) ports: u64,
    /// 32-bit memory, for MSI-X.
    pub(crate) msix: u64,
    /// 64-bit memory, for the structures.
    pub(crate) structures: u64,
    /// 32-bit memory and I/O ports, for structures with a BAR of their own.
    pub(crate) spread: (u64, u64),
}

/// What is where in a virtio function's BARs.
///
/// The structures are parts of BAR 4, a page or more each: common configuration,
/// ISR status, device configuration, notifications. With `spread_bars` only the first is
/// there; an offset in another BAR then stands for the one that it would have in BAR 4.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// The BAR of the MSI-X table: BAR 0 is the legacy interface's where there is one.
    pub(crate) msix_bar: u8,
    /// Where the pending bits begin in it.
    pub(crate) msix_pba: u64,
    /// Where the notification structure begins in BAR 4, and its length.
    pub(crate) notify: (u64, u64),
    /// Whether the structures have BARs of their own.
    spread: bool,
}

/// A function's configuration space, and what of it needs to be known by place.
pub(crate) struct Parts {
    pub(crate) config: ConfigSpace,
    /// `None` where the function has no MSI-X.
    pub(crate) msix: Option<Msix>,
    /// The capability of the window into the BARs (VIRTIO 1.4, 4.1.4.9).
    pub(crate) window: Option<u8>,
}

impl Layout {
    /// The BAR of the legacy interface.
    pub(crate) const LEGACY_BAR: u8 = 0;
    /// The BAR of the structures.
    pub(crate) const STRUCTURES_BAR: u8 = 4;
    pub(crate) const COMMON: u64 = 0;
    pub(crate) const ISR: u64 = 0x1000;
    pub(crate) const DEVICE: u64 = 0x2000;
    /// Bytes of each structure but the notifications.
    pub(crate) const PART: u64 = 0x1000;
    /// The BAR of ISR status and device configuration, where they have one.
    const SPREAD_MEMORY_BAR: u8 = 2;
    /// The BAR of the notifications, where they have one.
    const SPREAD_PORTS_BAR: u8 = 3;
    const PORTS: u64 = 0x80;
    const VENDOR: u16 = 0x1af4;
    /// Added to the virtio device ID (VIRTIO 1.4, 4.1.2).
    const MODERN_DEVICE: u16 = 0x1040;
    /// The transitional ID of a block device (4.1.2).
    const TRANSITIONAL_DEVICE: u16 = 0x1001;

    pub(crate) fn of(virtio: &VirtioConfig, queues: u16) -> Self {
        let doorbells = u64::from(queues) * u64::from(virtio.notify_multiplier) + 4;
        let least = if virtio.spread_bars { 4 } else { Self::PART };
        let notify_length = doorbells.next_power_of_two().max(least);
        let table = 16 * u64::from(virtio.vectors);
        Self {
            msix_bar: if virtio.transport.has_legacy() { 1 } else { 0 },
            msix_pba: table.next_power_of_two().max(0x800),
            notify: (notify_length.max(3 * Self::PART), notify_length),
            spread: virtio.spread_bars,
        }
    }

    /// Where in BAR 4 a place of another BAR would be, if the structures were all there;
    /// `None` where there are none.
    pub(crate) fn structure_offset(&self, bar: u8, offset: u64) -> Option<u64> {
        let start = match (bar, self.spread) {
            (Self::STRUCTURES_BAR, _) => Self::COMMON,
            (Self::SPREAD_MEMORY_BAR, true) => Self::ISR,
            (Self::SPREAD_PORTS_BAR, true) => self.notify.0,
            _ => return None,
        };
        Some(start + offset)
    }

    /// The configuration space, and what of it needs to be known by place.
    pub(crate) fn build(
        &self,
        function: Bdf,
        virtio: &VirtioConfig,
        addresses: Addresses,
    ) -> Parts {
        let mut config =
            ConfigSpace::new(Self::identity(virtio.transport)).with_interrupt_pin(Pin::A);
        if virtio.transport.has_legacy() {
            let kind = io(virtio);
            config = config.with_bar(Self::LEGACY_BAR, kind, Self::PORTS, addresses.ports);
        }
        let mut msix = None;
        if virtio.vectors > 0 {
            let size = 2 * self.msix_pba;
            config = config.with_bar(self.msix_bar, BarKind::Memory32, size, addresses.msix);
            let (with_msix, table) =
                Msix::new(config, function, virtio.vectors, self.msix_bar, 0, self.msix_pba as u32);
            (config, msix) = (with_msix, Some(table));
        }
        let mut window = None;
        if virtio.transport.has_modern() {
            let (with_structures, at) = self.add_structures(config, virtio, addresses);
            (config, window) = (with_structures, Some(at));
        }
        Parts { config, msix, window }
    }

    /// Adds the structures; returns where the window into the BARs is as well.
    fn add_structures(
        &self,
        config: ConfigSpace,
        virtio: &VirtioConfig,
        at: Addresses,
    ) -> (ConfigSpace, u8) {
        let config = self.add_bars(config, virtio, at);
        let (notify, notify_length) = self.notify;
        let (all, memory, ports) =
            (Self::STRUCTURES_BAR, Self::SPREAD_MEMORY_BAR, Self::SPREAD_PORTS_BAR);
        let spread = |bar, start| if self.spread { (bar, start) } else { (all, 0) };
        let parts = [
            (1, (all, 0), Self::COMMON, Self::PART, None),
            (3, spread(memory, Self::ISR), Self::ISR, Self::PART, None),
            (4, spread(memory, Self::ISR), Self::DEVICE, Self::PART, None),
            (2, spread(ports, notify), notify, notify_length, Some(virtio.notify_multiplier)),
        ];
        let config = parts.into_iter().fold(config, |config, part| {
            let (cfg_type, (bar, start), offset, length, extra) = part;
            let offset = offset - start;
            let body = capability_body(cfg_type, bar, offset as u32, length as u32, extra);
            config.with_capability(CapabilityKind::Virtio(cfg_type), &body).0
        });
        // 4.1.4.9.1: the window into the BARs; where it points is the driver's to say.
        let body = capability_body(5, 0, 0, 0, Some(0));
        let (config, at) = config.with_capability(CapabilityKind::Virtio(5), &body);
        let config = config
            .with_writable(at + 4, &[0xff])
            .with_writable(at + 8, &[0xff; 8])
            .with_writable(at + 16, &[0xff; 4]);
        (config, at)
    }

    fn add_bars(&self, config: ConfigSpace, virtio: &VirtioConfig, at: Addresses) -> ConfigSpace {
        let (notify, notify_length) = self.notify;
        if self.spread {
            let (memory, ports) = at.spread;
            return config
                .with_bar(Self::STRUCTURES_BAR, BarKind::Memory64, Self::PART, at.structures)
                .with_bar(Self::SPREAD_MEMORY_BAR, BarKind::Memory32, 2 * Self::PART, memory)
                .with_bar(Self::SPREAD_PORTS_BAR, io(virtio), notify_length, ports);
        }
        let size = (notify + notify_length).next_power_of_two().max(virtio.bar_size);
        config.with_bar(Self::STRUCTURES_BAR, BarKind::Memory64, size, at.structures)
    }

    fn identity(transport: Transport) -> Identity {
        // 4.1.2.1: a modern device has revision 1 or higher and a subsystem ID of
        // 0x40 or higher. 4.1.2.3: a transitional one has revision 0 and the virtio
        // device ID as its subsystem ID.
        let (device, revision, subsystem) = match transport {
            Transport::Modern => (Self::MODERN_DEVICE + Blk::DEVICE_ID, 1, 0x1100),
            Transport::Transitional | Transport::Legacy => {
                (Self::TRANSITIONAL_DEVICE, 0, Blk::DEVICE_ID)
            }
        };
        Identity {
            vendor: Self::VENDOR,
            device,
            revision,
            class: Blk::CLASS,
            subsystem_vendor: Self::VENDOR,
            subsystem,
        }
    }
}

fn io(virtio: &VirtioConfig) -> BarKind {
    if virtio.narrow_ports { BarKind::Io16 } else { BarKind::Io }
}

/// `struct virtio_pci_cap` behind its ID and next pointer (VIRTIO 1.4, 4.1.4).
fn capability_body(cfg_type: u8, bar: u8, offset: u32, length: u32, extra: Option<u32>) -> Vec<u8> {
    let cap_len = if extra.is_some() { 20 } else { 16 };
    let mut body = vec![cap_len, cfg_type, bar, 0, 0, 0];
    body.extend(offset.to_le_bytes());
    body.extend(length.to_le_bytes());
    body.extend(extra.into_iter().flat_map(u32::to_le_bytes));
    body
}

/// The features that a function offers: those of its device type, and those asked for.
pub(crate) fn offered(of_type: Features, virtio: &VirtioConfig) -> Features {
    let mut offered = (of_type | virtio.offer | Features::VERSION_1) - virtio.withhold;
    if !virtio.transport.has_modern() {
        // Only the first 32 bits exist (4.1.4.10), and any layout of a request is taken.
        offered = Features::from_bits_retain(offered.window(0).into());
    }
    if virtio.transport.has_legacy() {
        offered |= Features::ANY_LAYOUT - virtio.withhold;
    }
    offered
}
