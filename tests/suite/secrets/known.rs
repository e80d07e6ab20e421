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

use crate::needles::{ALL, Form, Kind, Needles};
use crate::programs::Printed;

/// Everything secret about a deployment.
pub(crate) struct Secrets {
    pub(crate) needles: Needles,
    pub(crate) bsns: BTreeSet<String>,
    pub(crate) tokens: Vec<Vec<u8>>,
    pub(crate) tags: Vec<Vec<u8>>,
    pub(crate) keys: Vec<Vec<u8>>,
    pub(crate) pem_lines: Vec<String>,
    pub(crate) references: Vec<String>,
}

pub(crate) fn read_key(path: &Path, purpose: Purpose) -> [u8; 32] {
    *SecretFile::read(path, purpose).unwrap().1
}

impl Secrets {
    pub(crate) fn of(deployment: &Deployment) -> Self {
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

        let covenant = Covenant::parse(&fs::read(deployment.covenant()).unwrap()).unwrap();
        let id = covenant.deployment().id;
        let files = key_files(deployment);
        let node_key = NodeKey::from_bytes(read_key(&files["leerplicht/node-key"], Purpose::NodeKey));
        let pseudonymiser = HmacSha256Pseudonymiser::new(node_key, id, KeyEpoch::FIRST);
        let pepper = Pepper::from_bytes(read_key(&files["pepper"], Purpose::Pepper));
        let tags = TagKeys::derive(&pepper, &id, KeyEpoch::FIRST, Scheme::HmacSha256);
        for bsn in &secrets.bsns {
            let token =
                pseudonymiser.token(&CanonicalIdentifier::new(IdentifierType::Bsn, bsn.as_bytes()).unwrap());
            secrets
                .tags
                .push(tags.tag(IdentifierType::Bsn, &token).as_bytes().to_vec());
            secrets.tokens.push(token.expose_secret().to_vec());
        }
        // The line of a key file is its purpose, its number and the key.
        for path in files.values() {
            let line = fs::read_to_string(path).unwrap();
            secrets
                .keys
                .push(hex::decode(line.split_whitespace().next_back().unwrap()).unwrap());
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

    pub(crate) fn prepare(&mut self) {
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
    pub(crate) fn leaks(&self, printed: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
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

    pub(crate) fn check_printed(&self, printed: &Printed) {
        let leaks = self.leaks(&printed.0);
        assert!(
            leaks.is_empty(),
            "secrets in what was printed:\n{}",
            leaks.join("\n")
        );
    }

    /// Fails if anything of these kinds is in a file under `dir`; how many bytes were looked through.
    pub(crate) fn check_files(&self, dir: &Path, kinds: &[Kind]) -> usize {
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
pub(crate) fn rows(path: &Path, style: &SourceStyle) -> Vec<(Option<String>, String)> {
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
pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
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
pub(crate) fn private_keys(dir: &Path) -> Vec<PathBuf> {
    let is_pem = |path: &PathBuf| fs::read(path).unwrap().starts_with(b"-----BEGIN PRIVATE KEY");
    let keys: Vec<PathBuf> = files(dir).into_iter().filter(is_pem).collect();
    assert_eq!(keys.len(), 7, "authority, broker, five nodes");
    keys
}

/// The secret part of a P-256 key in PKCS #8: the 32 bytes of the `ECPrivateKey` (RFC 5915 §3), behind its version.
pub(crate) fn scalar(base64: &str) -> Vec<u8> {
    let der = base64::prelude::BASE64_STANDARD.decode(base64).unwrap();
    let before = [0x02, 0x01, 0x01, 0x04, 0x20];
    let at = der.windows(5).position(|bytes| bytes == before).unwrap() + 5;
    der[at..at + 32].to_vec()
}
