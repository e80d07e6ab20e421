//! What `hitmachine epoch` says to people.

use std::path::Path;

use hitmachine_broker::control::{EpochsView, Failed};
use hitmachine_node::language::Language;
use hitmachine_node::view::table;

/// The key is made: what now.
pub(super) fn key_made(language: Language, file: &Path, number: u32, check: &str) -> String {
    let file = file.display();
    match language {
        Language::Nl => format!(
            "{file} gemaakt: de pseudoniemsleutel van sleutelperiode {number}.\nControlegetal: {check}\n\n\
             - Geef de sleutel langs een veilige weg aan elke partner, en nooit aan het knooppunt. De partner zet hem \
             neer als het bestand `next_key` uit node.toml.\n\
             - Geef het controlegetal aan het knooppunt: hitmachine epoch prepare --key-check-value {check}\n"
        ),
        Language::En => format!(
            "{file} made: the pseudonym key of key epoch {number}.\nKey check value: {check}\n\n\
             - Hand the key to every partner in a safe way, and never to the hub. The partner puts it where `next_key` in \
             node.toml says.\n\
             - Hand the key check value to the hub: hitmachine epoch prepare --key-check-value {check}\n"
        ),
    }
}

/// No broker at the socket.
pub(super) fn not_running(language: Language) -> &'static str {
    language.pick(
        "de broker draait hier niet, of neemt nog geen vragen aan",
        "the broker is not running here, or does not take questions yet",
    )
}

/// Without a person there must be a decision.
pub(super) fn not_a_terminal(language: Language) -> &'static str {
    language.pick(
        "hier kan niemand antwoorden; geef --yes als het zo moet",
        "nobody can answer here; give --yes if it is meant",
    )
}

/// The configuration still names the epoch before.
pub(super) fn tidy_first(language: Language, active: u32) -> String {
    match language {
        Language::Nl => format!(
            "sleutelperiode {active} is in gebruik; zet haar gegevens eerst in [epoch] en haal [next_epoch] weg"
        ),
        Language::En => {
            format!(
                "key epoch {active} is in use; first put its fields into [epoch] and take [next_epoch] out"
            )
        }
    }
}

/// There is a next epoch in the configuration that is another one.
pub(super) fn section_there(language: Language, number: u32) -> String {
    match language {
        Language::Nl => {
            format!("de configuratie heeft al een [next_epoch], nummer {number}; haal die eerst weg")
        }
        Language::En => {
            format!("the configuration has a [next_epoch] already, number {number}; take it out first")
        }
    }
}

/// Why the broker did not do it.
pub(super) fn refused(language: Language, failed: &Failed) -> String {
    let partners = failed.partners.join(", ");
    let nl = match failed.code.as_str() {
        "epoch_not_ready" => format!(
            "nog niet klaar: {partners}. Wacht, of laat ze achter met --without; dan geldt voor hen \"niet bevraagd\" tot \
             ze klaar zijn"
        ),
        "unknown_partner" => format!("het convenant kent deze partner niet: {partners}"),
        "epoch_draining" => "de oude sleutelperiode loopt nog af; wacht, of geef --early".into(),
        "epoch_under_way" => "er is al een wisseling bezig; maak die eerst af".into(),
        "epoch_state" => "deze stap kan nu niet; zie hitmachine epoch status".into(),
        "epoch_number" => "het nummer moet hoger zijn dan dat van alle eerdere sleutelperioden".into(),
        "epoch_same_key" => "deze sleutel is al eerder gebruikt; maak een nieuwe".into(),
        "not_removed" => {
            "de periode is voorbij, maar haar gegevens staan er nog; start de broker opnieuw".into()
        }
        "configuration" => "de configuratie klopt niet".into(),
        "epoch_keys" => "de sleutels of gegevens van de periode kunnen niet worden geopend".into(),
        _ => "de broker doet het niet".into(),
    };
    let en = match failed.code.as_str() {
        "epoch_not_ready" => format!(
            "not ready yet: {partners}. Wait, or leave them behind with --without; they then read \"could not be asked\" \
             until they are ready"
        ),
        _ => failed.text.clone(),
    };
    match language {
        Language::Nl if failed.partners.is_empty() => format!("{nl} ({})", failed.text),
        Language::Nl => nl,
        Language::En => en,
    }
}

/// What a step is going to do, as a question.
pub(super) fn before(language: Language, step: &str) -> &'static str {
    match step {
        "prepare" => language.pick(
            "Er komt een nieuwe pepper, en een sectie [next_epoch] in de configuratie. Doorgaan?",
            "A new pepper is made, and a section [next_epoch] in the configuration. Go on?",
        ),
        "fill" => language.pick(
            "De partners registreren iedereen opnieuw in de volgende periode. Vragen blijven in de huidige. Doorgaan?",
            "The partners register everybody again in the next epoch. Questions stay in the present one. Go on?",
        ),
        "switch" => language.pick(
            "Vanaf nu wordt in de volgende periode gevraagd. Dit kan niet terug. Doorgaan?",
            "From now on questions are asked in the next epoch. There is no way back. Go on?",
        ),
        "retire" => language.pick(
            "De oude periode wordt beëindigd en haar gegevens worden gewist. Dit kan niet terug. Doorgaan?",
            "The old epoch ends and its tags are deleted. There is no way back. Go on?",
        ),
        _ => language.pick(
            "De volgende periode wordt opgegeven en wat erin staat gewist. Doorgaan?",
            "The next epoch is given up and what is in it deleted. Go on?",
        ),
    }
}

/// What comes next.
pub(super) fn after(language: Language, step: &str, view: &EpochsView) -> String {
    let text = match step {
        "prepare" => language.pick(
            "Voorbereid. Wacht tot de partners hun nieuwe sleutel hebben (zie hierboven), dan: hitmachine epoch fill",
            "Prepared. Wait until the partners have their new key (see above), then: hitmachine epoch fill",
        ),
        "fill" => language.pick(
            "De partners vullen de nieuwe periode. Volg het met hitmachine epoch status; is iedereen klaar, dan: \
             hitmachine epoch switch",
            "The partners fill the new epoch. Follow it with hitmachine epoch status; when everybody is ready: \
             hitmachine epoch switch",
        ),
        "switch" => language.pick(
            "Er wordt nu in de nieuwe periode gevraagd. De oude antwoordt nog voor stations die uit stonden; daarna: \
             hitmachine epoch retire",
            "Questions are asked in the new epoch now. The old one still answers nodes that were off; after that: \
             hitmachine epoch retire",
        ),
        "retire" => language.pick(
            "De oude periode is voorbij.\n\
             - Hier: vernietig de oude pepper, zet de gegevens van [next_epoch] in [epoch] en haal [next_epoch] weg.\n\
             - Bij elke partner: zet de nieuwe sleutel in [epoch], haal de oude sleutel van de machine en verzegel hem \
             (hitmachine keys seal): de privacyfunctionaris heeft hem nodig om oude logregels van een persoon te vinden.",
            "The old epoch is over.\n\
             - Here: destroy the old pepper, put the fields of [next_epoch] into [epoch] and take [next_epoch] out.\n\
             - At each partner: put the new key into [epoch], take the old key off the machine and seal it (hitmachine \
             keys seal): the privacy officer needs it to find old log entries about a person.",
        ),
        "abandon" => language.pick(
            "De volgende periode is opgegeven; haar nummer wordt niet meer gebruikt. Haal [next_epoch] uit de configuratie \
             en vernietig de pepper en sleutels ervan.",
            "The next epoch is given up; its number is not used again. Take [next_epoch] out of the configuration, and \
             destroy its pepper and keys.",
        ),
        _ => return String::new(),
    };
    let behind: Vec<&str> = view
        .epochs
        .iter()
        .filter(|epoch| epoch.state == "active" && step == "switch")
        .flat_map(|epoch| epoch.without.iter().map(String::as_str))
        .collect();
    if behind.is_empty() {
        format!("{text}\n")
    } else {
        let left = language.pick(
            "Niet bevraagd tot zij klaar zijn",
            "Could not be asked until they are ready",
        );
        format!("{text}\n{left}: {}\n", behind.join(", "))
    }
}

/// The epochs, and how far each partner is.
pub(super) fn table_of(language: Language, view: &EpochsView) -> String {
    let mut epochs = table(&[
        language.pick("Sleutelperiode", "Key epoch"),
        language.pick("Toestand", "State"),
        language.pick("Controlegetal", "Key check value"),
        language.pick("Sinds", "Since"),
    ]);
    for epoch in &view.epochs {
        let state = match epoch.state.as_str() {
            "prepared" => language.pick("voorbereid", "prepared"),
            "filling" => language.pick("wordt gevuld", "being filled"),
            "active" => language.pick("in gebruik", "in use"),
            "draining" => language.pick("loopt af", "draining"),
            _ => language.pick("voorbij", "over"),
        };
        epochs.add_row([
            &epoch.number.to_string(),
            state,
            &epoch.key_check_value,
            epoch.since.as_deref().unwrap_or("-"),
        ]);
    }
    let changing = view
        .epochs
        .iter()
        .any(|epoch| ["prepared", "filling"].contains(&epoch.state.as_str()));
    let mut text = format!("{epochs}\n");
    if changing {
        let mut partners = table(&[
            "Partner",
            language.pick("Nieuwe sleutel", "New key"),
            language.pick("Gevuld", "Filled"),
            language.pick("Klaar", "Ready"),
        ]);
        for one in &view.partners {
            let key = match one.key.as_str() {
                "right" => language.pick("aanwezig", "present"),
                "wrong" => language.pick("VERKEERD", "WRONG"),
                _ => language.pick("nog niet gemeld", "not reported yet"),
            };
            let filled = if one.registers {
                format!("{} {} {}", one.filled, language.pick("van", "of"), one.present)
            } else {
                language.pick("geen register hier", "no register here").to_owned()
            };
            let ready = if one.ready {
                language.pick("ja", "yes")
            } else {
                language.pick("nee", "no")
            };
            partners.add_row([one.partner.as_str(), key, &filled, ready]);
        }
        text.push_str(&format!("{partners}\n"));
    }
    text
}
