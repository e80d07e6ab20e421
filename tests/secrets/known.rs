//! What is secret about a deployment, worked out from its plain registers and key files.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use hitmachine_core::Covenant;
use hitmachine_pseudonym::{
    CanonicalIdentifier, HmacSha256Pseudonymiser, IdentifierType, KeyEpoch, NodeKey, Pepper, Scheme, TagKeys,
};
use hitmachine_service::secret::{Purpose, SecretFile};
use hitmachine_testkit::deployment::{Deployment, key_files};
use hitmachine_testkit::population::{LIST_FILE, Register, SourceStyle, list_style};

use super::Printed;
use super::needles::{ALL, Form, Kind, Needles};

/// Everything secret about a deployment.
pub struct Secrets {
    /// All of the below, ready to be looked for.
    pub needles: Needles,
    /// Everybody's number.
    pub bsns: BTreeSet<String>,
    /// Their tokens.
    pub tokens: Vec<Vec<u8>>,
    /// Their tags.
    pub tags: Vec<Vec<u8>>,
    /// The bytes of every key.
    pub keys: Vec<Vec<u8>>,
    /// The lines of private keys in PEM.
    pub pem_lines: Vec<String>,
    /// The registers' own file numbers.
    pub references: Vec<String>,
}

fn read_key(path: &Path, purpose: Purpose) -> [u8; 32] {
    *SecretFile::read(path, purpose).unwrap().1
}

impl Secrets {
    /// Of what lies on the disk now, in the first key epoch.
    pub fn of(deployment: &Deployment) -> Self {
        let mut secrets = Self {
            needles: Needles::default(),
            bsns: BTreeSet::new(),
            tokens: Vec::new(),
            tags: Vec::new(),
            keys: Vec::new(),
            pem_lines: Vec::new(),
            references: Vec::new(),
        };
        for register in Register::ALL {
            let file = deployment.registers().join(register.file_name());
            for (bsn, reference) in rows(&file, &register.style()) {
                secrets.bsns.extend(bsn);
                secrets.references.push(reference);
            }
        }
        secrets.bsns.extend(
            rows(&deployment.registers().join(LIST_FILE), &list_style())
                .into_iter()
                .filter_map(|row| row.0),
        );

        let files = key_files(deployment);
        secrets.add_tokens(
            deployment,
            &files["leerplicht/node-key"],
            &files["pepper"],
            KeyEpoch::FIRST,
        );
        for path in files.values() {
            secrets.add_key(path);
        }
        for path in private_keys(deployment.dir()) {
            let text = fs::read_to_string(path).unwrap();
            let lines: Vec<String> = text
                .lines()
                .filter(|line| !line.starts_with("-----"))
                .map(str::to_owned)
                .collect();
            secrets.keys.push(scalar(&lines.concat()));
            secrets.pem_lines.extend(lines);
        }
        secrets.prepare();
        secrets
    }

    /// Also the key, the pepper and everybody's token and tag of a later epoch.
    pub fn add_epoch(&mut self, deployment: &Deployment, key: &Path, pepper: &Path, epoch: KeyEpoch) {
        self.add_tokens(deployment, key, pepper, epoch);
        self.add_key(key);
        self.add_key(pepper);
        self.prepare();
    }

    fn add_tokens(&mut self, deployment: &Deployment, key: &Path, pepper: &Path, epoch: KeyEpoch) {
        let covenant = Covenant::parse(&fs::read(deployment.covenant()).unwrap()).unwrap();
        let id = covenant.deployment().id;
        let key = NodeKey::from_bytes(read_key(key, Purpose::NodeKey));
        let pseudonymiser = HmacSha256Pseudonymiser::new(key, id, epoch);
        let pepper = Pepper::from_bytes(read_key(pepper, Purpose::Pepper));
        let tags = TagKeys::derive(&pepper, &id, epoch, Scheme::HmacSha256);
        for bsn in &self.bsns {
            let number = CanonicalIdentifier::new(IdentifierType::Bsn, bsn.as_bytes()).unwrap();
            let token = pseudonymiser.token(&number);
            let tag = tags.tag(IdentifierType::Bsn, &token);
            self.tags.push(tag.as_bytes().to_vec());
            self.tokens.push(token.expose_secret().to_vec());
        }
    }

    /// The line of a key file is its purpose, its number and the key.
    fn add_key(&mut self, file: &Path) {
        let line = fs::read_to_string(file).unwrap();
        let key = line.split_whitespace().next_back().unwrap();
        self.keys.push(hex::decode(key).unwrap());
    }

    /// Makes everything that is known now ready to be looked for.
    pub fn prepare(&mut self) {
        for bsn in &self.bsns {
            self.needles.add_bytes(Kind::Bsn, bsn.as_bytes());
            if let Some(short) = bsn.strip_prefix('0') {
                self.needles.add_bytes(Kind::Bsn, short.as_bytes());
            }
        }
        for (kind, values) in [
            (Kind::Token, &self.tokens),
            (Kind::Tag, &self.tags),
            (Kind::Key, &self.keys),
        ] {
            for value in values {
                self.needles.add_secret(kind, value);
            }
        }
        for line in &self.pem_lines {
            self.needles
                .add(Kind::Key, Form::Plain, line.clone().into_bytes());
        }
        for reference in &self.references {
            self.needles.add_bytes(Kind::Reference, reference.as_bytes());
        }
    }

    /// What is secret in what was printed: who printed it, how often, and what it is; never the text itself.
    pub fn leaks(&self, printed: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
        let mut found = Vec::new();
        for (name, text) in printed {
            let mut finds = self.needles.find(text, true, &ALL);
            // The hit notice of the demo shows leerplicht its own file number, once; that is what a notice is for.
            let is_reference = |find: &(Kind, Form, usize)| matches!(find.0, Kind::Reference);
            if name == "demo, standard output" && finds.iter().filter(|find| is_reference(find)).count() == 1
            {
                finds.retain(|find| !is_reference(find));
            }
            if let Some((kind, form, place)) = finds.first() {
                let line = text[..*place].iter().filter(|byte| **byte == b'\n').count() + 1;
                let count = finds.len();
                // The begin of the line says who wrote it.
                let begin = text[..*place]
                    .iter()
                    .rposition(|byte| *byte == b'\n')
                    .map_or(0, |at| at + 1);
                let origin = String::from_utf8_lossy(&text[begin..(begin + 70).min(*place)]);
                found.push(format!(
                    "{name}: {count} times; first on line {line}, a {kind:?} ({form:?}): {origin}…"
                ));
            }
        }
        found
    }

    /// Fails if there is a secret in what was printed.
    pub fn check_printed(&self, printed: &Printed) {
        let leaks = self.leaks(&printed.0);
        assert!(
            leaks.is_empty(),
            "secrets in what was printed:\n{}",
            leaks.join("\n")
        );
    }

    /// Fails if anything of these kinds is in a file under `dir`; how many bytes were looked through.
    pub fn check_files(&self, dir: &Path, kinds: &[Kind]) -> usize {
        let mut looked = 0;
        for path in files(dir) {
            let bytes = fs::read(&path).unwrap();
            let found = self.needles.find(&bytes, false, kinds);
            assert!(
                found.is_empty(),
                "{}: {} times, first {:?}",
                path.display(),
                found.len(),
                found[0]
            );
            looked += bytes.len();
        }
        looked
    }
}

/// BSN (nine digits) and reference of each row of a plain file, also of rows that are no good.
fn rows(path: &Path, style: &SourceStyle) -> Vec<(Option<String>, String)> {
    let bytes = fs::read(path).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text
        .trim_start_matches('\u{feff}')
        .lines()
        .map(|line| line.split(style.delimiter));
    let header: Vec<&str> = lines.next().unwrap().collect();
    let column = |name: &str| header.iter().position(|cell| *cell == name).unwrap();
    let (bsn, reference) = (column(style.bsn_column), column(style.reference_column));
    let rows = lines.map(|cells| {
        let cells: Vec<&str> = cells.collect();
        let number = Some(cells[bsn])
            .filter(|number| !number.is_empty())
            .map(|number| format!("{number:0>9}"));
        (number, cells[reference].to_owned())
    });
    rows.collect()
}

/// The files under `dir`, those that are not regular (a socket) left out.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.file_type().unwrap().is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    found
}

/// The private keys in PEM: of the authority, the broker and the nodes.
fn private_keys(dir: &Path) -> Vec<PathBuf> {
    let is_pem = |path: &PathBuf| fs::read(path).unwrap().starts_with(b"-----BEGIN PRIVATE KEY");
    let keys: Vec<PathBuf> = files(dir).into_iter().filter(is_pem).collect();
    assert_eq!(keys.len(), 7, "authority, broker, five nodes");
    keys
}

/// The secret part of a P-256 key in PKCS #8: the 32 bytes of the `ECPrivateKey` (RFC 5915 §3), behind its version.
fn scalar(base64: &str) -> Vec<u8> {
    let der = base64::prelude::BASE64_STANDARD.decode(base64).unwrap();
    let before = [0x02, 0x01, 0x01, 0x04, 0x20];
    let at = der.windows(5).position(|bytes| bytes == before).unwrap() + 5;
    der[at..at + 32].to_vec()
}
