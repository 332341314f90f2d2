//! The fields of each structure: of the common configuration as the public
//! `virtio-spec` crate has them, of the others as the specification's tables do.

use std::any::TypeId;
use std::sync::LazyLock;

use virtio_spec::pci::{CommonCfg, CommonCfgVolatileFieldAccess};
use volatile::access::{Access, ReadWrite};
use volatile::{VolatilePtr, VolatileRef};

/// A field of a structure.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub name: &'static str,
    pub offset: u64,
    pub width: u8,
    pub writable: bool,
}

const fn ro(name: &'static str, offset: u64, width: u8) -> Field {
    Field { name, offset, width, writable: false }
}

const fn rw(name: &'static str, offset: u64, width: u8) -> Field {
    Field { name, offset, width, writable: true }
}

/// `struct virtio_pci_common_cfg` (VIRTIO 1.4, 4.1.4.3), by the public crate.
pub static COMMON: LazyLock<Vec<Field>> = LazyLock::new(|| {
    // SAFETY: a `CommonCfg` is integers only, for which all bits zero is a value.
    let mut config: CommonCfg = unsafe { std::mem::zeroed() };
    let base = (&raw const config).addr();
    let mut config = VolatileRef::from_mut_ref(&mut config);
    let all = config.as_mut_ptr();
    let mut fields = Vec::new();
    macro_rules! fields {
        ($($field:ident)+) => { $(fields.push(place(base, stringify!($field), all.$field()));)+ };
    }
    fields!(device_feature_select device_feature driver_feature_select driver_feature);
    fields!(config_msix_vector num_queues device_status config_generation);
    fields!(queue_select queue_size queue_msix_vector queue_enable queue_notify_off);
    fields!(queue_desc_low queue_desc_high queue_driver_low queue_driver_high);
    fields!(queue_device_low queue_device_high queue_notif_config_data queue_reset);
    fields!(admin_queue_index admin_queue_num);
    fields
});

fn place<T, A: Access + 'static>(
    base: usize,
    name: &'static str,
    field: VolatilePtr<'_, T, A>,
) -> Field {
    Field {
        name,
        offset: (field.as_raw_ptr().addr().get() - base) as u64,
        width: size_of::<T>() as u8,
        writable: TypeId::of::<A>() == TypeId::of::<ReadWrite>(),
    }
}

/// `struct virtio_blk_config` (VIRTIO 1.4, 5.2.4), as far as the device offers the features.
pub const BLOCK: [Field; 6] = [
    ro("capacity_low", 0x00, 4),
    ro("capacity_high", 0x04, 4),
    ro("seg_max", 0x0c, 4),
    ro("blk_size", 0x14, 4),
    rw("writeback", 0x20, 1),
    ro("unused0", 0x21, 1),
];

/// An entry of the MSI-X table (PCI 3.0, 6.8.2).
pub const MSIX_ENTRY: [Field; 4] = [
    rw("message_address_low", 0x0, 4),
    rw("message_address_high", 0x4, 4),
    rw("message_data", 0x8, 4),
    rw("vector_control", 0xc, 4),
];

/// The legacy interface (VIRTIO 1.4, 4.1.4.10); the last two are there with MSI-X.
pub const LEGACY: [Field; 10] = [
    ro("device_features", 0, 4),
    rw("driver_features", 4, 4),
    rw("queue_address", 8, 4),
    ro("queue_size", 12, 2),
    rw("queue_select", 14, 2),
    rw("queue_notify", 16, 2),
    rw("device_status", 18, 1),
    ro("isr_status", 19, 1),
    rw("config_msix_vector", 20, 2),
    rw("queue_msix_vector", 22, 2),
];
