//! Linux's error numbers, as far as they are answered here.

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u32)]
pub enum Errno {
    /// ENOENT
    #[error("no such file or directory")]
    NoEnt = 2,
    /// EIO
    #[error("input/output error")]
    Io = 5,
    /// EBADF
    #[error("bad file descriptor")]
    BadF = 9,
    /// EFAULT
    #[error("bad address")]
    Fault = 14,
    /// ENOTDIR
    #[error("not a directory")]
    NotDir = 20,
    /// EISDIR
    #[error("is a directory")]
    IsDir = 21,
    /// EINVAL
    #[error("invalid argument")]
    Inval = 22,
    /// EMFILE
    #[error("too many open files")]
    MFile = 24,
    /// EFBIG
    #[error("file too large")]
    FBig = 27,
    /// EROFS
    #[error("read-only file system")]
    Rofs = 30,
    /// ENAMETOOLONG
    #[error("file name too long")]
    NameTooLong = 36,
    /// ENOSYS
    #[error("function not implemented")]
    NoSys = 38,
    /// ELOOP
    #[error("too many symbolic links")]
    Loop = 40,
}

impl Errno {
    pub(super) const ALL: [Self; 13] = [
        Self::NoEnt,
        Self::Io,
        Self::BadF,
        Self::Fault,
        Self::NotDir,
        Self::IsDir,
        Self::Inval,
        Self::MFile,
        Self::FBig,
        Self::Rofs,
        Self::NameTooLong,
        Self::NoSys,
        Self::Loop,
    ];

    /// As a call leaves it in `rax`: the number, negated.
    pub fn register(self) -> u64 {
        (self as u64).wrapping_neg()
    }

    /// The error of that number.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|errno| *errno as u32 == number)
    }
}
