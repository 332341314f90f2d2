use super::*;

fn function() -> ConfigSpace {
    let identity = Identity {
        vendor: 0x1af4,
        device: 0x1042,
        revision: 1,
        class: 0x01_00_00,
        subsystem_vendor: 0x1af4,
        subsystem: 0x1100,
    };
    ConfigSpace::new(identity).with_bar(0, BarKind::Memory32, 0x1000, 0xfebc_1000).with_bar(
        4,
        BarKind::Memory64,
        0x4000,
        0x1_0000_0000,
    )
}

#[test]
fn the_header_holds_the_identity_in_its_places() {
    let config = function();
    assert_eq!(config.load(0x00, 4), 0x1042_1af4);
    assert_eq!(config.load(0x08, 4), 0x0100_0001);
    assert_eq!(config.load(0x0b, 1), 0x01);
    assert_eq!(config.load(0x2c, 4), 0x1100_1af4);
}

#[test]
fn a_bar_answers_all_ones_with_its_size_and_type() {
    let mut config = function();
    for probe in [0xffff_ffff, 0xffff_fff0] {
        config.store(0x10, 4, probe);
        assert_eq!(config.load(0x10, 4), 0xffff_f000);
        config.store(0x20, 4, probe);
        config.store(0x24, 4, probe);
        assert_eq!(config.load(0x20, 4), 0xffff_c00c);
    }
    config.store(0x24, 4, 0xffff_ffff);
    assert_eq!(config.load(0x24, 4), 0xffff_ffff);
    config.store(0x14, 4, 0xffff_ffff);
    assert_eq!(config.load(0x14, 4), 0, "a BAR that is not there");
}

#[test]
fn a_bar_claims_its_own_bytes_and_only_while_memory_decode_is_on() {
    let mut config = function();
    assert_eq!(config.claims(Space::Memory, 0xfebc_1000, 4), Some((0, 0)));
    assert_eq!(config.claims(Space::Memory, 0xfebc_1fff, 1), Some((0, 0xfff)));
    assert_eq!(config.claims(Space::Memory, 0xfebc_1fff, 2), None, "reaches over the end");
    assert_eq!(config.claims(Space::Memory, 0xfebc_0fff, 1), None);
    assert_eq!(config.claims(Space::Memory, 0x1_0000_3000, 2), Some((4, 0x3000)));
    assert_eq!(config.claims(Space::Memory, u64::MAX, 8), None);
    config.store(0x20, 4, 0xd000_0000);
    config.store(0x24, 4, 0);
    assert_eq!(config.claims(Space::Memory, 0xd000_3000, 2), Some((4, 0x3000)), "relocated");
    config.store(0x04, 2, 0);
    assert_eq!(config.claims(Space::Memory, 0xfebc_1000, 4), None);
}

#[test]
fn command_keeps_its_reserved_bits_zero_and_status_is_cleared_by_ones() {
    let mut config = function();
    config.store(0x04, 2, 0xffff);
    assert_eq!(config.load(0x04, 2), 0x0547);
    config.bytes[0x07] = 0xa0;
    config.store(0x07, 1, 0x80);
    assert_eq!(config.load(0x07, 1), 0x20, "only the bit written as one");
    config.store(0x04, 4, 0xffff_0006);
    assert_eq!(config.load(0x04, 4), 0x0000_0006, "a 32-bit store reaches STATUS");
}

#[test]
fn capabilities_are_a_list_in_the_order_in_which_they_were_added() {
    let (config, first) = function().with_capability(CapabilityKind::Msix, &[1, 0]);
    let body = [16, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let (config, second) = config.with_capability(CapabilityKind::Virtio(1), &body);
    assert_eq!((first, second), (0x40, 0x44));
    assert_eq!(config.load(0x06, 2), 0x0010);
    assert_eq!(config.load(0x34, 1), 0x40);
    assert_eq!(config.load(0x40, 4), 0x0001_4411);
    assert_eq!(config.load(0x44, 4), 0x0110_0009);
    assert_eq!(config.capability_at(0x53).map(|c| c.at), Some(0x44));
    assert_eq!(config.capability_at(0x54), None);
}
