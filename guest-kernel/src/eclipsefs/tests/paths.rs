use super::{Disk, cat, directory, image, record};
use crate::eclipsefs::{EclipseFs, Kind};

/// `/d/f`, and links in `/`, in `/d` and in `/d/e`.
fn links() -> Disk {
    image(&[
        record(
            1,
            2,
            &directory(&[
                ("d", 2),
                ("absolute", 4),
                ("relative", 5),
                ("dangling", 6),
                ("loop", 7),
                ("directory", 8),
                ("long", 11),
            ]),
        ),
        record(2, 2, &directory(&[("f", 3), ("up", 9), ("e", 10)])),
        record(3, 1, b"found"),
        record(4, 3, b"/d/f"),
        record(5, 3, b"d/./f"),
        record(6, 3, b"d/none/f"),
        record(7, 3, b"loop"),
        record(8, 3, b"/d/"),
        record(9, 3, b"../relative"),
        record(10, 2, &directory(&[("top", 12)])),
        record(11, 3, &[b'/'; 4096]),
        record(12, 3, b"/"),
    ])
}

#[test]
fn symbolic_links_are_followed_from_where_they_are() {
    let mut fs = EclipseFs::mount(links()).unwrap();
    for path in [
        "/absolute",
        "/relative",
        "/directory/f",
        "/d/up",
        "/directory/up",
        "/d/e/../f",
        "/d/e/../../../../absolute",
        "/./d/.//./f",
        "/d/e/top/../absolute",
        "/directory/../relative",
    ] {
        assert_eq!(cat(&mut fs, path).unwrap(), b"found", "{path}");
    }
    assert_eq!(fs.lookup("/..").unwrap().inode, 1);
    assert_eq!(fs.lookup("/directory/e/.").unwrap().inode, 10);
    assert_eq!(fs.lookup("/long").unwrap().inode, 1);
}

#[test]
fn a_link_at_the_end_is_found_itself_where_that_is_asked_for() {
    let mut fs = EclipseFs::mount(links()).unwrap();
    let link = fs.lookup_link("/directory/up").unwrap();
    assert_eq!((link.inode, link.kind), (9, Kind::Symlink));
    assert_eq!(fs.read_link(&link).unwrap(), "../relative");
    assert_eq!(fs.lookup_link("/directory").unwrap().kind, Kind::Symlink);
    assert_eq!(fs.lookup_link("/directory/").unwrap().kind, Kind::Directory);
    assert_eq!(fs.lookup_link("/loop").unwrap().inode, 7);
    let file = fs.lookup("/d/f").unwrap();
    let error = fs.read_link(&file).unwrap_err().to_string();
    assert_eq!(error, "inode 3 is a file, not a symbolic link");
}

#[test]
fn what_a_path_can_have_wrong_is_an_error_of_its_own() {
    let mut fs = EclipseFs::mount(links()).unwrap();
    let cases = [
        ("/d/none", "`none` of path `/d/none` does not exist"),
        ("/absolute/x", "`f` of path `/absolute/x` is a file, not a directory"),
        ("/d/f/", "`f` of path `/d/f/` is a file, not a directory"),
        ("/d/f/..", "`f` of path `/d/f/..` is a file, not a directory"),
        ("/d", "inode 2 is a directory, not a file"),
        ("d", "path `d` does not begin with `/`"),
        ("", "path `` does not begin with `/`"),
        (
            "/dangling",
            "path `/dangling` leads through a symbolic link to `d/none/f`, which does not exist",
        ),
        ("/directory/none", "`none` of path `/directory/none` does not exist"),
        ("/loop", "path `/loop` leads through more than 40 symbolic links"),
        ("/long/d", "a path of 4098 bytes is longer than 4096"),
    ];
    for (path, error) in cases {
        assert_eq!(cat(&mut fs, path).unwrap_err().to_string(), error);
    }
    let long = |name: usize| format!("/{}", "n".repeat(name));
    let mut error = |path: &str| fs.lookup(path).unwrap_err().to_string();
    assert!(error(&long(255)).ends_with("does not exist"));
    assert_eq!(error(&long(256)), "a name of 256 bytes is longer than 255");
    assert_eq!(error(&"/d/..".repeat(1000)), "a path of 5000 bytes is longer than 4096");
    assert!(fs.lookup(&"/d/..".repeat(819)).is_ok());
}

#[test]
fn forty_links_are_followed_and_no_more() {
    let chain = |count: u32| {
        let names: Vec<_> = (0..count).map(|link| format!("l{link}")).collect();
        let mut entries: Vec<_> = names.iter().map(String::as_str).zip(3..).collect();
        entries.push(("f", 2));
        let mut records = vec![record(1, 2, &directory(&entries)), record(2, 1, b"found")];
        for link in 0..count {
            let target = if link == 0 { "f".into() } else { format!("l{}", link - 1) };
            records.push(record(link + 3, 3, target.as_bytes()));
        }
        cat(&mut EclipseFs::mount(image(&records)).unwrap(), &format!("/l{}", count - 1))
    };
    assert_eq!(chain(40).unwrap(), b"found");
    assert!(chain(41).unwrap_err().to_string().ends_with("more than 40 symbolic links"));
}

#[test]
fn a_directory_in_itself_does_not_keep_a_path_for_ever() {
    let mut fs = EclipseFs::mount(image(&[record(1, 2, &directory(&[("a", 1)]))])).unwrap();
    assert_eq!(fs.lookup(&"/a".repeat(2048)).unwrap().inode, 1);
    assert!(fs.lookup(&"/a".repeat(2049)).is_err());
}
