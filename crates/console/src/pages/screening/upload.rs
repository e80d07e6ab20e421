//! A form with a file in it.

use axum::extract::multipart::{Field, Multipart};
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use zeroize::{Zeroize, Zeroizing};

use crate::app::App;
use crate::draft::{self, Keep};
use crate::fields::Fields;
use crate::problem::Problem;
use crate::visitor::{Visitor, check_csrf, check_origin};

/// What a form that came too late gives back; the file has to be chosen once more.
const KEEP: Keep = Keep::of("/screenings/new", &["purpose", "case", "responsible", "on_quota"]);

/// The largest file.
pub(super) const MOST_FILE: usize = 10 * 1024 * 1024;
/// How much more is read and thrown away, so that a browser hears why its file was refused instead of losing the line.
const MOST_THROWN_AWAY: usize = 200 * 1024 * 1024;
/// The longest other field, and how many there may be.
const MOST_FIELD: usize = 4 * 1024;
const MOST_FIELDS: usize = 16;

/// The file of a form.
pub(crate) enum Sent {
    /// None was chosen.
    None,
    /// It is larger than [`MOST_FILE`]; nothing of it is kept.
    TooLarge,
    /// Its bytes.
    File(Zeroizing<Vec<u8>>),
}

/// A form with a file that came from a page of this visitor's own session. As `Posted` is for forms without: origin,
/// session and the session's own mark are checked, the mark before a byte of the file is taken.
pub(crate) struct Uploaded {
    pub(crate) visitor: Visitor,
    pub(crate) fields: Fields,
    pub(crate) sent: Sent,
}

impl FromRequest<App> for Uploaded {
    type Rejection = Response;

    async fn from_request(request: Request, app: &App) -> Result<Self, Response> {
        check_origin(app, request.headers()).map_err(IntoResponse::into_response)?;
        let visitor = Visitor::of_headers(app, request.headers()).map_err(IntoResponse::into_response)?;
        let kind = request
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        if !kind.is_some_and(|kind| kind.starts_with("multipart/form-data")) {
            return Err(Problem::malformed().into_response());
        }
        let form = Multipart::from_request(request, app).await;
        let form = form.map_err(|_| Problem::malformed().into_response())?;
        let Some(visitor) = visitor else {
            let fields = typed(form).await.map_err(IntoResponse::into_response)?;
            return Err(draft::interrupted(app, &KEEP, &fields));
        };
        read(visitor, form).await.map_err(IntoResponse::into_response)
    }
}

/// What was typed before the file, by somebody whose session is over; the form's `csrf` tells whose it was.
async fn typed(mut form: Multipart) -> Result<Fields, Problem> {
    let mut fields = Vec::new();
    while let Some(mut field) = form.next_field().await.map_err(|_| Problem::malformed())? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "list" || fields.len() >= MOST_FIELDS {
            break;
        }
        let bytes = taken(&mut field, MOST_FIELD)
            .await?
            .ok_or_else(Problem::malformed)?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| Problem::malformed())?;
        fields.push((name, Zeroizing::new(text)));
    }
    Ok(Fields::of(fields))
}

/// Takes the form apart.
pub(crate) async fn read(visitor: Visitor, mut form: Multipart) -> Result<Uploaded, Problem> {
    let mut fields: Vec<(String, Zeroizing<String>)> = Vec::new();
    let mut sent = Sent::None;
    let mut ours = false;
    while let Some(mut field) = form.next_field().await.map_err(|_| Problem::malformed())? {
        let name = field.name().unwrap_or_default().to_owned();
        if name == "csrf" {
            let bytes = taken(&mut field, MOST_FIELD)
                .await?
                .ok_or_else(Problem::malformed)?;
            check_csrf(&visitor, std::str::from_utf8(&bytes).unwrap_or_default())?;
            ours = true;
            continue;
        }
        if !ours || fields.len() >= MOST_FIELDS {
            return Err(Problem::not_from_here());
        }
        if name == "list" {
            sent = match taken(&mut field, MOST_FILE).await? {
                None => Sent::TooLarge,
                Some(bytes) if bytes.is_empty() && field.file_name().is_none_or(str::is_empty) => Sent::None,
                Some(bytes) => Sent::File(bytes),
            };
            continue;
        }
        let bytes = taken(&mut field, MOST_FIELD)
            .await?
            .ok_or_else(Problem::malformed)?;
        let text = String::from_utf8(bytes.to_vec()).map_err(|_| Problem::malformed())?;
        fields.push((name, Zeroizing::new(text)));
    }
    if !ours {
        return Err(Problem::not_from_here());
    }
    Ok(Uploaded {
        visitor,
        fields: Fields::of(fields),
        sent,
    })
}

/// The bytes of a field; `None` if there are more than `most`, after reading past them.
async fn taken(field: &mut Field<'_>, most: usize) -> Result<Option<Zeroizing<Vec<u8>>>, Problem> {
    let mut bytes = Zeroizing::new(Vec::new());
    let mut seen = 0_usize;
    while let Some(chunk) = field.chunk().await.map_err(|_| Problem::malformed())? {
        seen = seen.saturating_add(chunk.len());
        if seen > most.saturating_add(MOST_THROWN_AWAY) {
            return Err(Problem::malformed());
        }
        if seen <= most {
            bytes.extend_from_slice(&chunk);
        } else {
            bytes.zeroize();
        }
    }
    Ok((seen <= most).then_some(bytes))
}
