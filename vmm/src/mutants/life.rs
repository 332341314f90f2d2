//! The block layer, and the life of a device.

use eclipse_kernel::mutant::Mutant::{
    M147, M149, M150, M152, M154, M155, M156, M157, M158, M159, M160,
};

use super::{BATCH, Caught::Rule, INIT, READ, Row, WRITE, row};

pub(super) const ROWS: &[Row] = &[
    row(M147, READ, Rule("D5.2.6.1-b")),
    row(M149, READ, Rule("D5.2.6.1-f")),
    row(M150, READ, Rule("D5.2.6.1-f")),
    row(M152, "scenario=read sector=0x1000000", Rule("D5.2.6.1-b")),
    row(M154, WRITE, Rule("D5.2.6.1-e")),
    row(M155, "scenario=write marks=on", Rule("D5.2.5.1-b")),
    row(M156, WRITE, Rule("D5.2.6.1-c")).fault("F106"),
    row(M157, "scenario=init marks=on", Rule("D3.3.1-b")),
    row(M158, INIT, Rule("P13")),
    row(M159, BATCH, Rule("R-dma-twice")).fault("F76").watch("dma"),
    row(M160, BATCH, Rule("D2.7.6.1-a")).fault("F114").watch("rings"),
];
