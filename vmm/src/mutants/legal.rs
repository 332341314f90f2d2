//! What the specification leaves to a driver, and the driver as it is: no rule may find anything.

use eclipse_devices::{Completion, Preset, virtio::Features};
use eclipse_kernel::mutant::Mutant::{
    L01, L02, L03, L04, L05, L06, L07, L08, L09, L10, L11, L12, L13, L14, L15,
};

use super::{BATCH, Caught::Nothing, Devices, INIT, READ, Row, WRITE, driver, row};

const ALL: &str = "rings=load,dma";
const MIXED: &str = "scenario=soak count=20";

const fn preset(preset: Preset) -> Devices {
    Devices { preset, ..Devices::MODERN }
}

pub(super) const ROWS: &[Row] = &[
    row(L01, BATCH, Nothing).watch("rings"),
    row(L02, BATCH, Nothing).watch("rings"),
    row(L03, BATCH, Nothing).watch("rings"),
    // The driver as it is does so.
    row(L04, BATCH, Nothing).watch("rings"),
    row(L05, INIT, Nothing),
    row(L06, INIT, Nothing),
    row(L07, BATCH, Nothing),
    row(L08, BATCH, Nothing).watch("rings"),
    row(L09, READ, Nothing).watch("rings"),
    row(L10, INIT, Nothing),
    row(L11, INIT, Nothing),
    row(L12, "scenario=batch count=4 interrupts=none", Nothing).fault("F64").watch("rings"),
    row(L13, BATCH, Nothing).watch("rings"),
    row(L14, BATCH, Nothing).watch("rings"),
    // The driver as it is does so.
    row(L15, MIXED, Nothing).watch("rings"),
    driver("boot", "scenario=boot").watch(ALL),
    driver("bytes", "scenario=bytes"),
    driver("discard", "scenario=discard")
        .on(Devices { offer: Features::DISCARD.union(Features::WRITE_ZEROES), ..Devices::MODERN }),
    driver("tasks", "scenario=tasks count=4").watch("rings"),
    driver("info", "scenario=info").on(Devices {
        offer: Features::TOPOLOGY.union(Features::GEOMETRY).union(Features::CONFIG_WCE),
        ..Devices::MODERN
    }),
    driver("lines", "scenario=batch count=4 interrupts=intx").watch("rings"),
    driver("ecam", "scenario=init config=ecam"),
    driver("legacy", "scenario=boot transport=legacy").on(preset(Preset::Transitional)),
    driver("legacy-only", WRITE).on(preset(Preset::Legacy)).watch("rings"),
    driver("packed", MIXED).on(preset(Preset::Packed)).watch(ALL),
    driver("bridge", WRITE).on(preset(Preset::Bridge)).watch("rings"),
    driver("warm", WRITE).on(Devices { warm: true, ..Devices::MODERN }).watch("rings"),
    driver("queues", BATCH).on(Devices { queues: 4, ..Devices::MODERN }).watch("rings"),
    driver("reversed", BATCH)
        .on(Devices { completion: Completion::Reverse(None), ..Devices::MODERN })
        .watch(ALL),
    driver("barriers", READ).watch("barriers"),
    driver("event-idx", MIXED)
        .on(Devices {
            offer: Features::EVENT_IDX.union(Features::INDIRECT_DESC),
            queue_size: 16,
            ..Devices::MODERN
        })
        .watch("rings=load,barriers"),
];
