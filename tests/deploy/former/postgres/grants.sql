-- Permissions on the event store's tables and functions. Run it after event_store.sql, as the role that owns them, and again
-- when a release changed that file. Only the owner may change events and journal; other roles add to them.

GRANT SELECT ON ALL TABLES IN SCHEMA connections TO switchboard_connections, switchboard_reader;
GRANT INSERT ON connections.events, connections.journal, connections.memberships TO switchboard_connections;
GRANT UPDATE (present, position) ON connections.memberships TO switchboard_connections;

GRANT SELECT ON connections.log, connections.events TO
    switchboard_relay, switchboard_inbox_views, switchboard_routing;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA connections FROM PUBLIC;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA connections TO switchboard_connections;
