//! The alarms that there are: what each is called, in words, whose business it is, and what to do.
//!
//! Alarms about the log itself are for every partner: they are how a hub that lies is found. What a partner or one of
//! its people does is not every partner's business: those alarms go to the nodes of privacy officers only. That
//! something does not work goes to them and to the partner that it is about. All of them are public control entries,
//! which anybody who reads the log can count; none holds the name of a user, a case or a person.

use crate::covenant::Covenant;
use crate::ids::PartnerId;

/// Whose business an alarm is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Every partner's.
    Everybody,
    /// That of partners with a privacy officer, and of the partner it is about.
    Concerned,
    /// That of partners with a privacy officer.
    Officers,
}

/// One kind of alarm.
#[derive(Clone, Copy, Debug)]
pub struct AlarmKind {
    /// Stable code.
    pub code: &'static str,
    /// Whose business it is.
    pub audience: Audience,
    nl: (&'static str, &'static str),
    en: (&'static str, &'static str),
}

const ASK_OPERATOR: (&str, &str) = (
    "Neem contact op met de beheerder van het knooppunt. Gebruik het knooppunt niet tot dit is uitgezocht.",
    "Contact whoever runs the hub. Do not use the hub until this is cleared up.",
);

/// All of them.
const KINDS: [AlarmKind; 17] = [
    log(
        "fork_proven",
        "bewezen: het knooppunt heeft twee verschillende logboeken ondertekend",
        "proven: the hub signed two different logs",
    ),
    log(
        "log_not_continued",
        "het logboek van het knooppunt sluit niet aan op wat eerder is gezien",
        "the hub's log does not continue what was seen before",
    ),
    log(
        "receipt_refused",
        "een bewijs van vastlegging klopte niet",
        "a proof of logging did not hold",
    ),
    log(
        "log_incomplete",
        "in het logboek ontbreekt een regel die niet is gewist",
        "an entry of the log is missing and was not erased",
    ),
    log(
        "index_stopped",
        "de zoekindex van het logboek loopt niet meer mee",
        "the search index of the log does not follow any more",
    ),
    log(
        "live_question_refused",
        "het knooppunt stuurde een vraag door die niet klopt; er is niet op geantwoord",
        "the hub forwarded a question that does not hold; it was not answered",
    ),
    log(
        "notices_stopped",
        "het knooppunt kan geen hitberichten klaarzetten",
        "the hub cannot queue hit notices",
    ),
    log(
        "notices_incomplete",
        "van een onleesbare logregel kon geen hitbericht worden gemaakt",
        "no hit notice could be made of an entry that cannot be read",
    ),
    log("reported", "gemeld door een partner", "reported by a partner"),
    AlarmKind {
        code: "enumeration",
        audience: Audience::Officers,
        nl: (
            "er lijken nummers te worden geprobeerd: bijna niemand was bekend; er worden geen vragen meer beantwoord",
            "Ga na wie dit was en waarom. Is het in orde, maak de vragen dan weer mogelijk: hitmachine-node audit lift.",
        ),
        en: (
            "numbers seem to be tried: hardly anybody was known; no more questions are answered",
            "Find out who this was and why. If it is in order, allow questions again: hitmachine-node audit lift.",
        ),
    },
    AlarmKind {
        code: "unusual_volume",
        audience: Audience::Officers,
        nl: (
            "veel meer vragen dan anders op één dag",
            "Ga na of hier een reden voor is, zoals een nieuwe lijst.",
        ),
        en: (
            "many more questions than usual in one day",
            "Find out whether there is a reason, such as a new list.",
        ),
    },
    AlarmKind {
        code: "unusual_hours",
        audience: Audience::Officers,
        nl: (
            "vragen buiten de gewone tijden",
            "Ga na of hier een reden voor is, zoals een piketdienst.",
        ),
        en: (
            "questions outside the usual hours",
            "Find out whether there is a reason, such as a night duty.",
        ),
    },
    AlarmKind {
        code: "stale_partner",
        audience: Audience::Concerned,
        nl: (
            "deze instantie is te lang niet bijgewerkt of niet bereikbaar, en kan niet worden bevraagd",
            "Vraag de beheerder van deze instantie het knooppunt en de bron na te kijken.",
        ),
        en: (
            "this organisation was not refreshed or not reachable for too long, and cannot be asked",
            "Have this organisation's administrator look at its node and its source.",
        ),
    },
    AlarmKind {
        code: "wrong_key",
        audience: Audience::Concerned,
        nl: (
            "deze instantie gebruikt een verkeerde sleutel; haar registraties zijn geweigerd",
            "Laat de sleutel van deze instantie nakijken: het controlegetal moet overal gelijk zijn.",
        ),
        en: (
            "this organisation uses a wrong key; its registrations were refused",
            "Have this organisation's key checked: the check value must be the same everywhere.",
        ),
    },
    AlarmKind {
        code: "canary_miss",
        audience: Audience::Concerned,
        nl: (
            "een proefpersoon die bekend moet zijn, werd niet gevonden",
            "Vertrouw \u{201c}niet bekend\u{201d} van deze instantie niet. Laat sleutel en bron nakijken.",
        ),
        en: (
            "a test person who must be known was not found",
            "Do not rely on \u{201c}not known\u{201d} from this organisation. Have key and source checked.",
        ),
    },
    AlarmKind {
        code: "notice_not_fetched",
        audience: Audience::Concerned,
        nl: (
            "hitberichten voor deze instantie zijn te lang niet opgehaald",
            "Vraag deze instantie haar berichten op te halen.",
        ),
        en: (
            "hit notices for this organisation were not fetched for too long",
            "Ask this organisation to fetch its notices.",
        ),
    },
    AlarmKind {
        code: "unknown",
        audience: Audience::Everybody,
        nl: (
            "een melding die dit programma niet kent",
            "Werk dit programma bij.",
        ),
        en: ("an alarm that this program does not know", "Update this program."),
    },
];

const fn log(code: &'static str, nl: &'static str, en: &'static str) -> AlarmKind {
    AlarmKind {
        code,
        audience: Audience::Everybody,
        nl: (nl, ASK_OPERATOR.0),
        en: (en, ASK_OPERATOR.1),
    }
}

impl AlarmKind {
    /// The kind with this code; one that is not known is everybody's business.
    pub fn of(code: &str) -> &'static Self {
        let mut kinds = KINDS.iter();
        kinds.find(|kind| kind.code == code).unwrap_or(&KINDS[16])
    }

    /// Whether its partner is the one that it is about, not one that reported it.
    pub fn is_about_a_partner(&self) -> bool {
        self.audience != Audience::Everybody
    }

    /// Whether a partner's node is told of it, if it is about `about`.
    pub fn is_for(&self, covenant: &Covenant, about: &str, partner: &PartnerId) -> bool {
        let officer = || {
            covenant
                .officers()
                .iter()
                .any(|officer| officer.partner == *partner)
        };
        match self.audience {
            Audience::Everybody => true,
            Audience::Officers => officer(),
            Audience::Concerned => about == partner.as_str() || officer(),
        }
    }

    /// What happened, and what to do; Dutch (B1).
    pub fn nl(&self) -> (&'static str, &'static str) {
        self.nl
    }

    /// What happened, and what to do; English.
    pub fn en(&self) -> (&'static str, &'static str) {
        self.en
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own_and_words() {
        for (place, kind) in KINDS.iter().enumerate() {
            assert_eq!(
                KINDS.iter().position(|other| other.code == kind.code),
                Some(place)
            );
            let texts = [kind.nl.0, kind.nl.1, kind.en.0, kind.en.1];
            assert!(texts.iter().all(|text| !text.is_empty()), "{}", kind.code);
        }
        assert_eq!(AlarmKind::of("nonsense").code, "unknown");
        assert_eq!(AlarmKind::of("nonsense").audience, Audience::Everybody);
    }
}
