use std::fmt;

use serde::{Deserialize, Serialize};

/// The type of a block request (VIRTIO 1.4, 5.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestKind {
    /// `VIRTIO_BLK_T_IN`: read from the disk.
    In,
    /// `VIRTIO_BLK_T_OUT`: write to the disk.
    Out,
    /// `VIRTIO_BLK_T_FLUSH`.
    Flush,
    /// `VIRTIO_BLK_T_GET_ID`.
    GetId,
    /// `VIRTIO_BLK_T_GET_LIFETIME`.
    GetLifetime,
    /// `VIRTIO_BLK_T_DISCARD`.
    Discard,
    /// `VIRTIO_BLK_T_WRITE_ZEROES`.
    WriteZeroes,
    /// `VIRTIO_BLK_T_SECURE_ERASE`.
    SecureErase,
    /// Any other, by its number.
    Other(u32),
}

impl RequestKind {
    /// The name; one for all types without.
    pub const fn name(self) -> &'static str {
        match self {
            RequestKind::In => "in",
            RequestKind::Out => "out",
            RequestKind::Flush => "flush",
            RequestKind::GetId => "get_id",
            RequestKind::GetLifetime => "get_lifetime",
            RequestKind::Discard => "discard",
            RequestKind::WriteZeroes => "write_zeroes",
            RequestKind::SecureErase => "secure_erase",
            RequestKind::Other(_) => "other",
        }
    }
}

impl fmt::Display for RequestKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RequestKind::Other(number) => write!(f, "type {number:#x}"),
            kind => f.pad(kind.name()),
        }
    }
}

/// The status byte of a block request (VIRTIO 1.4, 5.2.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum RequestStatus {
    /// `VIRTIO_BLK_S_OK`.
    Ok = 0,
    /// `VIRTIO_BLK_S_IOERR`.
    IoErr = 1,
    /// `VIRTIO_BLK_S_UNSUPP`.
    Unsupp = 2,
}

impl fmt::Display for RequestStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RequestStatus::Ok => "ok",
            RequestStatus::IoErr => "ioerr",
            RequestStatus::Unsupp => "unsupp",
        })
    }
}
