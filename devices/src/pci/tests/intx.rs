//! Interrupt pins: level, sharing, and what holds them back.

use expect_test::expect;

use super::*;

const A: Bdf = at(0, 4, 0);
const B: Bdf = at(0, 5, 0);

fn request(rig: &mut Rig, address: u64, on: bool) {
    rig.store(Space::Memory, address, 4, on.into()).expect("a BAR claims it");
}

#[test]
fn a_pin_is_a_level_that_follows_the_request() {
    let mut rig = Rig::new(vec![interrupting(A, Pin::A, 0xc000_0000)]);
    assert_eq!(rig.config(A, 0x3c, 2), 0x010a);
    expect![[r#"
        00:04.0 inta asserted, gsi 10
        guest   config_address <- 80002004
        guest   00:04.0 config status -> 0008
        00:04.0 inta deasserted, gsi 10
        guest   config_address <- 80002004
        guest   00:04.0 config status -> 0000
    "#]]
    .assert_eq(&rig.transcript(|rig| {
        request(rig, 0xc000_0000, true);
        request(rig, 0xc000_0000, true);
        assert!(rig.high(10));
        rig.config(A, 0x06, 2);
        request(rig, 0xc000_0000, false);
        assert!(!rig.high(10));
        rig.config(A, 0x06, 2);
    }));
}

#[test]
fn command_bit_10_holds_the_pin_back_and_leaves_the_status_bit() {
    let mut rig = Rig::new(vec![interrupting(A, Pin::A, 0xc000_0000)]);
    request(&mut rig, 0xc000_0000, true);
    rig.set_config(A, 0x04, 2, 0x0402);
    assert!(!rig.high(10));
    assert_eq!(rig.config(A, 0x06, 2) & 8, 8, "PCI 3.0, 6.2.3");
    rig.set_config(A, 0x04, 4, 0xffff_0002);
    assert!(rig.high(10));
    assert_eq!(rig.config(A, 0x06, 2) & 8, 8, "the bit is read-only");
}

#[test]
fn a_line_is_high_while_any_of_its_functions_asserts() {
    // Slot 5 turns INTD# to where slot 4 has INTA#.
    let functions =
        vec![interrupting(A, Pin::A, 0xc000_0000), interrupting(B, Pin::D, 0xc000_1000)];
    let mut rig = Rig::new(functions);
    request(&mut rig, 0xc000_0000, true);
    request(&mut rig, 0xc000_1000, true);
    request(&mut rig, 0xc000_0000, false);
    assert!(rig.high(10));
    request(&mut rig, 0xc000_1000, false);
    assert!(!rig.high(10));
    assert_eq!(rig.outside.lines.len(), 1);
}

#[test]
fn a_function_with_msix_enabled_does_not_use_its_pin() {
    let config = Probe::config().with_interrupt_pin(Pin::C).with_bar(
        0,
        BarKind::Memory32,
        0x1000,
        0xc000_0000,
    );
    let mut rig = Rig::new(vec![Probe::with_msix(A, config, 0)]);
    request(&mut rig, 0xc000_0000, true);
    assert!(rig.high(11));
    rig.set_config(A, 0x42, 2, 0x8000);
    assert!(!rig.high(11));
    assert_eq!(rig.config(A, 0x06, 2) & 8, 0);
    rig.set_config(A, 0x42, 2, 0x0000);
    assert!(rig.high(11), "and again when MSI-X is off");
}

#[test]
fn a_function_without_a_pin_drives_no_line() {
    let mut rig = Rig::new(vec![memory(A, 0xc000_0000)]);
    assert_eq!(rig.config(A, 0x3c, 2), 0);
    request(&mut rig, 0xc000_0000, true);
    assert!(rig.outside.lines.is_empty());
    assert_eq!(rig.config(A, 0x06, 2), 0);
}

#[test]
fn behind_a_bridge_the_pins_turn_once_more_by_the_device_number() {
    let behind = vec![
        interrupting(at(1, 0, 0), Pin::A, 0xc000_0000),
        interrupting(at(1, 3, 0), Pin::A, 0xc000_1000),
        interrupting(at(1, 1, 0), Pin::A, 0xc000_2000),
    ];
    let bridge = crate::pci::Bridge::new(B, behind);
    let mut rig = Rig::new(vec![(B, Box::new(bridge))]);
    // Slot 5 of bus 0: A to PIRQB#, B to PIRQC#, C to PIRQD#, D to PIRQA#.
    let lines = [at(1, 0, 0), at(1, 3, 0), at(1, 1, 0)].map(|at| rig.config(at, 0x3c, 1));
    assert_eq!(lines, [10, 10, 11]);
    request(&mut rig, 0xc000_1000, true);
    assert!(rig.high(10));
    // Secondary bus reset ends the request.
    rig.set_config(B, 0x3e, 2, 0x0040);
    assert!(!rig.high(10));
}
