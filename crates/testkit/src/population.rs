//! Made-up persons, shaped on the Nijmegen trial of 2018–2019, and the files their registers export.
//!
//! The trial screened a "Top-150" list of 145 households, 239 persons, against the municipal registers of
//! school attendance (leerplicht), debt counselling (schuldhulpverlening) and the district teams
//! (regieteams); 77 households had no indication at any of them. [`Population`] reproduces exactly those
//! figures for every seed, with registers that are larger than the list and overlap, and lets the public
//! prosecution and probation services (OM/reclassering) know some of the 77.
//!
//! There are no names and no addresses anywhere. Numbers come from BSN test ranges while those suffice; see
//! [`Population::prefixes`].

mod bsn;
mod files;
mod list;
mod style;

use std::collections::BTreeMap;
use std::fmt;

use hitmachine_identifier::DEFAULT_TEST_PREFIXES;
use jiff::Span;
use jiff::civil::Date;

use crate::rng::Rng;
use bsn::BsnWalk;
pub use files::{BadRows, ListFile, PopulationFiles, RegisterFile, large_register};
pub use style::{LIST_FILE, LIST_HOUSEHOLD_COLUMN, Register, SourceStyle, TextEncoding, list_style};

/// Households on the screening list.
pub const LIST_HOUSEHOLDS: usize = 145;
/// Persons on the screening list.
pub const LIST_PERSONS: usize = 239;
/// Households on the list without an indication at any municipal register.
pub const LIST_HOUSEHOLDS_WITHOUT_INDICATION: usize = 77;
/// Persons per register, unless something else is asked.
pub const DEFAULT_PERSONS_PER_REGISTER: usize = 4_000;
/// Smallest and largest number of persons per register that [`Population::generate`] takes.
pub const PERSONS_PER_REGISTER: std::ops::RangeInclusive<usize> = 300..=1_000_000;

/// The BSN ranges that a test or demo deployment admits by default; about 18,000 valid numbers.
const TEST_PREFIXES: &[&str] = &DEFAULT_TEST_PREFIXES;
/// For more people than that: nine million valid numbers, which the deployment must admit by configuration.
const LARGE_PREFIXES: &[&str] = &["9"];

/// Days that everyone keeps away from an eighteenth birthday, so that a run next month gives the same
/// answers.
const BIRTHDAY_MARGIN_DAYS: i32 = 61;

/// Why a population cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PopulationError {
    /// Too small to hold the list, or too large for the test numbers; see [`PERSONS_PER_REGISTER`].
    #[error("{0} persons per register asked; between 300 and 1,000,000 is possible")]
    Size(usize),
}

/// Under eighteen, or not. What a partner may be asked about depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AgeClass {
    /// Under eighteen.
    Minor,
    /// Eighteen or older.
    Adult,
}

/// A made-up person.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Nine digits that pass the elfproef, from one of [`Population::prefixes`].
    pub bsn: String,
    /// Birth date; the eighteenth birthday is at least 61 days away from the population's day.
    pub birth_date: Date,
    /// The class on the population's day.
    pub class: AgeClass,
    /// Household 1 to 145 if the person is on the screening list.
    pub household: Option<u16>,
    /// Place within the household on the list, from 1; 0 for everyone else.
    pub member: u16,
    /// The registers that know this person, each with its own file reference. No number follows from it.
    pub references: BTreeMap<Register, String>,
}

impl Person {
    /// Reference on the screening list, such as `T150-017-2`: household 17, second person.
    pub fn list_reference(&self) -> Option<String> {
        self.household
            .map(|household| format!("T150-{household:03}-{}", self.member))
    }
}

/// Made-up people too have a number that stays out of logs: tests search every output for it.
impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("class", &self.class)
            .field("list_reference", &self.list_reference())
            .field("known_at", &self.references.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Everybody: the persons on the list first, in the order of the list, then all others in the registers.
#[derive(Debug, Clone)]
pub struct Population {
    seed: u64,
    today: Date,
    persons: Vec<Person>,
    prefixes: &'static [&'static str],
}

impl Population {
    /// Makes the population of `seed`, with ages as they are on `today`.
    ///
    /// Each register holds `persons_per_register` persons, give or take ten percent by seed, those of the
    /// list included, drawn from one pool so that registers overlap.
    ///
    /// # Errors
    /// [`PopulationError::Size`] outside [`PERSONS_PER_REGISTER`].
    pub fn generate(seed: u64, today: Date, persons_per_register: usize) -> Result<Self, PopulationError> {
        if !PERSONS_PER_REGISTER.contains(&persons_per_register) {
            return Err(PopulationError::Size(persons_per_register));
        }
        // Enough of each class for the largest register of one class (1.1 times), with room not to be in it.
        let per_class = persons_per_register * 8 / 5;
        let total = LIST_PERSONS + 2 * per_class;
        let prefixes = if BsnWalk::numbers(TEST_PREFIXES) >= total {
            TEST_PREFIXES
        } else {
            LARGE_PREFIXES
        };

        let ages = Ages::on(today);
        let mut persons = list::draw(&mut Rng::stream(seed, "list"), &ages);
        let mut rng = Rng::stream(seed, "pool");
        for number in 0..2 * per_class {
            let class = if number % 2 == 0 {
                AgeClass::Minor
            } else {
                AgeClass::Adult
            };
            persons.push(Draft::other(class, ages.birth_date(&mut rng, class)));
        }
        for register in Register::ALL {
            fill(register, persons_per_register, &mut persons, &ages, seed);
        }
        // Who is in no register and not on the list appears in no file: the pool's remainder is dropped,
        // which also leaves valid test numbers that nobody knows.
        persons.retain(|draft| draft.household.is_some() || draft.known.contains(&true));

        let mut population = Self {
            seed,
            today,
            persons: number(persons, seed, prefixes, total),
            prefixes,
        };
        population.give_references();
        Ok(population)
    }

    /// The seed this population was made from.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// The day on which everybody has the class they have here.
    pub fn today(&self) -> Date {
        self.today
    }

    /// What `test_bsn_prefixes` the deployment must admit: `9999` and `0000` while those suffice, else `9`.
    pub fn prefixes(&self) -> &'static [&'static str] {
        self.prefixes
    }

    /// Everybody who is on the list or in a register.
    pub fn persons(&self) -> &[Person] {
        &self.persons
    }

    /// The persons on the screening list, by household.
    pub fn list(&self) -> impl Iterator<Item = &Person> {
        self.persons.iter().filter(|person| person.household.is_some())
    }

    /// The persons `register` knows.
    pub fn members(&self, register: Register) -> impl Iterator<Item = &Person> {
        self.persons
            .iter()
            .filter(move |person| person.references.contains_key(&register))
    }

    /// Replaces the marks left by [`fill`] by file references, numbered at random so that their order tells
    /// nothing about the number, the age or the list.
    fn give_references(&mut self) {
        for register in Register::ALL {
            let mut rng = Rng::stream(self.seed, &format!("references {}", register.id()));
            let mut numbers: Vec<usize> = (1..=self.members(register).count()).collect();
            rng.shuffle(&mut numbers);
            let year = self.today.year();
            let members = self
                .persons
                .iter_mut()
                .filter_map(|person| person.references.get_mut(&register));
            for (reference, number) in members.zip(numbers) {
                let opened = year.saturating_sub(i16::try_from(rng.below(3)).unwrap_or_default());
                *reference = format!("{}-{opened}-{number:05}", register.reference_prefix());
            }
        }
    }
}

/// A person without a number or references yet.
struct Draft {
    class: AgeClass,
    birth_date: Date,
    household: Option<u16>,
    member: u16,
    /// By position in [`Register::ALL`].
    known: [bool; Register::ALL.len()],
}

impl Draft {
    /// Somebody who is not on the list.
    fn other(class: AgeClass, birth_date: Date) -> Self {
        Self {
            class,
            birth_date,
            household: None,
            member: 0,
            known: [false; Register::ALL.len()],
        }
    }

    fn knows(&mut self, register: Register) {
        self.known[register as usize] = true;
    }

    fn is_known(&self, register: Register) -> bool {
        self.known[register as usize]
    }

    /// Whether the register could hold this person at all.
    fn may_be_in(&self, register: Register, ages: &Ages) -> bool {
        register.admits(self.class)
            && (register != Register::OmReclassering || self.birth_date <= ages.criminal_responsibility)
    }
}

/// Adds persons from the pool to `register` until it has its size.
fn fill(register: Register, persons_per_register: usize, persons: &mut [Draft], ages: &Ages, seed: u64) {
    let mut rng = Rng::stream(seed, register.id());
    let size = persons_per_register * (900 + rng.index(201)) / 1_000;
    let on_list = persons.iter().filter(|draft| draft.is_known(register)).count();
    let mut pool: Vec<usize> = (0..persons.len())
        .filter(|&at| persons[at].household.is_none() && persons[at].may_be_in(register, ages))
        .collect();
    rng.shuffle(&mut pool);
    for at in pool.into_iter().take(size.saturating_sub(on_list)) {
        persons[at].knows(register);
    }
}

/// Gives everybody a number. `drawn` numbers are drawn before some are kept, so that the list does not take
/// the first ones of a regular walk.
fn number(drafts: Vec<Draft>, seed: u64, prefixes: &[&str], drawn: usize) -> Vec<Person> {
    let mut numbers: Vec<String> = BsnWalk::new(Rng::stream(seed, "bsn"), prefixes)
        .take(drawn)
        .collect();
    Rng::stream(seed, "bsn order").shuffle(&mut numbers);
    drafts
        .into_iter()
        .zip(numbers)
        .map(|(draft, bsn)| Person {
            bsn,
            birth_date: draft.birth_date,
            class: draft.class,
            household: draft.household,
            member: draft.member,
            references: Register::ALL
                .into_iter()
                .filter(|&register| draft.is_known(register))
                .map(|register| (register, String::new()))
                .collect(),
        })
        .collect()
}

/// Birth dates that matter on one day.
struct Ages {
    /// First and last birth date of the minors: of school age, and not about to turn eighteen.
    minors: (Date, Date),
    /// First and last birth date of the adults: not freshly eighteen.
    adults: (Date, Date),
    /// Born on or before this day: twelve, old enough to be known in criminal law.
    criminal_responsibility: Date,
}

impl Ages {
    fn on(today: Date) -> Self {
        let years_ago = |years: i16| today.saturating_sub(Span::new().years(years));
        let margin = Span::new().days(BIRTHDAY_MARGIN_DAYS);
        Self {
            minors: (years_ago(18).saturating_add(margin), years_ago(5)),
            adults: (years_ago(75), years_ago(18).saturating_sub(margin)),
            criminal_responsibility: years_ago(12),
        }
    }

    fn birth_date(&self, rng: &mut Rng, class: AgeClass) -> Date {
        match class {
            AgeClass::Minor => between(rng, self.minors),
            AgeClass::Adult => between(rng, self.adults),
        }
    }

    /// A minor who can be known at OM.
    fn older_minor(&self, rng: &mut Rng) -> Date {
        between(rng, (self.minors.0, self.criminal_responsibility))
    }
}

/// A day from `first` to `last`.
fn between(rng: &mut Rng, (first, last): (Date, Date)) -> Date {
    let days = u64::try_from(first.duration_until(last).as_hours() / 24).unwrap_or_default();
    let offset = i32::try_from(rng.below(days + 1)).unwrap_or_default();
    first.saturating_add(Span::new().days(offset))
}
