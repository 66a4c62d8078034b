//! The story.
pub mod decode;
