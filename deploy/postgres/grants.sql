-- Permissions on the event store's tables and functions. Run it after event_store.sql, as the role that owns them, and again
-- when a release changed that file. Only the owner may change events, commits and journal; writers add to them.

GRANT SELECT ON ALL TABLES IN SCHEMA connections TO switchboard_connections, switchboard_reader;
GRANT INSERT ON connections.events, connections.commits, connections.journal, connections.memberships TO
    switchboard_connections;
GRANT UPDATE (present, position) ON connections.memberships TO switchboard_connections;

GRANT SELECT ON connections.log, connections.events TO
    switchboard_relay, switchboard_inbox_views, switchboard_routing, switchboard_audit;
GRANT SELECT ON connections.commits TO switchboard_inbox_views, switchboard_routing, switchboard_audit;
GRANT SELECT ON connections.journal TO switchboard_audit;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA connections FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA connections TO switchboard_connections;
