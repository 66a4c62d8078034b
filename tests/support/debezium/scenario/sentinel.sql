INSERT INTO sentinel VALUES (1);
-- Reads a table again, in chunks, while the changes go on. Last of all, since it ends when it ends.
INSERT INTO signals VALUES ('again', 'execute-snapshot', '{"type": "incremental", "data-collections": ["public.memberships"]}');
