"""The style sheet of the HTML form: light and dark, wide and narrow, screen and paper; nothing is loaded from elsewhere."""

from __future__ import annotations

CSS = """
:root { color-scheme: light dark;
  --paper: #fbfaf7; --card: #ffffff; --ink: #1d1f23; --soft: #5a5f69; --line: #dcdad3; --link: #1a4f9c;
  --bad: #a3181f; --bad-bg: #fdecec; --warn: #7a4b00; --warn-bg: #fdf3dc; --good: #17622f; --good-bg: #e6f4ea; --calm-bg: #eef0f4;
  --del: #8f1219; --del-bg: #fde3e3; --ins: #0f5a28; --ins-bg: #dcf3e2; --esc: #6b2a8c; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #15171b; --card: #1d2025; --ink: #e7e6e2; --soft: #a5aab4; --line: #353a43; --link: #8fb8ff;
  --bad: #ff9c9c; --bad-bg: #431c20; --warn: #f5c877; --warn-bg: #3b2d12; --good: #8fdca6; --good-bg: #173322; --calm-bg: #262a31;
  --del: #ffb3b3; --del-bg: #4a1f24; --ins: #a4e8b8; --ins-bg: #173d26; --esc: #d9a6f2; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", "Liberation Sans", sans-serif; }
main, header, footer { max-width: 72rem; margin: 0 auto; padding: 0 1.25rem; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, input:focus-visible + label { outline: 3px solid var(--link); outline-offset: 2px; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1.75rem 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; scroll-margin-top: 1rem; }
h3 { font-size: 1rem; font-weight: 600; margin: 0; display: inline; overflow-wrap: anywhere; }
h4 { font-size: .85rem; margin: 1rem 0 .25rem; color: var(--soft); }
p { margin: .4rem 0; max-width: 62rem; }
.soft, .means { color: var(--soft); }
code, pre, .id { font-family: ui-monospace, "SF Mono", Menlo, Consolas, "Liberation Mono", monospace; font-size: .85rem; }
code { overflow-wrap: anywhere; }
.verdict { border-left: .5rem solid; border-radius: .35rem; padding: .8rem 1rem; margin: 1rem 0; }
.verdict b { display: block; font-size: 1.35rem; line-height: 1.2; }
.verdict p { color: var(--ink); margin: .3rem 0 0; }
.regression, .could_not_run { background: var(--bad-bg); border-color: var(--bad); color: var(--bad); }
.inconclusive { background: var(--warn-bg); border-color: var(--warn); color: var(--warn); }
.pass { background: var(--good-bg); border-color: var(--good); color: var(--good); }
.counts { display: flex; flex-wrap: wrap; gap: .5rem; padding: 0; margin: 1rem 0; list-style: none; }
.counts a { display: block; min-width: 5.6rem; padding: .45rem .75rem; border: 1px solid var(--line); border-radius: .4rem;
  background: var(--card); color: var(--ink); text-decoration: none; }
.counts a:hover { border-color: var(--link); }
.counts b { display: block; font-size: 1.3rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
.counts .lost b, .counts .refused b, .counts .left_script b { color: var(--bad); }
.counts .suspect b, .counts .not_scored b { color: var(--warn); }
.counts .won b { color: var(--good); }
dl.facts { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: 1rem 0; font-size: .9rem; }
dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .4rem .9rem .4rem 0; border-bottom: 1px solid var(--line); vertical-align: middle; }
th { font-weight: 600; color: var(--soft); white-space: nowrap; }
td.n, th.n { text-align: right; white-space: nowrap; }
td.word { overflow-wrap: anywhere; min-width: 9rem; }
tr.harmed td:first-child::before { content: "\\25BC\\00A0"; color: var(--bad); }
tr.whole td { font-weight: 600; }
svg { display: block; }
svg .axis { stroke: var(--line); } svg .zero { stroke: var(--soft); } svg .span { stroke: var(--ink); stroke-width: 2; }
svg .at { fill: var(--ink); } svg .worse { stroke: var(--bad); } svg .worse.at { fill: var(--bad); }
svg .better { stroke: var(--good); } svg .better.at { fill: var(--good); }
ul.remarks { padding-left: 1.1rem; max-width: 60rem; } ul.remarks li { margin: .2rem 0; overflow-wrap: anywhere; }
fieldset { border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .9rem .8rem; margin: 1rem 0; min-width: 0; }
legend { color: var(--soft); font-size: .9rem; padding: 0 .4rem; }
fieldset input { position: absolute; opacity: 0; }
fieldset label { display: inline-block; padding: .15rem .6rem; margin: .2rem .25rem 0 0; border: 1px solid var(--line); border-radius: 1rem;
  font-size: .85rem; cursor: pointer; background: var(--card); overflow-wrap: anywhere; }
fieldset input:checked + label { border-color: var(--link); box-shadow: inset 0 0 0 1px var(--link); font-weight: 600; }
details.case { background: var(--card); border: 1px solid var(--line); border-radius: .4rem; margin: .5rem 0; scroll-margin-top: 1rem; }
details.case > summary { cursor: pointer; padding: .6rem .9rem; }
details.case:target { border-color: var(--link); box-shadow: 0 0 0 1px var(--link); }
details.case[open] > summary { border-bottom: 1px solid var(--line); }
.inside { padding: .3rem .9rem 1rem; scroll-margin-top: 6rem; }
.line { display: flex; flex-wrap: wrap; gap: .15rem .5rem; align-items: baseline;
  margin-top: .3rem; font-size: .85rem; color: var(--soft); }
.tag { background: var(--calm-bg); color: var(--ink); border-radius: .25rem; padding: 0 .4rem; overflow-wrap: anywhere; }
.tag.lost, .tag.refused, .tag.left_script { background: var(--bad-bg); color: var(--bad); }
.tag.suspect, .tag.not_scored { background: var(--warn-bg); color: var(--warn); }
.tag.won { background: var(--good-bg); color: var(--good); }
pre { background: var(--calm-bg); border-radius: .3rem; padding: .7rem .8rem; margin: .3rem 0; overflow: auto; max-height: 32rem;
  white-space: pre-wrap; overflow-wrap: anywhere; line-height: 1.45; tab-size: 4; }
del { background: var(--del-bg); color: var(--del); } ins { background: var(--ins-bg); color: var(--ins); text-decoration: none; }
del i, ins i { font-style: normal; font-weight: 700; } .esc { color: var(--esc); border-bottom: 1px dotted; }
.cut { color: var(--soft); font-style: italic; }
.both { display: grid; grid-template-columns: 1fr 1fr; gap: 0 1rem; } .both > * { min-width: 0; }
details.outputs { margin-top: .8rem; }
details.outputs > summary, details.listed > summary { cursor: pointer; color: var(--link); font-size: .9rem; }
ul.plain { list-style: none; padding: 0; font-size: .9rem; } ul.plain li { padding: .25rem 0; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: .85rem; padding-bottom: 3rem; margin-top: 3rem; }
@media (max-width: 42rem) { body { font-size: 15px; } .both { grid-template-columns: 1fr; } main, header, footer { padding: 0 .8rem; }
  dl.facts { grid-template-columns: 1fr; } dl.facts dd { margin-bottom: .4rem; } td, th { padding-right: .6rem; } }
@media print { body { background: #fff; } pre { max-height: none; } fieldset { display: none; } }
"""
"""Contrast of every pair of text and ground is at least 4.5 : 1 in both schemes (WCAG 2.1, 1.4.3)."""
