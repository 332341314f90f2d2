use std::mem;

use crate::Access;

/// COM1, a 16550 at ports 0x3F8 to 0x3FF: what the guest prints, by the line.
#[derive(Debug, Default)]
pub(super) struct Serial {
    line: Vec<u8>,
    /// The divisor latch stands where the data is.
    latch: bool,
}

impl Serial {
    const DATA: u64 = 0x3f8;
    const LINE_CONTROL: u64 = 0x3fb;
    const DIVISOR_LATCH: u64 = 1 << 7;
    /// A guest that never ends its line gets it ended here.
    const LINE_LIMIT: usize = 4096;

    /// Takes an access, and gives the line that it ends.
    pub(super) fn access(&mut self, port: u64, access: Access) -> Option<Box<str>> {
        let Access::Store { width: 1, value } = access else { return None };
        match port {
            Self::LINE_CONTROL => self.latch = value & Self::DIVISOR_LATCH != 0,
            Self::DATA if !self.latch => match value as u8 {
                b'\n' => return Some(self.end()),
                b'\r' => {}
                byte => {
                    self.line.push(byte);
                    if self.line.len() == Self::LINE_LIMIT {
                        return Some(self.end());
                    }
                }
            },
            _ => {}
        }
        None
    }

    /// The line that was begun and not ended.
    pub(super) fn finish(&mut self) -> Option<Box<str>> {
        (!self.line.is_empty()).then(|| self.end())
    }

    fn end(&mut self) -> Box<str> {
        String::from_utf8_lossy(&mem::take(&mut self.line)).into()
    }
}
