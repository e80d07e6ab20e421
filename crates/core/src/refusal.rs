//! Why a question is not answered, with a stable code and a text in two languages.

/// Why a question is not answered. Logged like any other, and told to who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The certificate's OIN is not a partner of the covenant.
    #[error("this organisation is not a partner of the covenant")]
    UnknownPartner,
    /// The certificate's key is not one that the covenant pins for this partner.
    #[error("the covenant does not accept this certificate's key for this organisation")]
    KeyNotPinned,
    /// Ended or not begun.
    #[error("the covenant is not in force today")]
    CovenantNotInForce,
    /// The asking node knows another version of the covenant.
    #[error("the covenant has changed; fetch it and ask again")]
    CovenantChanged,
    /// No such purpose.
    #[error("the covenant has no such purpose")]
    UnknownPurpose,
    /// The purpose is not for this partner.
    #[error("the covenant does not let this organisation ask for this purpose")]
    PurposeNotGranted,
    /// The purpose is not for this role.
    #[error("the covenant does not let this role ask for this purpose")]
    RoleNotGranted,
    /// More persons than the household cap.
    #[error("more persons in one question than the covenant allows for this purpose")]
    TooManySubjects,
    /// Tokens of a key epoch that is not in use.
    #[error("the pseudonyms belong to another key epoch than the one in use")]
    WrongEpoch,
    /// The hub's clock is behind times it has already logged; nothing can be said about expiry.
    #[error("the hub's clock cannot be trusted at this moment")]
    ClockBehind,
    /// No signature by one of the partner's keys.
    #[error("the question is not signed with a key that the covenant pins for this organisation")]
    NotSigned,
    /// The log is not this organisation's, or not this role's, to review.
    #[error("the covenant does not let this organisation and role review the log")]
    NotAnOfficer,
    /// The term of what is to be erased has not ended.
    #[error("the term of what is to be erased has not ended")]
    TermNotEnded,
    /// A quota is used up.
    #[error("a quota of the covenant is used up; it fits again later")]
    OverQuota {
        /// After how many milliseconds the question fits, if nobody else takes from the same quotas before.
        retry_after_ms: u64,
    },
    /// More persons than a full quota holds: it never fits.
    #[error("more persons in one question than a quota of the covenant ever allows")]
    OverQuotaSize,
    /// Who asks, or the whole partner, was stopped: it seemed to try numbers.
    #[error("questions were stopped until a privacy officer allows them again")]
    Suspended,
    /// The officer named an alarm or a stop that is not there.
    #[error("there is no such alarm, or nobody of that name is stopped")]
    NoSuchAlarm,
    /// Another question of this organisation has this name.
    #[error("another question of this organisation has the same request id")]
    RequestIdUsed,
    /// A field of the question is missing or wrong.
    #[error("the question is not well-formed: {0}")]
    Malformed(&'static str),
}

impl Refusal {
    /// Stable code for machines and for the log.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownPartner => "unknown_partner",
            Self::KeyNotPinned => "key_not_pinned",
            Self::CovenantNotInForce => "covenant_not_in_force",
            Self::CovenantChanged => "covenant_changed",
            Self::UnknownPurpose => "unknown_purpose",
            Self::PurposeNotGranted => "purpose_not_granted",
            Self::RoleNotGranted => "role_not_granted",
            Self::TooManySubjects => "too_many_subjects",
            Self::WrongEpoch => "wrong_epoch",
            Self::ClockBehind => "clock_behind",
            Self::NotSigned => "not_signed",
            Self::NotAnOfficer => "not_an_officer",
            Self::TermNotEnded => "term_not_ended",
            Self::OverQuota { .. } => "over_quota",
            Self::OverQuotaSize => "over_quota_size",
            Self::Suspended => "suspended",
            Self::NoSuchAlarm => "no_such_alarm",
            Self::RequestIdUsed => "request_id_used",
            Self::Malformed(field) => field,
        }
    }

    /// After how many milliseconds the same question may fit, if time is all that it takes.
    pub fn retry_after_ms(self) -> Option<u64> {
        match self {
            Self::OverQuota { retry_after_ms } => Some(retry_after_ms),
            _ => None,
        }
    }

    /// The refusal of a question with this code, if the code says all of it; none for fields that are wrong.
    pub fn from_code(code: &str) -> Option<Self> {
        [
            Self::UnknownPartner,
            Self::KeyNotPinned,
            Self::CovenantNotInForce,
            Self::CovenantChanged,
            Self::UnknownPurpose,
            Self::PurposeNotGranted,
            Self::RoleNotGranted,
            Self::TooManySubjects,
            Self::WrongEpoch,
            Self::ClockBehind,
            Self::NotSigned,
            Self::RequestIdUsed,
        ]
        .into_iter()
        .find(|refusal| refusal.code() == code)
    }

    /// Dutch text for people (B1).
    pub fn text_nl(code: &str) -> &'static str {
        match code {
            "unknown_partner" => "Deze instantie staat niet in het convenant.",
            "key_not_pinned" => "Het convenant accepteert dit certificaat niet voor deze instantie.",
            "covenant_not_in_force" => "Het convenant is vandaag niet geldig.",
            "covenant_changed" => "Het convenant is gewijzigd. Haal het op en stel de vraag opnieuw.",
            "unknown_purpose" => "Dit doel staat niet in het convenant.",
            "purpose_not_granted" => "Deze instantie mag voor dit doel geen vragen stellen.",
            "role_not_granted" => "Met deze rol mag u voor dit doel geen vragen stellen.",
            "too_many_subjects" => "Te veel personen in één vraag voor dit doel.",
            "wrong_epoch" => "De sleutel van deze vraag hoort bij een andere periode.",
            "clock_behind" => "De klok van het knooppunt loopt niet goed. Probeer het later opnieuw.",
            "not_signed" => "De vraag is niet ondertekend met een sleutel die in het convenant staat.",
            "not_an_officer" => "Met deze rol mag u het logboek niet inzien.",
            "term_not_ended" => "De bewaartermijn is nog niet voorbij. Er is niets gewist.",
            "over_quota" => "Er zijn nu te veel vragen gesteld. U kunt het later opnieuw proberen.",
            "over_quota_size" => {
                "Deze vraag gaat over meer personen dan het convenant in één keer toestaat. Splits de vraag."
            }
            "suspended" => {
                "Er worden geen vragen meer beantwoord: bijna niemand was bekend. De privacyfunctionaris moet dit eerst nagaan."
            }
            "no_such_alarm" => "Dit alarm is er niet, of er is niemand met deze naam gestopt.",
            "request_id_used" => "Een andere vraag had al hetzelfde nummer. Stel de vraag opnieuw.",
            "case_reference_missing" => "Er is geen zaaknummer ingevuld.",
            "case_reference_too_long" => "Het zaaknummer is te lang.",
            _ => "De vraag is niet goed ingevuld.",
        }
    }

    /// English text for people.
    pub fn text_en(code: &str) -> &'static str {
        match code {
            "unknown_partner" => "This organisation is not a partner of the covenant.",
            "key_not_pinned" => "The covenant does not accept this certificate for this organisation.",
            "covenant_not_in_force" => "The covenant is not in force today.",
            "covenant_changed" => "The covenant has changed. Fetch it and ask again.",
            "unknown_purpose" => "The covenant has no such purpose.",
            "purpose_not_granted" => "This organisation may not ask for this purpose.",
            "role_not_granted" => "This role may not ask for this purpose.",
            "too_many_subjects" => "Too many persons in one question for this purpose.",
            "wrong_epoch" => "The key of this question belongs to another period.",
            "clock_behind" => "The hub's clock cannot be trusted. Try again later.",
            "not_signed" => "The question is not signed with a key that the covenant names.",
            "not_an_officer" => "This role may not review the log.",
            "term_not_ended" => "The retention term has not ended. Nothing was erased.",
            "over_quota" => "Too many questions were asked. You can try again later.",
            "over_quota_size" => {
                "This question is about more persons than the covenant ever allows at once. Split it."
            }
            "suspended" => {
                "No more questions are answered: hardly anybody was known. The privacy officer must look at this first."
            }
            "no_such_alarm" => "There is no such alarm, or nobody of that name is stopped.",
            "request_id_used" => "Another question had the same number. Ask again.",
            "case_reference_missing" => "There is no case reference.",
            "case_reference_too_long" => "The case reference is too long.",
            _ => "The question is not well-formed.",
        }
    }
}
