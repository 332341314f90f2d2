use super::{Chain, Element, Holders, PackedShadow, Shadow};
use crate::register::CommonCfg;
use crate::{Access, Effect, Entry, Event, Ring, Table};

/// A half of an address of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are named as the registers are")]
pub enum Half {
    DescLow,
    DescHigh,
    DriverLow,
    DriverHigh,
    DeviceLow,
    DeviceHigh,
}

impl Half {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::DescLow,
        Self::DescHigh,
        Self::DriverLow,
        Self::DriverHigh,
        Self::DeviceLow,
        Self::DeviceHigh,
    ];

    /// The register.
    pub fn register(self) -> CommonCfg {
        match self {
            Half::DescLow => CommonCfg::QueueDescLow,
            Half::DescHigh => CommonCfg::QueueDescHigh,
            Half::DriverLow => CommonCfg::QueueDriverLow,
            Half::DriverHigh => CommonCfg::QueueDriverHigh,
            Half::DeviceLow => CommonCfg::QueueDeviceLow,
            Half::DeviceHigh => CommonCfg::QueueDeviceHigh,
        }
    }

    /// The register's name.
    pub fn name(self) -> &'static str {
        self.register().name()
    }

    pub(super) fn of(register: CommonCfg) -> Option<Self> {
        Self::ALL.into_iter().find(|half| half.register() == register)
    }
}

/// A virtqueue, as its driver knows it, and what its device took from it.
#[derive(Debug)]
pub struct Queue {
    /// Which.
    pub index: u16,
    /// The size that was last loaded, since the last reset.
    pub size_loaded: Option<u16>,
    /// The size that was last stored, since the last reset.
    pub size_stored: Option<u16>,
    /// The largest size that it can have: the one that was loaded before any was stored.
    pub size_offered: Option<u16>,
    /// The halves of the three addresses that were stored, since the last reset.
    pub halves: [Option<u32>; 6],
    /// The MSI-X vector that was stored, since the last reset.
    pub vector: Option<u16>,
    /// `queue_notify_off`, as it was loaded.
    pub notify_off: Option<u16>,
    /// `queue_notif_config_data`, as it was loaded.
    pub notify_data: Option<u16>,
    /// How often it was reset by itself, since the last reset of the device.
    pub resets: u32,
    /// Whether it was enabled (a legacy queue: placed), and no reset since.
    pub enabled: bool,
    /// How often it was notified, since the last reset.
    pub notified: u64,
    /// `avail.idx`, as the device last read it.
    pub avail_idx: Option<u16>,
    /// `used.idx`, as the device last wrote it.
    pub used_idx: Option<u16>,
    /// `used.flags`, as the device last wrote it, if it ever did.
    pub used_flags: Option<u16>,
    /// `avail_event`, as the device last wrote it, if it ever did.
    pub avail_event: Option<u16>,
    /// The chain that the device is reading, or read last.
    pub walking: Option<Chain>,
    /// The chains that the device read and has not given back.
    pub outstanding: Vec<Chain>,
    /// The descriptors that it has.
    pub holders: Holders,
    /// How often it was notified when the device last looked what is available.
    pub looked: u64,
    /// What the driver stored to its rings, if they are watched.
    pub shadow: Option<Box<Shadow>>,
    /// The same of a packed ring.
    pub packed: Option<Box<PackedShadow>>,
    /// Whether a fault wrote to `avail_event`, which nobody asked for.
    pub littered: bool,
    /// Whether a fault made the driver see another state of the rings than the transcript tells.
    pub forged: bool,
}

impl Queue {
    /// The most chains that a queue can have outstanding (VIRTIO 1.4, 2.7 and 2.8.10.1).
    const MOST: usize = 32768;

    pub(super) fn new(index: u16) -> Self {
        Self {
            index,
            size_loaded: None,
            size_stored: None,
            size_offered: None,
            halves: [None; 6],
            vector: None,
            notify_off: None,
            notify_data: None,
            resets: 0,
            enabled: false,
            notified: 0,
            avail_idx: None,
            used_idx: None,
            used_flags: None,
            avail_event: None,
            walking: None,
            outstanding: Vec::new(),
            holders: Holders::default(),
            looked: 0,
            shadow: None,
            packed: None,
            littered: false,
            forged: false,
        }
    }

    /// The size in force, as far as it is known.
    pub fn size(&self) -> Option<u16> {
        self.size_stored.or(self.size_loaded)
    }

    /// A half of an address, if it was stored.
    pub fn half(&self, half: Half) -> Option<u32> {
        self.halves[half as usize]
    }

    /// The address of the descriptor area, if both halves were stored.
    pub fn desc(&self) -> Option<u64> {
        self.address(Half::DescLow, Half::DescHigh)
    }

    /// The address of the driver area.
    pub fn driver(&self) -> Option<u64> {
        self.address(Half::DriverLow, Half::DriverHigh)
    }

    /// The address of the device area.
    pub fn device(&self) -> Option<u64> {
        self.address(Half::DeviceLow, Half::DeviceHigh)
    }

    fn address(&self, low: Half, high: Half) -> Option<u64> {
        Some(u64::from(self.half(high)?) << 32 | u64::from(self.half(low)?))
    }

    /// The outstanding chain with this head, or buffer ID.
    pub fn outstanding(&self, head: u16) -> Option<&Chain> {
        self.outstanding.iter().find(|chain| chain.head == head)
    }

    /// Whether the device has memory at `addr` by a chain, or may have by one that is available
    /// and was not read. One that it gave back and will give back again is the driver's.
    pub fn may_have(&self, addr: u64) -> bool {
        let split = self.shadow.as_ref().is_some_and(|shadow| shadow.taken != shadow.idx);
        let packed = self.packed.as_ref().is_some_and(|packed| packed.waits(&self.holders));
        let walking = self.walking.as_ref().filter(|chain| !chain.used);
        let has = |element: &Element| {
            addr.checked_sub(element.addr).is_some_and(|inside| inside < element.len.into())
        };
        let mut chains = self.outstanding.iter().chain(walking);
        split || packed || chains.any(|chain| chain.elements.iter().any(has))
    }

    /// How many chains the device has.
    pub fn held(&self) -> usize {
        let walking = self.walking.as_ref().filter(|chain| !chain.used);
        self.outstanding.len() + usize::from(walking.is_some())
    }

    /// The chain of a request that the device has: that with this head, or of a packed queue that
    /// begins at this slot.
    pub fn request(&self, head: u16) -> Option<&Chain> {
        let walking = self.walking.as_ref().filter(|chain| !chain.used);
        let mut chains = self.outstanding.iter().chain(walking);
        chains.find(|chain| chain.slot.unwrap_or(chain.head) == head)
    }

    pub(super) fn access(&mut self, register: CommonCfg, access: Access) {
        let (value, store) = (access.value(), access.is_store());
        if let Some(half) = Half::of(register) {
            if store {
                self.halves[half as usize] = Some(value as u32);
                if access.width() == 8 {
                    self.halves[half as usize + 1] = Some((value >> 32) as u32);
                }
            }
            return;
        }
        match (register, store) {
            (CommonCfg::QueueSize, true) => self.size_stored = Some(value as u16),
            (CommonCfg::QueueSize, false) => self.offer(value as u16),
            (CommonCfg::QueueMsixVector, true) => self.vector = Some(value as u16),
            (CommonCfg::QueueNotifyOff, false) => self.notify_off = Some(value as u16),
            (CommonCfg::QueueNotifConfigData, false) => self.notify_data = Some(value as u16),
            (CommonCfg::QueueEnable, true) => self.enabled |= value == 1,
            (CommonCfg::QueueReset, true) if value == 1 => {
                let Self { index, notify_off, notify_data, resets, .. } = *self;
                *self = Self { notify_off, notify_data, resets: resets + 1, ..Self::new(index) };
            }
            _ => {}
        }
    }

    /// The driver loaded the size.
    pub(super) fn offer(&mut self, size: u16) {
        self.size_loaded = Some(size);
        if self.size_stored.is_none() {
            self.size_offered = Some(size);
        }
    }

    /// A legacy queue is one block: descriptors, available ring, and on the next page the used
    /// ring (VIRTIO 1.4, 2.7.2).
    pub(super) fn place_legacy(&mut self, frame: u32) {
        let desc = u64::from(frame) << 12;
        let size = u64::from(self.size_loaded.unwrap_or(0));
        let driver = desc + 16 * size;
        let device = (driver + 6 + 2 * size).next_multiple_of(4096);
        for (place, address) in [desc, driver, device].into_iter().enumerate() {
            self.halves[2 * place] = Some(address as u32);
            self.halves[2 * place + 1] = Some((address >> 32) as u32);
        }
        self.enabled = frame != 0;
    }

    pub(super) fn notify(&mut self) {
        self.notified += 1;
        self.holders.look();
        if let Some(shadow) = &mut self.shadow {
            shadow.ring();
        }
    }

    /// What an entry adds to the chain that the device is reading.
    pub(super) fn walk(&mut self, entry: &Entry) {
        match entry.event {
            Event::Ring { field: Ring::AvailIdx | Ring::DescriptorFlags(_), .. } => {
                self.holders.look();
            }
            Event::Ring { field: Ring::AvailRing(_), access, .. } if !access.is_store() => {
                self.begin(Chain::split(access.value() as u16, entry.seq));
            }
            Event::Descriptor { table, index, addr, len, flags, next, .. } => {
                if let Some(chain) = &mut self.walking {
                    chain.add(table, index, addr, len, flags, Some(next));
                }
                self.complete();
            }
            Event::PackedDescriptor { table, index, addr, len, id, flags, .. } => {
                let begins = table == Table::Queue
                    && self.walking.as_ref().is_none_or(|chain| chain.complete);
                if begins {
                    self.begin(Chain::packed(index, entry.seq));
                }
                if let Some(chain) = &mut self.walking {
                    chain.add(table, index, addr, len, flags, None);
                    if table == Table::Queue {
                        chain.head = id;
                    }
                }
                self.complete();
            }
            _ => {}
        }
    }

    fn begin(&mut self, mut chain: Chain) {
        let first = chain.slot.unwrap_or(chain.head);
        chain.twice = !self.forged && self.holders.holds(first);
        let before = self.walking.replace(chain);
        self.outstanding.extend(before.filter(|chain| !chain.used));
        // No queue has more: what a device never gives back must not fill memory.
        if self.outstanding.len() > Self::MOST {
            self.outstanding.remove(0);
        }
    }

    /// The device has read all of a chain.
    fn complete(&mut self) {
        let Some(chain) = self.walking.as_mut().filter(|chain| chain.complete) else { return };
        let of_queue = |element: &&Element| element.table == Table::Queue;
        if !self.forged {
            let mut elements = chain.elements.iter().filter(of_queue);
            chain.shares = elements.find(|e| self.holders.holds(e.index)).map(|e| e.index);
        }
        for element in chain.elements.iter().filter(of_queue) {
            self.holders.take(element.index);
        }
    }

    pub(super) fn take(&mut self, entry: &Entry) {
        match entry.event {
            Event::Ring { field, access, .. } => match (field, access.is_store()) {
                (Ring::AvailIdx, false) => {
                    self.avail_idx = Some(access.value() as u16);
                    self.looked = self.notified;
                }
                (Ring::AvailRing(_), false) => {
                    if let Some(shadow) = &mut self.shadow {
                        shadow.taken = shadow.taken.wrapping_add(1);
                    }
                }
                (Ring::UsedIdx, true) => self.used_idx = Some(access.value() as u16),
                (Ring::UsedFlags, true) => self.used_flags = Some(access.value() as u16),
                (Ring::AvailEvent, true) => self.avail_event = Some(access.value() as u16),
                _ => {}
            },
            // A number that no descriptor has gives nothing back.
            Event::Used { id, .. } => {
                if let Ok(head) = u16::try_from(id) {
                    self.give_back(head);
                }
            }
            Event::PackedUsed { id, .. } => self.give_back(id),
            _ => {}
        }
    }

    /// A fault had an effect on what is in the rings.
    pub(super) fn faulted(&mut self, effect: &Effect) {
        match *effect {
            Effect::Memory { addr, value: Some(value), len: 2 } if self.device() == Some(addr) => {
                self.used_flags = Some(value as u16);
            }
            Effect::Memory { addr, len: 2, .. } if self.avail_event_at() == Some(addr) => {
                self.littered = true;
            }
            Effect::RingLoad { .. }
            | Effect::RingStore { .. }
            | Effect::UsedNotWritten { .. }
            | Effect::UsedIdx { .. }
            | Effect::Memory { .. } => self.forged = true,
            _ => {}
        }
    }

    /// Where `avail_event` of a split queue is.
    fn avail_event_at(&self) -> Option<u64> {
        self.device()?.checked_add(4 + 8 * u64::from(self.size()?))
    }

    fn give_back(&mut self, head: u16) {
        let place = self.outstanding.iter().position(|chain| chain.head == head);
        let chain = match place {
            Some(place) => &self.outstanding[place],
            None => match self.walking.as_mut().filter(|c| c.head == head && !c.used) {
                Some(chain) => {
                    chain.used = true;
                    chain
                }
                None => return,
            },
        };
        for element in chain.elements.iter().filter(|element| element.table == Table::Queue) {
            self.holders.give_back(element.index);
            if let Some(packed) = &mut self.packed {
                packed.give_back(element.index);
            }
        }
        if let Some(place) = place {
            self.outstanding.remove(place);
        }
    }
}
