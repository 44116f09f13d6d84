-- Layout 1. Times are RFC 3339 UTC text of one shape, so that text order is time order.
-- Plain tables, not STRICT ones: SQLite 3.34 (Debian 11) must be able to read them.

CREATE TABLE hosts (
    name      TEXT NOT NULL PRIMARY KEY CHECK (typeof(name) = 'text' AND length(name) BETWEEN 1 AND 253),
    role      TEXT NOT NULL CHECK (role IN ('mailhost', 'relay')),
    added_at  TEXT NOT NULL CHECK (added_at GLOB '????-??-??T??:??:??Z')
) WITHOUT ROWID;

CREATE TABLE certificates (
    serial           TEXT NOT NULL PRIMARY KEY
                     CHECK (typeof(serial) = 'text' AND length(serial) BETWEEN 2 AND 40 AND serial NOT GLOB '*[^0-9a-f]*'),
    host             TEXT NOT NULL CHECK (typeof(host) = 'text' AND length(host) BETWEEN 1 AND 253),
    role             TEXT NOT NULL CHECK (role IN ('ca', 'mailhost', 'relay')),
    -- A DER SEQUENCE, and a blob: PEM text of any kind does not get in.
    certificate_der  BLOB NOT NULL
                     CHECK (typeof(certificate_der) = 'blob' AND length(certificate_der) BETWEEN 64 AND 65536
                            AND substr(certificate_der, 1, 1) = x'30'),
    spki_sha256      TEXT NOT NULL CHECK (length(spki_sha256) = 64 AND spki_sha256 NOT GLOB '*[^0-9a-f]*'),
    not_before       TEXT NOT NULL CHECK (not_before GLOB '????-??-??T??:??:??Z'),
    not_after        TEXT NOT NULL CHECK (not_after GLOB '????-??-??T??:??:??Z'),
    issued_at        TEXT NOT NULL CHECK (issued_at GLOB '????-??-??T??:??:??Z'),
    state            TEXT NOT NULL CHECK (state IN ('live', 'revoked', 'retired'))
);

CREATE INDEX certificates_in_order ON certificates (host, not_after, serial);

CREATE TABLE events (
    id      INTEGER PRIMARY KEY AUTOINCREMENT,
    at      TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??Z'),
    what    TEXT NOT NULL CHECK (length(what) BETWEEN 1 AND 64),
    serial  TEXT REFERENCES certificates (serial) DEFERRABLE INITIALLY DEFERRED,
    host    TEXT CHECK (host IS NULL OR length(host) BETWEEN 1 AND 253),
    -- The words are split so that they can be searched for in a dump without finding this.
    detail  TEXT CHECK (detail IS NULL OR (length(detail) <= 4096 AND instr(detail, 'PRIVATE' || ' KEY') = 0))
);

CREATE TABLE published (
    id  TEXT NOT NULL PRIMARY KEY CHECK (typeof(id) = 'text' AND length(id) BETWEEN 1 AND 64),
    at  TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??Z')
) WITHOUT ROWID;

-- History is kept. The `taken` triggers are there because INSERT OR REPLACE deletes without asking the delete triggers,
-- and they look at the rowid because a row can be replaced by that, too.

CREATE TRIGGER hosts_taken BEFORE INSERT ON hosts
WHEN EXISTS (SELECT 1 FROM hosts WHERE name = NEW.name)
BEGIN SELECT RAISE (ABORT, 'host taken'); END;

CREATE TRIGGER hosts_stay BEFORE DELETE ON hosts
BEGIN SELECT RAISE (ABORT, 'hosts cannot be deleted'); END;

CREATE TRIGGER hosts_unchanged BEFORE UPDATE ON hosts
BEGIN SELECT RAISE (ABORT, 'hosts cannot be changed'); END;

CREATE TRIGGER certificates_taken BEFORE INSERT ON certificates
WHEN EXISTS (SELECT 1 FROM certificates WHERE serial = NEW.serial)
  OR EXISTS (SELECT 1 FROM certificates WHERE rowid = NEW.rowid)
BEGIN SELECT RAISE (ABORT, 'serial taken'); END;

-- Not a foreign key: a CA certificate belongs to the domain, which is no host.
CREATE TRIGGER certificates_of_hosts BEFORE INSERT ON certificates
WHEN NEW.role <> 'ca' AND NOT EXISTS (SELECT 1 FROM hosts WHERE name = NEW.host)
BEGIN SELECT RAISE (ABORT, 'host unknown'); END;

CREATE TRIGGER certificates_stay BEFORE DELETE ON certificates
BEGIN SELECT RAISE (ABORT, 'certificates cannot be deleted'); END;

CREATE TRIGGER certificates_unchanged BEFORE UPDATE ON certificates
WHEN NEW.rowid IS NOT OLD.rowid
  OR NEW.serial IS NOT OLD.serial OR NEW.host IS NOT OLD.host OR NEW.role IS NOT OLD.role
  OR NEW.certificate_der IS NOT OLD.certificate_der OR NEW.spki_sha256 IS NOT OLD.spki_sha256
  OR NEW.not_before IS NOT OLD.not_before OR NEW.not_after IS NOT OLD.not_after OR NEW.issued_at IS NOT OLD.issued_at
BEGIN SELECT RAISE (ABORT, 'of a certificate only the state can be changed'); END;

CREATE TRIGGER certificates_revoked BEFORE UPDATE OF state ON certificates
WHEN OLD.state = 'revoked' AND NEW.state <> 'revoked'
BEGIN SELECT RAISE (ABORT, 'revoked is final'); END;

CREATE TRIGGER events_taken BEFORE INSERT ON events
WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id)
BEGIN SELECT RAISE (ABORT, 'event taken'); END;

CREATE TRIGGER events_stay BEFORE DELETE ON events
BEGIN SELECT RAISE (ABORT, 'events cannot be deleted'); END;

CREATE TRIGGER events_unchanged BEFORE UPDATE ON events
BEGIN SELECT RAISE (ABORT, 'events cannot be changed'); END;

CREATE TRIGGER published_taken BEFORE INSERT ON published
WHEN EXISTS (SELECT 1 FROM published WHERE id = NEW.id)
BEGIN SELECT RAISE (ABORT, 'id taken'); END;

CREATE TRIGGER published_stay BEFORE DELETE ON published
BEGIN SELECT RAISE (ABORT, 'published ids cannot be deleted'); END;

CREATE TRIGGER published_unchanged BEFORE UPDATE ON published
BEGIN SELECT RAISE (ABORT, 'published ids cannot be changed'); END;
