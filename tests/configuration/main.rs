//! Promise P8: what cannot work is refused at start, all mistakes at once, each with its place, and
//! no mistake tells a secret. Also keeps the reference file and the demo's file true.

#![cfg(test)]

mod base;
mod definitions;
mod file;
mod kafka;
mod mapping;
mod ranges;
mod routes;
mod secrets;
mod shipped;
mod targets;
mod traces;
