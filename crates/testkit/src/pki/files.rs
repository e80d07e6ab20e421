//! Certificates and keys on disk. A key file is never readable by others, not even for a moment.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::parse_x509_pem;
use zeroize::Zeroizing;

use super::{PkiError, PrivateKeyPem};

/// Name of the authority's own files, without ending.
pub(super) const AUTHORITY: &str = "ca";

/// What is needed to sign again.
pub(super) struct Loaded {
    pub(super) common_name: String,
    pub(super) certificate_pem: String,
    pub(super) key: Zeroizing<KeyPair>,
}

/// Writes `name.key` and `name.pem`.
pub(super) fn save(dir: &Path, name: &str, certificate: &str, key: &PrivateKeyPem) -> Result<(), PkiError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(plain) {
        return Err(PkiError::FileName);
    }
    fs::create_dir_all(dir).map_err(|source| PkiError::File {
        path: dir.to_owned(),
        source,
    })?;
    replace(dir, &format!("{name}.key"), key.expose_secret(), 0o600)?;
    replace(dir, &format!("{name}.pem"), certificate, 0o644)
}

/// Reads and checks `ca.pem` and `ca.key`.
pub(super) fn load_authority(dir: &Path) -> Result<Loaded, PkiError> {
    let (certificate_path, key_path) = authority_paths(dir);
    let certificate_pem = fs::read_to_string(&certificate_path).map_err(|source| PkiError::File {
        path: certificate_path.clone(),
        source,
    })?;
    let key_pem = read_key(&key_path)?;
    let key = KeyPair::from_pkcs8_pem_and_sign_algo(&key_pem, &PKCS_ECDSA_P256_SHA256)
        .map(Zeroizing::new)
        .map_err(|_| PkiError::NotAnAuthority(key_path))?;
    let common_name =
        authority_name(&certificate_pem, &key).ok_or(PkiError::NotAnAuthority(certificate_path))?;
    Ok(Loaded {
        common_name,
        certificate_pem,
        key,
    })
}

/// Whether any of the authority's files is there. Half an authority is one too: making a new one over it
/// would hide the loss.
pub(super) fn has_authority(dir: &Path) -> bool {
    let (certificate, key) = authority_paths(dir);
    certificate.exists() || key.exists()
}

fn authority_paths(dir: &Path) -> (PathBuf, PathBuf) {
    (
        dir.join(format!("{AUTHORITY}.pem")),
        dir.join(format!("{AUTHORITY}.key")),
    )
}

/// The common name, if this is a certificate as [`super::TestAuthority::new`] makes it, of this key.
fn authority_name(certificate_pem: &str, key: &KeyPair) -> Option<String> {
    let (_, pem) = parse_x509_pem(certificate_pem.as_bytes()).ok()?;
    let certificate: X509Certificate<'_> = pem.parse_x509().ok()?;
    if !certificate.is_ca() || certificate.public_key().raw != key.subject_public_key_info() {
        return None;
    }
    // Issued certificates repeat the subject byte by byte, so it must be what `authority_params` writes.
    let mut attributes = certificate.subject().iter_attributes();
    let name = attributes.next()?;
    let is_common_name = *name.attr_type() == x509_parser::oid_registry::OID_X509_COMMON_NAME;
    if !is_common_name || attributes.next().is_some() {
        return None;
    }
    name.as_str().ok().map(str::to_owned)
}

fn read_key(path: &Path) -> Result<Zeroizing<String>, PkiError> {
    let failed = |source| PkiError::File {
        path: path.to_owned(),
        source,
    };
    let mut file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        return Err(PkiError::KeyFileOpen(path.to_owned()));
    }
    // Room for the whole text at once: growing would leave copies of the key behind.
    let size = usize::try_from(metadata.len()).unwrap_or_default();
    let mut text = Zeroizing::new(String::with_capacity(size + 1));
    file.read_to_string(&mut text).map_err(failed)?;
    Ok(text)
}

/// Puts `text` at `dir/name` in one step: a reader sees the old file or the new one, whole.
fn replace(dir: &Path, name: &str, text: &str, mode: u32) -> Result<(), PkiError> {
    let path = dir.join(name);
    let write = || {
        let fresh = dir.join(format!(".{name}.new"));
        match fs::remove_file(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // `create_new`, because an existing file would keep its mode.
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&fresh)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &path)?;
        File::open(dir)?.sync_all()
    };
    write().map_err(|source| PkiError::File {
        path: path.clone(),
        source,
    })
}
