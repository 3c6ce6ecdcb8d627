-- Give each role the password in the file of its name, in the folder :passwords.

\set connections `cat :'passwords'/switchboard_connections`
\set relay `cat :'passwords'/switchboard_relay`
\set inbox_views `cat :'passwords'/switchboard_inbox_views`
\set routing `cat :'passwords'/switchboard_routing`
\set reader `cat :'passwords'/switchboard_reader`

ALTER ROLE switchboard_connections PASSWORD :'connections';
ALTER ROLE switchboard_relay PASSWORD :'relay';
ALTER ROLE switchboard_inbox_views PASSWORD :'inbox_views';
ALTER ROLE switchboard_routing PASSWORD :'routing';
ALTER ROLE switchboard_reader PASSWORD :'reader';
