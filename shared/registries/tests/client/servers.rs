//! The client against registries that other people wrote, each in a process of its own: the reference implementation, as
//! Debian's package `docker-registry` installs it, with and without a password and a certificate of a private authority; and the
//! one within `crane`, which has no listing of referrers, so that it is kept under a tag.

use std::ffi::OsString;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::header::{CONTENT_TYPE, LOCATION};
use serde_json::{Value, json};
use tempfile::TempDir;
use tidewatch_core::Digest;
use tidewatch_core::config::{Credentials, RegistryConfig, RegistryKind};
use tidewatch_core::image::ManifestReference;
use tidewatch_core::manifest::{Classified, classify, media_type};
use tidewatch_core::ports::registry::{Referrer, RegistryError};
use tidewatch_core::ports::{Registries as _, Registry};
use tidewatch_registries::{ConfiguredRegistries, LocalSecrets, Ports};
use tidewatch_testkit::ports::{InstantSleeper, SeededRandomness, SettableClock};
use tidewatch_testkit::skip::skipped;

use crate::support::{blob, bytes, repository, repository_pages, tag, tag_pages};

/// `robot` with the password `correct-horse`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "robot:$2b$04$S2hhwGubDh8fqltxauWHaONLenw3kGPRvfEk4EdHCBObivm.q5TP2\n";

const LOGIN: (&str, &str) = ("robot", "correct-horse");

/// A registry in a process of its own, with a folder of its own. It ends with the test.
struct Server {
    process: Child,
    url: String,
    folder: TempDir,
    pusher: reqwest::Client,
    login: Option<(&'static str, &'static str)>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

/// A certificate for 127.0.0.1, its key, and that of the authority that signed it, in the form PEM.
fn certificates() -> (String, String, String) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    (certificate.pem(), key.serialize_pem(), authority.pem())
}

impl Server {
    /// Starts `program`, which listens on the address in `url`; `None`, and a word about it, when it is not installed.
    async fn start(
        program: &Path,
        arguments: &[OsString],
        url: String,
        folder: TempDir,
        pusher: reqwest::Client,
    ) -> Option<Self> {
        let mut command = Command::new(program);
        let started = command.args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let process = match started {
            Ok(process) => process,
            Err(error) => {
                skipped(format_args!("{} is not installed ({error})", program.display()));
                return None;
            }
        };
        let server = Self { process, url, folder, pusher, login: None };
        server.wait().await;
        Some(server)
    }

    /// The reference implementation, with this at the end of the part `http` of its configuration, and this at its end.
    async fn docker_registry(
        scheme: &str,
        http: &str,
        more: &str,
        pusher: reqwest::Client,
        folder: TempDir,
    ) -> Option<Self> {
        let address = free_address();
        let config = folder.path().join("config.yml");
        let storage = folder.path().join("storage");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http:\n  addr: '{address}'\n{http}{more}",
            storage.display()
        );
        std::fs::write(&config, text).unwrap();
        let arguments = ["serve".into(), config.into()];
        let program = Path::new("docker-registry");
        Self::start(program, &arguments, format!("{scheme}://{address}"), folder, pusher).await
    }

    /// The registry that `crane` serves.
    async fn crane() -> Option<Self> {
        let Some(tools) = tidewatch_testkit::ministack::tools() else {
            skipped("TIDEWATCH_TOOLS is not set: `make test-registries` sets it");
            return None;
        };
        let address = free_address();
        let program = tools.join("crane/bin/crane");
        let arguments = ["registry", "serve", "--address", &address].map(OsString::from);
        let folder = tempfile::tempdir().unwrap();
        Self::start(&program, &arguments, format!("http://{address}"), folder, reqwest::Client::new()).await
    }

    async fn wait(&self) {
        for _ in 0..200 {
            if self.pusher.get(format!("{}/v2/", self.url)).send().await.is_ok() {
                return;
            }
            pause().await;
        }
        panic!("the registry at {} does not answer", self.url);
    }

    fn authorized(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        match self.login {
            Some((user, password)) => request.basic_auth(user, Some(password)),
            None => request,
        }
    }

    async fn push_blob(&self, name: &str, content: Bytes) -> Digest {
        let digest = Digest::of(&content);
        let upload = self.authorized(self.pusher.post(format!("{}/v2/{name}/blobs/uploads/", self.url)));
        let begun = upload.send().await.unwrap();
        let location = begun.headers()[LOCATION].to_str().unwrap();
        let mut upload = begun.url().join(location).unwrap();
        upload.query_pairs_mut().append_pair("digest", &digest.to_string());
        let put = self.authorized(self.pusher.put(upload)).header(CONTENT_TYPE, "application/octet-stream");
        assert_eq!(put.body(content).send().await.unwrap().status(), 201);
        digest
    }

    async fn push_manifest(&self, name: &str, reference: &str, manifest: &Value) -> Digest {
        let media_type = manifest["mediaType"].as_str().unwrap().to_owned();
        let manifest = manifest.to_string();
        let digest = Digest::of(manifest.as_bytes());
        let reference = if reference.is_empty() { digest.to_string() } else { reference.to_owned() };
        let url = format!("{}/v2/{name}/manifests/{reference}", self.url);
        let put = self.authorized(self.pusher.put(url)).header(CONTENT_TYPE, media_type);
        assert_eq!(put.body(manifest).send().await.unwrap().status(), 201);
        digest
    }

    /// The registry as Tidewatch reads it, with these keys in its configuration.
    async fn open(&self, change: impl FnOnce(RegistryConfig) -> RegistryConfig) -> Arc<dyn Registry> {
        let config = RegistryConfig::new("real".parse().unwrap(), RegistryKind::Oci, Some(self.url.clone()));
        let ports = Ports {
            clock: Arc::new(SettableClock::at("2026-01-01T00:00:00Z")),
            sleeper: Arc::new(InstantSleeper::new()),
            randomness: Arc::new(SeededRandomness::new(1)),
        };
        let secrets = LocalSecrets::new(|name| (name == "LOGIN").then(|| format!("{}:{}", LOGIN.0, LOGIN.1)));
        let registries = ConfiguredRegistries::new(Arc::new(secrets), ports);
        registries.open(&change(config)).await.unwrap()
    }
}

#[expect(clippy::disallowed_methods, reason = "it waits for another process")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Pushes an image under three tags; gives its digest and that of its layer.
async fn push_image(server: &Server) -> (Digest, Digest) {
    let layer = bytes(2 << 20);
    let layer_digest = server.push_blob("team/web", layer.clone()).await;
    let config = Bytes::from_static(br#"{"os":"linux","architecture":"amd64"}"#);
    let config = server.push_blob("team/web", config).await;
    let manifest = json!({
        "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
        "config": {"mediaType": media_type::OCI_CONFIG, "digest": config.to_string(), "size": 37},
        "layers": [{
            "mediaType": "application/vnd.oci.image.layer.v1.tar",
            "digest": layer_digest.to_string(), "size": layer.len(),
        }],
    });
    let mut digest = Digest::of(b"");
    for number in 0..3 {
        digest = server.push_manifest("team/web", &format!("1.{number}"), &manifest).await;
    }
    (digest, layer_digest)
}

/// Reads everything that [`push_image`] pushed.
async fn read_all(registry: &dyn Registry, (digest, layer): (Digest, Digest)) {
    registry.ping().await.unwrap();
    assert_eq!(repository_pages(registry).await, [vec!["team/web"]]);
    let mut tags = tag_pages(registry, "team/web").await.concat();
    tags.sort();
    assert_eq!(tags, ["1.0", "1.1", "1.2"]);
    assert_eq!(registry.resolve(&repository("team/web"), &tag("1.0")).await.unwrap(), digest);
    let reference = ManifestReference::Digest(digest);
    let found = registry.manifest(&repository("team/web"), &reference).await.unwrap();
    let Classified::Image { layers, .. } = classify(&found).unwrap() else { panic!("{found:?}") };
    assert_eq!(Digest::of(&blob(registry, "team/web", &layers[0].digest).await.unwrap()), layer);
    let missing = registry.resolve(&repository("team/web"), &tag("2.0")).await;
    assert!(matches!(missing, Err(RegistryError::NotFound { .. })), "{missing:?}");
}

#[tokio::test]
async fn an_image_in_the_reference_implementation_is_listed_resolved_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let started = Server::docker_registry("http", "", "", reqwest::Client::new(), folder).await;
    let Some(server) = started else { return };
    let pushed = push_image(&server).await;
    let registry = server.open(|config| config).await;
    read_all(&*registry, pushed).await;
    assert_eq!(registry.referrers(&repository("team/web"), &pushed.0).await.unwrap(), []);
}

#[tokio::test]
async fn the_reference_implementation_is_read_with_a_password_behind_a_certificate_of_a_private_authority() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key, authority) = certificates();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (certificate, key) = (file("certificate.pem", &certificate), file("key.pem", &key));
    let (htpasswd, ca) = (file("htpasswd", HTPASSWD), file("authority.pem", &authority));
    let http = format!("  tls: {{certificate: '{certificate}', key: '{key}'}}\n");
    let auth = format!("auth: {{htpasswd: {{realm: test, path: '{htpasswd}'}}}}\n");
    let trusted = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
    let pusher = reqwest::Client::builder().tls_certs_only([trusted]).build().unwrap();
    let Some(mut server) = Server::docker_registry("https", &http, &auth, pusher, folder).await else {
        return;
    };
    server.login = Some(LOGIN);
    let image = push_image(&server).await;
    let credentials = || Some(Credentials::Env("LOGIN".to_owned()));
    let ca = || Some(Credentials::File(ca.clone()));

    let registry =
        server.open(|config| RegistryConfig { credentials: credentials(), ca: ca(), ..config }).await;
    read_all(&*registry, image).await;

    let anonymous = server.open(|config| RegistryConfig { ca: ca(), ..config }).await;
    let error = anonymous.tags(&repository("team/web"), None).await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { .. }), "{error:?}");
    let distrustful = server.open(|config| RegistryConfig { credentials: credentials(), ..config }).await;
    let error = distrustful.ping().await.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error:?}");
    assert!(server.folder.path().exists());
}

#[tokio::test]
async fn an_image_in_the_registry_of_crane_is_read_with_what_refers_to_it() {
    let Some(server) = Server::crane().await else { return };
    let pushed = push_image(&server).await;
    let registry = server.open(|config| config).await;
    read_all(&*registry, pushed).await;
    assert_eq!(registry.referrers(&repository("team/web"), &pushed.0).await.unwrap(), []);

    let empty = server.push_blob("team/web", Bytes::from_static(b"{}")).await;
    let attached = server
        .push_manifest(
            "team/web",
            "",
            &json!({
                "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
                "artifactType": "application/vnd.in-toto+json",
                "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": empty.to_string(), "size": 2},
                "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": empty.to_string(), "size": 2}],
                "subject": {"mediaType": media_type::OCI_MANIFEST, "digest": pushed.0.to_string(), "size": 400},
            }),
        )
        .await;
    let index = json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [{
        "mediaType": media_type::OCI_MANIFEST, "digest": attached.to_string(), "size": 500,
        "artifactType": "application/vnd.in-toto+json",
    }]});
    server.push_manifest("team/web", &format!("sha256-{}", pushed.0.hex()), &index).await;
    let referrers = registry.referrers(&repository("team/web"), &pushed.0).await.unwrap();
    let expected = Referrer { digest: attached, artifact_type: "application/vnd.in-toto+json".to_owned() };
    assert_eq!(referrers, [expected]);
}
