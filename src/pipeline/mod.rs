//! The story.
pub mod ack;
pub mod batch;
pub mod commit;
pub mod decode;
pub mod route;
pub mod settings;
pub mod source;
