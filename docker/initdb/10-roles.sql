-- The roles of the broker's database, for an empty database `writ`, run in it once by whoever may create roles:
-- as a superuser, or on a managed service as its administrator (CREATEROLE is enough, if it owns the database).
-- Then give `writ_migrator` and `writ_broker_login` a password; docs/operations.md says how.

CREATE ROLE writ_owner NOLOGIN;
-- NOINHERIT makes the migrator ask for its power (SET ROLE).
CREATE ROLE writ_migrator LOGIN NOINHERIT;
CREATE ROLE writ_broker NOLOGIN;
CREATE ROLE writ_broker_login LOGIN;
GRANT writ_owner TO writ_migrator;
GRANT writ_broker TO writ_broker_login;

-- Only a member may hand a database over; taken back below.
GRANT writ_owner TO CURRENT_USER;
DO $$ BEGIN EXECUTE format('ALTER DATABASE %I OWNER TO writ_owner', current_database()); END $$;
-- Temporary tables could shadow ours inside functions that run with the owner's rights.
DO $$ BEGIN EXECUTE format('REVOKE TEMP, CREATE ON DATABASE %I FROM PUBLIC', current_database()); END $$;
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
REVOKE writ_owner FROM CURRENT_USER;
