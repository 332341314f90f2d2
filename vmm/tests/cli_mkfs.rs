//! Disk images by the command line: made of a tree, read by the guest's library, checked.

#![allow(clippy::unwrap_used)]

use std::{
    fs::{self, Permissions},
    io,
    os::unix::{ffi::OsStrExt, fs::PermissionsExt, fs::symlink, net::UnixListener},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use eclipse_kernel::{
    eclipsefs::{EclipseFs, Kind, Node},
    ramdisk::RamDisk,
};
use tempfile::TempDir;

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn put(&self, name: &str, contents: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }

    fn call(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_eclipse-vmm"));
        command.args(arguments).current_dir(self.0.path()).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// Calls what must succeed; what it printed.
    fn done(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert!(output.stderr.is_empty(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Calls what the host cannot do; the sentence that says so.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.call(arguments);
        assert_eq!(output.status.code(), Some(3), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty());
        let sentence = String::from_utf8(output.stderr).unwrap();
        assert_eq!(sentence.lines().count(), 1, "{sentence}");
        sentence.strip_prefix("error: ").unwrap().trim_end().to_owned()
    }
}

/// A tree with all that an image can hold.
fn tree(place: &Place) {
    place.put("tree/etc/motd", "hello\n");
    place.put("tree/etc/empty", "");
    place.put("tree/日食/large", (0..200_000_u32).map(|byte| (byte / 3) as u8).collect::<Vec<_>>());
    place.put(&format!("tree/{}", "n".repeat(255)), "long");
    place.put("tree/a/b/c/d/e/f", "deep");
    fs::create_dir(place.path("tree/void")).unwrap();
    symlink("etc/motd", place.path("tree/link")).unwrap();
    symlink("../etc", place.path("tree/a/etc")).unwrap();
    symlink("/no/such/place", place.path("tree/dangling")).unwrap();
}

/// Compares a directory of the host with one of an image; how many nodes there are below it.
fn compare(fs: &mut EclipseFs<RamDisk>, directory: &Node, path: &Path) -> usize {
    let entries = fs.read_directory(directory).unwrap();
    let mut names: Vec<_> = fs::read_dir(path)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(entries.iter().map(|entry| entry.name.clone()).collect::<Vec<_>>(), names);
    let mut count = names.len();
    for entry in entries {
        let (node, path) = (fs.node(entry.inode).unwrap(), path.join(entry.name));
        assert_eq!([node.atime, node.mtime, node.ctime], [1_640_995_200; 3]);
        assert_eq!((node.uid, node.gid), (0, 0));
        match node.kind {
            Kind::File => {
                assert_eq!(fs.read_file(&node).unwrap(), fs::read(&path).unwrap());
                assert_eq!(node.mode, 0o100_644);
            }
            Kind::Symlink => {
                let target = fs::read_link(&path).unwrap();
                assert_eq!(Path::new(&fs.read_link(&node).unwrap()), target);
                assert_eq!(node.mode, 0o120_777);
            }
            Kind::Directory => {
                assert_eq!(node.mode, 0o40_755);
                count += compare(fs, &node, &path);
            }
        }
    }
    count
}

#[test]
fn the_guest_reads_back_the_whole_tree_that_an_image_was_made_of() {
    let place = Place::new();
    tree(&place);
    assert_eq!(place.done(&["mkfs", "tree", "disk.img"]), "");
    let image = fs::read(place.path("disk.img")).unwrap();
    assert!(image.len().is_multiple_of(4096));
    let mut fs = EclipseFs::mount(RamDisk::new(image, 0)).unwrap();
    let root = fs.lookup("/").unwrap();
    assert_eq!(compare(&mut fs, &root, &place.path("tree")), 16);
    let linked = fs.lookup("/a/etc/motd").unwrap();
    assert_eq!(fs.read_file(&linked).unwrap(), b"hello\n");
    assert_eq!(
        place.done(&["fsck", "disk.img"]),
        "inodes 17: directories 9, files 5 with 200014 bytes, symbolic links 3\n\
         verdict: clean\n"
    );
}

#[test]
fn the_same_tree_gives_the_same_bytes() {
    let (one, two) = (Place::new(), Place::new());
    tree(&one);
    // The other way round, at another time, with other rights.
    symlink("/no/such/place", two.path("dangling")).unwrap();
    two.put("tree/zzz", "");
    fs::remove_file(two.path("tree/zzz")).unwrap();
    tree(&two);
    let executable = Permissions::from_mode(0o755);
    fs::set_permissions(two.path("tree/etc/motd"), executable).unwrap();
    for place in [&one, &two] {
        place.done(&["mkfs", "tree", "disk.img"]);
    }
    let bytes = |place: &Place| fs::read(place.path("disk.img")).unwrap();
    assert_eq!(bytes(&one), bytes(&two));
}

#[test]
fn a_size_is_padded_to_or_refused() {
    let place = Place::new();
    tree(&place);
    place.done(&["mkfs", "tree", "disk.img", "--size", "1M"]);
    assert_eq!(fs::metadata(place.path("disk.img")).unwrap().len(), 1 << 20);
    place.done(&["fsck", "disk.img"]);
    let small = place.refused(&["mkfs", "tree", "small.img", "--size", "64K"]);
    assert!(small.starts_with("the tree takes "), "{small}");
    assert!(small.ends_with(" bytes; --size gives it 65536"), "{small}");
    assert!(!place.path("small.img").exists());
    assert_eq!(place.call(&["mkfs", "tree", "x", "--size", "1000"]).status.code(), Some(2));
}

#[test]
fn what_stands_in_the_way_of_an_image_is_said() {
    let place = Place::new();
    place.put("tree/motd", "hello\n");
    place.put("disk.img", "mine");
    let exists = place.refused(&["mkfs", "tree", "disk.img"]);
    assert_eq!(exists, "disk.img: exists; --force replaces it");
    assert_eq!(fs::read(place.path("disk.img")).unwrap(), b"mine");
    place.done(&["mkfs", "--force", "tree", "disk.img"]);
    place.done(&["fsck", "disk.img"]);
    let inside = place.refused(&["mkfs", ".", "new.img"]);
    assert_eq!(inside, "new.img: would be part of the tree; write it to a place outside of .");
    let none = place.refused(&["mkfs", "nothing", "new.img"]);
    assert!(none.starts_with("nothing: cannot be read; "), "{none}");
    let file = place.refused(&["mkfs", "tree/motd", "new.img"]);
    assert!(file.starts_with("tree/motd: cannot be read; "), "{file}");
    let nowhere = place.refused(&["mkfs", "tree", "no/such/new.img"]);
    assert!(nowhere.starts_with("no/such/new.img: cannot be written; "), "{nowhere}");

    let socket = UnixListener::bind(place.path("tree/socket")).unwrap();
    let special = place.refused(&["mkfs", "tree", "new.img"]);
    let sentence = "is no directory, file or symbolic link; take it out of the tree";
    assert_eq!(special, format!("tree/socket: {sentence}"));
    drop(socket);
    fs::remove_file(place.path("tree/socket")).unwrap();
    let name = std::ffi::OsStr::from_bytes(b"tree/\xff");
    fs::write(place.0.path().join(name), "").unwrap();
    let text = place.refused(&["mkfs", "tree", "new.img"]);
    assert!(text.ends_with("its name or its target is not UTF-8; rename it"), "{text}");
    assert!(!place.path("new.img").exists());
}

#[test]
fn the_disk_that_comes_with_the_program_is_clean() {
    let place = Place::new();
    place.done(&["disk", "disk.img"]);
    let report = place.done(&["fsck", "disk.img"]);
    assert!(report.starts_with("inodes 10: directories 5, files 4 with "), "{report}");
    assert!(report.ends_with("symbolic links 1\nverdict: clean\n"), "{report}");
}

/// The image of a file `motd`, damaged at a byte.
fn damaged(place: &Place, at: u64, byte: u8) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    place.put("tree/motd", "hello\n");
    place.done(&["mkfs", "--force", "tree", "disk.img"]);
    fs::File::options().write(true).open(place.path("disk.img"))?.write_all_at(&[byte], at)
}

#[test]
fn damage_is_listed_for_people_and_for_programs() {
    let place = Place::new();
    // Behind the header and two table entries the root's record has 129 bytes; then the file's
    // type is at 14 of its record.
    damaged(&place, 4096 + 16 + 129 + 14, 9).unwrap();
    let output = place.call(&["fsck", "disk.img"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stderr.is_empty());
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "inode 2 at 0x109f: type 9 is none\n\
         inodes 2: directories 1, files 0 with 0 bytes, symbolic links 0\n\
         verdict: damaged, findings 1\n"
    );
    let output = place.call(&["fsck", "--json", "disk.img"]);
    assert_eq!(output.status.code(), Some(1));
    let object: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(object["clean"], false);
    assert_eq!((&object["inodes"], &object["more"]), (&2.into(), &0.into()));
    let finding = &object["findings"][0];
    assert_eq!((&finding["inode"], &finding["offset"]), (&2.into(), &0x109f.into()));
    assert_eq!(
        (&finding["damage"], &finding["what"]),
        (&"node-type".into(), &"type 9 is none".into())
    );
}

#[test]
fn what_cannot_be_checked_is_neither_clean_nor_damaged() {
    let place = Place::new();
    let none = place.refused(&["fsck", "none.img"]);
    assert!(none.starts_with("none.img: cannot be read; "), "{none}");
    place.put("zeros.img", [0; 8192]);
    let zeros = place.refused(&["fsck", "zeros.img"]);
    let sentence = "cannot be checked: the device does not begin with the EclipseFS signature";
    assert_eq!(zeros, format!("zeros.img: {sentence}"));
    place.put("short.img", "ECLIPSEFS");
    let short = place.refused(&["fsck", "short.img"]);
    assert!(short.contains("a device of 9 bytes is too small"), "{short}");
    assert!(place.refused(&["fsck", "."]).starts_with(".: cannot be read"));
    // As `mkfs.eclipsefs` leaves it: 16 bytes an inode.
    damaged(&place, 21, 32).unwrap();
    assert!(place.refused(&["fsck", "disk.img"]).contains("mkfs.eclipsefs wrote it"));
}
