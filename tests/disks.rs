//! Disks that fill up, that the system turns read-only, and that fail to write: real file systems, which takes root.
#![expect(clippy::expect_used, reason = "helpers of tests: a failure is a failed test")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs a program of the system that a test cannot do without.
fn run(program: &str, package: &str, arguments: &[&str], paths: &[&Path]) -> Output {
    let output = Command::new(program).args(arguments).args(paths).output();
    output
        .unwrap_or_else(|_| panic!("this test needs the program `{program}` of the Debian package {package}"))
}

fn mount(arguments: &[&str], paths: &[&Path]) {
    let output = run("mount", "mount", arguments, paths);
    assert!(
        output.status.success(),
        "this test mounts small disks, which needs root and CAP_SYS_ADMIN, and for some of them a loop device: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn unmount(at: &Path) {
    // Lazily: a process that a failed test left behind may still be in it.
    let _ = Command::new("umount").arg("-l").arg(at).status();
}

/// A small disk in memory. Gone when dropped.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts one of this size.
    pub fn mount(at: &Path, kib: u32) -> Self {
        fs::create_dir_all(at).unwrap();
        let options = format!("size={kib}k,mode=0700");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], &[at]);
        Self(at.to_owned())
    }

    /// Makes room without touching what is there.
    pub fn grow(&self, kib: u32) {
        mount(&["-o", &format!("remount,size={kib}k")], &[&self.0]);
    }

    /// Fills it to the last byte.
    pub fn fill(&self) {
        let mut file = fs::File::create(self.0.join("filler")).unwrap();
        let mut size = 1 << 20;
        while size > 0 {
            if file.write_all(&vec![1; size]).is_err() {
                size /= 2;
            }
        }
    }

    /// Takes the filling away.
    pub fn empty(&self) {
        fs::remove_file(self.0.join("filler")).expect("it was filled");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        unmount(&self.0);
    }
}

/// A disk with ext4 on it, of which each block comes from a small disk in memory when it is first written: so it can
/// run out of blocks behind the back of its file system, which is an input/output error.
pub struct FailingDisk {
    at: PathBuf,
    image: PathBuf,
    blocks: SmallDisk,
    _dir: tempfile::TempDir,
}

impl FailingDisk {
    /// Mounts one of 64 MiB.
    pub fn mount(at: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blocks = SmallDisk::mount(&dir.path().join("blocks"), 64 << 10);
        let image = dir.path().join("blocks").join("image");
        fs::File::create(&image).unwrap().set_len(64 << 20).unwrap();
        let made = run(
            "mkfs.ext4",
            "e2fsprogs",
            &["-q", "-F", "-m", "0", "-J", "size=4"],
            &[&image],
        );
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        fs::create_dir_all(at).unwrap();
        let disk = Self {
            at: at.to_owned(),
            image,
            blocks,
            _dir: dir,
        };
        disk.attach();
        let _ = fs::remove_dir(at.join("lost+found"));
        disk
    }

    fn attach(&self) {
        mount(&["-o", "loop,errors=remount-ro"], &[&self.image, &self.at]);
    }

    /// The kernel finds a fault in the file system, and turns it read-only under whoever writes. What was not synced
    /// is lost.
    pub fn turn_read_only(&self) {
        let found = run("findmnt", "mount", &["-n", "-o", "SOURCE"], &[&self.at]);
        let device = String::from_utf8(found.stdout).unwrap();
        let name = device.trim().rsplit('/').next().expect("a device").to_owned();
        let switch = Path::new("/sys/fs/ext4").join(name).join("trigger_fs_error");
        fs::write(&switch, "a fault for a test\n")
            .unwrap_or_else(|error| panic!("this test needs {} of the kernel: {error}", switch.display()));
    }

    /// No block that was not written before can be written any more.
    pub fn fail_writes(&self) {
        self.blocks.fill();
    }

    /// Blocks can be written again. What could not be written the system may have forgotten.
    pub fn make_room(&self) {
        self.blocks.empty();
    }

    /// What an administrator does: room, a check of the file system, and mounting it again. Nobody may use it.
    pub fn repair(&self) {
        if self.blocks.0.join("filler").exists() {
            self.blocks.empty();
        }
        let unmounted = run("umount", "mount", &[], &[&self.at]);
        assert!(
            unmounted.status.success(),
            "{}",
            String::from_utf8_lossy(&unmounted.stderr)
        );
        let checked = run("e2fsck", "e2fsprogs", &["-fy"], &[&self.image]);
        // 1: errors were corrected.
        assert!(matches!(checked.status.code(), Some(0 | 1)), "{checked:?}");
        self.attach();
        let _ = fs::remove_dir(self.at.join("lost+found"));
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        unmount(&self.at);
    }
}
