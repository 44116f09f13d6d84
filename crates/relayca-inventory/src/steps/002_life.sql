-- Layout 2: the years after the first certificate. Phases of CA certificates, when and why a certificate was revoked,
-- when one is to be retired, and the revocation lists that were signed.
-- As in layout 1, the triggers hold for the sqlite3 command too, which leaves foreign keys unchecked unless told.

CREATE TABLE authorities (
    serial  TEXT NOT NULL PRIMARY KEY REFERENCES certificates (serial),
    phase   TEXT NOT NULL CHECK (phase IN ('prepared', 'active', 'outgoing', 'retired'))
) WITHOUT ROWID;

CREATE UNIQUE INDEX authorities_one_prepared ON authorities (phase) WHERE phase = 'prepared';
CREATE UNIQUE INDEX authorities_one_active ON authorities (phase) WHERE phase = 'active';
CREATE UNIQUE INDEX authorities_one_outgoing ON authorities (phase) WHERE phase = 'outgoing';

-- One row to each certificate in the state `revoked`, and none else.
CREATE TABLE revocations (
    serial  TEXT NOT NULL PRIMARY KEY REFERENCES certificates (serial),
    at      TEXT NOT NULL CHECK (at GLOB '????-??-??T??:??:??Z'),
    -- RFC 5280, 5.3.1, without those that can be taken back or that name what relayca does not have.
    reason  TEXT NOT NULL CHECK (reason IN ('unspecified', 'keyCompromise', 'cACompromise', 'affiliationChanged',
                                            'superseded', 'cessationOfOperation', 'privilegeWithdrawn'))
) WITHOUT ROWID;

-- A plan: from `due` on, the certificate is no longer listed. Free to change until the certificate is no longer live.
CREATE TABLE retirements (
    serial  TEXT NOT NULL PRIMARY KEY REFERENCES certificates (serial),
    due     TEXT NOT NULL CHECK (due GLOB '????-??-??T??:??:??Z')
) WITHOUT ROWID;

CREATE TABLE crls (
    number       INTEGER NOT NULL PRIMARY KEY CHECK (number >= 0),
    authority    TEXT NOT NULL REFERENCES certificates (serial),
    this_update  TEXT NOT NULL CHECK (this_update GLOB '????-??-??T??:??:??Z'),
    next_update  TEXT NOT NULL CHECK (next_update GLOB '????-??-??T??:??:??Z' AND next_update > this_update),
    crl_der      BLOB NOT NULL
                 CHECK (typeof(crl_der) = 'blob' AND length(crl_der) BETWEEN 64 AND 16777216
                        AND substr(crl_der, 1, 1) = x'30')
);

CREATE INDEX crls_of_authorities ON crls (authority, number);

-- What layout 1 knew. It had one CA certificate; should there be more, the newest is the one at work.

INSERT INTO authorities (serial, phase)
SELECT serial, CASE WHEN row_number() OVER (ORDER BY issued_at DESC, rowid DESC) = 1 THEN 'active' ELSE 'retired' END
FROM certificates WHERE role = 'ca';

-- Of the events, `max(id)` picks the row that `at` is taken from.
INSERT INTO revocations (serial, at, reason)
SELECT c.serial, coalesce(e.at, c.issued_at), 'unspecified'
FROM certificates AS c
LEFT JOIN (SELECT serial, at, max(id) FROM events WHERE what = 'revoke' GROUP BY serial) AS e ON e.serial = c.serial
WHERE c.state = 'revoked';

CREATE TRIGGER authorities_taken BEFORE INSERT ON authorities
WHEN EXISTS (SELECT 1 FROM authorities WHERE serial = NEW.serial)
BEGIN SELECT RAISE (ABORT, 'authority taken'); END;

CREATE TRIGGER authorities_of_cas BEFORE INSERT ON authorities
WHEN NOT EXISTS (SELECT 1 FROM certificates WHERE serial = NEW.serial AND role = 'ca')
BEGIN SELECT RAISE (ABORT, 'no such authority'); END;

-- The indexes above would let OR REPLACE delete the row that is in the way.
CREATE TRIGGER authorities_one_each BEFORE INSERT ON authorities
WHEN NEW.phase <> 'retired' AND EXISTS (SELECT 1 FROM authorities WHERE phase = NEW.phase)
BEGIN SELECT RAISE (ABORT, 'phase taken'); END;

CREATE TRIGGER authorities_one_each_still BEFORE UPDATE ON authorities
WHEN NEW.phase <> 'retired'
 AND EXISTS (SELECT 1 FROM authorities WHERE phase = NEW.phase AND serial <> OLD.serial)
BEGIN SELECT RAISE (ABORT, 'phase taken'); END;

CREATE TRIGGER authorities_forward BEFORE UPDATE ON authorities
WHEN NEW.phase IS NOT OLD.phase
 AND OLD.phase || '>' || NEW.phase NOT IN ('prepared>active', 'active>outgoing', 'outgoing>retired', 'prepared>retired')
BEGIN SELECT RAISE (ABORT, 'phases only go forward'); END;

CREATE TRIGGER authorities_unchanged BEFORE UPDATE ON authorities
WHEN NEW.serial IS NOT OLD.serial
BEGIN SELECT RAISE (ABORT, 'of an authority only the phase can be changed'); END;

CREATE TRIGGER authorities_stay BEFORE DELETE ON authorities
BEGIN SELECT RAISE (ABORT, 'authorities cannot be deleted'); END;

CREATE TRIGGER revocations_taken BEFORE INSERT ON revocations
WHEN EXISTS (SELECT 1 FROM revocations WHERE serial = NEW.serial)
BEGIN SELECT RAISE (ABORT, 'revoked already'); END;

CREATE TRIGGER revocations_of_certificates BEFORE INSERT ON revocations
WHEN NOT EXISTS (SELECT 1 FROM certificates WHERE serial = NEW.serial)
BEGIN SELECT RAISE (ABORT, 'serial unknown'); END;

CREATE TRIGGER revocations_unchanged BEFORE UPDATE ON revocations
BEGIN SELECT RAISE (ABORT, 'revocations cannot be changed'); END;

CREATE TRIGGER revocations_stay BEFORE DELETE ON revocations
BEGIN SELECT RAISE (ABORT, 'revocations cannot be deleted'); END;

-- State and revocation come together, whichever is written first.

CREATE TRIGGER revocations_mark AFTER INSERT ON revocations
BEGIN UPDATE certificates SET state = 'revoked' WHERE serial = NEW.serial AND state <> 'revoked'; END;

CREATE TRIGGER certificates_revoke AFTER UPDATE OF state ON certificates
WHEN NEW.state = 'revoked' AND NOT EXISTS (SELECT 1 FROM revocations WHERE serial = NEW.serial)
BEGIN
    INSERT INTO revocations (serial, at, reason)
    VALUES (NEW.serial, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), 'unspecified');
END;

-- Entered as revoked, nobody knows since when: never good, then.
CREATE TRIGGER certificates_revoked_before AFTER INSERT ON certificates
WHEN NEW.state = 'revoked'
BEGIN
    INSERT INTO revocations (serial, at, reason) VALUES (NEW.serial, NEW.issued_at, 'unspecified');
END;

CREATE TRIGGER retirements_of_live BEFORE INSERT ON retirements
WHEN NOT EXISTS (SELECT 1 FROM certificates WHERE serial = NEW.serial AND state = 'live')
BEGIN SELECT RAISE (ABORT, 'not live'); END;

CREATE TRIGGER retirements_unchanged BEFORE UPDATE ON retirements
WHEN NEW.serial IS NOT OLD.serial
  OR NOT EXISTS (SELECT 1 FROM certificates WHERE serial = OLD.serial AND state = 'live')
BEGIN SELECT RAISE (ABORT, 'a retirement can be changed only while its certificate is live'); END;

CREATE TRIGGER retirements_stay BEFORE DELETE ON retirements
WHEN NOT EXISTS (SELECT 1 FROM certificates WHERE serial = OLD.serial AND state = 'live')
BEGIN SELECT RAISE (ABORT, 'a retirement can be deleted only while its certificate is live'); END;

-- RFC 5280, 5.2.3: the numbers of an authority rise. One sequence for all of them does that, too.
CREATE TRIGGER crls_taken BEFORE INSERT ON crls
WHEN EXISTS (SELECT 1 FROM crls WHERE number >= NEW.number)
BEGIN SELECT RAISE (ABORT, 'number taken'); END;

CREATE TRIGGER crls_of_cas BEFORE INSERT ON crls
WHEN NOT EXISTS (SELECT 1 FROM certificates WHERE serial = NEW.authority AND role = 'ca')
BEGIN SELECT RAISE (ABORT, 'no such authority'); END;

CREATE TRIGGER crls_unchanged BEFORE UPDATE ON crls
BEGIN SELECT RAISE (ABORT, 'revocation lists cannot be changed'); END;

CREATE TRIGGER crls_stay BEFORE DELETE ON crls
BEGIN SELECT RAISE (ABORT, 'revocation lists cannot be deleted'); END;
