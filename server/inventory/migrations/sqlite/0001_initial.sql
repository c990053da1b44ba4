-- AUTOINCREMENT: an id is never given twice, even after its row was deleted.
CREATE TABLE revision (latest INTEGER NOT NULL);
INSERT INTO revision (latest) VALUES (0);

CREATE TABLE host (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    machine_key TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    ip TEXT NOT NULL,
    revision INTEGER NOT NULL
);
CREATE INDEX host_revision ON host (revision);

CREATE TABLE host_address (
    ip TEXT NOT NULL,
    host_id INTEGER NOT NULL REFERENCES host (id),
    PRIMARY KEY (ip, host_id)
);

CREATE TABLE agent (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid TEXT NOT NULL UNIQUE,
    host_id INTEGER NOT NULL REFERENCES host (id),
    hostname TEXT NOT NULL,
    version TEXT NOT NULL,
    kernel TEXT NOT NULL,
    arch TEXT NOT NULL,
    os TEXT NOT NULL,
    cpu_count INTEGER NOT NULL,
    memory_bytes INTEGER NOT NULL,
    peer TEXT NOT NULL,
    first_seen_us INTEGER NOT NULL,
    last_seen_us INTEGER NOT NULL,
    revision INTEGER NOT NULL
);
CREATE INDEX agent_revision ON agent (revision);

-- start_time_us: as the kernel has it, or when the process was first named, when start_known is 0.
CREATE TABLE process (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    agent_id INTEGER NOT NULL,
    host_id INTEGER NOT NULL,
    process_id INTEGER NOT NULL,
    start_time_us INTEGER NOT NULL,
    start_known INTEGER NOT NULL,
    ended_us INTEGER NOT NULL,
    name TEXT NOT NULL,
    command_line TEXT NOT NULL,
    executable TEXT NOT NULL,
    container_id TEXT NOT NULL,
    revision INTEGER NOT NULL
);
CREATE INDEX process_of_agent ON process (agent_id, process_id, start_time_us);
CREATE INDEX process_revision ON process (revision);
CREATE INDEX process_ended ON process (ended_us) WHERE ended_us > 0;
