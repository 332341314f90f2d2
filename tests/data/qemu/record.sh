#!/bin/bash
# Records the logs in this folder anew: what drivers that nobody here wrote do to QEMU's block device.
#
#   record.sh [NAME...]        all, or those named
#
# Needs qemu-system-x86, busybox (static), cpio, and Debian's archive for the kernel package. The times of
# a log and QEMU's addresses differ from run to run; what the drivers do does not, apart from the counts of
# Linux's own reads.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${WORK:-$(mktemp -d)}
mkdir -p "$work"

# Only these regions matter; a clock is read tens of thousands of times. SeaBIOS's name on its debug port (0x402)
# is left out, by which an importer would know that it is not the guest: here it is the one to be judged.
regions="pci-conf-idx|pci-conf-data|pcie-mmcfg-mmio|virtio-pci.*|msix-table|msix-pba|serial|isa-debug-exit"
keep() { grep -aE "name '($regions)'$|name 'io'$|^(pci_cfg|virtio_|virtqueue_)" | grep -av "addr 0x\(402\|80\) .* name 'io'$" || true; }

# What comes from the first line on that matches: firmware's driver, which Linux's loader uses too, comes before.
from() { awk -v mark="$1" '$0 ~ mark { on = 1 } on'; }

qemu() { # name, device properties, arguments
  local name=$1 properties=$2; shift 2
  # A sector that firmware boots, and whose one instruction is hlt; large enough to have cylinders.
  rm -f "$work/disk.img"; truncate -s 16M "$work/disk.img"
  printf '\364' | dd of="$work/disk.img" conv=notrunc status=none
  printf '\125\252' | dd of="$work/disk.img" bs=1 seek=510 conv=notrunc status=none
  timeout "${limit:-120}" qemu-system-x86_64 -M pc -accel tcg -m 256M -nodefaults -display none -no-reboot \
    -serial "file:$work/$name.out" -drive "if=none,id=d0,format=raw,snapshot=on,file=$work/disk.img" \
    -device "virtio-blk-pci,drive=d0,addr=04.0,ioeventfd=off,$properties" \
    -trace 'memory_region_ops_*' -trace 'pci_cfg_*' -trace 'virtio_*' -trace 'virtqueue_*' -D "$work/$name.log" "$@" || true
}

put() { gzip -9n >"$here/$1.log.gz"; echo "$1: $(zcat "$here/$1.log.gz" | wc -l) lines, $(stat -c %s "$here/$1.log.gz") bytes"; }

kernel() { # Debian's kernel and its modules, once
  [ -e "$work/vmlinuz" ] && return
  ( cd "$work" && image=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
    apt-get download "$image" >/dev/null 2>&1 && dpkg -x "$image"_*.deb x && cp x/boot/vmlinuz-* vmlinuz )
}

initrd() { # name, commands of its init; files to put in
  local tree=$work/tree-$1 commands=$2; shift 2
  rm -rf "$tree"; mkdir -p "$tree"/{bin,mod,proc,sys,dev}
  cp "$(command -v busybox)" "$tree/bin/"; for file in "$@"; do cp "$file" "$tree/mod/"; done
  cat >"$tree/init" <<EOI
#!/bin/busybox sh
b=/bin/busybox
\$b mount -t proc p /proc; \$b mount -t sysfs s /sys; \$b mount -t devtmpfs d /dev
$commands
\$b poweroff -f
EOI
  chmod +x "$tree/init"; (cd "$tree" && find . | cpio -o -H newc 2>/dev/null | gzip -9) >"$tree.gz"
}

linux() { # name, device properties, kernel parameters
  kernel
  local m=("$work"/x/lib/modules/*/kernel/drivers)
  initrd linux '
for m in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do $b insmod /mod/$m.ko; done
$b dd if=/dev/vda of=/dev/null bs=4096 count=2 2>/dev/null
$b dd if=/dev/vda of=/dev/null bs=4096 skip=20 count=1 2>/dev/null
echo written | $b dd of=/dev/vda bs=512 seek=9 count=1 conv=fsync 2>/dev/null
$b sync
for d in /sys/bus/virtio/drivers/virtio_blk/virtio*; do echo ${d##*/} >/sys/bus/virtio/drivers/virtio_blk/unbind; done' \
    "$m"/virtio/{virtio,virtio_ring,virtio_pci,virtio_pci_modern_dev,virtio_pci_legacy_dev}.ko "$m"/block/virtio_blk.ko
  qemu "$1" "$2" -kernel "$work/vmlinuz" -initrd "$work/tree-linux.gz" -append "console=ttyS0 panic=-1 quiet $3"
  from "addr 0xf1 .* name 'io'" <"$work/$1.log" | keep | put "$1"
}

seabios() { # name, device properties: it reads the first sector and jumps there
  limit=8 qemu "$1" "$2" 2>/dev/null
  keep <"$work/$1.log" | put "$1"
}

virtio_drivers() { # the crate's own PCI code, in a program of a guest whose kernel has no virtio driver
  kernel
  ( cd "$here/virtio-drivers" && RUSTFLAGS="-C target-feature=+crt-static" CARGO_TARGET_DIR="$work/target" \
    cargo build -q --release --target x86_64-unknown-linux-gnu )
  initrd guest '/mod/virtio-drivers-guest' "$work/target/x86_64-unknown-linux-gnu/release/virtio-drivers-guest"
  qemu "$1" "$2" -kernel "$work/vmlinuz" -initrd "$work/tree-guest.gz" \
    -append "console=ttyS0 panic=-1 quiet hugepages=4 iomem=relaxed"
  from "addr 0xe0 .* name 'io'" <"$work/$1.log" | keep | put "$1"
}

names=("$@"); [ $# -gt 0 ] || names=(seabios-{modern,legacy} linux-{modern,transitional,packed,legacy,intx} virtio-drivers{,-packed})
for name in "${names[@]}"; do
  case $name in
  seabios-modern) seabios $name disable-legacy=on ;;
  seabios-legacy) seabios $name disable-legacy=off,disable-modern=on ;;
  linux-modern) linux $name disable-legacy=on "" ;;
  linux-transitional) linux $name disable-legacy=off "" ;;
  linux-packed) linux $name disable-legacy=on,packed=on "" ;;
  linux-legacy) linux $name disable-legacy=off,disable-modern=on "" ;;
  linux-intx) linux $name disable-legacy=on "pci=nomsi" ;;
  virtio-drivers) virtio_drivers $name disable-legacy=on ;;
  virtio-drivers-packed) virtio_drivers $name disable-legacy=on,packed=on ;;
  *) echo "$name is none of the logs" >&2; exit 2 ;;
  esac
done
