/// Whether position `event` is among the `count` positions from `from` on, on a
/// circle of `cycle`: then the one who asked for `event` is to be notified.
///
/// This is `vring_need_event` (VIRTIO 1.4, 2.7.10 and appendix A) without its
/// tie to 16 bits: the indices of a split queue go round after 2^16, the slots
/// of a packed ring with their wrap counter after twice its size.
pub(super) fn passed(event: u32, from: u32, count: u32, cycle: u32) -> bool {
    (event + cycle - from) % cycle < count
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the specification's appendix has it.
    fn vring_need_event(event_idx: u16, new_idx: u16, old_idx: u16) -> bool {
        new_idx.wrapping_sub(event_idx).wrapping_sub(1) < new_idx.wrapping_sub(old_idx)
    }

    #[test]
    fn on_the_circle_of_u16_it_is_the_formula_of_the_specification() {
        let near = [0_u16, 1, 2, 7, 0x7ffe, 0x7fff, 0x8000, 0x8001, 0xfff8, 0xfffe, 0xffff];
        for event in near {
            for old in near {
                for count in [0_u16, 1, 2, 3, 8, 255, 256, 0x7fff, 0x8000] {
                    let new = old.wrapping_add(count);
                    let ours = passed(event.into(), old.into(), count.into(), 1 << 16);
                    let theirs = vring_need_event(event, new, old);
                    assert_eq!(ours, theirs, "event {event:#x}, {old:#x} to {new:#x}");
                }
            }
        }
    }
}
