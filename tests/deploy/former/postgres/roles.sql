-- The roles of Switchboard, and their permissions in this database besides the event store's tables (grants.sql). Run it
-- as a superuser, or as an owner of the database who may make roles; repeating it is safe.
--
--   switchboard_owner         owns the event store; has no login
--   switchboard_connections   the writers: add to the event store, change nothing that is in it
--   switchboard_relay         reads the log
--   switchboard_inbox_views,
--   switchboard_routing       read the log, and own the rows of their view
--   switchboard_reader        people: read everything, write nothing

DO $$
BEGIN
    IF current_setting('server_version_num')::int < 160000 THEN
        RAISE EXCEPTION 'PostgreSQL % is too old: 16 or newer is needed', current_setting('server_version');
    END IF;
END $$;

DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['owner', 'connections', 'relay', 'inbox_views', 'routing', 'reader'] LOOP
        role := 'switchboard_' || role;
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            EXECUTE format('CREATE ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', role);
        END IF;
        -- A user who is not a superuser needs membership in a role to make objects for it; the maker of a role may grant it.
        IF NOT pg_has_role(role, 'SET') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', role);
        END IF;
        EXECUTE format('ALTER ROLE %I %s', role, CASE role WHEN 'switchboard_owner' THEN 'NOLOGIN' ELSE 'LOGIN' END);
    END LOOP;

    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO switchboard_connections, switchboard_relay, '
                   'switchboard_inbox_views, switchboard_routing, switchboard_reader', current_database());
    -- A rebuild of a view fills a schema of its own and renames it; two versions are compared in a temporary table.
    EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO switchboard_inbox_views, switchboard_routing',
                   current_database());
    EXECUTE format('GRANT CREATE ON DATABASE %I TO switchboard_owner', current_database());
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS connections AUTHORIZATION switchboard_owner;
GRANT USAGE ON SCHEMA connections TO
    switchboard_connections, switchboard_relay, switchboard_inbox_views, switchboard_routing, switchboard_reader;

-- Writers, relay and views take turns by advisory locks, so any other holder of such a lock stops them all. Any role could
-- write large objects. In each new database everybody has both permissions until a superuser revokes them.
DO $$
DECLARE
    function regprocedure;
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RAISE WARNING 'only a superuser can revoke advisory locks from switchboard_reader, which can block '
                      'commands and views with them: give its password to trusted people only';
        RETURN;
    END IF;
    FOR function IN
        SELECT oid::regprocedure FROM pg_proc
        WHERE pronamespace = 'pg_catalog'::regnamespace
            AND (proname LIKE 'pg\_%advisory%' OR proname LIKE 'lo\_%')
    LOOP
        EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', function);
        IF function::text LIKE '%advisory%' THEN
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO switchboard_owner, switchboard_connections, '
                           'switchboard_relay, switchboard_inbox_views, switchboard_routing', function);
        END IF;
    END LOOP;
END $$;

-- Objects of later releases get the same protection.
ALTER DEFAULT PRIVILEGES FOR ROLE switchboard_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE switchboard_inbox_views, switchboard_routing
    GRANT USAGE ON SCHEMAS TO switchboard_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE switchboard_inbox_views, switchboard_routing
    GRANT SELECT ON TABLES TO switchboard_reader;

-- A long query must not keep old rows for hours.
ALTER ROLE switchboard_reader SET default_transaction_read_only = on;
ALTER ROLE switchboard_reader SET statement_timeout = '5min';
