//! Drivers that are wrong on purpose, one mistake at a time.
//!
//! A judge of drivers is worth what it notices. So each place where the drivers obey a clause
//! can be told to break it: `mutated!(hal, M31)` stands there, and is `false` in every build
//! without the feature `mutants`. With it the machine's [`Hal`](crate::hal::Hal) says which
//! mutant the driver is, if any.
//!
//! The mutants `M..` are mistakes that drivers make, most of them seen in public code. The
//! variants `L..` do what the specification leaves to the driver in another way than ours.

/// Whether the driver over `$hal` is one of some mutants; never, without the feature `mutants`.
#[cfg(feature = "mutants")]
macro_rules! mutated {
    ($hal:expr, $($mutant:ident)|+) => {
        matches!($crate::hal::Hal::mutant($hal), $(Some($crate::mutant::Mutant::$mutant))|+)
    };
}

/// Whether the driver over `$hal` is one of some mutants; never, without the feature `mutants`.
#[cfg(not(feature = "mutants"))]
macro_rules! mutated {
    ($hal:expr, $($mutant:ident)|+) => {{
        // The names are checked, and nothing of it is in the image.
        if false {
            let _ = ($hal, [$($crate::mutant::Mutant::$mutant),+]);
        }
        false
    }};
}

pub(crate) use mutated;

macro_rules! mutants {
    ($($name:ident $what:literal)*) => {
        /// What a driver does wrong, or in another way.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Mutant {
            $(#[doc = $what] $name,)*
        }

        impl Mutant {
            /// All of them, in the order of their names.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// The name: `mutant=NAME`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// What it does, in a sentence.
            pub fn what(self) -> &'static str {
                match self {
                    $(Self::$name => $what,)*
                }
            }
        }
    };
}

impl Mutant {
    /// The one of this name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|mutant| mutant.name() == name)
    }

    /// Whether the specification allows what it does.
    pub fn is_legal(self) -> bool {
        self.name().starts_with('L')
    }
}

mutants! {
    // PCI: enumeration, BARs, capabilities.
    M01 "Functions 1 to 7 are probed whatever the multi-function bit says."
    M02 "The device ID is loaded first, and a vendor ID of FFFFh does not end it."
    M03 "A header type with the multi-function bit is not taken for type 0."
    M04 "The low two bits of the offset are kept in CONFIG_ADDRESS."
    M05 "Every register is loaded and stored at the first byte of CONFIG_DATA."
    M06 "BARs are sized while they are decoded."
    M07 "A BAR keeps the ones that it was sized with."
    M08 "A 64-bit BAR is sized and used as one of 32 bits."
    M10 "The upper half of a 64-bit BAR is never stored to."
    M11 "The size of a 64-bit BAR is computed from its lower half."
    M12 "The size of an I/O BAR counts address bits that the function does not have."
    M13 "Memory decode is not turned on."
    M14 "Bus mastering is not turned on."
    M15 "Bus mastering is turned on behind DRIVER_OK."
    M17 "The command register is stored 32 bits wide, with ones for the status."
    M18 "Capability pointers are followed as they are, wherever and however often they lead."
    M19 "The walk ends behind the first VIRTIO capability."
    M20 "The last capability of a type is used, not the first."
    M21 "All structures are looked for in BAR 4."
    M22 "All structures are looked for at the beginning of their BAR."
    M23 "The capability of the PCI configuration window is taken for the device configuration."
    M24 "The notification multiplier is loaded from behind the capability."
    M25 "The notification multiplier is taken to be 4."
    M26 "Doorbells are looked for at the beginning of their structure."
    M28 "The offset field of a VIRTIO capability is stored to."
    M29 "A device of a revision above 1 is not bound to."

    // Reset, status, features.
    M30 "The device is not reset before it is started."
    M31 "A reset is not waited for."
    M32 "ACKNOWLEDGE is not set."
    M33 "ACKNOWLEDGE and DRIVER are set by one store."
    M34 "DRIVER is set before ACKNOWLEDGE."
    M35 "Each store to the status has the new bit only."
    M36 "DRIVER_OK is set and FEATURES_OK cleared by one store."
    M37 "FEATURES_OK is not set."
    M38 "FEATURES_OK is not looked for after it was set."
    M39 "FEATURES_OK is set before the features are stored."
    M41 "Every feature that is offered is accepted."
    M42 "A feature is accepted that was not offered."
    M43 "VERSION_1 is not accepted."
    M44 "The upper 32 features are neither loaded nor stored."
    M47 "FEATURES_OK is set when the queues are enabled already."
    M48 "DRIVER_OK is set before the queues are enabled."
    M49 "DRIVER_OK is not set."
    M50 "The device is notified before DRIVER_OK."
    M51 "FAILED is not set when the driver gives up."
    M52 "The device status is loaded 32 bits wide."

    // Device configuration.
    M54 "The configuration generation is not looked at."
    M55 "The upper half of the capacity is not loaded."
    M56 "The capacity is loaded by one 64-bit access."
    M58 "`writeback` is loaded without its feature."
    M60 "`size_max` is not heeded."

    // Queue set-up.
    M61 "The queue is not selected."
    M62 "The queue size is taken to be 256, and neither loaded nor stored."
    M63 "A queue of 4 is used, and the device not told."
    M65 "The queue size is 24."
    M66 "The queue size is stored one byte wide."
    M67 "The queue size is stored 32 bits wide, over the vector."
    M68 "The queue size is loaded 32 bits wide."
    M70 "The addresses of the rings are stored by 64-bit accesses."
    M71 "The addresses of the rings are stored in pieces of 16 bits."
    M73 "The driver area and the device area are interchanged."
    M74 "The descriptor table is aligned to 8 bytes only."
    M75 "The available ring is at an odd address."
    M76 "The used ring is aligned to 2 bytes only."
    M77 "The queue is enabled before its addresses are stored."
    M79 "0 is stored to `queue_enable`."
    M80 "The queue is not enabled."
    M81 "`queue_enable` is stored 32 bits wide."
    M82 "`queue_notify_off` is loaded while queue 0 is selected."
    M83 "The memory of the rings is not zeroed."
    M84 "The vector of a queue is not read back."
    M85 "The vector of a queue is stored before the queue is selected."
    M86 "MSI-X is enabled, and unmasked, before its table is filled."

    // Available ring, descriptors, notification.
    M87 "`avail.idx` is stored before the entry of the ring."
    M88 "`avail.idx` is stored before the descriptors."
    M89 "The device is notified before `avail.idx` is stored."
    M90 "No barrier is between descriptors and `avail.idx`."
    M91 "No barrier is between `avail.idx` and the look at what the device wants."
    M92 "`avail.idx` counts to the queue size."
    M93 "`avail.idx` goes from FFFEh to 0."
    M94 "`avail.idx` grows by 2 for each chain."
    M95 "A head is stored to the slot behind its own."
    M96 "The slot is `idx & size`."
    M97 "The slot is `idx`."
    M99 "`avail.flags` has other bits than the lowest."
    M100 "The first descriptor of a chain has no NEXT."
    M101 "The last descriptor of a chain leads back to itself."
    M102 "`next` is a descriptor of no chain."
    M103 "The header has WRITE."
    M104 "The data of a read has no WRITE."
    M105 "The data of a write has WRITE."
    M106 "The status byte has no WRITE."
    M107 "A descriptor that the device writes is before the header."
    M108 "The status byte is before the data."
    M109 "The status has 2 bytes."
    M110 "The header has 8 bytes."
    M111 "The header has 24 bytes."
    M112 "A descriptor has no bytes."
    M113 "Descriptors have virtual addresses."
    M114 "Pages that are not adjacent are described as one buffer."
    M115 "Indirect descriptors are used without INDIRECT_DESC."
    M116 "A descriptor is stored to behind its exposure."
    M118 "Only the head of a chain is freed."
    M119 "A chain is freed when it is exposed."
    M120 "A full queue is not noticed."
    M121 "The doorbell is rung with 0, whichever queue it is for."
    M123 "The doorbell is stored to one byte wide."
    M124 "The doorbell is stored to 32 bits wide."
    M126 "`queue_notify_off` is taken to be 0."
    M127 "The device is never notified."
    M128 "The device is notified twice."
    M129 "`used.flags` is not heeded."
    M130 "With EVENT_IDX the device is notified one chain too late."

    // Used ring, completion.
    M131 "`used.idx` is compared by `>`."
    M132 "The driver's own used index does not go back to 0."
    M133 "`used.idx` is compared modulo the queue size."
    M134 "Chains are taken to be used in their order."
    M135 "The upper 16 bits of `used.id` are not looked at."
    M136 "`used.len` is not looked at."
    M137 "The used element is loaded before `used.idx`."
    M138 "The loop that waits does not load `used.idx` again."
    M139 "The ring is not looked at again when an interrupt was asked for."
    M140 "With EVENT_IDX the next interrupt is not asked for."
    M141 "The line interrupt is not acknowledged."
    M142 "The ISR status is loaded with MSI-X on."
    M143 "The end of a line interrupt is signalled before the device lets go of the line."
    M144 "The interrupts are unmasked before there are queues."
    M145 "The status byte is not looked at."
    M146 "The status byte is not pre-set."

    // The block layer, the end of a device.
    M147 "The sector is counted in bytes."
    M149 "The data of a request is one byte short."
    M150 "The data of a request is one byte long."
    M152 "The capacity is not heeded."
    M154 "A flush has data."
    M155 "Nothing is flushed."
    M156 "A read-only device is written to."
    M157 "Memory is released at the end without a reset."
    M158 "The reset at the end is not waited for, and bus mastering stays on."
    M159 "A request that takes too long is made once more without a reset, in the same memory."
    M160 "The indices of the rings go on where they were before a reset."

    // What no list of mistakes has, for rules that would notice none otherwise.
    M161 "A flush has a sector."
    M162 "The buffer for the ID has 16 bytes."
    M163 "A discard has the unmap flag."
    M164 "The range of a write-zeroes is one byte short."
    M166 "Descriptors of an indirect table have INDIRECT."
    M168 "A descriptor has INDIRECT and NEXT."
    M170 "`writeback` is stored before FEATURES_OK."
    M171 "`writeback` is loaded before FEATURES_OK."
    M172 "SUSPEND is set."
    M173 "`queue_notify_off` is stored to."
    M174 "A queue size of 0 is stored."
    M175 "A queue is mapped to a vector that the table does not have."
    M176 "The used ring is in the available ring."
    M177 "`next` is outside the table."
    M178 "A used element is stored to when it was looked at."
    M179 "A legacy request is cut into descriptors at odd bytes."
    M181 "The device is given the kernel's text to write to."
    M182 "The data of a request is read before it is back."
    M183 "The data of a request is written before it is back."
    M184 "Bits of the command register that are not the driver's are cleared."
    M185 "A BAR is placed where RAM is."
    M186 "The pending bits of MSI-X are stored to."
    M187 "The size of the MSI-X table is stored to."
    M188 "INTx# is on with MSI-X."
    M189 "A reserved register of the header is stored to."
    M190 "The interrupt pin is stored to."
    M191 "The expansion ROM is sized with its enable bit set, and not restored."
    M192 "A packed descriptor is stored to while the device has it."

    // What is allowed.
    L01 "The upper halves of the rings' addresses are stored first."
    L02 "1 is stored to `queue_enable` twice."
    L03 "`next` of the last descriptor is garbage."
    L04 "`used.len` is compared exactly with what is expected."
    L05 "The capability list is walked twice."
    L06 "The fields of a generation round are loaded in another order."
    L07 "The status is loaded more often than it has to be."
    L08 "The device is notified of nothing."
    L09 "Header, data and status are cut into descriptors at odd bytes."
    L10 "A device whose status is 0 is reset."
    L11 "The upper 32 features come first."
    L12 "There is no MSI-X, and the driver polls."
    L13 "The queue size is left as it was offered, and not stored."
    L14 "`used.len` is not looked at."
    L15 "The descriptors that were freed last are used first."
}

#[cfg(test)]
mod tests {
    use super::Mutant;

    #[test]
    fn names_are_unique_and_found() {
        for &mutant in Mutant::ALL {
            assert_eq!(Mutant::find(mutant.name()), Some(mutant));
        }
        assert_eq!(Mutant::find("M16"), None);
    }
}
