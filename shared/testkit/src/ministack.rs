//! A MiniStack for tests: the services of AWS in one process of this machine, on a port of its own, with nothing of the
//! environment of the test, and gone with the test, however that ends.
//!
//! Project: <https://github.com/ministackorg/ministack>

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use crate::skip::skipped;

/// Names the folder of the tools: `ministack/`, `sam/`, `cargo-lambda/` and `sbom/` in it are virtual environments.
pub const TOOLS: &str = "TIDEWATCH_TOOLS";

/// How long it may take to answer. It takes a second, or many on a machine that is busy with builds.
const READY_WITHIN: Duration = Duration::from_secs(60);
const ASKED_EVERY: Duration = Duration::from_millis(50);

/// How often another port is tried, when somebody took the one that was free.
const STARTS: usize = 3;

/// The region of everything in it.
const REGION: &str = "us-east-1";

/// Ends MiniStack, and removes its folder, when its standard input ends: when it is dropped, and also when the process
/// of the test is gone without having dropped anything. `$1` is the process, which leads its group, and `$2` the folder.
const WATCH: &str = r#"
cat >/dev/null
kill -TERM "$1" 2>/dev/null
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do
    kill -0 "$1" 2>/dev/null || break
    sleep 0.2
done
kill -KILL -- "-$1" 2>/dev/null
rm -rf "$2"
"#;

/// A running MiniStack. Dropping it ends it.
#[derive(Debug)]
pub struct MiniStack {
    port: u16,
    folder: PathBuf,
    process: Child,
    watch: Child,
    lifeline: Option<ChildStdin>,
}

/// The folder of the tools, when the environment names one.
#[expect(clippy::disallowed_methods, reason = "tests have no other place to take it from")]
pub fn tools() -> Option<PathBuf> {
    std::env::var_os(TOOLS).filter(|value| !value.is_empty()).map(PathBuf::from)
}

impl MiniStack {
    /// The MiniStack that all tests of this process share; each makes its own tables, buckets and queues in it. `None`
    /// without tools, which is said once.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<MiniStack>> = OnceLock::new();
        SHARED.get_or_init(|| Self::start_or_skip("tests against MiniStack", &[])).as_ref()
    }

    /// Starts one with [`tools`]; without them it says that `what` is skipped, and gives `None`.
    pub fn start_or_skip(what: &str, settings: &[(&str, &str)]) -> Option<Self> {
        let tools = tools();
        if tools.is_none() {
            skipped(format_args!("{what}: {TOOLS} does not name the folder with ministack/bin/ministack"));
        }
        tools.map(|tools| Self::start(&tools, settings))
    }

    /// Starts one with the program `ministack/bin/ministack` in the folder `tools`, and waits until it answers.
    /// `settings` are added to its environment, such as `AUTH` with `true` to have the policies of roles enforced.
    ///
    /// Panics with its log when it does not start.
    pub fn start(tools: &Path, settings: &[(&str, &str)]) -> Self {
        let program = tools.join("ministack/bin/ministack");
        assert!(program.is_file(), "there is no {}, where {TOOLS} leads", program.display());
        for _ in 1..STARTS {
            if let Ok(started) = Self::start_once(&program, settings) {
                return started;
            }
        }
        Self::start_once(&program, settings).unwrap_or_else(|log| panic!("MiniStack does not start:\n{log}"))
    }

    /// Starts one on a port that is free now; gives its log when it ends or does not answer.
    fn start_once(program: &Path, settings: &[(&str, &str)]) -> Result<Self, String> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = listener.local_addr().expect("the address of a listener").port();
        let folder = std::env::temp_dir().join(format!("tidewatch-ministack-{}-{port}", std::process::id()));
        for part in ["home", "tmp"] {
            std::fs::create_dir_all(folder.join(part)).expect("a temporary folder");
        }
        drop(listener);
        let mut process = command(program, &folder, port, settings).spawn().expect("MiniStack is run");
        let mut watch = Command::new("/bin/sh")
            .args(["-c", WATCH, "sh", &process.id().to_string()])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Not in the group of the test, whose keyboard interrupt it outlives to tidy up.
            .process_group(0)
            .spawn()
            .inspect_err(|_| drop(process.kill()))
            .expect("a shell");
        let lifeline = watch.stdin.take();
        let mut started = Self { port, folder, process, watch, lifeline };
        if started.answers_in_time() { Ok(started) } else { Err(started.log()) }
    }

    fn answers_in_time(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < READY_WITHIN {
            let has_ended = self.process.try_wait().is_ok_and(|status| status.is_some());
            if has_ended {
                return false;
            }
            if is_ready(self.port) {
                return true;
            }
            wait(ASKED_EVERY);
        }
        false
    }

    /// Where it is: `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its host and port, `127.0.0.1:PORT`: the end of the host names of its APIs.
    pub fn authority(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The variables by which the tools and SDKs of AWS use it and nothing else, as the root of its account.
    pub fn environment(&self) -> BTreeMap<String, String> {
        let variables = [
            ("AWS_ENDPOINT_URL", self.endpoint()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_DEFAULT_REGION", REGION.to_owned()),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
            ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ];
        variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
    }

    /// Makes the S3 bucket `name`.
    pub fn make_bucket(&self, name: &str) {
        let status = request(self.port, "PUT", &format!("/{name}"), b"").expect("MiniStack answers");
        assert_eq!(status, "200", "MiniStack makes the bucket {name}");
    }

    /// Puts an object into the S3 bucket `bucket`.
    pub fn put_object(&self, bucket: &str, key: &str, bytes: &[u8]) {
        let path = format!("/{bucket}/{}", key.replace(' ', "%20"));
        let status = request(self.port, "PUT", &path, bytes).expect("MiniStack answers");
        assert_eq!(status, "200", "MiniStack stores {key}");
    }

    /// The folder of its files, which is removed with it: `ministack.log`, and `tmp` with the programs of functions.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it and its functions have written so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(log_file(&self.folder)).expect("the log of MiniStack");
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for MiniStack {
    fn drop(&mut self) {
        drop(self.lifeline.take());
        // The watch ends it, after a while by force; there is nothing to do about one that cannot be waited for.
        let _ = self.process.wait();
        let _ = self.watch.wait();
    }
}

fn log_file(folder: &Path) -> PathBuf {
    folder.join("ministack.log")
}

fn command(program: &Path, folder: &Path, port: u16, settings: &[(&str, &str)]) -> Command {
    let log = File::create(log_file(folder)).expect("a log file");
    let mut command = Command::new(program);
    command
        // Functions get its whole environment, so it has nothing of ours.
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", folder.join("home"))
        .env("TMPDIR", folder.join("tmp"))
        .env("S3_DATA_DIR", folder.join("s3"))
        .env("STATE_DIR", folder.join("state"))
        .env("BIND_HOST", "127.0.0.1")
        // The host in the URLs of queues and APIs.
        .env("MINISTACK_HOST", "127.0.0.1")
        .env("GATEWAY_PORT", port.to_string())
        .env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{port}"))
        .env("MINISTACK_REGION", REGION)
        .env("IOT_MTLS_ENABLED", "0")
        .envs(settings.iter().copied())
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log file"))
        .stderr(log)
        .process_group(0);
    command
}

/// Whether MiniStack on `port` says that it is ready.
fn is_ready(port: u16) -> bool {
    request(port, "GET", "/_ministack/ready", b"").is_ok_and(|status| status == "200")
}

/// Asks MiniStack on `port` without a signature, and gives the status of its answer.
fn request(port: u16, method: &str, path: &str, body: &[u8]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    // MiniStack does not look at signatures, but at whose request it is.
    let caller = "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/s3/aws4_request";
    let length = body.len();
    let head = format!("Connection: close\r\nContent-Length: {length}\r\nAuthorization: {caller}\r\n");
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{head}\r\n")?;
    stream.write_all(body)?;
    let mut answer = String::new();
    stream.take(12).read_to_string(&mut answer)?;
    Ok(answer.trim_start_matches("HTTP/1.1 ").to_owned())
}

#[expect(clippy::disallowed_methods, reason = "another process cannot be told to be ready sooner")]
fn wait(duration: Duration) {
    std::thread::sleep(duration);
}
