"""The look of a run's report, in light and dark."""

STYLE = """
:root {
  color-scheme: light dark;
  --page: #fbfbfa; --card: #ffffff; --ink: #1c2024; --soft: #667079; --rule: #e4e6e8;
  --train: #8fb3d9; --valid: #1f5fa8; --reference: #b4690e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14171a; --card: #1c2024; --ink: #e8eaec; --soft: #98a2ab; --rule: #30363c;
    --train: #4a6f95; --valid: #7db6f2; --reference: #e2a24d;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 58rem;
  background: var(--page); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.1rem; margin: 2.4rem 0 .8rem; }
p.lead { margin: 0 0 1.6rem; color: var(--soft); }
.figures {
  display: grid; gap: .8rem;
  grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr));
}
.figure, .chart, .sample {
  padding: .9rem 1.1rem;
  background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
}
.figure b { display: block; font-size: 1.55rem; font-variant-numeric: tabular-nums; }
.figure span, .sample h3 { color: var(--soft); font-size: .85rem; }
.chart { margin-top: .8rem; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg .label { fill: var(--soft); }
svg .grid { stroke: var(--rule); }
svg .axis { stroke: var(--soft); }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
svg .line.train { stroke: var(--train); } svg .name.train { fill: var(--train); }
svg .line.valid { stroke: var(--valid); } svg .dot.valid, svg .name.valid { fill: var(--valid); }
svg .reference { stroke: var(--reference); stroke-dasharray: 5 4; }
svg .name { font-weight: 600; fill: var(--reference); }
.sample { margin-bottom: .8rem; }
.sample h3 { font-weight: 500; margin: 0 0 .3rem; }
.sample p {
  margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; font-family: Georgia, serif;
}
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .32rem .8rem .32rem 0; border-bottom: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 500; }
td { font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
table.epochs th, table.epochs td { text-align: right; white-space: nowrap; }
.pair { display: grid; gap: 0 2.5rem; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); }
"""
