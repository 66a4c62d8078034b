//! The story.
pub mod decode;
pub mod route;
pub mod settings;
pub mod source;
