//! Paths, and the symbolic links on them.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

use super::{EclipseFs, Error, Kind, Node, ROOT, directory::NAME};
use crate::block::BlockDevice;

/// The most bytes of a path, and of what is left of one when a link was put into it.
pub(super) const PATH: usize = 4096;
/// The most symbolic links on the way.
const LINKS: u32 = 40;

/// A path on the way through a file system.
struct Walk<'p> {
    /// As it was asked for.
    path: &'p str,
    /// What is still to be walked.
    rest: String,
    /// The bytes of `rest` that are of no symbolic link.
    own: usize,
    /// Where the latest link leads.
    target: String,
    links: u32,
    /// The inodes from the root to the directory above `node`.
    above: Vec<u32>,
    node: Node,
    /// The name of `node`.
    name: String,
}

impl<'p> Walk<'p> {
    /// The next name, if there is one; slashes around it are gone.
    fn next_name(&mut self) -> Option<String> {
        let rest = self.rest.trim_start_matches('/');
        if rest.is_empty() {
            return None;
        }
        let (name, rest) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let (name, rest) = (name.to_string(), rest.to_string());
        self.rest = rest;
        Some(name)
    }

    /// Puts the target of a link in front of what is left.
    fn follow<E: core::error::Error>(&mut self, target: String) -> Result<(), Error<E>> {
        self.links += 1;
        if self.links > LINKS {
            return Err(Error::SymlinkLoop { path: self.path.to_string(), limit: LINKS });
        }
        self.own = self.own.min(self.rest.len());
        let mut rest = target.clone();
        rest.push_str(&self.rest);
        check_length(rest.len())?;
        (self.rest, self.target) = (rest, target);
        Ok(())
    }

    fn not_found<E: core::error::Error>(&self, name: String) -> Error<E> {
        let path = self.path.to_string();
        // What is left reaches into the link, so the name was one of the link's.
        if self.links > 0 && self.rest.len() >= self.own {
            return Error::Dangling { path, target: self.target.clone() };
        }
        Error::NotFound { path, name }
    }

    fn expect_directory<E: core::error::Error>(&self) -> Result<(), Error<E>> {
        if self.node.kind == Kind::Directory {
            return Ok(());
        }
        let (path, name) = (self.path.to_string(), self.name.clone());
        Err(Error::NotADirectory { path, name, kind: self.node.kind })
    }
}

impl<D: BlockDevice> EclipseFs<D> {
    /// Finds a node by its absolute path, through symbolic links.
    ///
    /// # Errors
    /// The path is not there, or is too long, or something on the way is damaged.
    pub fn lookup(&mut self, path: &str) -> Result<Node, Error<D::Error>> {
        self.walk(path, true)
    }

    /// Finds a node by its absolute path; a symbolic link at its end is itself found.
    ///
    /// # Errors
    /// As [`Self::lookup`].
    pub fn lookup_link(&mut self, path: &str) -> Result<Node, Error<D::Error>> {
        self.walk(path, false)
    }

    fn walk(&mut self, path: &str, follow_last: bool) -> Result<Node, Error<D::Error>> {
        check_length(path.len())?;
        if !path.starts_with('/') {
            return Err(Error::NotAbsolute(path.to_string()));
        }
        let mut walk = Walk {
            path,
            rest: path.to_string(),
            own: path.len(),
            target: String::new(),
            links: 0,
            above: Vec::new(),
            node: self.root,
            name: "/".to_string(),
        };
        while let Some(name) = walk.next_name() {
            walk.expect_directory()?;
            if name.len() > NAME {
                return Err(Error::NameTooLong { len: name.len(), limit: NAME });
            }
            match name.as_str() {
                "." => continue,
                ".." => {
                    // The root's parent is the root.
                    let parent = walk.above.pop().unwrap_or(ROOT);
                    walk.node = self.node(parent)?;
                }
                _ => self.step(&mut walk, &name, follow_last)?,
            }
            walk.name = name;
        }
        if path.ends_with('/') {
            walk.expect_directory()?;
        }
        Ok(walk.node)
    }

    /// Goes to the node with that name; where it is a link, to the directory that the link is in.
    fn step(
        &mut self,
        walk: &mut Walk<'_>,
        name: &str,
        follow_last: bool,
    ) -> Result<(), Error<D::Error>> {
        let directory = walk.node;
        let Some(inode) = self.find(&directory, name)? else {
            return Err(walk.not_found(name.to_string()));
        };
        let node = self.node(inode)?;
        let last = walk.rest.is_empty();
        if node.kind == Kind::Symlink && (follow_last || !last) {
            let target = self.read_link(&node)?;
            if target.starts_with('/') {
                walk.above.clear();
                walk.node = self.root;
            }
            return walk.follow(target);
        }
        walk.above.push(directory.inode);
        walk.node = node;
        Ok(())
    }
}

fn check_length<E: core::error::Error>(len: usize) -> Result<(), Error<E>> {
    if len <= PATH { Ok(()) } else { Err(Error::PathTooLong { len, limit: PATH }) }
}
