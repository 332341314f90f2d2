//! Configuration space, capabilities and base address registers.

use eclipse_trace::register::{CapabilityKind, ConfigHeader, VirtioCap};
use eclipse_trace::{Bdf, Setting};

use super::{
    Action, Edit, Fault, Kind, RegisterName, Row, VENDOR_SPECIFIC, Value, answers, body, boot,
    capability, header, load, machine, number, row,
};

const CAP: super::Parameter = number("cap", 1, "1 common, 2 notify, 3 ISR, 4 device");

pub(super) const ROWS: &[Row] = &[
    row(
        "F01",
        Kind::Malicious,
        "the function is there when its vendor ID is read, and gone from then on",
        &[],
        |_| vec![Fault::new(load(RegisterName::Config(ConfigHeader::DeviceId)), Action::Remove)],
    ),
    row("F02", Kind::Malicious, "the capability list points to itself", &[CAP], |p| {
        let cap = p.get("cap") as u8;
        // Where the list's entries are in the preset: 4ch, 7ch, 5ch, 6ch.
        let at = match cap {
            2 => 0x7c,
            3 => 0x5c,
            4 => 0x6c,
            _ => 0x4c,
        };
        vec![capability(cap.into(), VirtioCap::CapNext, at)]
    }),
    row(
        "F04",
        Kind::Malicious,
        "the capability pointer leads into the header, off a doubleword, or to the end",
        &[number("pointer", 0x3c, "41h, 3Ch, FFh, FCh")],
        |p| vec![header(ConfigHeader::CapabilitiesPointer, p.get("pointer"))],
    ),
    row(
        "F06",
        Kind::Malicious,
        "a virtio capability is shorter than its structure",
        &[CAP, number("len", 2, "0, 2, 15; for notify also 16 to 19")],
        |p| vec![capability(p.get("cap"), VirtioCap::CapLen, p.get("len"))],
    ),
    row(
        "F07",
        Kind::Legal,
        "a virtio capability is longer than its structure",
        &[CAP, number("len", 32, "32, 64")],
        |p| vec![capability(p.get("cap"), VirtioCap::CapLen, p.get("len"))],
    ),
    row(
        "F08",
        Kind::Legal,
        "a capability with a reserved type or BAR comes first",
        &[number("type", 0, "0, 6, 7, 7Fh, FFh"), number("bar", 4, "6 to FFh are reserved")],
        |p| {
            let body = body(p.get("type") as u8, p.get("bar") as u8, 0, 0x1000, None);
            vec![boot(Edit::Prepend(VENDOR_SPECIFIC, body))]
        },
    ),
    row(
        "F10",
        Kind::Malicious,
        "offset and length of a structure end past the BAR, or past 32 bits",
        &[CAP, number("offset", 0xffff_f000, ""), number("length", 0x2000, "")],
        |p| {
            let cap = p.get("cap");
            vec![
                capability(cap, VirtioCap::Offset, p.get("offset")),
                capability(cap, VirtioCap::Length, p.get("length")),
            ]
        },
    ),
    row(
        "F11",
        Kind::Malicious,
        "a structure is not aligned",
        &[CAP, number("offset", 0x3001, "odd: common, device and notify have 4, 4 and 2")],
        |p| vec![capability(p.get("cap"), VirtioCap::Offset, p.get("offset"))],
    ),
    row(
        "F12",
        Kind::Malicious,
        "a structure is too short",
        &[CAP, number("length", 55, "common 0, 1, 55; notify 1; ISR 0")],
        |p| vec![capability(p.get("cap"), VirtioCap::Length, p.get("length"))],
    ),
    row(
        "F13",
        Kind::Legal,
        "a structure is 16 MiB to 4 GiB long, in a BAR that is large enough",
        &[CAP, number("length", 0xffff_ffff, "1000000h, 80000000h, FFFFFFFFh")],
        |p| {
            let length = capability(p.get("cap"), VirtioCap::Length, p.get("length"));
            vec![machine(Setting::BarSize, 8 << 30), length]
        },
    ),
    row(
        "F15",
        Kind::Broken,
        "a structure is missing, or all are",
        &[number("cap", 0, "1 common, 2 notify, 3 ISR, 4 device; 0 all")],
        |p| {
            let all = [1, 2, 3, 4];
            let missing = |cap: &u8| p.get("cap") == 0 || p.get("cap") == u64::from(*cap);
            let unlink = |cap| boot(Edit::Unlink(CapabilityKind::Virtio(cap)));
            all.into_iter().filter(missing).map(unlink).collect()
        },
    ),
    row(
        "F16",
        Kind::Legal,
        "every structure is there twice, the second time where it must not be used",
        &[number("offset", 0x3800, "of the second")],
        |p| {
            let second = |(cfg_type, length, extra)| {
                let body = body(cfg_type, 4, p.get("offset") as u32, length, extra);
                boot(Edit::Append(VENDOR_SPECIFIC, body))
            };
            [(1, 56, None), (3, 1, None), (4, 64, None), (2, 4, Some(4))].map(second).to_vec()
        },
    ),
    row(
        "F17",
        Kind::Malicious,
        "a field of a capability is another one when it is read again",
        &[CAP, number("xor", 0x8000, "bits of offset that change")],
        |p| {
            let register = RegisterName::VirtioCap(p.get("cap") as u8, VirtioCap::Offset);
            let flip = Action::Alter(Value::Xor(p.get("xor")));
            vec![Fault::new(load(register), flip).nth(2).from_now_on()]
        },
    ),
    row(
        "F18",
        Kind::Malicious,
        "the header has another type",
        &[number("type", 1, "1, 2; 80h is the multi-function bit")],
        |p| vec![header(ConfigHeader::HeaderType, p.get("type"))],
    ),
    row(
        "F19",
        Kind::Legal,
        "revision and subsystem IDs are others than usual",
        &[number("revision", 0xff, ""), number("subsystem", 0xbeef, "")],
        |p| {
            vec![
                header(ConfigHeader::RevisionId, p.get("revision")),
                header(ConfigHeader::SubsystemId, p.get("subsystem")),
            ]
        },
    ),
    row(
        "F20",
        Kind::Broken,
        "a virtio device of another type comes before the block device, a second one after it",
        &[
            number("id", 0x1041, "of the other: 1041h, 1005h"),
            number("sectors", 64, "of the second"),
        ],
        |p| {
            vec![
                machine(Setting::OtherDevice, p.get("id")).of(Bdf::new(0, 3, 0)),
                machine(Setting::BlockDevice, p.get("sectors")).of(Bdf::new(0, 6, 0)),
            ]
        },
    ),
    row(
        "F21",
        Kind::Malicious,
        "a BAR answers its sizing with 0, all ones or a mask with holes",
        &[number("bar", 4, "0 or 4"), number("mask", 0, "0, FFFFFFFFh, FF0FC00Ch")],
        |p| {
            // A driver loads a BAR, stores ones, and loads it again.
            let sizing = Action::Alter(Value::Set(p.get("mask")));
            vec![Fault::new(load(RegisterName::Config(bar(p.get("bar")))), sizing).nth(2)]
        },
    ),
    row(
        "F22",
        Kind::Legal,
        "a 64-bit BAR is 8 GiB large and above 4 GiB",
        &[number("size", 8 << 30, "a power of two; above 4 GiB if more than 1 MiB")],
        |p| vec![machine(Setting::BarSize, p.get("size"))],
    ),
    row(
        "F23",
        Kind::Malicious,
        "a BAR does not keep what is written to it",
        &[
            number("bar", 4, "0 or 4"),
            number("base", 0xfee0_000c, "0: RAM, FEE00000h: the local APIC"),
            number("nth", 3, "from which load on"),
        ],
        |p| {
            let register = RegisterName::Config(bar(p.get("bar")));
            vec![answers(register, p.get("base")).nth(p.get("nth"))]
        },
    ),
    row("F25", Kind::Legal, "an I/O BAR has only 16 address bits", &[], |_| {
        vec![machine(Setting::Transitional, 1), machine(Setting::NarrowPorts, 1)]
    }),
    row(
        "F26",
        Kind::Legal,
        "the structures are spread over several BARs, the notifications in I/O space",
        &[],
        |_| vec![machine(Setting::SpreadBars, 1)],
    ),
];

fn bar(index: u64) -> ConfigHeader {
    match index {
        0 => ConfigHeader::Bar0,
        1 => ConfigHeader::Bar1,
        2 => ConfigHeader::Bar2,
        3 => ConfigHeader::Bar3,
        5 => ConfigHeader::Bar5,
        _ => ConfigHeader::Bar4,
    }
}
