//! Reset, status, features, the device configuration, the set-up of queues.

use eclipse_devices::virtio::Features;
use eclipse_kernel::mutant::Mutant::{
    M30, M31, M32, M33, M34, M35, M36, M37, M38, M39, M41, M42, M43, M44, M47, M48, M49, M50, M51,
    M52, M54, M55, M56, M58, M60, M61, M62, M63, M65, M66, M67, M68, M70, M71, M73, M74, M75, M76,
    M77, M79, M80, M81, M82, M83, M84, M85, M86,
};

use super::{BATCH, Caught::Rule, Devices, INIT, Row, row};

const TWO_QUEUES: Devices = Devices { queues: 2, ..Devices::MODERN };

/// Data comes in buffers of a sector.
const SHORT: Devices = Devices { offer: Features::SIZE_MAX, size_max: 512, ..Devices::MODERN };

pub(super) const ROWS: &[Row] = &[
    // Reset, status, features.
    row(M30, INIT, Rule("D3.1.1-a")),
    row(M31, INIT, Rule("D4.1.4.3.2-e")),
    row(M32, INIT, Rule("D3.1.1-a")).on(Devices::LENIENT),
    row(M33, INIT, Rule("D3.1.1-a")).on(Devices::LENIENT),
    row(M34, INIT, Rule("D3.1.1-a")).on(Devices::LENIENT),
    row(M35, INIT, Rule("D2.1.1-b")).on(Devices::LENIENT),
    row(M36, INIT, Rule("D2.1.1-b")).on(Devices::LENIENT),
    row(M37, INIT, Rule("D3.1.1-a")).on(Devices::LENIENT),
    row(M38, INIT, Rule("D3.1.1-d")),
    row(M39, INIT, Rule("D3.1.1-c")).on(Devices::LENIENT),
    row(M41, INIT, Rule("D2.2.1-d")).fault("F34"),
    row(M42, INIT, Rule("D2.2.1-a")).on(Devices::LENIENT),
    row(M43, INIT, Rule("D6.1-a")).on(Devices::LENIENT),
    row(M44, INIT, Rule("D6.1-a")).on(Devices::LENIENT),
    row(M47, INIT, Rule("D3.1.1-a")).on(Devices::LENIENT),
    row(M48, INIT, Rule("D3.1.1-h")).on(Devices::LENIENT),
    row(M49, INIT, Rule("D3.1.1-g")).on(Devices::LENIENT),
    row(M50, INIT, Rule("D3.1.1-g")).on(Devices::LENIENT),
    row(M51, INIT, Rule("D3.1.1-e")).fault("F29"),
    row(M52, INIT, Rule("D4.1.3.1-a")).on(Devices::LENIENT),
    // The device configuration.
    row(M54, INIT, Rule("D2.5.1-b")),
    row(M55, INIT, Rule("I5.2.4-a")),
    row(M56, INIT, Rule("D4.1.3.1-a")),
    row(M58, INIT, Rule("D2.5.1-c")),
    row(M60, INIT, Rule("I5.2.4-a")).on(SHORT),
    // Queues.
    row(M61, INIT, Rule("D4.1.4.3.2-d")),
    row(M62, INIT, Rule("D4.1.4.3.2-d")),
    row(M63, "scenario=tasks count=6", Rule("I2.7.13-a")).watch("rings"),
    row(M65, INIT, Rule("D4.1.4.3.2-c")),
    row(M66, INIT, Rule("D4.1.3.1-a")),
    row(M67, INIT, Rule("D4.1.3.1-a")),
    row(M68, INIT, Rule("D4.1.3.1-a")),
    row(M70, INIT, Rule("D4.1.3.1-a")),
    row(M71, INIT, Rule("D4.1.3.1-a")),
    row(M73, INIT, Rule("I2.7-a")).watch("rings"),
    row(M74, INIT, Rule("D2.7.1-a")),
    row(M75, INIT, Rule("D2.7.1-a")),
    row(M76, INIT, Rule("D2.7.1-a")),
    row(M77, INIT, Rule("D4.1.4.3.2-d")),
    row(M79, INIT, Rule("D4.1.4.3.2-f")),
    row(M80, INIT, Rule("D3.1.1-h")),
    row(M81, INIT, Rule("D4.1.3.1-a")),
    row(M82, BATCH, Rule("I4.1.4.4-a")).fault("F59"),
    row(M83, INIT, Rule("D2.7.10.1-a")),
    row(M84, INIT, Rule("D4.1.5.1.2.2-c")).fault("F61"),
    row(M85, INIT, Rule("D4.1.5.1.2.2-c")).on(TWO_QUEUES),
    row(M86, INIT, Rule("P22")),
];
