use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::{CertificateError, Error, RootCertStore};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use x509_parser::prelude::FromDer;

use super::*;

const DAY: i64 = 86_400;

fn options(now: Timestamp) -> IssueOptions {
    IssueOptions::partner("Gemeente Voorbeeldstad", &test_oin(7), now, 30)
}

fn unix(at: Timestamp) -> UnixTime {
    UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(at.as_second()).unwrap()))
}

fn seconds(seconds: i64) -> SignedDuration {
    SignedDuration::from_secs(seconds)
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

fn roots(authority: &TestAuthority) -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    store.add(der(authority.certificate_pem())).unwrap();
    Arc::new(store)
}

/// As the broker checks who connects.
fn as_client(authority: &TestAuthority, issued: &Issued, at: Timestamp) -> Result<(), Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    WebPkiClientVerifier::builder_with_provider(roots(authority), provider)
        .build()
        .unwrap()
        .verify_client_cert(&der(issued.certificate_pem()), &[], unix(at))
        .map(|_| ())
}

/// As a node checks whom it reached.
fn as_server(authority: &TestAuthority, issued: &Issued, name: &str, at: Timestamp) -> Result<(), Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let name = ServerName::try_from(name.to_owned()).unwrap();
    WebPkiServerVerifier::builder_with_provider(roots(authority), provider)
        .build()
        .unwrap()
        .verify_server_cert(&der(issued.certificate_pem()), &[], &name, &[], unix(at))
        .map(|_| ())
}

#[test]
fn only_its_own_authority_vouches_for_it() {
    let (one, other) = (
        TestAuthority::new("Test one").unwrap(),
        TestAuthority::new("Test two").unwrap(),
    );
    let same_name = TestAuthority::new("Test one").unwrap();
    let now = Timestamp::now();
    let issued = one.issue(&options(now)).unwrap();
    as_client(&one, &issued, now).unwrap();
    for name in ["localhost", "127.0.0.1", "::1"] {
        as_server(&one, &issued, name, now).unwrap();
    }
    assert!(as_server(&one, &issued, "example.org", now).is_err());
    assert!(as_client(&other, &issued, now).is_err());
    assert!(as_client(&same_name, &issued, now).is_err());
}

#[test]
fn validity_is_what_was_asked() {
    let authority = TestAuthority::new("Test").unwrap();
    let now = Timestamp::now();
    let expired = IssueOptions {
        not_before: now - seconds(2 * DAY),
        not_after: now - seconds(DAY),
        ..options(now)
    };
    let early = IssueOptions {
        not_before: now + seconds(DAY),
        not_after: now + seconds(2 * DAY),
        ..options(now)
    };
    let expired = authority.issue(&expired).unwrap();
    let early = authority.issue(&early).unwrap();
    assert!(matches!(
        as_client(&authority, &expired, now),
        Err(Error::InvalidCertificate(CertificateError::ExpiredContext { .. }))
    ));
    assert!(matches!(
        as_client(&authority, &early, now),
        Err(Error::InvalidCertificate(
            CertificateError::NotValidYetContext { .. }
        ))
    ));
    // The same certificates are good at their own time.
    as_client(&authority, &expired, now - seconds(DAY + DAY / 2)).unwrap();
    as_client(&authority, &early, now + seconds(DAY + DAY / 2)).unwrap();
}

#[test]
fn usage_is_what_was_asked() {
    let authority = TestAuthority::new("Test").unwrap();
    let now = Timestamp::now();
    let client = IssueOptions {
        usage: CertificateUsage::Client,
        ..options(now)
    };
    let server = IssueOptions {
        usage: CertificateUsage::Server,
        ..options(now)
    };
    let (client, server) = (
        authority.issue(&client).unwrap(),
        authority.issue(&server).unwrap(),
    );
    as_client(&authority, &client, now).unwrap();
    as_server(&authority, &server, "localhost", now).unwrap();
    assert!(as_server(&authority, &client, "localhost", now).is_err());
    assert!(as_client(&authority, &server, now).is_err());
}

#[test]
fn the_subject_names_organisation_and_oin() {
    let authority = TestAuthority::new("Test").unwrap();
    let issued = authority.issue(&options(Timestamp::now())).unwrap();
    let certificate = der(issued.certificate_pem());
    let (_, certificate) = x509_parser::certificate::X509Certificate::from_der(&certificate).unwrap();
    let subject = certificate.subject();
    assert_eq!(
        subject.to_string(),
        "C=NL, O=Gemeente Voorbeeldstad, CN=Gemeente Voorbeeldstad, serialNumber=00000099000000000007"
    );
    let oin = subject
        .iter_by_oid(&x509_parser::oid_registry::OID_X509_SERIALNUMBER)
        .next()
        .unwrap();
    assert_eq!(oin.attr_value().tag(), x509_parser::asn1_rs::Tag::PrintableString);
    assert!(!certificate.is_ca());

    let without = IssueOptions {
        oin: None,
        ..options(Timestamp::now())
    };
    let without = authority.issue(&without).unwrap();
    assert!(!without.certificate_pem().is_empty());
}

#[test]
fn the_key_belongs_to_the_certificate_and_stays_out_of_debug() {
    let authority = TestAuthority::new("Test").unwrap();
    let issued = authority.issue(&options(Timestamp::now())).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem().expose_secret().as_bytes()).unwrap();
    rustls::ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![der(issued.certificate_pem())], key)
        .unwrap();
    let secret = issued
        .key_pem()
        .expose_secret()
        .lines()
        .nth(1)
        .unwrap()
        .to_owned();
    assert!(!format!("{issued:?} {authority:?}").contains(&secret));
}

#[test]
fn a_saved_authority_signs_on() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("pki");
    let first = TestAuthority::load_or_create(&folder, "Testautoriteit – één").unwrap();
    let again = TestAuthority::load_or_create(&folder, "another name").unwrap();
    assert_eq!(first.certificate_pem(), again.certificate_pem());
    let now = Timestamp::now();
    as_client(&first, &again.issue(&options(now)).unwrap(), now).unwrap();

    let issued = again.issue(&options(now)).unwrap();
    issued.save(&folder, "leerplicht").unwrap();
    issued.save(&folder, "leerplicht").unwrap();
    for name in ["ca.key", "leerplicht.key"] {
        let mode = std::fs::metadata(folder.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(
        std::fs::read_to_string(folder.join("leerplicht.pem")).unwrap(),
        issued.certificate_pem()
    );
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(
        names,
        ["ca.key", "ca.pem", "leerplicht.key", "leerplicht.pem"],
        "and nothing half-written"
    );
}

#[test]
fn a_damaged_or_open_authority_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let authority = TestAuthority::new("Test").unwrap();
    let key = dir.path().join("ca.key");
    assert!(matches!(
        TestAuthority::load(dir.path()),
        Err(PkiError::File { .. })
    ));

    authority.save(dir.path()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o640)).unwrap();
    assert!(matches!(
        TestAuthority::load(dir.path()),
        Err(PkiError::KeyFileOpen(_))
    ));

    // The certificate of one authority with the key of another.
    authority.save(dir.path()).unwrap();
    let certificate = std::fs::read(dir.path().join("ca.pem")).unwrap();
    TestAuthority::new("Test").unwrap().save(dir.path()).unwrap();
    std::fs::write(dir.path().join("ca.pem"), certificate).unwrap();
    assert!(matches!(
        TestAuthority::load(dir.path()),
        Err(PkiError::NotAnAuthority(_))
    ));

    // A partner's certificate is not an authority.
    let issued = authority.issue(&options(Timestamp::now())).unwrap();
    issued.save(dir.path(), "ca").unwrap();
    assert!(matches!(
        TestAuthority::load(dir.path()),
        Err(PkiError::NotAnAuthority(_))
    ));

    // Half an authority is not replaced by a new one.
    std::fs::remove_file(&key).unwrap();
    assert!(matches!(
        TestAuthority::load_or_create(dir.path(), "Test"),
        Err(PkiError::File { .. })
    ));
}

#[test]
fn what_cannot_be_issued_is_refused() {
    let authority = TestAuthority::new("Test").unwrap();
    let now = Timestamp::now();
    for oin in [
        "00000001123456789000",
        "0000009900000000000",
        "000000990000000000001",
        "0000009900000000000x",
        "",
    ] {
        let wrong = IssueOptions {
            oin: Some(oin.to_owned()),
            ..options(now)
        };
        assert!(
            matches!(authority.issue(&wrong), Err(PkiError::NotATestOin)),
            "{oin}"
        );
    }
    for (not_before, not_after) in [
        (now, now),
        (now, now - seconds(1)),
        (Timestamp::from_second(-1).unwrap(), now),
    ] {
        let wrong = IssueOptions {
            not_before,
            not_after,
            ..options(now)
        };
        assert!(matches!(authority.issue(&wrong), Err(PkiError::Validity)));
    }
    let wrong = IssueOptions {
        dns_names: vec!["ok".into(), "café".into()],
        ..options(now)
    };
    assert!(matches!(authority.issue(&wrong), Err(PkiError::DnsName(1))));

    let issued = authority.issue(&options(now)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    for name in ["", "../x", "a/b", ".hidden", "é"] {
        assert!(
            matches!(issued.save(dir.path(), name), Err(PkiError::FileName)),
            "{name}"
        );
    }
}

#[test]
fn test_oins_are_twenty_digits() {
    assert_eq!(test_oin(1), "00000099000000000001");
    assert_eq!(test_oin(u64::MAX).len(), 20);
}
