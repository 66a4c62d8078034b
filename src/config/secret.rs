//! Secrets: written in the file, best as variables, or in files of their own.
//!
//! # Invariants
//! - C1: no mistake shows one.

use std::fs;
use std::io;
use std::path::Path;

use secrecy::SecretString;

use super::mistakes::{Review, Secrets};
use super::raw::Scalar;
use super::section::Section;

/// The secret where none is needed.
const STAND_IN: &str = "[token]";
/// Fewer characters are guessed.
const LEAST: usize = 16;

/// A secret that need not be there, given or in a file.
pub(super) fn optional(section: &Section<'_>, given: &str, in_file: &str) -> Option<SecretString> {
    let review = section.review;
    let (at, text) = match (section.get(given), section.get(in_file)) {
        (None, None) => return None,
        (Some(_), Some(_)) => {
            let problem = format!("stands beside {given}");
            review.mistake(&section.at(in_file), problem, "keep one of the two");
            return None;
        }
        (Some(_), None) => {
            let scalar = section.text(given)?;
            (&scalar.at, scalar.text.clone())
        }
        (None, Some(_)) => {
            let file = section.text(in_file)?;
            (&file.at, of_file(review, file)?)
        }
    };
    let is_header = text.chars().all(|c| c.is_ascii_graphic());
    if review.secrets() == Secrets::Required && (text.len() < LEAST || !is_header) {
        let remedy = format!("give at least {LEAST} letters, digits and signs, without blanks");
        review.mistake(at, "is no token that nobody guesses", remedy);
        return None;
    }
    Some(SecretString::from(text))
}

/// Reads a secret from a file that editors and secret stores may have ended with a line break.
pub(super) fn of_file(review: &Review<'_>, file: &Scalar) -> Option<String> {
    let path = review.directory().join(Path::new(&file.text));
    match fs::read_to_string(path) {
        Ok(token) => Some(token.trim_end_matches(['\n', '\r']).to_owned()),
        Err(_) if review.secrets() == Secrets::Optional => Some(STAND_IN.to_owned()),
        Err(error) => {
            // The kind only: the error's own text may repeat a path that is not to be shown.
            let why = if error.kind() == io::ErrorKind::NotFound {
                "does not exist".to_owned()
            } else {
                format!("cannot be read: {}", error.kind())
            };
            let remedy = "a relative path starts from the directory of this file";
            review.mistake(&file.at, format!("{} {why}", file.shown()), remedy);
            None
        }
    }
}
