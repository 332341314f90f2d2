//! The disk that is used when the user names none.

use std::fmt::Write;

use super::eclipsefs::{Directory, Error};

/// Bytes of the default image: the tree, then free space to the end.
const SIZE: usize = 256 * 1024;

const MOTD: &str = "\
Welcome to Eclipse.

A driver found this disk on the bus, set up a queue in its own memory and asked for
these lines. Every store on the way is on record, and so is what the device made of it.

    May your barriers be in order and your bounds be checked.
";

const README: &str = "\
This is the disk that comes with the Eclipse VMM: an EclipseFS 2.0 image that the
program generates, the same bytes every time. A run does not change it.

/etc/motd         what a guest prints when it has found its disk
/etc/hostname     a file of one short line
/bin              an empty directory
/usr/share/ruler  longer than one block; each line says at which byte it begins
/welcome          a symbolic link to etc/motd

The space after the last file is free: a guest may write there and read it back.
";

/// Lines of `/usr/share/ruler`: one block and a half.
const RULER_LINES: usize = 192;
/// Bytes in such a line.
const RULER_LINE: usize = 32;

/// The embedded disk: an EclipseFS image of 256 KiB, the same bytes each time.
///
/// It holds a few small files, one that is longer than a block, an empty directory and a symbolic
/// link, all within the limits of the public kernel's own reader. The second half is free.
pub fn default_image() -> Vec<u8> {
    let tree = tree().expect("the default tree keeps the rules of EclipseFS");
    let mut image = tree.to_image().expect("the default tree is small, and all in memory");
    assert!(image.len() <= SIZE / 2, "the default tree outgrew its image");
    image.resize(SIZE, 0);
    image
}

fn tree() -> Result<Directory, Error> {
    let etc = Directory::new().file("motd", MOTD)?.file("hostname", "eclipse\n")?;
    let share = Directory::new().file("ruler", ruler())?;
    Directory::new()
        .file("README", README)?
        .directory("bin", Directory::new())?
        .directory("etc", etc)?
        .directory("usr", Directory::new().directory("share", share)?)?
        .symlink("welcome", "etc/motd")
}

/// Lines that say where in the file they are, so that a block out of place is seen at a glance.
fn ruler() -> String {
    let mut text = String::with_capacity(RULER_LINES * RULER_LINE);
    for line in 0..RULER_LINES {
        let start = format!("line {:03} at byte {:04} ", line + 1, line * RULER_LINE);
        // Writing to a string does not fail.
        let _ = writeln!(text, "{start:.<width$}", width = RULER_LINE - 1);
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn u32_at(bytes: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
    }

    fn u64_at(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
    }

    /// A reader of EclipseFS that shares nothing with the writer.
    struct Reader<'a>(&'a [u8]);

    impl<'a> Reader<'a> {
        /// The fields of an inode's record by tag.
        fn fields(&self, inode: u32) -> BTreeMap<u8, &'a [u8]> {
            let table = u64_at(self.0, 13) as usize;
            let entry = table + 8 * (inode as usize - 1);
            assert_eq!(u32_at(self.0, entry), inode);
            let area = table + u64_at(self.0, 21) as usize;
            let record = &self.0[area + u32_at(self.0, entry + 4) as usize..];
            assert_eq!(u32_at(record, 0), inode);
            let mut rest = &record[8..u32_at(record, 4) as usize];
            let mut fields = BTreeMap::new();
            while !rest.is_empty() {
                let len = u32_at(rest, 2) as usize;
                assert_eq!(rest[1], 0, "no tag is above 0x0b");
                assert!(fields.insert(rest[0], &rest[6..6 + len]).is_none());
                rest = &rest[6 + len..];
            }
            fields
        }

        /// Names and inodes, in the order of the image.
        fn entries(&self, inode: u32) -> Vec<(&'a str, u32)> {
            let mut rest = self.fields(inode).get(&0x0b).copied().unwrap_or_default();
            let mut entries = Vec::new();
            while !rest.is_empty() {
                let len = u32_at(rest, 0) as usize;
                entries.push((str::from_utf8(&rest[8..8 + len]).unwrap(), u32_at(rest, 4)));
                rest = &rest[8 + len..];
            }
            entries
        }

        /// Type and contents of every inode that can be reached, by path.
        fn walk(&self, inode: u32, path: &str, found: &mut BTreeMap<String, (u8, &'a [u8])>) {
            let fields = self.fields(inode);
            let content = fields.get(&0x0a).copied().unwrap_or_default();
            assert_eq!(u64_at(fields[&0x05], 0), content.len() as u64, "SIZE of {path}");
            found.insert(path.into(), (fields[&0x01][0], content));
            for (name, child) in self.entries(inode) {
                self.walk(child, &format!("{path}/{name}"), found);
            }
        }
    }

    #[test]
    fn the_image_is_the_same_each_time_and_whole_blocks_long() {
        let image = default_image();
        assert_eq!(image, default_image());
        assert_eq!(image.len(), 256 * 1024);
        assert_eq!(image[image.len() / 2..], [0; 128 * 1024]);
    }

    #[test]
    fn an_independent_reader_finds_the_whole_tree() {
        let image = default_image();
        assert_eq!(image[..13], *b"ECLIPSEFS\0\0\x02\0");
        let mut found = BTreeMap::new();
        Reader(&image).walk(1, "", &mut found);
        assert_eq!(found.len(), u32_at(&image, 29) as usize, "every inode is reached");

        let shape: Vec<_> = found.iter().map(|(path, (kind, _))| (path.as_str(), *kind)).collect();
        assert_eq!(
            shape,
            [
                ("", 2),
                ("/README", 1),
                ("/bin", 2),
                ("/etc", 2),
                ("/etc/hostname", 1),
                ("/etc/motd", 1),
                ("/usr", 2),
                ("/usr/share", 2),
                ("/usr/share/ruler", 1),
                ("/welcome", 3),
            ]
        );
        assert_eq!(found["/etc/motd"].1, MOTD.as_bytes());
        assert_eq!(found["/etc/hostname"].1, b"eclipse\n");
        assert_eq!(found["/README"].1, README.as_bytes());
        assert_eq!(found["/welcome"].1, b"etc/motd");
        assert_eq!(found["/usr/share/ruler"].1.len(), 6144);
    }

    #[test]
    fn each_line_of_the_ruler_says_where_it_begins() {
        let text = ruler();
        assert!(text.starts_with("line 001 at byte 0000 .........\nline 002 at byte 0032 ....."));
        for (index, line) in text.split_inclusive('\n').enumerate() {
            assert_eq!(line.len(), 32);
            assert!(line.contains(&format!(" {:04} ", 32 * index)), "{line}");
        }
        assert_eq!(text.len(), 6144);
    }

    // The public kernel's reader takes names of 128 bytes, 256 entries and 8 KiB of data.
    #[test]
    fn the_tree_keeps_the_limits_of_the_public_kernel() {
        let image = default_image();
        let reader = Reader(&image);
        let mut found = BTreeMap::new();
        reader.walk(1, "", &mut found);
        assert!(found.values().all(|(_, content)| content.len() <= 8192));
        for inode in 1..=u32_at(&image, 29) {
            let entries = reader.entries(inode);
            assert!(entries.len() <= 256 && entries.iter().all(|(name, _)| name.len() <= 128));
        }
    }
}
