//! Paths: which ones there may be, and how they come apart (ZooKeeper's `common/PathUtils.java`).

use super::types::Error;

/// The root.
pub const ROOT: &str = "/";
/// ZooKeeper's own corner.
pub const ZOOKEEPER: &str = "/zookeeper";
/// Where clients keep quotas.
pub const QUOTA: &str = "/zookeeper/quota";
/// Where clients read who the members are.
pub const CONFIG: &str = "/zookeeper/config";

/// Whether ZooKeeper would let a node be called so: absolute, no empty, `.` or `..` component, no control,
/// private, surrogate or special character.
///
/// # Errors
/// [`Error::BadArguments`] otherwise.
pub fn validate(path: &str) -> Result<(), Error> {
    if path == ROOT {
        return Ok(());
    }
    let rest = path.strip_prefix('/').ok_or(Error::BadArguments)?;
    let named = components(rest).all(|component| !matches!(component, "" | "." | ".."));
    let plain = || rest.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    if named && (plain() || rest.chars().all(allowed)) { Ok(()) } else { Err(Error::BadArguments) }
}

/// What is between the slashes. Paths are short and taken apart a lot, byte by byte: the standard library's search for a
/// character costs more to begin than they are long.
pub(super) fn components(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(path);
    core::iter::from_fn(move || {
        let path = rest?;
        let Some(at) = path.bytes().position(|byte| byte == b'/') else { return rest.take() };
        rest = Some(&path[at + 1..]);
        Some(&path[..at])
    })
}

/// Where the last slash is.
fn last_slash(path: &str) -> Option<usize> {
    path.bytes().rposition(|byte| byte == b'/')
}

/// ZooKeeper judges UTF-16 units, so everything beyond the basic plane is a surrogate to it, and refused.
fn allowed(character: char) -> bool {
    !matches!(character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..=char::MAX)
}

/// Nodes that exist from the start and that nobody may delete.
pub(super) fn is_special(path: &str) -> bool {
    matches!(path, ROOT | ZOOKEEPER | QUOTA | CONFIG)
}

/// The parent's path, for everything that has a slash and no NUL; no other rule is checked, as in ZooKeeper, which
/// looks the parent up before it judges the whole path.
pub(super) fn parent(path: &str) -> Result<&str, Error> {
    if path.bytes().any(|byte| byte == b'\0') {
        return Err(Error::BadArguments);
    }
    match last_slash(path) {
        None => Err(Error::BadArguments),
        Some(0) => Ok(ROOT),
        Some(at) => Ok(&path[..at]),
    }
}

/// The last component.
pub(super) fn name(path: &str) -> &str {
    last_slash(path).map_or(path, |at| &path[at + 1..])
}

/// Every proper ancestor of a valid path, nearest first, the root last; none for the root.
pub(super) fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    core::iter::successors(above(path), |path| above(path))
}

fn above(path: &str) -> Option<&str> {
    match last_slash(path)? {
        0 if path == ROOT => None,
        0 => Some(ROOT),
        at => Some(&path[..at]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn the_rules_of_path_utils() {
        for good in
            ["/", "/a", "/a/b", "/a.b", "/...", "/.a", "/a..", "/a b", "/ü", "/zookeeper/quota", "/\u{fdd0}"]
        {
            assert_eq!(validate(good), Ok(()), "{good:?}");
        }
        for bad in [
            "",
            "a",
            "a/b",
            "/a/",
            "//",
            "//a",
            "/a//b",
            "/.",
            "/..",
            "/a/.",
            "/a/../b",
            "/./a",
            "/a\0",
            "/a\u{1}",
            "/a\u{1f}",
            "/a\u{7f}",
            "/a\u{9f}",
            "/a\u{e000}",
            "/a\u{f8ff}",
            "/a\u{fff0}",
            "/a\u{ffff}",
            "/a\u{1f600}",
        ] {
            assert_eq!(validate(bad), Err(Error::BadArguments), "{bad:?}");
        }
    }

    #[test]
    fn paths_come_apart() {
        for path in ["", "/", "//", "a", "a/", "/a", "a/b", "ü/b//c"] {
            assert_eq!(components(path).collect::<Vec<_>>(), path.split('/').collect::<Vec<_>>(), "{path:?}");
            assert_eq!(Some(name(path)), path.rsplit('/').next());
        }
        assert_eq!(parent("/a"), Ok("/"));
        assert_eq!(parent("/a/b"), Ok("/a"));
        assert_eq!(parent("/"), Ok("/"));
        assert_eq!(parent("a"), Err(Error::BadArguments));
        assert_eq!(parent("/a\0/b"), Err(Error::BadArguments));
        assert_eq!(name("/a/b"), "b");
        assert_eq!(ancestors("/a/b/c").collect::<Vec<_>>(), ["/a/b", "/a", "/"]);
        assert_eq!(ancestors("/").count(), 0);
    }
}
