//! What this system reads from a certificate: whose it is, and from when until when.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use x509_parser::oid_registry::OID_X509_SERIALNUMBER;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Length of an OIN: 20 characters (Logius, OIN-Stelsel).
const OIN_LENGTH: usize = 20;

/// Facts about a certificate. They are what it *says*: the TLS handshake has proved that an authority stands for
/// them, this module has not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Organisatie-identificatienummer from `subject.serialNumber`: 20 ASCII letters and digits.
    pub oin: String,
    /// Begin of its validity.
    pub not_before: Timestamp,
    /// End of its validity, inclusive (RFC 5280 §4.1.2.5).
    pub not_after: Timestamp,
    /// SHA-256 of the DER `SubjectPublicKeyInfo`, so that a renewal with the same key keeps it.
    pub public_key_sha256: [u8; 32],
}

/// Why a certificate does not name an organisation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// No X.509 certificate in DER, or dates outside the calendar.
    #[error("not a readable X.509 certificate")]
    Malformed,
    /// `subject.serialNumber` is missing.
    #[error("the certificate has no subject.serialNumber and so names no OIN")]
    NoOin,
    /// `subject.serialNumber` stands there more than once: which one counts is anybody's guess.
    #[error("the certificate has more than one subject.serialNumber")]
    SeveralOins,
    /// `subject.serialNumber` is not 20 ASCII letters and digits.
    #[error("subject.serialNumber of the certificate is no OIN (20 letters and digits)")]
    NotAnOin,
}

/// Reads what this system needs from a certificate in DER, such as the first of `Request::peer_certs()`.
///
/// # Errors
/// [`CertificateError`]: not a certificate, or not exactly one OIN (attribute 2.5.4.5 of the subject).
pub fn certificate_facts(der: &[u8]) -> Result<CertificateFacts, CertificateError> {
    let certificate = parse(der)?;
    let (not_before, not_after) = dates(&certificate)?;
    let mut serials = certificate.subject().iter_by_oid(&OID_X509_SERIALNUMBER);
    let serial = serials.next().ok_or(CertificateError::NoOin)?;
    if serials.next().is_some() {
        return Err(CertificateError::SeveralOins);
    }
    let oin = serial.as_str().map_err(|_| CertificateError::NotAnOin)?;
    if oin.len() != OIN_LENGTH || !oin.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(CertificateError::NotAnOin);
    }
    Ok(CertificateFacts {
        oin: oin.to_owned(),
        not_before,
        not_after,
        public_key_sha256: Sha256::digest(certificate.public_key().raw).into(),
    })
}

/// Begin and end of a certificate that need not name an OIN, such as the broker's own.
pub(crate) fn validity(der: &[u8]) -> Result<(Timestamp, Timestamp), CertificateError> {
    dates(&parse(der)?)
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, CertificateError> {
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(CertificateError::Malformed),
    }
}

fn dates(certificate: &X509Certificate<'_>) -> Result<(Timestamp, Timestamp), CertificateError> {
    let at = |seconds| Timestamp::from_second(seconds).map_err(|_| CertificateError::Malformed);
    let validity = certificate.validity();
    Ok((
        at(validity.not_before.timestamp())?,
        at(validity.not_after.timestamp())?,
    ))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, CustomExtension, DistinguishedName, DnType, KeyPair, date_time_ymd};

    use super::*;

    const OIN: &str = "00000099123456789000";

    fn certificate(serials: &[&str]) -> (Vec<u8>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.not_before = date_time_ymd(2026, 1, 1);
        params.not_after = date_time_ymd(2027, 1, 1);
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "leerplicht");
        for serial in serials {
            params
                .distinguished_name
                .push(DnType::CustomDnType(vec![2, 5, 4, 5]), *serial);
        }
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 99], vec![5, 0])];
        (params.self_signed(&key).unwrap().der().to_vec(), key)
    }

    #[test]
    fn the_facts_of_a_certificate() {
        let (der, key) = certificate(&[OIN]);
        let facts = certificate_facts(&der).unwrap();
        assert_eq!(facts.oin, OIN);
        assert_eq!(facts.not_before.to_string(), "2026-01-01T00:00:00Z");
        assert_eq!(facts.not_after.to_string(), "2027-01-01T00:00:00Z");
        let public_key = rcgen::PublicKeyData::subject_public_key_info(&key);
        assert_eq!(
            facts.public_key_sha256,
            <[u8; 32]>::from(Sha256::digest(public_key))
        );
        assert_eq!(validity(&der).unwrap(), (facts.not_before, facts.not_after));
    }

    #[test]
    fn exactly_one_oin_of_twenty_letters_and_digits() {
        for (serials, expected) in [
            (&[][..], CertificateError::NoOin),
            (&["0000009912345678900"], CertificateError::NotAnOin),
            (&["000000991234567890000"], CertificateError::NotAnOin),
            (&["0000009912345678900-"], CertificateError::NotAnOin),
            (&["0000009912345678é00"], CertificateError::NotAnOin),
        ] {
            assert_eq!(
                certificate_facts(&certificate(serials).0),
                Err(expected),
                "{serials:?}"
            );
        }
        assert!(certificate_facts(&certificate(&["NTRNL012345678901234"]).0).is_ok());
    }

    #[test]
    fn what_is_no_certificate_is_refused() {
        let (mut der, _) = certificate(&[OIN]);
        der.push(0);
        assert_eq!(
            certificate_facts(&der),
            Err(CertificateError::Malformed),
            "trailing byte"
        );
        assert_eq!(
            certificate_facts(&der[..100]),
            Err(CertificateError::Malformed),
            "cut"
        );
        assert_eq!(certificate_facts(b""), Err(CertificateError::Malformed), "empty");
    }
}
