//! Routes.
pub mod condition;
pub mod path;
pub mod settings;
