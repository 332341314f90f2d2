//! What makes rules notice something that the ordinary rows do not touch: packed queues, legacy
//! devices, requests and features that few drivers use.

use eclipse_devices::{Completion, Preset, virtio::Features};
use eclipse_kernel::mutant::Mutant::{
    M43, M62, M74, M88, M91, M99, M107, M116, M119, M161, M162, M163, M164, M166, M168, M170, M171,
    M172, M173, M174, M175, M176, M177, M178, M179, M181, M182, M183, M184,
};

use super::{Caught::Rule, Devices, INIT, READ, Row, WRITE, row};

const fn offering(offer: Features) -> Devices {
    Devices { offer, ..Devices::MODERN }
}

/// Packed queues in which a request takes a descriptor for each of its parts.
const PACKED: Devices = offering(Features::RING_PACKED);
const INDIRECT: Devices = offering(Features::INDIRECT_DESC);
const LEGACY: Devices = Devices { preset: Preset::Legacy, ..Devices::MODERN };
const RANGES: Devices = offering(Features::DISCARD.union(Features::WRITE_ZEROES));
const CACHE: Devices = offering(Features::CONFIG_WCE);

pub(super) const ROWS: &[Row] = &[
    // Packed queues.
    row(M43, INIT, Rule("D2.2.1-b")).on(PACKED).named("M43/packed"),
    row(M74, INIT, Rule("D2.8.11-a")).on(PACKED).named("M74/packed"),
    row(M88, INIT, Rule("D2.8.17-d")).on(PACKED).watch("rings").named("M88/packed"),
    row(M91, INIT, Rule("D2.8.21.3.1-a")).on(PACKED).watch("barriers").named("M91/packed"),
    row(M107, READ, Rule("D2.8.17-b")).on(PACKED).named("M107/packed"),
    row(M116, READ, Rule("D2.8.16-b")).on(PACKED).watch("rings").named("M116/packed"),
    row(M119, "scenario=tasks count=2", Rule("D2.8.17-c"))
        .on(Devices { queue_size: 4, completion: Completion::Halt, ..PACKED })
        .named("M119/packed"),
    row(M166, READ, Rule("D2.8.19-a"))
        .on(Devices { preset: Preset::Packed, ..Devices::MODERN })
        .named("M166/packed"),
    row(M174, INIT, Rule("D4.1.4.3.2-b")).on(PACKED),
    // Legacy devices.
    row(M62, INIT, Rule("L2.7.2-a")).on(LEGACY).named("M62/legacy"),
    row(M179, "scenario=read sector=9 features=0x244", Rule("L5.2.6.4")).on(LEGACY),
    // Split queues.
    row(M99, INIT, Rule("D2.7.7.1-b"))
        .on(offering(Features::EVENT_IDX))
        .watch("rings")
        .named("M99/event-idx"),
    row(M166, READ, Rule("D2.7.5.3.1-b")).on(INDIRECT),
    row(M168, READ, Rule("D2.7.5.3.1-d")).on(INDIRECT),
    row(M176, INIT, Rule("I2.7-a")),
    row(M177, READ, Rule("I2.7.5-a")),
    row(M178, READ, Rule("I2.7.8-a")).watch("rings"),
    // Requests.
    row(M161, WRITE, Rule("D5.2.6.1-d")),
    row(M162, "scenario=info", Rule("D5.2.6.1-h")),
    row(M163, "scenario=discard", Rule("D5.2.6.1-k")).on(RANGES),
    row(M164, "scenario=discard", Rule("D5.2.6.1-g")).on(RANGES),
    // The kernel's text is where the image is, and in loopback there is none.
    row(M181, "scenario=info", Rule("R-dma-place")).on_kvm(),
    row(M182, READ, Rule("R-dma-read")).watch("dma"),
    row(M183, WRITE, Rule("R-dma-write")).watch("dma"),
    // Set-up.
    row(M170, INIT, Rule("D3.1.1-b")).on(CACHE),
    row(M171, INIT, Rule("D5.2.5.1-c")).on(CACHE),
    row(M172, INIT, Rule("D3.4.1-a")).on(Devices::LENIENT),
    row(M173, INIT, Rule("D4.1.4.3.2-a")),
    row(M175, INIT, Rule("D4.1.5.1.2.2-b")),
    row(M184, INIT, Rule("P14")).on(Devices { warm: true, ..Devices::MODERN }),
];
