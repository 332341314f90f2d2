//! The rings: what is made available, notifications, what is used.

use eclipse_devices::{Completion, virtio::Features};
use eclipse_kernel::mutant::Mutant::{
    M87, M88, M89, M90, M91, M92, M93, M94, M95, M96, M97, M99, M100, M101, M102, M103, M104, M105,
    M106, M107, M108, M109, M110, M111, M112, M113, M114, M115, M116, M118, M119, M120, M121, M123,
    M124, M126, M127, M128, M129, M130, M131, M132, M133, M134, M135, M136, M137, M138, M139, M140,
    M141, M142, M143, M144, M145, M146,
};

use super::{
    BATCH,
    Caught::{Elsewhere, Guest, Notifications, Rule, Silence},
    Devices, INIT, READ, Row, WRITE, row,
};

/// Queues that are soon gone round, and soon full.
const SMALL: Devices = Devices { queue_size: 8, ..Devices::MODERN };
/// A queue that one request fills.
const FOUR: Devices = Devices { queue_size: 4, ..Devices::MODERN };
const TWO_QUEUES: Devices = Devices { queues: 2, ..Devices::MODERN };
const EVENT_IDX: Devices = Devices { offer: Features::EVENT_IDX, ..Devices::MODERN };
/// What fills a queue of four with requests that are completed together.
const FULL: Devices = Devices {
    offer: Features::INDIRECT_DESC,
    queue_size: 4,
    completion: Completion::Batch(4),
    ..Devices::MODERN
};
/// What completes requests in another order than they came in, some before others are under way.
const BY_TWOS: Devices = Devices { completion: Completion::Reverse(Some(2)), ..Devices::MODERN };
const LATE: Devices = Devices { completion: Completion::Halt, ..Devices::MODERN };

/// More requests than an index has values.
const ROUND: &str = "scenario=soak count=70000";
const MIXED: &str = "scenario=soak count=40";
/// More requests than a small queue has entries, one behind the other.
const BOOT: &str = "scenario=boot";
const LOST: &str = "a completion came without its interrupt";

pub(super) const ROWS: &[Row] = &[
    // The available ring.
    row(M87, INIT, Rule("D2.7.13.3.1-a")).watch("rings"),
    row(M88, INIT, Rule("D2.7.13.3.1-a")).watch("rings"),
    row(M89, INIT, Rule("D2.7.10.1-d")).watch("rings"),
    row(
        M90,
        INIT,
        Elsewhere(
            "x86 keeps stores in order, so no run differs: a test of the queue sees that \
             the fence is gone",
        ),
    ),
    row(M91, INIT, Rule("D2.7.13.4.1-a")).watch("barriers"),
    row(M92, BOOT, Rule("I2.7.13-b")).on(SMALL).watch("rings"),
    row(M93, ROUND, Rule("I2.7.13-b")).in_loopback().watch("rings"),
    row(M94, INIT, Rule("D2.7.6.1-a")).watch("rings"),
    row(M95, BATCH, Rule("I2.7.13-a")).watch("rings"),
    row(M96, BATCH, Rule("I2.7.13-a")).watch("rings"),
    row(M97, BOOT, Rule("I2.7.13-a")).on(FOUR).watch("rings"),
    row(M99, INIT, Rule("D2.7.7.1-a")),
    // Descriptors.
    row(M100, INIT, Rule("I5.2.6-a")),
    row(M101, INIT, Rule("D2.7.5.2-a")),
    row(M102, INIT, Rule("I5.2.6-a")),
    row(M103, READ, Rule("I5.2.6-a")),
    row(M104, READ, Rule("I5.2.6-a")),
    row(M105, WRITE, Rule("I5.2.6-a")),
    row(M106, READ, Rule("I5.2.6-a")),
    row(M107, READ, Rule("D2.7.4.2-a")),
    // A chain may be cut anywhere, so that this is a request whose first byte goes elsewhere.
    row(M108, READ, Guest("status")),
    row(M109, READ, Rule("I5.2.6-a")),
    row(M110, READ, Rule("I5.2.6-a")),
    row(M111, READ, Rule("I5.2.6-a")),
    row(M112, READ, Rule("I2.7.5-b")),
    row(M113, READ, Rule("D6.1-c")),
    row(M114, "scenario=bytes", Guest("does not read back")),
    row(M115, READ, Rule("D2.7.5.3.1-a")),
    row(M116, READ, Rule("D3.3.1-a")).watch("rings"),
    row(M118, BOOT, Guest("the queues are full")).on(SMALL),
    row(M119, BATCH, Rule("I2.7.13-a")),
    row(M120, BATCH, Rule("I2.7.13-a")).on(FOUR),
    // Notifications.
    row(M121, BATCH, Rule("D4.1.5.2.1-c")).on(TWO_QUEUES),
    row(M123, INIT, Rule("D4.1.5.2.1-a")),
    row(M124, INIT, Rule("D4.1.5.2.1-a")),
    row(M126, BATCH, Rule("I4.1.4.4-a")).fault("F59"),
    row(M127, INIT, Rule("D2.7.10.1-d")).watch("rings"),
    row(M128, INIT, Notifications),
    row(M129, MIXED, Rule("D2.7.10.1-c")).fault("F80"),
    row(M130, INIT, Rule("D2.7.10.1-f")).on(EVENT_IDX).watch("rings"),
    // The used ring.
    row(M131, ROUND, Guest("no completion in time")).in_loopback(),
    row(M132, ROUND, Guest("used.idx went from 65535")).in_loopback(),
    row(M133, BATCH, Guest("no completion in time")).on(FULL),
    row(M134, MIXED, Guest("VirtIO block device")).on(BY_TWOS),
    row(M135, READ, Silence("used.id 0x10000 is not")).fault("F65:id=0x10000"),
    row(M136, READ, Silence("the device wrote 0 bytes")).fault("F70:nth=2"),
    row(M137, INIT, Rule("I2.7.14-a")).watch("rings=load"),
    row(M138, "scenario=init interrupts=none", Guest("no completion in time")).on(LATE).on_kvm(),
    row(M139, BATCH, Guest(LOST)).on(EVENT_IDX).fault("F95:nth=5,load=6").on_kvm(),
    row(M140, BATCH, Guest(LOST)).on(EVENT_IDX),
    // Interrupts.
    row(M141, "scenario=batch count=4 interrupts=intx", Rule("P26")),
    row(M142, INIT, Rule("D4.1.4.5.2-a")),
    row(
        M143,
        INIT,
        Elsewhere(
            "the image masks a line at the I/O APIC before it signals the end, so its drivers \
             have no such order to get wrong; no access shows the end of an interrupt",
        ),
    ),
    row(
        M144,
        INIT,
        Elsewhere(
            "no clause forbids it, and the harm is a handler that looks at a queue that is not \
             there: this driver asks for its interrupts, and has no handler",
        ),
    ),
    // The status byte.
    row(M145, READ, Silence("I/O error")).fault("F97:nth=2"),
    row(M146, INIT, Rule("I5.2.6-b")),
];
