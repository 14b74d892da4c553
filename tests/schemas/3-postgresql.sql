CREATE TABLE public.acks (
    gateway text NOT NULL,
    revision bigint NOT NULL,
    applied_us bigint NOT NULL
);
CREATE TABLE public.answered (
    rollout text NOT NULL,
    sent text NOT NULL,
    model text NOT NULL,
    n bigint NOT NULL
);
CREATE TABLE public.audit (
    id bigint NOT NULL,
    at_us bigint NOT NULL,
    by text NOT NULL,
    what text NOT NULL,
    rollout text
);
CREATE SEQUENCE public.audit_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.audit_id_seq OWNED BY public.audit.id;
CREATE TABLE public.baselines (
    id bigint NOT NULL,
    route text NOT NULL,
    digest text NOT NULL,
    body text NOT NULL
);
CREATE SEQUENCE public.baselines_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.baselines_id_seq OWNED BY public.baselines.id;
CREATE TABLE public.bodies (
    leg text NOT NULL,
    request bytea,
    answer bytea,
    request_digest text
);
CREATE TABLE public.calibrations (
    id bigint NOT NULL,
    judge text NOT NULL,
    digest text NOT NULL,
    body text NOT NULL
);
CREATE SEQUENCE public.calibrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.calibrations_id_seq OWNED BY public.calibrations.id;
CREATE TABLE public.counters (
    name character varying(40) NOT NULL,
    n bigint NOT NULL
);
CREATE TABLE public.decisions (
    id bigint NOT NULL,
    rollout text NOT NULL,
    at_us bigint NOT NULL,
    body text NOT NULL,
    evidence bytea NOT NULL,
    before text
);
CREATE SEQUENCE public.decisions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.decisions_id_seq OWNED BY public.decisions.id;
CREATE TABLE public.exposed (
    rollout text NOT NULL,
    unit text NOT NULL,
    kind text NOT NULL,
    arm text NOT NULL,
    period bigint NOT NULL,
    first_us bigint NOT NULL,
    saw_candidate boolean NOT NULL,
    control boolean,
    template text,
    tenant text,
    region text,
    returning_user boolean,
    language text,
    language_us bigint
);
CREATE TABLE public.exposure_counts (
    rollout text NOT NULL,
    period bigint NOT NULL,
    arm text NOT NULL,
    units bigint NOT NULL,
    saw_candidate bigint NOT NULL
);
CREATE TABLE public.feedback (
    id text NOT NULL,
    origin text NOT NULL,
    at_us bigint NOT NULL,
    metric text NOT NULL,
    value double precision NOT NULL,
    exchange text,
    session text,
    comment text
);
CREATE TABLE public.flags (
    route text NOT NULL,
    revision bigint NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.gateways (
    gateway text NOT NULL,
    revision bigint NOT NULL,
    applied_us bigint NOT NULL,
    seen_us bigint NOT NULL,
    pid bigint NOT NULL,
    address text NOT NULL
);
CREATE TABLE public.judgements (
    id text NOT NULL,
    digest text NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.label_counts (
    rollout text NOT NULL,
    guard text NOT NULL,
    period bigint NOT NULL,
    slice text NOT NULL,
    arm text NOT NULL,
    bucket bigint NOT NULL,
    n bigint NOT NULL
);
CREATE TABLE public.legs (
    leg text NOT NULL,
    spool text NOT NULL,
    exchange text NOT NULL,
    at_us bigint NOT NULL,
    gateway text NOT NULL,
    revision bigint NOT NULL,
    route text,
    rollout text,
    period bigint NOT NULL,
    role text NOT NULL,
    arm text NOT NULL,
    arm_served text NOT NULL,
    why text NOT NULL,
    randomised boolean NOT NULL,
    unit_kind text NOT NULL,
    unit text NOT NULL,
    session text,
    "user" text,
    identity_source text,
    requested text NOT NULL,
    provider text NOT NULL,
    model text NOT NULL,
    endpoint text NOT NULL,
    stream boolean NOT NULL,
    attempt bigint NOT NULL,
    template text NOT NULL,
    api_version text,
    betas text,
    control boolean,
    tenant text,
    region text,
    falls_back boolean,
    outcome text,
    result_us bigint,
    status bigint,
    finish_reason text,
    answered_model text,
    fingerprint text,
    input_tokens bigint,
    cached_tokens bigint,
    output_tokens bigint,
    reasoning_tokens bigint,
    latency_s double precision,
    first_byte_s double precision,
    step bigint,
    tools_called text,
    repeats_call boolean,
    unknown_tool boolean,
    parse text,
    refusal boolean,
    answer_chars bigint,
    language text,
    error text
);
CREATE TABLE public.manifests (
    id bigint NOT NULL,
    text text NOT NULL,
    digest text NOT NULL,
    at_us bigint NOT NULL,
    by text NOT NULL
);
CREATE SEQUENCE public.manifests_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE public.manifests_id_seq OWNED BY public.manifests.id;
CREATE TABLE public.meta (
    name character varying(40) NOT NULL,
    value text NOT NULL
);
CREATE TABLE public.minute_sums (
    minute_us bigint NOT NULL,
    route text NOT NULL,
    rollout text NOT NULL,
    role text NOT NULL,
    arm text NOT NULL,
    version text NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.pairs (
    rollout text NOT NULL,
    exchange text NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.pins (
    route text NOT NULL,
    exchange text NOT NULL,
    at_us bigint NOT NULL,
    body text NOT NULL,
    recorded text NOT NULL
);
CREATE TABLE public.rollouts (
    id text NOT NULL,
    route text NOT NULL,
    open boolean NOT NULL,
    revision bigint NOT NULL,
    opened_us bigint NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.runs (
    rollout text NOT NULL,
    "case" text NOT NULL,
    arm text NOT NULL,
    stage text NOT NULL,
    repeat bigint NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.segment_counts (
    rollout text NOT NULL,
    slice text NOT NULL,
    guard text NOT NULL,
    period bigint NOT NULL,
    arm text NOT NULL,
    bucket bigint NOT NULL,
    n bigint NOT NULL
);
CREATE TABLE public.segment_values (
    rollout text NOT NULL,
    dimension text NOT NULL,
    value text NOT NULL
);
CREATE TABLE public.share_periods (
    rollout text NOT NULL,
    period bigint NOT NULL,
    split double precision NOT NULL,
    from_us bigint NOT NULL,
    until_us bigint
);
CREATE TABLE public.spools (
    name text NOT NULL,
    segment bigint NOT NULL,
    "offset" bigint NOT NULL,
    last_us bigint NOT NULL,
    finished boolean NOT NULL
);
CREATE TABLE public.units (
    rollout text NOT NULL,
    unit text NOT NULL,
    guard text NOT NULL,
    due_us bigint NOT NULL,
    said bigint NOT NULL,
    events bigint NOT NULL,
    total double precision NOT NULL,
    bucket bigint
);
CREATE TABLE public.watched (
    rollout text NOT NULL,
    watched_us bigint NOT NULL,
    last_us bigint NOT NULL
);
ALTER TABLE ONLY public.audit ALTER COLUMN id SET DEFAULT nextval('public.audit_id_seq'::regclass);
ALTER TABLE ONLY public.baselines ALTER COLUMN id SET DEFAULT nextval('public.baselines_id_seq'::regclass);
ALTER TABLE ONLY public.calibrations ALTER COLUMN id SET DEFAULT nextval('public.calibrations_id_seq'::regclass);
ALTER TABLE ONLY public.decisions ALTER COLUMN id SET DEFAULT nextval('public.decisions_id_seq'::regclass);
ALTER TABLE ONLY public.manifests ALTER COLUMN id SET DEFAULT nextval('public.manifests_id_seq'::regclass);
INSERT INTO public.audit VALUES (1, 1772366400000000, 'ada', 'flags of chat', NULL);
INSERT INTO public.audit VALUES (2, 1772366400000000, 'ada', 'open: openai/atlas-2026-03-01 -> openai/atlas-2026-06-01 on chat', 'ro_1');
INSERT INTO public.audit VALUES (3, 1772366400000000, 'ada', 'apply: pin file e2267e70a11c', NULL);
INSERT INTO public.audit VALUES (4, 1772366400000000, 'detent', 'advance: Opened: the baseline run begins', 'ro_1');
INSERT INTO public.audit VALUES (5, 1772366400000000, 'detent', 'advance: BaselinePassed: no confirmed negative flip among 1 prompt, and no slice is harmed; overall: stable 100.0 %, candidate 100.0 % right over 1 prompt, +0.0 points [-100.0, +100.0], p = 1; 0 lost, 0 won', 'ro_1');
INSERT INTO public.audit VALUES (6, 1772370000000000, 'detent', 'advance: ShadowPassed: 5 pairs scored, no harm', 'ro_1');
INSERT INTO public.audit VALUES (7, 1772373600000000, 'detent', 'advance: StepServed: time and units served, no harm: on to 50 %', 'ro_1');
INSERT INTO public.baselines VALUES (1, 'chat', 'd', '{"route":"chat","digest":"d","frozen_at":"2026-03-01T12:00:00Z","owner":"o","cases":[{"id":"ca_1","route":"chat","endpoint":"openai_chat","request":"eyJtZXNzYWdlcyI6W119","known_good":"ok","known_good_calls":[],"weight":1.0,"frozen_at":"2026-03-01T12:00:00Z","exchange":null,"recorded_at":null,"api_version":null,"betas":[],"template":"","strata":{},"script":[],"reference":null,"blessed":null,"faulted":"","pinned":"","reserve":false,"probe":"","usage":{"input":null,"cached":null,"output":null,"reasoning":null}}],"version":"","read":0,"since_at":null,"until_at":null,"coverage":1.0,"templates":{},"strata":{},"redacted":{}}');
INSERT INTO public.bodies VALUES ('le_a', '\x7b226d65737361676573223a5b7b22726f6c65223a2275736572222c22636f6e74656e74223a2268656c6c6f227d5d7d', '\x7b2274657874223a226869227d', '86b5c8fec143c27e098847ce84d8fe8d33b5556b4d6e517e047fe14bd6dccaa5');
INSERT INTO public.counters VALUES ('ingest', 0);
INSERT INTO public.counters VALUES ('revision', 6);
INSERT INTO public.decisions VALUES (1, 'ro_1', 1772366400000000, '{"rollout":"ro_1","verb":"advance","reason":"Opened","sentence":"the baseline run begins","at":"2026-03-01T12:00:00Z","evidence_digest":"280741d3a11f8188029ef7d55a048f2576d8546c4f3c1f1fa8fd105903999a5c","numbers":{},"look":null,"unsafe_short_windows":true}', '\x7b22726f6c6c6f7574223a22726f5f31222c22677561726473223a5b7b226d6574726963223a226572726f72222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d2c7b226d6574726963223a22746f6f6c5f7265747279222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d5d2c226578706f73757265223a5b5d2c22626173656c696e65223a6e756c6c2c22736861646f77223a6e756c6c2c226964656e746974795f76696f6c6174696f6e73223a5b5d2c2275736572735f6578706f736564223a302c2275736572735f7365656e223a307d', '{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"budget_usd_per_day":25.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":{"every":2592000.0},"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"proposed","step":0,"entered_at":"2026-03-01T12:00:00Z","canary_at":null,"split":0.0,"period":0,"entered_period":0,"working":{},"declared":{},"prices":{},"watched_s":0.0,"entered_watched_s":0.0,"canary_watched_s":0.0,"aa":false,"unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":1}');
INSERT INTO public.decisions VALUES (2, 'ro_1', 1772366400000000, '{"rollout":"ro_1","verb":"advance","reason":"BaselinePassed","sentence":"no confirmed negative flip among 1 prompt, and no slice is harmed; overall: stable 100.0 %, candidate 100.0 % right over 1 prompt, +0.0 points [-100.0, +100.0], p = 1; 0 lost, 0 won","at":"2026-03-01T12:00:00Z","evidence_digest":"ebe470a07e709cdf56de36905f540c0b1c9943e1eec519b9d9085a4bbf5901c8","numbers":{},"look":null,"unsafe_short_windows":true}', '\x7b22726f6c6c6f7574223a22726f5f31222c22677561726473223a5b7b226d6574726963223a226572726f72222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d2c7b226d6574726963223a22746f6f6c5f7265747279222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d5d2c226578706f73757265223a5b5d2c22626173656c696e65223a7b226361736573223a312c2270656e64696e67223a302c227375737065637473223a302c226572726f7273223a302c226e657665725f7269676874223a302c226e6f745f7265706c617961626c65223a302c226c6f7361626c65223a312c2261745f6c65617374223a312c226d617267696e223a312e302c2270726f626573223a302c2270726f6265735f756e73636f726564223a302c22636f6e6669726d6564223a5b5d2c22706f736974697665223a302c22636f6e74656e745f737461626c65223a312e302c22636f6e74656e745f63616e646964617465223a312e302c226e6f6973655f666c6f6f72223a302e302c226f766572616c6c223a7b226e616d65223a226f766572616c6c222c226361736573223a312c22737461626c65223a312e302c2263616e646964617465223a312e302c22646966666572656e6365223a302e302c226c6f77223a2d312e302c2268696768223a312e302c22705f76616c7565223a312e302c226c6f7374223a302c22776f6e223a302c226861726d6564223a66616c73652c227765696768746564223a302e307d2c22736c69636573223a5b5d2c22737072656164223a6e756c6c2c2272656675736564223a5b5d2c226c6566745f736372697074223a5b5d2c226c656176696e67223a6e756c6c2c226661696c75726573223a6e756c6c2c2277726f6e675f6d6f64656c223a22222c226368616e676573223a7b7d2c227265776f72646564223a302c22626c6573736564223a302e302c227374616c65223a5b5d2c226f7665725f627564676574223a66616c73652c227370656e745f757364223a6e756c6c7d2c22736861646f77223a6e756c6c2c226964656e746974795f76696f6c6174696f6e73223a5b5d2c2275736572735f6578706f736564223a302c2275736572735f7365656e223a307d', '{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"budget_usd_per_day":25.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":{"every":2592000.0},"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"baseline","step":0,"entered_at":"2026-03-01T12:00:00Z","canary_at":null,"split":0.0,"period":0,"entered_period":0,"working":{},"declared":{},"prices":{},"watched_s":0.0,"entered_watched_s":0.0,"canary_watched_s":0.0,"aa":false,"unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":2}');
INSERT INTO public.decisions VALUES (3, 'ro_1', 1772370000000000, '{"rollout":"ro_1","verb":"advance","reason":"ShadowPassed","sentence":"5 pairs scored, no harm","at":"2026-03-01T13:00:00Z","evidence_digest":"3da8982d1b173b86cb6f4a235a24ff17c5e4914064333fa4910e9625ac1f4878","numbers":{},"look":null,"unsafe_short_windows":true}', '\x7b22726f6c6c6f7574223a22726f5f31222c22677561726473223a5b7b226d6574726963223a226572726f72222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d2c7b226d6574726963223a22746f6f6c5f7265747279222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d5d2c226578706f73757265223a5b5d2c22626173656c696e65223a6e756c6c2c22736861646f77223a7b227061697273223a352c22756e73636f726564223a302c226e6f745f636f6d70617261626c65223a302c2263616e6469646174655f6f6e6c79223a302c22737461626c655f6f6e6c79223a302c226368616e676573223a7b7d7d2c226964656e746974795f76696f6c6174696f6e73223a5b5d2c2275736572735f6578706f736564223a302c2275736572735f7365656e223a307d', '{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"budget_usd_per_day":25.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":{"every":2592000.0},"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"shadow","step":0,"entered_at":"2026-03-01T12:00:00Z","canary_at":null,"split":0.0,"period":0,"entered_period":0,"working":{},"declared":{},"prices":{},"watched_s":3600.0,"entered_watched_s":0.0,"canary_watched_s":0.0,"aa":false,"unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":3}');
INSERT INTO public.decisions VALUES (4, 'ro_1', 1772373600000000, '{"rollout":"ro_1","verb":"advance","reason":"StepServed","sentence":"time and units served, no harm: on to 50 %","at":"2026-03-01T14:00:00Z","evidence_digest":"4979a9d4a475ea45e0b2bef5af14872b48fc440cfd7ce7608d31d4b7279987d2","numbers":{},"look":null,"unsafe_short_windows":true}', '\x7b22726f6c6c6f7574223a22726f5f31222c22677561726473223a5b7b226d6574726963223a226572726f72222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d2c7b226d6574726963223a22746f6f6c5f7265747279222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d5d2c226578706f73757265223a5b7b22706572696f64223a312c2273706c6974223a302e312c2263616e646964617465223a312c22737461626c65223a327d5d2c22626173656c696e65223a6e756c6c2c22736861646f77223a6e756c6c2c226964656e746974795f76696f6c6174696f6e73223a5b5d2c2275736572735f6578706f736564223a312c2275736572735f7365656e223a337d', '{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"budget_usd_per_day":25.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":{"every":2592000.0},"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"canary","step":0,"entered_at":"2026-03-01T13:00:00Z","canary_at":"2026-03-01T13:00:00Z","split":0.1,"period":1,"entered_period":1,"working":{},"declared":{},"prices":{},"watched_s":7200.0,"entered_watched_s":3600.0,"canary_watched_s":3600.0,"aa":false,"unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":4}');
INSERT INTO public.exposed VALUES ('ro_1', 'uc', 'session', 'stable', 1, 1772370005000000, false, false, 't', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.exposed VALUES ('ro_1', 'ub', 'session', 'candidate', 1, 1772370003000000, true, false, 't', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.exposed VALUES ('ro_1', 'ua', 'session', 'stable', 1, 1772370001000000, false, false, 't', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.exposure_counts VALUES ('ro_1', 1, 'stable', 2, 0);
INSERT INTO public.exposure_counts VALUES ('ro_1', 1, 'candidate', 1, 1);
INSERT INTO public.feedback VALUES ('f', 'gw1-ca8226aacd4c:1:2740', 1772370006000000, 'thumbs_down', 1, NULL, 'ua', NULL);
INSERT INTO public.flags VALUES ('chat', 6, '{"route":"chat","revision":6,"stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"rollout":"ro_1","split":0.5,"control":0.0,"period":2,"salt":"a secret salt","shadow":0.0,"written_at":"2026-03-01T14:00:00Z"}');
INSERT INTO public.legs VALUES ('le_c', 'gw1-ca8226aacd4c', 'ex_c', 1772370005000000, 'gw', 1, 'chat', 'ro_1', 1, 'served', 'stable', 'stable', 'split', true, 'session', 'uc', 'uc', NULL, 'x-detent-session-id', 'chat', 'openai', 'atlas-2026-03-01', 'openai_chat', false, 0, 't', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.legs VALUES ('le_a', 'gw1-ca8226aacd4c', 'ex_a', 1772370001000000, 'gw', 1, 'chat', 'ro_1', 1, 'served', 'stable', 'stable', 'split', true, 'session', 'ua', 'ua', NULL, 'x-detent-session-id', 'chat', 'openai', 'atlas-2026-03-01', 'openai_chat', false, 0, 't', NULL, NULL, NULL, NULL, NULL, NULL, 'complete', 1772370002000000, 200, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, 'ok', NULL, NULL, NULL, NULL);
INSERT INTO public.legs VALUES ('le_b', 'gw1-ca8226aacd4c', 'ex_b', 1772370003000000, 'gw', 1, 'chat', 'ro_1', 1, 'served', 'candidate', 'candidate', 'split', true, 'session', 'ub', 'ub', NULL, 'x-detent-session-id', 'chat', 'openai', 'atlas-2026-06-01', 'openai_chat', false, 0, 't', NULL, NULL, NULL, NULL, NULL, NULL, 'timed_out', 1772370004000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.manifests VALUES (1, '[providers.openai]
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
', 'e2267e70a11c86306c19eb4339a05c46e8623463cbe40b16b97551acc694aeb3', 1772366400000000, 'ada');
INSERT INTO public.meta VALUES ('schema', '3');
INSERT INTO public.minute_sums VALUES (1772370000000000, 'chat', 'ro_1', 'served', 'stable', 'openai/atlas-2026-03-01', '{"legs":2,"outcomes":{"complete":1},"latency":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"first_byte":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"output_tokens":{"n":0,"total":0.0,"squares":0.0,"sketch":{}}}');
INSERT INTO public.minute_sums VALUES (1772370000000000, 'chat', 'ro_1', 'served', 'candidate', 'openai/atlas-2026-06-01', '{"legs":1,"outcomes":{"timed_out":1},"latency":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"first_byte":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"output_tokens":{"n":0,"total":0.0,"squares":0.0,"sketch":{}}}');
INSERT INTO public.pairs VALUES ('ro_1', 'ex_0', '{"rollout":"ro_1","exchange":"ex_0","stable_passed":true,"candidate_passed":true,"changes":[],"note":""}');
INSERT INTO public.pairs VALUES ('ro_1', 'ex_1', '{"rollout":"ro_1","exchange":"ex_1","stable_passed":true,"candidate_passed":true,"changes":[],"note":""}');
INSERT INTO public.pairs VALUES ('ro_1', 'ex_2', '{"rollout":"ro_1","exchange":"ex_2","stable_passed":true,"candidate_passed":true,"changes":[],"note":""}');
INSERT INTO public.pairs VALUES ('ro_1', 'ex_3', '{"rollout":"ro_1","exchange":"ex_3","stable_passed":true,"candidate_passed":true,"changes":[],"note":""}');
INSERT INTO public.pairs VALUES ('ro_1', 'ex_4', '{"rollout":"ro_1","exchange":"ex_4","stable_passed":true,"candidate_passed":true,"changes":[],"note":""}');
INSERT INTO public.rollouts VALUES ('ro_1', 'chat', true, 5, 1772366400000000, '{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"budget_usd_per_day":25.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":{"every":2592000.0},"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"canary","step":1,"entered_at":"2026-03-01T14:00:00Z","canary_at":"2026-03-01T13:00:00Z","split":0.5,"period":2,"entered_period":2,"working":{},"declared":{},"prices":{},"watched_s":7200.0,"entered_watched_s":7200.0,"canary_watched_s":3600.0,"aa":false,"unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":5}');
INSERT INTO public.runs VALUES ('ro_1', 'ca_1', 'stable', 'screen', 0, '{"rollout":"ro_1","case":"ca_1","arm":"stable","stage":"screen","repeat":0,"passed":true,"content":1.0,"changes":[],"failed_checks":[],"output":"out","error":null,"left_script":"","steps":1,"usage":{"input":null,"cached":null,"output":null,"reasoning":null},"latency_s":null,"model":null,"judged":null,"request_refused":false,"usd":null,"failures":0}');
INSERT INTO public.runs VALUES ('ro_1', 'ca_1', 'stable', 'screen', 1, '{"rollout":"ro_1","case":"ca_1","arm":"stable","stage":"screen","repeat":1,"passed":true,"content":1.0,"changes":[],"failed_checks":[],"output":"out","error":null,"left_script":"","steps":1,"usage":{"input":null,"cached":null,"output":null,"reasoning":null},"latency_s":null,"model":null,"judged":null,"request_refused":false,"usd":null,"failures":0}');
INSERT INTO public.runs VALUES ('ro_1', 'ca_1', 'candidate', 'screen', 0, '{"rollout":"ro_1","case":"ca_1","arm":"candidate","stage":"screen","repeat":0,"passed":true,"content":1.0,"changes":[],"failed_checks":[],"output":"out","error":null,"left_script":"","steps":1,"usage":{"input":null,"cached":null,"output":null,"reasoning":null},"latency_s":null,"model":null,"judged":null,"request_refused":false,"usd":null,"failures":0}');
INSERT INTO public.share_periods VALUES ('ro_1', 0, 0, 1772366400000000, 1772370000000000);
INSERT INTO public.share_periods VALUES ('ro_1', 1, 0.1, 1772370000000000, 1772373600000000);
INSERT INTO public.share_periods VALUES ('ro_1', 2, 0.5, 1772373600000000, NULL);
INSERT INTO public.spools VALUES ('gw1-ca8226aacd4c', 1, 2740, 1772370006000000, false);
INSERT INTO public.units VALUES ('ro_1', 'uc', 'error', 1772370125000000, 0, 0, 0, NULL);
INSERT INTO public.units VALUES ('ro_1', 'uc', 'tool_retry', 1772370125000000, 0, 0, 0, NULL);
INSERT INTO public.units VALUES ('ro_1', 'ub', 'error', 1772370123000000, 1, 1, 1, NULL);
INSERT INTO public.units VALUES ('ro_1', 'ub', 'tool_retry', 1772370123000000, 0, 0, 0, NULL);
INSERT INTO public.units VALUES ('ro_1', 'ua', 'error', 1772370121000000, 1, 0, 0, NULL);
INSERT INTO public.units VALUES ('ro_1', 'ua', 'tool_retry', 1772370121000000, 1, 0, 0, NULL);
INSERT INTO public.watched VALUES ('ro_1', 7200000000, 1772373600000000);
SELECT pg_catalog.setval('public.audit_id_seq', 7, true);
SELECT pg_catalog.setval('public.baselines_id_seq', 1, true);
SELECT pg_catalog.setval('public.calibrations_id_seq', 1, false);
SELECT pg_catalog.setval('public.decisions_id_seq', 4, true);
SELECT pg_catalog.setval('public.manifests_id_seq', 1, true);
ALTER TABLE ONLY public.acks
    ADD CONSTRAINT acks_pkey PRIMARY KEY (gateway, revision);
ALTER TABLE ONLY public.answered
    ADD CONSTRAINT answered_pkey PRIMARY KEY (rollout, sent, model);
ALTER TABLE ONLY public.audit
    ADD CONSTRAINT audit_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.baselines
    ADD CONSTRAINT baselines_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.bodies
    ADD CONSTRAINT bodies_pkey PRIMARY KEY (leg);
ALTER TABLE ONLY public.calibrations
    ADD CONSTRAINT calibrations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.counters
    ADD CONSTRAINT counters_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.decisions
    ADD CONSTRAINT decisions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.exposed
    ADD CONSTRAINT exposed_pkey PRIMARY KEY (rollout, unit);
ALTER TABLE ONLY public.exposure_counts
    ADD CONSTRAINT exposure_counts_pkey PRIMARY KEY (rollout, period, arm);
ALTER TABLE ONLY public.feedback
    ADD CONSTRAINT feedback_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.flags
    ADD CONSTRAINT flags_pkey PRIMARY KEY (route);
ALTER TABLE ONLY public.gateways
    ADD CONSTRAINT gateways_pkey PRIMARY KEY (gateway);
ALTER TABLE ONLY public.judgements
    ADD CONSTRAINT judgements_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.label_counts
    ADD CONSTRAINT label_counts_pkey PRIMARY KEY (rollout, guard, period, slice, arm, bucket);
ALTER TABLE ONLY public.legs
    ADD CONSTRAINT legs_pkey PRIMARY KEY (leg);
ALTER TABLE ONLY public.manifests
    ADD CONSTRAINT manifests_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.minute_sums
    ADD CONSTRAINT minute_sums_pkey PRIMARY KEY (route, minute_us, rollout, role, arm, version);
ALTER TABLE ONLY public.pairs
    ADD CONSTRAINT pairs_pkey PRIMARY KEY (rollout, exchange);
ALTER TABLE ONLY public.pins
    ADD CONSTRAINT pins_pkey PRIMARY KEY (route, exchange);
ALTER TABLE ONLY public.rollouts
    ADD CONSTRAINT rollouts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (rollout, "case", arm, stage, repeat);
ALTER TABLE ONLY public.segment_counts
    ADD CONSTRAINT segment_counts_pkey PRIMARY KEY (rollout, slice, guard, period, arm, bucket);
ALTER TABLE ONLY public.segment_values
    ADD CONSTRAINT segment_values_pkey PRIMARY KEY (rollout, dimension, value);
ALTER TABLE ONLY public.share_periods
    ADD CONSTRAINT share_periods_pkey PRIMARY KEY (rollout, period);
ALTER TABLE ONLY public.spools
    ADD CONSTRAINT spools_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.units
    ADD CONSTRAINT units_pkey PRIMARY KEY (rollout, unit, guard);
ALTER TABLE ONLY public.watched
    ADD CONSTRAINT watched_pkey PRIMARY KEY (rollout);
CREATE INDEX ix_baselines_route ON public.baselines USING btree (route);
CREATE INDEX ix_decisions_rollout ON public.decisions USING btree (rollout);
CREATE INDEX ix_feedback_exchange ON public.feedback USING btree (exchange);
CREATE INDEX ix_feedback_session ON public.feedback USING btree (session);
CREATE INDEX legs_exchange ON public.legs USING btree (exchange);
CREATE INDEX legs_mirrored ON public.legs USING btree (rollout, result_us) WHERE (role = 'mirrored'::text);
CREATE INDEX legs_route ON public.legs USING btree (route, at_us);
CREATE INDEX legs_session ON public.legs USING btree (session) WHERE (session IS NOT NULL);
CREATE INDEX legs_unresolved ON public.legs USING btree (spool) WHERE ((outcome IS NULL) OR (outcome = 'lost'::text));
CREATE INDEX legs_user ON public.legs USING btree ("user", at_us) WHERE ("user" IS NOT NULL);
CREATE UNIQUE INDEX one_open_rollout ON public.rollouts USING btree (route) WHERE open;
CREATE INDEX units_due ON public.units USING btree (due_us) WHERE (bucket IS NULL);
