-- What happens while the engine streams. Statements outside of BEGIN/COMMIT are a transaction each.

-- === Inserts

INSERT INTO customers VALUES (4, 'Ελένη+ελ@example.com', 'free', E'quote " slash \\ tab \t 😀', 'el', true, '2024-06-01 08:00:00+02');
INSERT INTO orders VALUES
    (104, 4, 1234.50, '2024-06-01 08:15:00+02', '2024-06-01 08:15:00', '2024-07-01',
     '{"items": [], "big": 12345678901234567890.123456789, "text": "ünïcode 😀"}', repeat('n', 2500), false);
INSERT INTO memberships VALUES (4, 'early-access', true, NULL);
INSERT INTO memberships_full VALUES (4, 'early-access', true, NULL);
INSERT INTO metrics VALUES ('latency', 'Page latency', 'pageview', 'ms', true, NULL, 'LowerThanBaseline', '{user}', NULL);
INSERT INTO page_views VALUES (4, '/checkout?step=1&x="y"', '2024-06-01 06:14:00+00', 0.1), (NULL, NULL, '2024-06-01 06:14:01+00', 'NaN');

INSERT INTO samples VALUES
    ('00000000-0000-4000-8000-000000000001', -32768, 9223372036854775807, 12.30, 12345678901234567890123456789.123456789,
     0.1000, 1234.56, 0.1, 1e300, '2024-02-29', '23:59:59.999999', '12:34:56.789', '12:34:56.789+02',
     '2024-02-29 23:59:59.999999', '2024-02-29 23:59:59.123', '2024-02-29 23:59:59.999999+02', '2024-02-29 23:59:59+02',
     '1 year 2 mons 3 days 04:05:06.789', 'ab', '\x00ff10', B'000000101', '{a,NULL,"b c"}', '{1.50,-2.00}',
     '{ "b": 1,  "a": [1.0, null] }', '10.0.0.1/8', '[2024-01-01 00:00+00,2024-02-01 00:00+00)', '(1.5,-2)'),
    ('00000000-0000-4000-8000-000000000002', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    -- Before 1970, the ends of the ranges, and what is no number.
    ('00000000-0000-4000-8000-000000000003', 0, -9223372036854775808, -0.01, -0.000000001, 'NaN', -0.01, 'Infinity', '-Infinity',
     'infinity', '24:00:00', '00:00:00', '00:00:00-12', '1969-12-31 23:59:59.999999', '0001-01-01 00:00:00',
     'infinity', '-infinity', '-1 day', '', '', B'111111111', '{}', '{}', 'null', '::1', 'empty', '(0,0)'),
    ('00000000-0000-4000-8000-000000000004', 1, 1, 1, 1, 123456789012345678901234567890.5, 0, 'NaN', 'NaN',
     '1969-07-20', '00:00:00.000001', '00:00:00.001', '23:59:59.999999+00', '2262-04-12 00:00:00', '4000-01-01 00:00:00',
     '0044-03-15 00:00:00+00 BC', '9999-12-31 23:59:59+00', '0', 'abcde', NULL, NULL, NULL, NULL, '"x"', NULL, NULL, NULL);

INSERT INTO toasted
    SELECT 1, 0, repeat('w', 2200), jsonb_build_object('x', repeat('d', 2200)), decode(repeat('ab', 2200), 'hex'),
        ARRAY[repeat('l', 2200)], array_agg(n) FROM generate_series(1, 550) n;

-- === Updates

UPDATE customers SET tier = 'enterprise', active = false WHERE id = 2;
-- To null, over a default that is not null.
UPDATE customers SET locale = NULL, org = NULL WHERE id = 1;
-- Nothing changes, and yet it is an update.
UPDATE customers SET active = active WHERE id = 4;
-- The toasted notes stay as they are, then change.
UPDATE orders SET paid = true WHERE id = 104;
UPDATE orders SET notes = repeat('m', 2600) WHERE id = 104;
UPDATE orders SET details = details || '{"gift": true}' WHERE id = 101;
UPDATE toasted SET touched = 1;
UPDATE memberships SET member = NOT member WHERE customer_id = 2;
UPDATE memberships_full SET member = NOT member WHERE customer_id = 2;
UPDATE metrics SET name = 'Revenue (net)', description = NULL, archived = true WHERE key = 'revenue';
UPDATE page_views SET seconds = 2.5 WHERE url = '/';
INSERT INTO customers VALUES (4, 'helen@example.com', 'pro', NULL, 'el', true, '2024-06-02 00:00:00+00')
    ON CONFLICT (id) DO UPDATE SET email = excluded.email, tier = excluded.tier;

-- === Changes of keys

-- With a foreign key that follows.
UPDATE customers SET id = 1003 WHERE id = 3;
-- One part of a key of two, with a toasted value that the new row's record cannot show; and with FULL.
UPDATE memberships SET segment_key = 'beta-2' WHERE customer_id = 2;
UPDATE memberships_full SET segment_key = 'beta-2' WHERE customer_id = 2;
-- Two keys swap places by way of a third.
BEGIN;
UPDATE metrics SET key = 'tmp' WHERE key = 'checkout';
UPDATE metrics SET key = 'checkout' WHERE key = 'latency';
UPDATE metrics SET key = 'latency' WHERE key = 'tmp';
COMMIT;

-- === Transactions

BEGIN;
INSERT INTO customers VALUES (5, 'eve@example.com', 'free', 'initech', DEFAULT, true, '2024-06-03 00:00:00+00');
INSERT INTO orders VALUES (105, 5, 0.00, '2024-06-03 00:00:00+00', '2024-06-03 00:00:00', NULL, '{}', '', false);
SAVEPOINT undone;
INSERT INTO memberships VALUES (5, 'never', true, NULL);
ROLLBACK TO undone;
INSERT INTO memberships VALUES (5, 'beta', true, NULL);
UPDATE orders SET total = total + 0.10 WHERE id = 105;
COMMIT;
-- Never happened.
BEGIN;
INSERT INTO memberships VALUES (6, 'never', true, NULL);
ROLLBACK;
-- Came and went at once, and came again.
BEGIN;
INSERT INTO memberships VALUES (7, 'brief', true, NULL);
DELETE FROM memberships WHERE customer_id = 7;
INSERT INTO memberships VALUES (7, 'brief', false, NULL);
COMMIT;

-- === Messages: one within a transaction, one outside of any

SELECT pg_logical_emit_message(true, 'audit', 'deployed ünïcode');
SELECT pg_logical_emit_message(false, 'metrics', '{"flush": true}');

-- === Deletes

DELETE FROM orders WHERE id = 102;
DELETE FROM memberships WHERE customer_id = 1;
DELETE FROM memberships_full WHERE customer_id = 2;
DELETE FROM page_views WHERE customer_id = 4;
-- Takes its order along.
DELETE FROM customers WHERE id = 1003;
DELETE FROM metrics WHERE key = 'latency';

-- === Truncate: two tables in one statement

TRUNCATE page_views, memberships_full;
INSERT INTO memberships_full VALUES (1, 'after-truncate', true, NULL);

-- === A table that grows a column while it is watched

ALTER TABLE customers ADD COLUMN phone text;
INSERT INTO customers VALUES (8, 'hal@example.com', 'free', NULL, 'en', true, '2024-06-04 00:00:00+00', '+1 555 0100');
UPDATE customers SET active = false WHERE id = 9007199254740993;
