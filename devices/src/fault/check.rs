use super::{Action, Edit, Fault, RegisterName, Trigger};

/// Why a fault can never strike, or would do nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Impossible {
    /// The driver cannot store to the register.
    #[error("{0} is read-only: a store to it is refused before it could be altered")]
    ReadOnly(RegisterName),
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
    Offset(u64),
    /// The register is not in configuration space.
    #[error("{0} is not in configuration space: forge its loads instead")]
    NotConfig(RegisterName),
    /// The machine does not see what would trigger it.
    #[error(
        "loads of rings are not seen: rings lie in RAM, and this machine leaves no hole in their place"
    )]
    RingLoad,
}

impl Fault {
    /// Checks that the trigger can come and the action be done.
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
            Trigger::RingLoad(..) => return Err(Impossible::RingLoad),
            Trigger::ConfigLoad(offset) if *offset > 0xff => {
                return Err(Impossible::Offset((*offset).into()));
            }
            Trigger::Store(register, _) if !register.writable() => {
                return Err(Impossible::ReadOnly(*register));
            }
            Trigger::Store(register, Some(value)) => check_width(*register, *value)?,
            _ => {}
        }
        self.check_action()
    }

    fn check_action(&self) -> Result<(), Impossible> {
        let needs = |possible: bool, when| possible.then_some(()).ok_or(Impossible::Needs(when));
        match &self.action {
            Action::Alter(value) => match self.trigger {
                Trigger::Load(register) | Trigger::Store(register, _) => {
                    check_width(register, value.number())
                }
                Trigger::ConfigLoad(_) => Ok(()),
                _ => Err(Impossible::Needs("at a load or store of a register")),
            },
            Action::Stick => {
                let load = matches!(self.trigger, Trigger::Load(_) | Trigger::ConfigLoad(_));
                needs(load, "at a load of a register")
            }
            Action::Ignore => {
                let store = matches!(self.trigger, Trigger::Store(..) | Trigger::Notify(_));
                needs(store, "at a store to a register or a notification")
            }
            Action::UsedElement { .. }
            | Action::UsedIdx(_)
            | Action::NoUsedElement
            | Action::Status(_)
            | Action::NoData
            | Action::Lose { .. }
            | Action::Drop
            | Action::Delay(_)
            | Action::Swap
            | Action::Duplicate(_) => {
                needs(matches!(self.trigger, Trigger::Completion(_)), "at a completion")
            }
            Action::Edit(edit) => {
                needs(self.trigger == Trigger::Boot, "before the guest begins, at boot")?;
                check_edit(edit)
            }
            Action::Remove
            | Action::Interrupt(_)
            | Action::NoInterrupt
            | Action::Memory { .. }
            | Action::Descriptor { .. }
            | Action::NeedsReset
            | Action::Poll(_)
            | Action::Capacity(_) => {
                needs(self.trigger != Trigger::Boot, "while the guest runs, not at boot")
            }
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
