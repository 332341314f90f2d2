use eclipse_trace::import::qemu::{Error, Recording, read};
use expect_test::Expect;

/// A log as QEMU writes it.
#[derive(Default)]
pub struct Log(pub String);

pub const COMMON: &str = "virtio-pci-common-virtio-blk";
pub const NOTIFY: &str = "virtio-pci-notify-virtio-blk";

impl Log {
    pub fn line(&mut self, text: &str) -> &mut Self {
        self.0.push_str(text);
        self.0.push('\n');
        self
    }

    pub fn access(
        &mut self,
        way: &str,
        name: &str,
        address: u64,
        width: u8,
        value: u64,
    ) -> &mut Self {
        // Each region has an address of its own inside of QEMU.
        let region = 0x5500_0000 + name.bytes().map(u64::from).sum::<u64>() * 0x100;
        self.line(&format!(
            "memory_region_ops_{way} cpu 0 mr {region:#x} addr {address:#x} value {value:#x} \
             size {width} name '{name}'"
        ))
    }

    pub fn store(&mut self, name: &str, address: u64, width: u8, value: u64) -> &mut Self {
        self.access("write", name, address, width, value)
    }

    pub fn load(&mut self, name: &str, address: u64, width: u8, value: u64) -> &mut Self {
        self.access("read", name, address, width, value)
    }

    pub fn config_address(&mut self, offset: u64) -> &mut Self {
        self.store("pci-conf-idx", 0xcf8, 4, 0x8000_2000 | offset & !3)
    }

    pub fn config_load(&mut self, offset: u64, width: u8, value: u64) -> &mut Self {
        self.config_address(offset);
        self.line(&format!("pci_cfg_read virtio-blk-pci 00:04.0 @{offset:#x} -> {value:#x}"));
        self.load("pci-conf-data", 0xcfc + offset % 4, width, value)
    }

    pub fn config_store(&mut self, offset: u64, width: u8, value: u64) -> &mut Self {
        self.config_address(offset);
        self.store("pci-conf-data", 0xcfc + offset % 4, width, value);
        self.line(&format!("pci_cfg_write virtio-blk-pci 00:04.0 @{offset:#x} <- {value:#x}"))
    }

    /// The modern device with its 64-bit BAR 4 at 0x1_f000_0000 and BAR 1 at 0xfeb0_0000.
    pub fn modern() -> Self {
        let mut log = Self::default();
        log.config_load(0, 4, 0x1042_1af4);
        log.config_load(0x20, 4, 0xc).config_store(0x20, 4, 0xffff_ffff);
        log.config_load(0x20, 4, 0xffff_c00c).config_store(0x20, 4, 0xf000_0000);
        log.config_load(0x24, 4, 0).config_store(0x24, 4, 1);
        log.config_store(0x14, 4, 0xfeb0_0000).config_store(4, 2, 6);
        log
    }

    /// What the log shows, without accesses to configuration space.
    pub fn shows(&self, expected: &Expect) -> Recording {
        let recording = read(self.0.as_bytes()).expect("the log is whole");
        let entries = recording.entries.iter().map(|entry| format!("{entry}\n"));
        let of_bus = |line: &String| line.contains(".0 config ") || line.contains("config_address");
        let shown = entries.filter(|line| !of_bus(line)).collect::<String>();
        expected.assert_eq(&shown);
        recording
    }

    /// Why the log is no record.
    pub fn error(&self) -> Error {
        read(self.0.as_bytes()).expect_err("the log is no record")
    }

    pub fn fails(&self, expected: &Expect) {
        expected.assert_eq(&self.error().to_string());
    }

    /// The number of the last line.
    pub fn last(&self) -> u64 {
        self.0.lines().count() as u64
    }
}

/// BAR 4 of [`Log::modern`].
pub const BAR: u64 = 0x1_f000_0000;

/// A notification of queue 0, and QEMU's words for what the device does.
pub fn request(log: &mut Log) {
    log.store(NOTIFY, BAR + 0x3000, 2, 0).line("virtio_pci_notify_write 0x0 = 0x0 (2)");
    log.line("virtio_queue_notify vdev 0x55d0 n 0 vq 0x55e0");
    log.line("virtqueue_pop vq 0x55e0 elem 0x7f00 in_num 2 out_num 1");
    log.line("virtio_notify vdev 0x55d0 vq 0x55e0");
}
