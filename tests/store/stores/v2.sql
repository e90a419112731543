-- A store of state version 2, as e2i wrote it before the outbox and attempts had seals: one finished run, one whose process was killed.
BEGIN TRANSACTION;
CREATE TABLE attempts (
    run TEXT NOT NULL, step TEXT NOT NULL, started_ms INTEGER NOT NULL, attempt INTEGER NOT NULL,
    ended_ms INTEGER NOT NULL, seconds REAL NOT NULL, error TEXT, PRIMARY KEY (run, step, started_ms, attempt)
) WITHOUT ROWID;
INSERT INTO "attempts" VALUES('20261101-080000-aaaaaa','broken',1761984000100,1,1761984000900,0.8,'{"code":"asked-to-fail","message":"asked to fail","hint":null,"details":null}');
INSERT INTO "attempts" VALUES('20261101-080000-aaaaaa','first',1761984000100,1,1761984000900,0.8,NULL);
INSERT INTO "attempts" VALUES('20261101-080000-aaaaaa','second',1761984000100,1,1761984000900,0.8,NULL);
CREATE TABLE claims (
    fingerprint TEXT PRIMARY KEY, run TEXT NOT NULL, step TEXT NOT NULL, holder TEXT NOT NULL, at_ms INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE damaged (what TEXT NOT NULL, name TEXT NOT NULL, content TEXT NOT NULL, at_ms INTEGER NOT NULL);
CREATE TABLE latest (
    pipeline TEXT NOT NULL, step TEXT NOT NULL, fingerprint TEXT NOT NULL, PRIMARY KEY (pipeline, step)
) WITHOUT ROWID;
INSERT INTO "latest" VALUES('old','first','sha256:472391efa50daa35a68057f7fa72b489c4bf063a45b604c400dde1f0c203fe0d');
INSERT INTO "latest" VALUES('old','second','sha256:ee7b2fb9d21ae05e0a5163c55a69f7c9eed2c360ff268cc765f651dbd2355c1d');
CREATE TABLE outbox (
    sequence INTEGER PRIMARY KEY,
    sink TEXT NOT NULL,
    key TEXT NOT NULL,
    run TEXT NOT NULL,
    kind TEXT NOT NULL,
    body TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'set-aside')),
    reason TEXT,
    UNIQUE (sink, key)
);
INSERT INTO "outbox" VALUES(1,'mlflow','20261101-090000-bbbbbb/1/1','20261101-090000-bbbbbb','run.started','{}','waiting',NULL);
INSERT INTO "outbox" VALUES(2,'opik','20261101-080000-aaaaaa/first/metric/1','20261101-080000-aaaaaa','metric','{"name":"auc","step":"first","value":0.75}','delivered',NULL);
INSERT INTO "outbox" VALUES(3,'mlflow','20261101-080000-aaaaaa/first/metric/1','20261101-080000-aaaaaa','metric','null','delivered',NULL);
CREATE TABLE outbox_couriers (sink TEXT PRIMARY KEY, holder TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE pins (run TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE results (
    fingerprint TEXT PRIMARY KEY, static_key TEXT NOT NULL, uses TEXT NOT NULL, components TEXT NOT NULL,
    outputs TEXT NOT NULL, telemetry TEXT NOT NULL, run TEXT NOT NULL, created_ms INTEGER NOT NULL,
    seal TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
INSERT INTO "results" VALUES('sha256:472391efa50daa35a68057f7fa72b489c4bf063a45b604c400dde1f0c203fe0d','sha256:773d53c6af5d919e13ec2fe494f346c0648192684befce7327f3a4b5663da996','debug.echo','{"action":"debug.echo","version":1,"with":{"value":3},"params":{"value":3},"files":{},"libraries":{},"python":"3.11","seed":0}','{"value":3}','[]','20261101-080000-aaaaaa',1761984000900,'c9c286207c81da69');
INSERT INTO "results" VALUES('sha256:ee7b2fb9d21ae05e0a5163c55a69f7c9eed2c360ff268cc765f651dbd2355c1d','sha256:96f6580c2e9dbef31a7dfe3fed024efc83e8aaca4e7803898dc362c5cbd3ed2c','debug.echo','{"action":"debug.echo","version":1,"with":{"value":["${{ steps.first.value }}",7]},"params":{"value":[3,7]},"files":{},"libraries":{},"python":"3.11","seed":0}','{"value":[3,7]}','[]','20261101-080000-aaaaaa',1761984000900,'f8ab6ad0fa754fe2');
CREATE TABLE runs (
    run TEXT PRIMARY KEY, pipeline TEXT NOT NULL, status TEXT NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER,
    holder TEXT NOT NULL, file TEXT NOT NULL, spec TEXT NOT NULL, profile TEXT NOT NULL, params TEXT NOT NULL,
    plan TEXT NOT NULL, outputs TEXT, host TEXT NOT NULL DEFAULT '', parts TEXT NOT NULL DEFAULT '{}',
    options TEXT NOT NULL DEFAULT '{}', provenance TEXT NOT NULL DEFAULT '{}', seal TEXT NOT NULL DEFAULT ''
);
INSERT INTO "runs" VALUES('20261101-080000-aaaaaa','old','succeeded',1761984000000,1761984001000,'4000000:100:00000000-0000-0000-0000-000000000000','specs.yaml','version: 1
name: old
params:
  n: {type: integer, default: 3}
steps:
  first: {uses: debug.echo, with: {value: "${{ params.n }}"}}
  second: {uses: debug.echo, with: {value: ["${{ steps.first.value }}", 7]}}
  broken: {uses: debug.fail, needs: [second], on_error: continue}
outputs: {all: "${{ steps.second.value }}"}
','default','{"n":3}','{"schema_version":1,"digest":"sha256:7cfc5a94ebfa0d8e5d59ea18f9e617acc624558491458bc56bf70a3b08d0aac0","name":"old","profile":"default","params":{"n":3},"outputs":{"all":"${{ steps.second.value }}"},"steps":[{"id":"first","uses":"debug.echo","needs":[],"verdict":"run","reason":{"code":"never-run","detail":"no finished result of this step is in the store"},"fingerprint":"sha256:472391efa50daa35a68057f7fa72b489c4bf063a45b604c400dde1f0c203fe0d"},{"id":"second","uses":"debug.echo","needs":["first"],"verdict":"run","reason":{"code":"never-run","detail":"no finished result of this step is in the store"},"fingerprint":null},{"id":"broken","uses":"debug.fail","needs":["second"],"verdict":"run","reason":{"code":"never-run","detail":"no finished result of this step is in the store"},"fingerprint":"sha256:98526c7388d2030c01023443f0928a02cc5dd9a8fdf2a849a16031af6c61f3c2"}],"summary":{"run":3,"reuse":0,"deferred":0,"always":0,"skip":0},"bound":{"first":"sha256:1245846156b2667f4e79f39f2946e0fa6cf08e8e70e91a2b513766899e39c948","second":"sha256:92a646d7164ea150722a84f22a2b245b6a41029fb6965c8500d050ea78674249","broken":"sha256:e9275d001b3d18a436cc83bf72c9548fbc62328e332725c909c4314def218508"}}','{"all":[3,7]}','','{}','{}','{}','ca3adb916ba43121');
INSERT INTO "runs" VALUES('20261101-090000-bbbbbb','old','running',1761987600000,NULL,'4000000:100:00000000-0000-0000-0000-000000000000','specs.yaml','version: 1
name: old
params:
  n: {type: integer, default: 3}
steps:
  first: {uses: debug.echo, with: {value: "${{ params.n }}"}}
  second: {uses: debug.echo, with: {value: ["${{ steps.first.value }}", 7]}}
  broken: {uses: debug.fail, needs: [second], on_error: continue}
outputs: {all: "${{ steps.second.value }}"}
','default','{"n":3}','{"schema_version":1,"digest":"sha256:7cfc5a94ebfa0d8e5d59ea18f9e617acc624558491458bc56bf70a3b08d0aac0","name":"old","profile":"default","params":{"n":3},"outputs":{"all":"${{ steps.second.value }}"},"steps":[{"id":"first","uses":"debug.echo","needs":[],"verdict":"run","reason":{"code":"never-run","detail":"no finished result of this step is in the store"},"fingerprint":"sha256:472391efa50daa35a68057f7fa72b489c4bf063a45b604c400dde1f0c203fe0d"},{"id":"second","uses":"debug.echo","needs":["first"],"verdict":"run","reason":{"code":"never-run","detail":"no finished result of this step is in the store"},"fingerprint":null},{"id":"broken","uses":"debug.fail","needs":["second"],"verdict":"run","reason":{"code":"never-run","detail":"no finished result of this step is in the store"},"fingerprint":"sha256:98526c7388d2030c01023443f0928a02cc5dd9a8fdf2a849a16031af6c61f3c2"}],"summary":{"run":3,"reuse":0,"deferred":0,"always":0,"skip":0},"bound":{"first":"sha256:1245846156b2667f4e79f39f2946e0fa6cf08e8e70e91a2b513766899e39c948","second":"sha256:92a646d7164ea150722a84f22a2b245b6a41029fb6965c8500d050ea78674249","broken":"sha256:e9275d001b3d18a436cc83bf72c9548fbc62328e332725c909c4314def218508"}}',NULL,'','{}','{}','{}','e6fe5be38b86ea17');
CREATE TABLE steps (
    run TEXT NOT NULL, step TEXT NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    started_ms INTEGER, ended_ms INTEGER, fingerprint TEXT, outputs TEXT, error TEXT, note TEXT NOT NULL DEFAULT '',
    seal TEXT NOT NULL DEFAULT '', PRIMARY KEY (run, step)
) WITHOUT ROWID;
INSERT INTO "steps" VALUES('20261101-080000-aaaaaa','broken','failed',1,1761984000100,1761984000900,'sha256:98526c7388d2030c01023443f0928a02cc5dd9a8fdf2a849a16031af6c61f3c2','null','{"code":"asked-to-fail","message":"asked to fail","hint":null,"details":null}','','9876e5701018b319');
INSERT INTO "steps" VALUES('20261101-080000-aaaaaa','first','succeeded',1,1761984000100,1761984000900,'sha256:472391efa50daa35a68057f7fa72b489c4bf063a45b604c400dde1f0c203fe0d','{"value":3}',NULL,'','0c29d2ee3fb4cc9f');
INSERT INTO "steps" VALUES('20261101-080000-aaaaaa','second','succeeded',1,1761984000100,1761984000900,'sha256:ee7b2fb9d21ae05e0a5163c55a69f7c9eed2c360ff268cc765f651dbd2355c1d','{"value":[3,7]}',NULL,'','4e6474ee8574db77');
INSERT INTO "steps" VALUES('20261101-090000-bbbbbb','first','running',1,1761987600100,NULL,NULL,NULL,NULL,'','88522ed06481357b');
CREATE INDEX runs_by_time ON runs (started_ms);
CREATE INDEX results_by_static_key ON results (static_key);
CREATE INDEX runs_open ON runs (run) WHERE status = 'running';
CREATE INDEX outbox_unfinished ON outbox (state, sink, sequence) WHERE state != 'delivered';
COMMIT;
PRAGMA user_version = 2;
