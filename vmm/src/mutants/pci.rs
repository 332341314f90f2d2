//! PCI: enumeration, base address registers, capabilities.

use eclipse_kernel::mutant::Mutant::{
    M01, M02, M03, M04, M05, M06, M07, M08, M10, M11, M12, M13, M14, M15, M17, M18, M19, M20, M21,
    M22, M23, M24, M25, M26, M28, M29,
};

use super::{
    Caught::{Guest, Rule},
    Devices, INIT, Row, row,
};

const NOT_FOUND: &str = "no VirtIO block device is on the PCI bus";

pub(super) const ROWS: &[Row] = &[
    row(M01, INIT, Rule("P03")),
    row(M02, INIT, Rule("P02")),
    row(M03, INIT, Guest(NOT_FOUND)).fault("F18:type=0x80"),
    row(M04, INIT, Rule("P01")),
    // A right access to the wrong register: only who wanted another one knows.
    row(M05, INIT, Guest(NOT_FOUND)),
    row(M06, INIT, Rule("P05")).on(Devices { warm: true, ..Devices::MODERN }),
    row(M07, INIT, Rule("P05")),
    row(M08, INIT, Rule("P08")).fault("F22"),
    row(M10, INIT, Rule("P08")),
    // The driver finds no BAR of that size, and says so.
    row(M11, INIT, Guest("there is no BAR4")).fault("F22"),
    row(M12, "scenario=init transport=legacy", Guest("BAR0 of 0xffff")).fault("F25"),
    row(M13, INIT, Rule("P11")),
    row(M14, INIT, Rule("P12")),
    row(M15, INIT, Rule("P12")),
    row(M17, INIT, Rule("P15")),
    row(M18, INIT, Rule("P16")).fault("F04:pointer=0x41"),
    row(M19, INIT, Guest("no capability tells where the notification structure is")),
    row(M20, INIT, Rule("D4.1.4.1-b")).fault("F22:size=0x10000+F16:offset=0x8000"),
    // The driver's own checks find that the structures are not there.
    row(M21, INIT, Guest("BAR4")).fault("F26"),
    row(M22, INIT, Rule("D4.1.3.1-a")),
    row(M23, INIT, Rule("D4.1.3.1-a")).fault("F08:type=5"),
    // What is there makes an address that the driver refuses.
    row(M24, INIT, Guest("outside its structure")).fault("F59"),
    row(M25, INIT, Rule("I4.1.4.4-a")).fault("F59"),
    row(M26, super::BATCH, Rule("I4.1.4.4-a")).fault("F59"),
    row(M28, INIT, Rule("D4.1.4.1-g")),
    row(M29, INIT, Guest(NOT_FOUND)).fault("F19"),
];
