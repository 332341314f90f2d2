//! Where our devices are meant to differ from QEMU's, and why.
//!
//! `Own` stands only where the two are different devices: what is offered, where
//! it lies, what it is called. Everywhere else a row says what ours answers.

use eclipse_tests::parallel::Difference;
use eclipse_tests::parallel::Ours::{self, AllOnes, Is, Kept, Own};

const fn row(at: &'static str, ours: Ours, why: &'static str) -> Difference {
    Difference { at, ours, why }
}

const WARM: &str = "ours starts as firmware leaves it: BARs placed, memory decode on, line noted";
const DEVSEL: &str =
    "a PIIX's DEVSEL timing and fast back-to-back; ours has no bus that they are for";
const NO_BUS_MASTER_IDE: &str = "a PIIX IDE function has bus mastering IDE; ours is PIO only";
const PIN: &str =
    "a PIIX4 has INTA# there for its SCI; PCI 3.0, 6.2.4 has 0 for a function without INTx";
const PARITY: &str = "PCI 3.0, 6.2.2: bit 6 is implemented by every device that can be a master";
const LAYOUT: &str =
    "the order of capabilities and the BAR of the MSI-X table are the device's choice";
const STRICT_WIDTH: &str = "VIRTIO 1.4, 4.1.3.1: an access matches one whole field";
const STRICT_ORDER: &str = "VIRTIO 1.4, 3.1.1 and 2.1.1: a step is neither skipped nor taken back";
const OFFERED: &str = "VIRTIO 1.4, 5.2.3 and 6: what is offered is the device's choice";

pub const ENUMERATION: &[Difference] = &[
    row("00:01.* +0[467]:*", Own, DEVSEL),
    row("00:01.1 +20:*", Is(0), NO_BUS_MASTER_IDE),
    row("00:01.3 +3[cd]:*", Is(0), PIN),
    row("00:04.0 +04:*", Own, WARM),
    row("00:04.0 +1[0123]:*", Own, WARM),
    row("00:04.0 +2[0123]:*", Own, WARM),
    row("00:04.0 +34:*", Is(0x40), LAYOUT),
    row("00:04.0 +3c:1", Is(10), WARM),
    row("00:04.0 +3c:[24]", Is(0x10a), WARM),
];

pub const WRITABLE_BITS: &[Difference] = &[
    row("00:0[04].0 +04 <- *", Own, PARITY),
    row("00:01.* +04 <- *", Own, DEVSEL),
    row("00:01.1 +20 <- *", Is(0), NO_BUS_MASTER_IDE),
    row("00:01.3 +3c <- *", Own, PIN),
    row("00:04.0 +1[04] <- *", Own, LAYOUT),
    row("00:04.0 +34 <- *", Is(0x40), LAYOUT),
];

const CROSSING: &str = "an access across the end of CONFIG_DATA is refused whole, not cut in two";
const DOUBLEWORD: &str = "PCI 3.0, 3.2.2.3.2: CONFIG_ADDRESS is accessed as a doubleword only";
const ADDRESS_ZERO: &str = "PCI 3.0, 3.2.2.3.2: bits 1:0 and the reserved bits are read-only zero";

pub const MECHANISM: &[Difference] = &[
    row("data+1:4 with *", AllOnes, CROSSING),
    row("data+2:4 with *", AllOnes, CROSSING),
    row("data+3:[24] with *", AllOnes, CROSSING),
    row("address port *", AllOnes, DOUBLEWORD),
    row("address <- 80002003", Is(0x8000_2000), ADDRESS_ZERO),
    row("address <- ffffffff", Is(0x80ff_fffc), ADDRESS_ZERO),
    row("data+* with address 80002003", Own, ADDRESS_ZERO),
];

pub const STRUCTURES: &[Difference] = &[
    row("msix table", Is(0x000), LAYOUT),
    row("msix pba", Is(0x800), LAYOUT),
    row("bar 0 size", Is(0xffff_f000), LAYOUT),
    row("bar 1 size", Is(0), LAYOUT),
];

const VALID_BITS: &str = "VIRTIO 1.4, 4.1.4.3.1: of what was written, the bits that are offered";
const NEGOTIATED: &str = "VIRTIO 1.4, 3.1.1: no feature is accepted after FEATURES_OK";
const RESET_CLEARS: &str = "VIRTIO 1.4, 2.4.1: a reset device is as it was initially";
const VERSION_1: &str = "VIRTIO 1.4, 6.1 and 2.2.2: FEATURES_OK is not kept without VERSION_1";
const NO_SUCH_QUEUE: &str =
    "VIRTIO 1.4, 4.1.4.3.1: a queue that does not exist has size 0, no more";
const QUEUE_PROGRAMMING: &str =
    "VIRTIO 1.4, 3.1.1 step 7 and 4.1.4.3.2: after FEATURES_OK, before queue_enable";
const QUEUE_SIZE: &str =
    "VIRTIO 1.4, 2.7 and 4.1.4.3.2: a power of two, not above what was offered";
const ENABLE_VALUE: &str =
    "VIRTIO 1.4, 4.1.4.3.2: 0 is not stored to queue_enable; no reaction is asked for";
const GENERATION: &str = "QEMU counts its own NEEDS_RESET as a change of the configuration";

const NO_FIELD: &str = "VIRTIO 1.4, 4.1.4.3: without its feature the field is not there";

pub const COMMON: &[Difference] = &[
    row("* queue_notif_config_data*", AllOnes, NO_FIELD),
    row("* queue_reset*", AllOnes, NO_FIELD),
    row("* device_feature", Is(0x244), OFFERED),
    row("* device_feature <- *", Is(0x244), OFFERED),
    row("* device_feature of window 0", Is(0x244), OFFERED),
    row("* device_feature of window 1", Is(1), OFFERED),
    row("* driver_feature", Is(0), RESET_CLEARS),
    row("* driver_feature of window 0", Is(0), RESET_CLEARS),
    row("* driver_feature <- 1", Is(0), VALID_BITS),
    row("* driver_feature <- ffffffff", Is(0x244), VALID_BITS),
    row("* driver_feature <- *", Kept, NEGOTIATED),
    row("* device_status <- b", Is(3), VERSION_1),
    row("* device_status <- f", Is(3), VERSION_1),
    row("* device_status <- 8b", Is(0x83), VERSION_1),
    row("* device_status <- 8f", Is(0x83), VERSION_1),
    row("* device_status <- *", Kept, STRICT_ORDER),
    row("* queue_select <- ffff", Is(0xffff), NO_SUCH_QUEUE),
    row("* queue 1024 queue_select", Is(1024), NO_SUCH_QUEUE),
    row("* queue 65535 queue_select", Is(0xffff), NO_SUCH_QUEUE),
    row("* queue * queue_notify_off", Is(0), NO_SUCH_QUEUE),
    row("FeaturesOk queue_size <- *", Kept, QUEUE_SIZE),
    row("* queue_size <- *", Kept, QUEUE_PROGRAMMING),
    row("* queue_enable <- 1", Is(0), QUEUE_PROGRAMMING),
    row("* queue_enable <- *: status", Own, ENABLE_VALUE),
    row("* queue_desc_* <- *", Kept, QUEUE_PROGRAMMING),
    row("* queue_driver_* <- *", Kept, QUEUE_PROGRAMMING),
    row("* queue_device_* <- *", Kept, QUEUE_PROGRAMMING),
    row("* config_generation*", Is(0), GENERATION),
];

pub const WIDTHS: &[Difference] = &[
    row("common * part", AllOnes, STRICT_WIDTH),
    row("common +04:4 whole", Is(0x244), OFFERED),
    row("common +3[8a]:2 whole", AllOnes, NO_FIELD),
    row("isr*", AllOnes, STRICT_WIDTH),
    row("notify:*", AllOnes, "VIRTIO 1.4, 4.1.4.4: a notification is a store"),
];

pub const BLOCK: &[Difference] =
    &[row("block capacity:*", AllOnes, STRICT_WIDTH), row("block *", AllOnes, OFFERED)];

pub const MSIX: &[Difference] = &[
    row("* message_address <- ffffffff", Is(0xffff_fffc), "PCI 3.0, 6.8.2.7: bits 1:0 are zero"),
    row("* vector_control <- ffffffff", Is(1), "PCI 3.0, 6.8.2: only the mask bit is not reserved"),
    row("* vector_control <- 12345678", Is(0), "PCI 3.0, 6.8.2: only the mask bit is not reserved"),
    row("table:[12]", AllOnes, "PCI 3.0, 6.8.2: software uses 4 and 8 bytes"),
    row("pba+0:1", AllOnes, "PCI 3.0, 6.8.2: software uses 4 and 8 bytes"),
    row("table+32", AllOnes, "PCI 3.0, 6.8.2.3: the table ends behind its last vector"),
    row("pba+8:4", AllOnes, "PCI 3.0, 6.8.2: the pending bits end behind the last vector"),
];

const ISR_QUEUE: &str = "VIRTIO 1.4, 4.1.4.5.1: the queue bit is for the time without MSI-X";
const ID: &str = "VIRTIO 1.4, 5.2.6: the ID string is the device's own";

pub const GOOD_REQUESTS: &[Difference] =
    &[row("*: isr", Is(0), ISR_QUEUE), row("get_id: data", Own, ID), row("flush: data", Own, ID)];

const WRITTEN: &str = "VIRTIO 1.4, 2.7.8.2: len bytes were written from the first writable byte on";
const UNSUPP: &str = "VIRTIO 1.4, 5.2.6.2: UNSUPP for what is not offered or not known";
const OUTSIDE: &str = "what is not RAM cannot be read or written; VIRTIO 1.4, 2.1.2: NEEDS_RESET";
const AVAIL_JUMP: &str =
    "VIRTIO 1.4, 2.7.6.1: no more than the queue holds is made available; nothing is done";
const DRIVER_OK: &str = "VIRTIO 1.4, 2.1.2: no buffer is consumed before DRIVER_OK";
const NO_MASTER: &str =
    "PCI 3.0, 6.2.2: no DMA; VIRTIO 1.4, 2.1.2: NEEDS_RESET. QEMU takes DRIVER_OK back";
const EMPTY: &str = "no clause forbids a buffer of no length";

pub const BAD_REQUESTS: &[Difference] = &[
    row("type 2: status", Is(2), UNSUPP),
    row("discard, not offered: status", Is(2), UNSUPP),
    row("data of no length: status", Is(0), EMPTY),
    row("data of no length: used.idx", Is(1), EMPTY),
    row("data of no length: used.len", Is(1), EMPTY),
    row("data of no length: device_status", Is(0xf), EMPTY),
    row("data of no length: message 0", Is(0), EMPTY),
    row("data of no length: message 1", Is(1), EMPTY),
    row("* outside RAM: status", Is(0xee), OUTSIDE),
    row("* outside RAM: used.*", Is(0), OUTSIDE),
    row("* outside RAM: device_status", Is(0x4f), OUTSIDE),
    row("* outside RAM: message 0", Is(1), OUTSIDE),
    row("* outside RAM: message 1", Is(0), OUTSIDE),
    row("nine available in a queue of eight: status", Is(0xee), AVAIL_JUMP),
    row("nine available in a queue of eight: data", Own, AVAIL_JUMP),
    row("a doorbell before DRIVER_OK: status", Is(0xee), DRIVER_OK),
    row("a doorbell before DRIVER_OK: used.idx", Is(0), DRIVER_OK),
    row("a doorbell before DRIVER_OK: data", Own, DRIVER_OK),
    row("a doorbell before DRIVER_OK: message 1", Is(0), DRIVER_OK),
    row("bus mastering off: device_status", Is(0x4f), NO_MASTER),
    row(
        "bus mastering on again: message 0",
        Is(1),
        "the notification of NEEDS_RESET was held back, not lost",
    ),
    row("memory decode off: *", AllOnes, "PCI 3.0, 6.1: what nothing claims reads as all ones"),
    row("get_id of 40 bytes: used.len", Is(20), WRITTEN),
    row("get_id of * bytes: data", Own, ID),
    row("*: used.len", Is(0), WRITTEN),
    row("*: isr", Is(0), ISR_QUEUE),
    row("*: isr", Is(2), ISR_QUEUE),
];

pub const INTERRUPTS: &[Difference] = &[row("*: isr", Is(0), ISR_QUEUE)];

pub const RESET: &[Difference] = &[
    row("*: isr", Is(0), ISR_QUEUE),
    row("after device_feature", Is(0x244), OFFERED),
    row("after *_feature*", Is(0), RESET_CLEARS),
    row("* queue_notif_config_data", AllOnes, NO_FIELD),
    row("* queue_reset", AllOnes, NO_FIELD),
];

const IDENTITY: &str =
    "ATA/ATAPI-6, IDENTIFY DEVICE: another disk, without DMA, and without the geometry of old";
const NOT_APPLICABLE: &str =
    "ATA/ATAPI-6, READ and WRITE SECTOR(S): no address is shown after success";
const OBSOLETE: &str =
    "ATA/ATAPI-6, Device register: bits 7 and 5 of Device are obsolete, the signature has 0";
const SEEK: &str =
    "ATA/ATAPI-6, Status register: bit 4 is the command's own; ours keeps it set, as disks do";
const NOT_FOUND: &str =
    "ATA/ATAPI-6, READ and WRITE SECTOR(S): IDNF before a sector is moved, and its address";

pub const ATA: &[Difference] = &[
    row("power-on: error", Is(1), "ATA/ATAPI-6, power-on reset: the diagnostic code"),
    row("identify, described: word *", Own, IDENTITY),
    row("* bits, *: port 1f[23]", Own, NOT_APPLICABLE),
    row("command [0ef][01f]: *status", Is(0x51), SEEK),
    row("command * of * at *: *status", Is(0x51), NOT_FOUND),
    row("command * of * at *: error", Is(0x10), NOT_FOUND),
    row("command * of * at *: port *", Own, NOT_FOUND),
    row("power-on: port 1f6", Is(0), OBSOLETE),
    row("software reset: port 1f6", Is(0), OBSOLETE),
    row("diagnostic: port 1f6", Is(0), OBSOLETE),
    row("secondary channel: status", AllOnes, "no controller is there; QEMU has one without disks"),
];

pub const LEGACY_HEADER: &[Difference] = &[];
const UNPLACED: &str =
    "VIRTIO 1.4, 4.1.5.1.3: page 0 takes a queue away; QEMU resets the device by it";

pub const LEGACY_REGISTERS: &[Difference] = &[
    row("*, device_features*", Is(0x0800_0244), OFFERED),
    row("*, driver_features <- ffffffff", Is(0x0800_0244), VALID_BITS),
    row("*, queue_select <- ffff", Is(0xffff), NO_SUCH_QUEUE),
    row("*, queue_notify", Is(0), "VIRTIO 1.4, 4.1.4.10: a notification is a store"),
    row("*, acknowledge, queue_address <- 0: status", Is(1), UNPLACED),
    row("*, driver, queue_address <- 0: status", Is(3), UNPLACED),
    row("*, queue placed, queue_address <- 0: status", Is(3), UNPLACED),
    row("*, driver_ok, queue_address <- 0: status", Is(7), UNPLACED),
    row("*, device_status <- *", Kept, STRICT_ORDER),
];

pub const LEGACY_REQUESTS: &[Difference] =
    &[row("get_id: data", Own, ID), row("*: used.len", Is(0), WRITTEN)];

const WINDOW_TARGET: &str =
    "VIRTIO 1.4, 4.1.4.9.2: the BAR of a structure, at a multiple of the length; else nothing";

pub const WINDOW: &[Difference] = &[
    row("* device_feature", Is(0x244), OFFERED),
    row("* queue_notif_config_data", AllOnes, NO_FIELD),
    row("* queue_reset", AllOnes, NO_FIELD),
];

pub const WINDOW_ASTRAY: &[Difference] =
    &[row("bar *: status", Is(1), WINDOW_TARGET), row("bar * +*", Is(0x1122_3344), WINDOW_TARGET)];

const DOUBLEWORDS: &str =
    "PCI Express Base 3.0, 7.2.2: an access that leaves its doubleword is the host's to refuse";

pub const ECAM: &[Difference] = &[
    row("header +04:*", Own, WARM),
    row("header +1[0123]:*", Own, WARM),
    row("header +2[0123]:*", Own, WARM),
    row("header +34:*", Is(0x40), LAYOUT),
    row("header +3c:1", Is(10), WARM),
    row("header +3c:[24]", Is(0x10a), WARM),
    row("crossing *", AllOnes, DOUBLEWORDS),
    row("header:8", AllOnes, DOUBLEWORDS),
];

const USED_WRITE: &str =
    "VIRTIO 1.4, 2.8.3: a used descriptor says by WRITE that some of the buffer was written";

pub const PACKED: &[Difference] =
    &[row("*: used.flags", Is(0x8082), USED_WRITE), row("*: used.flags", Is(0x0002), USED_WRITE)];

pub const BAD_PACKED: &[Difference] =
    &[row("*: used.len", Is(0), WRITTEN), row("*: used.flags", Is(0x8082), USED_WRITE)];

const UNALIGNED: &str = "QEMU cuts an access that is not aligned in two, ours takes the register";

pub const LENIENT_WIDTHS: &[Difference] = &[
    row("device_feature by *", Own, OFFERED),
    row("num_queues by 4", Is(1), UNALIGNED),
    row("config_generation by 4", Is(0), UNALIGNED),
    row("queue_select by 4", Is(0), UNALIGNED),
    row("queue_msix_vector by 4", Is(1), UNALIGNED),
];

pub const LENIENT_ORDER: &[Difference] = &[row("* driver_feature <- *", Is(0), VALID_BITS)];

pub const LENIENT_DOORBELLS: &[Difference] = &[row("*: isr", Is(0), ISR_QUEUE)];
