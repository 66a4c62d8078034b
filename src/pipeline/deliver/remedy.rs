//! What a person can do about an answer that no record causes.

/// What to mend, by the lane's operation and the answer's status.
pub(super) fn remedy(operation: &str, status: u16) -> String {
    let (actions, address) = match operation {
        "metric_event" => ("`importEventData`", "`events_url`"),
        "metric" => ("`createMetric` and the metric update actions", "`api_url`"),
        _ => ("`createSegment`, `updateIncluded` and `updateExcluded`", "`api_url`"),
    };
    match status {
        401 => format!(
            "check `access_token`: it must be an access token whose role allows {actions}, in an \
             account that has this API"
        ),
        403 => format!(
            "allow {actions} for the token's role on this project and environment; where changes \
             need approval, let the role bypass it"
        ),
        404 if operation == "segment_member" => format!(
            "check `project` and `environment`, `synced.client_side_id` and \
             `synced.integration_key` of synced segments, and `instance` or {address}"
        ),
        404 => format!("check `project` and `environment`, and `instance` or {address}"),
        200..=299 => format!("something else than LaunchDarkly answers at {address}; mend it"),
        300..=399 => format!("{address} answers with a redirect; set it to the final address"),
        _ => format!("check {address}; if it is LaunchDarkly's, report this as a fault of ldsink"),
    }
}
