//! Which numbers belong in which deployment.

use hitmachine_pseudonym::DeploymentKind;

use crate::BsnError;

/// Beginnings of test numbers where nothing else is configured: 9,091 and 9,090 valid BSNs.
///
/// Public sources disagree about the ranges, hence configuration: iWmo and iJw use 9999, others 0000.
pub const DEFAULT_TEST_PREFIXES: [&str; 2] = ["9999", "0000"];

/// Keeps real and made-up persons apart: production refuses test numbers, test and demo refuse
/// everything else.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    kind: DeploymentKind,
    test_prefixes: Vec<String>,
}

impl Admission {
    /// A deployment of `kind` in which BSNs that begin with one of `test_prefixes` are test numbers.
    ///
    /// # Errors
    /// [`AdmissionError`] for an empty list, which would let test numbers into production, and for a
    /// prefix that is not 1 to 9 digits, which could never match.
    pub fn new(kind: DeploymentKind, test_prefixes: Vec<String>) -> Result<Self, AdmissionError> {
        if test_prefixes.is_empty() {
            return Err(AdmissionError::NoPrefixes);
        }
        let is_prefix =
            |text: &String| matches!(text.len(), 1..=9) && text.bytes().all(|b| b.is_ascii_digit());
        match test_prefixes.iter().position(|text| !is_prefix(text)) {
            Some(at) => Err(AdmissionError::Prefix { position: at + 1 }),
            None => Ok(Self { kind, test_prefixes }),
        }
    }

    /// With [`DEFAULT_TEST_PREFIXES`].
    pub fn with_default_prefixes(kind: DeploymentKind) -> Self {
        Self {
            kind,
            test_prefixes: DEFAULT_TEST_PREFIXES.map(String::from).to_vec(),
        }
    }

    /// The kind of deployment.
    pub fn kind(&self) -> DeploymentKind {
        self.kind
    }

    /// Beginnings of test numbers, as configured.
    pub fn test_prefixes(&self) -> &[String] {
        &self.test_prefixes
    }

    /// Whether a valid BSN (9 digits) may be used here.
    pub(crate) fn admit(&self, digits: &[u8; 9]) -> Result<(), BsnError> {
        let is_test = self
            .test_prefixes
            .iter()
            .any(|prefix| digits.starts_with(prefix.as_bytes()));
        match (self.kind, is_test) {
            (DeploymentKind::Production, true) => Err(BsnError::TestRange),
            (DeploymentKind::Test | DeploymentKind::Demo, false) => Err(BsnError::NotTestRange),
            (DeploymentKind::Production, false) | (DeploymentKind::Test | DeploymentKind::Demo, true) => {
                Ok(())
            }
        }
    }
}

/// A mistake in the configured test ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AdmissionError {
    /// Not even one prefix.
    #[error("no test prefixes: production could not tell test numbers from real ones")]
    NoPrefixes,
    /// One of them is not a prefix of a BSN.
    #[error("test prefix {position} is not 1 to 9 digits")]
    Prefix {
        /// Place in the list, from 1.
        position: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_are_digits_and_there_is_one() {
        let new = |prefixes: &[&str]| {
            Admission::new(
                DeploymentKind::Test,
                prefixes.iter().map(ToString::to_string).collect(),
            )
        };
        assert_eq!(new(&[]), Err(AdmissionError::NoPrefixes));
        for bad in ["", "99x", " 9999", "1234567890", "９９"] {
            assert_eq!(
                new(&["9999", bad]),
                Err(AdmissionError::Prefix { position: 2 }),
                "{bad:?}"
            );
        }
        let default = Admission::with_default_prefixes(DeploymentKind::Test);
        assert_eq!(new(&DEFAULT_TEST_PREFIXES), Ok(default));
    }
}
