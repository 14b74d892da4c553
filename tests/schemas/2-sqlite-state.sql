BEGIN TRANSACTION;
CREATE TABLE acks (
	gateway TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	applied_us BIGINT NOT NULL, 
	PRIMARY KEY (gateway, revision)
)
 WITHOUT ROWID

;
CREATE TABLE answered (
	rollout TEXT NOT NULL, 
	sent TEXT NOT NULL, 
	model TEXT NOT NULL, 
	n BIGINT NOT NULL, 
	PRIMARY KEY (rollout, sent, model)
)
 WITHOUT ROWID

;
CREATE TABLE audit (
	id INTEGER NOT NULL, 
	at_us BIGINT NOT NULL, 
	"by" TEXT NOT NULL, 
	what TEXT NOT NULL, 
	rollout TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "audit" VALUES(1,1772366400000000,'ada','flags of chat',NULL);
INSERT INTO "audit" VALUES(2,1772366400000000,'ada','open: openai/atlas-2026-03-01 -> openai/atlas-2026-06-01 on chat','ro_1');
INSERT INTO "audit" VALUES(3,1772366400000000,'ada','apply: pin file e2267e70a11c',NULL);
INSERT INTO "audit" VALUES(4,1772366400000000,'detent','advance: Opened','ro_1');
INSERT INTO "audit" VALUES(5,1772366400000000,'detent','advance: BaselinePassed','ro_1');
INSERT INTO "audit" VALUES(6,1772370000000000,'detent','advance: ShadowPassed','ro_1');
INSERT INTO "audit" VALUES(7,1772373600000000,'detent','advance: StepServed','ro_1');
CREATE TABLE baselines (
	id INTEGER NOT NULL, 
	route TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "baselines" VALUES(1,'chat','d','{"route":"chat","digest":"d","frozen_at":"2026-03-01T12:00:00Z","owner":"o","cases":[{"id":"ca_1","route":"chat","endpoint":"openai_chat","request":"eyJtZXNzYWdlcyI6W119","known_good":"ok","known_good_calls":[],"weight":1.0,"frozen_at":"2026-03-01T12:00:00Z","exchange":null,"recorded_at":null,"api_version":null,"betas":[],"template":"","strata":{},"script":[],"reference":null,"blessed":null,"faulted":"","pinned":"","reserve":false,"probe":"","usage":{"input":null,"cached":null,"output":null,"reasoning":null}}],"version":"","read":0,"since_at":null,"until_at":null,"coverage":1.0,"templates":{},"strata":{},"redacted":{}}');
CREATE TABLE calibrations (
	id INTEGER NOT NULL, 
	judge TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id)
);
CREATE TABLE counters (
	name VARCHAR(40) NOT NULL, 
	n BIGINT NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "counters" VALUES('ingest',0);
INSERT INTO "counters" VALUES('revision',6);
CREATE TABLE decisions (
	id INTEGER NOT NULL, 
	rollout TEXT NOT NULL, 
	at_us BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	evidence BLOB NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "decisions" VALUES(1,'ro_1',1772366400000000,'{"rollout":"ro_1","verb":"advance","reason":"Opened","sentence":"the baseline run begins","at":"2026-03-01T12:00:00Z","evidence_digest":"0c210da91f050fc6eaf03e1e631cdbdcd134e5ecfa237ca4d12ea206f9724d67","numbers":{},"look":null,"unsafe_short_windows":true}',X'7B22726F6C6C6F7574223A22726F5F31222C22677561726473223A5B7B226D6574726963223A226572726F72222C2274616C6C696573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A307D2C7B226D6574726963223A22746F6F6C5F7265747279222C2274616C6C696573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A307D5D2C226578706F73757265223A5B5D2C22626173656C696E65223A6E756C6C2C22736861646F77223A6E756C6C2C226964656E746974795F76696F6C6174696F6E73223A5B5D2C2275736572735F6578706F736564223A302C2275736572735F7365656E223A307D');
INSERT INTO "decisions" VALUES(2,'ro_1',1772366400000000,'{"rollout":"ro_1","verb":"advance","reason":"BaselinePassed","sentence":"no confirmed negative flip among 1 prompt, and no slice is harmed; overall: stable 100.0 %, candidate 100.0 % right over 1 prompt, +0.0 points [-100.0, +100.0], p = 1; 0 lost, 0 won","at":"2026-03-01T12:00:00Z","evidence_digest":"1396323e8bd44451e8657f8b9b81cffb61ae998de1c32977d456682823384b40","numbers":{},"look":null,"unsafe_short_windows":true}',X'7B22726F6C6C6F7574223A22726F5F31222C22677561726473223A5B7B226D6574726963223A226572726F72222C2274616C6C696573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A307D2C7B226D6574726963223A22746F6F6C5F7265747279222C2274616C6C696573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A307D5D2C226578706F73757265223A5B5D2C22626173656C696E65223A7B226361736573223A312C2270656E64696E67223A302C227375737065637473223A302C226572726F7273223A302C226E657665725F7269676874223A302C226E6F745F7265706C617961626C65223A302C226C6F7361626C65223A312C2261745F6C65617374223A312C226D617267696E223A312E302C2270726F626573223A302C2270726F6265735F756E73636F726564223A302C22636F6E6669726D6564223A5B5D2C22706F736974697665223A302C22636F6E74656E745F737461626C65223A312E302C22636F6E74656E745F63616E646964617465223A312E302C226E6F6973655F666C6F6F72223A302E302C226F766572616C6C223A7B226E616D65223A226F766572616C6C222C226361736573223A312C22737461626C65223A312E302C2263616E646964617465223A312E302C22646966666572656E6365223A302E302C226C6F77223A2D312E302C2268696768223A312E302C22705F76616C7565223A312E302C226C6F7374223A302C22776F6E223A302C226861726D6564223A66616C73652C227765696768746564223A302E307D2C22736C69636573223A5B5D2C22737072656164223A6E756C6C2C2272656675736564223A5B5D2C226C6566745F736372697074223A5B5D2C226C656176696E67223A6E756C6C2C226661696C75726573223A6E756C6C2C2277726F6E675F6D6F64656C223A22222C226368616E676573223A7B7D2C227265776F72646564223A302C22626C6573736564223A302E302C227374616C65223A5B5D2C226F7665725F627564676574223A66616C73652C227370656E745F757364223A6E756C6C7D2C22736861646F77223A6E756C6C2C226964656E746974795F76696F6C6174696F6E73223A5B5D2C2275736572735F6578706F736564223A302C2275736572735F7365656E223A307D');
INSERT INTO "decisions" VALUES(3,'ro_1',1772370000000000,'{"rollout":"ro_1","verb":"advance","reason":"ShadowPassed","sentence":"5 pairs scored, no harm","at":"2026-03-01T13:00:00Z","evidence_digest":"d19010a4cc7ae88f8b1414243b04bfa566d5a6a734e29579b37ad5ea0c9b3977","numbers":{},"look":null,"unsafe_short_windows":true}',X'7B22726F6C6C6F7574223A22726F5F31222C22677561726473223A5B7B226D6574726963223A226572726F72222C2274616C6C696573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A307D2C7B226D6574726963223A22746F6F6C5F7265747279222C2274616C6C696573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A307D5D2C226578706F73757265223A5B5D2C22626173656C696E65223A6E756C6C2C22736861646F77223A7B227061697273223A352C22756E73636F726564223A302C226E6F745F636F6D70617261626C65223A302C2263616E6469646174655F6F6E6C79223A302C22737461626C655F6F6E6C79223A302C226368616E676573223A7B7D7D2C226964656E746974795F76696F6C6174696F6E73223A5B5D2C2275736572735F6578706F736564223A302C2275736572735F7365656E223A307D');
INSERT INTO "decisions" VALUES(4,'ro_1',1772373600000000,'{"rollout":"ro_1","verb":"advance","reason":"StepServed","sentence":"time and units served, no harm: on to 50 %","at":"2026-03-01T14:00:00Z","evidence_digest":"5ee63ce8e376189be101df9e642294e18a9e62aa6d3e038dbb85ff7bb2121ac2","numbers":{},"look":null,"unsafe_short_windows":true}',X'7B22726F6C6C6F7574223A22726F5F31222C22677561726473223A5B7B226D6574726963223A226572726F72222C2274616C6C696573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A307D2C7B226D6574726963223A22746F6F6C5F7265747279222C2274616C6C696573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A307D5D2C226578706F73757265223A5B7B22706572696F64223A312C2273706C6974223A302E312C2263616E646964617465223A312C22737461626C65223A327D5D2C22626173656C696E65223A6E756C6C2C22736861646F77223A6E756C6C2C226964656E746974795F76696F6C6174696F6E73223A5B5D2C2275736572735F6578706F736564223A312C2275736572735F7365656E223A337D');
CREATE TABLE exposed (
	rollout TEXT NOT NULL, 
	unit TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	arm TEXT NOT NULL, 
	period BIGINT NOT NULL, 
	first_us BIGINT NOT NULL, 
	saw_candidate BOOLEAN NOT NULL, 
	PRIMARY KEY (rollout, unit)
)
 WITHOUT ROWID

;
INSERT INTO "exposed" VALUES('ro_1','ua','session','stable',1,1772370001000000,0);
INSERT INTO "exposed" VALUES('ro_1','ub','session','candidate',1,1772370003000000,1);
INSERT INTO "exposed" VALUES('ro_1','uc','session','stable',1,1772370005000000,0);
CREATE TABLE exposure_counts (
	rollout TEXT NOT NULL, 
	period BIGINT NOT NULL, 
	arm TEXT NOT NULL, 
	units BIGINT NOT NULL, 
	saw_candidate BIGINT NOT NULL, 
	PRIMARY KEY (rollout, period, arm)
)
 WITHOUT ROWID

;
INSERT INTO "exposure_counts" VALUES('ro_1',1,'candidate',1,1);
INSERT INTO "exposure_counts" VALUES('ro_1',1,'stable',2,0);
CREATE TABLE flags (
	route TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (route)
)
 WITHOUT ROWID

;
INSERT INTO "flags" VALUES('chat',6,'{"route":"chat","revision":6,"stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"rollout":"ro_1","split":0.5,"period":2,"salt":"a secret salt","shadow":0.0,"written_at":"2026-03-01T14:00:00Z"}');
CREATE TABLE gateways (
	gateway TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	applied_us BIGINT NOT NULL, 
	seen_us BIGINT NOT NULL, 
	pid BIGINT NOT NULL, 
	address TEXT NOT NULL, 
	PRIMARY KEY (gateway)
)
 WITHOUT ROWID

;
CREATE TABLE judgements (
	id TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id)
)
 WITHOUT ROWID

;
CREATE TABLE label_counts (
	rollout TEXT NOT NULL, 
	guard TEXT NOT NULL, 
	period BIGINT NOT NULL, 
	slice TEXT NOT NULL, 
	arm TEXT NOT NULL, 
	bucket BIGINT NOT NULL, 
	n BIGINT NOT NULL, 
	PRIMARY KEY (rollout, guard, period, slice, arm, bucket)
)
 WITHOUT ROWID

;
CREATE TABLE manifests (
	id INTEGER NOT NULL, 
	text TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	at_us BIGINT NOT NULL, 
	"by" TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "manifests" VALUES(1,'[providers.openai]
dialect  = "openai"
base_url = "http://127.0.0.1:9/v1"
watcher  = "llm@example.com"
[plans.short]
unsafe_short_windows = true
approve  = []
baseline = { screen = 1, confirm = 4, stable_repeats = 2, fdr = 0.1, cases = 5, at_least = 1, margin = 1.0 }
shadow   = { share = 0.5, at_least = "1h", at_most = "2h", pairs = 2 }
canary   = { steps = [{ share = 0.1, at_least = "1h" }, { share = 0.5, at_least = "1h" }], at_most = "9h" }
soak     = { at_least = "1h", holdback = 0.05 }

[[plans.short.guards]]
metric       = "error"
margin_ratio = 1.5
role         = "prove"

[[plans.short.guards]]
metric       = "tool_retry"
margin_ratio = 1.5
role         = "harm"
[routes.chat]
provider = "openai"
version = "atlas-2026-03-01"
next = "atlas-2026-06-01"
owner = "chat@example.com"
plan = "short"
','e2267e70a11c86306c19eb4339a05c46e8623463cbe40b16b97551acc694aeb3',1772366400000000,'ada');
CREATE TABLE meta (
	name VARCHAR(40) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "meta" VALUES('schema','2');
CREATE TABLE minute_sums (
	minute_us BIGINT NOT NULL, 
	route TEXT NOT NULL, 
	rollout TEXT NOT NULL, 
	role TEXT NOT NULL, 
	arm TEXT NOT NULL, 
	version TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (route, minute_us, rollout, role, arm, version)
)
 WITHOUT ROWID

;
INSERT INTO "minute_sums" VALUES(1772370000000000,'chat','ro_1','served','candidate','openai/atlas-2026-06-01','{"legs":1,"outcomes":{"timed_out":1},"latency":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"first_byte":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"output_tokens":{"n":0,"total":0.0,"squares":0.0,"sketch":{}}}');
INSERT INTO "minute_sums" VALUES(1772370000000000,'chat','ro_1','served','stable','openai/atlas-2026-03-01','{"legs":2,"outcomes":{"complete":1},"latency":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"first_byte":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"output_tokens":{"n":0,"total":0.0,"squares":0.0,"sketch":{}}}');
CREATE TABLE pairs (
	rollout TEXT NOT NULL, 
	exchange TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (rollout, exchange)
)
 WITHOUT ROWID

;
INSERT INTO "pairs" VALUES('ro_1','ex_0','{"rollout":"ro_1","exchange":"ex_0","stable_passed":true,"candidate_passed":true,"changes":[],"note":""}');
INSERT INTO "pairs" VALUES('ro_1','ex_1','{"rollout":"ro_1","exchange":"ex_1","stable_passed":true,"candidate_passed":true,"changes":[],"note":""}');
INSERT INTO "pairs" VALUES('ro_1','ex_2','{"rollout":"ro_1","exchange":"ex_2","stable_passed":true,"candidate_passed":true,"changes":[],"note":""}');
INSERT INTO "pairs" VALUES('ro_1','ex_3','{"rollout":"ro_1","exchange":"ex_3","stable_passed":true,"candidate_passed":true,"changes":[],"note":""}');
INSERT INTO "pairs" VALUES('ro_1','ex_4','{"rollout":"ro_1","exchange":"ex_4","stable_passed":true,"candidate_passed":true,"changes":[],"note":""}');
CREATE TABLE pins (
	route TEXT NOT NULL, 
	exchange TEXT NOT NULL, 
	at_us BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	recorded TEXT NOT NULL, 
	PRIMARY KEY (route, exchange)
)
 WITHOUT ROWID

;
CREATE TABLE rollouts (
	id TEXT NOT NULL, 
	route TEXT NOT NULL, 
	open BOOLEAN NOT NULL, 
	revision BIGINT NOT NULL, 
	opened_us BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "rollouts" VALUES('ro_1','chat',1,5,1772366400000000,'{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"budget_usd_per_day":25.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0},"soak":{"at_least":3600.0,"holdback":0.05},"drill":{"every":2592000.0},"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove"},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm"}],"unsafe_short_windows":true},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"canary","step":1,"entered_at":"2026-03-01T14:00:00Z","canary_at":"2026-03-01T13:00:00Z","split":0.5,"period":2,"base_rates":{},"looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":5}');
CREATE TABLE runs (
	rollout TEXT NOT NULL, 
	"case" TEXT NOT NULL, 
	arm TEXT NOT NULL, 
	stage TEXT NOT NULL, 
	repeat BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (rollout, "case", arm, stage, repeat)
)
 WITHOUT ROWID

;
INSERT INTO "runs" VALUES('ro_1','ca_1','candidate','screen',0,'{"rollout":"ro_1","case":"ca_1","arm":"candidate","stage":"screen","repeat":0,"passed":true,"content":1.0,"changes":[],"failed_checks":[],"output":"out","error":null,"left_script":"","steps":1,"usage":{"input":null,"cached":null,"output":null,"reasoning":null},"latency_s":null,"model":null,"judged":null,"request_refused":false,"usd":null,"failures":0}');
INSERT INTO "runs" VALUES('ro_1','ca_1','stable','screen',0,'{"rollout":"ro_1","case":"ca_1","arm":"stable","stage":"screen","repeat":0,"passed":true,"content":1.0,"changes":[],"failed_checks":[],"output":"out","error":null,"left_script":"","steps":1,"usage":{"input":null,"cached":null,"output":null,"reasoning":null},"latency_s":null,"model":null,"judged":null,"request_refused":false,"usd":null,"failures":0}');
INSERT INTO "runs" VALUES('ro_1','ca_1','stable','screen',1,'{"rollout":"ro_1","case":"ca_1","arm":"stable","stage":"screen","repeat":1,"passed":true,"content":1.0,"changes":[],"failed_checks":[],"output":"out","error":null,"left_script":"","steps":1,"usage":{"input":null,"cached":null,"output":null,"reasoning":null},"latency_s":null,"model":null,"judged":null,"request_refused":false,"usd":null,"failures":0}');
CREATE TABLE share_periods (
	rollout TEXT NOT NULL, 
	period BIGINT NOT NULL, 
	split FLOAT NOT NULL, 
	from_us BIGINT NOT NULL, 
	until_us BIGINT, 
	PRIMARY KEY (rollout, period)
)
 WITHOUT ROWID

;
INSERT INTO "share_periods" VALUES('ro_1',0,0.0,1772366400000000,1772370000000000);
INSERT INTO "share_periods" VALUES('ro_1',1,0.1,1772370000000000,1772373600000000);
INSERT INTO "share_periods" VALUES('ro_1',2,0.5,1772373600000000,NULL);
CREATE TABLE spools (
	name TEXT NOT NULL, 
	segment BIGINT NOT NULL, 
	"offset" BIGINT NOT NULL, 
	last_us BIGINT NOT NULL, 
	finished BOOLEAN NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "spools" VALUES('gw1-e0c184b50b30',1,2467,1772370006000000,0);
CREATE TABLE units (
	rollout TEXT NOT NULL, 
	unit TEXT NOT NULL, 
	guard TEXT NOT NULL, 
	due_us BIGINT NOT NULL, 
	said BIGINT NOT NULL, 
	events BIGINT NOT NULL, 
	total FLOAT NOT NULL, 
	bucket BIGINT, 
	PRIMARY KEY (rollout, unit, guard)
)
 WITHOUT ROWID

;
INSERT INTO "units" VALUES('ro_1','ua','error',1772370121000000,1,0,0.0,NULL);
INSERT INTO "units" VALUES('ro_1','ua','tool_retry',1772370121000000,1,0,0.0,NULL);
INSERT INTO "units" VALUES('ro_1','ub','error',1772370123000000,1,1,1.0,NULL);
INSERT INTO "units" VALUES('ro_1','ub','tool_retry',1772370123000000,0,0,0.0,NULL);
INSERT INTO "units" VALUES('ro_1','uc','error',1772370125000000,0,0,0.0,NULL);
INSERT INTO "units" VALUES('ro_1','uc','tool_retry',1772370125000000,0,0,0.0,NULL);
CREATE UNIQUE INDEX one_open_rollout ON rollouts (route) WHERE open;
CREATE INDEX ix_decisions_rollout ON decisions (rollout);
CREATE INDEX ix_baselines_route ON baselines (route);
CREATE INDEX units_due ON units (due_us) WHERE bucket IS NULL;
COMMIT;
