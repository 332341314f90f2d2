use super::registers;

registers! {
    /// An entry of the MSI-X table (PCI 3.0, 6.8.2.7 to 6.8.2.10).
    pub enum MsixEntry {
        MessageAddressLow  = 0x0, 4, rw, "message_address_low";
        MessageAddressHigh = 0x4, 4, rw, "message_address_high";
        MessageData        = 0x8, 4, rw, "message_data";
        VectorControl      = 0xc, 4, rw, "vector_control";
    }
}
