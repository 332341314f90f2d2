//! The guest's file system on images that the host wrote, and on what is no image at all.

use eclipse_devices::Preset;
use eclipse_devices::disk::eclipsefs::Directory;
use eclipse_devices::disk::{MemoryDisk, default_image};
use eclipse_kernel::ata::{self, AtaDisk};
use eclipse_kernel::eclipsefs::{EclipseFs, Error, Kind, fsck};
use eclipse_kernel::ramdisk::RamDisk;
use eclipse_kernel::scenario;
use eclipse_tests::Loopback;
use proptest::prelude::{any, prop, prop_assert, proptest};

/// The driver of an ATA disk with these bytes, as many sectors as they take.
fn ata_disk(mut image: Vec<u8>) -> AtaDisk<Loopback> {
    let machine = Loopback::new(Preset::Modern, MemoryDisk::counting(8));
    image.resize(image.len().next_multiple_of(512), 0);
    machine.attach_ata(MemoryDisk::new(image));
    ata::init(&machine).remove(0)
}

#[test]
fn the_default_disk_is_read_through_the_ata_driver() {
    let mut fs = EclipseFs::mount(ata_disk(default_image())).unwrap();
    let motd = fs.lookup("/welcome").unwrap();
    assert!(fs.read_file(&motd).unwrap().starts_with(b"Welcome to Eclipse.\n"));
    let ruler = fs.lookup("/usr/share/ruler").unwrap();
    let mut line = [0; 32];
    assert_eq!(fs.read(&ruler, 150 * 32, &mut line), Ok(32));
    assert!(line.starts_with(b"line 151 at byte 4800 "));
}

#[test]
fn a_disk_may_end_in_the_midst_of_a_block_with_the_last_record_there() {
    let root = Directory::new().file("a", vec![b'a'; 5000]).unwrap();
    let image = root.file("b", "the end").unwrap().to_image().unwrap();
    assert!(!image.len().next_multiple_of(512).is_multiple_of(4096));
    let mut fs = EclipseFs::mount(ata_disk(image.clone())).unwrap();
    let file = fs.lookup("/b").unwrap();
    assert_eq!(fs.read_file(&file).unwrap(), b"the end");
    fs.write(&file, 4, b"END").unwrap();
    fs.flush().unwrap();
    assert_eq!(fs.read_file(&file).unwrap(), b"the END");
    assert!(fsck(ata_disk(image)).unwrap().is_clean());
}

#[test]
fn a_virtio_disk_may_end_there_too() {
    let root = Directory::new().file("a", vec![b'a'; 5000]).expect("it is a name");
    let mut image = root.file("b", "the end").expect("it is a name").to_image().expect("small");
    image.resize(image.len().next_multiple_of(512), 0);
    assert!(!image.len().is_multiple_of(4096));
    for preset in [Preset::Modern, Preset::Legacy] {
        let disk = MemoryDisk::new(image.clone());
        let machine = Loopback::new(preset, disk);
        let result = scenario::run(&machine, "path=/b");
        assert_eq!(result, Ok(()), "{}", machine.console());
        assert!(machine.console().contains("\nthe end\n"), "{}", machine.console());
    }
}

#[test]
fn a_write_in_place_is_on_the_disk_and_leaves_it_clean() {
    let mut disk = ata_disk(default_image());
    let mut fs = EclipseFs::mount(&mut disk).unwrap();
    let ruler = fs.lookup("/usr/share/ruler").unwrap();
    // Across the end of a block, wherever that is in the file.
    fs.write(&ruler, 1, &[b'w'; 5000]).unwrap();
    fs.flush().unwrap();
    let mut fs = EclipseFs::mount(&mut disk).unwrap();
    let data = fs.read_file(&ruler).unwrap();
    assert!(data.starts_with(b"lwww"));
    assert_eq!(data.iter().filter(|byte| **byte == b'w').count(), 5000);
    assert!(fsck(disk).unwrap().is_clean());
}

/// Does all that there is with a file system, however it may be.
fn use_it(image: Vec<u8>) -> Result<(), Error<eclipse_kernel::ramdisk::Error>> {
    let mut fs = EclipseFs::mount(RamDisk::new(image, 0))?;
    for path in ["/etc/motd", "/welcome", "/usr/../usr/share/ruler", "/bin"] {
        let Ok(node) = fs.lookup(path) else { continue };
        let _ = fs.read_file(&node);
        let _ = fs.read(&node, 7, &mut [0; 100]);
        let _ = fs.read_directory(&node);
    }
    for inode in 1..20 {
        let Ok(node) = fs.node(inode) else { continue };
        let _ = match node.kind {
            Kind::File => fs.write(&node, 0, b"w"),
            Kind::Directory => fs.read_directory(&node).map(drop),
            Kind::Symlink => fs.read_link(&node).map(drop),
        };
    }
    Ok(())
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_or_the_check_panic(
        inodes in 1_u32..600,
        body in prop::collection::vec(any::<u8>(), 0..9000),
    ) {
        let mut image = vec![0; 4096];
        image[..9].copy_from_slice(b"ECLIPSEFS");
        image[9..13].copy_from_slice(&0x0002_0000_u32.to_le_bytes());
        image[13..21].copy_from_slice(&4096_u64.to_le_bytes());
        image[21..29].copy_from_slice(&(8 * u64::from(inodes)).to_le_bytes());
        image[29..33].copy_from_slice(&inodes.to_le_bytes());
        image.extend(body);
        let _ = use_it(image.clone());
        let report = fsck(RamDisk::new(image, 0));
        prop_assert!(report.is_ok_and(|report| !report.is_clean()));
    }

    #[test]
    fn no_damage_of_an_image_makes_the_reader_or_the_check_panic(
        changes in prop::collection::vec((0_usize..12_000, any::<u8>()), 1..12)
    ) {
        let mut image = default_image();
        for (at, byte) in changes {
            image[at] = byte;
        }
        let mounts = use_it(image.clone()).is_ok();
        let report = fsck(RamDisk::new(image, 0));
        // What can be mounted can be checked.
        prop_assert!(!mounts || report.is_ok());
    }
}
