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
INSERT INTO "audit" VALUES(3,1772366400000000,'ada','apply: pin file 6dd89db5e1c9',NULL);
INSERT INTO "audit" VALUES(4,1772366400000000,'detent','advance: Opened: the baseline run begins','ro_1');
INSERT INTO "audit" VALUES(5,1772366400000000,'detent','advance: BaselinePassed: no confirmed negative flip among 1 prompt, and no slice is harmed; overall: stable 100.0 %, candidate 100.0 % right over 1 prompt, +0.0 points [-100.0, +100.0], p = 1; 0 lost, 0 won','ro_1');
INSERT INTO "audit" VALUES(6,1772370000000000,'detent','advance: ShadowPassed: 5 pairs scored, no harm; 100.0 % of tomorrow''s traffic that can be mirrored looks like something already compared (95 % interval 47.8 % to 100.0 %)','ro_1');
INSERT INTO "audit" VALUES(7,1772373600000000,'detent','advance: StepServed: time and units served, no harm: on to 50 %','ro_1');
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
INSERT INTO "counters" VALUES('pairs',5);
INSERT INTO "counters" VALUES('revision',6);
CREATE TABLE decisions (
	id INTEGER NOT NULL, 
	rollout TEXT NOT NULL, 
	at_us BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	evidence BLOB NOT NULL, 
	"before" TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "decisions" VALUES(1,'ro_1',1772366400000000,'{"rollout":"ro_1","verb":"advance","reason":"Opened","sentence":"the baseline run begins","at":"2026-03-01T12:00:00Z","evidence_digest":"280741d3a11f8188029ef7d55a048f2576d8546c4f3c1f1fa8fd105903999a5c","numbers":{},"look":null,"unsafe_short_windows":true}',X'7B22726F6C6C6F7574223A22726F5F31222C22677561726473223A5B7B226D6574726963223A226572726F72222C2274616C6C696573223A5B5D2C2276616C756573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A302C2263616E6469646174655F73696C656E74223A302C22737461626C655F73696C656E74223A302C2263616E6469646174655F756E73616964223A302C22737461626C655F756E73616964223A307D2C7B226D6574726963223A22746F6F6C5F7265747279222C2274616C6C696573223A5B5D2C2276616C756573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A302C2263616E6469646174655F73696C656E74223A302C22737461626C655F73696C656E74223A302C2263616E6469646174655F756E73616964223A302C22737461626C655F756E73616964223A307D5D2C226578706F73757265223A5B5D2C22626173656C696E65223A6E756C6C2C22736861646F77223A6E756C6C2C226964656E746974795F76696F6C6174696F6E73223A5B5D2C2275736572735F6578706F736564223A302C2275736572735F7365656E223A307D','{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"second":0.5,"coverage":0.0,"whole_week":true,"harms":["refusal_added","truncated","trailing_artefact","json_broken","schema_violated","key_renamed","key_missing","value_type_changed","unknown_tool","language_switched"],"budget_usd_per_day":null,"tokens_per_day":null,"per_second":null,"judge_usd_per_day":5.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":{"every":2592000.0},"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"proposed","step":0,"entered_at":"2026-03-01T12:00:00Z","canary_at":null,"split":0.0,"period":0,"entered_period":0,"working":{},"declared":{},"prices":{},"watched_s":0.0,"entered_watched_s":0.0,"canary_watched_s":0.0,"aa":false,"unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":1}');
INSERT INTO "decisions" VALUES(2,'ro_1',1772366400000000,'{"rollout":"ro_1","verb":"advance","reason":"BaselinePassed","sentence":"no confirmed negative flip among 1 prompt, and no slice is harmed; overall: stable 100.0 %, candidate 100.0 % right over 1 prompt, +0.0 points [-100.0, +100.0], p = 1; 0 lost, 0 won","at":"2026-03-01T12:00:00Z","evidence_digest":"ebe470a07e709cdf56de36905f540c0b1c9943e1eec519b9d9085a4bbf5901c8","numbers":{},"look":null,"unsafe_short_windows":true}',X'7B22726F6C6C6F7574223A22726F5F31222C22677561726473223A5B7B226D6574726963223A226572726F72222C2274616C6C696573223A5B5D2C2276616C756573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A302C2263616E6469646174655F73696C656E74223A302C22737461626C655F73696C656E74223A302C2263616E6469646174655F756E73616964223A302C22737461626C655F756E73616964223A307D2C7B226D6574726963223A22746F6F6C5F7265747279222C2274616C6C696573223A5B5D2C2276616C756573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A302C2263616E6469646174655F73696C656E74223A302C22737461626C655F73696C656E74223A302C2263616E6469646174655F756E73616964223A302C22737461626C655F756E73616964223A307D5D2C226578706F73757265223A5B5D2C22626173656C696E65223A7B226361736573223A312C2270656E64696E67223A302C227375737065637473223A302C226572726F7273223A302C226E657665725F7269676874223A302C226E6F745F7265706C617961626C65223A302C226C6F7361626C65223A312C2261745F6C65617374223A312C226D617267696E223A312E302C2270726F626573223A302C2270726F6265735F756E73636F726564223A302C22636F6E6669726D6564223A5B5D2C22706F736974697665223A302C22636F6E74656E745F737461626C65223A312E302C22636F6E74656E745F63616E646964617465223A312E302C226E6F6973655F666C6F6F72223A302E302C226F766572616C6C223A7B226E616D65223A226F766572616C6C222C226361736573223A312C22737461626C65223A312E302C2263616E646964617465223A312E302C22646966666572656E6365223A302E302C226C6F77223A2D312E302C2268696768223A312E302C22705F76616C7565223A312E302C226C6F7374223A302C22776F6E223A302C226861726D6564223A66616C73652C227765696768746564223A302E307D2C22736C69636573223A5B5D2C22737072656164223A6E756C6C2C2272656675736564223A5B5D2C226C6566745F736372697074223A5B5D2C226C656176696E67223A6E756C6C2C226661696C75726573223A6E756C6C2C2277726F6E675F6D6F64656C223A22222C226368616E676573223A7B7D2C227265776F72646564223A302C22626C6573736564223A302E302C227374616C65223A5B5D2C226F7665725F627564676574223A66616C73652C227370656E745F757364223A6E756C6C7D2C22736861646F77223A6E756C6C2C226964656E746974795F76696F6C6174696F6E73223A5B5D2C2275736572735F6578706F736564223A302C2275736572735F7365656E223A307D','{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"second":0.5,"coverage":0.0,"whole_week":true,"harms":["refusal_added","truncated","trailing_artefact","json_broken","schema_violated","key_renamed","key_missing","value_type_changed","unknown_tool","language_switched"],"budget_usd_per_day":null,"tokens_per_day":null,"per_second":null,"judge_usd_per_day":5.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":{"every":2592000.0},"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"baseline","step":0,"entered_at":"2026-03-01T12:00:00Z","canary_at":null,"split":0.0,"period":0,"entered_period":0,"working":{},"declared":{},"prices":{},"watched_s":0.0,"entered_watched_s":0.0,"canary_watched_s":0.0,"aa":false,"unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":2}');
INSERT INTO "decisions" VALUES(3,'ro_1',1772370000000000,'{"rollout":"ro_1","verb":"advance","reason":"ShadowPassed","sentence":"5 pairs scored, no harm; 100.0 % of tomorrow''s traffic that can be mirrored looks like something already compared (95 % interval 47.8 % to 100.0 %)","at":"2026-03-01T13:00:00Z","evidence_digest":"450825081413d2925664ca42ebd82d7ab6afdbd156ff1d283b5a29c043ad906e","numbers":{},"look":null,"unsafe_short_windows":true}',X'7B22726F6C6C6F7574223A22726F5F31222C22677561726473223A5B7B226D6574726963223A226572726F72222C2274616C6C696573223A5B5D2C2276616C756573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A302C2263616E6469646174655F73696C656E74223A302C22737461626C655F73696C656E74223A302C2263616E6469646174655F756E73616964223A302C22737461626C655F756E73616964223A307D2C7B226D6574726963223A22746F6F6C5F7265747279222C2274616C6C696573223A5B5D2C2276616C756573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A302C2263616E6469646174655F73696C656E74223A302C22737461626C655F73696C656E74223A302C2263616E6469646174655F756E73616964223A302C22737461626C655F756E73616964223A307D5D2C226578706F73757265223A5B5D2C22626173656C696E65223A6E756C6C2C22736861646F77223A7B227061697273223A352C22756E73636F726564223A302C226E6F745F636F6D70617261626C65223A302C226E6F745F666F6C6C6F776564223A302C2263616E6469646174655F6F6E6C79223A302C22737461626C655F6F6E6C79223A302C226368616E676573223A7B7D2C227365636F6E6473223A352C226669656C6473223A5B7B226669656C64223A22636865636B3A616E737765726564222C226861726D73223A747275652C227061697273223A302C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A2272656675736564222C226861726D73223A747275652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226661696C6564222C226861726D73223A747275652C227061697273223A302C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226A75646765222C226861726D73223A66616C73652C227061697273223A302C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A7265667573616C5F6164646564222C226861726D73223A747275652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A7265667573616C5F72656D6F766564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6C616E67756167655F7377697463686564222C226861726D73223A747275652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A7472756E6361746564222C226861726D73223A747275652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A66656E63655F6164646564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A66656E63655F72656D6F766564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A747261696C696E675F6172746566616374222C226861726D73223A747275652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6B65795F72656E616D6564222C226861726D73223A747275652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6B65795F6D697373696E67222C226861726D73223A747275652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A76616C75655F747970655F6368616E676564222C226861726D73223A747275652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A756E69636F64655F65736361706564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A756E69636F64655F756E65736361706564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6F70656E696E675F746578745F6164646564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A636C6F73696E675F746578745F6164646564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A756E6B6E6F776E5F746F6F6C222C226861726D73223A747275652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6F746865725F746F6F6C5F63616C6C6564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A706172616C6C656C5F63616C6C735F6368616E676564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A746F6F6C5F63616C6C5F72656D6F766564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A746F6F6C5F63616C6C5F6164646564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6F746865725F746F6F6C5F617267756D656E7473222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A737465705F6C696D69745F686974222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6B65795F6164646564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A736368656D615F76696F6C61746564222C226861726D73223A747275652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A66696E6973685F726561736F6E5F6368616E676564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6A736F6E5F62726F6B656E222C226861726D73223A747275652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6A736F6E5F7265706169726564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A616E737765725F73686F7274656E6564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A616E737765725F6C656E677468656E6564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6E756D6265725F666F726D61745F6368616E676564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A646174655F666F726D61745F6368616E676564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6C6973745F7374727563747572655F6368616E676564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6D61726B646F776E5F6164646564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A6D61726B646F776E5F72656D6F766564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A68656467696E675F6164646564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A68656467696E675F72656D6F766564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A756E737570706F727465645F73746174656D656E74222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A666163745F6368616E676564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D2C7B226669656C64223A226368616E67653A746F6B656E735F6368616E676564222C226861726D73223A66616C73652C227061697273223A352C2263616E646964617465223A302C22737461626C65223A302C2274616C6C696573223A5B5D7D5D2C22636F766572616765223A5B7B2264696D656E73696F6E223A22636C617373222C227061697273223A352C22636C6173736573223A312C226F6E6365223A302C227477696365223A307D2C7B2264696D656E73696F6E223A226C616E6775616765222C227061697273223A352C22636C6173736573223A312C226F6E6365223A302C227477696365223A307D2C7B2264696D656E73696F6E223A226C656E677468222C227061697273223A352C22636C6173736573223A312C226F6E6365223A302C227477696365223A307D2C7B2264696D656E73696F6E223A22736368656D61222C227061697273223A352C22636C6173736573223A312C226F6E6365223A302C227477696365223A307D2C7B2264696D656E73696F6E223A22736561736F6E222C227061697273223A352C22636C6173736573223A312C226F6E6365223A302C227477696365223A307D2C7B2264696D656E73696F6E223A2274656D706C617465222C227061697273223A352C22636C6173736573223A312C226F6E6365223A302C227477696365223A307D2C7B2264696D656E73696F6E223A22746F6F6C73222C227061697273223A352C22636C6173736573223A312C226F6E6365223A302C227477696365223A307D5D2C226A7564676564223A302C22706C616E746564223A302C226D6F766564223A307D2C226964656E746974795F76696F6C6174696F6E73223A5B5D2C2275736572735F6578706F736564223A302C2275736572735F7365656E223A307D','{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"second":0.5,"coverage":0.0,"whole_week":true,"harms":["refusal_added","truncated","trailing_artefact","json_broken","schema_violated","key_renamed","key_missing","value_type_changed","unknown_tool","language_switched"],"budget_usd_per_day":null,"tokens_per_day":null,"per_second":null,"judge_usd_per_day":5.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":{"every":2592000.0},"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"shadow","step":0,"entered_at":"2026-03-01T12:00:00Z","canary_at":null,"split":0.0,"period":0,"entered_period":0,"working":{},"declared":{},"prices":{},"watched_s":3600.0,"entered_watched_s":0.0,"canary_watched_s":0.0,"aa":false,"unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":3}');
INSERT INTO "decisions" VALUES(4,'ro_1',1772373600000000,'{"rollout":"ro_1","verb":"advance","reason":"StepServed","sentence":"time and units served, no harm: on to 50 %","at":"2026-03-01T14:00:00Z","evidence_digest":"062fd685f0588cb319cb55e7abaea5005b3acbb19cee125973ca6358ef2fbcfa","numbers":{},"look":null,"unsafe_short_windows":true}',X'7B22726F6C6C6F7574223A22726F5F31222C22677561726473223A5B7B226D6574726963223A226572726F72222C2274616C6C696573223A5B5D2C2276616C756573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A302C2263616E6469646174655F73696C656E74223A302C22737461626C655F73696C656E74223A302C2263616E6469646174655F756E73616964223A302C22737461626C655F756E73616964223A307D2C7B226D6574726963223A22746F6F6C5F7265747279222C2274616C6C696573223A5B5D2C2276616C756573223A5B5D2C2263616E6469646174655F756E73636F726564223A302C22737461626C655F756E73636F726564223A302C2263616E6469646174655F73696C656E74223A302C22737461626C655F73696C656E74223A302C2263616E6469646174655F756E73616964223A302C22737461626C655F756E73616964223A307D5D2C226578706F73757265223A5B7B22706572696F64223A312C2273706C6974223A302E312C2263616E646964617465223A312C22737461626C65223A337D5D2C22626173656C696E65223A6E756C6C2C22736861646F77223A6E756C6C2C226964656E746974795F76696F6C6174696F6E73223A5B5D2C2275736572735F6578706F736564223A312C2275736572735F7365656E223A347D','{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"second":0.5,"coverage":0.0,"whole_week":true,"harms":["refusal_added","truncated","trailing_artefact","json_broken","schema_violated","key_renamed","key_missing","value_type_changed","unknown_tool","language_switched"],"budget_usd_per_day":null,"tokens_per_day":null,"per_second":null,"judge_usd_per_day":5.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":{"every":2592000.0},"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"canary","step":0,"entered_at":"2026-03-01T13:00:00Z","canary_at":"2026-03-01T13:00:00Z","split":0.1,"period":1,"entered_period":1,"working":{},"declared":{},"prices":{},"watched_s":7200.0,"entered_watched_s":3600.0,"canary_watched_s":3600.0,"aa":false,"unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":4}');
CREATE TABLE exposed (
	rollout TEXT NOT NULL, 
	unit TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	arm TEXT NOT NULL, 
	period BIGINT NOT NULL, 
	first_us BIGINT NOT NULL, 
	saw_candidate BOOLEAN NOT NULL, 
	control BOOLEAN, 
	template TEXT, 
	tenant TEXT, 
	region TEXT, 
	returning_user BOOLEAN, 
	language TEXT, 
	language_us BIGINT, 
	PRIMARY KEY (rollout, unit)
)
 WITHOUT ROWID

;
INSERT INTO "exposed" VALUES('ro_1','ua','session','stable',1,1772370001000000,0,0,'t',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "exposed" VALUES('ro_1','ub','session','candidate',1,1772370003000000,1,0,'t',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "exposed" VALUES('ro_1','uc','session','stable',1,1772370005000000,0,0,'t',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "exposed" VALUES('ro_1','um','session','stable',1,1772370007000000,0,0,'t',NULL,NULL,NULL,NULL,NULL);
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
INSERT INTO "exposure_counts" VALUES('ro_1',1,'stable',3,0);
CREATE TABLE flags (
	route TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (route)
)
 WITHOUT ROWID

;
INSERT INTO "flags" VALUES('chat',6,'{"route":"chat","revision":6,"stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"rollout":"ro_1","split":0.5,"control":0.0,"period":2,"salt":"a secret salt","mirror":null,"written_at":"2026-03-01T14:00:00Z"}');
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
shadow   = { share = 0.5, at_least = "1h", at_most = "2h", pairs = 2, coverage = 0, budget_usd_per_day = inf }
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
','6dd89db5e1c9216bfdf89f80b375878ec105a87df9be8dd871e6c555f9fbc4d5',1772366400000000,'ada');
CREATE TABLE meta (
	name VARCHAR(40) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "meta" VALUES('schema','4');
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
INSERT INTO "minute_sums" VALUES(1772370000000000,'chat','ro_1','mirrored','candidate','openai/atlas-2026-06-01','{"legs":1,"outcomes":{"complete":1},"latency":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"first_byte":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"output_tokens":{"n":0,"total":0.0,"squares":0.0,"sketch":{}}}');
INSERT INTO "minute_sums" VALUES(1772370000000000,'chat','ro_1','served','candidate','openai/atlas-2026-06-01','{"legs":1,"outcomes":{"timed_out":1},"latency":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"first_byte":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"output_tokens":{"n":0,"total":0.0,"squares":0.0,"sketch":{}}}');
INSERT INTO "minute_sums" VALUES(1772370000000000,'chat','ro_1','served','stable','openai/atlas-2026-03-01','{"legs":3,"outcomes":{"complete":2},"latency":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"first_byte":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"output_tokens":{"n":0,"total":0.0,"squares":0.0,"sketch":{}}}');
CREATE TABLE not_mirrored (
	rollout TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	why TEXT NOT NULL, 
	n BIGINT NOT NULL, 
	PRIMARY KEY (rollout, reason, why)
)
 WITHOUT ROWID

;
CREATE TABLE pair_judgements (
	rollout TEXT NOT NULL, 
	exchange TEXT NOT NULL, 
	at_us BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (rollout, exchange)
)
 WITHOUT ROWID

;
CREATE TABLE pairs (
	rollout TEXT NOT NULL, 
	exchange TEXT NOT NULL, 
	body TEXT NOT NULL, 
	arrived BIGINT, 
	folded BIGINT, 
	unjudged BIGINT, 
	PRIMARY KEY (rollout, exchange)
)
 WITHOUT ROWID

;
INSERT INTO "pairs" VALUES('ro_1','ex_0','{"rollout":"ro_1","exchange":"ex_0","at_us":1772366400000000,"note":"","scored":["answered","refused"],"stable_failed":[],"candidate_failed":[],"second_failed":[],"compared":[],"candidate_differs":[],"second_differs":[],"diverges":false,"conversation":"co_0","turn":0,"drawn":true,"dimensions":{"tools":"usual","schema":"usual","language":"usual","length":"usual","season":"usual","template":"usual"},"signature":"","chars":0}',0,1,1);
INSERT INTO "pairs" VALUES('ro_1','ex_1','{"rollout":"ro_1","exchange":"ex_1","at_us":1772366400000000,"note":"","scored":["answered","refused"],"stable_failed":[],"candidate_failed":[],"second_failed":[],"compared":[],"candidate_differs":[],"second_differs":[],"diverges":false,"conversation":"co_1","turn":0,"drawn":true,"dimensions":{"tools":"usual","schema":"usual","language":"usual","length":"usual","season":"usual","template":"usual"},"signature":"","chars":0}',1,1,1);
INSERT INTO "pairs" VALUES('ro_1','ex_2','{"rollout":"ro_1","exchange":"ex_2","at_us":1772366400000000,"note":"","scored":["answered","refused"],"stable_failed":[],"candidate_failed":[],"second_failed":[],"compared":[],"candidate_differs":[],"second_differs":[],"diverges":false,"conversation":"co_2","turn":0,"drawn":true,"dimensions":{"tools":"usual","schema":"usual","language":"usual","length":"usual","season":"usual","template":"usual"},"signature":"","chars":0}',2,1,1);
INSERT INTO "pairs" VALUES('ro_1','ex_3','{"rollout":"ro_1","exchange":"ex_3","at_us":1772366400000000,"note":"","scored":["answered","refused"],"stable_failed":[],"candidate_failed":[],"second_failed":[],"compared":[],"candidate_differs":[],"second_differs":[],"diverges":false,"conversation":"co_3","turn":0,"drawn":true,"dimensions":{"tools":"usual","schema":"usual","language":"usual","length":"usual","season":"usual","template":"usual"},"signature":"","chars":0}',3,1,1);
INSERT INTO "pairs" VALUES('ro_1','ex_4','{"rollout":"ro_1","exchange":"ex_4","at_us":1772366400000000,"note":"","scored":["answered","refused"],"stable_failed":[],"candidate_failed":[],"second_failed":[],"compared":[],"candidate_differs":[],"second_differs":[],"diverges":false,"conversation":"co_4","turn":0,"drawn":true,"dimensions":{"tools":"usual","schema":"usual","language":"usual","length":"usual","season":"usual","template":"usual"},"signature":"","chars":0}',4,1,1);
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
INSERT INTO "rollouts" VALUES('ro_1','chat',1,5,1772366400000000,'{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"second":0.5,"coverage":0.0,"whole_week":true,"harms":["refusal_added","truncated","trailing_artefact","json_broken","schema_violated","key_renamed","key_missing","value_type_changed","unknown_tool","language_switched"],"budget_usd_per_day":null,"tokens_per_day":null,"per_second":null,"judge_usd_per_day":5.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":{"every":2592000.0},"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"canary","step":1,"entered_at":"2026-03-01T14:00:00Z","canary_at":"2026-03-01T13:00:00Z","split":0.5,"period":2,"entered_period":2,"working":{},"declared":{},"prices":{},"watched_s":7200.0,"entered_watched_s":7200.0,"canary_watched_s":3600.0,"aa":false,"unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":5}');
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
CREATE TABLE segment_counts (
	rollout TEXT NOT NULL, 
	slice TEXT NOT NULL, 
	guard TEXT NOT NULL, 
	period BIGINT NOT NULL, 
	arm TEXT NOT NULL, 
	bucket BIGINT NOT NULL, 
	n BIGINT NOT NULL, 
	PRIMARY KEY (rollout, slice, guard, period, arm, bucket)
)
 WITHOUT ROWID

;
CREATE TABLE segment_values (
	rollout TEXT NOT NULL, 
	dimension TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (rollout, dimension, value)
)
 WITHOUT ROWID

;
CREATE TABLE shadow_buckets (
	rollout TEXT NOT NULL, 
	bucket TEXT NOT NULL, 
	cluster TEXT NOT NULL, 
	PRIMARY KEY (rollout, bucket)
)
 WITHOUT ROWID

;
CREATE TABLE shadow_classes (
	rollout TEXT NOT NULL, 
	dimension TEXT NOT NULL, 
	value TEXT NOT NULL, 
	n BIGINT NOT NULL, 
	compared BIGINT NOT NULL, 
	PRIMARY KEY (rollout, dimension, value)
)
 WITHOUT ROWID

;
INSERT INTO "shadow_classes" VALUES('ro_1','class','usual · usual · usual · usual',5,5);
INSERT INTO "shadow_classes" VALUES('ro_1','language','usual',5,5);
INSERT INTO "shadow_classes" VALUES('ro_1','length','usual',5,5);
INSERT INTO "shadow_classes" VALUES('ro_1','schema','usual',5,5);
INSERT INTO "shadow_classes" VALUES('ro_1','season','usual',5,5);
INSERT INTO "shadow_classes" VALUES('ro_1','template','usual',5,5);
INSERT INTO "shadow_classes" VALUES('ro_1','tools','usual',5,5);
CREATE TABLE shadow_clusters (
	rollout TEXT NOT NULL, 
	cluster TEXT NOT NULL, 
	signature BLOB NOT NULL, 
	PRIMARY KEY (rollout, cluster)
)
 WITHOUT ROWID

;
CREATE TABLE shadow_conversations (
	rollout TEXT NOT NULL, 
	conversation TEXT NOT NULL, 
	turn BIGINT NOT NULL, 
	diverged BIGINT, 
	met TEXT NOT NULL, 
	PRIMARY KEY (rollout, conversation)
)
 WITHOUT ROWID

;
INSERT INTO "shadow_conversations" VALUES('ro_1','co_0',0,NULL,'{"72b80c2b7b":1,"4c98a6bddc":1,"de4b9eafa3":1,"f9d9739d7e":1,"849d1ead7d":1,"e9e3c0eec8":1,"821040a121":1}');
INSERT INTO "shadow_conversations" VALUES('ro_1','co_1',0,NULL,'{"72b80c2b7b":1,"4c98a6bddc":1,"de4b9eafa3":1,"f9d9739d7e":1,"849d1ead7d":1,"e9e3c0eec8":1,"821040a121":1}');
INSERT INTO "shadow_conversations" VALUES('ro_1','co_2',0,NULL,'{"72b80c2b7b":1,"4c98a6bddc":1,"de4b9eafa3":1,"f9d9739d7e":1,"849d1ead7d":1,"e9e3c0eec8":1,"821040a121":1}');
INSERT INTO "shadow_conversations" VALUES('ro_1','co_3',0,NULL,'{"72b80c2b7b":1,"4c98a6bddc":1,"de4b9eafa3":1,"f9d9739d7e":1,"849d1ead7d":1,"e9e3c0eec8":1,"821040a121":1}');
INSERT INTO "shadow_conversations" VALUES('ro_1','co_4',0,NULL,'{"72b80c2b7b":1,"4c98a6bddc":1,"de4b9eafa3":1,"f9d9739d7e":1,"849d1ead7d":1,"e9e3c0eec8":1,"821040a121":1}');
CREATE TABLE shadow_days (
	rollout TEXT NOT NULL, 
	day_us BIGINT NOT NULL, 
	pairs BIGINT NOT NULL, 
	new_classes BIGINT NOT NULL, 
	new_clusters BIGINT NOT NULL, 
	PRIMARY KEY (rollout, day_us)
)
 WITHOUT ROWID

;
INSERT INTO "shadow_days" VALUES('ro_1',1772323200000000,5,1,0);
CREATE TABLE shadow_fields (
	rollout TEXT NOT NULL, 
	field TEXT NOT NULL, 
	input_class TEXT NOT NULL, 
	pairs BIGINT NOT NULL, 
	candidate BIGINT NOT NULL, 
	stable BIGINT NOT NULL, 
	candidate_only BIGINT NOT NULL, 
	stable_only BIGINT NOT NULL, 
	differs BIGINT NOT NULL, 
	seen BIGINT NOT NULL, 
	first_us BIGINT NOT NULL, 
	slot BIGINT, 
	examples TEXT NOT NULL, 
	PRIMARY KEY (rollout, field, input_class)
)
 WITHOUT ROWID

;
INSERT INTO "shadow_fields" VALUES('ro_1','change:','usual · usual · usual · usual',5,0,0,0,0,0,0,0,NULL,'[]');
INSERT INTO "shadow_fields" VALUES('ro_1','refused','',5,0,0,0,0,0,0,0,NULL,'[]');
INSERT INTO "shadow_fields" VALUES('ro_1','refused','usual · usual · usual · usual',5,0,0,0,0,0,0,0,NULL,'[]');
CREATE TABLE shadow_ledger (
	rollout TEXT NOT NULL, 
	day_us BIGINT NOT NULL, 
	purse TEXT NOT NULL, 
	holder TEXT NOT NULL, 
	usd FLOAT NOT NULL, 
	tokens BIGINT NOT NULL, 
	held_usd FLOAT NOT NULL, 
	held_tokens BIGINT NOT NULL, 
	PRIMARY KEY (rollout, day_us, purse, holder)
)
 WITHOUT ROWID

;
CREATE TABLE shadow_sums (
	rollout TEXT NOT NULL, 
	mark BIGINT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (rollout)
)
 WITHOUT ROWID

;
INSERT INTO "shadow_sums" VALUES('ro_1',1,'{"compared":[{"field":"check:answered","harms":true},{"field":"refused","harms":true},{"field":"failed","harms":true},{"field":"judge","harms":true},{"field":"change:refusal_added","harms":true},{"field":"change:refusal_removed","harms":false},{"field":"change:language_switched","harms":true},{"field":"change:truncated","harms":true},{"field":"change:fence_added","harms":false},{"field":"change:fence_removed","harms":false},{"field":"change:trailing_artefact","harms":true},{"field":"change:key_renamed","harms":true},{"field":"change:key_missing","harms":true},{"field":"change:value_type_changed","harms":true},{"field":"change:unicode_escaped","harms":false},{"field":"change:unicode_unescaped","harms":false},{"field":"change:opening_text_added","harms":false},{"field":"change:closing_text_added","harms":false},{"field":"change:unknown_tool","harms":true},{"field":"change:other_tool_called","harms":false},{"field":"change:parallel_calls_changed","harms":false},{"field":"change:tool_call_removed","harms":false},{"field":"change:tool_call_added","harms":false},{"field":"change:other_tool_arguments","harms":false},{"field":"change:step_limit_hit","harms":false},{"field":"change:key_added","harms":false},{"field":"change:schema_violated","harms":true},{"field":"change:finish_reason_changed","harms":false},{"field":"change:json_broken","harms":true},{"field":"change:json_repaired","harms":false},{"field":"change:answer_shortened","harms":false},{"field":"change:answer_lengthened","harms":false},{"field":"change:number_format_changed","harms":false},{"field":"change:date_format_changed","harms":false},{"field":"change:list_structure_changed","harms":false},{"field":"change:markdown_added","harms":false},{"field":"change:markdown_removed","harms":false},{"field":"change:hedging_added","harms":false},{"field":"change:hedging_removed","harms":false},{"field":"change:unsupported_statement","harms":false},{"field":"change:fact_changed","harms":false},{"field":"change:tokens_changed","harms":false}],"alpha":0.05,"pairs":5,"unscored":0,"went_apart":0,"not_followed":0,"latest_us":1772366400000000,"candidate_only":0,"stable_only":0,"seconds":5,"classes":1,"judged":0,"planted":0,"moved":0,"judge_blocks":false,"slots":{},"met":{"class":{"pairs":5,"classes":1,"once":0,"twice":0},"tools":{"pairs":5,"classes":1,"once":0,"twice":0},"schema":{"pairs":5,"classes":1,"once":0,"twice":0},"language":{"pairs":5,"classes":1,"once":0,"twice":0},"length":{"pairs":5,"classes":1,"once":0,"twice":0},"season":{"pairs":5,"classes":1,"once":0,"twice":0},"template":{"pairs":5,"classes":1,"once":0,"twice":0}},"templates":{"usual":{"turn":0,"conversations":5}}}');
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
INSERT INTO "spools" VALUES('gw1-4c92621b6e44',1,5220,1772370009000000,0);
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
INSERT INTO "units" VALUES('ro_1','um','error',1772370127000000,1,0,0.0,NULL);
INSERT INTO "units" VALUES('ro_1','um','tool_retry',1772370127000000,1,0,0.0,NULL);
CREATE TABLE watched (
	rollout TEXT NOT NULL, 
	watched_us BIGINT NOT NULL, 
	last_us BIGINT NOT NULL, 
	PRIMARY KEY (rollout)
)
 WITHOUT ROWID

;
INSERT INTO "watched" VALUES('ro_1',7200000000,1772373600000000);
CREATE UNIQUE INDEX one_open_rollout ON rollouts (route) WHERE open;
CREATE INDEX ix_decisions_rollout ON decisions (rollout);
CREATE INDEX ix_baselines_route ON baselines (route);
CREATE INDEX pairs_waiting ON pairs (rollout, arrived) WHERE folded = 0;
CREATE INDEX pairs_unjudged ON pairs (rollout, arrived) WHERE unjudged = 1;
CREATE INDEX units_due ON units (due_us) WHERE bucket IS NULL;
COMMIT;
