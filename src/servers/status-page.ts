/** The page at / of the metrics port: one document, which loads nothing from elsewhere. */
import { createHash } from 'node:crypto';
import { statusPageScript } from './status-page-script';

const style = `
:root { color-scheme: light dark; --line: light-dark(#d6d9de, #3a3f47); --dim: light-dark(#5c6470, #9aa3af);
  --good: light-dark(#116b3a, #5fd08c); --bad: light-dark(#b3261e, #ff8a80); --warn: light-dark(#8a5a00, #ffc857);
  --four: light-dark(#1f5fbf, #7fb2ff); --six: light-dark(#b0491a, #ffa36b); --card: light-dark(#f6f7f9, #1c1f24); }
* { box-sizing: border-box; }
body { font: 14px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 1180px; padding: 1.2rem; }
h1 { font-size: 1.3rem; margin: 0 0 .2rem; } h2 { font-size: 1rem; margin: 1.6rem 0 .5rem; }
.dim { color: var(--dim); } .good { color: var(--good); } .bad { color: var(--bad); } .warn { color: var(--warn); }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; color: var(--dim); }
th, td { padding: .3rem .8rem .3rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
code, td.name { font-family: ui-monospace, monospace; font-size: 13px; }
td.name { overflow-wrap: anywhere; }
ul { margin: 0; padding: 0; list-style: none; } ul.endpoints { columns: 15rem; } li.here code { font-weight: 600; }
#services td:nth-child(3) { width: 48%; } #trouble td:nth-child(4) { width: 60%; }
#plot { background: var(--card); border: 1px solid var(--line); border-radius: 6px; width: 100%; height: auto; }
#plot text { font-size: 11px; fill: var(--dim); } #plot .grid { stroke: var(--line); }
#plot .IPv4 { fill: var(--four); } #plot .IPv6 { fill: var(--six); }
.key { display: inline-block; width: .7rem; height: .7rem; border-radius: 50%; margin: 0 .3rem 0 .9rem; }
input { font: inherit; padding: .35rem .6rem; width: 24rem; max-width: 100%; border: 1px solid var(--line); border-radius: 6px;
  background: var(--card); color: inherit; }
button { font: inherit; padding: .3rem .8rem; }
.columns { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 0 2.5rem; }
`;

export const statusPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>vipwire</title>
<style>${style}</style>
</head>
<body>
<h1 id="title">vipwire</h1>
<div id="state" role="status">loading</div>
<h2>Rules</h2>
<table id="families"><thead><tr><th>Family<th>State<th class="number">Services<th class="number">Endpoints<th>Rules
<th>Last sync<th class="number">Took<th>Wrote</tr></thead><tbody></tbody></table>
<h2>Duration of syncs in the last hour <span class="dim">the longest in each ten seconds</span>
<span class="key" style="background:var(--four)"></span>IPv4<span class="key" style="background:var(--six)"></span>IPv6</h2>
<svg id="plot" viewBox="0 0 1120 200" role="img" aria-label="duration of the syncs in the last hour"></svg>
<div class="columns">
<section><h2>Watches</h2><table id="watches"><thead><tr><th>Resource<th>State<th class="number">Restarts
<th class="number">Lists<th>Last end</tr></thead><tbody></tbody></table><p id="api" class="dim"></p></section>
<section><h2>This process</h2><table id="process"><tbody></tbody></table></section>
</div>
<h2>Warnings and errors</h2>
<table id="trouble"><tbody></tbody></table>
<h2>Services</h2>
<p><input id="search" type="search" placeholder="name, address or port" aria-label="search Services">
<span id="found" class="dim"></span></p>
<table id="services"><thead><tr><th>Service<th>Frontends<th>Endpoints, with their share of new connections</tr></thead><tbody></tbody></table>
<p><button id="more" hidden>more</button></p>
<script>${statusPageScript}</script>
</body>
</html>
`;

const scriptHash = createHash('sha256').update(statusPageScript).digest('base64');

/** The Content-Security-Policy: only the page's own script may run, and no other page may frame it. */
export const statusPagePolicy = [
  "default-src 'none'",
  "connect-src 'self'",
  "style-src 'unsafe-inline'",
  `script-src 'sha256-${scriptHash}'`,
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ');
