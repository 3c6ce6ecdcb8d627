-- The event store: log, constraint sets and command journal (the replies to repeated commands). A writer that owns it runs
-- it as a whole at its start. It makes what is missing, and numbers the journal entries of a former release.

CREATE SCHEMA IF NOT EXISTS connections;

-- The identity of this log. The stream has the same id, so no reader takes another log's events for this one's.
CREATE TABLE IF NOT EXISTS connections.log (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO connections.log DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Rows are added and hardly ever changed, so there is little to clean up. Every plan uses an index for any statistics,
-- so a table that has just begun to grow needs no analysis in the middle of that load.
CREATE TABLE IF NOT EXISTS connections.events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    state bytea NOT NULL,
    notification_id bigint NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
) WITH (autovacuum_vacuum_insert_threshold = 100000, autovacuum_analyze_threshold = 100000);

-- Sets of aggregates, kept in the commit of the events; `present` is false for those that left.
CREATE TABLE IF NOT EXISTS connections.memberships (
    set_id uuid NOT NULL,
    member uuid NOT NULL,
    present boolean NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (set_id, member)
) WITH (autovacuum_vacuum_insert_threshold = 100000, autovacuum_analyze_threshold = 100000);

-- Every command with its outcome. `kept` rows are answered again when the id comes again; the others
-- (unreadable, unknown, id reused) are on record only, without a body. `reply` has position 0 in place of `position`.
-- `ordinal` counts all entries, without gaps. `log_position` is the position of the last event before the entry or of it:
-- a refusal's place among the events. Both are NULL in what a former release added, until the next commit of this one.
CREATE TABLE IF NOT EXISTS connections.journal (
    entry uuid PRIMARY KEY,
    account text COLLATE "C" NOT NULL,
    command_id uuid,
    kept boolean NOT NULL,
    command text COLLATE "C" NOT NULL,
    actor text COLLATE "C",
    outcome text COLLATE "C" NOT NULL,
    reason text COLLATE "C",
    position bigint,
    digest bytea,
    body bytea,
    reply bytea NOT NULL,
    recorded_at timestamptz NOT NULL,
    ordinal bigint,
    log_position bigint
) WITH (autovacuum_vacuum_insert_threshold = 100000, autovacuum_analyze_threshold = 100000);

-- Times in the order of positions, a row for each commit with events: no event up to `position` is later than `latest`.
-- Writers' clocks differ, and may run back.
CREATE TABLE IF NOT EXISTS connections.commits (
    latest timestamptz NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (latest, position)
) WITH (autovacuum_vacuum_insert_threshold = 100000, autovacuum_analyze_threshold = 100000);

-- Gives the next ordinals to entries without one, in the order in which they were recorded, and a row to their commits.
-- Returns the last ordinal. It runs as the owner: a writer may change no entry, but has to number what one of a former
-- release added beside it.
CREATE OR REPLACE FUNCTION connections.number_entries() RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on
AS $$
DECLARE
    numbered bigint;
    up_to bigint;
    entries bigint;
    in_order boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(5824113001);
    SELECT j.ordinal, j.log_position INTO numbered, up_to
        FROM connections.journal j WHERE j.ordinal > 0 ORDER BY j.ordinal DESC LIMIT 1;
    numbered := coalesce(numbered, 0);
    up_to := coalesce(up_to, 0);

    -- The transaction that added an entry shows which commit came first, the time shows the order within one. A log that
    -- was restored from a dump was added by one transaction. Where transactions contradict the positions, times decide.
    SELECT count(*), bool_and(coalesce(j.position >= j.before, true)) INTO entries, in_order
        FROM (SELECT position, max(position) OVER (
                  ORDER BY age(xmin) DESC GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
              FROM connections.journal WHERE ordinal IS NULL OR ordinal = 0) j;
    IF entries = 0 THEN RETURN numbered; END IF;
    RAISE INFO 'numbering % entries of the command journal; commands wait', entries;

    INSERT INTO connections.commits (latest, position)
        SELECT j.latest, max(j.position)
        FROM (SELECT position, greatest(max(recorded_at) OVER (ORDER BY position),
                                        (SELECT max(latest) FROM connections.commits)) AS latest
              FROM connections.journal WHERE (ordinal IS NULL OR ordinal = 0) AND outcome = 'accepted') j
        GROUP BY j.latest
        ON CONFLICT DO NOTHING;
    UPDATE connections.journal j SET ordinal = numbered + n.ordinal, log_position = n.log_position
        FROM (SELECT p.row, p.log_position,
                     row_number() OVER (ORDER BY p.log_position, p.age DESC, p.recorded_at, p.row) AS ordinal
              FROM (SELECT r.*, coalesce(r.position, max(r.position) OVER recorded, up_to) AS log_position
                    FROM (SELECT ctid AS row, CASE WHEN in_order THEN age(xmin) END AS age, recorded_at, position
                          FROM connections.journal WHERE ordinal IS NULL OR ordinal = 0) r
                    WINDOW recorded AS (ORDER BY r.age DESC, r.recorded_at, r.row)) p) n
        WHERE j.ctid = n.row;
    RAISE INFO 'numbered % entries of the command journal', entries;
    RETURN numbered + entries;
END $$;

-- A log of a former release. This comes before the locks of tables below: a commit takes those behind the lock of all
-- writers. Entries are 0 until they are numbered, not NULL: as dead rows, a million of them would be in the index that
-- each commit asks for NULL.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = 'connections.journal'::regclass AND attname = 'ordinal'
    ) THEN
        PERFORM pg_advisory_xact_lock(5824113001);
        ALTER TABLE connections.journal ADD COLUMN ordinal bigint DEFAULT 0, ADD COLUMN log_position bigint;
        ALTER TABLE connections.journal ALTER COLUMN ordinal DROP DEFAULT;
        PERFORM connections.number_entries();
    ELSIF EXISTS (SELECT FROM connections.journal WHERE ordinal IS NULL) THEN
        PERFORM connections.number_entries();
    END IF;
END $$;

CREATE UNIQUE INDEX IF NOT EXISTS events_notification_id_idx ON connections.events (notification_id);
CREATE INDEX IF NOT EXISTS memberships_position_idx ON connections.memberships (set_id, position);
CREATE UNIQUE INDEX IF NOT EXISTS journal_command_idx ON connections.journal (account, command_id) WHERE kept;
CREATE INDEX IF NOT EXISTS journal_not_kept_idx ON connections.journal (account, command_id) WHERE NOT kept;
CREATE UNIQUE INDEX IF NOT EXISTS journal_ordinal_idx ON connections.journal (ordinal);
-- Mostly empty; whether there is such an entry is asked at each commit.
CREATE INDEX IF NOT EXISTS journal_unnumbered_idx ON connections.journal (recorded_at) WHERE ordinal IS NULL;

CREATE OR REPLACE FUNCTION connections.since(
    r_streams uuid[], r_versions bigint[], r_sets uuid[], r_positions bigint[]
) RETURNS TABLE (kind text, id uuid, number bigint, name text, payload bytea, more bytea, member uuid, place bigint)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
        SELECT 'event', e.originator_id, e.originator_version, e.topic, e.state, NULL::bytea, NULL::uuid,
               e.notification_id
        FROM unnest(r_streams, r_versions) AS r (stream, version)
        CROSS JOIN LATERAL (
            SELECT * FROM connections.events
            WHERE originator_id = r.stream AND originator_version > r.version OFFSET 0
        ) e
        ORDER BY e.notification_id;
    RETURN QUERY
        SELECT 'member', m.set_id, m.present::int::bigint, NULL::text, NULL::bytea, NULL::bytea, m.member, m.position
        FROM unnest(r_sets, r_positions) AS r (set_id, position)
        CROSS JOIN LATERAL (
            SELECT * FROM connections.memberships WHERE set_id = r.set_id AND position > r.position OFFSET 0
        ) m;
END $$;

CREATE OR REPLACE FUNCTION connections.append(
    r_streams uuid[], r_versions bigint[], r_sets uuid[], r_positions bigint[],
    e_streams uuid[], e_versions bigint[], e_topics text[], e_states bytea[],
    m_sets uuid[], m_members uuid[], m_present boolean[], m_ordinals bigint[],
    j_entries uuid[], j_accounts text[], j_ids uuid[], j_kept boolean[], j_commands text[], j_actors text[],
    j_outcomes text[], j_reasons text[], j_ordinals bigint[], j_digests bytea[], j_bodies bytea[], j_replies bytea[],
    j_times timestamptz[]
) RETURNS TABLE (kind text, id uuid, number bigint, name text, payload bytea, more bytea, member uuid, place bigint)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    changed boolean;
    repeated boolean;
    unnumbered boolean;
    log_end bigint;
    numbered bigint;
    until timestamptz;
    entries bigint;
BEGIN
    -- Every process that appends takes this lock; unlike a table's it does not wait for VACUUM.
    PERFORM pg_advisory_xact_lock(5824113001);

    -- LATERAL with LIMIT or OFFSET, here and in `since`: the plan is kept, and one that was made while a table was empty
    -- would otherwise begin with the table, read whole, for ever.
    RETURN QUERY
        SELECT 'answer', j.command_id, j.position, j.account, j.digest, j.reply, j.entry, NULL::bigint
        FROM unnest(j_accounts, j_ids, j_kept) AS k (account, command_id, kept)
        CROSS JOIN LATERAL (
            SELECT * FROM connections.journal
            WHERE account = k.account COLLATE "C" AND command_id = k.command_id AND kept OFFSET 0
        ) j
        WHERE k.kept;
    IF FOUND THEN RETURN; END IF;

    -- Mostly nothing came, and asking that is half as dear as an empty answer of `since`. An answer of no row says that
    -- more was read than there is: the log was restored from a backup since. One statement, since each costs a start.
    SELECT
        EXISTS (
            SELECT FROM unnest(r_streams, r_versions) AS r (stream, version)
            LEFT JOIN LATERAL (
                SELECT originator_version AS last FROM connections.events
                WHERE originator_id = r.stream ORDER BY originator_version DESC LIMIT 1
            ) e ON true
            WHERE coalesce(e.last, 0) <> r.version
        ) OR EXISTS (
            SELECT FROM unnest(r_sets, r_positions) AS r (set_id, position)
            CROSS JOIN LATERAL (
                SELECT FROM connections.memberships WHERE set_id = r.set_id AND position > r.position LIMIT 1
            ) m
        ),
        EXISTS (
            SELECT FROM unnest(j_entries) AS j (entry)
            CROSS JOIN LATERAL (SELECT FROM connections.journal WHERE entry = j.entry LIMIT 1) k
        ),
        EXISTS (SELECT FROM connections.journal WHERE ordinal IS NULL),
        (SELECT coalesce(max(notification_id), 0) FROM connections.events),
        (SELECT coalesce(max(ordinal), 0) FROM connections.journal),
        (SELECT greatest(max(j.recorded_at), (SELECT max(latest) FROM connections.commits))
         FROM unnest(j_times, j_outcomes) AS j (recorded_at, outcome) WHERE outcome = 'accepted' HAVING count(*) > 0)
        INTO changed, repeated, unnumbered, log_end, numbered, until;
    IF changed THEN
        RETURN QUERY SELECT * FROM connections.since(r_streams, r_versions, r_sets, r_positions);
        RETURN;
    END IF;
    -- A call of a former release's `append` that waited for the lock while this one replaced it.
    IF unnumbered THEN numbered := connections.number_entries(); END IF;

    INSERT INTO connections.events (originator_id, originator_version, topic, state, notification_id)
        SELECT e.stream, e.version, e.topic, e.state, log_end + e.ordinal
        FROM unnest(e_streams, e_versions, e_topics, e_states)
            WITH ORDINALITY AS e (stream, version, topic, state, ordinal);
    INSERT INTO connections.memberships AS m (set_id, member, present, position)
        SELECT n.set_id, n.member, n.present, log_end + n.ordinal
        FROM unnest(m_sets, m_members, m_present, m_ordinals) AS n (set_id, member, present, ordinal)
        ON CONFLICT (set_id, member) DO UPDATE SET present = excluded.present, position = excluded.position;
    -- A first attempt, whose reply was lost, has recorded entries that are not answered for ever. They are not recorded
    -- again; one that is answered for ever now is another entry.
    IF repeated THEN
        SELECT array_agg(CASE WHEN NOT j.there THEN j.entry WHEN j.kept THEN gen_random_uuid() END ORDER BY j.place)
            INTO j_entries
            FROM (SELECT g.*, EXISTS (SELECT FROM connections.journal WHERE entry = g.entry OFFSET 0) AS there
                  FROM unnest(j_entries, j_kept) WITH ORDINALITY AS g (entry, kept, place)) j;
    END IF;
    -- `unnest` gives its rows in the order of the arrays.
    INSERT INTO connections.journal
        SELECT j.entry, j.account, j.command_id, j.kept, j.command, j.actor, j.outcome, j.reason,
               log_end + j.event, j.digest, j.body, j.reply, j.recorded_at,
               numbered + row_number() OVER recorded, log_end + coalesce(max(j.event) OVER recorded, 0)
        FROM unnest(j_entries, j_accounts, j_ids, j_kept, j_commands, j_actors, j_outcomes, j_reasons, j_ordinals,
                    j_digests, j_bodies, j_replies, j_times)
            AS j (entry, account, command_id, kept, command, actor, outcome, reason, event,
                  digest, body, reply, recorded_at)
        WHERE j.entry IS NOT NULL
        WINDOW recorded AS (ROWS UNBOUNDED PRECEDING);
    GET DIAGNOSTICS entries = ROW_COUNT;
    IF until IS NOT NULL THEN
        INSERT INTO connections.commits VALUES (until, log_end + cardinality(e_streams)) ON CONFLICT DO NOTHING;
    END IF;

    kind := 'done';
    number := log_end;
    place := numbered + entries;
    RETURN NEXT;
END $$;

-- Entries that were added meanwhile; where somebody commits just now, that commit numbers them.
DO $$
BEGIN
    IF EXISTS (SELECT FROM connections.journal WHERE ordinal IS NULL)
        AND pg_try_advisory_xact_lock(5824113001)
    THEN
        PERFORM connections.number_entries();
    END IF;
END $$;
