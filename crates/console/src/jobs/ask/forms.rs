//! One form, one question: who sends a form twice, at once or later, gets the same answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hitmachine_node::control::Ask;
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use uuid::Uuid;

use crate::kept::{Book, Kept};
use crate::problem::Problem;

/// Forms whose answer is in memory, at most; the oldest are forgotten first.
const MOST: usize = 2_000;

/// What came of sending a form.
pub(crate) type Sent = Result<Box<Kept>, Problem>;

/// The book of answers, and the forms that are being sent or were answered since this program began.
pub(crate) struct Asked {
    pub(crate) book: Book,
    /// Random, of this run only: what it makes of a question says nothing about a person afterwards.
    key: [u8; 32],
    forms: Arc<Mutex<Forms>>,
}

#[derive(Default)]
struct Forms {
    by_id: HashMap<Uuid, Form>,
    /// Counts up, to know the oldest.
    next: u64,
}

struct Form {
    place: u64,
    print: [u8; 32],
    answer: watch::Receiver<Option<Sent>>,
}

/// What to do with a form.
pub(super) enum Begun {
    /// It is the first: ask, and say what came of it.
    First(Turn, watch::Receiver<Option<Sent>>),
    /// It was sent before with the same content: wait for what comes of that.
    Again(watch::Receiver<Option<Sent>>),
    /// It was sent before with other content, or by somebody else.
    Used,
}

/// The right to ask the question of a form, and the duty to say what came of it.
pub(super) struct Turn {
    id: Uuid,
    forms: Arc<Mutex<Forms>>,
    tell: watch::Sender<Option<Sent>>,
    /// Nobody has been told yet.
    held: bool,
}

fn lock(forms: &Mutex<Forms>) -> MutexGuard<'_, Forms> {
    forms.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Asked {
    pub(crate) fn new(book: Book, key: [u8; 32]) -> Self {
        Self {
            book,
            key,
            forms: Arc::default(),
        }
    }

    /// What a question's content comes down to. Two that differ anywhere, in a number too, differ here.
    pub(super) fn print(&self, ask: &Ask) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(self.key);
        let mut text = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text);
        };
        for part in [&ask.user, &ask.role, &ask.purpose, &ask.case] {
            text(part);
        }
        text(ask.responsible.as_deref().unwrap_or(""));
        for person in &ask.persons {
            text(&format!("{:?} {:?} {:?}", person.kind, person.class, person.age));
            text(&person.number);
            text(person.reference.as_deref().unwrap_or(""));
        }
        // A second pass under the key, so that nobody who has the output can go on from there.
        Sha256::new_with_prefix(self.key)
            .chain_update(hash.finalize())
            .finalize()
            .into()
    }

    /// Takes up a form.
    pub(super) fn begin(&self, id: Uuid, print: [u8; 32]) -> Begun {
        let mut forms = lock(&self.forms);
        if let Some(form) = forms.by_id.get(&id) {
            return if form.print == print {
                Begun::Again(form.answer.clone())
            } else {
                Begun::Used
            };
        }
        if forms.by_id.len() >= MOST
            && let Some(oldest) = forms
                .by_id
                .iter()
                .min_by_key(|(_, form)| form.place)
                .map(|(id, _)| *id)
        {
            forms.by_id.remove(&oldest);
        }
        let (tell, answer) = watch::channel(None);
        let place = forms.next;
        forms.next += 1;
        let form = Form {
            place,
            print,
            answer: answer.clone(),
        };
        forms.by_id.insert(id, form);
        let turn = Turn {
            id,
            forms: Arc::clone(&self.forms),
            tell,
            held: true,
        };
        Begun::First(turn, answer)
    }
}

impl Turn {
    /// Says what came of it. `settled`: the form can never be asked with again.
    pub(super) fn end(mut self, sent: Sent, settled: bool) {
        if !settled {
            // First: whoever hears of it may send the form again at once.
            self.give_back();
        }
        self.held = false;
        self.tell.send_replace(Some(sent));
    }

    fn give_back(&self) {
        lock(&self.forms).by_id.remove(&self.id);
    }
}

impl Drop for Turn {
    /// A task that stopped leaves the form to the next.
    fn drop(&mut self) {
        if self.held {
            self.give_back();
        }
    }
}
