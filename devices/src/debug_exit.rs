use eclipse_trace::{Access, Register};

use crate::Host;

/// The debug exit: a guest leaves by storing a code to port 0xF4.
///
/// The convention is that of QEMU's `isa-debug-exit` at this port.
#[derive(Debug, Default)]
pub(crate) struct DebugExit {
    code: Option<u8>,
}

impl DebugExit {
    pub(crate) const PORT: u16 = 0xf4;

    pub(crate) fn store(&mut self, host: &mut Host<'_>, width: u8, value: u64) {
        host.accessed(Register::DebugExit, Access::Store { width, value });
        self.code.get_or_insert(value as u8);
    }

    /// The code that the guest left with.
    pub(crate) fn code(&self) -> Option<u8> {
        self.code
    }
}
