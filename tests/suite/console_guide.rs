//! What a stranger does who has read the README: starts the demo, reads what it prints, and does the work of an information
//! coordinator, of a professional and of a privacy officer in a browser. Its pictures are those of the guides:
//! `UPDATE_PICTURES=1` puts them into `docs/images`.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that fails panics, helpers included"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use fantoccini::Locator;
use hitmachine_testkit::population::Register;
use hitmachine_testkit::process::program;
use hitmachine_tests::browser::{Browser, Look, pictures};

/// For the demo, and for pages, on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

struct Demo {
    child: Child,
    dir: PathBuf,
    printed: String,
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Already gone is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the demo prints of an account.
struct Account {
    url: String,
    user: String,
    password: String,
}

impl Demo {
    /// Starts one, and reads what it prints until it says that it runs on.
    fn start(dir: &Path) -> Self {
        let mut child = Command::new(program("hitmachine").unwrap())
            .args(["demo", "--lang", "nl", "--persons", "400", "--dir"])
            .arg(dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut printed = String::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            printed.push_str(&line);
            printed.push('\n');
            if line.contains("Ctrl-C") {
                break;
            }
        }
        Self {
            child,
            dir: dir.to_owned(),
            printed,
        }
    }

    /// The account of a user, from the table that it printed.
    fn account(&self, user: &str) -> Account {
        let line = self
            .printed
            .lines()
            .find(|line| line.contains(user) && line.contains("http"));
        let line = line.unwrap_or_else(|| panic!("{user} is not in {}", self.printed));
        let words: Vec<&str> = line.split_whitespace().filter(|word| *word != "│").collect();
        let at = words.iter().position(|word| *word == user).unwrap();
        Account {
            url: words[0].to_owned(),
            user: user.to_owned(),
            password: words[at + 1].to_owned(),
        }
    }

    /// The code of this moment, as the demo shows it; each is good for one sign-in.
    fn code(&self, user: &str) -> String {
        let codes = std::fs::read_to_string(self.dir.join("codes.txt")).unwrap();
        let line = codes.lines().find_map(|line| line.strip_prefix(user)).unwrap();
        line.trim().to_owned()
    }

    /// Number and birth date of the first person of the list whom the regieteams know.
    fn person(&self) -> (String, String) {
        let list = std::fs::read_to_string(self.list()).unwrap();
        let mut lines = list.trim_start_matches('\u{feff}').lines();
        let header: Vec<&str> = lines.next().unwrap().split(';').collect();
        // Its export has other letters, but the same digits.
        let known = std::fs::read(self.dir.join("registers").join(Register::Regieteams.file_name())).unwrap();
        let known = String::from_utf8_lossy(&known);
        let mut rows = lines.map(|line| line.split(';').collect::<Vec<_>>());
        let at = header
            .iter()
            .position(|name| name.to_lowercase().contains("bsn"))
            .unwrap();
        let row = rows.find(|row| known.contains(row[at])).unwrap();
        let column = |name: &str| {
            let at = header.iter().position(|each| each.to_lowercase().contains(name));
            row[at.unwrap_or_else(|| panic!("no {name} in {header:?}"))].to_owned()
        };
        (column("bsn"), column("geboorte"))
    }

    fn list(&self) -> PathBuf {
        self.dir.join("registers/top150.csv")
    }
}

/// Somebody at a browser.
struct Somebody {
    browser: Browser,
    url: String,
    /// Pages that were loaded, redirects not counted.
    loads: usize,
}

impl Somebody {
    /// Signs in with password and code.
    async fn sign_in(demo: &Demo, user: &str) -> Self {
        let account = demo.account(user);
        let browser = Browser::open(Look::default()).await;
        let mut somebody = Self {
            browser,
            url: account.url,
            loads: 0,
        };
        somebody.open("/").await;
        somebody.picture("sign_in").await;
        somebody.fill("[name=user]", &account.user).await;
        somebody.fill("[name=password]", &account.password).await;
        somebody.press("main button[type=submit]").await;
        let begun = Instant::now();
        loop {
            somebody.fill("[name=code]", &demo.code(user)).await;
            somebody.press("main button[type=submit]").await;
            if !somebody.has("[name=code]").await {
                return somebody;
            }
            // The code changed while it was typed, or was used before.
            assert!(begun.elapsed() < PATIENCE, "no code of {user} was taken");
            somebody.loads -= 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn open(&mut self, path: &str) {
        self.browser
            .client
            .goto(&format!("{}{path}", self.url))
            .await
            .unwrap();
        self.loads += 1;
    }

    async fn has(&self, css: &str) -> bool {
        !self
            .browser
            .client
            .find_all(Locator::Css(css))
            .await
            .unwrap()
            .is_empty()
    }

    async fn fill(&self, css: &str, text: &str) {
        let field = self.browser.client.find(Locator::Css(css)).await;
        let field = field.unwrap_or_else(|error| panic!("{css}: {error}"));
        if field.attr("type").await.unwrap().as_deref() != Some("file") {
            field.clear().await.unwrap();
        }
        field.send_keys(text).await.unwrap();
    }

    async fn choose(&self, css: &str) {
        self.browser
            .client
            .find(Locator::Css(css))
            .await
            .unwrap()
            .click()
            .await
            .unwrap();
    }

    async fn press(&mut self, css: &str) {
        let button = self.browser.client.find(Locator::Css(css)).await;
        let button = button.unwrap_or_else(|error| panic!("{css}: {error}"));
        let client = &self.browser.client;
        client.execute("window.before = true", vec![]).await.unwrap();
        button.click().await.unwrap();
        self.loads += 1;
        let begun = Instant::now();
        let there = "return !window.before && document.readyState === 'complete'";
        while client.execute(there, vec![]).await.ok() != Some(true.into()) {
            assert!(begun.elapsed() < PATIENCE, "{css}: no page comes");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn says(&self, text: &str) {
        let main = self.browser.client.find(Locator::Css("main")).await.unwrap();
        let said = main.text().await.unwrap();
        assert!(said.contains(text), "{text:?} is not in:\n{said}");
    }

    async fn waits_for(&self, text: &str) {
        let begun = Instant::now();
        loop {
            // A page that refreshes itself may take its own words away in between.
            let said = self
                .browser
                .client
                .execute("return document.querySelector('main').innerText", vec![])
                .await;
            if said.is_ok_and(|said| said.as_str().is_some_and(|said| said.contains(text))) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{text:?} does not come");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn picture(&self, of: &str) {
        let name = format!("guide_{of}");
        self.browser.picture(&name).await;
        let to = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/images/{of}.png"));
        // Only those that a guide shows.
        if std::env::var_os("UPDATE_PICTURES").is_some() && to.exists() {
            std::fs::copy(pictures().join(format!("{name}.png")), to).unwrap();
        }
    }

    /// Asks about one person.
    async fn ask(&mut self, purpose: &str, case: &str, person: &(String, String)) {
        self.choose(&format!("[name=purpose][value={purpose}]")).await;
        self.fill("[name=case]", case).await;
        self.fill("[name=number-1]", &person.0).await;
        self.fill("[name=birth-1]", &person.1).await;
        self.picture(&format!("ask_{purpose}")).await;
        self.press("button[name=action][value=ask].button--primary").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_does_all_three_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let demo = tokio::task::block_in_place(|| Demo::start(&dir.path().join("demo")));

    // The information coordinator: sign in, ask, read the answer, in at most four pages.
    let mut coordinator = Somebody::sign_in(&demo, "i.pietersen").await;
    if !coordinator.has("[name=number-1]").await {
        coordinator.open("/ask").await;
    }
    coordinator.ask("screening", "ZVH-2026-1", &demo.person()).await;
    assert!(coordinator.loads <= 4, "{} page loads", coordinator.loads);
    coordinator.says("Vastgelegd als regel").await;
    coordinator.says("Bekend bij").await;
    coordinator.picture("answer").await;
    let source = coordinator.browser.source().await;
    assert!(!source.contains(&demo.person().0), "the number is on the page");

    // A list.
    coordinator.open("/screenings/new").await;
    coordinator.choose("[name=purpose][value=screening]").await;
    coordinator.fill("[name=case]", "TOP-150").await;
    coordinator
        .fill("[name=list]", demo.list().to_str().unwrap())
        .await;
    coordinator.press("main form button.button--primary").await;
    coordinator.says("145").await;
    coordinator.picture("screening_plan").await;
    coordinator.press("form[action$='/start'] button").await;
    coordinator.waits_for("239").await;
    coordinator.picture("screening").await;

    // A professional asks, and another one reads a notice.
    let mut professional = Somebody::sign_in(&demo, "s.jansen").await;
    professional.open("/ask").await;
    professional
        .ask("signalering", "SHV-2026-7", &demo.person())
        .await;
    professional.says("Vastgelegd als regel").await;
    let mut other = Somebody::sign_in(&demo, "l.bakker").await;
    other.open("/notices").await;
    other.says("SHV-DEMO-2").await;
    other.picture("notices").await;

    // The privacy officer finds the first question and checks its proof.
    let mut officer = Somebody::sign_in(&demo, "f.devries").await;
    officer.open("/officer").await;
    officer.fill("[name=reference]", "kennismaking").await;
    officer.press("main button[type=submit]").await;
    officer.picture("officer").await;
    officer.open("/officer/search").await;
    officer.fill("[name=case]", "ZVH-2026-1").await;
    officer.press("main form button.button--primary").await;
    officer.says("ZVH-2026-1").await;
    officer.picture("officer_search").await;
    officer.press("main table a[href^='/officer/entries/']").await;
    officer.picture("officer_entry").await;
    officer.press("form[action$='/check'] button").await;
    officer.picture("officer_check").await;
    assert!(!officer.has(".step--failed").await, "a step failed");
    assert!(officer.has(".step--done").await, "nothing was checked");

    // The administrator sees that all is well.
    let mut administrator = Somebody::sign_in(&demo, "b.smit").await;
    administrator.open("/admin").await;
    administrator.picture("admin").await;
}
