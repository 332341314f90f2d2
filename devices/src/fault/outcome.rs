use super::{Value, Vector};

/// What becomes of a chain whose request was carried out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is given back.
    #[default]
    GivenBack,
    /// It is not.
    Dropped,
    /// It is after so many further accesses.
    Late(u64),
    /// It is when another fault says so.
    Held,
    /// It is after the next one.
    Swapped,
    /// It is twice, the second time after so many further accesses.
    Twice(u64),
}

/// What is to be altered about the request that is being carried out. A number
/// says which fault does.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// From the header to the status: data may be withheld.
    pub(super) moving: bool,
    pub(super) status: Option<(usize, Option<Value>)>,
    pub(super) data: Option<usize>,
    pub(super) disk: Option<(usize, u64)>,
    pub(super) forgery: Forgery,
    pub(super) fate: Option<(usize, Fate)>,
    /// What is done when the chain has been given back.
    pub(super) afterwards: Vec<usize>,
}

/// What is altered about how a chain is given back, whenever that is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Forgery {
    pub(super) element: Option<(usize, Option<Value>, Option<Value>)>,
    pub(super) no_element: Option<usize>,
    pub(super) idx: Option<(usize, Value)>,
}

/// A fault that withholds an interrupt, and of which source; `None`: of any.
pub(super) type Withheld = (usize, Option<Vector>);

/// Where the device last met the areas of queue 0, data, and an indirect table.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Met {
    pub(super) desc: Option<u64>,
    pub(super) avail: Option<u64>,
    pub(super) used: Option<u64>,
    pub(super) data: Option<u64>,
    pub(super) indirect: Option<u64>,
}
