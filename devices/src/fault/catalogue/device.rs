//! Status, features, the device's configuration, queue set-up, and its life.

use eclipse_trace::Setting;
use eclipse_trace::register::{BlockCfg, CapabilityKind, CommonCfg, ConfigHeader, VirtioCap};

use super::{
    Action, Edit, Fault, Kind, NTH, RegisterName, Row, Trigger, Value, answers, block, boot,
    capability, common, completion, features, header, load, machine, number, row, store,
};
use crate::fault::{RingField, Vector};

const ALL_ONES: u64 = 0xffff_ffff;

pub(super) const ROWS: &[Row] = &[
    row(
        "F27",
        Kind::Legal,
        "a reset takes some loads of the status until it is done",
        &[number("loads", 10, "1, 10, 1000")],
        |p| vec![answers(common(CommonCfg::DeviceStatus), 0x0f).times(p.get("loads"))],
    ),
    row("F28", Kind::Broken, "a reset is never done", &[number("status", 0x0f, "")], |p| {
        vec![answers(common(CommonCfg::DeviceStatus), p.get("status"))]
    }),
    row("F29", Kind::Broken, "FEATURES_OK is not kept", &[], |_| {
        let trigger = store(common(CommonCfg::DeviceStatus), 0x0b);
        vec![Fault::new(trigger, Action::Alter(Value::And(!0x08 & 0xff))).from_now_on()]
    }),
    row(
        "F30",
        Kind::Malicious,
        "the status reads as all ones",
        &[number("nth", 1, "from which load on")],
        |p| vec![answers(common(CommonCfg::DeviceStatus), 0xff).nth(p.get("nth"))],
    ),
    row(
        "F31",
        Kind::Broken,
        "the device gives up at a stage of its initialisation or with requests in flight",
        &[number("stage", 4, "1 ACKNOWLEDGE, 2 features, 3 queue, 4 DRIVER_OK, 5 first request")],
        |p| {
            let status = |value| store(common(CommonCfg::DeviceStatus), value);
            let trigger = match p.get("stage") {
                1 => status(0x01),
                2 => status(0x0b),
                3 => store(common(CommonCfg::QueueEnable), 1),
                5 => Trigger::Notify(0),
                _ => status(0x0f),
            };
            vec![Fault::new(trigger, Action::NeedsReset)]
        },
    ),
    row("F33", Kind::Broken, "VERSION_1 is not offered", &[], |_| {
        vec![features(1, Value::And(ALL_ONES - 1))]
    }),
    row("F34", Kind::Legal, "every feature bit that has no meaning yet is offered", &[], |_| {
        // With the others the device would promise what it does not do. They end at bit 41;
        // below are those of a block device, 24 and 27 to 29 (VIRTIO 1.4, 2.2, 5.2.3 and 6).
        vec![features(0, Value::Or(0xc6fc_0000)), features(1, Value::Or(0xffff_fc00))]
    }),
    row(
        "F35",
        Kind::Malicious,
        "feature words are others when they are read again",
        &[number("xor", 0x200, "bits that change")],
        |p| {
            let flip = Action::Alter(Value::Xor(p.get("xor")));
            let trigger = load(common(CommonCfg::DeviceFeature));
            vec![Fault::new(trigger, flip).nth(3).from_now_on()]
        },
    ),
    row(
        "F37",
        Kind::Malicious,
        "a feature is offered without one that it depends on",
        &[number("bits", 1 << 21, "of word 0; bit 21 is ZONED")],
        |p| vec![features(0, Value::Or(p.get("bits")))],
    ),
    row("F38", Kind::Malicious, "queue 0 is still enabled after a reset", &[], |_| {
        vec![answers(common(CommonCfg::QueueEnable), 1)]
    }),
    row("F39", Kind::Broken, "the capacity is 0", &[], |_| capacity(0)),
    row(
        "F40",
        Kind::Malicious,
        "the capacity is so large that its bytes are no 64-bit number",
        &[number("sectors", u64::MAX, "2^64-1, 2^55")],
        |p| capacity(p.get("sectors")),
    ),
    row(
        "F41",
        Kind::Legal,
        "the capacity changes between the loads of its halves",
        &[number("sectors", 0x1_0000_0008, "what it was before")],
        |p| {
            let before = p.get("sectors");
            vec![
                block(BlockCfg::CapacityLow, before & ALL_ONES).times(1),
                Fault::new(load(common(CommonCfg::ConfigGeneration)), Action::Alter(Value::Add(1)))
                    .nth(2)
                    .from_now_on(),
            ]
        },
    ),
    row(
        "F44",
        Kind::Malicious,
        "blk_size is no block size",
        &[number("blk_size", 0, "0, 1, 3, 511, 513, 2^31")],
        |p| vec![block(BlockCfg::BlkSize, p.get("blk_size"))],
    ),
    row(
        "F45",
        Kind::Malicious,
        "seg_max is 0, or more than the queue holds",
        &[number("seg_max", 0, "0, FFFFFFFFh")],
        |p| vec![block(BlockCfg::SegMax, p.get("seg_max"))],
    ),
    row(
        "F46",
        Kind::Malicious,
        "SIZE_MAX is offered, and no segment can be that small",
        &[number("size_max", 0, "0, 1, 511")],
        |p| vec![features(0, Value::Or(1 << 1)), block(BlockCfg::SizeMax, p.get("size_max"))],
    ),
    row(
        "F47",
        Kind::Malicious,
        "TOPOLOGY is offered with exponents and offsets beyond all sizes",
        &[number("exponent", 255, "31 to 255"), number("offset", 255, ""), number("min", 0, "")],
        |p| {
            vec![
                features(0, Value::Or(1 << 10)),
                block(BlockCfg::PhysicalBlockExp, p.get("exponent")),
                block(BlockCfg::AlignmentOffset, p.get("offset")),
                block(BlockCfg::MinIoSize, p.get("min")),
            ]
        },
    ),
    row(
        "F48",
        Kind::Malicious,
        "MQ is offered with no queue, or with far too many",
        &[number("queues", 0, "0, 65535")],
        |p| vec![features(0, Value::Or(1 << 12)), block(BlockCfg::NumQueues, p.get("queues"))],
    ),
    row(
        "F50",
        Kind::Malicious,
        "the device configuration ends before fields whose features are offered",
        &[number("length", 8, "")],
        |p| vec![capability(4, VirtioCap::Length, p.get("length"))],
    ),
    row(
        "F52",
        Kind::Legal,
        "the capacity changes while the device is in use",
        &[
            number("sectors", 4096, "what it becomes, more or fewer"),
            number("nth", 1, "at which notification"),
        ],
        |p| {
            let change = Action::Capacity(p.get("sectors"));
            vec![Fault::new(Trigger::Notify(0), change).nth(p.get("nth"))]
        },
    ),
    row(
        "F53",
        Kind::Malicious,
        "configuration change interrupts come with every access and nothing has changed",
        &[number("nth", 1, "from which notification on"), number("times", 100_000, "")],
        |p| vec![storm(Vector::Config, p.get("nth"), p.get("times"))],
    ),
    row("F54", Kind::Broken, "there is no queue", &[number("queues", 0, "num_queues")], |p| {
        vec![
            answers(common(CommonCfg::NumQueues), p.get("queues")),
            answers(common(CommonCfg::QueueSize), 0),
        ]
    }),
    row(
        "F55",
        Kind::Malicious,
        "the queue has an impossible size",
        &[number("size", 24, "1, 2, 3, 24, 32768, 65535")],
        |p| vec![answers(common(CommonCfg::QueueSize), p.get("size"))],
    ),
    row("F57", Kind::Broken, "queue_enable reads as 0 after 1 was written", &[], |_| {
        vec![answers(common(CommonCfg::QueueEnable), 0)]
    }),
    row(
        "F58",
        Kind::Malicious,
        "a queue's notification address lies past its structure",
        &[number("off", 0xffff, "queue_notify_off")],
        |p| vec![answers(common(CommonCfg::QueueNotifyOff), p.get("off"))],
    ),
    row(
        "F59",
        Kind::Legal,
        "the notification multiplier is 0, 2 or 4096, and the offsets are permuted",
        &[number("multiplier", 4096, "0, 2, 4096"), number("queues", 2, "")],
        |p| {
            vec![
                machine(Setting::Queues, p.get("queues")),
                machine(Setting::NotifyMultiplier, p.get("multiplier")),
                machine(Setting::NotifyPermuted, 1),
            ]
        },
    ),
    row("F61", Kind::Broken, "queue_msix_vector reads as FFFFh: no vector", &[], |_| {
        vec![answers(common(CommonCfg::QueueMsixVector), 0xffff)]
    }),
    row("F64", Kind::Broken, "there is neither MSI-X nor an interrupt pin", &[], |_| {
        vec![
            boot(Edit::Unlink(CapabilityKind::Msix)),
            header(ConfigHeader::InterruptPin, 0),
            header(ConfigHeader::InterruptLine, 0xff),
        ]
    }),
    row(
        "F89",
        Kind::Legal,
        "an interrupt comes and there is nothing new",
        &[number("queue", 0, "whose"), number("nth", 1, "at which notification")],
        |p| {
            let action = Action::Interrupt(Vector::Queue(p.get("queue") as u16));
            vec![Fault::new(Trigger::Notify(0), action).nth(p.get("nth"))]
        },
    ),
    row("F90", Kind::Broken, "the interrupt of a completion is lost", &[super::NTH], |p| {
        vec![completion(Action::NoInterrupt(None)).nth(p.get("nth"))]
    }),
    row(
        "F91",
        Kind::Malicious,
        "an interrupt comes before DRIVER_OK, or after a reset",
        &[number("stage", 1, "1 at queue_enable, 2 at the reset of a device in use")],
        |p| {
            let trigger = match p.get("stage") {
                2 => store(common(CommonCfg::DeviceStatus), 0),
                _ => store(common(CommonCfg::QueueEnable), 1),
            };
            let interrupt = Fault::new(trigger, Action::Interrupt(Vector::Queue(0)));
            // The first reset is that of the initialisation.
            vec![interrupt.nth(if p.get("stage") == 2 { 2 } else { 1 })]
        },
    ),
    row(
        "F92",
        Kind::Malicious,
        "interrupts come with every access",
        &[number("nth", 1, "from which access on"), number("times", 100_000, "")],
        |p| vec![storm(Vector::Queue(0), p.get("nth"), p.get("times"))],
    ),
    row(
        "F94",
        Kind::Legal,
        "one vector is shared by configuration changes and the queue, and raised once for both",
        &[number("sectors", 4096, "the new capacity"), number("nth", 1, "at which notification")],
        |p| {
            let at_notification = |action| Fault::new(Trigger::Notify(0), action).nth(p.get("nth"));
            vec![
                machine(Setting::Vectors, 1),
                at_notification(Action::NoInterrupt(Some(Vector::Config))),
                at_notification(Action::Capacity(p.get("sectors"))),
            ]
        },
    ),
    row(
        "F95",
        Kind::Legal,
        "a completion comes exactly between the last look at the ring and the unmasking",
        &[NTH, number("load", 1, "behind which load of used.idx it comes")],
        |p| {
            // An interrupt has the driver look at a ring in which nothing is new yet.
            vec![
                completion(Action::Hold).nth(p.get("nth")),
                completion(Action::Interrupt(Vector::Queue(0))).nth(p.get("nth")),
                Fault::new(Trigger::RingLoad(RingField::USED_IDX), Action::Release)
                    .nth(p.get("load")),
            ]
        },
    ),
    row(
        "F111",
        Kind::Broken,
        "the function is gone from an access on",
        &[number("exit", 1, "which access of the guest, of whatever sort")],
        |p| vec![Fault::new(Trigger::Exit, Action::Remove).nth(p.get("exit"))],
    ),
    row(
        "F112",
        Kind::Broken,
        "one bit of one load is wrong",
        &[number("load", 1, "which load of the device's registers"), number("bit", 0, "")],
        |p| {
            let flip = Action::Alter(Value::Xor(1u64.wrapping_shl(p.get("bit") as u32)));
            vec![Fault::new(load(RegisterName::Any), flip).nth(p.get("load"))]
        },
    ),
    row(
        "F114",
        Kind::Broken,
        "the device dies before a request, and works again after a reset",
        &[number("request", 2, "which notification")],
        |p| {
            let request = p.get("request");
            vec![
                Fault::new(Trigger::Notify(0), Action::Ignore).nth(request),
                Fault::new(Trigger::Notify(0), Action::NeedsReset).nth(request),
            ]
        },
    ),
    row(
        "F115",
        Kind::Malicious,
        "a reset is confirmed, and requests are completed and interrupts sent all the same",
        &[number("reset", 2, "which store of 0 to the status"), number("exits", 10, "later")],
        |p| {
            let reset = store(common(CommonCfg::DeviceStatus), 0);
            vec![
                Fault::new(reset, Action::Ignore).nth(p.get("reset")).from_now_on(),
                // The first load of the status is that of the first reset.
                answers(common(CommonCfg::DeviceStatus), 0).nth(p.get("reset") + 1),
                completion(Action::Duplicate(p.get("exits"))).from_now_on(),
            ]
        },
    ),
];

fn capacity(sectors: u64) -> Vec<Fault> {
    vec![
        block(BlockCfg::CapacityLow, sectors & ALL_ONES),
        block(BlockCfg::CapacityHigh, sectors >> 32),
    ]
}

fn storm(vector: Vector, nth: u64, times: u64) -> Fault {
    Fault::new(Trigger::Exit, Action::Interrupt(vector)).nth(nth).times(times)
}
