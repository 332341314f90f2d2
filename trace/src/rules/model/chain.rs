use crate::{DescriptorFlags, Table};

/// A descriptor of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Element {
    /// Where it is.
    pub table: Table,
    /// Which it is there.
    pub index: u16,
    /// Guest-physical address of its buffer.
    pub addr: u64,
    /// Bytes.
    pub len: u32,
    /// Its flags.
    pub flags: DescriptorFlags,
    /// The next one, in a split queue.
    pub next: Option<u16>,
}

impl Element {
    /// Whether it is the device's to write.
    pub fn writable(&self) -> bool {
        self.flags.contains(DescriptorFlags::WRITE)
    }

    /// Whether it names a table of descriptors.
    pub fn indirect(&self) -> bool {
        self.flags.contains(DescriptorFlags::INDIRECT)
    }
}

/// A chain of descriptors, or a list of a packed queue, as the device read it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    /// Its head; of a packed queue, its buffer ID.
    pub head: u16,
    /// The slot of a packed ring where it begins.
    pub slot: Option<u16>,
    /// The entry with which the device took it.
    pub seq: u64,
    /// Its descriptors in their order, those of an indirect table behind the one that names it.
    pub elements: Vec<Element>,
    /// Whether the device has read all of it.
    pub complete: bool,
    /// Whether the device has given it back.
    pub used: bool,
    /// Whether its head was available twice: the device has it already.
    pub twice: bool,
    /// A descriptor of the queue that is another chain's too, once all of it was read.
    pub shares: Option<u16>,
    /// Entries of its indirect table, once it has one.
    table_len: Option<u32>,
    /// How many of them were read.
    table_read: u32,
}

impl Chain {
    /// Longer ones are not followed: no queue is larger.
    const LONGEST: usize = 1 << 16;

    pub(super) fn split(head: u16, seq: u64) -> Self {
        Self { head, seq, ..Self::default() }
    }

    pub(super) fn packed(slot: u16, seq: u64) -> Self {
        Self { slot: Some(slot), seq, ..Self::default() }
    }

    /// The buffers, in their order: every descriptor that does not name a table.
    pub fn buffers(&self) -> impl DoubleEndedIterator<Item = &Element> {
        self.elements.iter().filter(|element| !element.indirect())
    }

    /// Bytes for the device to read.
    pub fn readable(&self) -> u64 {
        self.buffers().filter(|buffer| !buffer.writable()).map(|buffer| u64::from(buffer.len)).sum()
    }

    /// Bytes for the device to write.
    pub fn writable(&self) -> u64 {
        self.buffers().filter(|buffer| buffer.writable()).map(|buffer| u64::from(buffer.len)).sum()
    }

    pub(super) fn add(
        &mut self,
        table: Table,
        index: u16,
        addr: u64,
        len: u32,
        flags: DescriptorFlags,
        next: Option<u16>,
    ) {
        if self.elements.len() >= Self::LONGEST {
            return;
        }
        let element = Element { table, index, addr, len, flags, next };
        self.elements.push(element);
        let goes_on = flags.contains(DescriptorFlags::NEXT);
        self.complete = match table {
            Table::Queue if element.indirect() => {
                self.table_len = Some(len / 16);
                false
            }
            Table::Queue => !goes_on,
            // The entries of a packed table have no flag that says where it ends.
            Table::Indirect => {
                self.table_read += 1;
                match next {
                    Some(_) => !goes_on,
                    None => self.table_len.is_none_or(|len| self.table_read >= len),
                }
            }
        };
    }
}
