-- Fences for PostgreSQL 9.5 and later: a write that carries the token of a lock that has since been granted to somebody
-- else changes nothing. conformance/fences runs every statement of this file.
--
-- A. One register for a whole resource: any number of rows and tables behind one lock. Use this one unless you know why not.

CREATE TABLE fences (
    resource text PRIMARY KEY,
    minimum bigint NOT NULL CHECK (minimum > 0)  -- tokens are below 2^63
);

-- Call it first in the transaction that writes. It raises the minimum, or ends the transaction with SQLSTATE QF409.
-- The register's row stays locked until the transaction ends, so what follows in it is checked and written as one.
CREATE FUNCTION fence(of_resource text, token bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO fences AS register (resource, minimum) VALUES (of_resource, token)
        ON CONFLICT (resource) DO UPDATE SET minimum = EXCLUDED.minimum WHERE register.minimum <= EXCLUDED.minimum;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'token % of % is stale', token, of_resource
            USING ERRCODE = 'QF409', HINT = 'the lock has been granted again: stop, do not retry';
    END IF;
END $$;

-- B. A fence in each row, where the rows have locks of their own: no second table, no transaction of two statements.

CREATE TABLE documents (
    name text PRIMARY KEY,
    body text,  -- null: deleted. A row that is really deleted takes its fence with it
    fence bigint NOT NULL CHECK (fence > 0)
);

-- Each statement below changes one row, or none when the token is stale: look at the count.

-- name: create_or_replace
INSERT INTO documents AS old (name, body, fence) VALUES (:name, :body, :token)
    ON CONFLICT (name) DO UPDATE SET body = EXCLUDED.body, fence = EXCLUDED.fence WHERE old.fence <= EXCLUDED.fence;

-- name: replace
UPDATE documents SET body = :body, fence = :token WHERE name = :name AND fence <= :token;

-- name: remove
UPDATE documents SET body = NULL, fence = :token WHERE name = :name AND fence <= :token;
