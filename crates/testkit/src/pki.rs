//! A small certificate authority for tests, demonstrations and trial installations.
//!
//! It issues what `PKIoverheid` would: an organisation's certificate with its OIN in `subject.serialNumber`
//! (OID 2.5.4.5, RFC 5280 §4.1.2.4), for TLS clients, servers or both. Keys are ECDSA P-256, made by aws-lc.
//! Expired and not yet valid certificates can be issued, because refusing them must be tested.
//!
//! A [`TestAuthority`] signs for **test OINs only** (prefix `00000099`): a demonstration's key file lies
//! around, and nobody must be able to become a real organisation with it. In production the certificates come
//! from `PKIoverheid` and this module has no part.

mod files;

use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::string::PrintableString;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType,
};
use zeroize::Zeroizing;

/// Prefix of OINs that belong to nobody (Logius, OIN-Stelsel).
pub const TEST_OIN_PREFIX: &str = "00000099";

/// OID of `serialNumber` in a subject, RFC 5280 §4.1.2.4.
const SERIAL_NUMBER: [u64; 4] = [2, 5, 4, 5];
/// How long a new authority is valid.
const AUTHORITY_DAYS: i64 = 3_650;

/// Test OIN number `n`: `00000099` and twelve digits. Of a larger `n` the last twelve digits.
pub fn test_oin(n: u64) -> String {
    format!("{TEST_OIN_PREFIX}{:012}", n % 1_000_000_000_000)
}

/// Why a certificate was not issued, saved or loaded. No text holds key material.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PkiError {
    /// Not twenty digits with the prefix [`TEST_OIN_PREFIX`].
    #[error("not a test OIN: 20 digits that begin with {TEST_OIN_PREFIX}")]
    NotATestOin,
    /// Ends before it begins, or lies outside the years 1970 to 9999.
    #[error("no such validity: not_before must be earlier than not_after, from 1970 to 9999")]
    Validity,
    /// Not an ASCII host name.
    #[error("name {0} in the list of DNS names is not ASCII")]
    DnsName(usize),
    /// A file name for [`Issued::save`] that is empty or would leave the folder.
    #[error("a certificate's file name is letters, digits, '-', '_' and '.', and does not begin with '.'")]
    FileName,
    /// The key or certificate could not be made.
    #[error("cannot make the certificate")]
    Issue(#[source] rcgen::Error),
    /// A file could not be read or written.
    #[error("cannot read or write {}", path.display())]
    File {
        /// Which file.
        path: std::path::PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Others than the owner can read the key file.
    #[error("{} can be read by others than its owner; make it mode 0600", .0.display())]
    KeyFileOpen(std::path::PathBuf),
    /// The file does not hold what [`TestAuthority::save`] writes, or key and certificate do not belong
    /// together.
    #[error("{} does not hold this authority's certificate or key", .0.display())]
    NotAnAuthority(std::path::PathBuf),
}

/// A private key in PEM (PKCS #8): erased on drop and never printed.
#[derive(Clone)]
pub struct PrivateKeyPem(Zeroizing<String>);

impl PrivateKeyPem {
    /// The only way to the text, so that a search for this name lists every use.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PrivateKeyPem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PrivateKeyPem(REDACTED)")
    }
}

/// What a certificate may be used for (extended key usage, RFC 5280 §4.2.1.12).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateUsage {
    /// To connect: a node towards its broker.
    Client,
    /// To be connected to: a console, an API.
    Server,
    /// Both.
    ClientAndServer,
}

/// What the certificate says.
#[derive(Debug, Clone)]
pub struct IssueOptions {
    /// `O` of the subject: the responsible organisation.
    pub organisation: String,
    /// `CN` of the subject.
    pub common_name: String,
    /// `serialNumber` of the subject: 20 digits with the prefix [`TEST_OIN_PREFIX`]. A partner without is not
    /// recognised; a console's certificate needs none.
    pub oin: Option<String>,
    /// Host names that servers answer to.
    pub dns_names: Vec<String>,
    /// Addresses that servers answer to.
    pub ip_addresses: Vec<IpAddr>,
    /// Begin of validity, to the second.
    pub not_before: Timestamp,
    /// End of validity, to the second.
    pub not_after: Timestamp,
    /// Client, server or both.
    pub usage: CertificateUsage,
}

impl IssueOptions {
    /// A partner's certificate for both directions on the local machine (`localhost`, 127.0.0.1 and `::1`),
    /// valid from an hour before `now` for `days` days.
    pub fn partner(organisation: &str, oin: &str, now: Timestamp, days: u16) -> Self {
        Self {
            organisation: organisation.to_owned(),
            common_name: organisation.to_owned(),
            oin: Some(oin.to_owned()),
            dns_names: vec!["localhost".to_owned()],
            ip_addresses: vec![
                std::net::Ipv4Addr::LOCALHOST.into(),
                std::net::Ipv6Addr::LOCALHOST.into(),
            ],
            not_before: now.saturating_add(SignedDuration::from_hours(-1)).unwrap_or(now),
            not_after: now
                .saturating_add(SignedDuration::from_hours(24 * i64::from(days)))
                .unwrap_or(now),
            usage: CertificateUsage::ClientAndServer,
        }
    }
}

/// A certificate and its key.
#[derive(Debug, Clone)]
pub struct Issued {
    certificate_pem: String,
    key_pem: PrivateKeyPem,
}

impl Issued {
    /// The certificate alone; the authority signs directly, so there is no chain to send along.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Its private key.
    pub fn key_pem(&self) -> &PrivateKeyPem {
        &self.key_pem
    }

    /// Writes `name.pem` and `name.key` (mode 0600) into `dir`, which is created if it is not there. Files of
    /// these names are each replaced in one step, the key first.
    ///
    /// # Errors
    /// [`PkiError::FileName`]; [`PkiError::File`] if something cannot be written.
    pub fn save(&self, dir: &Path, name: &str) -> Result<(), PkiError> {
        files::save(dir, name, &self.certificate_pem, &self.key_pem)
    }
}

/// A self-signed authority with its key.
pub struct TestAuthority {
    common_name: String,
    certificate_pem: String,
    key: Zeroizing<KeyPair>,
}

impl TestAuthority {
    /// Makes a new authority with a new key, valid for ten years from yesterday.
    ///
    /// # Errors
    /// [`PkiError::Issue`] if no key can be made.
    pub fn new(common_name: &str) -> Result<Self, PkiError> {
        let now = Timestamp::now();
        let key = new_key()?;
        let mut params = authority_params(common_name);
        let day = |days: i64| {
            now.checked_add(SignedDuration::from_hours(24 * days))
                .map_err(|_| PkiError::Validity)
        };
        set_validity(&mut params, day(-1)?, day(AUTHORITY_DAYS)?)?;
        let certificate_pem = params.self_signed(&*key).map_err(PkiError::Issue)?.pem();
        Ok(Self {
            common_name: common_name.to_owned(),
            certificate_pem,
            key,
        })
    }

    /// The authority's own certificate: the trust anchor for everybody.
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues a certificate with a new key.
    ///
    /// # Errors
    /// [`PkiError::NotATestOin`], [`PkiError::Validity`] and [`PkiError::DnsName`] for what `options` ask;
    /// [`PkiError::Issue`] if the certificate cannot be made.
    pub fn issue(&self, options: &IssueOptions) -> Result<Issued, PkiError> {
        let mut subject = DistinguishedName::new();
        subject.push(DnType::CountryName, printable("NL")?);
        subject.push(DnType::OrganizationName, options.organisation.as_str());
        subject.push(DnType::CommonName, options.common_name.as_str());
        if let Some(oin) = &options.oin {
            let all_digits = oin.bytes().all(|byte| byte.is_ascii_digit());
            if oin.len() != 20 || !all_digits || !oin.starts_with(TEST_OIN_PREFIX) {
                return Err(PkiError::NotATestOin);
            }
            subject.push(DnType::CustomDnType(SERIAL_NUMBER.into()), printable(oin)?);
        }

        let mut params = CertificateParams::default();
        params.distinguished_name = subject;
        params.subject_alt_names = alternative_names(options)?;
        set_validity(&mut params, options.not_before, options.not_after)?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = match options.usage {
            CertificateUsage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
            CertificateUsage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
            CertificateUsage::ClientAndServer => {
                vec![
                    ExtendedKeyUsagePurpose::ClientAuth,
                    ExtendedKeyUsagePurpose::ServerAuth,
                ]
            }
        };
        params.use_authority_key_identifier_extension = true;

        let key = new_key()?;
        let own_params = authority_params(&self.common_name);
        let issuer = Issuer::from_params(&own_params, &*self.key);
        let certificate_pem = params.signed_by(&*key, &issuer).map_err(PkiError::Issue)?.pem();
        Ok(Issued {
            certificate_pem,
            key_pem: pem_of(&key),
        })
    }

    /// Writes `ca.pem` and `ca.key` (mode 0600) into `dir`, which is created if it is not there.
    ///
    /// # Errors
    /// [`PkiError::File`] if something cannot be written.
    pub fn save(&self, dir: &Path) -> Result<(), PkiError> {
        files::save(dir, files::AUTHORITY, &self.certificate_pem, &pem_of(&self.key))
    }

    /// Reads what [`Self::save`] wrote.
    ///
    /// # Errors
    /// [`PkiError::File`], [`PkiError::KeyFileOpen`] if others can read the key, [`PkiError::NotAnAuthority`]
    /// if the files hold something else or do not belong together.
    pub fn load(dir: &Path) -> Result<Self, PkiError> {
        let files::Loaded {
            common_name,
            certificate_pem,
            key,
        } = files::load_authority(dir)?;
        Ok(Self {
            common_name,
            certificate_pem,
            key,
        })
    }

    /// The authority saved in `dir`, or a new one that is then saved there.
    ///
    /// # Errors
    /// As [`Self::load`] if `dir` has a `ca.pem` or a `ca.key`, else as [`Self::new`] and [`Self::save`].
    pub fn load_or_create(dir: &Path, common_name: &str) -> Result<Self, PkiError> {
        if files::has_authority(dir) {
            return Self::load(dir);
        }
        let authority = Self::new(common_name)?;
        authority.save(dir)?;
        Ok(authority)
    }
}

impl fmt::Debug for TestAuthority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestAuthority")
            .field("common_name", &self.common_name)
            .finish_non_exhaustive()
    }
}

/// Everything about the authority but its validity: what issued certificates repeat of it.
fn authority_params(common_name: &str) -> CertificateParams {
    let mut subject = DistinguishedName::new();
    subject.push(DnType::CommonName, common_name);
    let mut params = CertificateParams::default();
    params.distinguished_name = subject;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn new_key() -> Result<Zeroizing<KeyPair>, PkiError> {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
        .map(Zeroizing::new)
        .map_err(PkiError::Issue)
}

fn pem_of(key: &KeyPair) -> PrivateKeyPem {
    PrivateKeyPem(Zeroizing::new(key.serialize_pem()))
}

fn printable(text: &str) -> Result<DnValue, PkiError> {
    PrintableString::try_from(text)
        .map(DnValue::PrintableString)
        .map_err(PkiError::Issue)
}

fn alternative_names(options: &IssueOptions) -> Result<Vec<SanType>, PkiError> {
    let names = options.dns_names.iter().enumerate().map(|(at, name)| {
        name.as_str()
            .try_into()
            .map(SanType::DnsName)
            .map_err(|_| PkiError::DnsName(at))
    });
    names
        .chain(
            options
                .ip_addresses
                .iter()
                .map(|&address| Ok(SanType::IpAddress(address))),
        )
        .collect()
}

/// Seconds since 1970 are what both libraries agree on.
fn set_validity(
    params: &mut CertificateParams,
    not_before: Timestamp,
    not_after: Timestamp,
) -> Result<(), PkiError> {
    let seconds = |at: Timestamp| u64::try_from(at.as_second()).map_err(|_| PkiError::Validity);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    let (first, last) = (seconds(not_before)?, seconds(not_after)?);
    if first >= last {
        return Err(PkiError::Validity);
    }
    params.not_before = epoch + Duration::from_secs(first);
    params.not_after = epoch + Duration::from_secs(last);
    Ok(())
}

#[cfg(test)]
mod tests;
