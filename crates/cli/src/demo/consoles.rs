//! The demo's consoles: accounts that are ready to sign in with, and the codes that their app would show.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hitmachine_node::Node;
use hitmachine_node::accounts::{AccountError, NewUser, Roles};
use hitmachine_node::config::ConsoleSection;
use hitmachine_node::view::table;
use hitmachine_service::exit;
use hitmachine_testkit::deployment::{COORDINATOR, Deployment};
use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Secret};
use zeroize::Zeroizing;

use super::show::Show;
use super::{ASKER, Register};
use crate::Failure;

/// The first console's port; the others follow. One that is taken is left out for any that is free.
const FIRST_PORT: u16 = 8441;
/// How long a code is good (RFC 6238).
const STEP: u64 = 30;
/// In the demo's folder.
const ACCOUNTS: &str = "accounts.json";
/// In the demo's folder: the codes of this moment, for who cannot see the demo's own window.
const CODES: &str = "codes.txt";
/// Letters and digits that nobody takes for another.
const READABLE: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz234567890";

/// Where somebody works.
#[derive(Clone, Copy)]
enum Partner {
    Coordinator,
    Of(Register),
}

impl Partner {
    fn id(self) -> &'static str {
        match self {
            Self::Coordinator => COORDINATOR,
            Self::Of(register) => register.id(),
        }
    }
}

/// Somebody who works with the demo.
struct Person {
    partner: Partner,
    id: &'static str,
    name: &'static str,
    job: (&'static str, &'static str),
    asks_as: Option<&'static str>,
    reviews: bool,
    administers: bool,
}

const PEOPLE: [Person; 5] = [
    Person {
        partner: Partner::Coordinator,
        id: "i.pietersen",
        name: "Ilse Pietersen",
        job: ("informatiecoördinator", "information coordinator"),
        asks_as: Some("informatiecoordinator"),
        reviews: false,
        administers: false,
    },
    Person {
        partner: Partner::Coordinator,
        id: "f.devries",
        name: "Fatma de Vries",
        job: ("privacyfunctionaris", "privacy officer"),
        asks_as: None,
        reviews: true,
        administers: false,
    },
    Person {
        partner: Partner::Coordinator,
        id: "b.smit",
        name: "Bram Smit",
        job: ("beheerder", "administrator"),
        asks_as: None,
        reviews: false,
        administers: true,
    },
    Person {
        partner: Partner::Of(ASKER),
        id: "s.jansen",
        name: "Sanne Jansen",
        job: ("schuldhulpverlener", "debt counsellor"),
        asks_as: Some("professional"),
        reviews: false,
        administers: false,
    },
    Person {
        partner: Partner::Of(Register::Leerplicht),
        id: "l.bakker",
        name: "Luuk Bakker",
        job: ("leerplichtambtenaar", "school attendance officer"),
        asks_as: Some("professional"),
        reviews: false,
        administers: true,
    },
];

/// What somebody signs in with.
#[derive(Clone, Serialize, Deserialize)]
struct Keys {
    password: Zeroizing<String>,
    /// In base32, as an app takes it.
    second_factor: Zeroizing<String>,
}

/// The accounts of a demo.
pub(super) struct Consoles {
    keys: BTreeMap<String, Keys>,
    codes: PathBuf,
}

/// The console of a partner: on this computer only.
pub(super) fn section(place: u16) -> ConsoleSection {
    let wanted = SocketAddr::from(([127, 0, 0, 1], FIRST_PORT + place));
    let free = TcpListener::bind(wanted).is_ok();
    ConsoleSection {
        listen: if free { wanted } else { ([127, 0, 0, 1], 0).into() },
        ..ConsoleSection::default()
    }
}

impl Consoles {
    /// Reads what an earlier demo in this folder made, or makes it, and sees to it that every node knows its people.
    pub(super) async fn set_up(
        deployment: &Deployment,
        nodes: &[(&str, Arc<Node>)],
    ) -> Result<Self, Failure> {
        let failed = |error: &dyn std::error::Error| Failure::from_error(error, exit::REFUSED);
        let path = deployment.dir().join(ACCOUNTS);
        let keys: BTreeMap<String, Keys> = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| failed(&error))?,
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(&error)),
            Err(_) => {
                let keys = PEOPLE
                    .iter()
                    .map(|person| Ok((person.id.to_owned(), Keys::random()?)));
                let keys = keys.collect::<Result<_, getrandom::Error>>();
                let keys = keys.map_err(|error| failed(&error))?;
                let text = serde_json::to_vec_pretty(&keys).map_err(|error| failed(&error))?;
                write_private(&path, &text).map_err(|error| failed(&error))?;
                keys
            }
        };
        for person in &PEOPLE {
            let node = nodes.iter().find(|(partner, _)| *partner == person.partner.id());
            let Some(((_, node), keys)) = node.zip(keys.get(person.id)) else {
                continue;
            };
            let (accounts, keys) = (Arc::clone(node.accounts()), keys.clone());
            let made = tokio::task::spawn_blocking(move || person.set_up(&accounts, &keys));
            let made = made.await.map_err(|error| failed(&error))?;
            made.map_err(|error| failed(&error))?;
        }
        Ok(Self {
            keys,
            codes: deployment.dir().join(CODES),
        })
    }

    /// Where to sign in, as whom, and with what.
    pub(super) fn text(&self, show: &Show, urls: &BTreeMap<String, String>) -> String {
        let mut rows = table(&[
            show.pick("Adres", "Address"),
            show.pick("Wie", "Who"),
            show.pick("Gebruikersnaam", "User name"),
            show.pick("Wachtwoord", "Password"),
            show.pick("Code", "Code"),
        ]);
        for (person, keys) in self.people() {
            let url = urls.get(person.partner.id()).map_or("", String::as_str);
            let who = format!("{}, {}", person.name, show.pick(person.job.0, person.job.1));
            let code = keys.code(now());
            rows.add_row([url, &who, person.id, &keys.password, &code]);
        }
        rows.to_string()
    }

    /// Keeps the codes shown: in one line that changes if somebody watches, and always in a file.
    pub(super) async fn keep_codes(&self, show: &Show) {
        let line = show.line_that_changes();
        let mut written = None;
        loop {
            let now = now();
            let codes: Vec<String> = self
                .people()
                .map(|(person, keys)| format!("{} {}", person.id, keys.code(now)))
                .collect();
            let left = STEP - now % STEP;
            line.set_message(format!(
                "{} ({left} s): {}",
                show.pick("Codes", "Codes"),
                codes.join(" · ")
            ));
            // By the step and not by the second, of which a busy machine may miss one.
            if written != Some(now / STEP) {
                // Who cannot write there sees the line.
                let _ = write_private(&self.codes, format!("{}\n", codes.join("\n")).as_bytes());
                written = Some(now / STEP);
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn people(&self) -> impl Iterator<Item = (&'static Person, &Keys)> {
        PEOPLE
            .iter()
            .filter_map(|person| Some((person, self.keys.get(person.id)?)))
    }
}

impl Drop for Consoles {
    fn drop(&mut self) {
        // Codes of a demo that has ended are wrong.
        let _ = std::fs::remove_file(&self.codes);
    }
}

impl Person {
    fn set_up(
        &self,
        accounts: &hitmachine_node::accounts::Accounts,
        keys: &Keys,
    ) -> Result<(), AccountError> {
        if accounts.user(self.id)?.is_some() {
            return Ok(());
        }
        let new = NewUser {
            id: self.id.into(),
            name: self.name.into(),
            roles: Roles {
                asks_as: self.asks_as.map(Into::into),
                reviews_as: self.reviews.then(|| "privacyfunctionaris".into()),
                administers: self.administers,
            },
        };
        accounts.create(&new, "demo")?;
        accounts.set_up(self.id, &keys.password, &keys.second_factor)
    }
}

impl Keys {
    fn random() -> Result<Self, getrandom::Error> {
        let (mut letters, mut secret) = ([0; 12], Zeroizing::new([0; 20]));
        getrandom::fill(&mut letters)?;
        getrandom::fill(secret.as_mut_slice())?;
        let letters = letters.map(|byte| char::from(READABLE[usize::from(byte) % READABLE.len()]));
        let parts: Vec<String> = letters.chunks(4).map(|part| part.iter().collect()).collect();
        Ok(Self {
            password: Zeroizing::new(format!("demo-{}", parts.join("-"))),
            second_factor: Zeroizing::new(Secret::new_stack(*secret).to_base32()),
        })
    }

    /// The code of this moment; empty if somebody changed the file.
    fn code(&self, now: u64) -> String {
        let secret = Secret::try_from_base32(&self.second_factor);
        let totp = secret.map(|secret| Builder::new().with_secret(secret).build_noncompliant());
        totp.map_or_else(|_| String::new(), |totp| totp.generate(now).to_string())
    }
}

/// A file that only its owner can read.
fn write_private(path: &std::path::Path, text: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text)
}

/// Seconds since 1970.
fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}
