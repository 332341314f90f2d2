//! Tables of indirect descriptors (VIRTIO 1.4, 2.7.5.3 and 2.8.7).

use eclipse_trace::{PackedViolation, Table, Violation};

use super::{Chain, Descriptor, Flags, Layout};
use crate::Host;

/// Bytes of a descriptor.
const ENTRY: u32 = 16;

/// Appends the descriptors of the table that `descriptor`, the last of `chain`, names.
///
/// 2.7.5.3.2: its WRITE flag is ignored, and direct descriptors may come before it.
pub(super) fn walk_split(
    layout: &Layout,
    host: &mut Host<'_>,
    chain: &mut Chain,
    descriptor: &Descriptor,
) -> Result<(), Violation> {
    if !layout.rules.indirect {
        return Err(Violation::IndirectNotNegotiated(descriptor.index));
    }
    if descriptor.flags.contains(Flags::NEXT) {
        return Err(Violation::IndirectWithNext(descriptor.index));
    }
    if descriptor.len == 0 || !descriptor.len.is_multiple_of(ENTRY) {
        return Err(Violation::IndirectTableLength(descriptor.len));
    }
    chain.set_indirect(*descriptor);
    let entries = descriptor.len / ENTRY;
    let mut index = 0;
    loop {
        // 2.7.5.3.1: what counts are the descriptors of buffers, direct and indirect.
        if chain.len() >= layout.size.into() {
            return Err(Violation::ChainTooLong(chain.head()));
        }
        if u32::from(index) >= entries {
            return Err(Violation::IndirectIndex(index));
        }
        let entry = host.read_descriptor(layout.queue, Table::Indirect, index, descriptor.addr)?;
        if entry.flags.contains(Flags::INDIRECT) {
            return Err(Violation::NestedIndirect(index));
        }
        chain.push(entry)?;
        if !entry.flags.contains(Flags::NEXT) {
            return Ok(());
        }
        let next = entry.next;
        if layout.rules.in_order && next != index.wrapping_add(1) {
            return Err(Violation::InOrderIndirectNext { index, next });
        }
        index = next;
    }
}

/// The same for a packed ring, where the whole table is the list and WRITE is the
/// only flag that means something in it (2.8.7).
pub(super) fn walk_packed(
    layout: &Layout,
    host: &mut Host<'_>,
    chain: &mut Chain,
    descriptor: &Descriptor,
) -> Result<(), Violation> {
    if !layout.rules.indirect {
        return Err(PackedViolation::IndirectNotNegotiated(descriptor.index).into());
    }
    if chain.len() != 0 || descriptor.flags.contains(Flags::NEXT) {
        return Err(PackedViolation::IndirectInList(descriptor.index).into());
    }
    if descriptor.len == 0 || !descriptor.len.is_multiple_of(ENTRY) {
        return Err(PackedViolation::IndirectTableLength(descriptor.len).into());
    }
    let entries = match u16::try_from(descriptor.len / ENTRY) {
        Ok(entries) if entries <= layout.size => entries,
        _ => return Err(PackedViolation::ListTooLong(chain.head()).into()),
    };
    chain.set_indirect(*descriptor);
    for index in 0..entries {
        let entry = host.read_packed_entry(layout.queue, index, descriptor.addr)?;
        if !(entry.flags - Flags::WRITE).is_empty() {
            let flags = entry.flags.raw();
            host.violation(PackedViolation::IndirectFlags { index, flags }.into());
        }
        chain.push_packed(entry)?;
    }
    Ok(())
}
