//! Emulated devices that show everything a driver does to them.
//!
//! A device is reached by [`Platform::load`] and [`Platform::store`], and it
//! reaches back, to guest memory and interrupts, through the [`Host`] that is
//! lent to it for the time of that access. The `Host` records as it acts, so no
//! device can forget to; and a device that holds no `Host` cannot do DMA.
//!
//! What a guest does is never an error here. A broken rule is an event, answered
//! as the specification says, and the device goes on.

#![forbid(unsafe_code)]

mod ata;
mod config;
mod debug_exit;
pub mod disk;
pub mod fault;
mod host;
pub mod pci;
mod platform;
mod schedule;
mod serial;
pub mod virtio;
pub mod watch;

pub use config::{BlockDevice, ConfigError, PlatformConfig, Preset};
pub use eclipse_trace::Space;
pub use host::{Host, Wires};
pub use platform::{Platform, Ram, Stop};
pub use schedule::Completion;
