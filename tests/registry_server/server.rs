//! A PostgreSQL server of a test's own: in a temporary folder, as a user who is not root, ended with the test.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use qnetsim::registry::server::ServerOptions;

/// The password of the one user, `tester`.
pub(crate) const PASSWORD: &str = "not-to-be-told";

/// A server that is killed when this is dropped.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    programs: PathBuf,
    port: u16,
    running: Option<Child>,
}

/// The folder of the newest server that Debian has installed.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("Debian's package postgresql is installed");
    let newest = versions
        .map(|entry| entry.expect("reads").path())
        .max_by_key(|path| path.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok()).unwrap_or_default());
    newest.expect("a version is installed").join("bin")
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("runs");
    id.stdout == b"0\n"
}

/// A command as a user who is not root: servers refuse to be root.
fn unprivileged(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "postgres", "--regid", "postgres", "--clear-groups", "--"]).arg(program);
    command
}

fn run(command: &mut Command) {
    let output = command.output().expect("runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Server {
    /// A new server with an empty database.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let port = TcpListener::bind("127.0.0.1:0").expect("a port is free").local_addr().expect("is bound").port();
        let server = Server { folder, programs: programs(), port, running: None };
        fs::write(server.path("password"), PASSWORD).expect("writes");
        server.certify();
        if is_root() {
            run(Command::new("chown").args(["-R", "postgres:postgres"]).arg(server.folder.path()));
        }
        let mut found = unprivileged(&server.programs.join("initdb"));
        found.args([
            "--username",
            "tester",
            "--auth",
            "scram-sha-256",
            "--encoding",
            "UTF8",
            "--no-sync",
            "--no-locale",
        ]);
        found.arg("--pwfile").arg(server.path("password")).arg("--pgdata").arg(server.path("data"));
        run(found.current_dir(server.folder.path()));
        server.started()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The file with the certificate of the server.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.path("server.crt")
    }

    /// A certificate for `localhost` that nobody signed but its key.
    fn certify(&self) {
        let mut request = Command::new("openssl");
        request.args(["req", "-new", "-x509", "-days", "2", "-nodes", "-subj", "/CN=localhost"]);
        request.args(["-addext", "subjectAltName=DNS:localhost", "-keyout"]).arg(self.path("server.key"));
        run(request.arg("-out").arg(self.certificate()));
        run(Command::new("chmod").arg("600").arg(self.path("server.key")));
    }

    fn started(mut self) -> Self {
        self.restart();
        self
    }

    /// Starts the server, which does not run, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        for _ in 0..200 {
            let mut server = unprivileged(&self.programs.join("postgres"));
            server.arg("-D").arg(self.path("data")).arg("-p").arg(self.port.to_string());
            server.arg("-k").arg(self.folder.path());
            for setting in ["listen_addresses=127.0.0.1", "ssl=on", "max_connections=60", "shared_buffers=32MB"] {
                server.args(["-c", setting]);
            }
            for (setting, file) in [("ssl_cert_file", "server.crt"), ("ssl_key_file", "server.key")] {
                server.arg("-c").arg(format!("{setting}={}", self.path(file).display()));
            }
            let log = fs::File::options().create(true).append(true).open(self.path("log")).expect("opens");
            server.stdout(Stdio::null()).stderr(log).current_dir(self.folder.path());
            let mut child = server.spawn().expect("starts");
            // It ends by itself while children of one that was killed are still there.
            while child.try_wait().expect("is asked").is_none() {
                let mut ready = Command::new(self.programs.join("pg_isready"));
                ready.arg("-q").arg("-h").arg(self.folder.path()).arg("-p").arg(self.port.to_string());
                if ready.status().expect("runs").success() {
                    self.running = Some(child);
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("the server does not start: {}", fs::read_to_string(self.path("log")).unwrap_or_default());
    }

    /// Kills the server as the system does for want of memory: nothing is said and nothing is written.
    pub(crate) fn kill(&mut self) {
        if let Some(mut running) = self.running.take() {
            running.kill().expect("runs");
            running.wait().expect("ends");
        }
    }

    /// The URL over TCP, without a password.
    pub(crate) fn url(&self) -> String {
        format!("postgres://tester@127.0.0.1:{}/postgres", self.port)
    }

    /// The URL over the socket in the file system, without a password.
    pub(crate) fn socket_url(&self) -> String {
        let folder = self.folder.path().to_str().expect("is text").replace('/', "%2F");
        format!("postgres://tester@{folder}:{}/postgres", self.port)
    }

    /// A registry in a schema of its own, to be founded.
    pub(crate) fn options(&self, schema: &str) -> ServerOptions {
        ServerOptions {
            password: Some(PASSWORD.to_owned()),
            schema: Some(schema.to_owned()),
            create: true,
            // A machine that builds besides takes its time to recover a server.
            tries: 200,
            ..ServerOptions::new(self.socket_url())
        }
    }

    /// Runs `sql` and returns what it prints.
    pub(crate) fn sql(&self, sql: &str) -> String {
        let mut shell = Command::new(self.programs.join("psql"));
        shell.env("PGPASSWORD", PASSWORD).args(["-qAt", "-U", "tester", "-d", "postgres", "-h"]);
        let output =
            shell.arg(self.folder.path()).args(["-p", &self.port.to_string(), "-c", sql]).output().expect("runs");
        assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("is text")
    }

    /// All that the server has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).expect("reads")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // An immediate end, which waits for its children: they would write to the folder that is being removed.
        let told = Command::new("kill").args(["-QUIT", &running.id().to_string()]).status();
        if !told.is_ok_and(|status| status.success()) {
            let _ = running.kill();
        }
        let _ = running.wait();
    }
}
