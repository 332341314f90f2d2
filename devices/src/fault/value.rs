use std::fmt;

/// What becomes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value {
    /// It is this one.
    Set(u64),
    /// These bits are flipped.
    Xor(u64),
    /// These bits are set.
    Or(u64),
    /// Other bits than these are cleared.
    And(u64),
    /// It is more by this, in the width of the place; less with a negative number.
    Add(i64),
}

impl Value {
    /// What becomes of `value`, in a place of as many bits as `mask` has.
    pub fn apply(self, value: u64, mask: u64) -> u64 {
        mask & match self {
            Self::Set(new) => new,
            Self::Xor(bits) => value ^ bits,
            Self::Or(bits) => value | bits,
            Self::And(bits) => value & bits,
            Self::Add(more) => value.wrapping_add_signed(more),
        }
    }

    /// The number in it, to check against a width.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Set(number) | Self::Xor(number) | Self::Or(number) | Self::And(number) => number,
            Self::Add(more) => more.unsigned_abs(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Set(value) => write!(f, "{value:#x}"),
            Self::Xor(bits) => write!(f, "xor {bits:#x}"),
            Self::Or(bits) => write!(f, "or {bits:#x}"),
            Self::And(bits) => write!(f, "and {bits:#x}"),
            Self::Add(more) => write!(f, "{more:+}"),
        }
    }
}
