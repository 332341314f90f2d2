//! The guest's accesses to its own memory, where somebody wants to see them.

use eclipse_trace::Access;

use super::{Platform, all_ones};
use crate::Host;
use crate::watch::{Watch, Watching};

/// Memory that is watched.
impl Platform {
    /// Records these accesses of the guest to its memory from now on, and no others.
    pub fn watch(&mut self, host: &Host<'_>, watching: Watching) {
        self.watcher.set(watching);
        self.watches.clear();
        self.look(host);
    }

    /// What [`Self::watch`] asked for.
    pub fn watching(&self) -> Watching {
        self.watcher.watching()
    }

    /// Queues may have moved, and chains come and gone: what is to be seen of memory follows.
    pub(super) fn look(&mut self, host: &Host<'_>) {
        if self.faults.is_none() && !self.watcher.is_on() {
            return;
        }
        let queues = self.pci.queues();
        self.watches.clear();
        if let Some(faults) = &mut self.faults {
            faults.learn(&queues);
            self.watches.extend(faults.watches());
        }
        self.watcher.learn(&queues);
        if self.watcher.follows() {
            self.watcher.follow(host, &self.pci.progress());
        }
        self.watches.extend(self.watcher.watches());
    }

    /// The parts of guest memory whose accesses are to be seen, by the faults at work or
    /// [as was asked](Self::watch), as it is after the last access.
    pub fn watches(&self) -> &[Watch] {
        &self.watches
    }

    /// Carries out a load of `width` bytes (1 to 8) of the guest from its own memory.
    ///
    /// It counts for no fault that counts accesses: how many there are depends on what
    /// else lies in a page.
    pub fn load_ram(&mut self, host: &mut Host<'_>, address: u64, width: u8) -> u64 {
        let Some(mut faults) = self.faults.take() else {
            let value = host.load_ram(address, width);
            self.record(host, address, Access::Load { width, value });
            return value;
        };
        let value = host.injecting(Some(&mut faults)).load_ram(address, width);
        // As with a register: what the guest gets.
        self.record(host, address, Access::Load { width, value });
        self.obey(host, &mut faults);
        self.lay_down(host, faults);
        value
    }

    /// Carries out a store of the low `width` bytes (1 to 8) of `value` of the guest to its
    /// own memory.
    pub fn store_ram(&mut self, host: &mut Host<'_>, address: u64, width: u8, value: u64) {
        let value = value & all_ones(width);
        self.record(host, address, Access::Store { width, value });
        let Some(mut faults) = self.faults.take() else {
            host.store_ram(address, width, value);
            return self.stored(host, address, width);
        };
        host.injecting(Some(&mut faults)).store_ram(address, width, value);
        self.watcher.stored(address, width);
        self.obey(host, &mut faults);
        self.lay_down(host, faults);
    }

    /// The guest is about to load `width` bytes (1 to 8) from its memory by itself: that is
    /// recorded, where it is watched. Faults have no part in it.
    pub fn loads_itself(&mut self, host: &mut Host<'_>, address: u64, width: u8) {
        let value = host.read_ram(address, width);
        self.record(host, address, Access::Load { width, value });
    }

    /// The guest has stored `width` bytes (1 to 8) to its memory by itself.
    pub fn stored_itself(&mut self, host: &mut Host<'_>, address: u64, width: u8) {
        let value = host.read_ram(address, width);
        self.record(host, address, Access::Store { width, value });
        self.stored(host, address, width);
    }

    /// There is something new in memory.
    fn stored(&mut self, host: &Host<'_>, address: u64, width: u8) {
        if self.watcher.follows() && self.watcher.exposes(address, width).is_some() {
            self.look(host);
        }
        self.watcher.stored(address, width);
    }

    /// Whether it matters if the guest meets a full memory barrier before its next access. Who
    /// carries out its instructions says so by [`Self::barrier`], or gives up by
    /// [`Self::lose_sight`].
    pub fn awaits_barrier(&self) -> bool {
        self.watcher.awaits_barrier()
    }

    /// The guest met a full memory barrier.
    pub fn barrier(&mut self) {
        self.watcher.barrier();
    }

    /// Nobody sees any more what the guest does between its accesses: nothing is recorded of
    /// the barrier that was looked for.
    pub fn lose_sight(&mut self) {
        self.watcher.leave_passage();
    }

    fn record(&mut self, host: &mut Host<'_>, address: u64, access: Access) {
        if let Some(event) = self.watcher.sees(address, access) {
            if let Some(barrier) = self.watcher.passed(&event) {
                host.record(barrier);
            }
            host.record(event);
        }
    }
}
