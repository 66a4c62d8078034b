//! `GET /`: tells a person who opened the address what this is.

const PAGE: &str = "\
ldsink sandbox: a stand-in for LaunchDarkly. Nothing here reaches LaunchDarkly.

Played
  POST   /v2/event-data-import/{project}/{environment}            metric import
  GET    /api/v2/caller-identity                                  who the token stands for
  GET    /api/v2/metrics/{project}                                POST creates
  GET    /api/v2/metrics/{project}/{key}                          PATCH, DELETE
  GET    /api/v2/segments/{project}/{environment}                 POST creates
  GET    /api/v2/segments/{project}/{environment}/{key}           PATCH (semantic, JSON, merge), DELETE
  POST   /api/v2/segments/{project}/{environment}/{key}/contexts  and /users: big segments only
  GET    /api/v2/segments/{project}/{environment}/{key}/contexts/{context}  and /users/{user}
  POST   /api/v2/segment-targets/{integration}                    segment-audiences, amplitude,
         census-synced-segments, rudderstack, fulcrum, sumatra-synced-segments, hightouch
  *      /api/v2/...                                              501, not played

Look
  GET    /sandbox/journal    sums: requests, events accepted and counted, repeats, conflicts
  GET    /sandbox/events     ?event_key= &project= &environment= &from=<seq> &limit=
  GET    /sandbox/requests   ?from=<number> &limit=
  GET    /sandbox/metrics    all; /{project}/{key} one, /{project}/{key}/history ?from=<seq> &limit=
  GET    /sandbox/segments   all; /{project}/{environment}/{key} one with its members (?members=false
                             without), /{project}/{environment}/{key}/history ?from=<seq> &limit=
  GET    /sandbox/client-side-ids/{project}/{environment}   what integrations call environmentId

Steer
  DELETE /sandbox/journal    forget what happened, payload IDs and histories included
  DELETE /sandbox/metrics    forget the metrics themselves; /sandbox/segments likewise
  GET    /sandbox/faults     PUT a JSON list of rules, DELETE to clear
  GET    /sandbox/limits     PUT {\"limits\": [{\"scope\": \"global\", \"limit\": 5}], \"hint\": \"retry_after\"}
  GET    /sandbox/segment-rules   PUT {\"max_keys_per_request\": {\"keys\": 1000, \"status\": 413},
         \"approvals_required\": [{\"project\": \"shop\", \"environment\": \"production\"}]}
  PUT    /sandbox/tokens     {\"tokens\": [\"...\"]} replaces the accepted access tokens; one with
         limits is {\"token\": \"...\", \"actions\": [\"viewProject\", \"importEventData\"]}

A fault rule: {\"times\": 3, \"action\": {\"kind\": \"status\", \"status\": 503, \"retry_after_seconds\": 1}}
  match   operation, project, environment, key, body_contains, probability, times
  action  status, conflict (409), delay (ms), cut_after_accept, cut_before_accept, hang
Operations, for faults and limits: metric_import, metric_list, metric_create, metric_get,
  metric_update, metric_delete, segment_list, segment_create, segment_get, segment_update,
  segment_delete, segment_contexts, segment_users, segment_context_get, segment_user_get,
  segment_targets, caller_identity
";

pub(super) async fn show() -> &'static str {
    PAGE
}
