-- The passwords of the two logins, from files that the server itself reads: no statement that could be logged
-- holds one, and neither does a command line.

DO $$
DECLARE
  login text;
  secret text;
BEGIN
  FOREACH login IN ARRAY ARRAY['migrator', 'broker'] LOOP
    secret := rtrim(pg_read_file('/run/secrets/' || login || '_password'), E'\r\n');
    IF length(secret) < 16 THEN
      RAISE EXCEPTION 'the secret %_password has fewer than 16 characters', login;
    END IF;
    BEGIN
      EXECUTE format('ALTER ROLE %I PASSWORD %L',
        CASE login WHEN 'migrator' THEN 'writ_migrator' ELSE 'writ_broker_login' END, secret);
    EXCEPTION WHEN OTHERS THEN
      -- The error itself would bring the statement with it.
      RAISE EXCEPTION 'the password of the % login could not be set (%)', login, SQLSTATE;
    END;
  END LOOP;
END $$;
