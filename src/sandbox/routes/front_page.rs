//! `GET /`: tells a person who opened the address what this is.

const PAGE: &str = "\
ldsink sandbox: a stand-in for LaunchDarkly. Nothing here reaches LaunchDarkly.

Played
  POST   /v2/event-data-import/{project}/{environment}   metric import
  *      /api/v2/...                                     501, not played yet

Look
  GET    /sandbox/journal    sums: requests, events accepted and counted, repeats, conflicts
  GET    /sandbox/events     ?event_key= &project= &environment= &from=<seq> &limit=
  GET    /sandbox/requests   ?from=<number> &limit=

Steer
  DELETE /sandbox/journal    forget everything, payload IDs included
  GET    /sandbox/faults     PUT a JSON list of rules, DELETE to clear
  GET    /sandbox/limits     PUT {\"limits\": [{\"scope\": \"global\", \"limit\": 5}], \"hint\": \"retry_after\"}
  PUT    /sandbox/tokens     {\"tokens\": [\"...\"]} replaces the accepted access tokens

A fault rule: {\"times\": 3, \"action\": {\"kind\": \"status\", \"status\": 503, \"retry_after_seconds\": 1}}
  match   operation, project, environment, body_contains, probability, times
  action  status, delay (ms), cut_after_accept, cut_before_accept, hang
";

pub(super) async fn show() -> &'static str {
    PAGE
}
