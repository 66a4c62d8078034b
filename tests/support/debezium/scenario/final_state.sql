-- Each table's rows in the order of their keys, as one JSON object by table.
SELECT jsonb_pretty(jsonb_object_agg(name, rows))
FROM (
    SELECT 'customers' AS name, coalesce(jsonb_agg(t ORDER BY id), '[]') AS rows FROM customers t
    UNION ALL SELECT 'orders', coalesce(jsonb_agg(t ORDER BY id), '[]') FROM orders t
    UNION ALL SELECT 'memberships', coalesce(jsonb_agg(t ORDER BY customer_id, segment_key), '[]') FROM memberships t
    UNION ALL SELECT 'memberships_full', coalesce(jsonb_agg(t ORDER BY customer_id, segment_key), '[]') FROM memberships_full t
    UNION ALL SELECT 'metrics', coalesce(jsonb_agg(t ORDER BY key), '[]') FROM metrics t
    UNION ALL SELECT 'page_views', coalesce(jsonb_agg(t ORDER BY viewed_at), '[]') FROM page_views t
    UNION ALL SELECT 'samples', coalesce(jsonb_agg(t ORDER BY id), '[]') FROM samples t
    UNION ALL SELECT 'toasted', coalesce(jsonb_agg(t ORDER BY id), '[]') FROM toasted t
) tables;
