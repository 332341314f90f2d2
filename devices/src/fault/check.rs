use eclipse_trace::{Bdf, Setting};

use super::{Action, Edit, Fault, RegisterName, Trigger, Value};

/// Why a fault can never strike, or would do nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The driver cannot store to the register.
    #[error("{0} is read-only: a store to it is refused before it could be altered")]
    ReadOnly(RegisterName),
    /// The trigger waits for a number that is wider than the register.
    #[error("{value:#x} is wider than {register}, which has {width} bytes")]
    NeverStored {
        /// The number.
        value: u64,
        /// The register.
        register: RegisterName,
        /// Bytes.
        width: u8,
    },
    /// A number is wider than its register.
    #[error("{value:#x} is wider than {register}, which has {width} bytes")]
    TooWide {
        /// The number.
        value: u64,
        /// The register.
        register: RegisterName,
        /// Bytes.
        width: u8,
    },
    /// A number is wider than its field.
    #[error("{value:#x} is wider than the field, which has {width} bytes")]
    TooWideField {
        /// The number.
        value: u64,
        /// Bytes.
        width: u8,
    },
    /// The action needs another trigger.
    #[error("this can only be done {0}")]
    Needs(&'static str),
    /// The first time is the first, not the zeroth.
    #[error("times are counted from 1")]
    Zeroth,
    /// A limit of nothing.
    #[error("a fault that may strike 0 times never does")]
    Never,
    /// Nothing comes before the guest but once.
    #[error("the guest begins only once")]
    BootOnce,
    /// Configuration space has 256 bytes.
    #[error("configuration space ends at ff, not at {0:x}")]
    NoByte(u16),
    /// The edit goes beyond configuration space.
    #[error("configuration space ends at ff, not at {0:x}")]
    Offset(u64),
    /// The register is not in configuration space.
    #[error("{0} is not in configuration space: forge its loads instead")]
    NotConfig(RegisterName),
    /// The machine does not see what would trigger it.
    #[error(
        "the guest's accesses to rings are not seen: rings lie in RAM, and this machine leaves \
         no hole in their place"
    )]
    RingUnseen,
    /// There is no such function.
    #[error("there is no function {function} in this machine; there are {there_are}")]
    NoFunction {
        /// Where it should be.
        function: Bdf,
        /// The functions that there are.
        there_are: String,
    },
    /// The function is no virtio device.
    #[error("{0} is no virtio block device")]
    NotVirtio(Bdf),
    /// The trigger names a queue that the function does not have.
    #[error("{function} has no queue {queue}; it has {queues}, from 0")]
    NoQueue {
        /// The function.
        function: Bdf,
        /// The queue.
        queue: u16,
        /// How many there are.
        queues: u16,
    },
    /// The action names a queue that the function does not have.
    #[error("{function} has no queue {queue}; it has {queues}, from 0")]
    NoQueueThere {
        /// The function.
        function: Bdf,
        /// The queue.
        queue: u16,
        /// How many there are.
        queues: u16,
    },
    /// The setting has no such value.
    #[error("{setting} cannot be {value:#x}")]
    Setting {
        /// Which.
        setting: Setting,
        /// What it should be.
        value: u64,
    },
    /// Two faults, or the machine and a fault, want one place.
    #[error("{0} is taken")]
    Taken(Bdf),
    /// The machine runs already.
    #[error("the machine is put together already")]
    Built,
}

/// A part of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Device,
    On,
    Do,
}

impl Impossible {
    /// Which part of the fault it is about.
    pub(super) fn part(&self) -> Part {
        match self {
            Self::NoFunction { .. } | Self::NotVirtio(_) | Self::Taken(_) => Part::Device,
            Self::ReadOnly(_)
            | Self::NeverStored { .. }
            | Self::Zeroth
            | Self::BootOnce
            | Self::NoByte(_)
            | Self::RingUnseen
            | Self::NoQueue { .. } => Part::On,
            Self::TooWide { .. }
            | Self::TooWideField { .. }
            | Self::Needs(_)
            | Self::Never
            | Self::Offset(_)
            | Self::NotConfig(_)
            | Self::NoQueueThere { .. }
            | Self::Setting { .. }
            | Self::Built => Part::Do,
        }
    }
}

impl Fault {
    /// Checks that the trigger can come and the action be done, on some machine.
    ///
    /// # Errors
    /// They cannot: [`Impossible`] says why.
    pub fn check(&self) -> Result<(), Impossible> {
        if self.nth == 0 {
            return Err(Impossible::Zeroth);
        }
        if self.limit == Some(0) {
            return Err(Impossible::Never);
        }
        match &self.trigger {
            Trigger::Boot if self.nth != 1 => return Err(Impossible::BootOnce),
            Trigger::ConfigLoad(offset) if *offset > 0xff => {
                return Err(Impossible::NoByte(*offset));
            }
            Trigger::Store(register, _) if !register.writable() => {
                return Err(Impossible::ReadOnly(*register));
            }
            &Trigger::Store(register, Some(value)) if value & !register.mask() != 0 => {
                let width = register.width();
                return Err(Impossible::NeverStored { value, register, width });
            }
            _ => {}
        }
        self.check_action()
    }

    fn check_action(&self) -> Result<(), Impossible> {
        let needs = |possible: bool, when| possible.then_some(()).ok_or(Impossible::Needs(when));
        match &self.action {
            Action::Alter(value) => self.check_alter(*value),
            Action::Stick => {
                let load = matches!(self.trigger, Trigger::Load(_) | Trigger::ConfigLoad(_));
                needs(load, "at a load of a register")
            }
            Action::Ignore => {
                let store = matches!(
                    self.trigger,
                    Trigger::Store(..) | Trigger::Notify(_) | Trigger::RingStore(_)
                );
                needs(store, "at a store or a notification")
            }
            Action::UsedElement { .. }
            | Action::UsedIdx(_)
            | Action::NoUsedElement
            | Action::Status(_)
            | Action::NoData
            | Action::Lose { .. }
            | Action::Drop
            | Action::Delay(_)
            | Action::Hold
            | Action::Swap
            | Action::Duplicate(_) => {
                needs(matches!(self.trigger, Trigger::Completion(_)), "at a completion")
            }
            Action::Edit(edit) => {
                needs(self.trigger == Trigger::Boot, "before the guest begins, at boot")?;
                check_edit(edit)
            }
            Action::Machine(..) => {
                needs(self.trigger == Trigger::Boot, "before the guest begins, at boot")
            }
            Action::Remove
            | Action::Interrupt(_)
            | Action::NoInterrupt(_)
            | Action::Memory { .. }
            | Action::Descriptor { .. }
            | Action::NeedsReset
            | Action::Poll(_)
            | Action::Release
            | Action::Capacity(_) => {
                needs(self.trigger != Trigger::Boot, "while the guest runs, not at boot")
            }
        }
    }

    fn check_alter(&self, value: Value) -> Result<(), Impossible> {
        match self.trigger {
            Trigger::Load(register) | Trigger::Store(register, _) => {
                check_width(register, value.number())
            }
            Trigger::ConfigLoad(_) => Ok(()),
            Trigger::RingLoad(field)
            | Trigger::RingReload(field)
            | Trigger::RingStore(field)
            | Trigger::RingWrite(field) => match value.number() {
                value if value & !field.mask() != 0 => {
                    Err(Impossible::TooWideField { value, width: field.width() })
                }
                _ => Ok(()),
            },
            _ => Err(Impossible::Needs("at a load or store of a register or a ring")),
        }
    }
}

fn check_width(register: RegisterName, value: u64) -> Result<(), Impossible> {
    match value & !register.mask() {
        0 => Ok(()),
        _ => Err(Impossible::TooWide { value, register, width: register.width() }),
    }
}

fn check_edit(edit: &Edit) -> Result<(), Impossible> {
    match edit {
        Edit::Register(register, value) => {
            register.in_config().ok_or(Impossible::NotConfig(*register))?;
            check_width(*register, value.number())
        }
        Edit::Bytes(offset, bytes) => match u64::from(*offset) + bytes.len() as u64 {
            end if end > 0x100 => Err(Impossible::Offset(end - 1)),
            _ => Ok(()),
        },
        Edit::Unlink(_) | Edit::Prepend(..) | Edit::Append(..) => Ok(()),
    }
}
