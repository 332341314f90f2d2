use super::registers;

registers! {
    /// `struct virtio_blk_config` (VIRTIO 1.4, 5.2.4).
    ///
    /// `capacity` is two registers, as every 64-bit field (4.1.3.1). The padding is
    /// registers, because it has a value (5.2.5.2).
    pub enum BlockCfg {
        CapacityLow              = 0x00, 4, ro, "capacity_low";
        CapacityHigh             = 0x04, 4, ro, "capacity_high";
        SizeMax                  = 0x08, 4, ro, "size_max";
        SegMax                   = 0x0c, 4, ro, "seg_max";
        Cylinders                = 0x10, 2, ro, "cylinders";
        Heads                    = 0x12, 1, ro, "heads";
        Sectors                  = 0x13, 1, ro, "sectors";
        BlkSize                  = 0x14, 4, ro, "blk_size";
        PhysicalBlockExp         = 0x18, 1, ro, "physical_block_exp";
        AlignmentOffset          = 0x19, 1, ro, "alignment_offset";
        MinIoSize                = 0x1a, 2, ro, "min_io_size";
        OptIoSize                = 0x1c, 4, ro, "opt_io_size";
        Writeback                = 0x20, 1, rw, "writeback";
        Unused0                  = 0x21, 1, ro, "unused0";
        NumQueues                = 0x22, 2, ro, "num_queues";
        MaxDiscardSectors        = 0x24, 4, ro, "max_discard_sectors";
        MaxDiscardSeg            = 0x28, 4, ro, "max_discard_seg";
        DiscardSectorAlignment   = 0x2c, 4, ro, "discard_sector_alignment";
        MaxWriteZeroesSectors    = 0x30, 4, ro, "max_write_zeroes_sectors";
        MaxWriteZeroesSeg        = 0x34, 4, ro, "max_write_zeroes_seg";
        WriteZeroesMayUnmap      = 0x38, 1, ro, "write_zeroes_may_unmap";
        Unused1First             = 0x39, 1, ro, "unused1[0]";
        Unused1Second            = 0x3a, 1, ro, "unused1[1]";
        Unused1Third             = 0x3b, 1, ro, "unused1[2]";
        MaxSecureEraseSectors    = 0x3c, 4, ro, "max_secure_erase_sectors";
        MaxSecureEraseSeg        = 0x40, 4, ro, "max_secure_erase_seg";
        SecureEraseSectorAlignment = 0x44, 4, ro, "secure_erase_sector_alignment";
    }
}
