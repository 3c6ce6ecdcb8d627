-- event_store.sql of the release before entries got ordinals, word for word but for its comments.

CREATE SCHEMA IF NOT EXISTS connections;

CREATE TABLE IF NOT EXISTS connections.log (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    id uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO connections.log DEFAULT VALUES ON CONFLICT DO NOTHING;

CREATE TABLE IF NOT EXISTS connections.events (
    originator_id uuid NOT NULL,
    originator_version bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    state bytea NOT NULL,
    notification_id bigint NOT NULL,
    PRIMARY KEY (originator_id, originator_version)
) WITH (autovacuum_vacuum_insert_threshold = 100000, autovacuum_analyze_threshold = 100000);
CREATE UNIQUE INDEX IF NOT EXISTS events_notification_id_idx ON connections.events (notification_id);

CREATE TABLE IF NOT EXISTS connections.memberships (
    set_id uuid NOT NULL,
    member uuid NOT NULL,
    present boolean NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (set_id, member)
) WITH (autovacuum_vacuum_insert_threshold = 100000, autovacuum_analyze_threshold = 100000);
CREATE INDEX IF NOT EXISTS memberships_position_idx ON connections.memberships (set_id, position);

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
    recorded_at timestamptz NOT NULL
) WITH (autovacuum_vacuum_insert_threshold = 100000, autovacuum_analyze_threshold = 100000);
CREATE UNIQUE INDEX IF NOT EXISTS journal_command_idx ON connections.journal (account, command_id) WHERE kept;

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
    log_end bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(5824113001);

    RETURN QUERY
        SELECT 'answer', j.command_id, j.position, j.account, j.digest, j.reply, j.entry, NULL::bigint
        FROM unnest(j_accounts, j_ids, j_kept) AS k (account, command_id, kept)
        CROSS JOIN LATERAL (
            SELECT * FROM connections.journal
            WHERE account = k.account COLLATE "C" AND command_id = k.command_id AND kept OFFSET 0
        ) j
        WHERE k.kept;
    IF FOUND THEN RETURN; END IF;

    IF EXISTS (
        SELECT FROM unnest(r_streams, r_versions) AS r (stream, version)
        CROSS JOIN LATERAL (
            SELECT FROM connections.events
            WHERE originator_id = r.stream AND originator_version > r.version LIMIT 1
        ) e
    ) OR EXISTS (
        SELECT FROM unnest(r_sets, r_positions) AS r (set_id, position)
        CROSS JOIN LATERAL (
            SELECT FROM connections.memberships WHERE set_id = r.set_id AND position > r.position LIMIT 1
        ) m
    ) THEN
        RETURN QUERY SELECT * FROM connections.since(r_streams, r_versions, r_sets, r_positions);
        RETURN;
    END IF;

    SELECT coalesce(max(e.notification_id), 0) INTO log_end FROM connections.events e;

    INSERT INTO connections.events (originator_id, originator_version, topic, state, notification_id)
        SELECT e.stream, e.version, e.topic, e.state, log_end + e.ordinal
        FROM unnest(e_streams, e_versions, e_topics, e_states)
            WITH ORDINALITY AS e (stream, version, topic, state, ordinal);
    INSERT INTO connections.memberships AS m (set_id, member, present, position)
        SELECT n.set_id, n.member, n.present, log_end + n.ordinal
        FROM unnest(m_sets, m_members, m_present, m_ordinals) AS n (set_id, member, present, ordinal)
        ON CONFLICT (set_id, member) DO UPDATE SET present = excluded.present, position = excluded.position;
    INSERT INTO connections.journal
        SELECT j.entry, j.account, j.command_id, j.kept, j.command, j.actor, j.outcome, j.reason,
               log_end + j.ordinal, j.digest, j.body, j.reply, j.recorded_at
        FROM unnest(j_entries, j_accounts, j_ids, j_kept, j_commands, j_actors, j_outcomes, j_reasons, j_ordinals,
                    j_digests, j_bodies, j_replies, j_times)
            AS j (entry, account, command_id, kept, command, actor, outcome, reason, ordinal,
                  digest, body, reply, recorded_at)
        ON CONFLICT (entry) DO NOTHING;
    RETURN QUERY
        SELECT 'done', NULL::uuid, log_end, NULL::text, NULL::bytea, NULL::bytea, NULL::uuid, NULL::bigint;
END $$;
