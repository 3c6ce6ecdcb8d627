-- The roles of Switchboard, and what they may do in this database besides the event store's tables (grants.sql). For a
-- superuser, or for whoever owns the database and may make roles; it may be run again and again.
--
--   switchboard_owner         owns the event store; nobody logs in as it
--   switchboard_connections   the writers: add to the event store, change nothing that is in it
--   switchboard_relay         reads the log
--   switchboard_inbox_views,
--   switchboard_routing       read the log, and own the rows of their view
--   switchboard_reader        people who look: read everything, write nothing

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
        -- Whoever is no superuser has to be of the roles in whose name something is made; by making a role he may be.
        IF NOT pg_has_role(role, 'SET') THEN
            EXECUTE format('GRANT %I TO CURRENT_USER', role);
        END IF;
        EXECUTE format('ALTER ROLE %I %s', role, CASE role WHEN 'switchboard_owner' THEN 'NOLOGIN' ELSE 'LOGIN' END);
    END LOOP;

    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO switchboard_connections, switchboard_relay, '
                   'switchboard_inbox_views, switchboard_routing, switchboard_reader', current_database());
    -- A view makes its rows anew in a schema of its own and renames it; two versions are compared in a temporary table.
    EXECUTE format('GRANT CREATE, TEMPORARY ON DATABASE %I TO switchboard_inbox_views, switchboard_routing',
                   current_database());
    EXECUTE format('GRANT CREATE ON DATABASE %I TO switchboard_owner', current_database());
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS connections AUTHORIZATION switchboard_owner;
GRANT USAGE ON SCHEMA connections TO
    switchboard_connections, switchboard_relay, switchboard_inbox_views, switchboard_routing, switchboard_reader;

-- Advisory locks are how writers, relay and views take turns: whoever else holds one of theirs stops them all. Large
-- objects could be written by anybody. Both belong to everybody until they are taken away, in each new database, by a
-- superuser.
DO $$
DECLARE
    function regprocedure;
BEGIN
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        RAISE WARNING 'only a superuser can keep switchboard_reader from advisory locks, with which he could hold up '
                      'commands and views: give its password to nobody who might';
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

-- What comes later is as guarded as what is there.
ALTER DEFAULT PRIVILEGES FOR ROLE switchboard_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE switchboard_inbox_views, switchboard_routing
    GRANT USAGE ON SCHEMAS TO switchboard_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE switchboard_inbox_views, switchboard_routing
    GRANT SELECT ON TABLES TO switchboard_reader;

-- A look at everything must not keep old rows for hours.
ALTER ROLE switchboard_reader SET default_transaction_read_only = on;
ALTER ROLE switchboard_reader SET statement_timeout = '5min';
