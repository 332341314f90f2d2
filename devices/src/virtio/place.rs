use eclipse_trace::register::{BlockCfg, CommonCfg, Structure};
use eclipse_trace::{Refusal, Violation};

use super::Features;
use super::device::VirtioDevice;
use super::layout::Layout;
use super::settings::Profile;

/// What an access to the structures' BAR matches.
pub(super) struct Place {
    pub(super) what: What,
    /// A rule that the access breaks although it is carried out.
    pub(super) forgiven: Option<Violation>,
}

/// What lies at a place.
pub(super) enum What {
    Common(CommonCfg),
    /// The doorbell of a queue, or of all where the multiplier is 0.
    Notify(Option<u16>),
    Isr,
    /// With the value that a load gets.
    Block(BlockCfg, u32),
    /// Nothing: of which structure, at which of its bytes, and why.
    None(Structure, u64, Refusal),
}

impl Place {
    /// What an access of `width` bytes at `offset` of the BAR matches.
    pub(super) fn of(device: &VirtioDevice, layout: &Layout, offset: u64, width: u8) -> Self {
        let (notify, notify_length) = layout.notify;
        let lenient = device.settings().profile == Profile::Lenient;
        if let Some(inside) = offset.checked_sub(notify).filter(|o| *o < notify_length) {
            return doorbell(device, inside, width, lenient);
        }
        let inside = offset % Layout::PART;
        match offset - inside {
            Layout::COMMON => common(device, inside, width, lenient),
            Layout::ISR => match (inside, width) {
                (0, 1) => exact(What::Isr),
                (0, _) if lenient => forgiven(What::Isr, 1, width),
                (0, _) => none(Structure::Isr, inside, Refusal::Width),
                _ => none(Structure::Isr, inside, Refusal::NoRegister),
            },
            Layout::DEVICE => block(device, inside, width, lenient),
            _ => none(Structure::Bar(Layout::STRUCTURES_BAR), offset, Refusal::NoRegister),
        }
    }
}

fn exact(what: What) -> Place {
    Place { what, forgiven: None }
}

fn forgiven(what: What, register: u8, access: u8) -> Place {
    Place { what, forgiven: Some(Violation::AccessWidth { register, access }) }
}

fn none(structure: Structure, inside: u64, why: Refusal) -> Place {
    exact(What::None(structure, inside, why))
}

fn common(device: &VirtioDevice, inside: u64, width: u8, lenient: bool) -> Place {
    // What belongs to a feature that is not offered does not exist (4.1.4.3).
    let there = |register| match register {
        CommonCfg::QueueReset => device.offered().contains(Features::RING_RESET),
        CommonCfg::QueueNotifConfigData => device.offered().contains(Features::NOTIF_CONFIG_DATA),
        _ => true,
    };
    let refuse = |why| none(Structure::Common, inside, why);
    if CommonCfg::containing(inside).is_some_and(|register| !there(register)) {
        return refuse(Refusal::NoRegister);
    }
    match CommonCfg::decode(inside, width) {
        Ok(register) => exact(What::Common(register)),
        Err(Refusal::Width) => match CommonCfg::containing(inside) {
            // An 8-byte access to a 64-bit field matches its low half: it is carried out
            // as two halves and recorded as what it is, so that drivers in the field
            // still run although 4.1.3.1 forbids it.
            Some(register) if width == 8 && high_half(register).is_some() => {
                exact(What::Common(register))
            }
            Some(register) if lenient => forgiven(What::Common(register), register.width(), width),
            _ => refuse(Refusal::Width),
        },
        Err(why) => refuse(why),
    }
}

fn block(device: &VirtioDevice, inside: u64, width: u8, lenient: bool) -> Place {
    let refuse = |why| none(Structure::Block, inside, why);
    // A field does not exist without its feature (5.2.4).
    let there = BlockCfg::containing(inside)
        .and_then(|register| Some((register, device.blk().config(register)?)));
    let Some((register, value)) = there else { return refuse(Refusal::NoRegister) };
    match BlockCfg::decode(inside, width) {
        Ok(register) => exact(What::Block(register, value)),
        Err(Refusal::Width) if lenient => {
            forgiven(What::Block(register, value), register.width(), width)
        }
        Err(why) => refuse(why),
    }
}

/// The queue whose notification address is at `inside`: its `queue_notify_off` times
/// the multiplier (4.1.4.4).
fn doorbell(device: &VirtioDevice, inside: u64, width: u8, lenient: bool) -> Place {
    let settings = device.settings();
    let multiplier = u64::from(settings.notify_multiplier);
    let refuse = |why| none(Structure::Notify, inside, why);
    // 4.1.5.2.1: 16 bits, or 32 with NOTIFICATION_DATA.
    let wanted = if device.accepted().contains(Features::NOTIFICATION_DATA) { 4 } else { 2 };
    let queue = match multiplier {
        0 if inside == 0 => None,
        0 if inside < wanted.into() => return refuse(Refusal::Unaligned),
        0 => return refuse(Refusal::NoRegister),
        _ => {
            let offset = (inside / multiplier) as u16;
            let queues = device.num_queues();
            let queue = (0..queues).find(|queue| settings.notify_off(*queue, queues) == offset);
            match queue {
                None => return refuse(Refusal::NoRegister),
                Some(_) if inside % multiplier >= wanted.into() => {
                    return refuse(Refusal::NoRegister);
                }
                Some(_) if !inside.is_multiple_of(multiplier) => return refuse(Refusal::Unaligned),
                queue => queue,
            }
        }
    };
    match width == wanted {
        true => exact(What::Notify(queue)),
        false if lenient => forgiven(What::Notify(queue), wanted, width),
        false => refuse(Refusal::Width),
    }
}

/// The high half of the 64-bit field that `register` is the low half of.
pub(super) fn high_half(register: CommonCfg) -> Option<CommonCfg> {
    match register {
        CommonCfg::QueueDescLow => Some(CommonCfg::QueueDescHigh),
        CommonCfg::QueueDriverLow => Some(CommonCfg::QueueDriverHigh),
        CommonCfg::QueueDeviceLow => Some(CommonCfg::QueueDeviceHigh),
        _ => None,
    }
}
