"""Drives a LaunchDarkly sandbox with LaunchDarkly's published API client, unmodified.

The client was generated from LaunchDarkly's own API description and checks every answer against it:
a missing field, a wrong type or an unknown word in an answer is an exception here. The sandbox's
address and token come as arguments. The first thing that is not as it should be ends the run.

Not here: installing the client and starting the sandbox (tests/launchdarkly_client.rs).
"""

import sys

import launchdarkly_api as ld

PROJECT, ENVIRONMENT = "storefront", "production"
SEMANTIC = "application/json; domain-model=launchdarkly.semanticpatch"


def expect(found, wanted, what):
    if found != wanted:
        sys.exit(f"{what}: expected {wanted!r}, found {found!r}")


def expect_refusal(status, code, call, *arguments):
    try:
        call(*arguments)
    except ld.ApiException as refusal:
        expect(refusal.status, status, f"status of {call.__name__}")
        answer = ld.InvalidRequestErrorRep.from_json(refusal.body)
        expect(answer.code, code, f"code of {call.__name__}")
        return
    sys.exit(f"{call.__name__} was accepted; expected {status} {code}")


def replace(path, value):
    return ld.PatchOperation(op="replace", path=path, value=value)


def check_metrics(client):
    api = ld.MetricsApi(client)
    numeric = ld.MetricPost(
        key="checkout-total",
        name="Checkout total",
        kind="custom",
        is_numeric=True,
        unit="EUR",
        event_key="checkout-total",
        success_criteria="HigherThanBaseline",
        unit_aggregation_type="sum",
        analysis_type="mean",
        analysis_units=["user"],
        event_default=ld.MetricEventDefaultRep(disabled=False, value=0),
        tags=["kafka-managed"],
    )
    created = api.post_metric(PROJECT, numeric)
    expect((created.key, created.version, created.unit), ("checkout-total", 1, "EUR"), "created")
    expect_refusal(409, "key_exists", api.post_metric, PROJECT, numeric)
    incomplete = ld.MetricPost(key="incomplete", kind="custom")
    expect_refusal(400, "invalid_request", api.post_metric, PROJECT, incomplete)
    for other in (
        ld.MetricPost(key="signup", kind="custom", is_numeric=False, event_key="signup"),
        ld.MetricPost(
            key="pricing-viewed",
            kind="pageview",
            urls=[ld.UrlPost(kind="substring", substring="/pricing")],
        ),
        ld.MetricPost(
            key="buy-clicked",
            kind="click",
            selector="#buy",
            urls=[ld.UrlPost(kind="exact", url="https://shop.example/cart")],
        ),
    ):
        api.post_metric(PROJECT, other)

    read = api.get_metric(PROJECT, "checkout-total")
    expect(read, created, "metric as read")
    expect_refusal(404, "not_found", api.get_metric, PROJECT, "absent")
    page = api.get_metrics(PROJECT, limit=3)
    expect((page.total_count, len(page.items)), (4, 3), "first page of metrics")
    expect(page.links["next"].href is not None, True, "link to the next page")
    rest = api.get_metrics(PROJECT, limit=3, offset=3)
    expect([metric.key for metric in rest.items], ["buy-clicked"], "second page of metrics")

    guard = ld.PatchOperation(op="test", path="/_version", value=1)
    patch = [guard, replace("/unit", "USD"), replace("/tags", ["kafka-managed", "finance"])]
    patched = api.patch_metric(PROJECT, "checkout-total", patch)
    found = (patched.version, patched.unit, patched.tags)
    expect(found, (2, "USD", ["kafka-managed", "finance"]), "patched metric")
    expect_refusal(
        409, "optimistic_locking_error", api.patch_metric, PROJECT, "checkout-total", patch
    )
    kind = [replace("/kind", "click")]
    expect_refusal(400, "invalid_request", api.patch_metric, PROJECT, "checkout-total", kind)
    api.delete_metric(PROJECT, "buy-clicked")
    expect(api.get_metrics(PROJECT).total_count, 3, "metrics after one is deleted")


def check_standard_segment(client):
    api = ld.SegmentsApi(client)
    body = ld.SegmentBody(key="beta", name="Beta", description="Testers", tags=["kafka-managed"])
    created = api.post_segment(PROJECT, ENVIRONMENT, body)
    expect((created.unbounded, created.version, created.included), (False, 1, []), "created")
    expect_refusal(409, "key_exists", api.post_segment, PROJECT, ENVIRONMENT, body)
    expect(api.get_segment(PROJECT, ENVIRONMENT, "beta"), created, "segment as read")

    others = [ld.SegmentTarget(contextKind="organization", values=["o-7"])]
    operations = [
        ld.PatchOperation(op="test", path="/version", value=1),
        replace("/included", ["u-1", "u-2"]),
        replace("/includedContexts", [other.to_dict() for other in others]),
    ]
    patch = ld.PatchWithComment(patch=operations, comment="mirror")
    patched = api.patch_segment(PROJECT, ENVIRONMENT, "beta", patch)
    expect((patched.version, patched.included), (2, ["u-1", "u-2"]), "patched segment")
    expect(patched.included_contexts, others, "targets of other kinds")
    expect_refusal(
        409, "optimistic_locking_error", api.patch_segment, PROJECT, ENVIRONMENT, "beta", patch
    )

    instructions = [
        {"kind": "removeIncludedUsers", "values": ["u-2"]},
        {"kind": "addIncludedTargets", "contextKind": "user", "values": ["u-3"]},
    ]
    answer = patch_by_instructions(client, "beta", instructions)
    expect((answer.version, answer.included), (3, ["u-1", "u-3"]), "instructed segment")


def patch_by_instructions(client, key, instructions):
    """Sends a semantic patch, for which the client has the transport but no model."""
    request = client.param_serialize(
        "PATCH",
        "/api/v2/segments/{project}/{environment}/{key}",
        path_params={"project": PROJECT, "environment": ENVIRONMENT, "key": key},
        header_params={"Accept": "application/json", "Content-Type": SEMANTIC},
        body={"environmentKey": ENVIRONMENT, "instructions": instructions},
        auth_settings=["ApiKey"],
    )
    answer = client.call_api(*request)
    answer.read()
    return client.response_deserialize(answer, {"200": "UserSegment"}).data


def check_big_segment(client):
    api = ld.SegmentsApi(client)
    body = ld.SegmentBody(
        key="vip", name="VIP", unbounded=True, unbounded_context_kind="organization"
    )
    api.post_segment(PROJECT, ENVIRONMENT, body)
    names = [f"o/{number}" for number in range(2_000)]
    state = ld.SegmentUserState(
        included=ld.SegmentUserList(add=names), excluded=ld.SegmentUserList(add=["o-x"])
    )
    api.update_big_segment_context_targets(PROJECT, ENVIRONMENT, "vip", state)
    less = ld.SegmentUserState(included=ld.SegmentUserList(remove=names[:500]))
    api.update_big_segment_context_targets(PROJECT, ENVIRONMENT, "vip", less)

    metadata = api.get_segment(PROJECT, ENVIRONMENT, "vip").unbounded_metadata
    expect((metadata.included_count, metadata.excluded_count), (1_500, 1), "counted members")
    for name, included in (("o/0", False), ("o/1999", True)):
        told = api.get_segment_membership_for_context(PROJECT, ENVIRONMENT, "vip", name)
        expect((told.user_key, told.included, told.excluded), (name, included, False), "membership")
    update = api.update_big_segment_context_targets
    expect_refusal(400, "invalid_request", update, PROJECT, ENVIRONMENT, "beta", state)

    listed = api.get_segments(PROJECT, ENVIRONMENT, sort="name")
    expect([segment.key for segment in listed.items], ["beta", "vip"], "listed segments")
    api.delete_segment(PROJECT, ENVIRONMENT, "vip")
    expect_refusal(404, "not_found", api.get_segment, PROJECT, ENVIRONMENT, "vip")


def main():
    host, token = sys.argv[1:]
    configuration = ld.Configuration(host=host, api_key={"ApiKey": token})
    with ld.ApiClient(configuration) as client:
        client.set_default_header("LD-API-Version", "20240415")
        check_metrics(client)
        check_standard_segment(client)
        check_big_segment(client)


if __name__ == "__main__":
    main()
