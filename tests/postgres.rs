//! A PostgreSQL server of Debian's package `postgresql`, in a folder of its own.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use hitmachine_testkit::pki::{IssueOptions, TestAuthority, test_oin};
use hitmachine_testkit::process::free_address;

use crate::program::until;

/// Who reads the table `client`.
pub const USER: &str = "hitmachine";
/// Password of every user.
pub const PASSWORD: &str = "not-a-secret-of-anybody";

/// A server, stopped when dropped.
pub struct Server {
    dir: PathBuf,
    /// Where it listens, with TLS.
    pub address: SocketAddr,
    // Removed with everything in it at the end.
    _folder: tempfile::TempDir,
}

/// PostgreSQL's programs refuse to run as root, so then they run as the user that Debian's package made.
fn command(program: &str) -> Command {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("install the Debian package postgresql");
    let newest = versions.map(|entry| entry.unwrap().path()).max().unwrap();
    let program = newest.join("bin").join(program);
    if is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn run(command: &mut Command) {
    let output = command.current_dir("/").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
}

fn give(path: &Path) {
    if is_root() {
        run(Command::new("chown").args(["-R", "postgres"]).arg(path));
    }
}

impl Server {
    /// Starts one with a certificate of `authority`, in a folder that all users can reach. It does not wait for the disk.
    pub fn start(authority: &TestAuthority) -> Self {
        Self::start_with(authority, Path::new("/tmp"), "fsync = off\n")
    }

    /// The same in a folder below `parent`, and with these lines in its settings.
    pub fn start_with(authority: &TestAuthority, parent: &Path, more: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("pg").tempdir_in(parent).unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let (dir, keys) = (folder.path().join("data"), folder.path().join("keys"));
        fs::create_dir(&dir).unwrap();
        let partner = IssueOptions::partner("Database", &test_oin(77), jiff::Timestamp::now(), 2);
        authority.issue(&partner).unwrap().save(&keys, "server").unwrap();
        give(folder.path());
        let data = dir.to_str().unwrap();
        run(command("initdb")
            .args(["-D", data, "-A", "scram-sha-256", "-U", "postgres"])
            .args([
                "--pwfile",
                password_file(folder.path()).to_str().unwrap(),
                "-N",
                "-E",
                "UTF8",
            ]));
        let address = free_address().unwrap();
        let keys = keys.display();
        let socket = folder.path().display();
        let settings = format!(
            "listen_addresses = '127.0.0.1'\nport = {}\nunix_socket_directories = '{socket}'\nssl = on\n\
             ssl_cert_file = '{keys}/server.pem'\nssl_key_file = '{keys}/server.key'\n{more}",
            address.port()
        );
        let hba = "local all all scram-sha-256\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        fs::write(dir.join("postgresql.conf"), settings).unwrap();
        fs::write(dir.join("pg_hba.conf"), hba).unwrap();
        give(&dir);
        let server = Self {
            dir,
            address,
            _folder: folder,
        };
        server.up();
        server
    }

    /// Starts it (again).
    pub fn up(&self) {
        let log = self.dir.join("log");
        run(command("pg_ctl")
            .args(["-w", "-D"])
            .arg(&self.dir)
            .arg("-l")
            .arg(&log)
            .arg("start")
            .stdout(Stdio::null()));
    }

    /// Stops it at once, without waiting for anybody's query.
    pub fn down(&self) {
        let _ = command("pg_ctl")
            .args(["-D"])
            .arg(&self.dir)
            .args(["-m", "immediate", "stop"])
            .current_dir("/")
            .output();
    }

    /// Process id of its first process, which all others come from.
    pub fn id(&self) -> u32 {
        let text = fs::read_to_string(self.dir.join("postmaster.pid")).unwrap();
        text.lines().next().unwrap().trim().parse().unwrap()
    }

    /// The folder of its Unix socket.
    pub fn socket(&self) -> &Path {
        self.dir.parent().unwrap()
    }

    /// Runs statements as its administrator; what they say, one row a line.
    pub fn sql(&self, statements: &str) -> String {
        let file = self.socket().join("statements.sql");
        fs::write(&file, statements).unwrap();
        let output = Command::new("psql")
            .args([
                "-v",
                "ON_ERROR_STOP=1",
                "-qAtX",
                "-U",
                "postgres",
                "-d",
                "postgres",
                "-h",
            ])
            .arg(self.socket())
            .args(["-p", &self.address.port().to_string(), "-f"])
            .arg(&file)
            .env("PGPASSWORD", PASSWORD)
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Makes the user that may read `client` and nothing else.
    pub fn grant(&self) {
        self.sql(&format!(
            "create role {USER} login password '{PASSWORD}'; grant select on client to {USER};"
        ));
    }

    /// Waits until a query whose text holds `mark` is running.
    pub fn until_asked(&self, mark: &str) {
        let count = format!(
            "select count(*) from pg_stat_activity where usename = '{USER}' and query like '%{mark}%' and state = 'active'"
        );
        until("the query runs", || self.sql(&count).trim() != "0");
    }
}

fn password_file(folder: &Path) -> PathBuf {
    let path = folder.join("password");
    fs::write(&path, PASSWORD).unwrap();
    path
}

impl Drop for Server {
    fn drop(&mut self) {
        self.down();
    }
}
