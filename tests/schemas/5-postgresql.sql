CREATE TABLE public.acks (
    gateway text NOT NULL,
    revision bigint NOT NULL,
    applied_us bigint NOT NULL
);
CREATE TABLE public.alerts (
    id text NOT NULL,
    at_us bigint NOT NULL,
    kind text NOT NULL,
    about text NOT NULL,
    pages boolean NOT NULL,
    ended_us bigint,
    acknowledged_us bigint,
    acknowledged_by text,
    body text NOT NULL
);
CREATE TABLE public.answered (
    rollout text NOT NULL,
    sent text NOT NULL,
    model text NOT NULL,
    n bigint NOT NULL
);
CREATE TABLE public.approvals (
    id text NOT NULL,
    rollout text NOT NULL,
    stage text NOT NULL,
    revision bigint NOT NULL,
    evidence text NOT NULL,
    by text NOT NULL,
    at_us bigint NOT NULL,
    until_us bigint NOT NULL,
    used_us bigint
);
CREATE TABLE public.audit (
    id bigint NOT NULL,
    at_us bigint NOT NULL,
    by text NOT NULL,
    what text NOT NULL,
    rollout text,
    before text,
    after text,
    evidence text,
    chain text
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
CREATE TABLE public.deliveries (
    alert text NOT NULL,
    channel text NOT NULL,
    tries bigint NOT NULL,
    next_us bigint NOT NULL,
    sent_us bigint,
    error text
);
CREATE TABLE public.drills (
    id text NOT NULL,
    route text NOT NULL,
    at_us bigint NOT NULL,
    ended_us bigint,
    body text NOT NULL
);
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
CREATE TABLE public.former_versions (
    route text NOT NULL,
    version text NOT NULL,
    since_us bigint NOT NULL,
    rollout text NOT NULL,
    retired_us bigint,
    retired_by text,
    why text
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
    trace text,
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
    error text,
    graded boolean
);
CREATE TABLE public.local_orders (
    id text NOT NULL,
    route text NOT NULL,
    gateway text NOT NULL,
    at_us bigint NOT NULL,
    body text NOT NULL
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
CREATE TABLE public.not_mirrored (
    rollout text NOT NULL,
    reason text NOT NULL,
    why text NOT NULL,
    n bigint NOT NULL
);
CREATE TABLE public.pair_judgements (
    rollout text NOT NULL,
    exchange text NOT NULL,
    at_us bigint NOT NULL,
    body text NOT NULL
);
CREATE TABLE public.pairs (
    rollout text NOT NULL,
    exchange text NOT NULL,
    body text NOT NULL,
    arrived bigint,
    folded bigint,
    unjudged bigint
);
CREATE TABLE public.pins (
    route text NOT NULL,
    exchange text NOT NULL,
    at_us bigint NOT NULL,
    body text NOT NULL,
    recorded text NOT NULL
);
CREATE TABLE public.probes (
    route text NOT NULL,
    version text NOT NULL,
    at_us bigint NOT NULL,
    body text NOT NULL
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
CREATE TABLE public.shadow_buckets (
    rollout text NOT NULL,
    bucket text NOT NULL,
    cluster text NOT NULL
);
CREATE TABLE public.shadow_classes (
    rollout text NOT NULL,
    dimension text NOT NULL,
    value text NOT NULL,
    n bigint NOT NULL,
    compared bigint NOT NULL
);
CREATE TABLE public.shadow_clusters (
    rollout text NOT NULL,
    cluster text NOT NULL,
    signature bytea NOT NULL
);
CREATE TABLE public.shadow_conversations (
    rollout text NOT NULL,
    conversation text NOT NULL,
    turn bigint NOT NULL,
    diverged bigint,
    met text NOT NULL
);
CREATE TABLE public.shadow_days (
    rollout text NOT NULL,
    day_us bigint NOT NULL,
    pairs bigint NOT NULL,
    new_classes bigint NOT NULL,
    new_clusters bigint NOT NULL
);
CREATE TABLE public.shadow_fields (
    rollout text NOT NULL,
    field text NOT NULL,
    input_class text NOT NULL,
    pairs bigint NOT NULL,
    candidate bigint NOT NULL,
    stable bigint NOT NULL,
    candidate_only bigint NOT NULL,
    stable_only bigint NOT NULL,
    differs bigint NOT NULL,
    seen bigint NOT NULL,
    first_us bigint NOT NULL,
    slot bigint,
    examples text NOT NULL
);
CREATE TABLE public.shadow_ledger (
    rollout text NOT NULL,
    day_us bigint NOT NULL,
    purse text NOT NULL,
    holder text NOT NULL,
    usd double precision NOT NULL,
    tokens bigint NOT NULL,
    held_usd double precision NOT NULL,
    held_tokens bigint NOT NULL
);
CREATE TABLE public.shadow_sums (
    rollout text NOT NULL,
    mark bigint NOT NULL,
    body text NOT NULL
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
CREATE TABLE public.tokens (
    name text NOT NULL,
    role text NOT NULL,
    digest text NOT NULL,
    by text NOT NULL,
    at_us bigint NOT NULL,
    revoked_us bigint
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
CREATE TABLE public.waivers (
    route text NOT NULL,
    at_us bigint NOT NULL,
    by text NOT NULL,
    why text NOT NULL,
    body text NOT NULL
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
INSERT INTO public.alerts VALUES ('al_0ce0dfda4181', 1772370000000000, 'WayBackUnknown', 'chat', false, NULL, NULL, NULL, '{"id":"al_0ce0dfda4181","at":"2026-03-01T13:00:00Z","kind":"WayBackUnknown","about":"chat","owner":"chat@example.com","sentence":"chat: the way back to openai/atlas-2026-03-01 is not proven: it was never probed: `detent serve` probes it once a minute","hint":"stable is the way back while a rollout is open: mend it, or end the rollout: `detent rollback ro_1`; or go on by name: `detent promote ro_1 --why ...`","pages":false,"lasts":true,"ended_at":null,"acknowledged_at":null,"acknowledged_by":""}');
INSERT INTO public.audit VALUES (1, 1772366400000000, 'ada', 'flags of chat', NULL, NULL, '{"chat":{"route":"chat","revision":1,"stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":null,"rollout":null,"split":0.0,"control":0.0,"period":0,"salt":"","mirror":null,"written_at":null,"lease_s":60.0,"lapsed":false,"drill":null,"draining":null,"rolled_back":null}}', NULL, 'cd7fbbc0c81c00473fc80ae04bf87d3a7f4bcbfc34ca31ad4bae46ff41d4f6ce');
INSERT INTO public.audit VALUES (2, 1772366400000000, 'ada', 'open: openai/atlas-2026-03-01 -> openai/atlas-2026-06-01 on chat', 'ro_1', NULL, '{"rollout":{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"second":0.5,"coverage":0.0,"whole_week":true,"harms":["refusal_added","truncated","trailing_artefact","json_broken","schema_violated","key_renamed","key_missing","value_type_changed","unknown_tool","language_switched"],"budget_usd_per_day":null,"tokens_per_day":null,"per_second":null,"judge_usd_per_day":5.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":null,"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true,"lease":60.0,"runs":"cut","freeze":[]},"salt":"sha256:f4e13cf59ff5e678","opened_at":"2026-03-01T12:00:00Z","phase":"proposed","step":0,"entered_at":"2026-03-01T12:00:00Z","canary_at":null,"split":0.0,"period":0,"entered_period":0,"working":{},"declared":{},"prices":{},"watched_s":0.0,"entered_watched_s":0.0,"canary_watched_s":0.0,"aa":false,"proposed_by":"ada","unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":1}}', NULL, 'a0cb0ba5e92d2ef22d27676486371590e46a7a05426e5661e6f980262e7395d3');
INSERT INTO public.audit VALUES (3, 1772366400000000, 'ada', 'apply: pin file 6dd89db5e1c9', NULL, NULL, '{"pin file":"6dd89db5e1c9216bfdf89f80b375878ec105a87df9be8dd871e6c555f9fbc4d5"}', NULL, '386b18709d57fa5dbb55ba859dc532a69c187b3e032954fad76137fbc057b749');
INSERT INTO public.audit VALUES (4, 1772366400000000, 'detent', 'advance: Opened: the baseline run begins', 'ro_1', '{"rollout":{"phase":"proposed","revision":1},"flag":{"salt":""}}', '{"rollout":{"phase":"baseline","revision":2},"flag":{"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"rollout":"ro_1","salt":"sha256:f4e13cf59ff5e678"}}', 'aff5658d5c1cc4b9235c5971dd101a1115402635f8f5f62a0a6a37d420b5d283', '2b916574954918511e90c6fd62ae709ad63aa9839b469e80dd269e1e9aeae5c6');
INSERT INTO public.audit VALUES (5, 1772366400000000, 'detent', 'advance: BaselinePassed: no confirmed negative flip among 1 prompt, and no slice is harmed; overall: stable 100.0 %, candidate 100.0 % right over 1 prompt, +0.0 points [-100.0, +100.0], p = 1; 0 lost, 0 won', 'ro_1', '{"rollout":{"phase":"baseline","revision":2}}', '{"rollout":{"phase":"shadow","revision":3},"flag":{"mirror":{"share":0.5,"second":0.5,"usd_per_day":null,"tokens_per_day":null,"per_second":null,"stable_price":null,"candidate_price":null}}}', 'beb646939c7a73f33ad1e0fc129ae9924bbaf9d97d156e2261ae2cdfcb020be9', 'a16f1dc67cf8c31954c2c1a21ed34c7c4f147ad1feee704b8ff940d1f386cb3f');
INSERT INTO public.audit VALUES (6, 1772370000000000, 'detent', 'advance: ShadowPassed: 5 pairs scored, no harm; 100.0 % of tomorrow''s traffic that can be mirrored looks like something already compared (95 % interval 47.8 % to 100.0 %)', 'ro_1', '{"rollout":{"phase":"shadow","entered_at":"2026-03-01T12:00:00Z","split":0.0,"period":0,"entered_period":0,"entered_watched_s":0.0,"canary_watched_s":0.0,"revision":3},"flag":{"split":0.0,"period":0,"mirror":{"share":0.5,"second":0.5,"usd_per_day":null,"tokens_per_day":null,"per_second":null,"stable_price":null,"candidate_price":null}}}', '{"rollout":{"phase":"canary","entered_at":"2026-03-01T13:00:00Z","canary_at":"2026-03-01T13:00:00Z","split":0.1,"period":1,"entered_period":1,"entered_watched_s":3600.0,"canary_watched_s":3600.0,"revision":4},"flag":{"split":0.1,"period":1}}', '9d88a22ac35aa034bc2ea3a7e6aca4f9ee8fd2baefbd9471ae1a41a206703c1e', '856d552b9d56fe41d0f17092fced573c31ba5282995df34cb08a7d4b5ad92253');
INSERT INTO public.audit VALUES (7, 1772373600000000, 'detent', 'advance: StepServed: time and units served, no harm: on to 50 %', 'ro_1', '{"rollout":{"step":0,"entered_at":"2026-03-01T13:00:00Z","split":0.1,"period":1,"entered_period":1,"entered_watched_s":3600.0,"revision":4},"flag":{"split":0.1,"period":1}}', '{"rollout":{"step":1,"entered_at":"2026-03-01T14:00:00Z","split":0.5,"period":2,"entered_period":2,"entered_watched_s":7200.0,"revision":5},"flag":{"split":0.5,"period":2}}', 'f26333d5ca84da31454e3d2e3a37d555dad374cff627764d9f63258b91a5ca2a', '2ec8f6919aba8eaad2cd16b0fdb1e0c2006fe1ba28d93adfb17a98f6e49efcc7');
INSERT INTO public.baselines VALUES (1, 'chat', 'd', '{"route":"chat","digest":"d","frozen_at":"2026-03-01T12:00:00Z","owner":"o","cases":[{"id":"ca_1","route":"chat","endpoint":"openai_chat","request":"eyJtZXNzYWdlcyI6W119","known_good":"ok","known_good_calls":[],"weight":1.0,"frozen_at":"2026-03-01T12:00:00Z","exchange":null,"recorded_at":null,"api_version":null,"betas":[],"template":"","strata":{},"script":[],"reference":null,"blessed":null,"faulted":"","pinned":"","reserve":false,"probe":"","usage":{"input":null,"cached":null,"output":null,"reasoning":null}}],"version":"","read":0,"since_at":null,"until_at":null,"coverage":1.0,"templates":{},"strata":{},"redacted":{}}');
INSERT INTO public.bodies VALUES ('le_a', '\x7b226d65737361676573223a5b7b22726f6c65223a2275736572222c22636f6e74656e74223a2268656c6c6f227d5d7d', '\x7b2274657874223a226869227d', '86b5c8fec143c27e098847ce84d8fe8d33b5556b4d6e517e047fe14bd6dccaa5');
INSERT INTO public.bodies VALUES ('le_x', '\x7b226d65737361676573223a5b7b22726f6c65223a2275736572222c22636f6e74656e74223a2268656c6c6f227d5d7d', '\x7b2274657874223a226e6577227d', '86b5c8fec143c27e098847ce84d8fe8d33b5556b4d6e517e047fe14bd6dccaa5');
INSERT INTO public.bodies VALUES ('le_m', '\x7b226d65737361676573223a5b7b22726f6c65223a2275736572222c22636f6e74656e74223a2268656c6c6f227d5d7d', '\x7b2274657874223a22737461626c65227d', '86b5c8fec143c27e098847ce84d8fe8d33b5556b4d6e517e047fe14bd6dccaa5');
INSERT INTO public.bodies VALUES ('le_early', '\x7b226d65737361676573223a5b7b22726f6c65223a2275736572222c22636f6e74656e74223a2268656c6c6f227d5d7d', '\x7b2274657874223a226561726c79227d', '86b5c8fec143c27e098847ce84d8fe8d33b5556b4d6e517e047fe14bd6dccaa5');
INSERT INTO public.counters VALUES ('ingest', 0);
INSERT INTO public.counters VALUES ('pairs', 5);
INSERT INTO public.counters VALUES ('revision', 6);
INSERT INTO public.decisions VALUES (1, 'ro_1', 1772366400000000, '{"rollout":"ro_1","verb":"advance","reason":"Opened","sentence":"the baseline run begins","at":"2026-03-01T12:00:00Z","evidence_digest":"aff5658d5c1cc4b9235c5971dd101a1115402635f8f5f62a0a6a37d420b5d283","numbers":{},"look":null,"unsafe_short_windows":true}', '\x7b22726f6c6c6f7574223a22726f5f31222c22677561726473223a5b7b226d6574726963223a226572726f72222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d2c7b226d6574726963223a22746f6f6c5f7265747279222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d5d2c226578706f73757265223a5b5d2c22626173656c696e65223a6e756c6c2c22736861646f77223a6e756c6c2c226964656e746974795f76696f6c6174696f6e73223a5b5d2c2275736572735f6578706f736564223a302c2275736572735f7365656e223a302c227761795f6261636b223a7b22726f757465223a2263686174222c2276657273696f6e223a7b2270726f7669646572223a226f70656e6169222c226d6f64656c223a2261746c61732d323032362d30332d3031227d2c2270726f76656e5f6174223a6e756c6c2c226c6174656e63795f73223a6e756c6c2c2268656164726f6f6d223a7b7d2c2262726f6b656e223a22222c22756e6b6e6f776e223a22697420776173206e657665722070726f6265643a2060646574656e74207365727665602070726f626573206974206f6e63652061206d696e757465222c22656e64735f6174223a6e756c6c2c226279223a2270726f626573227d7d', '{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"second":0.5,"coverage":0.0,"whole_week":true,"harms":["refusal_added","truncated","trailing_artefact","json_broken","schema_violated","key_renamed","key_missing","value_type_changed","unknown_tool","language_switched"],"budget_usd_per_day":null,"tokens_per_day":null,"per_second":null,"judge_usd_per_day":5.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":null,"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true,"lease":60.0,"runs":"cut","freeze":[]},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"proposed","step":0,"entered_at":"2026-03-01T12:00:00Z","canary_at":null,"split":0.0,"period":0,"entered_period":0,"working":{},"declared":{},"prices":{},"watched_s":0.0,"entered_watched_s":0.0,"canary_watched_s":0.0,"aa":false,"proposed_by":"ada","unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":1}');
INSERT INTO public.decisions VALUES (2, 'ro_1', 1772366400000000, '{"rollout":"ro_1","verb":"advance","reason":"BaselinePassed","sentence":"no confirmed negative flip among 1 prompt, and no slice is harmed; overall: stable 100.0 %, candidate 100.0 % right over 1 prompt, +0.0 points [-100.0, +100.0], p = 1; 0 lost, 0 won","at":"2026-03-01T12:00:00Z","evidence_digest":"beb646939c7a73f33ad1e0fc129ae9924bbaf9d97d156e2261ae2cdfcb020be9","numbers":{},"look":null,"unsafe_short_windows":true}', '\x7b22726f6c6c6f7574223a22726f5f31222c22677561726473223a5b7b226d6574726963223a226572726f72222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d2c7b226d6574726963223a22746f6f6c5f7265747279222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d5d2c226578706f73757265223a5b5d2c22626173656c696e65223a7b226361736573223a312c2270656e64696e67223a302c227375737065637473223a302c226572726f7273223a302c226e657665725f7269676874223a302c226e6f745f7265706c617961626c65223a302c226c6f7361626c65223a312c2261745f6c65617374223a312c226d617267696e223a312e302c2270726f626573223a302c2270726f6265735f756e73636f726564223a302c22636f6e6669726d6564223a5b5d2c22706f736974697665223a302c22636f6e74656e745f737461626c65223a312e302c22636f6e74656e745f63616e646964617465223a312e302c226e6f6973655f666c6f6f72223a302e302c226f766572616c6c223a7b226e616d65223a226f766572616c6c222c226361736573223a312c22737461626c65223a312e302c2263616e646964617465223a312e302c22646966666572656e6365223a302e302c226c6f77223a2d312e302c2268696768223a312e302c22705f76616c7565223a312e302c226c6f7374223a302c22776f6e223a302c226861726d6564223a66616c73652c227765696768746564223a302e307d2c22736c69636573223a5b5d2c22737072656164223a6e756c6c2c2272656675736564223a5b5d2c226c6566745f736372697074223a5b5d2c226c656176696e67223a6e756c6c2c226661696c75726573223a6e756c6c2c2277726f6e675f6d6f64656c223a22222c226368616e676573223a7b7d2c227265776f72646564223a302c22626c6573736564223a302e302c227374616c65223a5b5d2c226f7665725f627564676574223a66616c73652c227370656e745f757364223a6e756c6c7d2c22736861646f77223a6e756c6c2c226964656e746974795f76696f6c6174696f6e73223a5b5d2c2275736572735f6578706f736564223a302c2275736572735f7365656e223a302c227761795f6261636b223a7b22726f757465223a2263686174222c2276657273696f6e223a7b2270726f7669646572223a226f70656e6169222c226d6f64656c223a2261746c61732d323032362d30332d3031227d2c2270726f76656e5f6174223a6e756c6c2c226c6174656e63795f73223a6e756c6c2c2268656164726f6f6d223a7b7d2c2262726f6b656e223a22222c22756e6b6e6f776e223a22697420776173206e657665722070726f6265643a2060646574656e74207365727665602070726f626573206974206f6e63652061206d696e757465222c22656e64735f6174223a6e756c6c2c226279223a2270726f626573227d7d', '{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"second":0.5,"coverage":0.0,"whole_week":true,"harms":["refusal_added","truncated","trailing_artefact","json_broken","schema_violated","key_renamed","key_missing","value_type_changed","unknown_tool","language_switched"],"budget_usd_per_day":null,"tokens_per_day":null,"per_second":null,"judge_usd_per_day":5.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":null,"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true,"lease":60.0,"runs":"cut","freeze":[]},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"baseline","step":0,"entered_at":"2026-03-01T12:00:00Z","canary_at":null,"split":0.0,"period":0,"entered_period":0,"working":{},"declared":{},"prices":{},"watched_s":0.0,"entered_watched_s":0.0,"canary_watched_s":0.0,"aa":false,"proposed_by":"ada","unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":2}');
INSERT INTO public.decisions VALUES (3, 'ro_1', 1772370000000000, '{"rollout":"ro_1","verb":"advance","reason":"ShadowPassed","sentence":"5 pairs scored, no harm; 100.0 % of tomorrow''s traffic that can be mirrored looks like something already compared (95 % interval 47.8 % to 100.0 %)","at":"2026-03-01T13:00:00Z","evidence_digest":"9d88a22ac35aa034bc2ea3a7e6aca4f9ee8fd2baefbd9471ae1a41a206703c1e","numbers":{},"look":null,"unsafe_short_windows":true}', '\x7b22726f6c6c6f7574223a22726f5f31222c22677561726473223a5b7b226d6574726963223a226572726f72222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d2c7b226d6574726963223a22746f6f6c5f7265747279222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d5d2c226578706f73757265223a5b5d2c22626173656c696e65223a6e756c6c2c22736861646f77223a7b227061697273223a352c22756e73636f726564223a302c226e6f745f636f6d70617261626c65223a302c226e6f745f666f6c6c6f776564223a302c2263616e6469646174655f6f6e6c79223a302c22737461626c655f6f6e6c79223a302c226368616e676573223a7b7d2c227365636f6e6473223a352c226669656c6473223a5b7b226669656c64223a22636865636b3a616e737765726564222c226861726d73223a747275652c227061697273223a302c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a2272656675736564222c226861726d73223a747275652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226661696c6564222c226861726d73223a747275652c227061697273223a302c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226a75646765222c226861726d73223a66616c73652c227061697273223a302c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a7265667573616c5f6164646564222c226861726d73223a747275652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a7265667573616c5f72656d6f766564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6c616e67756167655f7377697463686564222c226861726d73223a747275652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a7472756e6361746564222c226861726d73223a747275652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a66656e63655f6164646564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a66656e63655f72656d6f766564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a747261696c696e675f6172746566616374222c226861726d73223a747275652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6b65795f72656e616d6564222c226861726d73223a747275652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6b65795f6d697373696e67222c226861726d73223a747275652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a76616c75655f747970655f6368616e676564222c226861726d73223a747275652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a756e69636f64655f65736361706564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a756e69636f64655f756e65736361706564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6f70656e696e675f746578745f6164646564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a636c6f73696e675f746578745f6164646564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a756e6b6e6f776e5f746f6f6c222c226861726d73223a747275652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6f746865725f746f6f6c5f63616c6c6564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a706172616c6c656c5f63616c6c735f6368616e676564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a746f6f6c5f63616c6c5f72656d6f766564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a746f6f6c5f63616c6c5f6164646564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6f746865725f746f6f6c5f617267756d656e7473222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a737465705f6c696d69745f686974222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6b65795f6164646564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a736368656d615f76696f6c61746564222c226861726d73223a747275652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a66696e6973685f726561736f6e5f6368616e676564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6a736f6e5f62726f6b656e222c226861726d73223a747275652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6a736f6e5f7265706169726564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a616e737765725f73686f7274656e6564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a616e737765725f6c656e677468656e6564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6e756d6265725f666f726d61745f6368616e676564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a646174655f666f726d61745f6368616e676564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6c6973745f7374727563747572655f6368616e676564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6d61726b646f776e5f6164646564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a6d61726b646f776e5f72656d6f766564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a68656467696e675f6164646564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a68656467696e675f72656d6f766564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a756e737570706f727465645f73746174656d656e74222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a666163745f6368616e676564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d2c7b226669656c64223a226368616e67653a746f6b656e735f6368616e676564222c226861726d73223a66616c73652c227061697273223a352c2263616e646964617465223a302c22737461626c65223a302c2274616c6c696573223a5b5d7d5d2c22636f766572616765223a5b7b2264696d656e73696f6e223a22636c617373222c227061697273223a352c22636c6173736573223a312c226f6e6365223a302c227477696365223a307d2c7b2264696d656e73696f6e223a226c616e6775616765222c227061697273223a352c22636c6173736573223a312c226f6e6365223a302c227477696365223a307d2c7b2264696d656e73696f6e223a226c656e677468222c227061697273223a352c22636c6173736573223a312c226f6e6365223a302c227477696365223a307d2c7b2264696d656e73696f6e223a22736368656d61222c227061697273223a352c22636c6173736573223a312c226f6e6365223a302c227477696365223a307d2c7b2264696d656e73696f6e223a22736561736f6e222c227061697273223a352c22636c6173736573223a312c226f6e6365223a302c227477696365223a307d2c7b2264696d656e73696f6e223a2274656d706c617465222c227061697273223a352c22636c6173736573223a312c226f6e6365223a302c227477696365223a307d2c7b2264696d656e73696f6e223a22746f6f6c73222c227061697273223a352c22636c6173736573223a312c226f6e6365223a302c227477696365223a307d5d2c226a7564676564223a302c22706c616e746564223a302c226d6f766564223a302c226c617465223a5b5d7d2c226964656e746974795f76696f6c6174696f6e73223a5b5d2c2275736572735f6578706f736564223a302c2275736572735f7365656e223a302c227761795f6261636b223a7b22726f757465223a2263686174222c2276657273696f6e223a7b2270726f7669646572223a226f70656e6169222c226d6f64656c223a2261746c61732d323032362d30332d3031227d2c2270726f76656e5f6174223a6e756c6c2c226c6174656e63795f73223a6e756c6c2c2268656164726f6f6d223a7b7d2c2262726f6b656e223a22222c22756e6b6e6f776e223a22697420776173206e657665722070726f6265643a2060646574656e74207365727665602070726f626573206974206f6e63652061206d696e757465222c22656e64735f6174223a6e756c6c2c226279223a2270726f626573227d7d', '{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"second":0.5,"coverage":0.0,"whole_week":true,"harms":["refusal_added","truncated","trailing_artefact","json_broken","schema_violated","key_renamed","key_missing","value_type_changed","unknown_tool","language_switched"],"budget_usd_per_day":null,"tokens_per_day":null,"per_second":null,"judge_usd_per_day":5.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":null,"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true,"lease":60.0,"runs":"cut","freeze":[]},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"shadow","step":0,"entered_at":"2026-03-01T12:00:00Z","canary_at":null,"split":0.0,"period":0,"entered_period":0,"working":{},"declared":{},"prices":{},"watched_s":3600.0,"entered_watched_s":0.0,"canary_watched_s":0.0,"aa":false,"proposed_by":"ada","unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":3}');
INSERT INTO public.decisions VALUES (4, 'ro_1', 1772373600000000, '{"rollout":"ro_1","verb":"advance","reason":"StepServed","sentence":"time and units served, no harm: on to 50 %","at":"2026-03-01T14:00:00Z","evidence_digest":"f26333d5ca84da31454e3d2e3a37d555dad374cff627764d9f63258b91a5ca2a","numbers":{},"look":null,"unsafe_short_windows":true}', '\x7b22726f6c6c6f7574223a22726f5f31222c22677561726473223a5b7b226d6574726963223a226572726f72222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d2c7b226d6574726963223a22746f6f6c5f7265747279222c2274616c6c696573223a5b5d2c2276616c756573223a5b5d2c2263616e6469646174655f756e73636f726564223a302c22737461626c655f756e73636f726564223a302c2263616e6469646174655f73696c656e74223a302c22737461626c655f73696c656e74223a302c2263616e6469646174655f756e73616964223a302c22737461626c655f756e73616964223a307d5d2c226578706f73757265223a5b7b22706572696f64223a312c2273706c6974223a302e312c2263616e646964617465223a312c22737461626c65223a337d5d2c22626173656c696e65223a6e756c6c2c22736861646f77223a6e756c6c2c226964656e746974795f76696f6c6174696f6e73223a5b5d2c2275736572735f6578706f736564223a312c2275736572735f7365656e223a342c227761795f6261636b223a7b22726f757465223a2263686174222c2276657273696f6e223a7b2270726f7669646572223a226f70656e6169222c226d6f64656c223a2261746c61732d323032362d30332d3031227d2c2270726f76656e5f6174223a6e756c6c2c226c6174656e63795f73223a6e756c6c2c2268656164726f6f6d223a7b7d2c2262726f6b656e223a22222c22756e6b6e6f776e223a22697420776173206e657665722070726f6265643a2060646574656e74207365727665602070726f626573206974206f6e63652061206d696e757465222c22656e64735f6174223a6e756c6c2c226279223a2270726f626573227d7d', '{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"second":0.5,"coverage":0.0,"whole_week":true,"harms":["refusal_added","truncated","trailing_artefact","json_broken","schema_violated","key_renamed","key_missing","value_type_changed","unknown_tool","language_switched"],"budget_usd_per_day":null,"tokens_per_day":null,"per_second":null,"judge_usd_per_day":5.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":null,"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true,"lease":60.0,"runs":"cut","freeze":[]},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"canary","step":0,"entered_at":"2026-03-01T13:00:00Z","canary_at":"2026-03-01T13:00:00Z","split":0.1,"period":1,"entered_period":1,"working":{},"declared":{},"prices":{},"watched_s":7200.0,"entered_watched_s":3600.0,"canary_watched_s":3600.0,"aa":false,"proposed_by":"ada","unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":4}');
INSERT INTO public.exposed VALUES ('ro_1', 'ub', 'session', 'candidate', 1, 1772370003000000, true, false, 't', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.exposed VALUES ('ro_1', 'ua', 'session', 'stable', 1, 1772370001000000, false, false, 't', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.exposed VALUES ('ro_1', 'uc', 'session', 'stable', 1, 1772370005000000, false, false, 't', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.exposed VALUES ('ro_1', 'um', 'session', 'stable', 1, 1772370007000000, false, false, 't', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.exposure_counts VALUES ('ro_1', 1, 'candidate', 1, 1);
INSERT INTO public.exposure_counts VALUES ('ro_1', 1, 'stable', 3, 0);
INSERT INTO public.feedback VALUES ('f', 'gw1-172d4410df3a:1:2779', 1772370006000000, 'thumbs_down', 1, NULL, 'ua', NULL);
INSERT INTO public.flags VALUES ('chat', 6, '{"route":"chat","revision":6,"stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"rollout":"ro_1","split":0.5,"control":0.0,"period":2,"salt":"a secret salt","mirror":null,"written_at":"2026-03-01T14:00:00Z","lease_s":60.0,"lapsed":false,"drill":null,"draining":null,"rolled_back":null}');
INSERT INTO public.legs VALUES ('le_c', 'gw1-172d4410df3a', 'ex_c', 1772370005000000, 'gw', 1, 'chat', 'ro_1', 1, 'served', 'stable', 'stable', 'split', true, 'session', 'uc', 'uc', NULL, 'x-detent-session-id', 'chat', 'openai', 'atlas-2026-03-01', 'openai_chat', false, 0, 't', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.legs VALUES ('le_a', 'gw1-172d4410df3a', 'ex_a', 1772370001000000, 'gw', 1, 'chat', 'ro_1', 1, 'served', 'stable', 'stable', 'split', true, 'session', 'ua', 'ua', NULL, 'x-detent-session-id', 'chat', 'openai', 'atlas-2026-03-01', 'openai_chat', false, 0, 't', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'complete', 1772370002000000, 200, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, 'ok', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.legs VALUES ('le_b', 'gw1-172d4410df3a', 'ex_b', 1772370003000000, 'gw', 1, 'chat', 'ro_1', 1, 'served', 'candidate', 'candidate', 'split', true, 'session', 'ub', 'ub', NULL, 'x-detent-session-id', 'chat', 'openai', 'atlas-2026-06-01', 'openai_chat', false, 0, 't', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'timed_out', 1772370004000000, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.legs VALUES ('le_m', 'gw1-172d4410df3a', 'ex_m', 1772370007000000, 'gw', 1, 'chat', 'ro_1', 1, 'served', 'stable', 'stable', 'split', true, 'session', 'um', 'um', NULL, 'x-detent-session-id', 'chat', 'openai', 'atlas-2026-03-01', 'openai_chat', false, 0, 't', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'complete', 1772370008000000, 200, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, 'ok', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.legs VALUES ('le_x', 'gw1-172d4410df3a', 'ex_m', 1772370007100000, 'gw', 1, 'chat', 'ro_1', 1, 'mirrored', 'candidate', 'candidate', 'shadow', true, 'session', 'ux', 'ux', NULL, 'x-detent-session-id', 'chat', 'openai', 'atlas-2026-06-01', 'openai_chat', false, 0, 't', NULL, NULL, NULL, NULL, NULL, NULL, NULL, 'complete', 1772370009000000, 200, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, 'ok', NULL, NULL, NULL, NULL, NULL);
INSERT INTO public.manifests VALUES (1, '[providers.openai]
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
', '6dd89db5e1c9216bfdf89f80b375878ec105a87df9be8dd871e6c555f9fbc4d5', 1772366400000000, 'ada');
INSERT INTO public.meta VALUES ('schema', '5');
INSERT INTO public.meta VALUES ('audit_from', '1');
INSERT INTO public.meta VALUES ('drills_since', '1772366400000000');
INSERT INTO public.minute_sums VALUES (1772370000000000, 'chat', 'ro_1', 'served', 'stable', 'openai/atlas-2026-03-01', '{"legs":3,"outcomes":{"complete":2},"latency":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"first_byte":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"output_tokens":{"n":0,"total":0.0,"squares":0.0,"sketch":{}}}');
INSERT INTO public.minute_sums VALUES (1772370000000000, 'chat', 'ro_1', 'served', 'candidate', 'openai/atlas-2026-06-01', '{"legs":1,"outcomes":{"timed_out":1},"latency":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"first_byte":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"output_tokens":{"n":0,"total":0.0,"squares":0.0,"sketch":{}}}');
INSERT INTO public.minute_sums VALUES (1772370000000000, 'chat', 'ro_1', 'mirrored', 'candidate', 'openai/atlas-2026-06-01', '{"legs":1,"outcomes":{"complete":1},"latency":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"first_byte":{"n":0,"total":0.0,"squares":0.0,"sketch":{}},"output_tokens":{"n":0,"total":0.0,"squares":0.0,"sketch":{}}}');
INSERT INTO public.pairs VALUES ('ro_1', 'ex_0', '{"rollout":"ro_1","exchange":"ex_0","at_us":1772366400000000,"note":"","scored":["answered","refused"],"stable_failed":[],"candidate_failed":[],"second_failed":[],"compared":[],"candidate_differs":[],"second_differs":[],"diverges":false,"conversation":"co_0","turn":0,"drawn":true,"dimensions":{"tools":"usual","schema":"usual","language":"usual","length":"usual","season":"usual","template":"usual"},"signature":"","chars":0}', 0, 1, 1);
INSERT INTO public.pairs VALUES ('ro_1', 'ex_1', '{"rollout":"ro_1","exchange":"ex_1","at_us":1772366400000000,"note":"","scored":["answered","refused"],"stable_failed":[],"candidate_failed":[],"second_failed":[],"compared":[],"candidate_differs":[],"second_differs":[],"diverges":false,"conversation":"co_1","turn":0,"drawn":true,"dimensions":{"tools":"usual","schema":"usual","language":"usual","length":"usual","season":"usual","template":"usual"},"signature":"","chars":0}', 1, 1, 1);
INSERT INTO public.pairs VALUES ('ro_1', 'ex_2', '{"rollout":"ro_1","exchange":"ex_2","at_us":1772366400000000,"note":"","scored":["answered","refused"],"stable_failed":[],"candidate_failed":[],"second_failed":[],"compared":[],"candidate_differs":[],"second_differs":[],"diverges":false,"conversation":"co_2","turn":0,"drawn":true,"dimensions":{"tools":"usual","schema":"usual","language":"usual","length":"usual","season":"usual","template":"usual"},"signature":"","chars":0}', 2, 1, 1);
INSERT INTO public.pairs VALUES ('ro_1', 'ex_3', '{"rollout":"ro_1","exchange":"ex_3","at_us":1772366400000000,"note":"","scored":["answered","refused"],"stable_failed":[],"candidate_failed":[],"second_failed":[],"compared":[],"candidate_differs":[],"second_differs":[],"diverges":false,"conversation":"co_3","turn":0,"drawn":true,"dimensions":{"tools":"usual","schema":"usual","language":"usual","length":"usual","season":"usual","template":"usual"},"signature":"","chars":0}', 3, 1, 1);
INSERT INTO public.pairs VALUES ('ro_1', 'ex_4', '{"rollout":"ro_1","exchange":"ex_4","at_us":1772366400000000,"note":"","scored":["answered","refused"],"stable_failed":[],"candidate_failed":[],"second_failed":[],"compared":[],"candidate_differs":[],"second_differs":[],"diverges":false,"conversation":"co_4","turn":0,"drawn":true,"dimensions":{"tools":"usual","schema":"usual","language":"usual","length":"usual","season":"usual","template":"usual"},"signature":"","chars":0}', 4, 1, 1);
INSERT INTO public.rollouts VALUES ('ro_1', 'chat', true, 5, 1772366400000000, '{"id":"ro_1","route":"chat","owner":"chat@example.com","stable":{"provider":"openai","model":"atlas-2026-03-01"},"candidate":{"provider":"openai","model":"atlas-2026-06-01"},"plan":{"name":"short","baseline":{"screen":1,"confirm":4,"stable_repeats":2,"fdr":0.1,"max_age":2592000.0,"cases":5,"coverage":0.8,"reserve":0.1,"on_stale":"wait","budget_usd":null,"at_least":1,"margin":1.0},"shadow":{"share":0.5,"at_least":3600.0,"at_most":7200.0,"pairs":2,"second":0.5,"coverage":0.0,"whole_week":true,"harms":["refusal_added","truncated","trailing_artefact","json_broken","schema_violated","key_renamed","key_missing","value_type_changed","unknown_tool","language_switched"],"budget_usd_per_day":null,"tokens_per_day":null,"per_second":null,"judge_usd_per_day":5.0},"canary":{"steps":[{"share":0.1,"at_least":3600.0,"units":1},{"share":0.5,"at_least":3600.0,"units":1}],"at_most":32400.0,"control":false},"soak":{"at_least":3600.0,"holdback":0.05},"drill":null,"approve":[],"alpha":0.05,"guards":[{"metric":"error","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"prove","side":null,"tolerance_ratio":1.0},{"metric":"tool_retry","margin_ratio":1.5,"margin_abs":null,"action":"roll_back","matures":120.0,"role":"harm","side":null,"tolerance_ratio":1.0}],"unsafe_short_windows":true,"lease":60.0,"runs":"cut","freeze":[]},"salt":"a secret salt","opened_at":"2026-03-01T12:00:00Z","phase":"canary","step":1,"entered_at":"2026-03-01T14:00:00Z","canary_at":"2026-03-01T13:00:00Z","split":0.5,"period":2,"entered_period":2,"working":{},"declared":{},"prices":{},"watched_s":7200.0,"entered_watched_s":7200.0,"canary_watched_s":3600.0,"aa":false,"proposed_by":"ada","unproven":"","looks":[],"approved":[],"held":null,"reason":"","ended_at":null,"revision":5}');
INSERT INTO public.runs VALUES ('ro_1', 'ca_1', 'stable', 'screen', 0, '{"rollout":"ro_1","case":"ca_1","arm":"stable","stage":"screen","repeat":0,"passed":true,"content":1.0,"changes":[],"failed_checks":[],"output":"out","error":null,"left_script":"","steps":1,"usage":{"input":null,"cached":null,"output":null,"reasoning":null},"latency_s":null,"model":null,"judged":null,"request_refused":false,"usd":null,"failures":0}');
INSERT INTO public.runs VALUES ('ro_1', 'ca_1', 'stable', 'screen', 1, '{"rollout":"ro_1","case":"ca_1","arm":"stable","stage":"screen","repeat":1,"passed":true,"content":1.0,"changes":[],"failed_checks":[],"output":"out","error":null,"left_script":"","steps":1,"usage":{"input":null,"cached":null,"output":null,"reasoning":null},"latency_s":null,"model":null,"judged":null,"request_refused":false,"usd":null,"failures":0}');
INSERT INTO public.runs VALUES ('ro_1', 'ca_1', 'candidate', 'screen', 0, '{"rollout":"ro_1","case":"ca_1","arm":"candidate","stage":"screen","repeat":0,"passed":true,"content":1.0,"changes":[],"failed_checks":[],"output":"out","error":null,"left_script":"","steps":1,"usage":{"input":null,"cached":null,"output":null,"reasoning":null},"latency_s":null,"model":null,"judged":null,"request_refused":false,"usd":null,"failures":0}');
INSERT INTO public.shadow_classes VALUES ('ro_1', 'class', 'usual · usual · usual · usual', 5, 5);
INSERT INTO public.shadow_classes VALUES ('ro_1', 'tools', 'usual', 5, 5);
INSERT INTO public.shadow_classes VALUES ('ro_1', 'schema', 'usual', 5, 5);
INSERT INTO public.shadow_classes VALUES ('ro_1', 'language', 'usual', 5, 5);
INSERT INTO public.shadow_classes VALUES ('ro_1', 'length', 'usual', 5, 5);
INSERT INTO public.shadow_classes VALUES ('ro_1', 'season', 'usual', 5, 5);
INSERT INTO public.shadow_classes VALUES ('ro_1', 'template', 'usual', 5, 5);
INSERT INTO public.shadow_conversations VALUES ('ro_1', 'co_0', 0, NULL, '{"72b80c2b7b":1,"4c98a6bddc":1,"de4b9eafa3":1,"f9d9739d7e":1,"849d1ead7d":1,"e9e3c0eec8":1,"821040a121":1}');
INSERT INTO public.shadow_conversations VALUES ('ro_1', 'co_1', 0, NULL, '{"72b80c2b7b":1,"4c98a6bddc":1,"de4b9eafa3":1,"f9d9739d7e":1,"849d1ead7d":1,"e9e3c0eec8":1,"821040a121":1}');
INSERT INTO public.shadow_conversations VALUES ('ro_1', 'co_2', 0, NULL, '{"72b80c2b7b":1,"4c98a6bddc":1,"de4b9eafa3":1,"f9d9739d7e":1,"849d1ead7d":1,"e9e3c0eec8":1,"821040a121":1}');
INSERT INTO public.shadow_conversations VALUES ('ro_1', 'co_3', 0, NULL, '{"72b80c2b7b":1,"4c98a6bddc":1,"de4b9eafa3":1,"f9d9739d7e":1,"849d1ead7d":1,"e9e3c0eec8":1,"821040a121":1}');
INSERT INTO public.shadow_conversations VALUES ('ro_1', 'co_4', 0, NULL, '{"72b80c2b7b":1,"4c98a6bddc":1,"de4b9eafa3":1,"f9d9739d7e":1,"849d1ead7d":1,"e9e3c0eec8":1,"821040a121":1}');
INSERT INTO public.shadow_days VALUES ('ro_1', 1772323200000000, 5, 1, 0);
INSERT INTO public.shadow_fields VALUES ('ro_1', 'change:', 'usual · usual · usual · usual', 5, 0, 0, 0, 0, 0, 0, 0, NULL, '[]');
INSERT INTO public.shadow_fields VALUES ('ro_1', 'refused', '', 5, 0, 0, 0, 0, 0, 0, 0, NULL, '[]');
INSERT INTO public.shadow_fields VALUES ('ro_1', 'refused', 'usual · usual · usual · usual', 5, 0, 0, 0, 0, 0, 0, 0, NULL, '[]');
INSERT INTO public.shadow_sums VALUES ('ro_1', 1, '{"compared":[{"field":"check:answered","harms":true},{"field":"refused","harms":true},{"field":"failed","harms":true},{"field":"judge","harms":true},{"field":"change:refusal_added","harms":true},{"field":"change:refusal_removed","harms":false},{"field":"change:language_switched","harms":true},{"field":"change:truncated","harms":true},{"field":"change:fence_added","harms":false},{"field":"change:fence_removed","harms":false},{"field":"change:trailing_artefact","harms":true},{"field":"change:key_renamed","harms":true},{"field":"change:key_missing","harms":true},{"field":"change:value_type_changed","harms":true},{"field":"change:unicode_escaped","harms":false},{"field":"change:unicode_unescaped","harms":false},{"field":"change:opening_text_added","harms":false},{"field":"change:closing_text_added","harms":false},{"field":"change:unknown_tool","harms":true},{"field":"change:other_tool_called","harms":false},{"field":"change:parallel_calls_changed","harms":false},{"field":"change:tool_call_removed","harms":false},{"field":"change:tool_call_added","harms":false},{"field":"change:other_tool_arguments","harms":false},{"field":"change:step_limit_hit","harms":false},{"field":"change:key_added","harms":false},{"field":"change:schema_violated","harms":true},{"field":"change:finish_reason_changed","harms":false},{"field":"change:json_broken","harms":true},{"field":"change:json_repaired","harms":false},{"field":"change:answer_shortened","harms":false},{"field":"change:answer_lengthened","harms":false},{"field":"change:number_format_changed","harms":false},{"field":"change:date_format_changed","harms":false},{"field":"change:list_structure_changed","harms":false},{"field":"change:markdown_added","harms":false},{"field":"change:markdown_removed","harms":false},{"field":"change:hedging_added","harms":false},{"field":"change:hedging_removed","harms":false},{"field":"change:unsupported_statement","harms":false},{"field":"change:fact_changed","harms":false},{"field":"change:tokens_changed","harms":false}],"alpha":0.05,"pairs":5,"unscored":0,"went_apart":0,"not_followed":0,"latest_us":1772366400000000,"candidate_only":0,"stable_only":0,"seconds":5,"classes":1,"judged":0,"planted":0,"moved":0,"judge_blocks":false,"slots":{},"met":{"class":{"pairs":5,"classes":1,"once":0,"twice":0},"tools":{"pairs":5,"classes":1,"once":0,"twice":0},"schema":{"pairs":5,"classes":1,"once":0,"twice":0},"language":{"pairs":5,"classes":1,"once":0,"twice":0},"length":{"pairs":5,"classes":1,"once":0,"twice":0},"season":{"pairs":5,"classes":1,"once":0,"twice":0},"template":{"pairs":5,"classes":1,"once":0,"twice":0}},"templates":{"usual":{"turn":0,"conversations":5}},"late":[]}');
INSERT INTO public.share_periods VALUES ('ro_1', 0, 0, 1772366400000000, 1772370000000000);
INSERT INTO public.share_periods VALUES ('ro_1', 1, 0.1, 1772370000000000, 1772373600000000);
INSERT INTO public.share_periods VALUES ('ro_1', 2, 0.5, 1772373600000000, NULL);
INSERT INTO public.spools VALUES ('gw1-172d4410df3a', 1, 5220, 1772370009000000, false);
INSERT INTO public.units VALUES ('ro_1', 'ub', 'error', 1772370123000000, 1, 1, 1, NULL);
INSERT INTO public.units VALUES ('ro_1', 'ub', 'tool_retry', 1772370123000000, 0, 0, 0, NULL);
INSERT INTO public.units VALUES ('ro_1', 'ua', 'error', 1772370121000000, 1, 0, 0, NULL);
INSERT INTO public.units VALUES ('ro_1', 'ua', 'tool_retry', 1772370121000000, 1, 0, 0, NULL);
INSERT INTO public.units VALUES ('ro_1', 'uc', 'error', 1772370125000000, 0, 0, 0, NULL);
INSERT INTO public.units VALUES ('ro_1', 'uc', 'tool_retry', 1772370125000000, 0, 0, 0, NULL);
INSERT INTO public.units VALUES ('ro_1', 'um', 'error', 1772370127000000, 1, 0, 0, NULL);
INSERT INTO public.units VALUES ('ro_1', 'um', 'tool_retry', 1772370127000000, 1, 0, 0, NULL);
INSERT INTO public.watched VALUES ('ro_1', 7200000000, 1772373600000000);
SELECT pg_catalog.setval('public.audit_id_seq', 7, true);
SELECT pg_catalog.setval('public.baselines_id_seq', 1, true);
SELECT pg_catalog.setval('public.calibrations_id_seq', 1, false);
SELECT pg_catalog.setval('public.decisions_id_seq', 4, true);
SELECT pg_catalog.setval('public.manifests_id_seq', 1, true);
ALTER TABLE ONLY public.acks
    ADD CONSTRAINT acks_pkey PRIMARY KEY (gateway, revision);
ALTER TABLE ONLY public.alerts
    ADD CONSTRAINT alerts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.answered
    ADD CONSTRAINT answered_pkey PRIMARY KEY (rollout, sent, model);
ALTER TABLE ONLY public.approvals
    ADD CONSTRAINT approvals_pkey PRIMARY KEY (id);
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
ALTER TABLE ONLY public.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (alert, channel);
ALTER TABLE ONLY public.drills
    ADD CONSTRAINT drills_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.exposed
    ADD CONSTRAINT exposed_pkey PRIMARY KEY (rollout, unit);
ALTER TABLE ONLY public.exposure_counts
    ADD CONSTRAINT exposure_counts_pkey PRIMARY KEY (rollout, period, arm);
ALTER TABLE ONLY public.feedback
    ADD CONSTRAINT feedback_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.flags
    ADD CONSTRAINT flags_pkey PRIMARY KEY (route);
ALTER TABLE ONLY public.former_versions
    ADD CONSTRAINT former_versions_pkey PRIMARY KEY (route, version);
ALTER TABLE ONLY public.gateways
    ADD CONSTRAINT gateways_pkey PRIMARY KEY (gateway);
ALTER TABLE ONLY public.judgements
    ADD CONSTRAINT judgements_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.label_counts
    ADD CONSTRAINT label_counts_pkey PRIMARY KEY (rollout, guard, period, slice, arm, bucket);
ALTER TABLE ONLY public.legs
    ADD CONSTRAINT legs_pkey PRIMARY KEY (leg);
ALTER TABLE ONLY public.local_orders
    ADD CONSTRAINT local_orders_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.manifests
    ADD CONSTRAINT manifests_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.minute_sums
    ADD CONSTRAINT minute_sums_pkey PRIMARY KEY (route, minute_us, rollout, role, arm, version);
ALTER TABLE ONLY public.not_mirrored
    ADD CONSTRAINT not_mirrored_pkey PRIMARY KEY (rollout, reason, why);
ALTER TABLE ONLY public.pair_judgements
    ADD CONSTRAINT pair_judgements_pkey PRIMARY KEY (rollout, exchange);
ALTER TABLE ONLY public.pairs
    ADD CONSTRAINT pairs_pkey PRIMARY KEY (rollout, exchange);
ALTER TABLE ONLY public.pins
    ADD CONSTRAINT pins_pkey PRIMARY KEY (route, exchange);
ALTER TABLE ONLY public.probes
    ADD CONSTRAINT probes_pkey PRIMARY KEY (route, version, at_us);
ALTER TABLE ONLY public.rollouts
    ADD CONSTRAINT rollouts_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.runs
    ADD CONSTRAINT runs_pkey PRIMARY KEY (rollout, "case", arm, stage, repeat);
ALTER TABLE ONLY public.segment_counts
    ADD CONSTRAINT segment_counts_pkey PRIMARY KEY (rollout, slice, guard, period, arm, bucket);
ALTER TABLE ONLY public.segment_values
    ADD CONSTRAINT segment_values_pkey PRIMARY KEY (rollout, dimension, value);
ALTER TABLE ONLY public.shadow_buckets
    ADD CONSTRAINT shadow_buckets_pkey PRIMARY KEY (rollout, bucket);
ALTER TABLE ONLY public.shadow_classes
    ADD CONSTRAINT shadow_classes_pkey PRIMARY KEY (rollout, dimension, value);
ALTER TABLE ONLY public.shadow_clusters
    ADD CONSTRAINT shadow_clusters_pkey PRIMARY KEY (rollout, cluster);
ALTER TABLE ONLY public.shadow_conversations
    ADD CONSTRAINT shadow_conversations_pkey PRIMARY KEY (rollout, conversation);
ALTER TABLE ONLY public.shadow_days
    ADD CONSTRAINT shadow_days_pkey PRIMARY KEY (rollout, day_us);
ALTER TABLE ONLY public.shadow_fields
    ADD CONSTRAINT shadow_fields_pkey PRIMARY KEY (rollout, field, input_class);
ALTER TABLE ONLY public.shadow_ledger
    ADD CONSTRAINT shadow_ledger_pkey PRIMARY KEY (rollout, day_us, purse, holder);
ALTER TABLE ONLY public.shadow_sums
    ADD CONSTRAINT shadow_sums_pkey PRIMARY KEY (rollout);
ALTER TABLE ONLY public.share_periods
    ADD CONSTRAINT share_periods_pkey PRIMARY KEY (rollout, period);
ALTER TABLE ONLY public.spools
    ADD CONSTRAINT spools_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.tokens
    ADD CONSTRAINT tokens_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.units
    ADD CONSTRAINT units_pkey PRIMARY KEY (rollout, unit, guard);
ALTER TABLE ONLY public.waivers
    ADD CONSTRAINT waivers_pkey PRIMARY KEY (route, at_us);
ALTER TABLE ONLY public.watched
    ADD CONSTRAINT watched_pkey PRIMARY KEY (rollout);
CREATE INDEX alerts_about ON public.alerts USING btree (kind, about);
CREATE INDEX drills_route ON public.drills USING btree (route, at_us);
CREATE INDEX ix_baselines_route ON public.baselines USING btree (route);
CREATE INDEX ix_decisions_rollout ON public.decisions USING btree (rollout);
CREATE INDEX ix_feedback_exchange ON public.feedback USING btree (exchange);
CREATE INDEX ix_feedback_session ON public.feedback USING btree (session);
CREATE INDEX legs_exchange ON public.legs USING btree (exchange);
CREATE INDEX legs_route ON public.legs USING btree (route, at_us);
CREATE INDEX legs_session ON public.legs USING btree (session) WHERE (session IS NOT NULL);
CREATE INDEX legs_ungraded ON public.legs USING btree (rollout, result_us) WHERE ((role = 'mirrored'::text) AND (graded IS NULL));
CREATE INDEX legs_unresolved ON public.legs USING btree (spool) WHERE ((outcome IS NULL) OR (outcome = 'lost'::text));
CREATE INDEX legs_user ON public.legs USING btree ("user", at_us) WHERE ("user" IS NOT NULL);
CREATE UNIQUE INDEX one_drill ON public.drills USING btree (route) WHERE (ended_us IS NULL);
CREATE UNIQUE INDEX one_open_rollout ON public.rollouts USING btree (route) WHERE open;
CREATE INDEX pairs_unjudged ON public.pairs USING btree (rollout, arrived) WHERE (unjudged = 1);
CREATE INDEX pairs_waiting ON public.pairs USING btree (rollout, arrived) WHERE (folded = 0);
CREATE INDEX units_due ON public.units USING btree (due_us) WHERE (bucket IS NULL);
