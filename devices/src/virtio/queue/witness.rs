//! What a judge wants to know of the memory that a driver hands over, beside what the device uses.

use eclipse_trace::{Event, Snapshot, Table};

use super::{Chain, Descriptor, Queue, Ring};
use crate::Host;

impl Queue {
    /// The driver has just enabled it: what is in the fields that it is to have initialised.
    pub(crate) fn witness_enabled(&self, host: &mut Host<'_>) {
        use eclipse_trace::Ring as Field;
        let (driver, device) = (self.driver, self.device);
        let fields = match self.ring {
            Ring::Split(_) => [
                (Field::AvailFlags, driver),
                (Field::AvailIdx, driver.wrapping_add(2)),
                (Field::UsedFlags, device),
                (Field::UsedIdx, device.wrapping_add(2)),
            ],
            Ring::Packed(_) => [
                (Field::DriverEventDesc, driver),
                (Field::DriverEventFlags, driver.wrapping_add(2)),
                (Field::DeviceEventDesc, device),
                (Field::DeviceEventFlags, device.wrapping_add(2)),
            ],
        };
        for (field, addr) in fields {
            let mut value = [0; 2];
            if host.peek(addr, &mut value).is_some() {
                let found = Snapshot::Enabled { field, value: u16::from_le_bytes(value) };
                host.record(Event::Snapshot { queue: self.index, found });
            }
        }
    }

    /// The device has just taken `chain`: what is in the byte that the request's status goes to.
    pub(crate) fn witness_taken(&self, host: &mut Host<'_>, chain: &Chain) {
        let status = chain.descriptors().last().filter(|last| last.writable() && last.len != 0);
        let Some(last) = status else { return };
        let addr = last.addr.wrapping_add(u64::from(last.len) - 1);
        let mut value = [0];
        if host.peek(addr, &mut value).is_some() {
            let found = Snapshot::Status { head: chain.id(), value: value[0] };
            host.record(Event::Snapshot { queue: self.index, found });
        }
    }

    /// The device is about to carry out `chain`: which of its descriptors are not as they were
    /// when it took it.
    pub(crate) fn witness_altered(&self, host: &mut Host<'_>, chain: &Chain) {
        let table = chain.indirect().map(|descriptor| descriptor.addr);
        for taken in chain.descriptors().iter().chain(chain.indirect()) {
            let start = match taken.table {
                Table::Queue => Some(self.desc),
                Table::Indirect => table,
            };
            let Some(at) = start.map(|start| start.wrapping_add(16 * u64::from(taken.index)))
            else {
                continue;
            };
            if self.entry(host, taken, at).is_some_and(|now| now != *taken) {
                let (head, table, index) = (chain.id(), taken.table, taken.index);
                let found = Snapshot::Altered { head, table, index };
                host.record(Event::Snapshot { queue: self.index, found });
            }
        }
    }

    /// The descriptor that lies at `at` now.
    fn entry(&self, host: &Host<'_>, taken: &Descriptor, at: u64) -> Option<Descriptor> {
        let mut bytes = [0; 16];
        host.peek(at, &mut bytes)?;
        Some(match self.ring {
            Ring::Split(_) => Descriptor::from_bytes(taken.table, taken.index, bytes),
            Ring::Packed(_) => Descriptor::from_packed_bytes(taken.table, taken.index, bytes),
        })
    }
}
