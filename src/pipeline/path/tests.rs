//! The path on its own: records in, batches and dead letters out, settlements back.
