//! Why another process could not be reached, by kind of remedy.

use std::error::Error;
use std::io;

use rustls::{AlertDescription, CertificateError, PeerIncompatible};

/// Why there is no connection. Whoever reads the text should know whom to call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The address in the configuration is not `host:port`.
    #[error("not an address of the form host:port")]
    Endpoint,
    /// The server name in the configuration is no DNS name or IP address.
    #[error("not a server name")]
    ServerName,
    /// The machine is there; the program is not, or a firewall answers for it.
    #[error("connection refused: nothing listens there")]
    Refused,
    /// The name is unknown, there is no route, or no answer in time.
    #[error("no connection ({kind})")]
    Unreachable {
        /// What the operating system called it.
        kind: io::ErrorKind,
    },
    /// The server does not accept our client certificate: wrong authority, expired, or blocked.
    #[error("the server refuses our certificate ({})", alert_name(*alert))]
    OurCertificateRefused {
        /// The alert it sent, RFC 8446 §6.2.
        alert: AlertDescription,
    },
    /// The server's certificate is not one for this name by our authority, today.
    #[error("the server's certificate is not valid: {reason}")]
    ServerCertificateInvalid {
        /// In what way.
        reason: &'static str,
    },
    /// The other side does not do X25519MLKEM768.
    #[error("the other side does not support the key exchange X25519MLKEM768")]
    KeyExchange,
    /// The other side speaks something else, or broke off.
    #[error("the other side does not speak the protocol of this network or broke off")]
    Protocol,
}

impl ConnectError {
    /// Stable code for machines.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Endpoint => "endpoint_invalid",
            Self::ServerName => "server_name_invalid",
            Self::Refused => "connection_refused",
            Self::Unreachable { .. } => "unreachable",
            Self::OurCertificateRefused { .. } => "our_certificate_refused",
            Self::ServerCertificateInvalid { .. } => "server_certificate_invalid",
            Self::KeyExchange => "key_exchange",
            Self::Protocol => "protocol",
        }
    }

    /// The text for people, in Dutch.
    pub fn text_nl(&self) -> &'static str {
        match self {
            Self::Endpoint => "geen adres van de vorm host:poort",
            Self::ServerName => "geen geldige servernaam",
            Self::Refused => "verbinding geweigerd: daar draait niets",
            Self::Unreachable { .. } => "geen verbinding: naam onbekend, geen route of geen antwoord",
            Self::OurCertificateRefused { .. } => "de server weigert ons certificaat",
            Self::ServerCertificateInvalid { .. } => "het certificaat van de server is niet geldig",
            Self::KeyExchange => "de andere kant ondersteunt de sleuteluitwisseling X25519MLKEM768 niet",
            Self::Protocol => "de andere kant spreekt dit protocol niet of verbrak de verbinding",
        }
    }

    /// Whether the same attempt can succeed later without anybody changing anything here or there.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Refused | Self::Unreachable { .. } | Self::Protocol)
    }
}

/// The connection problem behind `error`, found by walking its causes: a `tonic::Status`, a
/// `tonic::transport::Error`, an I/O error. `None` if no connection problem is among them, such as for an answer
/// that the server gave.
pub fn classify(error: &(dyn Error + 'static)) -> Option<ConnectError> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<ConnectError>() {
            return Some(found.clone());
        }
        if let Some(found) = error.downcast_ref::<rustls::Error>() {
            return Some(of_tls(found));
        }
        if let Some(found) = error.downcast_ref::<io::Error>() {
            // What an I/O error wraps is not its source(): that skips one.
            match found.get_ref() {
                Some(inner) => {
                    if let Some(found) = classify(inner) {
                        return Some(found);
                    }
                }
                None => return Some(of_io(found.kind())),
            }
        }
        next = error.source();
    }
    None
}

fn of_io(kind: io::ErrorKind) -> ConnectError {
    match kind {
        io::ErrorKind::ConnectionRefused => ConnectError::Refused,
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => ConnectError::Protocol,
        kind => ConnectError::Unreachable { kind },
    }
}

fn of_tls(error: &rustls::Error) -> ConnectError {
    match error {
        rustls::Error::AlertReceived(alert) if is_about_a_certificate(*alert) => {
            ConnectError::OurCertificateRefused { alert: *alert }
        }
        // A server without a common group has no more precise alert, RFC 8446 §4.1.1.
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)
        | rustls::Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon) => ConnectError::KeyExchange,
        rustls::Error::InvalidCertificate(problem) => ConnectError::ServerCertificateInvalid {
            reason: reason(problem),
        },
        rustls::Error::NoCertificatesPresented => ConnectError::ServerCertificateInvalid {
            reason: "it shows none",
        },
        _ => ConnectError::Protocol,
    }
}

fn reason(problem: &CertificateError) -> &'static str {
    use CertificateError as E;

    match problem {
        E::Expired | E::ExpiredContext { .. } => "it is expired",
        E::NotValidYet | E::NotValidYetContext { .. } => "it is not valid yet",
        E::UnknownIssuer => "it is not by our authority",
        E::NotValidForName | E::NotValidForNameContext { .. } => "it is for another name",
        E::Revoked => "it is revoked",
        _ => "it cannot be checked",
    }
}

/// Alerts by which a peer says that it does not accept a certificate (RFC 8446 §6.2). `decrypt_error` is among them:
/// it stands for a signature that does not verify, as with an authority of the right name and another key.
pub(crate) fn is_about_a_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as A;

    matches!(
        alert,
        A::NoCertificate
            | A::BadCertificate
            | A::UnsupportedCertificate
            | A::CertificateRevoked
            | A::CertificateExpired
            | A::CertificateUnknown
            | A::UnknownCA
            | A::AccessDenied
            | A::CertificateRequired
            | A::DecryptError
    )
}

fn alert_name(alert: AlertDescription) -> &'static str {
    alert.as_str().unwrap_or("unknown alert")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(error: rustls::Error) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, error)
    }

    #[test]
    fn errors_are_found_behind_others() {
        let refused = AlertDescription::UnknownCA;
        let cases = [
            (
                io::Error::from(io::ErrorKind::ConnectionRefused),
                "connection_refused",
            ),
            (io::Error::from(io::ErrorKind::HostUnreachable), "unreachable"),
            (io::Error::from(io::ErrorKind::UnexpectedEof), "protocol"),
            (
                wrapped(rustls::Error::AlertReceived(refused)),
                "our_certificate_refused",
            ),
            (
                wrapped(rustls::Error::AlertReceived(AlertDescription::HandshakeFailure)),
                "key_exchange",
            ),
            (
                wrapped(rustls::Error::AlertReceived(AlertDescription::ProtocolVersion)),
                "protocol",
            ),
            (
                wrapped(PeerIncompatible::NoKxGroupsInCommon.into()),
                "key_exchange",
            ),
            (
                wrapped(CertificateError::UnknownIssuer.into()),
                "server_certificate_invalid",
            ),
        ];
        for (error, code) in cases {
            let status = tonic::Status::from_error(Box::new(tonic::ConnectError(Box::new(error))));
            let found = classify(&status).unwrap();
            assert_eq!(found.code(), code, "{found:?}");
            assert!(!found.text_nl().is_empty());
        }
    }

    #[test]
    fn an_answer_of_the_server_is_no_connection_problem() {
        assert_eq!(classify(&tonic::Status::permission_denied("no")), None);
        assert_eq!(classify(&io::Error::other("something")), None);
    }
}
