//! How a guest is put into memory and started.

mod acpi;
mod aml;
pub mod elf;
mod kernel;
pub(crate) mod pvh;

pub use kernel::Kernel;
pub use pvh::{MAX_COMMAND_LINE, check_command_line};
