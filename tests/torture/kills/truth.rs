//! What the registers hold, as far as it is certain, worked out without the product.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;

use hitmachine_node::view::{PersonView, StatusWord};
use hitmachine_testkit::population::{AgeClass, Person, Register};
use hitmachine_testkit::rng::Rng;

use crate::world::World;

/// Whom each register holds.
pub(super) struct Truth(BTreeMap<&'static str, Holding>);

/// One register. While a sync is in doubt these two differ.
#[derive(Clone)]
struct Holding {
    /// By number, before.
    before: BTreeSet<String>,
    /// By number, after.
    after: BTreeSet<String>,
}

/// Whether this register may be asked about somebody of this class.
fn applies(register: &str, class: AgeClass) -> bool {
    match register {
        "leerplicht" => class == AgeClass::Minor,
        "schuldhulpverlening" => class == AgeClass::Adult,
        _ => true,
    }
}

impl Truth {
    /// As the files were made.
    pub(super) fn of(world: &World) -> Self {
        let holding = |register: Register| {
            let members = world.population.members(register);
            let members: BTreeSet<_> = members.map(|person| person.bsn.clone()).collect();
            Holding {
                before: members.clone(),
                after: members,
            }
        };
        let all = Register::ALL.into_iter();
        Self(all.map(|register| (register.id(), holding(register))).collect())
    }

    /// Whom a register holds, or will.
    pub(super) fn count(&self, register: Register) -> usize {
        self.0[register.id()].after.len()
    }

    /// Writes another file for a register: some go, some come. From now on those may be there or not.
    pub(super) fn change(&mut self, world: &World, register: Register, rng: &mut Rng) {
        let holding = self.0.get_mut(register.id()).unwrap();
        assert_eq!(holding.before, holding.after, "one change at a time");
        let persons = world.population.persons().iter();
        let of_class = persons.filter(|person| applies(register.id(), person.class));
        let mut kept = Vec::new();
        for person in of_class {
            let member = person.references.contains_key(&register);
            if rng.percent(if member { 75 } else { 5 }) {
                kept.push(person);
            }
        }
        fs::write(world.source(register), file(register, &kept)).unwrap();
        holding.after = kept.into_iter().map(|person| person.bsn.clone()).collect();
    }

    /// Both sides agree on the file: nothing is in doubt any more. Those about whom it was.
    pub(super) fn settle(&mut self, register: Register) -> BTreeSet<String> {
        let holding = self.0.get_mut(register.id()).unwrap();
        let changed = holding.before.symmetric_difference(&holding.after).cloned();
        let changed = changed.collect();
        holding.before = holding.after.clone();
        changed
    }

    /// An answer about a person must say this, of each partner that was consulted; only of `left_behind` it may say that
    /// it could not be asked.
    pub(super) fn check(&self, person: &Person, view: &PersonView, left_behind: &[&str]) {
        assert_eq!(view.refused, None, "refused");
        for row in &view.partners {
            let partner = row.partner.as_str();
            let holding = &self.0[partner];
            let (was, is) = (
                holding.before.contains(&person.bsn),
                holding.after.contains(&person.bsn),
            );
            let entry = view.log_index;
            let (right, wrong) = match row.status {
                StatusWord::DoesNotApply => (!applies(partner, person.class), "does apply"),
                StatusWord::Known => (was || is, "knows nobody of this number"),
                StatusWord::NotKnown => (!was || !is, "knows the person: a false \"not known\""),
                StatusWord::CouldNotAsk => (left_behind.contains(&partner), "could be asked"),
            };
            assert!(right, "{partner} {wrong}, entry {entry}");
            assert!(
                row.status == StatusWord::DoesNotApply || applies(partner, person.class),
                "{partner} was asked about another class"
            );
        }
    }
}

/// A register's export, as its node's configuration says that it looks.
fn file(register: Register, persons: &[&Person]) -> String {
    let style = register.style();
    let d = style.delimiter;
    let mut text = format!(
        "{}{d}{}{d}{}\r\n",
        style.bsn_column, style.birth_date_column, style.reference_column
    );
    for (place, person) in persons.iter().enumerate() {
        let number = if style.numeric_bsn {
            person.bsn.trim_start_matches('0')
        } else {
            &person.bsn
        };
        let born = person.birth_date.strftime(style.date_format);
        // Its own file number, or one that is given now.
        let given = format!("{}-NEW-{place:05}", register.id());
        let reference = person.references.get(&register).unwrap_or(&given);
        write!(text, "{number}{d}{born}{d}{reference}\r\n").unwrap();
    }
    text
}
