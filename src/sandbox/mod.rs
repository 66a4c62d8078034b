//! A LaunchDarkly stand-in.
