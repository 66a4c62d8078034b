-- A small shop, with what a decoder or a mapping can trip over. All row values are written out, so that
-- a later capture differs from the fixtures in log positions and clocks only.

CREATE TYPE tier AS ENUM ('free', 'pro', 'enterprise');

CREATE TABLE customers (
    id bigint PRIMARY KEY,
    email text NOT NULL,
    tier tier,
    org text,
    -- Nullable with a default: Connect's JsonConverter writes the default for null unless told not to.
    locale text DEFAULT 'en',
    active boolean NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer_id bigint NOT NULL REFERENCES customers ON UPDATE CASCADE ON DELETE CASCADE,
    total numeric(10,2) NOT NULL,
    created_at timestamptz NOT NULL,
    placed_at timestamp NOT NULL,
    due_on date,
    details jsonb,
    notes text,
    paid boolean NOT NULL
);
-- Out of line and uncompressed, so that two thousand characters are enough to be toasted.
ALTER TABLE orders ALTER notes SET STORAGE EXTERNAL;

-- The same table twice: `before` holds nothing or the key with the first, the whole row with the second.
CREATE TABLE memberships (
    customer_id bigint,
    segment_key text,
    member boolean NOT NULL,
    note text,
    PRIMARY KEY (customer_id, segment_key)
);
CREATE TABLE memberships_full (LIKE memberships INCLUDING ALL);
ALTER TABLE memberships ALTER note SET STORAGE EXTERNAL;
ALTER TABLE memberships_full ALTER note SET STORAGE EXTERNAL;
ALTER TABLE memberships_full REPLICA IDENTITY FULL;

CREATE TABLE metrics (
    key text PRIMARY KEY,
    name text NOT NULL,
    kind text NOT NULL,
    unit text,
    is_numeric boolean NOT NULL,
    event_key text,
    success_criteria text,
    randomization_units text[],
    description text,
    archived boolean NOT NULL DEFAULT false
);

-- No primary key: records without a key, and so without tombstones.
CREATE TABLE page_views (
    customer_id bigint,
    url text,
    viewed_at timestamptz NOT NULL,
    seconds double precision
);
ALTER TABLE page_views REPLICA IDENTITY FULL;

-- One column of each type whose form in JSON is not its form in SQL.
CREATE TABLE samples (
    id uuid PRIMARY KEY,
    small smallint,
    big bigint,
    price numeric(10,2),
    wide numeric(38,9),
    free numeric,
    cash money,
    single real,
    double double precision,
    day date,
    clock time,
    clock_ms time(3),
    clock_tz timetz,
    moment timestamp,
    moment_ms timestamp(3),
    instant timestamptz,
    instant_s timestamptz(0),
    span interval,
    fixed char(5),
    bytes bytea,
    bits bit(9),
    words text[],
    amounts numeric(6,2)[],
    document json,
    address inet,
    period tstzrange,
    place point
);

-- What an unchanged toasted value becomes, by type.
CREATE TABLE toasted (
    id int PRIMARY KEY,
    touched int NOT NULL,
    words text,
    document jsonb,
    bytes bytea,
    list text[],
    numbers int[]
);
ALTER TABLE toasted
    ALTER words SET STORAGE EXTERNAL, ALTER document SET STORAGE EXTERNAL, ALTER bytes SET STORAGE EXTERNAL,
    ALTER list SET STORAGE EXTERNAL, ALTER numbers SET STORAGE EXTERNAL;

CREATE TABLE heartbeats (id int PRIMARY KEY, beats bigint NOT NULL);
-- Changed last of all, which tells that all else has come by.
CREATE TABLE sentinel (id int PRIMARY KEY);

-- Orders to Debezium itself, which answers in the same table.
CREATE TABLE signals (id text PRIMARY KEY, type text NOT NULL, data text);

CREATE PUBLICATION signalled FOR TABLE memberships, signals, sentinel;
CREATE PUBLICATION shop FOR TABLE customers, orders, memberships, memberships_full, metrics, page_views,
    samples, toasted, heartbeats, sentinel;

-- What the engine finds when it starts: these rows become the snapshot.

INSERT INTO customers VALUES
    (1, 'ada@example.com', 'pro', 'acme', 'en', true, '2024-02-29 23:59:59.999999+00'),
    (2, 'büşra@example.com', 'free', NULL, 'tr', true, '2024-03-31 01:30:00+01'),
    (3, 'chen@example.com', NULL, 'globex', NULL, false, '1969-12-31 23:59:59.5+00'),
    -- The least number that a 64-bit float cannot hold.
    (9007199254740993, 'dora@example.com', 'enterprise', 'acme', 'de', true, '2024-01-01 00:00:00+00');

INSERT INTO orders VALUES
    (101, 1, 19.90, '2024-05-01 10:00:00+00', '2024-05-01 12:00:00', '2024-05-15',
     '{"items": [{"sku": "A-1", "qty": 2}], "gift": false}', 'short', true),
    (102, 2, -0.01, '2024-05-02 10:00:00.123456+00', '2024-05-02 12:00:00.123456', NULL, NULL,
     repeat('long note ', 250), false),
    (103, 3, 99999999.99, '2024-05-03 10:00:00+00', '2024-05-03 12:00:00', '1969-07-20', 'null', NULL, false);

INSERT INTO memberships VALUES (1, 'beta', true, NULL), (2, 'beta', false, repeat('why? ', 500));
INSERT INTO memberships_full SELECT * FROM memberships;

INSERT INTO metrics VALUES
    ('checkout', 'Checkout', 'custom', NULL, false, 'checkout', NULL, '{user}', NULL),
    ('revenue', 'Revenue', 'custom', 'EUR', true, 'order-paid', 'HigherThanBaseline', '{user,organization}',
     'Total of paid orders');

INSERT INTO page_views VALUES (1, '/', '2024-05-01 09:59:00+00', 1.5);

-- There from the start, so that it does not depend on the first beat's time what the snapshot ends with.
INSERT INTO heartbeats VALUES (1, 0);
