/// Which descriptors of a queue the device has, as far as its reads and writes tell.
///
/// What the device takes one after the other when it looks once was made available before the
/// first of it was used: until the next look, nothing that it took is free.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    /// By index: 0 for free, `HELD`, or the look in which it was given back.
    descriptors: Vec<u32>,
    look: u32,
}

impl Holders {
    const HELD: u32 = u32::MAX;

    /// Whether the driver had no reason to believe that this descriptor is free.
    pub fn holds(&self, index: u16) -> bool {
        let state = self.descriptors.get(usize::from(index)).copied().unwrap_or(0);
        state == Self::HELD || state != 0 && state == self.look
    }

    /// Whether the device has this descriptor.
    pub fn has(&self, index: u16) -> bool {
        self.descriptors.get(usize::from(index)) == Some(&Self::HELD)
    }

    /// The device looks what is available.
    pub(super) fn look(&mut self) {
        // It begins anew long before it would be `HELD`; a descriptor given back four thousand
        // million looks ago matters to nobody.
        self.look = if self.look >= Self::HELD - 1 { 1 } else { self.look + 1 };
    }

    pub(super) fn take(&mut self, index: u16) {
        self.set(index, Self::HELD);
    }

    pub(super) fn give_back(&mut self, index: u16) {
        self.set(index, self.look);
    }

    fn set(&mut self, index: u16, state: u32) {
        let place = usize::from(index);
        if self.descriptors.len() <= place {
            self.descriptors.resize(place + 1, 0);
        }
        self.descriptors[place] = state;
    }
}
