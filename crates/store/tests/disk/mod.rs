//! Small file systems, for tests of what happens when they are full. Where they may not be mounted, that is said.

#![allow(
    dead_code,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "each test uses a part of it, says what was not tested, and fails where it fails"
)]

use std::path::Path;
use std::process::{Command, Stdio};

/// A small file system in memory, unmounted when dropped.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where this user may not mount.
    pub fn new(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mounted = mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"], dir.path());
        mounted.then_some(Self(dir))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} stays mounted", self.path().display());
    }
}

/// Whether it worked.
pub fn mount(arguments: &[&str], on: &Path) -> bool {
    let mount = Command::new("mount").args(arguments).arg(on).stderr(Stdio::null()).status();
    let mounted = mount.is_ok_and(|status| status.success());
    if !mounted {
        println!("not tested: this user may not mount");
    }
    mounted
}
