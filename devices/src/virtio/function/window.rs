use eclipse_trace::Violation;

use super::VirtioFunction;
use crate::Host;

/// The window in configuration space into the BARs (VIRTIO 1.4, 4.1.4.9).
impl VirtioFunction {
    /// Where the window points: BAR, offset and length, if a driver may access it so
    /// (VIRTIO 1.4, 4.1.4.9.2).
    pub(super) fn window_target(&self, host: &mut Host<'_>, at: u8) -> Option<(u8, u64, u8)> {
        let (bar, offset, len) = (
            self.config.load(at + 4, 1) as u8,
            self.config.load(at + 8, 4),
            self.config.load(at + 12, 4),
        );
        let (notify, notify_length) = self.layout.notify;
        let end = self.layout.structure_offset(bar, u64::from(offset) + u64::from(len));
        let inside = end.is_some_and(|end| end <= notify + notify_length);
        let good = matches!(len, 1 | 2 | 4) && offset.is_multiple_of(len.max(1)) && inside;
        if !good {
            host.violation(Violation::ConfigWindow { bar, offset, len });
            return None;
        }
        Some((bar, offset.into(), len as u8))
    }

    /// The window's capability, if `offset` of configuration space is where its data begin.
    pub(super) fn window_data(&self, offset: u8) -> Option<u8> {
        self.window.filter(|at| offset == at + 16)
    }
}
