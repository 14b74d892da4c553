BEGIN TRANSACTION;
CREATE TABLE bodies (
	leg TEXT NOT NULL, 
	request BLOB, 
	answer BLOB, 
	request_digest TEXT, 
	PRIMARY KEY (leg)
);
INSERT INTO "bodies" VALUES('le_a',X'7B226D65737361676573223A5B7B22726F6C65223A2275736572222C22636F6E74656E74223A2268656C6C6F227D5D7D',X'7B2274657874223A226869227D','86b5c8fec143c27e098847ce84d8fe8d33b5556b4d6e517e047fe14bd6dccaa5');
INSERT INTO "bodies" VALUES('le_x',X'7B226D65737361676573223A5B7B22726F6C65223A2275736572222C22636F6E74656E74223A2268656C6C6F227D5D7D',X'7B2274657874223A226E6577227D','86b5c8fec143c27e098847ce84d8fe8d33b5556b4d6e517e047fe14bd6dccaa5');
INSERT INTO "bodies" VALUES('le_m',X'7B226D65737361676573223A5B7B22726F6C65223A2275736572222C22636F6E74656E74223A2268656C6C6F227D5D7D',X'7B2274657874223A22737461626C65227D','86b5c8fec143c27e098847ce84d8fe8d33b5556b4d6e517e047fe14bd6dccaa5');
INSERT INTO "bodies" VALUES('le_early',X'7B226D65737361676573223A5B7B22726F6C65223A2275736572222C22636F6E74656E74223A2268656C6C6F227D5D7D',X'7B2274657874223A226561726C79227D','86b5c8fec143c27e098847ce84d8fe8d33b5556b4d6e517e047fe14bd6dccaa5');
CREATE TABLE feedback (
	id TEXT NOT NULL, 
	origin TEXT NOT NULL, 
	at_us BIGINT NOT NULL, 
	metric TEXT NOT NULL, 
	value FLOAT NOT NULL, 
	exchange TEXT, 
	session TEXT, 
	comment TEXT, 
	PRIMARY KEY (id)
);
INSERT INTO "feedback" VALUES('f','gw1-3d6eeb389742:1:2779',1772370006000000,'thumbs_down',1.0,NULL,'ua',NULL);
CREATE TABLE legs (
	leg TEXT NOT NULL, 
	spool TEXT NOT NULL, 
	exchange TEXT NOT NULL, 
	at_us BIGINT NOT NULL, 
	gateway TEXT NOT NULL, 
	revision BIGINT NOT NULL, 
	route TEXT, 
	rollout TEXT, 
	period BIGINT NOT NULL, 
	role TEXT NOT NULL, 
	arm TEXT NOT NULL, 
	arm_served TEXT NOT NULL, 
	why TEXT NOT NULL, 
	randomised BOOLEAN NOT NULL, 
	unit_kind TEXT NOT NULL, 
	unit TEXT NOT NULL, 
	session TEXT, 
	user TEXT, 
	identity_source TEXT, 
	requested TEXT NOT NULL, 
	provider TEXT NOT NULL, 
	model TEXT NOT NULL, 
	endpoint TEXT NOT NULL, 
	stream BOOLEAN NOT NULL, 
	attempt BIGINT NOT NULL, 
	template TEXT NOT NULL, 
	api_version TEXT, 
	betas TEXT, 
	control BOOLEAN, 
	tenant TEXT, 
	region TEXT, 
	falls_back BOOLEAN, 
	trace TEXT, 
	outcome TEXT, 
	result_us BIGINT, 
	status BIGINT, 
	finish_reason TEXT, 
	answered_model TEXT, 
	fingerprint TEXT, 
	input_tokens BIGINT, 
	cached_tokens BIGINT, 
	output_tokens BIGINT, 
	reasoning_tokens BIGINT, 
	latency_s FLOAT, 
	first_byte_s FLOAT, 
	step BIGINT, 
	tools_called TEXT, 
	repeats_call BOOLEAN, 
	unknown_tool BOOLEAN, 
	parse TEXT, 
	refusal BOOLEAN, 
	answer_chars BIGINT, 
	language TEXT, 
	error TEXT, 
	graded BOOLEAN, 
	PRIMARY KEY (leg)
);
INSERT INTO "legs" VALUES('le_a','gw1-3d6eeb389742','ex_a',1772370001000000,'gw',1,'chat','ro_1',1,'served','stable','stable','split',1,'session','ua','ua',NULL,'x-detent-session-id','chat','openai','atlas-2026-03-01','openai_chat',0,0,'t',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'complete',1772370002000000,200,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,'ok',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "legs" VALUES('le_b','gw1-3d6eeb389742','ex_b',1772370003000000,'gw',1,'chat','ro_1',1,'served','candidate','candidate','split',1,'session','ub','ub',NULL,'x-detent-session-id','chat','openai','atlas-2026-06-01','openai_chat',0,0,'t',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'timed_out',1772370004000000,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "legs" VALUES('le_c','gw1-3d6eeb389742','ex_c',1772370005000000,'gw',1,'chat','ro_1',1,'served','stable','stable','split',1,'session','uc','uc',NULL,'x-detent-session-id','chat','openai','atlas-2026-03-01','openai_chat',0,0,'t',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
INSERT INTO "legs" VALUES('le_m','gw1-3d6eeb389742','ex_m',1772370007000000,'gw',1,'chat','ro_1',1,'served','stable','stable','split',1,'session','um','um',NULL,'x-detent-session-id','chat','openai','atlas-2026-03-01','openai_chat',0,0,'t',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'complete',1772370008000000,200,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,'ok',NULL,NULL,NULL,NULL,NULL);
INSERT INTO "legs" VALUES('le_x','gw1-3d6eeb389742','ex_m',1772370007100000,'gw',1,'chat','ro_1',1,'mirrored','candidate','candidate','shadow',1,'session','ux','ux',NULL,'x-detent-session-id','chat','openai','atlas-2026-06-01','openai_chat',0,0,'t',NULL,NULL,NULL,NULL,NULL,NULL,NULL,'complete',1772370009000000,200,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,0,NULL,'ok',NULL,NULL,NULL,NULL,NULL);
CREATE TABLE meta (
	name VARCHAR(40) NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (name)
)
 WITHOUT ROWID

;
INSERT INTO "meta" VALUES('schema','5');
CREATE INDEX legs_route ON legs (route, at_us);
CREATE INDEX legs_exchange ON legs (exchange);
CREATE INDEX legs_session ON legs (session) WHERE session IS NOT NULL;
CREATE INDEX legs_unresolved ON legs (spool) WHERE outcome IS NULL OR outcome = 'lost';
CREATE INDEX legs_user ON legs (user, at_us) WHERE user IS NOT NULL;
CREATE INDEX legs_ungraded ON legs (rollout, result_us) WHERE role = 'mirrored' AND graded IS NULL;
CREATE INDEX ix_feedback_exchange ON feedback (exchange);
CREATE INDEX ix_feedback_session ON feedback (session);
COMMIT;
