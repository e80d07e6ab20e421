//! A real browser: Chromium, driven through chromedriver.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::{Client, ClientBuilder};
use hitmachine_testkit::process::free_address;
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};

use crate::site::Desk;

const READY: Duration = Duration::from_mins(1);
/// Rules of axe-core: WCAG 2.2 A and AA.
const RULES: [&str; 6] = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"];

/// How a browser is set up.
#[derive(Clone, Copy)]
pub struct Look {
    /// Of the window, in CSS pixels.
    pub width: u32,
    /// Of the window, in CSS pixels.
    pub height: u32,
    /// Whether scripts run.
    pub scripts: bool,
    /// Whether the person prefers dark pages.
    pub dark: bool,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            width: 1280,
            height: 1024,
            scripts: true,
            dark: false,
        }
    }
}

/// A browser of its own, closed when dropped; `client` drives it.
pub struct Browser {
    /// `WebDriver`.
    pub client: Client,
    driver: Child,
    profile: tempfile::TempDir,
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Already gone is fine. A driver that ends leaves its browser behind.
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        for id in started_with(self.profile.path()) {
            let _ = Command::new("kill")
                .args(["-KILL", &id])
                .stderr(Stdio::null())
                .status();
        }
    }
}

/// The processes of the browser with this profile, which is nobody else's.
fn started_with(profile: &Path) -> Vec<String> {
    let wanted = format!("--user-data-dir={}", profile.display());
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let ours = processes.filter(|process| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0)
            .any(|part| part == wanted.as_bytes())
    });
    ours.map(|process| process.file_name().to_string_lossy().into_owned())
        .collect()
}

impl Browser {
    /// Starts one.
    pub async fn open(look: Look) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let address = free_address().unwrap();
        let driver = Command::new("chromedriver")
            .arg(format!("--port={}", address.port()))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is missing: install the Debian package chromium-driver (tests/run does)");
        let begun = Instant::now();
        while std::net::TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < READY, "chromedriver does not listen");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let mut arguments: Vec<String> = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--lang=nl",
        ]
        .map(ToString::to_string)
        .into();
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        arguments.push(format!("--window-size={},{}", look.width.max(500), look.height));
        if look.dark {
            arguments.push("--blink-settings=preferredColorScheme=0".into());
        }
        let mut options = json!({ "args": arguments });
        if !look.scripts {
            options["prefs"] = json!({ "profile.managed_default_content_settings.javascript": 2 });
        }
        let capabilities = json!({
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "goog:chromeOptions": options,
        });
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities.as_object().unwrap().clone())
            .connect(&format!("http://{address}"))
            .await
            .unwrap();
        let browser = Self {
            client,
            driver,
            profile,
        };
        if look.width < 500 {
            // A window cannot be that small; a telephone's screen can.
            browser
                .devtools(
                    "Emulation.setDeviceMetricsOverride",
                    &json!({"width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": false}),
                )
                .await;
        }
        browser
    }

    /// A command of Chromium's own protocol.
    pub async fn devtools(&self, command: &str, parameters: &Value) -> Value {
        #[derive(Debug)]
        struct Devtools(String);
        impl fantoccini::wd::WebDriverCompatibleCommand for Devtools {
            fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
                base.join(&format!(
                    "session/{}/goog/cdp/execute",
                    session.unwrap_or_default()
                ))
            }
            fn method_and_body(&self, _: &url::Url) -> (http::Method, Option<String>) {
                (http::Method::POST, Some(self.0.clone()))
            }
        }
        let body = json!({ "cmd": command, "params": parameters }).to_string();
        self.client.issue_cmd(Devtools(body)).await.unwrap()
    }

    /// Signs somebody in past the form, and opens a page.
    pub async fn visit_as(&self, desk: &Desk, user: &str, path: &str) {
        self.client.goto(&format!("{}/sign-in", desk.url)).await.unwrap();
        let (name, value) = desk.session(user);
        // `WebDriver` would give it a domain, which `__Host-` does not allow.
        self.devtools(
            "Network.setCookie",
            &json!({"name": name, "value": value, "url": desk.url, "path": "/", "secure": true,
                    "httpOnly": true, "sameSite": "Strict"}),
        )
        .await;
        self.client.goto(&format!("{}{path}", desk.url)).await.unwrap();
    }

    /// What axe-core finds wrong with the page as it is: rule and elements.
    pub async fn axe(&self) -> Vec<String> {
        let script = std::fs::read_to_string(node_modules().join("axe-core/axe.min.js"))
            .expect("axe-core is missing: run tests/browser/prepare (tests/run does)");
        self.client.execute(&script, vec![]).await.unwrap();
        let run = format!(
            "const done = arguments[arguments.length - 1];
             axe.run(document, {{runOnly: {{type: 'tag', values: {RULES:?}}}}})
                .then(found => done(found.violations.map(rule =>
                    rule.id + ': ' + rule.nodes.map(node => node.html).join(' | '))));"
        );
        let found = self.client.execute_async(&run, vec![]).await.unwrap();
        serde_json::from_value(found).unwrap()
    }

    /// The whole page as a picture, kept for people to look at when the tests are over.
    pub async fn picture(&self, name: &str) {
        let metrics = self.devtools("Page.getLayoutMetrics", &json!({})).await;
        let size = &metrics["cssContentSize"];
        let shot = self
            .devtools(
                "Page.captureScreenshot",
                &json!({"captureBeyondViewport": true, "clip": {"x": 0, "y": 0, "scale": 1,
                        "width": size["width"], "height": size["height"]}}),
            )
            .await;
        let bytes = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            shot["data"].as_str().unwrap(),
        );
        let dir = pictures();
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join(format!("{name}.png")), bytes.unwrap()).unwrap();
    }

    /// The page's source as the browser has it.
    pub async fn source(&self) -> String {
        self.client.source().await.unwrap()
    }
}

/// Where cargo builds, as `tests/browser/prepare` has it.
fn target() -> PathBuf {
    let dir = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    dir.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))
}

/// Where other people's checkers are, as `tests/browser/prepare` installs them.
pub fn node_modules() -> PathBuf {
    target().join("browser/node_modules")
}

/// Where pictures of pages go; outside git.
pub fn pictures() -> PathBuf {
    target().join("pictures")
}
