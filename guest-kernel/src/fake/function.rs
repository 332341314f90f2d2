//! Configuration space of one function.

/// Configuration space of one function: bytes, and which of their bits can be written.
#[derive(Clone)]
pub struct Function {
    pub bytes: [u8; 256],
    pub writable: [u8; 256],
}

impl Function {
    /// A bridge, with its bus numbers.
    pub fn bridge(secondary: u8, subordinate: u8) -> Self {
        let mut bridge = Self::new(0x1b36, 0x0001, 0x06_04_00);
        bridge.set(0x0e, &[0x01]);
        bridge.set(0x18, &[0, secondary, subordinate]);
        // Bus numbers, and the windows.
        bridge.writable[0x18..0x1b].fill(0xff);
        bridge.writable[0x1c..0x1e].fill(0xf0);
        bridge.register(0x20, 0, 0xfff0_fff0);
        bridge
    }

    pub fn new(vendor: u16, device: u16, class: u32) -> Self {
        let mut function = Self { bytes: [0; 256], writable: [0; 256] };
        function.set(0x00, &vendor.to_le_bytes());
        function.set(0x02, &device.to_le_bytes());
        function.set(0x08, &(class << 8).to_le_bytes());
        function.writable[0x04..0x06].fill(0xff);
        function
    }

    pub fn set(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    /// A 32-bit register of which only the bits in `mask` can be written.
    pub fn register(&mut self, offset: usize, value: u32, mask: u32) {
        self.set(offset, &value.to_le_bytes());
        self.writable[offset..offset + 4].copy_from_slice(&mask.to_le_bytes());
    }

    /// A capability list that begins at `first`.
    pub fn capabilities(&mut self, first: u8) {
        self.set(0x06, &[0x10, 0]);
        self.set(0x34, &[first]);
    }
}
